"""Stage 7 and 8 of the recipes: the cosines, and the other scores without labels beside them."""

import json
import os
import shutil
import subprocess

import numpy as np
import pytest
from fork_server import fork_python

from sv.bin import embed_mean, report
from sv.errors import InputError
from sv.kaldi.arks import ArkWriter, load_vectors
from sv.scoring.score_file import read_info, read_scores

pytestmark = pytest.mark.whole

DIM, SPEAKERS, EACH = 12, 16, 4


def vectors_of(exp, name, seed, spread):
    generator = np.random.default_rng(seed)
    voices = generator.standard_normal((SPEAKERS, DIM)) + 0.5
    labels = np.repeat(np.arange(SPEAKERS), EACH)
    noise = generator.standard_normal((len(labels), DIM)) * np.linspace(spread, 0.3, DIM)
    ids = [f"{name.split('.')[0]}-{one:02d}-{n:03d}" for n, one in enumerate(labels)]
    path = exp / "embeddings" / name
    with ArkWriter(f"{path}.ark", f"{path}.scp") as out:
        for utterance, vector in zip(ids, voices[labels] + noise, strict=True):
            out.write(utterance, vector.astype(np.float32))
    return ids, labels


@pytest.fixture(scope="module")
def place(root, tmp_path_factory):
    """Two systems with all kinds of scores of a test set."""
    repository, root = root, tmp_path_factory.mktemp("kinds") / "a b"
    (root / "data/train").mkdir(parents=True)
    (root / "data/test").mkdir()
    for number, name in enumerate(("one", "two")):
        (root / "exp" / name).mkdir(parents=True)
        vectors_of(root / "exp" / name, "train.sample", 5 + number, 2.5)
        ids, labels = vectors_of(root / "exp" / name, "test", 7 + number, 2.5)
    generator = np.random.default_rng(0)
    pairs = generator.integers(0, len(ids), (800, 2))
    pairs[::2, 1] = pairs[::2, 0] // EACH * EACH + generator.integers(0, EACH, 400)
    pairs = pairs[pairs[:, 0] != pairs[:, 1]]
    lines = [f"{int(labels[i] == labels[j])} {ids[i]} {ids[j]}\n" for i, j in pairs]
    (root / "data/test/trials").write_text("".join(dict.fromkeys(lines)))
    (root / "data/labels/test").mkdir(parents=True)
    speakers = "".join(f"{u} {n}\n" for u, n in zip(ids, labels, strict=True))
    (root / "data/labels/test/utt2spk").write_text(speakers)
    words = ["data/test", "data/train", "exp/one", "exp/two"]
    done = stage(repository, root, "score_kinds.sh", *words)
    assert done.returncode == 0, done.stderr
    return root


def stage(root, place, script, *words, **variables):
    environment = {**os.environ, "SV_PYTHON": fork_python(), **variables}
    command = ["bash", str(root / "local" / script), *map(str, words)]
    return subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True)


def test_the_kinds_of_scores_stand_in_the_report(root, place):
    again = stage(root, place, "score_kinds.sh", "data/test", "data/train", "exp/one").stdout
    assert again.count("complete, skipped") == 7
    norm = read_info(place / "exp/one/as-norm/scores/test")["normalisation"]
    assert norm["top_n"] == 6 and norm["size"] == SPEAKERS * EACH and norm["labels"] == "none"
    centred = read_info(place / "exp/one/centred/scores/test")["whitening"]
    assert centred["by"] == "subtracting the mean"

    done = stage(root, place, "report.sh", "--results", "R.md", "data/test", "exp/one", "exp/two")
    assert done.returncode == 0, done.stderr
    record = json.loads((place / "exp/one/report/report.json").read_text())
    assert [one["name"] for one in record["systems"]] == ["one", "two"]
    kinds = record["systems"][0]["kinds"]
    assert list(kinds) == ["cosine", "centred", "whitened", "as-norm"]
    assert kinds["cosine"]["eer"] == record["eer"] and kinds["whitened"]["intervals"]["eer"]
    page = (place / "exp/one/report/report.html").read_text()
    assert "Equal error rates by kind of score" in page and "one as-norm − one" in page
    assert "EER % as-norm [95 %]" in (place / "R.md").read_text()
    head, _, row = (place / "R.md").read_text().splitlines()[-3:]
    assert head.count("|") == row.count("|")


def test_centred_scores_are_cosines_less_the_mean_of_the_sample(root, place):
    mean = load_vectors(f"scp:{place}/exp/one/embeddings/train.sample.scp")[1].mean(axis=0)
    ids, vectors = load_vectors(f"scp:{place}/exp/one/embeddings/test.scp")
    rows = dict(zip(ids, vectors - mean, strict=True))
    scores = read_scores(place / "exp/one/centred/scores/test")
    for row in range(0, len(scores.values), 50):
        a, b = rows[scores.names[scores.enrol[row]]], rows[scores.names[scores.test[row]]]
        cosine = a @ b / np.sqrt((a @ a) * (b @ b))
        assert scores.values[row] == pytest.approx(cosine, abs=2e-5)


def test_another_kind_may_be_the_system_and_old_scores_are_left_out(root, place, monkeypatch):
    monkeypatch.chdir(place)
    shutil.copytree("exp", "exp2", dirs_exist_ok=True)
    shutil.rmtree("exp2/two/whitened")
    words = ["--trials", "data/test/trials", "--kinds", "centred", "--resamples", "0"]
    words += ["--json", "r.json", "--scores", "exp2/one/scores/test", "exp2/two/scores/test"]
    report.main([*words, "--score", "whitened"])
    record = json.loads((place / "r.json").read_text())
    assert [one["name"] for one in record["systems"]] == ["one whitened", "two"]
    first = record["systems"][0]
    assert first["kinds"]["whitened"]["eer"] == first["eer"] and "whitening" in first
    assert "as-norm" not in first["kinds"]
    os.utime("exp/one/embeddings/test.scp")  # the facts name embeddings by this relative path
    report.main([*words])
    notes = json.loads((place / "r.json").read_text())["notes"]
    assert any("run stage 7 again" in note for note in notes)
    with pytest.raises(InputError, match="run stage 7"):
        report.main([*words, "--score", "whitened"])


def test_without_a_sample_or_with_cohort_0_there_are_cosines_only(root, place):
    (place / "exp/three/embeddings").mkdir(parents=True, exist_ok=True)
    for path in (place / "exp/one/embeddings").glob("test.*"):
        shutil.copy(path, place / "exp/three/embeddings")
    for variables in ({}, {"cohort": "0"}):
        words = ["score_kinds.sh", "data/test", "data/train", "exp/three"]
        done = stage(root, place, *words, **variables)
        assert done.returncode == 0, done.stderr
        assert sorted(p.name for p in (place / "exp/three").iterdir()) == ["embeddings", "scores"]


def test_two_test_sets_of_one_name_have_scores_of_their_own(root, place):
    for name in ("b", "c"):
        shutil.copytree(place / "data/test", place / name / "test")
        for form in ("ark", "scp"):
            old = place / f"exp/two/embeddings/test.{form}"
            new = place / f"exp/four/embeddings/{'' if name == 'b' else 'c-'}test.{form}"
            new.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(old, new)
        (place / f"exp/four/embeddings/.{'' if name == 'b' else 'c-'}test.data").write_text(
            f"../../../{name}/test\n"
        )
        done = stage(root, place, "score.sh", f"{name}/test", "exp/four")
        assert done.returncode == 0, done.stderr
    assert {"test", "c-test"} <= {p.name for p in (place / "exp/four/scores").iterdir()}
    done = stage(root, place, "report.sh", "--out", "r", "c/test", "exp/four")
    assert done.returncode == 0 and "four" in done.stdout, done.stderr
    assert "exp/four/scores/c-test" in (place / "r/report.html").read_text()


def test_mean_filterbanks_of_a_sample(write_features, tmp_path):
    data = write_features(tmp_path / "d", [20] * 9)
    out = tmp_path / "e"
    words = ["--data", str(data), "--center-on", str(data), "--out", str(out)]
    embed_mean.main([*words, "--sample", "3"])
    ids, vectors = load_vectors(f"scp:{out}.scp")
    assert ids == ["utt000", "utt004", "utt008"]
    embed_mean.main(words)
    np.testing.assert_array_equal(vectors, load_vectors(f"scp:{out}.scp")[1][::4])
