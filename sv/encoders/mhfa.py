"""Multi-head factorized attentive pooling over the layers of a pretrained network.

Source: Peng, Plchot, Stafylakis, Mosner, Burget and Cernocky, "An attention-based backend allowing
efficient fine-tuning of transformer models for speaker verification", SLT 2022 (arXiv 2210.01273),
section 3.
"""

import torch
from torch import Tensor, nn

from sv.encoders.masking import at_least_float32
from sv.encoders.pooling import weighted_sum


class Mhfa(nn.Module):
    """Keys say when each head listens, values say what it hears; both are sums of all layers.

    With the outputs z_l of the layers, softmax weights w^k and w^v over layers, and frames t:
    K = (sum_l w^k_l z_l) S^k, V = (sum_l w^v_l z_l) S^v, A = softmax_t(K Q), and head h gives
    c_h = sum_t A_th V_t. A linear layer maps all c_h to the embedding.

    Parameters
    ----------
    layers: number of layers with the input of the first one.
    hidden: width of the layers.
    heads: number of heads; the paper uses 32 and 64.
    compression: width of keys and values; the paper uses 128.
    embedding_dim: length of the embedding.
    """

    def __init__(self, layers: int, hidden: int, heads: int, compression: int, embedding_dim: int):
        super().__init__()
        self.of_keys = nn.Parameter(torch.zeros(layers))  # equal weights after the softmax
        self.of_values = nn.Parameter(torch.zeros(layers))
        self.keys = nn.Linear(hidden, compression)
        self.values = nn.Linear(hidden, compression)
        self.heads = nn.Linear(compression, heads)
        self.output = nn.Linear(heads * compression, embedding_dim)

    def forward(self, layers: Tensor) -> Tensor:
        """Map (layers, batch, frames, hidden) to (batch, embedding_dim), float32."""
        keys = self.keys(weighted_sum(layers, self.of_keys))
        values = at_least_float32(self.values(weighted_sum(layers, self.of_values)))
        attention = at_least_float32(self.heads(keys)).softmax(dim=1)  # (batch, frames, heads)
        pooled = attention.transpose(1, 2) @ values  # (batch, heads, compression)
        return at_least_float32(self.output(pooled.flatten(1)))
