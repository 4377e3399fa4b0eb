"""The encoders of the published rows: equal to independent implementations, with their weights.

The reference lies outside the repository; without it the numbers of weights and the loops of the
other files in this folder remain.
"""

import re
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest
import torch

from sv.encoders import (
    EcapaConfig,
    FastResNet34Config,
    ResNet34Of2023Config,
    ThinResNet34Config,
    build_encoder,
)

ECAPA = EcapaConfig(
    variant="speechbrain",
    mel_bins=40,
    channels=16,
    pooled_channels=48,
    embedding_dim=12,
    se_channels=8,
    attention_channels=8,
)
WIDTHS = [8, 16, 32, 64]
BLOCKS = (3, 4, 6, 3)


def narrow(kind):
    """Settings of base width 8, which the settings refuse for the sake of float32 on some CPUs."""
    config = kind(mel_bins=40, embedding_dim=12)
    config.channels = list(WIDTHS)
    return config


def ecapa_name(name: str) -> str:
    name = name.replace("/norm/norm/", "/norm/").replace("/conv/conv/", "/conv/")
    name = name.replace("asp_bn/norm/", "asp_bn/")
    moves = [
        (r"^blocks/0/", "first."),
        (r"^blocks/(\d)/tdnn1/", lambda m: f"blocks.{int(m[1]) - 1}.before."),
        (r"^blocks/(\d)/tdnn2/", lambda m: f"blocks.{int(m[1]) - 1}.after."),
        (
            r"^blocks/(\d)/res2net_block/blocks/(\d)/",
            lambda m: f"blocks.{int(m[1]) - 1}.res2net.parts.{m[2]}.",
        ),
        (r"^blocks/(\d)/se_block/conv1/conv/", lambda m: f"blocks.{int(m[1]) - 1}.gate.down."),
        (r"^blocks/(\d)/se_block/conv2/conv/", lambda m: f"blocks.{int(m[1]) - 1}.gate.up."),
        (r"^mfa/", "aggregate."),
        (r"^asp/tdnn/conv/", "pooling.on_frames."),
        (r"^asp/tdnn/norm/", "pooling.norm."),
        (r"^asp/conv/", "pooling.weights."),
        (r"^asp_bn/", "norm."),
        (r"^fc/conv/", "output."),
    ]
    return renamed(name, moves)


def resnet_name(name: str) -> str:
    def block(m):
        first = sum(BLOCKS[: int(m[1]) - 1])
        return f"blocks.{first + int(m[2])}."

    moves = [
        (r"^conv1?/", "stem."),
        (r"^bn1?/", "stem_norm."),
        (r"^(?:block|layer)(\d)/(\d)/", block),
        (r"bn(\d)/", r"norm\1."),
        (r"se/fc/0/", "gate.down."),
        (r"se/fc/2/", "gate.up."),
        (r"downsample/", "shortcut."),
        (r"^pooling/attention/0/", "pooling.hidden."),
        (r"^pooling/attention/2/", "pooling.norm."),
        (r"^pooling/attention/3/", "pooling.relevance."),
        (r"^(?:pooling/)?sap_linear/", "pooling.hidden."),
        (r"^(?:pooling/)?attention$", "pooling.relevance.weight"),
        (r"^fc/", "output."),
    ]
    return renamed(name, moves)


def thin_name(name: str) -> str:
    return resnet_name(name).replace("pooling.", "pooling.over_bands.")


def renamed(name: str, moves) -> str:
    for pattern, to in moves:
        name = re.sub(pattern, to, name)
    return name.replace("/", ".")


def reshaped(name: str, value: torch.Tensor, wanted: torch.Size) -> torch.Tensor:
    """Bring a weight to our shape: 1x1 convolutions and linear layers are the same numbers."""
    if name.endswith("first.conv.weight") or ".parts." in name and name.endswith("conv.weight"):
        return value[:, :, None]
    return value.t().reshape(wanted) if value.shape[1:] == (1,) else value.reshape(wanted)


class Published(NamedTuple):
    config: object
    name: Callable[[str], str]
    frames_first: bool = False
    on_its_side: bool = False


FILES = {
    "ecapa_sslsv": Published(ECAPA, ecapa_name),
    "ecapa_chns": Published(ECAPA, ecapa_name, frames_first=True),
    "resnet34_sslsv": Published(narrow(FastResNet34Config), resnet_name),
    "resnet34_chns": Published(narrow(ThinResNet34Config), thin_name, True, on_its_side=True),
    "resnet34_sslsv2023": Published(narrow(ResNet34Of2023Config), resnet_name),
}


def split_attention(weights: dict[str, torch.Tensor], channels: int) -> None:
    """The published attention reads [x; mean; deviation] at once, ours in two parts."""
    whole = weights["pooling.on_frames.weight"]
    weights["pooling.on_frames.weight"] = whole[:, :channels]
    weights["pooling.on_context.weight"] = whole[:, channels:].squeeze(2)


def load(file: Published, values) -> torch.nn.Module:
    """Return our encoder in float64 with the published weights."""
    encoder = build_encoder(file.config).double()
    weights = {
        file.name(key.removeprefix("param/")): torch.from_numpy(np.array(values[key]))
        for key in values.files
        if key.startswith("param/")
    }
    if isinstance(file.config, EcapaConfig):
        split_attention(weights, file.config.pooled_channels)
    own = encoder.state_dict()
    assert weights.keys() == own.keys()
    fitting = {}
    for name, value in weights.items():
        if file.on_its_side and value.ndim == 4:
            value = value.transpose(2, 3)  # their first axis is time
        fitting[name] = reshaped(name, value, own[name].shape).to(own[name])
    encoder.load_state_dict(fitting)
    return encoder


@pytest.mark.parametrize("name", FILES)
def test_outputs_and_gradients_are_those_of_the_published_encoder(name, reference_folder):
    values = np.load(reference_folder / f"encoders_{name}_dev.npz")
    file = FILES[name]
    encoder = load(file, values)
    features = torch.from_numpy(values["input"]).double()
    features = features if file.frames_first else features.transpose(1, 2)
    close = {"rtol": 1e-5, "atol": 1e-6, "check_dtype": False}
    encoder.eval()
    with torch.no_grad():
        output = encoder(features)
    torch.testing.assert_close(output, torch.from_numpy(values["output_eval"]), **close)

    output = encoder.train()(features)
    torch.testing.assert_close(output, torch.from_numpy(values["output_train"]), **close)
    (output * torch.from_numpy(values["cotangent_train"])).sum().backward()
    found = dict(encoder.named_parameters())
    for key in [key for key in values.files if key.startswith("grad_train/")]:
        mine = found[file.name(key.removeprefix("grad_train/"))].grad
        gradient = torch.from_numpy(values[key])
        if file.on_its_side and gradient.ndim == 4:
            gradient = gradient.transpose(2, 3)
        gradient = reshaped(file.name(key.removeprefix("grad_train/")), gradient, mine.shape)
        torch.testing.assert_close(mine, gradient, rtol=1e-4, atol=1e-5, check_dtype=False)
    buffers = dict(encoder.named_buffers())
    for key in [key for key in values.files if key.startswith("after_train/")]:
        mine = buffers[file.name(key.removeprefix("after_train/"))]
        torch.testing.assert_close(mine, torch.from_numpy(values[key]), **close)


NORMS = (torch.nn.BatchNorm1d, torch.nn.BatchNorm2d)
LARGE = {"variant": "speechbrain", "channels": 1024, "pooled_channels": 3072, "embedding_dim": 512}
CHNS = {"variant": "speechbrain", "channels": 256, "pooled_channels": 768, "embedding_dim": 192}


@pytest.mark.parametrize(
    ("config", "weights", "norms"),
    [
        (EcapaConfig(mel_bins=40, **LARGE), 22_529_152, 31),  # SSPS: SimCLR, MoCo, VICReg, SwAV
        (EcapaConfig(mel_bins=80, **LARGE), 22_733_952, 31),  # SSPS: DINO
        (EcapaConfig(mel_bins=80, **CHNS), 2_049_952, 31),
        (FastResNet34Config(mel_bins=40), 1_437_078, 36),
        (ResNet34Of2023Config(), 1_846_822, 37),
        (ThinResNet34Config(), 1_404_054, 36),
    ],
)
def test_numbers_of_weights_and_batch_norms(config, weights, norms):
    with torch.device("meta"):
        encoder = build_encoder(config)
    assert sum(weight.numel() for weight in encoder.parameters()) == weights
    assert sum(isinstance(module, NORMS) for module in encoder.modules()) == norms
