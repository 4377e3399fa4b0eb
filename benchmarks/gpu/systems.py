"""The trainings whose steps are measured: settings of each, on both encoders."""

from dataclasses import dataclass, field

import numpy as np
import torch

from benchmarks.gpu.bench import Bench
from sv.crops.noises import NoiseBank
from sv.features.augment import RoomBank
from sv.sampling.chns import SpeakerBatches
from sv.training.experiment import Experiment
from sv.training.trainer import Trainer

ENCODERS = {
    "ECAPA-1024": [
        *("model.name=ecapa", "model.variant=speechbrain", "model.channels=1024"),
        *("model.pooled_channels=3072", "model.embedding_dim=512"),
    ],
    "Fast ResNet-34": ["model.name=fast_resnet34"],
}
TINY_ENCODERS = {
    "ECAPA-1024": ["model.name=ecapa", "model.channels=16", "model.pooled_channels=16"],
    "Fast ResNet-34": ["model.name=fast_resnet34", "model.channels=[16, 16, 16, 16]"],
}
TINY_COMMON = ["model.embedding_dim=8", "model.mel_bins=8", "data.crop_seconds=0.2"]
_BF16 = "train.precision=bfloat16"
VARIANTS = {
    "float32": ["train.precision=float32", "train.compile=false"],
    "bf16": [_BF16, "train.compile=false"],
    "bf16 + exact": [_BF16, "train.compile=false", "train.exact=true"],
    "bf16 + channels last": [_BF16, "train.compile=false", "train.memory_format=channels_last"],
    "bf16 + compile": [_BF16, "train.compile=true"],
    "bf16 + graphs": [_BF16, "train.compile=graphs"],
}
"""Name → settings. What does not say exact has the default of the device."""

ONLY = {
    "bf16 + exact": ["SimCLR"],
    "bf16 + channels last": ["SimCLR"],
    "bf16 + compile": ["SimCLR", "DINO", "SSPS", "MoCo", "CHNS"],
    "bf16 + graphs": ["DINO"],
}
"""Variants that not all systems have: the network of CSC is not called in the way that compiles."""


@dataclass(frozen=True)
class System:
    """A method with its settings: those of the papers, and those of the miniature beside them.

    batch: share of ``Scale.batch``. encoders: False if the method has an encoder of its own.
    """

    settings: list[str]
    tiny: list[str] = field(default_factory=list)
    batch: float = 1.0
    encoders: bool = True
    supervised: bool = False


_SIMCLR = ["method.name=simclr", "method.margin_type=none", "augment.babble_speakers=[1, 1]"]
_SSPS = ["ssps.enabled=true", "ssps.clusters=25000"]
_MOCO = [
    *("method.name=moco", "method.margin_type=none", "method.symmetric=true"),
    *("method.key_batches=4", "train.sync_batch_norm=false"),
]
_CSC = ["method.name=csc", "model.name=separative", "mixing.probability=0.8", "optim.clip_norm=3"]
SYSTEMS = {
    "SimCLR": System(_SIMCLR),
    "DINO": System(
        ["method.name=dino", "optim.name=sgd", "optim.lr=0.2", "method.frozen_epochs=0"],
        ["method.hidden=[16]", "method.bottleneck=8", "method.outputs=16",
         "method.global_seconds=0.3", "method.local_crops=1"],
        batch=0.5,
    ),
    "SSPS": System(
        [*_SIMCLR, *_SSPS], ["ssps.clusters=6", "ssps.queue=20", "ssps.reference_seconds=0.3"]
    ),
    "MoCo": System(_MOCO, ["method.queue_size=12", "method.key_batches=2"]),
    "CHNS": System(
        ["method.name=h_scl", "augment.room_probability=0", "data.crop_seconds=3"],
        ["data.crop_seconds=0.2"],
        supervised=True,
    ),
    "CSC": System(
        [*_CSC, "model.channels=256", "model.blocks=6", "model.stride=2", "model.sources=3",
         "model.pooled_channels=1536", "mixing.interferers=[1, 2]", "data.crop_seconds=3"],
        ["model.channels=8", "model.blocks=1", "model.pooled_channels=8", "data.crop_seconds=0.3"],
        batch=0.5,
        encoders=False,
    ),
}  # fmt: skip


def encoders_of(bench: Bench, name: str) -> list[str]:
    """Return the names of the encoders with which a system is measured."""
    if not SYSTEMS[name].encoders:
        return ["separative"]
    # The miniature has both with one system, which shows that both run.
    return list(ENCODERS)[: 1 if bench.scale.miniature and name != "SimCLR" else None]


def rows_of(bench: Bench) -> list[tuple[str, str, str]]:
    """Return (system, encoder, variant) in the order of measuring, those with a compiler last."""
    return [
        (name, encoder, variant)
        for variant in VARIANTS
        for name in SYSTEMS
        for encoder in encoders_of(bench, name)
        if name in ONLY.get(variant, SYSTEMS)
        # The miniature has no time for a compiler, and for bfloat16 with one system.
        if not bench.scale.miniature or variant == "float32" or (name, variant) == ("CSC", "bf16")
    ]


def trainer_of(bench: Bench, name: str, encoder: str, *more: str, device=None) -> Trainer:
    """Return the training of a system; further settings as ``GROUP.KEY=VALUE``."""
    system, scale = SYSTEMS[name], bench.scale
    size = int(system.batch * scale.batch)
    sets = (TINY_ENCODERS if scale.miniature else ENCODERS).get(encoder, [])
    sets = [*sets, f"train.batch_size={size}", "train.workers=0", *system.settings]
    sets += [*TINY_COMMON, *system.tiny] if scale.miniature else []
    settings = Experiment.load(None, [*sets, *more])
    index, labels, rng = bench.index(), bench.labels(), np.random.default_rng(0)
    sounds = np.arange(len(index))
    kinds = dict(zip(("noise", "music", "speech"), np.array_split(sounds, 3), strict=True))
    decays = torch.from_numpy(rng.random((40, 50, scale.mel_bins), dtype=np.float32))
    trainer = Trainer(
        settings,
        index,
        bench.folder / "exp",
        noises=NoiseBank(index, kinds),
        rooms=RoomBank(decays),
        batches=SpeakerBatches(labels, size, seed=0) if system.supervised else None,
        labels=labels if system.supervised else None,
        device=bench.device if device is None else device,
    )
    # A training on AMD processors chooses fast products for them, which would mean TF32 on a GPU.
    if bench.device.type == "cuda":
        torch.set_float32_matmul_precision("highest")
    if trainer.method.positives is not None:
        fill_memories(trainer.method.positives)
    return trainer


@torch.no_grad()
def fill_memories(ssps: torch.nn.Module) -> None:
    """Bring SSPS to the middle of an epoch that samples: full memories, random clusters."""
    size, utterances, near = len(ssps.queue), len(ssps.cluster), ssps.near
    ssps.references.copy_(torch.randn(ssps.references.shape))
    ssps.known.fill_(True)
    ssps.cluster.copy_(torch.arange(utterances) % ssps.groups)
    near.copy_((torch.arange(ssps.groups)[:, None] + 1) % ssps.groups)
    ssps.queue.copy_(torch.randn(ssps.queue.shape))
    ssps.queued.copy_(torch.arange(size))
    ssps.slot[:size] = torch.arange(size, device=ssps.slot.device)
    ssps.filling = ssps.sampling = True
