"""Damaged and hostile files: every reader ends with our error and a sentence, or reads them.

No crash, no code run, no hang, no memory blow-up. ``--fuzz 100`` tries a hundred times as many
examples as the suite does.
"""

import contextlib
import io
import json
import os
import resource
import signal
import struct
import sys
import zipfile

import numpy as np
import pytest
import soundfile
import torch
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sv import checkpoint
from sv.audio.files import audio_info, read_audio
from sv.config import load as load_settings
from sv.crops.index import TrainingIndex
from sv.crops.wave_index import WaveformIndex
from sv.data.audio_headers import read_header
from sv.data.trials import read_trials
from sv.errors import InputError
from sv.inference import model_dir
from sv.inference.embedder import Embedder
from sv.inference.model_dir import CosineCalibration, FeatureConfig
from sv.inference.speaker_model import SpeakerModel
from sv.kaldi.arks import ArkWriter, load_vectors, read_ark, read_matrix, read_scp
from sv.scoring.score_file import read_scores
from sv.training.experiment import SCHEMA, Experiment

EXAMPLES = 25
SECONDS = 20
ROOM = 1 << 30
"""Bytes that a reader may take on top of what the tests have: the files are of some kilobytes."""

RUNS_CODE = ("os.system", "os.exec", "os.posix_spawn", "os.fork", "subprocess.Popen", "pickle.find")
watching = False


def _audit(event, arguments):
    if watching and event.startswith(RUNS_CODE):
        raise AssertionError(f"reading a file led to {event} {arguments!r}")


sys.addaudithook(_audit)


@contextlib.contextmanager
def confined():
    """Let nothing but our error out; limit time and memory; notice code that is run."""
    global watching
    with open("/proc/self/statm") as handle:  # noqa: PTH123
        now = int(handle.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)

    def late(number, frame):
        raise AssertionError(f"a reader took more than {SECONDS} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(SECONDS)
    resource.setrlimit(resource.RLIMIT_AS, (now + ROOM, hard))
    watching = True
    try:
        with contextlib.suppress(InputError):
            yield
    finally:
        watching = False
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


pytestmark = pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="needs Linux")

NUMBERS = [0, 1, 255, 65535, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1]
EDITS = st.lists(
    st.tuples(
        st.sampled_from(["flip", "cut", "insert", "number", "repeat"]),
        st.floats(0, 1, exclude_max=True),
        st.one_of(st.binary(min_size=1, max_size=12), st.sampled_from(NUMBERS)),
    ),
    min_size=1,
    max_size=4,
)


def edited(data, edits):
    """Return ``data`` after a few things that disks, copies and attackers do to files."""
    data = bytearray(data)
    for kind, place, what in edits:
        at = int(place * len(data))
        if isinstance(what, int):
            size = 8 if what >= 2**32 else 4
            what = what.to_bytes(size, "little") if kind != "insert" else str(what).encode()
        if kind == "flip" and data:
            data[at] ^= what[0] or 1
        elif kind == "cut":
            del data[at:]
        elif kind == "repeat":
            data[at:at] = data[at : at + 100] * min(len(what), 4)
        elif kind == "insert":
            data[at:at] = what
        else:
            data[at : at + len(what)] = what
    return bytes(data)


def attack(request, tmp_path, name, data, read):
    """Give ``read`` arbitrary bytes and edited versions of valid ones, as the file ``name``."""
    path = tmp_path / name
    path.write_bytes(data)
    read(path)  # it is valid
    count = EXAMPLES * request.config.getoption("--fuzz")

    @settings(
        max_examples=count,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.one_of(EDITS, EDITS, EDITS, st.binary(max_size=300)))
    def try_it(damage):
        path.write_bytes(damage if isinstance(damage, bytes) else edited(data, damage))
        with confined():
            read(path)

    try_it()


# ---------------------------------------------------------------- arks and scp files


def ark(folder, form="CM2", vectors=False):
    rng = np.random.default_rng(0)
    with ArkWriter(folder / "v.ark", folder / "v.scp", form) as writer:
        for number in range(3):
            writer.write(f"utt{number}", rng.normal(size=6 if vectors else (5 + number, 4)))
    return (folder / "v.ark").read_bytes()


@pytest.mark.parametrize("form", ["FM", "CM", "CM2", "CM3"])
def test_arks_of_features(request, tmp_path, form):
    def read(path):
        for _ in read_ark(path):
            pass
        for place in read_scp(tmp_path / "v.scp").values():
            read_matrix(place)
        index = TrainingIndex.load(tmp_path)
        with contextlib.suppress(IndexError):  # a header that changed after the index was loaded
            index.read_windows(np.arange(3), np.zeros(3, int), 4)

    data = ark(tmp_path, form)
    (tmp_path / "feats.scp").write_bytes((tmp_path / "v.scp").read_bytes())
    (tmp_path / "utt2num_frames").write_text("utt0 5\nutt1 6\nutt2 7\n")
    attack(request, tmp_path, "v.ark", data, read)


def test_arks_of_vectors(request, tmp_path):
    data = ark(tmp_path, vectors=True)

    def read(path):
        load_vectors(f"ark:{path}")
        load_vectors(f"scp:{tmp_path}/v.scp")

    attack(request, tmp_path, "v.ark", data, read)


def test_arks_of_waveforms(request, tmp_path):
    with ArkWriter(tmp_path / "w.ark", tmp_path / "wav_ark.scp") as writer:
        for number in range(3):
            writer.write_waveform(f"utt{number}", np.ones(100) / 3, 16000)
    (tmp_path / "utt2num_samples").write_text("".join(f"utt{n} 100\n" for n in range(3)))

    def read(path):
        index = WaveformIndex.load(tmp_path)
        with contextlib.suppress(IndexError):
            index.read_windows(np.arange(3), np.zeros(3, int), 50)

    attack(request, tmp_path, "w.ark", (tmp_path / "w.ark").read_bytes(), read)


@pytest.mark.parametrize("name", ["feats.scp", "utt2num_frames"])
def test_lists_of_features(request, tmp_path, name):
    ark(tmp_path)
    (tmp_path / "feats.scp").write_bytes((tmp_path / "v.scp").read_bytes())
    (tmp_path / "utt2num_frames").write_text("utt0 5\nutt1 6\nutt2 7\n")

    def read(path):
        index = TrainingIndex.load(tmp_path)
        index.ids(slice(None))
        for value in read_scp(path).values():
            if name == "feats.scp":
                read_matrix(value)

    attack(request, tmp_path, name, (tmp_path / name).read_bytes(), read)


def test_a_long_id_does_not_widen_a_million_others(tmp_path):
    ark(tmp_path)
    place = (tmp_path / "v.scp").read_text().split()[1]
    lines = [f"{'x' * 1_000_000} {place}\n"] + [f"u{n} {place}\n" for n in range(20_000)]
    (tmp_path / "feats.scp").write_text("".join(lines))
    with pytest.raises(InputError, match="longer than 512 bytes"):
        TrainingIndex.load(tmp_path)


def test_a_pipe_does_not_hang(tmp_path):
    os.mkfifo(tmp_path / "v.ark")
    for read in (lambda path: list(read_ark(path)), read_audio, read_matrix):
        with pytest.raises(InputError, match="no regular file"):
            read(str(tmp_path / "v.ark"))
    with pytest.raises(InputError, match="no regular file"):
        list(read_ark("/dev/zero"))


# ---------------------------------------------------------------- trials, scores, settings


@pytest.mark.parametrize("text", ["1 a b\n0 a c\n", "a b target\na c nontarget\n", "a b\na c\n"])
def test_trials(request, tmp_path, text):
    attack(request, tmp_path, "trials", text.encode() * 3, read_trials)


def test_scores(request, tmp_path):
    attack(request, tmp_path, "scores", b"a b 0.5\na c -1.25\n" * 3, read_scores)


def test_settings(request, tmp_path):
    plain = Experiment.load(None, []).to_dict()
    attack(request, tmp_path, "conf.yaml", yaml.safe_dump(plain).encode(), Experiment.load)


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [x, x]\n" + "".join(f"{b}: &{b} [*{a}, *{a}]\n" for a, b in ("ab", "bc", "cd")),
        "optim: " + "[" * 100_000,
        "optim: {lr: " + "9" * 10_000 + "}",
        "optim: !!python/object/apply:os.system [touch executed]",
        "optim: {lr: !!int x}",
        "optim: {lr: 2001-99-99}",
        "optim: {lr: !!binary x}",
        "train: {epochs: 190:20:30:99}",
        "? {a: b}\n: c",
        "a\0b",
        "optim: {lr: 1" + "0" * 400 + "}",
    ],
)
def test_hostile_settings(tmp_path, monkeypatch, text):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "conf.yaml").write_text(text)
    with confined(), pytest.raises(InputError) as caught:
        load_settings(SCHEMA, tmp_path / "conf.yaml")
    assert len(str(caught.value)) < 1000
    assert not (tmp_path / "executed").exists()


# ---------------------------------------------------------------- models


def small_model(folder, write_model):
    write_model(folder / "final.pt")
    return checkpoint.load(folder / "final.pt")


def test_checkpoints(request, tmp_path, write_model):
    small_model(tmp_path, write_model)
    attack(request, tmp_path, "final.pt", (tmp_path / "final.pt").read_bytes(), Embedder.load)


def test_checkpoints_whose_checksum_fits(request, tmp_path, write_model):
    """An attacker can compute it too."""
    data = (write_model(tmp_path / "final.pt")).read_bytes()
    attack(request, tmp_path, "final.pt", data[: -len(checkpoint.MARK) - 32], Embedder.load)


class Bomb:
    def __reduce__(self):
        return (os.system, ("touch executed",))


@pytest.mark.parametrize(
    "change",
    [
        lambda model: model.update(encoder=Bomb()),
        lambda model: model.update(model=7),
        lambda model: model["model"].update(channels=10**9),
        lambda model: model["model"].update(pooled_channels=-1),
        lambda model: model["model"].update(name="x"),
        lambda model: model["model"].update(surprise=1),
        lambda model: model["encoder"].clear(),
        lambda model: model["encoder"].update({next(iter(model["encoder"])): "text"}),
        lambda model: model.update(encoder=[1]),
        lambda model: model.pop("model"),
    ],
)
def test_hostile_checkpoints(tmp_path, monkeypatch, write_model, change):
    monkeypatch.chdir(tmp_path)
    model = small_model(tmp_path, write_model)
    change(model)
    torch.save(model, "hostile.pt")
    with confined(), pytest.raises(InputError, match="hostile.pt"):
        Embedder.load("hostile.pt")
    assert not (tmp_path / "executed").exists()


def test_a_compressed_checkpoint_is_refused(tmp_path, write_model):
    source = zipfile.ZipFile(write_model(tmp_path / "final.pt"))
    with zipfile.ZipFile(tmp_path / "small.pt", "w", zipfile.ZIP_DEFLATED) as bomb:
        for name in source.namelist():
            bomb.writestr(name, source.read(name))
    with pytest.raises(InputError, match="not a checkpoint of ours"):
        checkpoint.load(tmp_path / "small.pt")


@pytest.mark.parametrize(
    "name", ["model.safetensors", "config.yaml", "calibration.json", "unsigned.safetensors"]
)
def test_model_directories(request, tmp_path, write_model, name):
    model = small_model(tmp_path, write_model)
    folder, features = tmp_path / "model", FeatureConfig(mel_bins=8)
    calibration = CosineCalibration(2.0, -1.0)
    model_dir.write(folder, model["encoder"], model["model"], features, calibration, "card")
    if name == "unsigned.safetensors":  # the other readers behind the checksum
        name = "model.safetensors"
        config = folder / "config.yaml"
        config.write_text(config.read_text().partition("weights:")[0])
    data = (folder / name).read_bytes()
    attack(request, folder, name, data, lambda path: SpeakerModel.load(path.parent))


@pytest.mark.parametrize("text", ["[" * 100_000, '{"scale": 1e999, "offset": 0}', "7", "\xff"])
def test_hostile_calibration(tmp_path, text):
    (tmp_path / "c.json").write_text(text, encoding="latin-1")
    with pytest.raises(InputError, match=r"c\.json"):
        model_dir.read_calibration(tmp_path / "c.json")


def test_a_tensor_that_promises_terabytes(tmp_path, write_model):
    header = {"x": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}}
    text = json.dumps(header).encode()
    (tmp_path / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text)
    (tmp_path / "config.yaml").write_text("model: {name: ecapa}\n")
    with confined(), pytest.raises(InputError, match=r"model\.safetensors"):
        SpeakerModel.load(tmp_path)


# ---------------------------------------------------------------- audio


@pytest.mark.parametrize("form", ["WAV", "FLAC", "OGG", "MP3"])
def test_audio(request, tmp_path, form):
    content = io.BytesIO()
    samples = 0.1 * np.random.default_rng(0).standard_normal(4000)
    soundfile.write(content, samples, 16000, format=form)

    def read(path):
        with contextlib.suppress(InputError):
            audio_info(path)
        with contextlib.suppress(ValueError):  # how the header scan says what is wrong
            read_header(path)
        read_audio(path)

    attack(request, tmp_path, f"a.{form.lower()}", content.getvalue(), read)


@pytest.mark.parametrize("rate", [1, 17, 2**31 - 1])
def test_a_rate_that_is_none(tmp_path, rate):
    """Resampling from a prime rate near 2**31 would need a filter of that length."""
    path = tmp_path / "a.wav"
    soundfile.write(path, np.ones(4000) / 3, 16000)
    data = bytearray(path.read_bytes())
    data[24:28] = rate.to_bytes(4, "little")
    path.write_bytes(data)
    with confined(), pytest.raises(InputError, match="samples a second"):
        read_audio(path)


def test_a_length_that_is_none(tmp_path):
    """A FLAC header has 36 bits for the number of samples."""
    path = tmp_path / "a.flac"
    soundfile.write(path, 0.1 * np.random.default_rng(0).standard_normal(8000), 16000)
    data = bytearray(path.read_bytes())
    data[21] |= 0x0F
    path.write_bytes(data)
    with confined(), pytest.raises(InputError, match="cut off"):
        read_audio(path)
