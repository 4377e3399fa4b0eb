"""Known speakers: the file, its programs, several writers, and what is said of bad input."""

import json
import multiprocessing

import numpy as np
import pytest

import sv
from sv import checkpoint
from sv.audio.files import write_audio
from sv.bin import enroll, gallery, identify, verify
from sv.errors import InputError
from sv.inference.decision import posteriors, probability
from sv.inference.gallery import Gallery
from sv.inference.model_dir import CosineCalibration

pytestmark = pytest.mark.whole

RATE, DIM = 16000, 12


class Model:
    """What a gallery needs of a model."""

    identity, dim = "a" * 64, DIM


def voice(seed, noise=0.0, other=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal(DIM) + noise * np.random.default_rng(other).standard_normal(DIM)


@pytest.fixture
def path(tmp_path):
    """A gallery of three."""
    opened = Gallery.open(tmp_path / "people.safetensors", Model)
    for number, name in enumerate(("alice", "bob", "Zoë")):
        opened.enrol(name, voice(number), seconds=3.0)
    return opened.path


def test_what_is_written_is_read(path):
    found = Gallery.open(path, Model)
    assert list(found.speakers) == ["alice", "bob", "Zoë"]
    assert found.speakers["bob"][:2] == (1, 3.0)
    found.enrol("bob", np.stack([voice(7), 5 * voice(8)]), seconds=2.5)
    again = Gallery.read(path)
    assert again.speakers["bob"][:2] == (3, 5.5) and len(again.speakers) == 3
    units = [voice(n) / np.linalg.norm(voice(n)) for n in (1, 7, 8)]
    np.testing.assert_allclose(again.sums[1], sum(units), atol=1e-6)
    again.enrol("bob", voice(9), replace=True)
    assert Gallery.read(path).speakers["bob"].recordings == 1
    again.remove(["alice", "bob"])
    left = Gallery.read(path)
    assert list(left.speakers) == ["Zoë"] and left.sums.shape == (1, DIM)
    left.enrol("Zoe\u0308", voice(2))  # the same name in decomposed Unicode
    assert Gallery.read(path).speakers["Zoë"].recordings == 2
    assert [one.name for one in path.parent.iterdir() if one.suffix == ".tmp"] == []


def test_posteriors_are_those_of_a_naive_sum():
    llrs, prior = np.array([2.0, -1.0, 0.5]), 0.3
    likelihoods = np.exp(llrs) * prior / 3
    shares, none = posteriors(llrs, prior)
    total = likelihoods.sum() + 0.7
    np.testing.assert_allclose(shares, likelihoods / total)
    assert none == pytest.approx(0.7 / total)
    one, _ = posteriors(llrs[:1], prior)
    assert one[0] == pytest.approx(probability(2.0, prior))
    huge, none = posteriors(np.array([2000.0, -5000.0]), 0.5)
    assert huge[0] == 1.0 and none == 0.0
    assert probability(-800, 0.5) == 0.0 and probability(800, 0.5) == 1.0


def test_identify_ranks_and_may_say_none(path):
    calibration = CosineCalibration(60.0, -48.0)
    found = Gallery.read(path).identify(voice(1, 0.1), calibration, top=2)
    assert found.name == "bob" == found.candidates[0].name and len(found.candidates) == 2
    assert found.candidates[0].probability > 0.9 and found.none < 0.1
    stranger = Gallery.read(path).identify(voice(50), calibration)
    assert stranger.name is None and stranger.none > 0.9
    total = stranger.none + sum(one.probability for one in stranger.candidates)
    assert total == pytest.approx(1.0)
    plain = Gallery.read(path).identify(voice(1))
    assert plain.name is None and plain.none is None and plain.candidates[0].probability is None


def test_bad_galleries_are_refused_in_a_sentence(path, tmp_path):
    class Other(Model):
        identity = "b" * 64

    with pytest.raises(InputError, match="gallery of another model"):
        Gallery.open(path, Other)
    with pytest.raises(InputError, match="no such gallery.*sv enroll"):
        Gallery.read(tmp_path / "none.safetensors")
    with pytest.raises(InputError, match="a folder"):
        Gallery.read(tmp_path)
    data = path.read_bytes()
    damaged = tmp_path / "damaged.safetensors"
    for content in (data[:-5], data[:40], b"", b"no gallery", data[:-9] + b"\1" + data[-8:]):
        damaged.write_bytes(content)
        with pytest.raises(InputError, match="damaged"):
            Gallery.open(damaged, Model)
    damaged.write_bytes(data.replace(b"alice", b"alicf"))
    with pytest.raises(InputError, match="its hash is wrong"):
        Gallery.read(damaged)
    from safetensors.numpy import save

    damaged.write_bytes(save({"sums": np.zeros((1, 2), np.float32)}))
    with pytest.raises(InputError, match="is no gallery"):
        Gallery.read(damaged)
    found = Gallery.read(path)
    with pytest.raises(InputError, match="no speaker 'alise'; did you mean alice"):
        found.remove(["bob", "alise"])
    assert len(Gallery.read(path).speakers) == 3
    for name in ("", "  ", "a\nb", "x" * 201):
        with pytest.raises(InputError, match="cannot be the name"):
            found.enrol(name, voice(1))
    with pytest.raises(InputError, match="12"):
        found.enrol("carol", np.zeros(5))
    found.remove(["alice", "bob", "Zoë"])
    with pytest.raises(InputError, match="no speakers yet"):
        Gallery.read(path).identify(voice(1))


def _enrol_ten(path, writer):
    for number in range(10):
        Gallery.open(path, Model).enrol(f"{writer} {number}", voice(number))


def test_several_writers_lose_nothing(path):
    start = multiprocessing.get_context("fork").Process
    writers = [start(target=_enrol_ten, args=(path, name)) for name in ("one", "two", "three")]
    for writer in writers:
        writer.start()
    for _ in range(20):
        Gallery.read(path)  # a reader never sees half of a file
    for writer in writers:
        writer.join(60)
        assert writer.exitcode == 0
    assert len(Gallery.read(path).speakers) == 3 + 30


def sound(seed, seconds=2.0):
    rng = np.random.default_rng(seed)
    times = np.arange(int(seconds * RATE)) / RATE
    tone = sum(np.sin(2 * np.pi * f * times) for f in rng.uniform(100, 6000, 5))
    return (0.05 * tone + 0.02 * rng.standard_normal(len(times))).astype(np.float32)


@pytest.fixture
def recordings(tmp_path, write_model, monkeypatch):
    """A model directory, a final.pt, and recordings of two people and of nobody."""
    from sv.bin import package

    exp = tmp_path / "exp"
    write_model(exp / "final.pt")
    (exp / "cal.json").write_text('{"scale": 60, "offset": -57}')
    words = ["--exp", str(exp), "--out", str(tmp_path / "model")]
    package.main([*words, "--calibration", str(exp / "cal.json")])
    for name, seed in (("anna", 1), ("ben", 2), ("anna2", 1)):
        write_audio(tmp_path / f"{name}.wav", sound(seed, 2.0 + len(name) / 10), RATE)
    hiss = 1e-4 * np.random.default_rng(3).standard_normal(3 * RATE)
    write_audio(tmp_path / "nobody.wav", hiss, RATE)
    write_audio(tmp_path / "silent.wav", np.zeros(RATE), RATE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_programs(recordings, capsys):
    common = ["--gallery", "g.safetensors", "--model", "model"]
    enroll.main(["anna", "anna.wav", *common])
    enroll.main(["ben", "ben.wav", *common])
    assert "ben with 1 recordings, 2.3 s of speech; 2 speakers" in capsys.readouterr().out
    identify.main(["anna2.wav", *common, "--json"])
    found = json.loads(capsys.readouterr().out)
    assert found["name"] == "anna" == found["candidates"][0]["name"]
    assert found["none"] + sum(c["probability"] for c in found["candidates"]) == pytest.approx(1)
    identify.main(["anna2.wav", *common, "--prior", "0.001", "--top", "1"])
    words = capsys.readouterr().out.splitlines()
    assert len(words) == 3 and words[-1].startswith("  none of these")
    identify.main(["anna2.wav", *common, "--threshold", "1"])
    assert capsys.readouterr().out.startswith("none of these\n")
    gallery.main(["list", *common[:2]])
    assert [line.split("\t")[0] for line in capsys.readouterr().out.splitlines()] == ["anna", "ben"]
    gallery.main(["show", "ben", *common[:2]])
    assert sv.load("model").identity[:12] in capsys.readouterr().out
    gallery.main(["remove", "anna", *common[:2]])
    assert "1 removed, 1 left" in capsys.readouterr().out
    with pytest.raises(InputError, match="another model"):
        identify.main(["ben.wav", *common[:2], "--model", "exp/final.pt"])


def test_too_little_speech_is_no_decision(recordings):
    common = ["--gallery", "g.safetensors", "--model", "model"]
    with pytest.raises(InputError, match=r"nobody\.wav: too little speech.*0\.0 s found, 0"):
        enroll.main(["anna", "anna.wav", "nobody.wav", *common])
    assert not (recordings / "g.safetensors").exists()
    with pytest.raises(InputError, match="no speakers yet"):
        identify.main(["anna.wav", *common])
    enroll.main(["anna", "anna.wav", *common])
    for name, words in (("nobody.wav", "too little speech"), ("silent.wav", "digital silence")):
        with pytest.raises(InputError, match=words):
            identify.main([name, *common])
        with pytest.raises(InputError, match=words):
            verify.main(["anna.wav", name, "--model", "model"])
    with pytest.raises(InputError, match="2.4 s found, 10 s needed"):
        verify.main(["anna.wav", "anna.wav", "--model", "model", "--min-speech", "10"])


def test_a_model_is_known_by_its_weights(recordings):
    model = checkpoint.load("exp/final.pt")
    model["encoder"]["output.bias"] += 1
    checkpoint.save(recordings / "other.pt", model)
    found = {sv.load(name).identity for name in ("model", "exp/final.pt", "other.pt")}
    assert len(found) == 3 and all(len(one) == 64 for one in found)
    assert sv.load("model").identity == sv.load("model").identity


def test_verify_compares_several(recordings, capsys):
    with pytest.raises(InputError, match=r"1 of 3 are not compared: nobody\.wav: too little"):
        names = ["anna.wav", "anna2.wav", "nobody.wav", "ben.wav"]
        verify.main([*names, "--model", "model", "--json"])
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["test"] for one in found] == ["anna2.wav", "ben.wav"]
    assert found[0]["cosine"] > found[1]["cosine"]
    verify.main(["anna.wav", "anna2.wav", "ben.wav", "--model", "model"])
    assert capsys.readouterr().out.startswith("anna2.wav: ")
