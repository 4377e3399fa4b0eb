"""Banks for augmentation: noises and rooms, as features and as waveforms.

In the feature domain noises are log-mel spectra and rooms are energy decays. In the waveform
domain both are 16-bit waveforms.
"""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from sv.crops.mixed_babble import TALKERS
from sv.crops.noises import MIXED_BABBLE, NoiseBank
from sv.crops.wave_index import Domain, WaveformIndex, load_index
from sv.data.feature_preset import read_preset
from sv.data.labels import refuse_gaps
from sv.errors import InputError, command_of
from sv.features.augment import AugmentConfig, RoomBank
from sv.features.augment_wave import WaveRooms
from sv.features.filterbank import mel_banks
from sv.features.presets import Preset
from sv.kaldi import arks
from sv.text import read_text

KINDS = ("noise", "music", "speech")
FRAME_SHIFT = 0.010
DEFAULT = Path("banks")


ROOM_SECONDS = 0.5
"""Length of a response that is kept; in usual rooms it has then decayed by 30 dB or more. The
longest response sets the cost of the convolution for all crops."""


def cut_response(
    response: np.ndarray, sample_rate: int = 16000, seconds: float = ROOM_SECONDS
) -> np.ndarray:
    """Return ``seconds`` of a room's response from its direct sound on, with zeros after its end.

    response: (samples,). Its largest peak is the direct sound. Samples more than a millisecond
    before the peak are dropped, because they would only delay the speech. If ``seconds`` is 0, the
    response stays as it is, delay included.

    Raises:
        InputError: the response is silent.
    """
    if not np.abs(response).max() > 0:
        raise InputError("the room response is silent: leave it out")
    if seconds == 0:
        return response
    start = max(0, int(np.abs(response).argmax()) - sample_rate // 1000)
    kept = response[start : start + round(seconds * sample_rate)]
    return np.pad(kept, (0, round(seconds * sample_rate) - len(kept)))


def energy_decay(
    response: np.ndarray,
    sample_rate: int = 16000,
    mel_bins: int = 80,
    seconds: float = ROOM_SECONDS,
    preset: Preset = "kaldi",
) -> np.ndarray:
    """Return how a room's response spreads energy over time: (frames, mel), float32.

    Energies of speech and room add: the energy in mel band b at frame t after the room is
    Σ_k decay[k, b] · (energy of band b at frame t − k), where decay[k] is the energy of the k-th
    10 ms of the response in each band. An impulse gives 1 in the first frame and 0 after it.
    ``response``: (samples,), cut to ``seconds`` first (``cut_response``).

    A log-mel spectrum contains no more than this of a response. The prediction agrees with the
    features of the convolved waveform up to the fluctuation of noise
    (``tests/features/test_augment.py``).
    """
    shift = round(FRAME_SHIFT * sample_rate)
    frames = max(1, round(seconds / FRAME_SHIFT)) if seconds else -(-len(response) // shift)
    tail = cut_response(response, sample_rate, seconds and frames * FRAME_SHIFT).astype(np.float64)
    tail = np.pad(tail, (0, frames * shift - len(tail)))
    banks = mel_banks(mel_bins, sample_rate, preset)  # (mel, FFT bins)
    spectrum = np.fft.rfft(tail.reshape(frames, shift), n=2 * (banks.shape[1] - 1))
    decay = np.square(np.abs(spectrum)) @ banks.T / banks.sum(axis=1)
    return (decay / decay.sum(axis=0).mean()).astype(np.float32)


def noise_kind(relative: Path) -> str:
    """Return the kind of a noise file from the names of its folders (MUSAN's); else ``noise``."""
    return next((part for part in relative.parts[:-1] if part in KINDS), "noise")


def load_noises(banks: str | Path, domain: Domain = "fbank") -> NoiseBank | None:
    """Read the noise bank that stage 2 wrote; None if there is no ``noise`` in ``banks``."""
    folder = Path(banks) / "noise"
    if not (folder / "utt2kind").exists():  # stage 2 writes it last
        return None
    kinds = arks.read_scp(folder / "utt2kind")
    if domain == "wave":
        _refuse_without_waves(folder)
    index = load_index(folder, domain)
    ids = index.ids(slice(None))
    refuse_gaps(folder / "utt2kind", kinds, ids, f"{folder}: run stage 2 again")
    order = np.array([kinds[name] for name in ids])
    bank = NoiseBank(index, {kind: np.flatnonzero(order == kind) for kind in KINDS})
    mixed = np.flatnonzero(order == MIXED_BABBLE)
    if len(mixed):
        bank.rows[MIXED_BABBLE] = mixed
        bank.talkers = [int(word) for word in read_text(folder / TALKERS).split()]
    return bank


def load_rooms(banks: str | Path, domain: Domain = "fbank") -> RoomBank | WaveRooms | None:
    """Read the bank of room responses that stage 2 wrote; None if there is none."""
    folder = Path(banks) / "rooms"
    if not (folder / "feats.scp").exists():
        return None
    if domain == "wave":
        _refuse_without_waves(folder)
        index = WaveformIndex.load(folder)
        return WaveRooms(torch.from_numpy(_responses(index)), index.sample_rate)
    scp = arks.read_paths(folder / "feats.scp")
    decays = [arks.read_matrix(location) for location in scp.values()]
    if len({decay.shape[1] for decay in decays}) != 1:
        raise InputError(f"{folder}: the responses differ in mel bands: run stage 2 again")
    longest = max(len(decay) for decay in decays)
    padded = [np.pad(decay, ((0, longest - len(decay)), (0, 0))) for decay in decays]
    stacked: Tensor = torch.from_numpy(np.stack(padded))
    return RoomBank(stacked, read_preset(folder))


def _responses(index: WaveformIndex) -> np.ndarray:
    """Return (rooms, longest) int16: every response, zeros behind its end."""
    responses = np.zeros((len(index), int(index.lengths.max())), np.int16)
    for length in np.unique(index.lengths):
        some = np.flatnonzero(index.lengths == length)
        responses[some, :length] = index.read_windows(some, np.zeros_like(some), int(length))
    return responses


def room_names(banks: Path | None, domain: Domain) -> list[str]:
    """Return the ids of the rooms, in the order of the bank that ``load_rooms`` reads."""
    scp = "wav_ark.scp" if domain == "wave" else "feats.scp"
    return list(arks.read_scp((banks or DEFAULT) / "rooms" / scp))


def load_banks(
    folder: Path | None, domain: Domain, augment: AugmentConfig
) -> tuple[NoiseBank | None, RoomBank | WaveRooms | None]:
    """Read the banks of noises and rooms that the settings need; None for a bank that is missing.

    folder: made by stage 2; None: ``banks`` in the current folder.

    Raises:
        InputError: ``folder`` does not exist.
    """
    if folder is not None and not folder.is_dir():
        raise InputError(
            f"{folder}: there is no such folder of banks: run stage 2: {command_of(2)}"
        )
    folder = folder or DEFAULT
    noises = load_noises(folder, domain) if augment.noise_probability > 0 else None
    return noises, load_rooms(folder, domain) if augment.room_probability > 0 else None


def _refuse_without_waves(folder: Path) -> None:
    if not (folder / "wav_ark.scp").exists():
        raise InputError(
            f"{folder} has no waveforms (wav_ark.scp): run stage 2 with --wave true, or train on "
            "features (data.domain: fbank)"
        )
