"""Models for end users: the directory, its programs, and what is said of bad input."""

import json
import math
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

import sv
from sv import checkpoint
from sv.audio.files import resample, write_audio
from sv.bin import embed, export, package, separate, verify
from sv.errors import InputError
from sv.features import fbank
from sv.files import sha256
from sv.inference import model_dir
from sv.inference.embedder import Embedder
from sv.inference.speaker_model import cosine
from sv.kaldi.arks import ArkWriter, load_vectors
from sv.scoring.calibration import Calibration

pytestmark = pytest.mark.whole

RATE = 16000


def noise(seconds=1.5, seed=0, rate=RATE):
    samples = 0.1 * np.random.default_rng(seed).standard_normal(int(seconds * rate))
    return samples.astype(np.float32)


@pytest.fixture(scope="module", params=["ecapa", "fast_resnet34"])
def exp(request, tmp_path_factory, write_model):
    """An experiment with a report."""
    folder = tmp_path_factory.mktemp("exp") / "my exp"
    write_model(folder / "final.pt", request.param)
    (folder / "train.json").write_text('{"method": "simclr", "seed": 7}')
    system = {"eer": 0.1234, "intervals": {"eer": [0.1, 0.15]}, "min_dcf": {"0.01": 0.7}}
    figures = {"systems": [system], "trials": {"path": "test/trials", "sha256": "abc"}}
    (folder / "report").mkdir()
    (folder / "report" / "report.json").write_text(json.dumps(figures))
    return folder


@pytest.fixture(scope="module")
def folder(exp):
    """Its model directory, with a calibration."""
    (exp / "cal.json").write_text('{"scale": 10, "offset": -4, "made_on": "dev/trials"}')
    command = ["--exp", str(exp), "--out", str(exp / "model")]
    package.main([*command, "--calibration", str(exp / "cal.json")])
    return exp / "model"


@pytest.fixture
def copy(folder, tmp_path):
    """A copy to damage."""
    return shutil.copytree(folder, tmp_path / "copy")


def test_a_directory_is_whole_and_gives_the_embeddings_of_final_pt(exp, folder):
    assert {path.name for path in folder.iterdir()} == {
        "model.safetensors", "config.yaml", "calibration.json", "README.md",
    }  # fmt: skip
    features = fbank(noise(), RATE, 8)
    expected = Embedder.load(exp / "final.pt")(torch.from_numpy(features)[None])[0].numpy()
    model = sv.load(folder)
    found = model.embed(noise(), RATE)
    assert found.shape == (model.dim,) == (12,) and found.dtype == np.float32
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(sv.load(exp / "final.pt").embed(noise(), RATE), expected)


@pytest.mark.parametrize("name", ["final.pt", "model"])
def test_models_of_version_0_1_give_their_embeddings(root, name):
    kept = root / "tests" / "fixtures" / "model_0.1"
    expected = json.loads((kept / "embedding.json").read_text())
    np.testing.assert_allclose(sv.load(kept / name).embed(noise(), RATE), expected, atol=1e-5)


def test_the_card_says_what_was_trained_measured_and_not(folder):
    card = (folder / "README.md").read_text()
    for text in ("# my exp", "| seed | 7 |", "12.34 % [10.00, 15.00]", "test/trials (abc)"):
        assert text in card
    for text in (
        "10.0000 × cosine + (-4.0000)",
        "dev/trials",
        "## Limits",
        "None of them contains code",
    ):
        assert text in card


def test_waveforms_of_any_type_rate_and_number_of_channels(folder):
    model = sv.load(folder)
    vector = model.embed(noise(), RATE)
    stereo = np.stack([noise() + 0.05, noise() - 0.05])
    for same in (torch.from_numpy(noise()), noise().astype(np.float64), stereo, stereo.T):
        np.testing.assert_allclose(model.embed(same, RATE), vector, rtol=1e-3, atol=1e-4)
    quantised = np.round(noise() * 32768).astype(np.int16)
    assert cosine(model.embed(quantised, RATE), vector) > 0.999
    other_end = model.embed(quantised.astype(">i2"), RATE)
    np.testing.assert_array_equal(other_end, model.embed(quantised, RATE))
    slow = resample(noise(), RATE, 44100)
    expected = model.embed(resample(slow, 44100, RATE), RATE)
    np.testing.assert_array_equal(model.embed(slow, 44100), expected)


@pytest.mark.parametrize(
    ("waveform", "rate", "words"),
    [
        (np.zeros(RATE, np.float32), RATE, "digital silence"),
        (np.full(RATE, 0.5, np.float32), RATE, "digital silence"),
        (noise(0.05), RATE, "0.05 s are too short"),
        (np.zeros(0, np.float32), 8000, "0.00 s are too short"),
        (np.ones(RATE, np.int32), RATE, "int32"),
        (np.zeros((2, 3, 4), np.float32), RATE, "shape"),
        (np.full(RATE, np.nan, np.float32), RATE, "no numbers"),
        (noise(), 0, "sample rate"),
        (noise(), 16000.5, "sample rate"),
        (noise(), "16000", "sample rate.*'16000' is no number"),
        (noise(), None, "sample rate.*'None' is no number"),
    ],
)
def test_what_is_no_voice_is_refused(folder, waveform, rate, words):
    with pytest.raises(InputError, match=words):
        sv.load(folder).embed(waveform, rate)


@pytest.mark.parametrize("channel", ["0", 0.5, -2])
def test_a_channel_is_a_whole_number(folder, channel):
    with pytest.raises(InputError, match="channel"):
        sv.load(folder).embed(noise(), RATE, channel=channel)


def test_short_recordings_are_warned_of(folder, caplog):
    sv.load(folder).embed(noise(0.4), RATE, "x.wav")
    assert "x.wav: only 0.40 s" in caplog.text


@pytest.fixture
def recordings(tmp_path):
    for seed, name in enumerate(("a", "b", "with blank")):
        write_audio(tmp_path / f"{name}.wav", noise(seed=seed), RATE)
    write_audio(tmp_path / "silent.wav", np.zeros(RATE), RATE)
    return tmp_path


def test_verify_with_a_directory(folder, recordings, capsys):
    pair = [str(recordings / "a.wav"), str(recordings / "b.wav"), "--model", str(folder)]
    verify.main([*pair, "--json", "--prior", "0.01"])
    said = json.loads(capsys.readouterr().out)
    model = sv.load(folder)
    vectors = [model.embed_file(recordings / f"{name}.wav") for name in "ab"]
    assert said["cosine"] == pytest.approx(cosine(*vectors))
    assert said["llr"] == pytest.approx(10 * said["cosine"] - 4)
    odds = math.exp(said["llr"]) * 0.01 / 0.99
    assert said["probability"] == pytest.approx(odds / (1 + odds))
    assert said["same_speaker"] == (odds >= 1)
    verify.main(pair)
    assert "probability of the same speaker" in capsys.readouterr().out
    # Costs move the decision, not the probability; a threshold overrules both.
    bar = math.exp(said["llr"])
    for cost, same in ((0.9 * bar, True), (1.1 * bar, False)):
        verify.main([*pair, "--json", "--c-fa", str(cost)])
        assert json.loads(capsys.readouterr().out)["same_speaker"] is same
    verify.main([*pair, "--threshold", f"{(1 + said['cosine']) / 2:.12f}"])
    assert "different speakers" in capsys.readouterr().out


def test_verify_with_final_pt_gives_no_probability(exp, recordings, capsys):
    model = ["--model", str(exp / "final.pt")]
    pair = [str(recordings / "a.wav")] * 2
    verify.main([*pair, *model])
    assert capsys.readouterr().out == "1.0000\n"
    verify.main([*pair, *model, "--threshold", "0.9"])
    assert capsys.readouterr().out == "1.0000  same speaker\n"
    with pytest.raises(InputError, match=r"silent\.wav: digital silence"):
        verify.main([pair[0], str(recordings / "silent.wav"), *model])
    for option in (["--prior", "1"], ["--c-fa", "0"], ["--threshold", "nan"]):
        with pytest.raises(SystemExit):
            verify.main([*pair, *model, *option])
        assert f"error: argument {option[0]}: " in capsys.readouterr().err


def test_embed_files(folder, recordings, capsys):
    files = [str(recordings / "a.wav"), str(recordings / "with blank.wav")]
    out = recordings / "out" / "e.scp"
    command = ["--model", str(folder), "--out", str(out), "--device", "cpu"]
    embed.main([*files, *command])
    ids, vectors = load_vectors(out)
    assert ids == [files[0], files[1].replace(" ", "_")]
    np.testing.assert_array_equal(vectors[1], sv.load(folder).embed_file(files[1]))
    assert "2 embeddings" in capsys.readouterr().out
    for wrong in ([*files, "--data", "x"], []):
        with pytest.raises(InputError, match="one of the two"):
            embed.main([*wrong, *command])
    for wrong, words in (("silent.wav", "silence"), ("none.wav", "does not exist")):
        with pytest.raises(InputError, match=f"1 of 2 files are not among them.*{words}"):
            embed.main([files[0], str(recordings / wrong), *command])
        assert load_vectors(out)[0] == [files[0]]  # the good one is written
    out.unlink()
    with pytest.raises(InputError, match="does not exist"):
        embed.main([str(recordings / "none.wav"), *command])
    with pytest.raises(InputError, match="twice"):
        embed.main([files[0], files[0], *command])
    assert not out.exists()


def test_a_name_that_is_not_utf8(folder, recordings, capsys):
    odd = os.fsdecode(os.fsencode(recordings) + b"/caf\xe9.wav")
    Path(odd).write_bytes((recordings / "a.wav").read_bytes())
    model = ["--model", str(folder)]
    verify.main([odd, str(recordings / "a.wav"), *model])
    assert capsys.readouterr().out.startswith("1.0000")
    out = recordings / "odd.scp"
    embed.main([odd, *model, "--out", str(out), "--device", "cpu"])
    assert load_vectors(out)[0] == [f"{recordings}/caf\\xe9.wav".replace(" ", "_")]
    Path(odd).write_bytes(b"no audio")
    with pytest.raises(InputError, match=r"caf\\xe9\.wav cannot be read as audio"):
        verify.main([odd, odd, *model])


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_samples_of_another_scale_are_refused(folder, kind):
    model = sv.load(folder)
    samples = np.random.default_rng(0).normal(0, 0.1, 16000).astype(kind)
    model.embed(samples * 15, 16000)  # loud beyond full scale is none of our business
    with pytest.raises(InputError, match="my.wav has floating-point samples up to .*32768"):
        model.embed(samples * 32768, 16000, "my.wav")
    with pytest.raises(InputError, match="floating-point"):
        model.embed(torch.from_numpy(samples * 32768), 16000)
    for wrong in (np.nan, np.inf, -np.inf):
        samples[5] = wrong
        with pytest.raises(InputError, match="no numbers"):
            model.embed(samples, 16000)


def test_channels_that_cancel_and_a_choice(folder, recordings, capsys):
    model = sv.load(folder)
    samples = np.random.default_rng(0).normal(0, 0.1, 16000).astype(np.float32)
    other = np.random.default_rng(1).normal(0, 0.1, 16000).astype(np.float32)
    both = np.stack([samples, -samples], 1)
    for given in (both, both.T):
        with pytest.raises(InputError, match="cancel each other.*--channel 0"):
            model.embed(given, 16000)
        np.testing.assert_array_equal(
            model.embed(given, 16000, channel=0), model.embed(samples, 16000)
        )
    path = recordings / "two.wav"
    soundfile.write(path, np.stack([samples, other], 1), 16000, subtype="FLOAT")
    np.testing.assert_array_equal(model.embed_file(path, 1), model.embed(other, 16000))
    pair = [str(path), str(path), "--model", str(folder)]
    verify.main([*pair, "--channel", "1"])
    assert capsys.readouterr().out.startswith("1.0000")
    with pytest.raises(InputError, match=r"two\.wav has 2 channels, counted from 0"):
        verify.main([*pair, "--channel", "2"])
    with pytest.raises(InputError, match="--channel -1 allows one"):
        verify.main([*pair, "--channel", "-1"])


# ---------------------------------------------------------------- damaged directories


def test_a_missing_file_is_named(copy):
    (copy / "config.yaml").unlink()
    with pytest.raises(InputError, match=r"not a complete model directory: config\.yaml missing"):
        sv.load(copy)


def test_folders_that_are_no_models(exp, tmp_path):
    with pytest.raises(InputError, match="no such folder or file"):
        sv.load(tmp_path / "none")
    with pytest.raises(InputError, match=r"model\.safetensors and config\.yaml missing"):
        sv.load(tmp_path)
    with pytest.raises(InputError, match="sv package --exp"):
        sv.load(exp)


@pytest.mark.parametrize("program", [verify, embed, export, separate])
@pytest.mark.parametrize(
    ("name", "words"),
    [
        (
            "final.pt",
            r"final\.pt: there is no such file; stage 3 .* stage 6 final\.pt$",
        ),
        ("m/model.safetensors", "holds the weights of a model directory: give that folder"),
        ("graph.onnx", "it is an exported graph: give a model directory"),
        ("notes.txt", "not a checkpoint of ours, or damaged: give a file that stage 3"),
        ("unfinished", "experiment without final.pt: run its stage 6"),
        ("nowhere", "there is no such folder or file; give a model directory"),
    ],
)
def test_paths_that_are_no_model(tmp_path, recordings, program, name, words):
    (tmp_path / "m").mkdir()
    (tmp_path / "unfinished" / "checkpoints").mkdir(parents=True)
    for file in ("m/model.safetensors", "graph.onnx", "notes.txt"):
        (tmp_path / file).write_bytes(b"something")
    audio = str(next(recordings.iterdir()))
    arguments = {
        verify: [audio, audio],
        embed: [audio, "--out", str(tmp_path / "o")],
        export: ["--out", str(tmp_path / "o")],
        separate: [audio, "--out", str(tmp_path / "o")],
    }[program]
    with pytest.raises(InputError, match=words):
        program.main(["--model", str(tmp_path / name), *arguments])
    assert not list(tmp_path.glob("o*"))


def test_package_names_the_missing_weights(exp, tmp_path):
    out = ["--out", str(tmp_path / "m")]
    (tmp_path / "exp").mkdir()
    with pytest.raises(InputError, match=r"exp/final\.pt: there is no such file"):
        package.main(["--exp", str(tmp_path / "exp"), *out])
    with pytest.raises(InputError, match=r"is a folder, not a file of weights; give .*/final\.pt"):
        package.main(["--exp", str(exp), "--model", str(exp), *out])
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="file: a file, not the folder of an experiment"):
        package.main(["--exp", str(tmp_path / "file"), *out])


def test_weights_that_are_damaged_in_any_way(copy):
    path = copy / "model.safetensors"
    data = bytearray(path.read_bytes())
    data[-5] ^= 255  # a flipped byte, which safetensors itself would not notice
    path.write_bytes(data)
    with pytest.raises(InputError, match="is damaged, or not the file"):
        sv.load(copy)
    config = copy / "config.yaml"
    config.write_text(config.read_text().split("weights:")[0])  # no hash to go by
    for wrong in (data[:100], b"", b"not safetensors at all", data[:-8]):
        path.write_bytes(wrong)
        with pytest.raises(InputError, match="is damaged"):
            sv.load(copy)


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("mel_bins: 8", "mel_bins: 9", "model.mel_bins is 9 but features.mel_bins is 8"),
        ("embedding_dim: 12", "embedding_dim: 13", "do not fit the encoder"),
        ("normalise: mean", "normalise: maen", "did you mean 'mean'"),
        ("sample_rate", "sample_rat", "did you mean 'sample_rate'"),
        ("features:", "features: [", "not valid YAML"),
    ],
)
def test_settings_that_do_not_fit(copy, before, after, words):
    config = copy / "config.yaml"
    config.write_text(config.read_text().replace(before, after, 1))
    with pytest.raises(InputError, match=words):
        sv.load(copy)


def test_settings_that_are_no_text(copy):
    (copy / "config.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="is UTF-16 text, not UTF-8"):
        sv.load(copy)


@pytest.mark.parametrize(
    "text", ["", "[]", '{"scale": 1}', '{"scale": "x", "offset": 0}', '{"scale": NaN, "offset": 0}']
)
def test_a_calibration_that_is_none(copy, text):
    (copy / "calibration.json").write_text(text)
    with pytest.raises(InputError, match=r"calibration\.json"):
        sv.load(copy)


# ---------------------------------------------------------------- package


def test_package_fits_a_calibration(exp, tmp_path):
    rng = np.random.default_rng(0)
    labels = np.arange(400) % 4 == 0
    # Normal classes of equal spread: the true log-likelihood ratio is affine in the score.
    values = rng.normal(np.where(labels, 0.5, 0.1), 0.2).clip(-1, 1)
    with ArkWriter(tmp_path / "e.ark", tmp_path / "e.scp") as writer:
        for number, value in enumerate(values):
            writer.write(f"a{number}", np.array([2.0, 0.0], np.float32))
            other = [value, math.sqrt(1 - value**2)]
            writer.write(f"b{number}", 3 * np.array(other, np.float32))
    (tmp_path / "test").mkdir()
    trials = tmp_path / "test" / "trials"
    trials.write_text("".join(f"{int(y)} a{n} b{n}\n" for n, y in enumerate(labels)))
    figures = json.loads((exp / "report" / "report.json").read_text())
    figures["trials"]["sha256"] = sha256(trials)
    (tmp_path / "report.json").write_text(json.dumps(figures))
    command = ["--exp", str(exp), "--out", str(tmp_path / "m")]
    fit = ["--embeddings", str(tmp_path / "e.scp"), "--trials", str(trials)]
    package.main([*command, *fit, "--report", str(tmp_path / "report.json")])
    found = model_dir.read_calibration(tmp_path / "m" / "calibration.json")
    assert found.scale == pytest.approx(0.4 / 0.04, rel=0.25)
    assert found.offset == pytest.approx(-(0.5**2 - 0.1**2) / 0.08, rel=0.35)
    assert found.made_on == f"test/trials ({sha256(trials)}), 400 trials"
    card = (tmp_path / "m" / "README.md").read_text()
    assert "The quality of the probabilities was not measured" in card
    package.main(command)  # again, without one: nothing of the old folder stays
    assert not (tmp_path / "m" / "calibration.json").exists()
    assert "only cosines" in (tmp_path / "m" / "README.md").read_text()


def test_package_takes_a_calibration_of_stage_7(exp, tmp_path):
    rng = np.random.default_rng(0)
    labels = np.arange(100) % 2 == 0
    columns = labels[:, None] + rng.standard_normal((100, 2))
    command = ["--exp", str(exp), "--out", str(tmp_path / "m"), "--calibration"]
    one = Calibration().fit(columns[:, 0], labels)
    one.save(tmp_path / "one.safetensors")
    package.main([*command, str(tmp_path / "one.safetensors")])
    found = model_dir.read_calibration(tmp_path / "m" / "calibration.json")
    assert found.llr(0.3) == pytest.approx(one.transform(np.array([0.3]))[0])
    Calibration().fit(columns, labels).save(tmp_path / "two.safetensors")
    with pytest.raises(InputError, match="fuses 2 columns"):
        package.main([*command, str(tmp_path / "two.safetensors")])


def test_package_refuses_what_it_cannot_use(exp, tmp_path):
    command = ["--exp", str(exp), "--out", str(tmp_path / "m")]
    with pytest.raises(InputError, match="together"):
        package.main([*command, "--trials", "x"])
    with pytest.raises(InputError, match="not both"):
        package.main([*command, "--embeddings", "x", "--trials", "y", "--calibration", "z"])
    with pytest.raises(InputError, match="no such folder"):
        package.main(["--exp", str(tmp_path / "none"), "--out", str(tmp_path / "m")])
    with pytest.raises(InputError, match="no such calibration file"):
        package.main([*command, "--calibration", "none.json"])
    with pytest.raises(InputError, match=r"is not a report\.json"):
        package.main([*command, "--report", "none.json"])
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "thesis.txt").touch()
    with pytest.raises(InputError, match="not replaced"):
        package.main(command)
    assert [path.name for path in (tmp_path / "m").iterdir()] == ["thesis.txt"]


def test_a_variant_that_does_not_fit_the_weights_is_a_sentence(tmp_path, write_model):
    """The weights are of the variant of the paper, the settings say SpeechBrain's."""
    import yaml

    final = write_model(tmp_path / "exp" / "final.pt")
    model = torch.load(final, weights_only=True)
    other = model["model"] | {"variant": "speechbrain"}
    words = "model.variant is speechbrain, but the weights are of an ecapa of variant paper"
    checkpoint.save(tmp_path / "other.pt", model | {"model": other})
    with pytest.raises(InputError, match=f"other.pt: {words}: set model.variant: paper"):
        Embedder.load(tmp_path / "other.pt")
    features = model_dir.FeatureConfig(mel_bins=8, normalise="mean")
    model_dir.write(tmp_path / "model", model["encoder"], other, features, None, "card")
    settings = yaml.safe_load((tmp_path / "model" / model_dir.CONFIG).read_text())
    assert settings["model"]["variant"] == "speechbrain"
    with pytest.raises(InputError, match=f"{words}.*or use weights of variant speechbrain"):
        sv.load(tmp_path / "model")
    before = {name: value for name, value in model["model"].items() if name != "variant"}
    checkpoint.save(tmp_path / "before.pt", model | {"model": before})  # older than variants
    assert Embedder.load(tmp_path / "before.pt").encoder.embedding_dim == 12
