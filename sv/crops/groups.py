"""Which crops a training asks for: their settings, and the groups of a method."""

from dataclasses import dataclass
from typing import Literal

from sv.config import option
from sv.crops.wave_index import Domain
from sv.features.framing import frames_lasting
from sv.features.normalise import Normalisation
from sv.features.presets import Preset


@dataclass
class DataConfig:
    """The crops that the network sees."""

    crop_seconds: float = option(
        2.0,
        "length of a crop. A longer crop tells more about the speaker; time grows in proportion",
    )
    crops: Literal["independent", "apart"] = option(
        "independent",
        "where the two crops of an utterance lie. independent: anywhere, so most "
        "pairs overlap; apart: they share no frame, which needs utterances of at "
        "least two crops (shorter ones are repeated to that length)",
    )
    domain: Domain = option(
        "fbank",
        "fbank: augment log-mel features, the cheaper way; wave: augment waveforms exactly, then "
        "compute features on the device (needs stages 1 and 2 with --wave true)",
    )
    preset: Preset = option(
        "kaldi",
        "the filterbank, which must be that of stages 1 and 2 (--preset) unless data.domain is "
        "wave. kaldi: of this toolkit; sslsv: of the authors of SimCLR-AM and SSPS (no "
        "pre-emphasis, from 0 Hz, a Hamming window, log(x + 1e-6), centred frames); sslsv_hann: "
        "theirs of January 2024",
    )
    normalise: Normalisation = option(
        "mean", "per-crop normalisation of each band: none, mean, or mean_var"
    )

    def __post_init__(self):
        if not 0.01 <= self.crop_seconds <= 1000:
            raise ValueError(f"crop_seconds must be between 0.01 and 1000, not {self.crop_seconds}")


@dataclass(frozen=True)
class CropGroup:
    """Crops of one kind that a method wants of every item of a batch.

    ``count`` crops of ``seconds`` each; without ``augment`` they stay as recorded. With ``sources``
    the method also gets what each mixture was made of (``sv.features.mixing``). With ``apart`` the
    crops are two, and share no frame (``sv.crops.starts``). ``preset`` is that of the settings; the
    training sets it.
    """

    name: str
    count: int
    seconds: float
    augment: bool = True
    sources: bool = False
    apart: bool = False
    preset: Preset = "kaldi"

    @property
    def frames(self) -> int:
        """Frames of a crop."""
        return frames_lasting(self.seconds, self.preset)
