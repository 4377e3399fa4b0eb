"""Augmented crops a second: features, waveforms, and the peers' way, one crop after another.

Everything here runs on one thread with warm caches, so processor time is measured, not wall time:
it is the same on a machine that does something else.
"""

import tempfile
import time
from pathlib import Path

import kaldiio
import numpy as np
import soundfile
import torch
import torchaudio
from scipy.signal import fftconvolve
from torchaudio.compliance import kaldi

from benchmarks.harness import Table, compare
from sv.crops.banks import energy_decay
from sv.crops.batches import RandomBatches
from sv.crops.front_end import FrontEnd
from sv.crops.groups import CropGroup
from sv.crops.index import TrainingIndex
from sv.crops.noises import NoiseBank
from sv.crops.views import ViewSource
from sv.crops.wave_index import WaveformIndex
from sv.features import fbank
from sv.features.augment import AugmentConfig, RoomBank
from sv.features.augment_wave import WaveRooms
from sv.kaldi.arks import ArkWriter, read_scp

BATCH, SECONDS, RATE, ROOMS, UTTERANCES = 32, 2.0, 16000, 50, 120
KINDS = {"noise": np.arange(40), "music": np.arange(40, 80)}


def write_corpus(folder: Path) -> Path:
    """Write 8 s of noise an utterance: as WAV files, features and waveform arks."""
    rng = np.random.default_rng(0)
    tables = {name: [] for name in ("utt2num_frames", "utt2num_samples")}
    with (
        ArkWriter(folder / "feats.ark", folder / "feats.scp") as features,
        ArkWriter(folder / "wav.ark", folder / "wav_ark.scp") as waves,
    ):
        for number in range(UTTERANCES):
            name = f"utt{number:04d}"
            samples = (0.1 * rng.standard_normal(8 * RATE)).astype(np.float32)
            log_mel = fbank(samples)
            features.write(name, log_mel)
            waves.write_waveform(name, samples, RATE)
            soundfile.write(folder / f"{name}.wav", samples, RATE)
            tables["utt2num_frames"].append(f"{name} {len(log_mel)}\n")
            tables["utt2num_samples"].append(f"{name} {len(samples)}\n")
    for name, lines in tables.items():
        (folder / name).write_text("".join(lines))
    return folder


def responses() -> np.ndarray:
    """Return room responses (rooms, half a second)."""
    decay = np.exp(-np.arange(RATE // 2) / 1500)
    noise = np.random.default_rng(1).standard_normal((ROOMS, RATE // 2))
    return (noise * decay).astype(np.float32)


def windows(folder: Path, rounds: int) -> Table:
    """Windows of 2 s out of waveforms of 8 s: int16, warm cache."""
    index, count = WaveformIndex.load(folder), 1024
    rng = np.random.default_rng(0)
    chosen, length = rng.integers(len(index), size=count), int(SECONDS * RATE)
    starts = rng.integers(0, 6 * RATE, count)
    places = list(read_scp(folder / "wav_ark.scp").values())
    out = np.empty((64, length), np.int16)

    def ours() -> None:
        for first in range(0, count, 64):
            part = slice(first, first + 64)
            index.read_windows(chosen[part], starts[part], length, out)

    def peer() -> None:
        for place, (c, start) in enumerate(zip(chosen, starts, strict=True)):
            _, samples = kaldiio.load_mat(places[c])
            out[place % 64] = samples[start : start + length]

    def files() -> None:
        for place, (c, start) in enumerate(zip(chosen, starts, strict=True)):
            path = folder / f"utt{c:04d}.wav"
            out[place % 64] = soundfile.read(path, length, start, dtype="int16")[0]

    return compare(
        "waveform windows of 2 s",
        {"kaldiio": peer, "soundfile, WAV files": files, "ours": ours},
        base="kaldiio",
        items=count,
        unit="crops",
        rounds=rounds,
        clock=time.process_time,
    )


def rooms(rounds: int) -> Table:
    """A room response of half a second on crops of 2 s."""
    waves = torch.randn(2 * BATCH, int(SECONDS * RATE))
    bank = torch.from_numpy(responses())
    room = torch.arange(2 * BATCH) % ROOMS
    ours = WaveRooms(bank)

    def scipy() -> None:
        for wave, number in zip(waves.numpy(), room, strict=True):
            fftconvolve(wave, bank[number].numpy())[: len(wave)]

    def torch_audio() -> None:
        for wave, number in zip(waves, room, strict=True):
            torchaudio.functional.fftconvolve(wave, bank[number])[: len(wave)]

    def whole_batch() -> None:
        torchaudio.functional.fftconvolve(waves, bank[room])[:, : waves.shape[1]]

    return compare(
        "room response of 0.5 s on crops of 2 s",
        {
            "scipy, one by one": scipy,
            "torchaudio, one by one": torch_audio,
            "torchaudio, one batch": whole_batch,
            "ours, overlap-save": lambda: ours.convolve(waves, room),
        },
        base="scipy, one by one",
        items=2 * BATCH,
        unit="crops",
        rounds=rounds,
        clock=time.process_time,
    )


def domains(folder: Path, rounds: int) -> Table:
    """From the disk to the network's input: a room and a noise on every crop, normalised."""
    bank = responses()
    decays = torch.from_numpy(np.stack([energy_decay(response) for response in bank]))
    ends = {"fbank": RoomBank(decays), "wave": WaveRooms(torch.from_numpy(bank))}
    sets = {"fbank": TrainingIndex.load(folder), "wave": WaveformIndex.load(folder)}
    groups = [CropGroup("views", 2, SECONDS)]

    def crops(domain: str, **settings):
        settings = {"babble_speakers": [0, 0], **settings}
        index, rate = sets[domain], RATE if domain == "wave" else None
        source = ViewSource(
            index,
            groups,
            RandomBatches(len(index), BATCH, 0),
            AugmentConfig(**settings),
            seed=0,
            noises=NoiseBank(index, KINDS),
            rooms=ROOMS,
            mel_bins=80,
        )
        front_end = FrontEnd("mean", 80, rate, ends[domain])
        return lambda: front_end(source[0, 0].crops["views"], torch.device("cpu"))

    def one_by_one() -> None:
        rng = np.random.default_rng(0)
        length = int(SECONDS * RATE) + 240
        for number in range(2 * BATCH):
            pair = []
            for name in (number, rng.choice(KINDS["noise"])):
                start = rng.integers(0, 5 * RATE)
                path = folder / f"utt{name:04d}.wav"
                pair.append(soundfile.read(path, length, start, dtype="float32")[0])
            wave, noise = pair
            wave = fftconvolve(wave, bank[rng.integers(ROOMS)])[:length]
            wave += noise * np.sqrt(np.mean(wave**2) / np.mean(noise**2) / 10)
            features = kaldi.fbank(torch.from_numpy(wave)[None], num_mel_bins=80)
            features -= features.mean(dim=0)

    return compare(
        "crops of 2 s with a room and a noise, one thread",
        {
            "one by one: soundfile, scipy, torchaudio": one_by_one,
            "wave": crops("wave"),
            "wave, a third of them babble": crops("wave", babble_speakers=[3, 7]),
            "wave, speeds 0.9 1.0 1.1": crops("wave", speeds=[0.9, 1.0, 1.1]),
            "wave, neither room nor noise": crops("wave", noise_probability=0, room_probability=0),
            "fbank": crops("fbank"),
            "fbank, a third of them babble": crops("fbank", babble_speakers=[3, 7]),
        },
        base="one by one: soundfile, scipy, torchaudio",
        items=2 * BATCH,
        unit="crops",
        rounds=rounds,
        clock=time.process_time,
    )


def benchmark(quick: bool) -> list[Table]:
    """Augmentation: waveform windows, room responses, and crops ready in both domains."""
    torch.set_num_threads(1)
    rounds = 3 if quick else 9
    with tempfile.TemporaryDirectory() as name:
        folder = write_corpus(Path(name))
        return [windows(folder, rounds), rooms(rounds), domains(folder, rounds)]
