"""Stage 7 as it is run: the programs and shell scripts, from plain cosines to fused scores."""

import os
import subprocess

import numpy as np
import pytest
from fork_server import fork_python

from sv.bin import calibrate, normalize_scores, plda, score
from sv.data.trials import read_trials
from sv.errors import InputError
from sv.kaldi.arks import ArkWriter, load_vectors
from sv.scoring import metrics
from sv.scoring.cosine import unit_rows
from sv.scoring.score_file import match_scores, read_info, read_scores
from sv.scoring.score_norm import as_norm
from sv.scoring.whitening import Whitening

pytestmark = pytest.mark.whole

DIM, SPEAKERS, EACH = 12, 30, 4
SETS = ("train", "dev", "test")


def make_set(data, exp, name, seed):
    """Write trials, utt2dur and the embeddings of speakers nobody else has."""
    generator = np.random.default_rng(seed)
    voices = generator.standard_normal((SPEAKERS, DIM)) + 0.5
    labels = np.arange(SPEAKERS * EACH) % SPEAKERS
    noise = generator.standard_normal((len(labels), DIM)) * np.linspace(2.5, 0.3, DIM)
    ids = [f"{name}-{speaker:02d}-{n:03d}" for n, speaker in enumerate(labels)]
    with ArkWriter(exp / "embeddings" / f"{name}.ark", exp / "embeddings" / f"{name}.scp") as out:
        for utterance, vector in zip(ids, voices[labels] + noise, strict=True):
            out.write(utterance, vector.astype(np.float32))
    pairs = generator.integers(0, len(ids), (900, 2))
    pairs[::2, 1] = (pairs[::2, 0] + SPEAKERS) % len(ids)
    pairs = pairs[pairs[:, 0] != pairs[:, 1]]
    folder = data / name
    folder.mkdir(parents=True)
    lines = [f"{int(labels[i] == labels[j])} {ids[i]} {ids[j]}\n" for i, j in pairs]
    (folder / "trials").write_text("".join(dict.fromkeys(lines)))
    (folder / "utt2dur").write_text("".join(f"{u} {generator.uniform(2, 9):.2f}\n" for u in ids))
    tables = data / "labels" / name
    tables.mkdir(parents=True)
    for table in ("utt2spk", "utt2cluster"):
        (tables / table).write_text("".join(f"{u} {u[:-4]}\n" for u in ids))


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A folder with blanks in its name, data and embeddings."""
    root = tmp_path_factory.mktemp("with blanks") / "a b"
    (root / "exp").mkdir(parents=True)
    for seed, name in enumerate(SETS):
        make_set(root / "data", root / "exp", name, seed)
    return root


@pytest.fixture
def place(built, monkeypatch):
    monkeypatch.chdir(built)
    return built


def scp(name):
    return f"scp:exp/embeddings/{name}.scp"


def scored(name, output, *options):
    score.main(
        ["--trials", f"data/{name}/trials", "--embeddings", scp(name), "--output", output, *options]
    )
    return output


def read(path, name="test"):
    trials = read_trials(f"data/{name}/trials")
    return match_scores(read_scores(path), trials), trials


def normalise(source, output, *options):
    words = ["--scores", source, "--embeddings", scp("test"), "--cohort", scp("train")]
    normalize_scores.main([*words, "--output", output, *options])
    return output


def test_as_norm_from_files_equals_the_function(place, capsys):
    plain = scored("test", "out/plain")
    values, trials = read(plain)
    normalised, _ = read(normalise(plain, "out/as", "--top-n", "20"))
    ids, vectors = load_vectors(scp("test"))
    units, cohort = unit_rows(ids, vectors), unit_rows(*load_vectors(scp("train")))
    of_name = trials.rows_of(ids, "-")
    left, right = (units[of_name[side]] @ cohort.T for side in (trials.enrol, trials.test))
    np.testing.assert_allclose(normalised, as_norm(values, left, right, 20), atol=2e-4)
    info = read_info("out/as")
    assert info["backend"] == "cosine" and info["labels"] == "none"
    assert info["normalisation"]["top_n"] == 20
    assert info["normalisation"]["members"] == "utterances"
    assert "not self-supervised" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("option", "labels"), [("--cohort-utt2cluster", "clusters"), ("--cohort-utt2spk", "speakers")]
)
def test_cohorts_of_means_are_marked(place, capsys, option, labels):
    plain = scored("test", "out/plain")
    table = f"data/labels/train/{option.removeprefix('--cohort-')}"
    normalise(plain, "out/means", option, table, "--kind", "s")
    info = read_info("out/means")
    assert info["labels"] == labels
    assert info["normalisation"]["size"] == SPEAKERS
    assert ("not self-supervised" in capsys.readouterr().out) == (labels == "speakers")


def test_centring_and_cohort_size(place, capsys):
    centre = ["--center-on", scp("train")]
    plain = scored("test", "out/centred", *centre)
    values, trials = read(plain)
    ids, vectors = load_vectors(scp("test"))
    mean = load_vectors(scp("train"))[1].mean(axis=0)
    units = unit_rows(ids, vectors, mean)
    of_name = trials.rows_of(ids, "-")
    expected = np.sum(units[of_name[trials.enrol]] * units[of_name[trials.test]], axis=1)
    np.testing.assert_allclose(values, expected, atol=1e-5)
    assert read_info(plain)["centred_on"] == scp("train")
    normalise(plain, "out/z", *centre, "--kind", "as", "--cohort-size", "40", "--top-n", "50")
    assert "takes all of a cohort of 40: this is S-norm" in capsys.readouterr().err
    assert read_info("out/z")["normalisation"]["size"] == 40


def test_whitening_from_its_file_with_another_mean_and_not_with_plda(place):
    fitted = Whitening(shrinkage=0.2).fit(load_vectors(scp("train"))[1])
    fitted.save("out/white.safetensors")
    plain = scored("test", "out/white", "--whitening", "out/white.safetensors")
    values, trials = read(plain)
    ids, vectors = load_vectors(scp("test"))
    of_name = trials.rows_of(ids, "-")

    def cosines(mean):
        units = unit_rows(ids, (vectors - mean) @ fitted.projection_)
        return np.sum(units[of_name[trials.enrol]] * units[of_name[trials.test]], axis=1)

    np.testing.assert_allclose(values, cosines(fitted.mean_), atol=1e-5)
    both = ["--whitening", "out/white.safetensors", "--center-on", scp("dev")]
    values, _ = read(scored("test", "out/both", *both))
    np.testing.assert_allclose(values, cosines(load_vectors(scp("dev"))[1].mean(axis=0)), atol=1e-5)
    with pytest.raises(InputError, match="--plda or --whitening, not both"):
        scored("test", "out/never", "--whitening", "out/white.safetensors", "--plda", "p")
    with pytest.raises(InputError, match="are not those of these embeddings"):
        normalise(plain, "out/never")


def test_scores_of_another_system_are_not_normalised(place):
    plain = scored("test", "out/centred", "--center-on", scp("train"))
    with pytest.raises(InputError, match="are not those of these embeddings"):
        normalise(plain, "out/never")
    assert not os.path.exists("out/never")
    with pytest.raises(InputError, match="is the file of --scores"):
        normalise(plain, "out/../out/centred")


def test_a_cohort_of_test_utterances_is_refused(place):
    plain = scored("test", "out/plain")
    with pytest.raises(InputError, match="120 utterances of the cohort are in the trials"):
        normalise(plain, "out/never", "--cohort", scp("test"))
    with pytest.raises(InputError, match="not both"):
        table = "data/labels/train/utt2spk"
        normalise(plain, "out/never", "--cohort-utt2spk", table, "--cohort-utt2cluster", table)
    with pytest.raises(InputError, match="120 of 120 utterances.*have no label"):
        normalise(plain, "out/never", "--cohort-utt2cluster", "data/labels/dev/utt2cluster")


def test_plda_with_pseudo_labels(place, capsys):
    words = ["--embeddings", scp("train"), "--lda-dim", "8", "--out", "out/p.safetensors"]
    plda.main([*words, "--utt2cluster", "data/labels/train/utt2cluster"])
    assert "labelled by clusters" in capsys.readouterr().out
    values, trials = read(scored("test", "out/plda", "--plda", "out/p.safetensors"))
    cosines, _ = read(scored("test", "out/plain"))
    assert metrics.eer(values, trials.labels) < 0.7 * metrics.eer(cosines, trials.labels)
    assert read_info("out/plda")["labels"] == "clusters"
    normalise("out/plda", "out/plda-as", "--plda", "out/p.safetensors", "--top-n", "30")
    assert read_info("out/plda-as")["normalisation"]["kind"] == "as"
    with pytest.raises(SystemExit):
        plda.main(words)


def test_calibration_and_fusion(place, capsys):
    names = {}
    for name in ("dev", "test"):
        names[name] = [
            scored(name, f"out/{name}-a"),
            scored(name, f"out/{name}-b", "--center-on", scp("train")),
        ]
    model = ["--model", "out/fusion.safetensors"]
    learn = ["--dev-trials", "data/dev/trials", "--dev-scores", *names["dev"]]
    apply = ["--scores", *names["test"], "--output", "out/fused"]
    dev_quality = ["--dev-quality", "data/dev/utt2dur", scp("dev")]
    quality = ["--quality", "data/test/utt2dur", scp("test")]
    calibrate.main([*model, *learn, *dev_quality, *apply, *quality])
    together = (place / "out/fused").read_bytes()
    llr, trials = read("out/fused")
    assert metrics.cllr(llr, trials.labels) < 0.9
    info = read_info("out/fused")
    assert info["llr"] and info["labels"] == "none" and len(info["fused"]) == 2
    assert info["calibration"]["columns"][2:4] == ["least log utt2dur", "largest log utt2dur"]
    assert not info["calibration"]["learned_on_test"]
    calibrate.main([*model, *apply, *quality])  # later, from the model alone
    assert (place / "out/fused").read_bytes() == together
    with pytest.raises(InputError, match="was learned from score 1, score 2, least log"):
        calibrate.main([*model, *apply])
    capsys.readouterr()
    calibrate.main([*model, *learn, "--scores", *names["dev"], "--output", "out/cheat"])
    assert "learned from these same trials" in capsys.readouterr().err
    assert read_info("out/cheat")["calibration"]["learned_on_test"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "nothing to do"),
        (["--dev-trials", "x"], "go together"),
        (["--scores", "x"], "go together"),
    ],
)
def test_half_a_command(words, sentence):
    with pytest.raises(InputError, match=sentence):
        calibrate.main(["--model", "m", *words])


def test_old_facts_never_describe_new_scores(place):
    plain = scored("test", "out/again")
    assert read_info(plain)["backend"] == "cosine"
    from sv.scoring.score_file import write_scores

    trials = read_trials("data/test/trials")
    write_scores(plain, trials, np.zeros(len(trials)))
    assert read_info(plain) == {}


def shell(root, script, *words, cwd):
    environment = {**os.environ, "SV_PYTHON": fork_python()}
    command = ["bash", str(root / "local" / script), *map(str, words)]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)


def test_the_stage_scripts(root, place, tmp_path):
    """From another folder, with blanks in the paths; the second time nothing is done again."""
    data, exp = place / "data", place / "exp"

    def run(script, *words):
        done = shell(root, script, *words, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        return done.stdout

    clusters = data / "labels" / "train" / "utt2cluster"
    run("plda.sh", "--utt2cluster", clusters, "--lda-dim", "8", data / "train", exp)
    for name in ("dev", "test"):
        run("score.sh", data / name, exp)
        run("score.sh", "--center", data / "train", "--out", exp / "centred", data / name, exp)
    whitened = ["--whiten", data / "train", "--whiten-shrinkage", "0.2", "--norm", "as"]
    whitened += ["--top-n", "20", "--cohort", data / "train", "--out", exp / "white"]
    run("score.sh", *whitened, data / "test", exp)
    normalised = ["--plda", exp / "plda" / "train.safetensors", "--norm", "as", "--top-n", "20"]
    normalised += ["--cohort", data / "train", "--out", exp / "as", data / "test", exp]
    run("score.sh", *normalised)
    fused = ["--durations", "true", "--magnitudes", exp]
    fused += [data / "dev", data / "test", exp / "fused", exp, exp / "centred"]
    run("calibrate.sh", *fused)
    info = read_info(exp / "as/scores/test")
    assert info["backend"] == "plda" and info["labels"] == "clusters"
    assert info["normalisation"]["kind"] == "as" and info["normalisation"]["top_n"] == 20
    info = read_info(exp / "white/scores/test")
    assert info["whitening"]["by"] == "zca, shrinkage 0.2" and info["normalisation"]["kind"] == "as"
    assert Whitening.load(exp / "whitening/train-0.2.safetensors").shrinkage == 0.2
    columns = read_info(exp / "fused/scores/test")["calibration"]["columns"]
    assert columns[2::2] == ["least log utt2dur", "least log magnitude"]
    assert run("score.sh", *normalised).count("complete, skipped") == 2
    assert run("calibrate.sh", *fused).count("complete, skipped") == 1


def test_mistakes_of_the_stage_scripts(root, place, tmp_path):
    done = shell(root, "score.sh", "--norm", "as", place / "data/test", place / "exp", cwd=tmp_path)
    assert done.returncode == 2 and "needs --cohort" in done.stderr
    done = shell(root, "score.sh", "--norm", "zt", place / "data/test", place / "exp", cwd=tmp_path)
    assert done.returncode == 2 and "takes none, z, t, s or as" in done.stderr
    done = shell(root, "plda.sh", place / "data/train", place / "exp", cwd=tmp_path)
    assert done.returncode == 2 and "one of --utt2cluster and --utt2spk" in done.stderr
