"""A training of an earlier version, run again and gone on with: the same figures come out.

The figures and the state in tests/fixtures/training_0.1 were made by the version of November 2026,
whose trainer was one class. Bits depend on the processor, so figures are compared to 1e-4.
"""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from sv import checkpoint
from sv.bin import train

pytestmark = pytest.mark.whole

STATE = Path(__file__).resolve().parents[1] / "fixtures" / "training_0.1" / "last.pt"
SETTINGS = [
    *("model.name=separative", "model.sources=1", "model.mel_bins=8", "model.embedding_dim=8"),
    *("model.channels=8", "model.blocks=1", "model.pooled_channels=8"),
    *("method.name=moco", "method.queue_size=12", "method.momentum=0.9", "method.symmetric=true"),
    *("method.temperature=0.2", "data.crop_seconds=0.2", "augment.room_probability=0"),
    *("augment.noise_probability=0.5", "train.batch_size=8", "train.workers=0"),
    *("train.precision=float32", "train.epochs=4", "optim.lr=0.01"),
]
LOSSES = [3.590829, 4.014611, 4.367530, 4.081263]
RANKS = [6.226924, 6.012218, 6.170083, 5.656242]
NORM = 12.051344
"""Of all weights of the last model together, without ``NO_GRADIENT``."""
NO_GRADIENT = "pooling.weights.bias"
"""A constant added to the logits of a softmax: its gradient is rounding alone, which Adam scales to
full steps. So where the bias goes depends on the instructions of the processor."""


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    from sv.kaldi.arks import ArkWriter

    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    with ArkWriter(folder / "feats.ark", folder / "feats.scp", None) as writer:
        for number in range(24):
            features = rng.normal(size=8) + 0.5 * rng.normal(size=(40, 8))
            writer.write(f"utt{number:02d}", features.astype(np.float32))
    (folder / "utt2num_frames").write_text("".join(f"utt{n:02d} 40\n" for n in range(24)))
    return folder


def finish(data, out):
    """Train to the end; return losses and ranks of the epochs, and the norm of the weights."""
    words = [word for text in SETTINGS for word in ("--set", text)]
    train.main(["--data", str(data), "--out", str(out), "--device", "cpu", *words])
    rows = [json.loads(line) for line in (out / "train.jsonl").read_text().splitlines()]
    weights = checkpoint.load(checkpoint.epoch_path(out, 4))["encoder"]
    del weights[NO_GRADIENT]
    floating = [w for w in weights.values() if w.is_floating_point()]
    norm = sum(float(w.double().square().sum()) for w in floating) ** 0.5
    return [row["loss"] for row in rows], [row["rank"] for row in rows], norm


def test_a_training_gives_the_figures_that_it_gave(data, tmp_path):
    losses, ranks, norm = finish(data, tmp_path)
    assert losses == pytest.approx(LOSSES, rel=1e-4)
    assert ranks == pytest.approx(RANKS, rel=1e-3)
    assert norm == pytest.approx(NORM, rel=1e-5)


def test_a_state_of_an_earlier_version_goes_on_to_the_same_figures(data, tmp_path):
    """It was saved in the middle of the third epoch."""
    checkpoint.state_path(tmp_path).parent.mkdir()
    shutil.copy(STATE, checkpoint.state_path(tmp_path))
    losses, ranks, norm = finish(data, tmp_path)
    assert losses == pytest.approx(LOSSES[2:], rel=1e-4)  # the log of the first two is not here
    assert ranks == pytest.approx(RANKS[2:], rel=1e-3)
    assert norm == pytest.approx(NORM, rel=1e-5)
