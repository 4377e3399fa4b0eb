"""The examples of docs/extend.md, written into a copy of the toolkit and run."""

import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
import soundfile

pytestmark = pytest.mark.whole

BLOCK = re.compile(r"^```(?:python|yaml)\n# (add to )?(\S+)\n(.*?)^```", re.MULTILINE | re.DOTALL)

TRY = """
import sys

import numpy as np
import torch
import tiny_methods

from sv.encoders import ENCODERS, build_encoder
from sv.methods import METHODS
from sv.bin import config, train
from sv.scoring.norms import NORMS
from sv.scoring.pairs import Prepared, Sides, score_sides

# The encoder: an utterance alone and in a padded batch has the same embedding.
encoder = build_encoder(ENCODERS["small_tdnn"][1](mel_bins=8, channels=16, embedding_dim=12)).eval()
x = torch.randn(2, 40, 8)
alone = encoder(x[:1, :25])
torch.testing.assert_close(encoder(x, torch.tensor([25, 40]))[:1], alone, rtol=1e-4, atol=1e-5)

# The method, with that encoder: it trains.
assert sorted(tiny_methods.TINY) == sorted(METHODS)
data, out = sys.argv[1:]
common = [setting for setting in tiny_methods.COMMON if not setting.startswith("model.")]
model = ["model.name=small_tdnn", "model.mel_bins=8", "model.channels=16"]
settings = [*common, *model, "train.epochs=2", "augment.noise_probability=0"]
words = [word for setting in settings for word in ("--set", setting)]
config.main(["egs/custom/v1/conf/alignment.yaml"])
train.main(["--config", "egs/custom/v1/conf/alignment.yaml", "--data", data, "--out", out, *words])

# The score normalisation: high and low scores alike come to lie around zero.
rng = np.random.default_rng(0)
rows = rng.standard_normal((30, 6)).astype(np.float32)
sides = Sides(Prepared(rows), Prepared(rows), np.arange(30), np.arange(30)[::-1])
cohort = Prepared(rng.standard_normal((200, 6)).astype(np.float32) + 1)
normalised = NORMS["median"]("median", 300).fit(cohort).transform(score_sides(sides), sides)
assert normalised.shape == (30,) and np.isfinite(normalised).all()
"""


@pytest.fixture(scope="module")
def extended(root, tmp_path_factory):
    """A copy of the toolkit with the files of the guide in it, and the names of these files."""
    copy = tmp_path_factory.mktemp("extended")
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(root / "sv", copy / "sv", ignore=ignore)
    shutil.copytree(root / "egs/custom/v1/conf", copy / "egs/custom/v1/conf")
    (copy / "tests").mkdir()
    shutil.copy(root / "tests/tiny_methods.py", copy / "tests")
    names = []
    for added, name, text in BLOCK.findall((root / "docs/extend.md").read_text()):
        path = copy / name
        path.parent.mkdir(parents=True, exist_ok=True)
        assert path.exists() == bool(added), name
        with path.open("a") as file:
            file.write(text)
        names.append(name)
    return copy, names


def run(copy, *command):
    environment = {**os.environ, "PYTHONPATH": f"{copy}:{copy / 'tests'}"}
    done = subprocess.run(
        [sys.executable, *command], cwd=copy, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_guide_has_a_method_an_encoder_a_normalisation_and_a_corpus(extended):
    _, names = extended
    for folder in (
        "sv/methods",
        "sv/encoders",
        "sv/scoring",
        "egs/custom/v1/conf",
        "egs/mine/local",
    ):
        assert any(name.startswith(f"{folder}/") for name in names), folder


def test_the_examples_run(extended, write_features, tmp_path):
    copy, _ = extended
    data = write_features(tmp_path / "data", [60] * 16)
    printed = run(copy, "-c", TRY, data, tmp_path / "exp")
    assert "uniformity: 0.5" in printed and "alignment.yaml" in printed
    assert (tmp_path / "exp/checkpoints/epoch_0002.pt").exists()


def test_the_corpus_is_prepared(extended, tmp_path):
    copy, _ = extended
    rng = np.random.default_rng(0)
    for speaker in ("ann", "bob"):
        path = tmp_path / "corpus" / speaker / "1.wav"
        path.parent.mkdir(parents=True)
        soundfile.write(path, rng.normal(0, 0.1, 8000), 16000)
    run(copy, "egs/mine/local/prepare.py", tmp_path / "corpus", tmp_path / "data")
    assert (tmp_path / "data/train/utt2spk").read_text() == "ann-1 ann-1\nbob-1 bob-1\n"
    labels = (tmp_path / "data/labels/train/utt2spk").read_text()
    assert labels == "ann-1 ann\nbob-1 bob\n"


def test_the_example_keeps_to_the_style(extended, root):
    copy, names = extended
    new = [name for name in names if name.endswith(".py") and not (root / name).exists()]
    command = [sys.executable, "-m", "ruff", "check", "--config", str(root / "pyproject.toml")]
    done = subprocess.run([*command, *new], cwd=copy, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
