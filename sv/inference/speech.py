"""How much speech is in a recording, and the refusal to decide on too little of it."""

from collections.abc import Iterable, Iterator

import numpy as np

from sv.errors import InputError
from sv.features.framing import frame_sizes
from sv.features.vad import VOXCELEB, energy_decisions, log_energy


class SpeechMeter:
    """Counts the seconds of speech of a recording, of which the pieces pass by.

    The decisions are those of Kaldi's energy VAD on the whole recording, with the settings of its
    recipe for VoxCeleb. Steady loud noise counts as speech: this finds recordings in which nobody
    can be heard, and no more.
    """

    def __init__(self, sample_rate: int):
        self.sample_rate = sample_rate
        self.window, self.shift, _ = frame_sizes(sample_rate)
        self.kept = np.empty(0, np.float32)
        self.energies: list[np.ndarray] = []
        self.samples = 0

    def passing(self, pieces: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Yield the pieces (samples,), and count what is in them."""
        for piece in pieces:
            self.add(piece)
            yield piece

    def add(self, piece: np.ndarray) -> None:
        """Count a piece (samples,), full scale 1.0."""
        self.samples += len(piece)
        joined = np.concatenate((self.kept, piece)) if len(self.kept) else piece
        if len(joined) >= self.window:
            self.energies.append(log_energy(joined, self.sample_rate))
            joined = joined[len(self.energies[-1]) * self.shift :]
        self.kept = np.array(joined, np.float32)

    def speech(self) -> np.ndarray:
        """Return for each frame of 10 ms whether it is speech, bool (frames,)."""
        return energy_decisions(np.concatenate([np.empty(0, np.float32), *self.energies]), VOXCELEB)

    @property
    def seconds(self) -> float:
        """Seconds of speech: the share of speech in the frames, times the length."""
        speech = self.speech()
        return float(speech.mean()) * self.samples / self.sample_rate if len(speech) else 0.0

    def require(self, name: str, needed: float) -> None:
        """Raise ``InputError`` if the recording has less speech than is needed to decide."""
        if self.seconds < needed:
            raise InputError(
                f"{name}: too little speech to decide: {self.seconds:.1f} s found, {needed:g} s "
                "needed; record more, or lower --min-speech"
            )
