"""The real VoxCeleb recipe, all nine stages, on a miniature tree of the same shape.

The tree is made by egs/voxceleb/local/make_miniature.py: folders and names as distributed, wav and
(where ffmpeg is installed) m4a, three trial lists, MUSAN and RIRS_NOISES.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import soundfile
import test_recipe
import yaml

from sv.bin import synthesize
from sv.training.experiment import Experiment

pytestmark = pytest.mark.whole

ROOT = Path(__file__).resolve().parent.parent
CONFIGS = sorted((ROOT / "egs" / "voxceleb" / "v1" / "conf").glob("*.yaml"))
FFMPEG = shutil.which("ffmpeg")
TINY = (
    "data.crop_seconds=1.0 model.channels=[16,16,16,16] model.embedding_dim=32 "
    "train.epochs=1 train.batch_size=8 train.workers=0"
)

clone, shell = test_recipe.clone, test_recipe.shell


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """The miniature, of the voices of a small mini corpus."""
    folder = tmp_path_factory.mktemp("vox") / "my corpora"
    speech = folder.parent / "spoken"
    sizes = ["--train-speakers", "8", "--test-speakers", "4", "--sessions", "2"]
    sizes += ["--utterances", "2"]
    synthesize.main(["--out", str(speech), *sizes])
    program = ROOT / "egs" / "voxceleb" / "local" / "make_miniature.py"
    words = ["--out", folder, "--speech", speech, "--voxceleb2-format", "m4a" if FFMPEG else "wav"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, program, *words], env=environment, check=True)
    return folder


def options(tree):
    folders = {"voxceleb1": "voxceleb1", "voxceleb2": "voxceleb2", "trials": "trials"}
    folders |= {"musan": "musan", "rirs": "RIRS_NOISES", "counts": "counts"}
    return [word for name, folder in folders.items() for word in (f"--{name}", tree / folder)]


@pytest.mark.recipe
@pytest.mark.thorough
def test_all_nine_stages_on_a_miniature_tree(clone, tree):
    """One test, since a fixture would run the recipe anew in each process of the test run."""
    recipe = clone / "egs" / "voxceleb" / "v1"
    words = [*options(tree), "--nj", "1"]
    printed = shell(recipe / "run.sh", *words, "--last", "1", "--set", TINY, cwd=clone)
    headers = [line for line in printed.splitlines() if line.startswith("== stage")]
    assert [header.split()[2] for header in headers] == [f"{number}:" for number in range(9)]
    assert "layout vox1_dev_wav/wav/<speaker>/<video>/<utterance>.wav" in printed
    assert "layout dev/aac/<speaker>/<video>/<utterance>." in printed
    check_results(recipe, printed)
    check_training_set(recipe, tree)

    again = shell(recipe / "run.sh", *words, "--stop-stage", "2", cwd=clone)
    # Stage 0; features of two sets; two lists and the banks.
    assert again.count("complete, skipped") == 6 and "runs again" not in again

    def mistake(*words):
        words = [*words, "--nj", "1", "--stop-stage", "0"]
        printed = shell(recipe / "run.sh", *words, cwd=clone, status=2)
        assert "Traceback" not in printed
        assert (recipe / "data/trials/lists").read_text() == "vox1-o\nvox1-e\nvox1-h\n"
        return printed

    printed = mistake(*options(tree), "--train-set", "voxceleb1")
    assert "vox1-e: training labels and test labels share 3 speakers" in printed
    printed = mistake(*options(tree)[2:])
    assert "voxceleb1-dev is needed: give --voxceleb1, its folder" in printed
    printed = mistake(*options(tree), "--trials", "nowhere")
    assert "nowhere: there is no such folder of trial lists; give --trials DIR, or" in printed


STAGES = {"train.sh", "average.sh", "embed.sh", "cluster.sh", "cluster_speakers.sh"}
STAGES |= {"score_kinds.sh", "score_sources.sh", "report_round.sh"}
CALLERS = {"train_further.sh", "embed_systems.sh", "score_mixed.sh"}  # of the stages above
CALLERS |= {"cluster_round.sh", "train_round.sh"}
SSPS = ["exp/simclr-0-ssps", "exp/simclr-0-base"]
CHNS = ["exp/supcon-ecapa-chns-0", "exp/supcon-ecapa-0"]
CSC = ["exp/csc-0", "exp/simclr_noise-0", "exp/simclr_mixtures-0"]


@pytest.fixture(scope="module")
def said(clone, tmp_path_factory):
    """A clone whose stage scripts check what they are given, and then only say it."""
    copy = tmp_path_factory.mktemp("said") / "copy"
    shutil.copytree(clone, copy, ignore=shutil.ignore_patterns("mini", "custom", "data", "exp"))
    real = copy / "real"
    shutil.move(copy / "local", real)
    (copy / "local").mkdir()
    for name in STAGES:
        script = copy / "local" / name
        text = (real / name).read_text().split('/../path.sh"')[0] + '/../path.sh"\n'
        options = "ngpu=${ngpu:-} nnodes=${nnodes:-} nj=${nj:-}"
        settings = "${config:-} ${crops:+--crops $crops} ${set:-}"
        told = f'echo "RAN {name} {options} $*"\necho "WITH {name} {settings}"\n'
        script.write_text(text + told)
        script.chmod(0o755)
    for name in CALLERS:
        shutil.copy(real / name, copy / "local")
    return copy


@pytest.mark.recipe
@pytest.mark.parametrize(
    ("version", "more", "trained", "embedded", "others"),
    [
        ("v1", [], ["exp/simclr_am_0.1"], ["exp/simclr_am_0.1"], []),
        ("v2", [], SSPS[::-1], SSPS, []),
        ("v2", ["--pseudo-labels", "true"], SSPS[::-1], [SSPS[1], *SSPS], ["cluster.sh"]),
        ("v3", [], CHNS[::-1], CHNS, ["cluster_speakers.sh"]),
        (
            "v4",
            ["--stop-stage", 7],
            CSC,
            4 * CSC,
            4 * ["score_sources.sh"],
        ),
    ],
)
def test_machines_and_gpus_reach_every_stage_with_a_network(
    said, version, more, trained, embedded, others
):
    recipe = said / "egs" / "voxceleb" / version / "run.sh"
    words = ["--stage", 3, "--stop-stage", 6, "--ngpu", 4, "--nnodes", 2, "--nj", 5, *more]
    printed = shell(recipe, *words, cwd=said)
    ran = [line.split() for line in printed.splitlines() if line.startswith("RAN ")]
    calls = {name: [line for line in ran if line[1] == name] for name in STAGES}
    assert [line[-1] for line in calls["train.sh"]] == trained
    assert [line[-1] for line in calls["embed.sh"]] == embedded
    assert {line[4] for line in calls["embed.sh"]} == {"nj=5"}  # on a machine without a GPU
    found = [line[1] for line in ran if line[1] not in ("train.sh", "embed.sh")]
    assert [name for name in found if name not in ("average.sh", "score_kinds.sh")] == others
    for name in ("train.sh", "embed.sh", "cluster.sh"):
        assert all(line[2:4] == ["ngpu=4", "nnodes=2"] for line in calls[name])
    for name in ("cluster_speakers.sh", "score_sources.sh"):  # a machine is enough
        assert all(line[2] == "ngpu=4" for line in calls[name])
    assert ("only with --pseudo-labels true" in printed) == (version == "v2")


@pytest.mark.recipe
def test_machines_and_gpus_reach_every_stage_of_the_rounds(said):
    recipe = said / "egs" / "voxceleb" / "v5"
    words = ["--stage", 3, "--stop-stage", 6, "--ngpu", 4, "--nnodes", 2, "--rounds", 2]
    words += ["--gate", "fixed", "--epochs", 12, "--large", 3, "--large-set", "method.margin=0.4"]
    missing = shell(recipe / "run.sh", *words, cwd=said, status=2)
    assert "exp/0-base has no embeddings of data/train" in missing
    for exp in ("0-base", "0-round1"):
        for name in ("embeddings/train.scp", "clusters/utt2cluster"):
            (recipe / "exp" / exp / name).parent.mkdir(parents=True, exist_ok=True)
            (recipe / "exp" / exp / name).touch()
    printed = shell(recipe / "run.sh", *words, cwd=said)
    ran = [line.split() for line in printed.splitlines() if line.startswith("RAN ")]
    assert all(line[2:4] == ["ngpu=4", "nnodes=2"] for line in ran if "score" not in line[1])
    rounds = ["exp/0-round1", "exp/0-round2", "exp/0-round2-large"]
    trained = [line[-1] for line in ran if line[1] == "train.sh"]
    assert trained == ["exp/0-base", *rounds]
    assert [line[-1] for line in ran if line[1] == "report_round.sh"] == rounds
    embedded = [line[-2:] for line in ran if line[1] == "embed.sh"]
    assert embedded[:2] == [["data/train", exp] for exp in ("exp/0-base", rounds[0])]
    assert embedded[2:] == [["data/voxceleb1", exp] for exp in (*rounds[::-1], "exp/0-base")]
    clustered = [line[-2:] for line in ran if line[1] == "cluster.sh"]
    assert clustered == [[f"exp/{e}/embeddings/train.scp", f"exp/{e}/clusters"] for e in FROM]
    _, *calls = told_settings(printed, "train.sh")
    first, second, large = (Experiment.load(recipe / words[0], words[1:]) for words in calls)
    assert [first.method.gate_loss, second.method.gate_loss] == [1, 3]  # of five rounds, published
    assert [e.train.epochs for e in (first, second, large)] == [12, 12, 15]
    assert (second.method.margin, large.method.margin) == (0.2, 0.4)
    assert large.method.gate_start == 13 and large.optim == second.optim
    shutil.rmtree(recipe / "exp")


FROM = ["0-base", "0-round1"]
"""What gives the clusters of two rounds."""


def told_settings(printed, script):
    """Return the words after the name of a script, of each call: its settings."""
    lines = [line.split() for line in printed.splitlines() if line.startswith(f"WITH {script} ")]
    return [words[2:] for words in lines]


@pytest.mark.recipe
@pytest.mark.parametrize(
    ("method", "options", "stops", "planned"),
    [
        ("simclr", [], (100, 120), 120),
        ("dino_as_published", [], (80, 100), 100),
        ("moco", ["--epochs", 12, "--set", "train.epochs=10"], (10, 12), 12),
        ("dino", ["--epochs", 12, "--set", "train.stop=7"], (7, 12), 12),
    ],
)
def test_both_phases_of_v2_share_a_plan(said, method, options, stops, planned):
    """The base stops inside the plan that stage 5 ends, so that no rate jumps between them."""
    recipe = said / "egs" / "voxceleb" / "v2"
    words = ["--stage", 3, "--stop-stage", 5, "--method", method, "--baseline", "true", *options]
    printed = shell(recipe / "run.sh", *words, cwd=said)
    calls = told_settings(printed, "train.sh")
    assert len(calls) == 3
    base, further, baseline = (Experiment.load(recipe / words[0], words[1:]) for words in calls)
    assert [phase.train.until for phase in (base, further, baseline)] == [stops[0], *2 * stops[1:]]
    assert {phase.train.epochs for phase in (base, further, baseline)} == {planned}
    assert [phase.ssps.enabled for phase in (base, further, baseline)] == [False, True, False]
    assert base.optim == further.optim == baseline.optim
    assert further.ssps.fill == "pass" and further.data.preset == base.data.preset


@pytest.mark.recipe
@pytest.mark.parametrize("version", ["v1", "v2", "v3"])
def test_crops_are_embedded_and_scored_besides_whole_utterances(said, version):
    recipe = said / "egs" / "voxceleb" / version
    (recipe / "data" / "trials").mkdir(parents=True, exist_ok=True)
    (recipe / "data" / "trials" / "lists").write_text("vox1-o\n")
    words = ["--stage", 6, "--stop-stage", 7]
    plain = shell(recipe / "run.sh", *words, cwd=said)
    cropped = shell(recipe / "run.sh", *words, "--crops", 10, cwd=said)
    shutil.rmtree(recipe / "data")
    for script in ("embed.sh", "score_kinds.sh"):
        whole = told_settings(plain, script)
        assert whole and not any(whole)
        both = told_settings(cropped, script)
        assert sorted(both) == sorted(whole + [["--crops", "10"]] * len(whole))


@pytest.mark.recipe
def test_every_stage_that_can_use_a_gpu_is_tried_above():
    able = {p.name for p in (ROOT / "local").glob("*.sh") if "\nngpu=" in p.read_text()}
    assert able - CALLERS <= STAGES


@pytest.mark.recipe
def test_voiceprints_and_sources_ask_for_one_gpu(said, tmp_path, monkeypatch):
    """By their real scripts; those that they call, and the launcher, say what they are given."""
    for name in ("exp/final.pt", "data/feats.scp", "data/utt2num_frames", "data/trials", "labels"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    launcher = tmp_path / "launcher"
    made = "exp/voiceprints.scp exp/voiceprints.ark exp-sources/scores/data"
    launcher.write_text(f'#!/bin/sh\necho "LAUNCH $*"\nmkdir -p exp-sources/scores\ntouch {made}\n')
    launcher.chmod(0o755)
    monkeypatch.setenv("cmd", str(launcher))
    monkeypatch.delenv("train_cmd", raising=False)
    for script, words, module, log in (
        ("cluster_speakers.sh", ["data", "labels", "exp"], "voiceprints", "voiceprints"),
        ("score_sources.sh", ["data", "exp"], "score_sources", "score_sources.data"),
    ):
        printed = shell(said / "real" / script, "--ngpu", 4, *words, cwd=tmp_path)
        launched = f"LAUNCH --gpu 1 exp/log/{log}.log python -m sv.bin.{module}"
        assert launched in printed
        assert ("RAN cluster.sh ngpu=4" in printed) == (script == "cluster_speakers.sh")
        printed = shell(said / "real" / script, "--force", "true", *words, cwd=tmp_path)
        assert launched.replace("--gpu 1 ", "") in printed


def check_results(recipe, printed):
    report = recipe / "exp" / "simclr_am_0.1" / "report"
    for name, count in (("vox1-o", 12), ("vox1-e", 42), ("vox1-h", 42)):
        record = json.loads((report / name / "report.json").read_text())
        assert record["trials"]["path"].endswith(f"data/trials/{name}")
        assert f"{count} scores in exp/simclr_am_0.1/scores/{name}" in printed
    rows = (recipe / "exp" / "RESULTS.md").read_text()
    assert rows.count("| simclr_am_0.1 |") == 3 and "trials/vox1-o (" in rows
    resolved = yaml.safe_load((recipe / "exp/simclr_am_0.1/config.yaml").read_text())
    assert resolved["model"]["mel_bins"] == 40 and resolved["data"]["normalise"] == "mean_var"


def check_training_set(recipe, tree):
    pairs = [line.split() for line in (recipe / "data/train/utt2spk").read_text().splitlines()]
    assert len(pairs) == 16 and all(key == speaker for key, speaker in pairs)
    assert {key.partition("-")[0] for key, _ in pairs} == {
        "id00012",
        "id00015",
        "id00016",
        "id09272",
    }
    line = (recipe / "data" / "train" / "wav.scp").read_text().splitlines()[0]
    path = Path(line.split(" ", 1)[1])
    if FFMPEG:
        assert path == recipe / "corpus/voxceleb2-dev/id00012/-a_b-C1dEfG/00001.flac"
        assert soundfile.info(path).duration > 1.0
    else:
        assert path == tree / "voxceleb2/dev/aac/id00012/-a_b-C1dEfG/00001.wav"
    assert not list((tree / "voxceleb2").rglob("*.flac"))


@pytest.mark.skipif(not FFMPEG, reason="ffmpeg is not installed: the tree has wav, not m4a")
@pytest.mark.thorough
def test_the_miniature_tree_has_m4a(tree):
    assert len(list((tree / "voxceleb2/dev").rglob("*.m4a"))) == 16


OF_DINO = {"rdino", "sdpn", "ca_dino"}
"""Their base is DINO's row of v2: 80 mel bands; nothing, noise, room, both: a quarter each."""


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_configuration_says_what_it_repeats_and_has_known_keys(path):
    text = path.read_text()
    assert text.startswith("# ")
    assert "arXiv" in text or "no published figure" in " ".join(text.replace("#", "").split())
    settings = Experiment.load(path)
    of_dino = path.stem in OF_DINO
    assert settings.model.mel_bins == (80 if of_dino else 40)
    assert settings.data.crop_seconds == 2.0
    whole = path.stem == "simclr_symmetric"  # all others are what differs from it
    assert whole or len(text.splitlines()) <= 8
    share = 0.5 if of_dino else 1.0
    assert settings.augment.noise_probability == settings.augment.room_probability == share


def test_the_table_of_the_readme_names_every_configuration():
    table = (ROOT / "egs" / "voxceleb" / "README.md").read_text()
    assert [path.name for path in CONFIGS if f"`v1/conf/{path.name}`" not in table] == []
