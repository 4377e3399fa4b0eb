"""An encoder of another training, from whose weights a training starts (``--encoder``).

So DINO starts from the encoder of `sv.methods.moco_c3` in C3-DINO (Zhang & Yu 2022, arXiv
2208.07446). Only the encoder is taken over. Heads, optimiser and schedules begin anew, and method
and data may be others. A training with ``--base`` takes over everything and goes on in its plan.
"""

import dataclasses
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from sv.encoders import ENCODERS
from sv.errors import InputError
from sv.methods.base import Method
from sv.training.experiment import Experiment


@dataclass(frozen=True)
class FirstEncoder:
    """The weights of an encoder, and what they were trained for.

    path: where they were read, for messages.
    weights: name → tensor. model: settings of the encoder, with its ``name``.
    normalise, preset: of the features.
    """

    path: Path
    weights: dict[str, Tensor]
    model: dict[str, Any]
    normalise: str
    preset: str

    @property
    def digest(self) -> str:
        """12 hexadecimal digits, a hash of the weights."""
        content = hashlib.sha256()
        for name, weight in sorted(self.weights.items()):
            content.update(name.encode() + weight.cpu().numpy().tobytes())
        return content.hexdigest()[:12]

    def put_into(self, method: Method, settings: Experiment) -> None:
        """Give the weights to the method's encoder, and to networks that follow it (a teacher).

        Raises:
            InputError: the encoder of this training, or its features, are others.
        """
        self._check(settings)
        method.encoder.load_state_dict(self.weights)
        for follower, followed in method.momentum_pairs():
            if followed is method.encoder:
                follower.load_state_dict(followed.state_dict())

    def _check(self, settings: Experiment) -> None:
        theirs, ours = self.model["name"], settings.model.name
        if theirs != ours:
            raise InputError(
                f"{self.path} is the encoder {theirs}, and model.name of this training is {ours}: "
                f"set model.name={theirs}, with the other settings of that encoder, or give "
                f"another --encoder"
            )
        model = dataclasses.asdict(ENCODERS[theirs][1](**self.model))  # with its defaults
        there = {f"model.{key}": value for key, value in model.items()}
        there |= {"data.normalise": self.normalise, "data.preset": self.preset}
        here = {f"model.{key}": value for key, value in dataclasses.asdict(settings.model).items()}
        here |= {"data.normalise": settings.data.normalise, "data.preset": settings.data.preset}
        wrong = [key for key in there if there[key] != here[key]]
        if wrong:
            told = "; ".join(f"{key} is {there[key]} there and {here[key]} here" for key in wrong)
            remedy = " ".join(f'--set "{key}={there[key]}"' for key in wrong)
            raise InputError(
                f"{self.path} is another {theirs} than that of this training: {told}. Give the "
                f"settings of that encoder ({remedy}), or another --encoder"
            )
