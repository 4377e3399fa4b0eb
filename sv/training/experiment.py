"""All settings of one training: the groups that a configuration file may have."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from sv import config
from sv.config import option
from sv.crops.groups import DataConfig
from sv.device import Precision
from sv.encoders import ENCODERS, EncoderConfig
from sv.features.augment import AugmentConfig
from sv.features.mixing import MixingConfig
from sv.methods import METHODS
from sv.methods.base import MethodConfig
from sv.sampling.chns import BatchesConfig
from sv.sampling.ssps import SSPSConfig
from sv.training.kernels import KernelConfig
from sv.training.optim import OptimConfig


@dataclass
class TrainConfig(KernelConfig):
    """Length of the training, batch size, precision, kernels, processes."""

    epochs: int = option(
        100,
        "number of passes over the training set, for which schedules are planned; see train.stop",
    )
    stop: int = option(
        0,
        "number of epochs after which training stops; schedules are still planned "
        "for train.epochs. 0: train.epochs. Use it for a base from which another "
        "training goes on (--base); then neither the learning rate nor a teacher's "
        "momentum jumps",
    )
    batch_size: int = option(
        256,
        "number of utterances in a batch of all processes together. If the method "
        "learns from true speakers, it is the number of speakers, with two "
        "utterances each. Contrastive losses need large batches, because the batch "
        "gives the negatives",
    )
    accumulate: int = option(
        1,
        "number of equal parts in which a step is computed. The memory of a step falls with it, so "
        "that a large batch fits a small GPU; time grows by about a third, except for aam. The "
        "gradient is that of the whole batch, except that batch norms of the encoder measure each "
        "part: keep 32 items or more in a part",
    )
    positives: Literal["span", "neighbours"] = option(
        "span",
        "where the further crops of an item come from. span: the same utterance; neighbours: the "
        "span before or after it in the same recording and channel (data directories with "
        "segments). Neighbours differ more, but may be of another speaker",
    )
    seed: int = option(
        0, "seed of weights, order, crops and augmentation; the same seed gives the same result"
    )
    precision: Precision = option(
        "auto", "auto: bfloat16 if the device computes in it; float32; bfloat16"
    )
    workers: int = option(
        1, "number of processes that read crops; raise it if data_wait in the log is above 0.05"
    )
    sync_batch_norm: bool = option(
        True,
        "for several processes. true: batch norms use the joined batch, and the "
        "result equals that of one process; false: each process uses its own part, "
        "and less data is sent",
    )
    dev_every: int = option(
        5,
        "number of epochs between two error rates of the development set, if there is one (--dev); "
        "0: none. A figure in the log; the weights do not depend on it",
    )
    keep: int = option(10, "number of last epochs whose models are kept, for averaging")

    def __post_init__(self):
        if self.batch_size < 2:
            raise ValueError(f"batch_size must be at least 2, not {self.batch_size}")
        if min(self.epochs, self.stop, self.workers, self.seed) < 0 or self.keep < 1:
            raise ValueError("epochs, stop, workers and seed must not be negative, keep at least 1")
        if self.dev_every < 0:
            raise ValueError(f"dev_every must not be negative, not {self.dev_every}")
        if self.accumulate < 1:
            raise ValueError(f"accumulate must be at least 1, not {self.accumulate}")
        if self.stop > self.epochs:
            raise ValueError(
                f"train.stop is {self.stop}, beyond train.epochs, {self.epochs}: a training stops "
                "within its plan; lower train.stop, or set it to 0"
            )

    @property
    def until(self) -> int:
        """Number of epochs that are trained: ``stop``, or ``epochs`` if ``stop`` is 0."""
        return self.stop or self.epochs


SCHEMA = {
    "data": DataConfig,
    "augment": AugmentConfig,
    "mixing": MixingConfig,
    "model": {name: kind for name, (_, kind) in ENCODERS.items()},
    "method": {name: kind for name, (_, kind) in METHODS.items()},
    "ssps": SSPSConfig,
    "batches": BatchesConfig,
    "optim": OptimConfig,
    "train": TrainConfig,
}


@dataclass
class Experiment:
    """The settings of a training, one typed group each."""

    data: DataConfig
    augment: AugmentConfig
    mixing: MixingConfig
    model: EncoderConfig
    method: MethodConfig
    ssps: SSPSConfig
    batches: BatchesConfig
    optim: OptimConfig
    train: TrainConfig

    @classmethod
    def load(cls, path: str | Path | None, overrides: list[str] | None = None) -> "Experiment":
        """Read a YAML file and apply overrides such as ``optim.lr=0.0005`` to it."""
        return cls(**config.load(SCHEMA, path, overrides or []))

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """Return all settings, defaults included, as plain dictionaries."""
        return config.to_dict(vars(self))

    def save(self, path: str | Path) -> None:
        """Write all settings, defaults included, as YAML."""
        config.save(vars(self), path)

    def identity(self) -> dict[str, dict[str, Any]]:
        """Return the settings that influence the result.

        The number of readers, the number of kept models, ``train.stop`` and ``train.dev_every`` do
        not. The choice of kernels has an entry of its own (`sv.training.identity`). If batch norms
        are synchronised, the number of processes does not either. The preset "kaldi" is left out,
        so that trainings from before there were presets can resume.
        """
        return config.influential(self.to_dict())

    @property
    def digest(self) -> str:
        """12 hexadecimal digits, a hash of the settings in ``identity`` without the seed.

        Trainings that differ only in their seed have the same digest, and tables group them by it.
        """
        return config.digest(config.without_seed(self.to_dict()))
