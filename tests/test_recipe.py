"""The real recipes from the first stage to the last, on a corpus of a minute, in a fresh clone."""

import json
import os
import shutil
import subprocess
import sys
import wave
from pathlib import Path

import pytest
from fork_server import fork_python

pytestmark = pytest.mark.recipe

ROOT = Path(__file__).resolve().parent.parent

CONFIG = """
data: {crop_seconds: 1.0}
model: {name: fast_resnet34, channels: [16, 16, 16, 16], embedding_dim: 32}
train: {epochs: 2, batch_size: 8, keep: 2, workers: 0}
"""
SIZES = ["--train-speakers", "8", "--test-speakers", "4", "--sessions", "2", "--utterances", "1"]


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A copy of the repository, without what recipes write, in a folder with blanks."""
    folder = tmp_path_factory.mktemp("recipe") / "a clone"
    written = shutil.ignore_patterns(
        "__pycache__", ".*", "data", "exp", "fbank", "corpus", "banks", "*.egg-info"
    )
    folder.mkdir()
    for name in ("local", "utils", "egs"):
        shutil.copytree(ROOT / name, folder / name, ignore=written)
    shutil.copytree(ROOT / "sv", folder / "sv", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("run.sh", "path.sh", "setup.py"):
        shutil.copy(ROOT / name, folder / name)
    (folder / "tiny.yaml").write_text(CONFIG)
    return folder


def shell(*words, cwd, status=0, **variables):
    """Run a script as a user would; return what it printed. Its programs share loaded packages."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("SV_")}
    done = subprocess.run(
        list(map(str, words)),
        cwd=cwd,
        env=environment | {"SV_PYTHON": fork_python()} | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=500,
    )
    assert done.returncode == status, done.stdout
    return done.stdout


@pytest.fixture(scope="module")
def spoken(clone):
    """The first mini recipe of the clone, with a small corpus; its stages 0 to 2 are complete."""
    recipe = clone / "egs" / "mini" / "v1"
    shell(recipe.parent / "local" / "make_corpus.sh", *SIZES, "corpus", "data", cwd=recipe)
    (
        recipe / "data" / ".made.mini.data"
    ).touch()  # as stage 0 leaves it, with the sizes of the recipe
    shell("./run.sh", "--stage", "1", "--stop-stage", "2", "--nj", "2", cwd=clone)
    return recipe


def test_the_mini_recipe_ends_with_a_table_and_skips_what_is_complete(clone, spoken):
    options = ["--stage", "1", "--config", "tiny.yaml", "--last", "2", "--nj", "2"]
    # This first run, as the only one of this file, is with the interpreter that users have.
    printed = shell("./run.sh", *options, cwd=clone, SV_PYTHON=sys.executable)
    report = spoken / "exp" / "simclr" / "report"
    assert f"report: {report / 'report.html'}" in printed
    for system in ("simclr", "untrained", "mean-fbank"):
        assert f"\n{system} " in printed
    systems = json.loads((report / "report.json").read_text())["systems"]
    assert len(systems) == 3
    assert "| simclr |" in (spoken / "exp" / "RESULTS.md").read_text()
    assert "They share no recording and no speaker." in (report / "report.html").read_text()
    model = report.parent / "model"
    assert f"model directory: {model}" in printed and (model / "calibration.json").exists()
    log = (spoken / "fbank" / "train" / "log" / "features.2.log").read_text()
    assert log.startswith("# python -m sv.bin.extract_features ")
    assert "exit status 0" in log

    again = shell("./run.sh", *options, cwd=clone)
    # Features of two sets, banks, training, average; for each of three systems two embeddings, the
    # cosines, two whitenings with their scores, and cosines before and after AS-norm.
    assert again.count("complete, skipped") == 5 + 3 * (2 + 1 + 4 + 2)
    assert "runs again" not in again

    options += ["--stop-stage", "3", "--name", "b", "--set", "train.epochs=3 optim.lr=0.01"]
    other = shell("./run.sh", *options, cwd=clone)
    assert other.count("complete, skipped") == 3  # features and banks are for any training
    epochs = (spoken / "exp" / "b" / "train.jsonl").read_text().splitlines()
    assert [json.loads(line)["lr"] for line in epochs] == [0.01] * 3

    # Hours of training are not thrown away because of a changed setting.
    options += ["--stage", "3", "--set", "train.epochs=4 optim.lr=0.01"]
    refused = shell("./run.sh", *options, cwd=clone, status=1)
    assert "runs again, because the settings have changed" in refused
    assert "belongs to another training: train.epochs was 3 and is 4" in refused
    assert "--name gives another folder, --force true starts over" in refused
    options[-1] = "train.epochs=3 optim.lr=0.01"
    assert "training of exp/b: complete, skipped" in shell("./run.sh", *options, cwd=clone)


@pytest.mark.thorough
def test_a_development_set_is_held_out_logged_and_calibrates_the_model(clone, spoken):
    options = ["--stage", "1", "--config", "tiny.yaml", "--last", "2", "--name", "held"]
    options += ["--dev-speakers", "4", "--calibrate", "dev", "--score", "as-norm"]
    printed = shell("./run.sh", *options, "--set", "train.dev_every=1", cwd=clone)
    assert "development set: 4 true speakers" in printed and "\nheld as-norm " in printed
    exp = spoken / "exp" / "held"
    rows = [json.loads(line) for line in (exp / "train.jsonl").read_text().splitlines()]
    assert all(0 <= row["dev_eer"] <= 1 for row in rows)
    assert json.loads((exp / "train.json").read_text())["dev_labels"] == "speakers"
    page = (exp / "report" / "report.html").read_text()
    assert "4 true speakers were held out as a development set" in page
    assert "dev/trials" in json.loads((exp / "model" / "calibration.json").read_text())["made_on"]
    figures = json.loads((exp / "report" / "calibrated" / "report.json").read_text())
    assert figures["systems"][0]["act_dcf"]
    refused = shell("./run.sh", "--calibrate", "dev", cwd=clone, status=2)
    assert "--calibrate dev needs a development set: give --dev-speakers" in refused
    refused = shell("./run.sh", "--score", "plda", cwd=clone, status=2)
    assert "--score takes cosine, centred, whitened or as-norm, not 'plda'" in refused


@pytest.mark.thorough
def test_the_recipe_with_ssps_compares_it_with_as_many_epochs_without(clone, spoken):
    recipe = spoken.parent / "v2"
    ssps = "ssps: {clusters: 4, nearest: 1, queue: 16, reference_seconds: 1.0}\n"
    (recipe / "conf" / "tiny.yaml").write_text(CONFIG + ssps)
    options = ["--stage", "1", "--method", "tiny", "--k", "4", "--epochs", "4", "--last", "2"]
    train = [*options, "--stop-stage", "5", "--upper-bound", "true"]
    printed = shell("./run.sh", "--recipe", "egs/mini/v2", *train, cwd=clone)
    assert "\nfeatures of ../v1: nothing to do (made with wave=false)\n" in printed
    for system in ("ssps", "baseline", "speakers"):
        assert (recipe / "exp" / f"tiny-0-{system}" / ".train.done").exists()
    rows = (recipe / "exp" / "tiny-0-ssps" / "train.jsonl").read_text().splitlines()
    assert [json.loads(row)["epoch"] for row in rows] == [3, 4]
    assert {"coverage", "oracle_nmi", "found_session"} <= json.loads(rows[-1]).keys()
    clusters = (recipe / "exp" / "tiny-0-base" / "clusters" / "utt2cluster").read_text()
    assert len(clusters.splitlines()) == 16
    again = shell("./run.sh", "--recipe", "egs/mini/v2", *options, cwd=clone)
    # Base, its average and embeddings, clusters, two trainings; the average of the base once more.
    assert again.count("complete, skipped") == 7 and "runs again" not in again
    for system in ("tiny-0-ssps", "tiny-0-baseline", "tiny-0-base"):
        assert f"\n{system} " in again


@pytest.mark.thorough
def test_the_third_recipe_trains_clusters_speakers_and_trains_again(clone, spoken):
    recipe = spoken.parent / "v3"
    tiny = "model.channels=16 model.pooled_channels=16 model.embedding_dim=16 data.crop_seconds=0.5"
    tiny += " train.epochs=2 train.batch_size=4 train.workers=0 optim.warmup_epochs=0"
    words = ["--recipe", "egs/mini/v3", "--stage", "3", "--stop-stage", "5"]
    words += ["--loss", "h_scl", "--num-clusters", "2", "--set", tiny]
    shell("./run.sh", *words, cwd=clone)
    base, exp = recipe / "exp" / "h_scl-0", recipe / "exp" / "h_scl-chns-0"
    assert len((base / "clusters" / "utt2cluster").read_text().splitlines()) == 8
    rows = [json.loads((e / "train.jsonl").read_text().splitlines()[-1]) for e in (base, exp)]
    assert rows[0]["speakers_seen"] <= 8 and "same_cluster" not in rows[0]
    assert rows[1]["same_cluster"] > 3 / 7  # of batches of 4 out of clusters that share 8
    assert "hard_ratio: 1" in (exp / "config.yaml").read_text()
    again = shell("./run.sh", *words, cwd=clone)
    assert again.count("complete, skipped") == 5  # base, average, voiceprints, clusters, training
    one = shell("./run.sh", *words, "--hard-ratio", "0", "--stage", "4", cwd=clone)
    assert one.count("h_scl, ratio 0: nothing to do") == 2

    (recipe / "data" / "labels" / "train").unlink()  # a link to those of v1
    (recipe / "data" / "labels" / "train").mkdir()
    words += ["--base", "other"]
    assert "there are no true speakers" in shell("./run.sh", *words, cwd=clone, status=2)
    assert not (recipe / "exp" / "other").exists()


@pytest.mark.thorough
def test_the_recipe_with_rounds_trains_on_clusters_and_goes_on_with_a_large_margin(clone, spoken):
    recipe, tiny = spoken.parent / "v5", "train.workers=0 data.crop_seconds=0.5 model.channels=16 "
    tiny += "model.pooled_channels=16 model.embedding_dim=16"
    (recipe / "conf" / "tiny.yaml").write_text("train: {epochs: 1, batch_size: 8, workers: 0}\n")
    words = ["--recipe", "egs/mini/v5", "--stage", "3", "--base-config", "conf/tiny.yaml"]
    words += ["--set", tiny, "--further", "train.batch_size=8 method.gate_start=1", "--k", "6"]
    words += ["--merge", "4", "--rounds", "1", "--epochs", "2", "--large", "1", "--last", "1"]
    words += ["--large-set", "method.margin=0.4 data.crop_seconds=0.6"]
    printed = shell("./run.sh", *words, cwd=clone)
    for name in ("base", "round1", "round1-large"):
        assert f"\n0-{name} " in printed
    assert (recipe / "exp" / "0-round1" / "round" / "losses.png").exists()
    last = json.loads((recipe / "exp" / "0-round1-large" / "round" / "round.json").read_text())
    assert last["classes"] == 4 and last["utterances"] == 16
    assert {"nmi", "purity", "right_labels"} <= last["oracle_never_for_training"].keys()

    again = [*words, "--stage", "4"]
    assert "runs again" not in shell("./run.sh", *again, "--stop-stage", "5", cwd=clone)
    many = shell("./run.sh", *again, "--k", "20", cwd=clone, status=1)
    assert "20 clusters" in many and "16" in many


def test_the_custom_recipe_reads_a_folder_of_the_caller(clone, spoken, tmp_path):
    shutil.copytree(spoken / "corpus" / "train", tmp_path / "my audio")
    words = ["--recipe", "egs/custom/v1", "--corpus", "my audio", "--stop-stage", "1"]
    printed = shell(clone / "run.sh", *words, cwd=tmp_path)
    assert "16 utterances" in printed
    data = clone / "egs" / "custom" / "v1" / "data"
    assert len((data / "train" / "feats.scp").read_text().splitlines()) == 16
    assert not (data / "test").exists()


@pytest.fixture
def work(clone, tmp_path):
    """A function that runs a stage script of the clone in a folder with a small corpus."""
    for number, name in enumerate(("anna/1", "anna/2", "ben/1", "ben/2", "carl/1")):
        path = tmp_path / "corpus" / f"{name}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        with wave.open(str(path), "wb") as file:
            file.setparams((1, 2, 16000, 0, "NONE", ""))
            file.writeframes((bytes(range(256)) * 101)[2 * number :][:25600])  # no two alike
    return lambda script, *words: shell(clone / "local" / script, *words, cwd=tmp_path, nj="1")


def test_stage_0_notices_other_trials_and_a_test_set_that_was_removed(work, tmp_path):
    trials = tmp_path / "corpus" / "trials"
    trials.write_text("1 anna/1.wav anna/2.wav\n0 anna/1.wav ben/1.wav\n")
    work("prepare_folder.sh", "corpus", "data")
    time = trials.stat().st_mtime_ns
    trials.write_text("1 anna/1.wav anna/2.wav\n0 anna/2.wav ben/1.wav\n")
    os.utime(trials, ns=(time, time))  # as a copy that keeps times
    assert "trials has changed" in work("prepare_folder.sh", "corpus", "data")
    assert "anna-2 ben-1" in (tmp_path / "data" / "test" / "trials").read_text()
    shutil.rmtree(tmp_path / "data" / "test")
    assert "data/test/trials is missing" in work("prepare_folder.sh", "corpus", "data")
    assert "complete, skipped" in work("prepare_folder.sh", "corpus", "data")
    assert "settings have changed" in work(
        "prepare_folder.sh", "--layout", "flat", "corpus", "data"
    )


def test_stage_1_runs_again_after_a_bad_utterance_was_allowed(work, tmp_path):
    with wave.open(str(tmp_path / "corpus" / "carl" / "1.wav"), "wb") as file:
        file.setparams((1, 2, 16000, 0, "NONE", ""))
        file.writeframes(bytes(25600))
    work("prepare_folder.sh", "corpus", "data")
    options = ["--max-bad", "0.3", "data/train", "fbank"]
    work("extract_features.sh", *options)
    feats = tmp_path / "data" / "train" / "feats.scp"
    assert len(feats.read_text().splitlines()) == 4
    assert "4 utterances" in work("extract_features.sh", "--force", "true", *options)
    assert len(feats.read_text().splitlines()) == 4


@pytest.mark.thorough
def test_stage_1_notices_audio_that_was_replaced_by_audio_of_the_same_length(work, tmp_path):
    work("prepare_folder.sh", "corpus", "data")
    words = ("extract_features.sh", "--wave", "true", "data/train", "fbank")
    assert "5 utterances" in work(*words)
    waves = tmp_path / "data" / "train" / "wav_ark.scp"
    assert len(waves.read_text().splitlines()) == 5
    assert "complete, skipped" in work(*words)
    before = (tmp_path / "fbank" / "raw_fbank.1.ark").read_bytes()
    assert "settings have changed" in work(*words[:-2], "--preset", "sslsv", *words[-2:])
    assert (tmp_path / "data" / "train" / "feats_preset").read_text() == "sslsv\n"
    other = (tmp_path / "fbank" / "raw_fbank.1.ark").read_bytes()
    assert "settings have changed" in work(*words)
    assert (tmp_path / "data" / "train" / "feats_preset").read_text() == "kaldi\n"
    assert (tmp_path / "fbank" / "raw_fbank.1.ark").read_bytes() == before != other
    audio = tmp_path / "corpus" / "anna" / "1.wav"
    content = bytearray(audio.read_bytes())
    content[1000:2000] = bytes(1000)
    audio.write_bytes(content)
    os.utime(audio, (1, 1))
    assert "settings have changed" in work(*words)
    assert (tmp_path / "fbank" / "raw_fbank.1.ark").read_bytes() != before
