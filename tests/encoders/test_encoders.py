from dataclasses import fields

import pytest
import torch
from torch.nn import functional

from sv.encoders import (
    ENCODERS,
    EcapaConfig,
    FastResNet34Config,
    ResNet34Of2023Config,
    SeparativeConfig,
    ThinResNet34Config,
    build_encoder,
)
from sv.encoders.base import Encoder, EncoderConfig
from sv.encoders.heads import mlp
from sv.errors import InputError

pytestmark = pytest.mark.whole

TINY = {
    "ecapa": EcapaConfig(mel_bins=20, channels=32, pooled_channels=48, embedding_dim=16),
    "ecapa-speechbrain": EcapaConfig(
        variant="speechbrain", mel_bins=20, channels=32, pooled_channels=48, embedding_dim=16
    ),
    "resnet34_2023": ResNet34Of2023Config(mel_bins=20, channels=[16, 16, 16, 16], embedding_dim=16),
    "fast_resnet34": FastResNet34Config(mel_bins=20, channels=[16, 16, 16, 16], embedding_dim=16),
    "thin_resnet34": ThinResNet34Config(mel_bins=20, channels=[16, 16, 16, 16], embedding_dim=16),
    "fast_resnet34-asp": FastResNet34Config(mel_bins=20, channels=[16, 16, 16, 16], pooling="asp"),
    "separative": SeparativeConfig(
        mel_bins=20, channels=24, blocks=3, pooled_channels=32, embedding_dim=16
    ),
    "separative-galr": SeparativeConfig(
        mel_bins=20, trunk="galr", channels=16, blocks=2, segment=8, embedding_dim=16
    ),
    "separative-plain": SeparativeConfig(mel_bins=20, channels=24, sources=1, embedding_dim=16),
}
# the receptive field of the tiny ECAPA (same depth as the large one) is over 100 frames
LENGTHS = [1, 2, 3, 4, 5, 7, 8, 9, 16, 17, 31, 50, 63, 64, 65, 100, 127, 150]


@pytest.fixture(params=TINY)
def encoder(request):
    """A tiny encoder whose batch norms have statistics that are not the trivial ones."""
    torch.manual_seed(0)
    encoder = build_encoder(TINY[request.param]).train()
    for _ in range(3):
        encoder(torch.randn(4, 40, 20))
    for module in encoder.modules():
        if isinstance(module, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d):
            torch.nn.init.normal_(module.bias, std=0.3)
    return encoder


def test_every_tiny_config_is_of_a_known_encoder():
    hear = {name for name, (_, kind) in ENCODERS.items() if kind.hears_waveforms}
    assert {config.name for config in TINY.values()} == set(ENCODERS) - hear
    assert hear == {"pretrained"}  # its tests are in test_pretrained.py


def test_encoders_and_their_settings_have_the_base_classes():
    for encoder, config in ENCODERS.values():
        assert issubclass(encoder, Encoder) and issubclass(config, EncoderConfig)


@pytest.mark.parametrize("garbage", [0.0, 100.0, float("nan")])
def test_alone_and_in_a_padded_batch_give_the_same_embedding(encoder, garbage):
    encoder.eval()
    generator = torch.Generator().manual_seed(1)
    batch = torch.full((len(LENGTHS), max(LENGTHS) + 13, 20), garbage)
    for row, length in enumerate(LENGTHS):
        batch[row, :length] = torch.randn(length, 20, generator=generator) - 3
    with torch.no_grad():
        together = functional.normalize(encoder(batch, torch.tensor(LENGTHS)))
        for row, length in enumerate(LENGTHS):
            alone = functional.normalize(encoder(batch[row : row + 1, :length]))[0]
            assert (together[row] - alone).abs().max() < 1e-5, length
    # the utterances do differ, else the comparison above would prove nothing
    assert (together[:-1] - together[1:]).abs().amax(1).min() > 1e-3


def test_without_lengths_padding_does_matter(encoder):
    encoder.eval()
    x = torch.randn(1, 30, 20)
    padded = functional.pad(x, (0, 0, 0, 10))
    with torch.no_grad():
        assert (encoder(x) - encoder(padded)).abs().max() > 1e-4
        torch.testing.assert_close(encoder(x), encoder(padded, torch.tensor([30])))


def test_full_lengths_change_neither_output_nor_gradient_in_training(encoder):
    encoder.double()  # in float32 a last digit may flip a ReLU, and a gradient with it
    x = torch.randn(4, 33, 20, dtype=torch.float64)
    results = []
    for lengths in (None, torch.full((4,), 33)):
        encoder.zero_grad()
        output = encoder(x, lengths)
        output.sin().sum().backward()
        results.append([output.detach(), *(p.grad.clone() for p in encoder.parameters())])
    for plain, masked in zip(*results, strict=True):
        torch.testing.assert_close(plain, masked, atol=1e-9, rtol=1e-9)


def test_padding_gets_no_gradient_and_gives_none_in_evaluation(encoder):
    encoder.double().eval()
    x = torch.randn(2, 33, 20, dtype=torch.float64, requires_grad=True)
    encoder(x, torch.tensor([33, 20])).sin().sum().backward()
    assert (x.grad[1, 20:] == 0).all() and (x.grad[1, :20] != 0).any()
    alone = x.detach()[1:, :20].requires_grad_()
    encoder(alone).sin().sum().backward()
    torch.testing.assert_close(alone.grad[0], x.grad[1, :20], atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("autocast", [False, True])
@pytest.mark.parametrize("value", [0.0, -15.942385])  # after mean subtraction; log of the floor
def test_silence_has_finite_outputs_and_gradients(encoder, autocast, value):
    x = torch.full((3, 40, 20), value)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        output = encoder(x)
    output.square().sum().backward()
    assert output.dtype == torch.float32 and output.isfinite().all()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in encoder.parameters())


def test_bfloat16_autocast_gives_nearly_the_same_direction(encoder):
    encoder.eval()
    x = torch.randn(3, 50, 20)
    with torch.no_grad():
        exact = encoder(x, torch.tensor([50, 31, 8]))
        with torch.autocast("cpu", dtype=torch.bfloat16):
            rough = encoder(x, torch.tensor([50, 31, 8]))
    assert rough.dtype == torch.float32
    assert functional.cosine_similarity(exact, rough).min() > 0.995


@pytest.mark.parametrize("frames", [1, 2, 5])
def test_shortest_input(encoder, frames):
    assert frames >= encoder.min_frames == 1
    assert encoder(torch.randn(2, frames, 20)).shape == (2, encoder.embedding_dim)


@pytest.mark.parametrize("config", TINY.values(), ids=TINY)
def test_weights_survive_a_round_trip(config):
    encoder, other = build_encoder(config).eval(), build_encoder(config).eval()
    other.load_state_dict(encoder.state_dict(), strict=True)
    x = torch.randn(1, 25, 20)
    assert torch.equal(encoder(x), other(x))


@pytest.mark.parametrize("name", ENCODERS)
def test_every_setting_is_explained_and_plain(name):
    encoder, config_type = ENCODERS[name]
    config = config_type()
    assert config.name == name
    if not config.hears_waveforms:  # its network is in a folder: test_pretrained.py
        assert isinstance(build_encoder(config), encoder)
    for setting in fields(config_type):
        assert setting.metadata["help"]
        assert isinstance(getattr(config, setting.name), int | float | str | bool | list)


def test_unknown_and_mismatched_names():
    with pytest.raises(InputError, match="unknown encoder 'ecappa'; choose one of ecapa, fast"):
        build_encoder(EcapaConfig(name="ecappa"))
    with pytest.raises(InputError, match="needs the settings of FastResNet34Config"):
        build_encoder(EcapaConfig(name="fast_resnet34"))


def test_features_of_another_width_are_refused(encoder):
    with pytest.raises(ValueError, match=r"20 mel bands"):
        encoder(torch.randn(2, 30, 40))


def test_mlp():
    head = mlp([8, 16, 4])
    kinds = [type(module).__name__ for module in head]
    assert kinds == ["Linear", "BatchNorm1d", "ReLU", "Linear"]
    assert head(torch.randn(3, 8)).shape == (3, 4)
    assert [type(m).__name__ for m in mlp([8, 16, 4], norm=False)] == ["Linear", "ReLU", "Linear"]
    x = torch.randn(3, 8)
    assert mlp([8])(x) is x
