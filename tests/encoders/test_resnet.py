import pytest
import torch

from sv.encoders import FastResNet34Config, ThinResNet34Config, build_encoder
from sv.encoders.resnet import SEBasicBlock
from sv.encoders.squeeze_excitation import SqueezeExcitation
from sv.errors import InputError


@pytest.mark.parametrize("config", [FastResNet34Config(), ThinResNet34Config()])
def test_published_parameter_count(config):
    with torch.device("meta"):
        encoder = build_encoder(config)
    assert round(sum(p.numel() for p in encoder.parameters()) / 1e6, 1) == 1.4


@pytest.mark.parametrize("channels", [[16, 32, 64], [16, 32, 64, 100], [8, 16, 16, 16]])
def test_bad_widths(channels):
    with pytest.raises(InputError, match="four multiples of 16"):
        FastResNet34Config(channels=channels)


def test_unknown_pooling():
    with pytest.raises(InputError, match=r"unknown pooling 'max'; choose one of mean, stats"):
        FastResNet34Config(pooling="max")


def test_bands_and_frames_through_the_stages():
    encoder = build_encoder(FastResNet34Config(channels=[16, 16, 16, 32])).eval()
    shapes = []
    for block in encoder.blocks:
        block.register_forward_hook(lambda m, i, output: shapes.append(tuple(output.shape[1:])))
    encoder(torch.randn(1, 101, 80))
    stages = [(3, (16, 40, 101)), (4, (16, 20, 51)), (6, (16, 10, 26)), (3, (32, 10, 26))]
    assert shapes == [shape for blocks, shape in stages for _ in range(blocks)]


def test_the_stem_of_the_thin_network_halves_time():
    encoder = build_encoder(ThinResNet34Config(channels=[16, 16, 16, 32])).eval()
    shapes = []
    for block in encoder.blocks:
        block.register_forward_hook(lambda m, i, output: shapes.append(tuple(output.shape[1:])))
    encoder(torch.randn(1, 101, 80))
    stages = [(3, (16, 80, 51)), (4, (16, 40, 26)), (6, (16, 20, 13)), (3, (32, 20, 13))]
    assert shapes == [shape for blocks, shape in stages for _ in range(blocks)]
    with pytest.raises(InputError, match="encoder thin_resnet34: unknown pooling"):
        ThinResNet34Config(pooling="max")


@pytest.mark.parametrize("pooling", ["mean", "stats", "sap", "asp"])
def test_poolings(pooling):
    config = FastResNet34Config(channels=[16, 16, 16, 16], embedding_dim=24, pooling=pooling)
    encoder = build_encoder(config)
    assert encoder(torch.randn(2, 30, 80)).shape == (2, 24) and encoder.embedding_dim == 24


def test_block_order_is_convolution_relu_norm():
    torch.manual_seed(0)
    block = SEBasicBlock(8, 16, stride=2).eval()
    for norm in (block.norm1, block.norm2, block.shortcut[1]):
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.5, 2)
    x = torch.randn(2, 8, 6, 9)
    y = block.norm1(torch.relu(block.conv1(x)))
    y = block.norm2(block.conv2(y))
    gates = block.gate.up(torch.relu(block.gate.down(y.mean((2, 3))))).sigmoid()
    expected = torch.relu(y * gates[:, :, None, None] + block.shortcut(x))
    torch.testing.assert_close(block(x), expected, atol=1e-6, rtol=1e-5)


def test_gates_equal_a_loop_and_ignore_padding():
    torch.manual_seed(1)
    gate = SqueezeExcitation(4, 2)
    x, residual = torch.randn(2, 4, 3, 7), torch.randn(2, 4, 3, 7)
    lengths = [5, 7]
    mask = (torch.arange(7) < torch.tensor(lengths)[:, None])[:, None, None]
    output = gate(x, residual, mask)
    for b, length in enumerate(lengths):
        means = torch.stack([x[b, c, :, :length].sum() / (3 * length) for c in range(4)])
        hidden = (gate.down.weight @ means + gate.down.bias).clamp(min=0)
        gates = 1 / (1 + (-(gate.up.weight @ hidden + gate.up.bias)).exp())
        for c in range(4):
            torch.testing.assert_close(output[b, c], residual[b, c] + gates[c] * x[b, c])


def test_memory_is_channels_last_all_the_way():
    encoder = build_encoder(FastResNet34Config(channels=[16, 16, 16, 32])).eval()
    seen = []
    for block in encoder.blocks:
        block.register_forward_hook(lambda module, inputs, output: seen.append(output))
    encoder(torch.randn(2, 30, 80))
    assert all(y.is_contiguous(memory_format=torch.channels_last) for y in seen)
    assert len(seen) == 16


def test_at_the_start_the_pooling_attends_to_nearly_all_frames():
    """The effective number of frames is the exponential of the entropy of their weights."""
    torch.manual_seed(2)
    encoder = build_encoder(FastResNet34Config(mel_bins=40)).train()
    vector = encoder.pooling.relevance.weight
    assert vector.std().item() == pytest.approx((2 / 129) ** 0.5, rel=0.25)  # 0.1245
    seen = []
    encoder.pooling.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    encoder(torch.randn(4, 200, 40))
    weights = encoder.pooling.weights(seen[0]).flatten(1)
    assert weights.shape == (4, 50)
    frames = torch.special.entr(weights).sum(1).exp()
    assert frames.min() > 45
