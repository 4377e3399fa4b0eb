import pytest
import torch

from sv.encoders import EcapaConfig, build_encoder
from sv.encoders.ecapa import ConvReluNorm, Res2NetLayer
from sv.errors import InputError


def parameters(config):
    with torch.device("meta"):
        return sum(p.numel() for p in build_encoder(config).parameters())


@pytest.mark.parametrize(
    ("config", "millions"),
    [
        (EcapaConfig(), 6.2),  # Desplanques et al. 2020, C=512
        (EcapaConfig(channels=1024), 14.7),  # the same paper, C=1024
        (EcapaConfig(channels=256, pooled_channels=768), 2.0),  # Masztalski et al. 2025
    ],
)
def test_published_parameter_counts(config, millions):
    assert round(parameters(config) / 1e6, 1) == millions


def test_width_must_divide():
    with pytest.raises(InputError, match=r"channels=100 .* choose for example 96"):
        EcapaConfig(channels=100)


def test_layer_order_is_convolution_relu_norm():
    torch.manual_seed(0)
    layer = ConvReluNorm(3, 4, kernel=5, dilation=2).train()
    x = torch.randn(2, 3, 1, 20)
    y = layer(x)
    assert y.shape == (2, 4, 1, 20)
    # the norm comes last: zero mean, and (the ReLU before it) a minimum reached many times
    torch.testing.assert_close(y.mean((0, 2, 3)), torch.zeros(4), atol=1e-5, rtol=0)
    for channel in y.transpose(0, 1).flatten(1):
        assert (channel == channel.min()).sum() > 1


def test_res2net_equals_its_recursion():
    torch.manual_seed(1)
    layer = Res2NetLayer(32, scale=8, kernel=3, dilation=2).eval()
    x = torch.randn(2, 32, 1, 15)
    pieces = [x[:, 4 * i : 4 * i + 4] for i in range(8)]
    expected = [pieces[0], layer.parts[0](pieces[1])]
    for i in range(2, 8):
        expected.append(layer.parts[i - 1](pieces[i] + expected[-1]))
    torch.testing.assert_close(layer(x), torch.cat(expected, 1))


def test_res2net_part_i_sees_i_dilated_steps():
    torch.manual_seed(2)
    layer = Res2NetLayer(32, scale=8, kernel=3, dilation=2).eval()
    x = torch.zeros(1, 32, 1, 61)
    pulse = x.clone()
    pulse[:, :, :, 30] = 1.0
    with torch.no_grad():
        touched = (layer(pulse) - layer(x)).abs().amax((0, 2)) > 1e-9  # (channels, frames)
    for part in range(8):
        reach = touched[4 * part : 4 * part + 4].any(0).nonzero().flatten()
        # part 0 passes as it is, part i has gone through i convolutions of reach 2 at most
        assert reach.min() >= 30 - 2 * part and reach.max() <= 30 + 2 * part
        assert part < 2 or reach.max() > 32


def test_memory_is_contiguous_all_the_way():
    encoder = build_encoder(EcapaConfig(channels=32, pooled_channels=48)).eval()
    seen = []
    for block in encoder.blocks:
        block.register_forward_hook(lambda module, inputs, output: seen.append(output))
    encoder(torch.randn(2, 30, 80))
    assert all(y.is_contiguous() for y in seen) and len(seen) == 3
