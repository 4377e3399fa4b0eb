"""A model directory with whitening: its embeddings are those that the report measured."""

import json

import numpy as np
import pytest

import sv
from sv.audio.files import write_audio
from sv.bin import export, package, verify
from sv.errors import InputError
from sv.files import sha256
from sv.kaldi.arks import ArkWriter
from sv.scoring.calibration import Calibration
from sv.scoring.whitening import WhitenedCosine, Whitening

pytestmark = pytest.mark.whole

RATE = 16000


def noise(seconds, seed):
    samples = 0.1 * np.random.default_rng(seed).standard_normal(int(seconds * RATE))
    return samples.astype(np.float32)


def test_package_whitens_as_the_report_measured(write_model, tmp_path, capsys):
    """``sv verify``, ``sv embed`` and the graph give the scores of ``sv.bin.score --whitening``."""
    exp = tmp_path / "exp"
    write_model(exp / "final.pt", "ecapa")
    plain = sv.load(exp / "final.pt")
    vectors = np.stack([plain.embed(noise(0.5, seed), RATE) for seed in range(20)])
    fitted = Whitening("pca", 0.1, 5).fit(vectors)
    fitted.save(tmp_path / "w.safetensors")
    system = {"eer": 0.2, "intervals": {}, "min_dcf": {}}
    whitened = {**system, "eer": 0.05, "whitening": sha256(tmp_path / "w.safetensors")}
    figures = {"systems": [system, whitened], "trials": {"path": "t", "sha256": "abc"}}
    report = tmp_path / "report.json"
    report.write_text(json.dumps(figures))
    ids = [f"u{number}" for number in range(20)]
    with ArkWriter(tmp_path / "e.ark", tmp_path / "e.scp") as writer:
        for name, vector in zip(ids, vectors, strict=True):
            writer.write(name, vector)
    (tmp_path / "trials").write_text("1 u0 u1\n0 u2 u3\n1 u4 u5\n0 u1 u2\n")
    command = ["--exp", str(exp), "--out", str(tmp_path / "m"), "--report", str(report)]
    command += ["--whitening", str(tmp_path / "w.safetensors")]
    fit = ["--embeddings", str(tmp_path / "e.scp"), "--trials", str(tmp_path / "trials")]
    package.main([*command, *fit])
    card = (tmp_path / "m" / "README.md").read_text()
    assert "5.00 %" in card and "20.00 %" not in card and "whitened (pca, shrinkage 0.1" in card
    model = sv.load(tmp_path / "m")
    assert model.dim == 5
    found = np.stack([model.embed(noise(0.5, seed), RATE) for seed in range(6)])
    np.testing.assert_allclose(found, fitted.transform(vectors[:6]), rtol=1e-4, atol=1e-4)
    rows = WhitenedCosine(fitted).prepare(ids, vectors.copy()).rows
    for seed, name in enumerate("ab"):
        write_audio(tmp_path / f"{name}.wav", noise(0.5, seed), RATE)
    words = [str(tmp_path / "a.wav"), str(tmp_path / "b.wav"), "--model", str(tmp_path / "m")]
    capsys.readouterr()
    verify.main([*words, "--json"])
    result = json.loads(capsys.readouterr().out)
    assert result["cosine"] == pytest.approx(float(rows[0] @ rows[1]), abs=1e-3)  # 16 bit files
    expected = Calibration(0.05).fit(
        np.array([rows[i] @ rows[j] for i, j in ((0, 1), (2, 3), (4, 5), (1, 2))]),
        np.array([1, 0, 1, 0], bool),
    )
    assert model.calibration.scale == pytest.approx(expected.weights_[0], rel=1e-3)
    graph = ["--format", "torchscript", "--out", str(tmp_path / "m.ts")]
    export.main(["--model", str(tmp_path / "m"), *graph])  # compares it with the model
    report.write_text(json.dumps({**figures, "systems": [system]}))
    package.main(command)
    assert "has no figures of scores that" in capsys.readouterr().err
    assert "Nothing was measured" in (tmp_path / "m" / "README.md").read_text()
    Whitening().fit(vectors[:, :4]).save(tmp_path / "w.safetensors")
    with pytest.raises(InputError, match="whitens 4 dimensions, and the model gives 12"):
        package.main(command)
