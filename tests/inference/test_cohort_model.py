"""A model directory with a cohort: `sv verify` gives the AS-normalised scores of the report."""

import json

import numpy as np
import pytest

import sv
from sv.audio.files import write_audio
from sv.bin import normalize_scores, package, score, verify
from sv.errors import InputError
from sv.inference.export import describe
from sv.kaldi.arks import ArkWriter
from sv.scoring.score_file import read_scores
from sv.scoring.score_norm import as_norm, as_norm_pair

pytestmark = pytest.mark.whole

RATE = 16000


def noise(seed):
    return 0.1 * np.random.default_rng(seed).standard_normal(RATE // 2).astype(np.float32)


def write(name, first, vectors):
    with ArkWriter(f"{name}.ark", f"{name}.scp") as writer:
        for number, vector in enumerate(vectors, first):
            writer.write(f"u{number}", vector)


@pytest.fixture
def place(write_model, tmp_path, monkeypatch):
    """An experiment with cosines and AS-normalised cosines of a few trials."""
    monkeypatch.chdir(tmp_path)
    write_model(tmp_path / "exp/final.pt", "ecapa")
    plain = sv.load("exp/final.pt")
    vectors = [plain.embed(noise(seed), RATE) for seed in range(26)]
    write("e", 0, vectors[:6])
    write("train", 6, vectors[6:])
    (tmp_path / "trials").write_text("1 u0 u1\n0 u2 u3\n1 u4 u5\n0 u1 u2\n")
    words = ["--embeddings", "scp:e.scp"]
    score.main(["--trials", "trials", *words, "--output", "plain"])
    words += ["--cohort", "scp:train.scp", "--top-n", "5", "--output", "as"]
    normalize_scores.main(["--scores", "plain", *words])
    return tmp_path


def test_verify_gives_the_scores_that_the_report_measured(place, capsys):
    words = ["--exp", "exp", "--out", "m", "--like", "as"]
    package.main([*words, "--embeddings", "e.scp", "--trials", "trials"])
    model = sv.load("m")
    assert model.cohort[0].shape == (20, model.dim) and model.cohort[1] == 5
    measured = read_scores("as").values
    for seed, name in enumerate("ab"):
        write_audio(place / f"{name}.wav", noise(seed), RATE)
    capsys.readouterr()
    verify.main(["a.wav", "b.wav", "--model", "m", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert found["as_norm"] == pytest.approx(measured[0], abs=0.05)  # 16-bit audio
    assert found["llr"] == pytest.approx(model.calibration.llr(found["as_norm"]))
    verify.main(["a.wav", "b.wav", "--model", "m", "--threshold", "-50"])
    assert "same speaker" in capsys.readouterr().out
    card = (place / "m/README.md").read_text()
    assert "AS-normalised by a cohort (20 training utterances, top 5)" in card
    assert "× normalised cosine" in card
    assert describe(model)["calibration"] == "none"


def test_the_score_of_a_pair_is_that_of_the_matrix_form():
    generator = np.random.default_rng(0)
    pair, cohort = generator.standard_normal((2, 8)), generator.standard_normal((30, 8))
    cohort /= np.linalg.norm(cohort, axis=1, keepdims=True)
    a, b = pair / np.linalg.norm(pair, axis=1, keepdims=True)
    rows = [(one @ cohort.T)[None] for one in (a, b)]
    expected = as_norm(np.array([a @ b]), *rows, 10)[0]
    assert as_norm_pair(a @ b, pair, cohort, 10) == pytest.approx(expected, abs=1e-4)


def test_a_model_without_a_cohort_takes_no_other_thresholds(place):
    for name in "ab":
        write_audio(place / f"{name}.wav", noise(1), RATE)
    words = ["a.wav", "b.wav", "--model", "exp/final.pt", "--threshold"]
    with pytest.raises(InputError, match="--threshold"):
        verify.main([*words, "2"])
    verify.main([*words, "0.5"])


def test_scores_that_a_model_cannot_give_are_refused(place):
    words = ["--exp", "exp", "--out", "m", "--like"]
    with pytest.raises(InputError, match="these scores are made otherwise"):
        package.main([*words, "nothing"])
    facts = json.loads((place / "as.json").read_text())
    facts["normalisation"]["members"] = "means of clusters"
    (place / "as.json").write_text(json.dumps(facts))
    with pytest.raises(InputError, match="these scores are made otherwise"):
        package.main([*words, "as"])
