"""How much speech is in a recording, and the refusal to decide on too little of it."""

from collections.abc import Iterable, Iterator

import numpy as np

from sv.errors import InputError

FRAME_SECONDS = 0.025
THRESHOLD, MEAN_SCALE = 5.5, 0.5
"""Kaldi's ``compute-vad``: a frame is speech above THRESHOLD + MEAN_SCALE · mean log energy."""
FULL_SCALE = 32768.0


class SpeechMeter:
    """Counts the seconds of speech of a recording, of which the pieces pass by.

    A frame of 25 ms is speech if its log energy is high enough, in absolute terms and against the
    mean of the recording. Steady noise counts as speech: this finds recordings without anybody in
    them, and no more.
    """

    def __init__(self, sample_rate: int):
        self.length = int(sample_rate * FRAME_SECONDS)
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
        whole = len(joined) // self.length * self.length
        frames = joined[:whole].reshape(-1, self.length) * np.float32(FULL_SCALE)
        frames = frames - frames.mean(axis=1, keepdims=True)
        energy = np.einsum("ft,ft->f", frames, frames, dtype=np.float64)
        self.energies.append(np.log(np.maximum(energy, 1e-10)))
        self.kept = np.array(joined[whole:], np.float32)

    def speech(self) -> np.ndarray:
        """Return for each frame whether it is speech, bool (frames,)."""
        energies = np.concatenate(self.energies or [np.empty(0)])
        if len(energies) == 0:
            return np.zeros(0, bool)
        return energies > THRESHOLD + MEAN_SCALE * energies.mean()

    @property
    def seconds(self) -> float:
        """Seconds of speech."""
        return float(self.speech().sum() * FRAME_SECONDS)

    def require(self, name: str, needed: float) -> None:
        """Raise ``InputError`` if the recording has less speech than is needed to decide."""
        if self.seconds < needed:
            raise InputError(
                f"{name}: too little speech to decide: {self.seconds:.1f} s found, {needed:g} s "
                "needed; record more, or lower --min-speech"
            )
