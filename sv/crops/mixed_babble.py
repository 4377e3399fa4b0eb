"""Babble that stage 2 sums once, so that training reads one sound instead of several.

Babble of 3 to 7 talkers costs a reader several windows and as many exponentials a crop. Here clips
of 30 s are summed from the bank's speech before training. A crop then gets a random piece of a
random clip. The draws are others than without the clips, and the same talkers meet again.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from sv.crops.noises import MIXED_BABBLE, NoiseBank, draw_talkers, read_sums
from sv.crops.starts import starts_anywhere
from sv.crops.wave_index import load_index
from sv.data.replaced import write_table
from sv.errors import InputError
from sv.features import fbank
from sv.features.augment import AugmentConfig
from sv.files import atomic_write
from sv.kaldi import arks
from sv.kaldi.arks import ArkWriter

CLIP_SECONDS = 30
LOUDEST = 0.9
"""Largest sample of a clip of waveforms, of full scale."""
FILES = ("babble.ark", "babble.scp", "babble_wav.ark", "babble_wav.scp", "babble_speakers")
TALKERS = "babble_speakers"
"""File of a bank with the range of the number of talkers in its mixed babble."""


def write_mixed_babble(
    folder: Path, count: int, talkers: list[int], seed: int, wave: bool, preset: str
) -> None:
    """Add ``count`` clips of babble to the noise bank in ``folder``, as features and waveforms.

    Each clip is the sum of as many pieces of speech as the range ``talkers`` says. Features are
    summed in mel power, as in training. With ``wave``, waveforms are summed, and features are made
    of the sums.

    Raises:
        InputError: the bank has no speech.
    """
    kinds = arks.read_scp(folder / "utt2kind")
    index = load_index(folder, "wave" if wave else "fbank", preset)
    places = [row for row, name in enumerate(index.ids(slice(None))) if kinds[name] == "speech"]
    if not places:
        raise InputError(f"{folder} has no speech, of which babble could be mixed")
    (folder / "utt2kind").unlink()  # without it, an incomplete bank is not used
    mel_bins = load_index(folder, "fbank").mel_bins
    bank = NoiseBank(index, {"speech": np.array(places)})
    frames, samples = {}, {}
    with contextlib.ExitStack() as stack:
        ark = ArkWriter(folder / "babble.ark", folder / "babble.scp", "CM2")
        features = stack.enter_context(ark)
        if wave:
            ark = ArkWriter(folder / "babble_wav.ark", folder / "babble_wav.scp")
            waves = stack.enter_context(ark)
        for number, clip in enumerate(_sums(bank, count, talkers, seed)):
            name = f"{MIXED_BABBLE}{number:05d}"
            if wave:
                clip = clip / max(1.0, float(np.abs(clip).max()))
                waves.write_waveform(name, clip * LOUDEST, index.sample_rate)
                samples[name] = len(clip)
                clip = np.asarray(fbank(clip * LOUDEST, num_mel_bins=mel_bins, preset=preset))
            features.write(name, clip)
            frames[name] = len(clip)
    _append(folder / "feats.scp", (folder / "babble.scp").read_text(encoding="utf-8"))
    _append(folder / "utt2num_frames", _lines(frames))
    if wave:
        _append(folder / "wav_ark.scp", (folder / "babble_wav.scp").read_text(encoding="utf-8"))
        _append(folder / "utt2num_samples", _lines(samples))
    (folder / TALKERS).write_text(f"{talkers[0]} {talkers[1]}\n", encoding="utf-8")
    write_table(folder / "utt2kind", [*kinds.items(), *((n, MIXED_BABBLE) for n in frames)])


def _sums(bank: NoiseBank, count: int, talkers: list[int], seed: int) -> Iterator[np.ndarray]:
    """Yield clips (rows, *row_shape): log-mel, or sums of 16-bit samples."""
    rng, index = np.random.default_rng([seed, 2]), bank.index
    rows = round(CLIP_SECONDS / index.row_seconds)
    settings = AugmentConfig(babble_speakers=talkers)
    for _ in range(count):
        sounds = draw_talkers(np.zeros(1, np.int64), index, bank, settings, rng)
        starts = starts_anywhere(index.lengths[sounds[0]], rows, rng)[None]
        clip = np.empty((1, rows, *index.row_shape), np.float32)
        read_sums(sounds, starts, rows, index, clip, np.zeros(1, np.int64))
        yield clip[0]


def _lines(lengths: dict[str, int]) -> str:
    return "".join(f"{name} {length}\n" for name, length in lengths.items())


def _append(path: Path, text: str) -> None:
    with atomic_write(path) as handle:
        handle.write(path.read_text(encoding="utf-8") + text)
