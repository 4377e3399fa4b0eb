"""Speaker verification without labels: losses, positives, training and scoring.

``import sv`` is fast on purpose: only the modules that need torch import torch.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from sv.inference.speaker_model import SpeakerModel

__version__ = "0.1.0"


def load(path: "str | Path") -> "SpeakerModel":
    """Read a model directory (or a ``final.pt``): ``sv.load(DIR).embed(waveform, sample_rate)``.

    Raises:
        sv.errors.InputError: ``path`` is not a model.
    """
    from sv.inference.speaker_model import SpeakerModel

    return SpeakerModel.load(path)
