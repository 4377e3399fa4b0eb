"""A separate recording condition for every utterance of a corpus, which its name determines.

In VoxCeleb the recordings of a speaker differ in room, microphone, line and noise. If a corpus has
one session for each speaker, recordings do not differ, so positives from other recordings teach
nothing. Here each utterance gets one room response, one line and one noise at 10 to 25 dB. One line
in four is as narrow as a telephone, with its 8-bit coding. The voices stay real, but the conditions
are simulated, and results must say so.

Hard conditions add what augmentation does not draw (``sv.corpora.hard_sessions``): another device
and line, either for each utterance or for each pseudo-session, which is a folder of the corpus cut
into groups of utterances.
"""

import dataclasses
import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from sv.audio.channels import SAMPLE_RATE, Channel, draw_channel, room_response, transmit
from sv.audio.files import read_audio, write_audio
from sv.corpora.folder_layout import find_audio
from sv.corpora.hard_sessions import draw_session, generator_of, record
from sv.corpora.name_lists import read_named_trials
from sv.files import atomic_write

TELEPHONE = 0.25
SNR = (10.0, 25.0)
MU = 255.0

Channels = Literal["easy", "hard"]


@dataclass
class Recorded:
    """Recorded noises and room responses; an empty list means that they are generated."""

    noises: Sequence[np.ndarray] = field(default_factory=list)
    responses: Sequence[np.ndarray] = field(default_factory=list)

    @classmethod
    def load(cls, noise: str, rir: str) -> "Recorded":
        """Read two folders of audio; ``generated`` instead of a folder gives an empty list."""
        noises = [] if noise == "generated" else _read_all(Path(noise))
        responses = [] if rir == "generated" else [_direct(r) for r in _read_all(Path(rir))]
        return cls(noises, responses)


def simulate(
    samples: np.ndarray, name: str, recorded: Recorded, seed: int = 0
) -> tuple[np.ndarray, str]:
    """Return an utterance (samples,), 16 kHz, after its channel, and a description of the channel.

    ``name``, ``seed`` and ``recorded`` determine the channel.
    """
    digest = hashlib.sha256(f"{seed} {name}".encode()).digest()
    rng = np.random.default_rng(list(digest))
    channel = _draw(rng)
    if recorded.responses:
        number = int(rng.integers(len(recorded.responses)))
        response, room = recorded.responses[number], f"response {number}"
    else:
        response, room = room_response(channel.room, rng), f"t60 {channel.room.t60_low} s"
    noise, what = None, "generated"
    if recorded.noises:
        number = int(rng.integers(len(recorded.noises)))
        whole, what = recorded.noises[number], str(number)
        start = int(rng.integers(len(whole)))
        noise = np.take(whole, np.arange(start, start + len(samples)), mode="wrap")
    received = transmit(samples, channel, response, rng, noise)
    telephone = channel.high_cut < 4000
    if telephone:
        received = mu_law(received)
    band = f"{channel.low_cut:.0f}-{channel.high_cut:.0f} Hz{', mu-law' if telephone else ''}"
    return received, f"{room}\t{band}\tnoise {what} at {channel.snr} dB"


def mu_law(samples: np.ndarray) -> np.ndarray:
    """Return (samples,) after 8-bit coding with μ = 255, as telephone lines do (ITU-T G.711)."""
    companded = np.sign(samples) * np.log1p(MU * np.abs(samples)) / np.log1p(MU)
    coded = np.round(np.clip(companded, -1, 1) * 127) / 127
    return np.sign(coded) * np.expm1(np.abs(coded) * np.log1p(MU)) / MU


def simulate_file(
    corpus: Path,
    relative: str,
    out: Path,
    recorded: Recorded,
    seed: int,
    channel: int | None = None,
    session: str | None = None,
) -> str | None:
    """Write ``out/<relative>.flac``; return its line for the table. None if the file exists.

    ``session``: name of the hard session that the utterance is recorded in; None: easy.
    """
    target = out / Path(relative).with_suffix(".flac")
    if target.exists():
        return None
    samples = read_audio(corpus / relative, SAMPLE_RATE, channel)
    received, condition = simulate(samples, relative, recorded, seed)
    if session is not None:
        device = draw_session(generator_of(session, seed))
        received = record(received, device, generator_of(f"packets {relative}", seed))
        condition += f"\t{session}\t{device.describe()}"
    target.parent.mkdir(parents=True, exist_ok=True)
    write_audio(target, received, SAMPLE_RATE)
    return f"{relative}\t{condition}\n"


def session_names(corpus_files: Sequence[str], size: int = 1) -> dict[str, str]:
    """Return file → name of its pseudo-session, which ``size`` files of a folder share, in order.

    With ``size`` 1 the name is the file's own.
    """
    if size == 1:
        return {name: name for name in corpus_files}
    place: Counter[str] = Counter()
    sessions = {}
    for name in sorted(corpus_files):
        folder = str(Path(name).parent)
        sessions[name] = f"{folder}#{place[folder] // size + 1}"
        place[folder] += 1
    return sessions


def rename_trials(trials: Path, out: Path) -> None:
    """Write the trial list to ``out``, with the endings of the simulated files."""
    rows = read_named_trials(trials)
    separator = "\t" if any(" " in name for _, _, *pair in rows for name in pair) else " "
    with atomic_write(out) as handle:
        for _, label, *pair in rows:
            names = [str(Path(one).with_suffix(".flac")) if "." in one else one for one in pair]
            handle.write(separator.join([str(label), *names]) + "\n")


def _draw(rng: np.random.Generator) -> Channel:
    channel = draw_channel(rng)
    telephone = rng.random() < TELEPHONE
    low = rng.uniform(200, 350) if telephone else rng.uniform(40, 100)
    high = rng.uniform(3200, 3800) if telephone else rng.uniform(5500, 7800)
    return dataclasses.replace(
        channel,
        low_cut=round(low, 1),
        high_cut=round(high, 1),
        snr=round(rng.uniform(*SNR), 2),
    )


def _read_all(folder: Path) -> list[np.ndarray]:
    return [read_audio(folder / relative) for relative in find_audio(folder)]


def _direct(response: np.ndarray, before: float = 0.001) -> np.ndarray:
    """Let a room response begin 1 ms before its direct sound, at a peak of 1."""
    peak = int(np.abs(response).argmax())
    start = max(0, peak - round(before * SAMPLE_RATE))
    return response[start : start + SAMPLE_RATE] / max(np.abs(response[peak]), 1e-9)
