import os
import subprocess

import numpy as np
import pytest
import torch
from fork_server import fork_python

from sv import checkpoint
from sv.bin import embed as program
from sv.crops.index import TrainingIndex
from sv.errors import InputError
from sv.inference import parity
from sv.inference.embed import embed
from sv.inference.embed_batches import batches_by_length, read_ahead, read_whole
from sv.inference.embedder import Embedder
from sv.kaldi.arks import load_vectors

pytestmark = pytest.mark.whole

LENGTHS = [31, 200, 47, 47, 120, 9, 33]


@pytest.fixture
def index(tmp_path, write_features):
    return TrainingIndex.load(write_features(tmp_path / "data", LENGTHS))


@pytest.mark.parametrize("name", ["ecapa", "fast_resnet34"])
def test_a_batch_leaves_no_trace_in_an_embedding(index, tmp_path, name, write_model):
    embedder = Embedder.load(write_model(tmp_path / "m.pt", name))
    for size in (1, 500, 100_000):
        embed(embedder, index, tmp_path / "e.ark", tmp_path / "e.scp", frames_per_batch=size)
        ids, vectors = load_vectors(f"scp:{tmp_path}/e.scp")
        assert ids == index.ids(slice(None))
        for row in range(len(index)):
            frames = max(int(index.lengths[row]), embedder.encoder.min_frames)
            features = index.read_windows(np.array([row]), np.array([0]), frames)
            alone = embedder(torch.from_numpy(features))[0].numpy()
            unit = [v / np.linalg.norm(v) for v in (alone, vectors[row])]
            np.testing.assert_allclose(unit[0], unit[1], atol=1e-5)


def test_batches_hold_like_lengths_within_their_budget():
    frames = np.array([5, 100, 40, 41, 39, 6, 300])
    batches = batches_by_length(frames, 120)
    assert sorted(np.concatenate(batches)) == list(range(7))
    assert batches[0].tolist() == [6]  # longer than the budget: alone
    for batch in batches[1:]:
        assert frames[batch].max() * len(batch) <= 120


def test_a_reading_thread_keeps_the_order_and_raises_its_error_in_turn():
    def read(rows):
        if rows == 6:
            raise InputError("a damaged ark")
        return rows * 10

    found = []
    with pytest.raises(InputError, match="a damaged ark"):
        for batch in read_ahead(read, range(9)):
            found.append(batch)
    assert found == [0, 10, 20, 30, 40, 50]


def test_codes_give_the_bits_of_features(index, tmp_path, write_model):
    """Features as stage 1 stores them; a shorter utterance is repeated in both ways."""
    embedder, rows = Embedder.load(write_model(tmp_path / "m.pt")), np.arange(len(LENGTHS))
    coded = read_whole(index, rows, 20, pin=False)
    assert coded.windows.dtype == torch.uint16 and coded.lengths.tolist()[5] == 20
    index.codes = False
    plain = read_whole(index, rows, 20, pin=False)
    assert plain.scales is None and torch.equal(coded.to("cpu")[0], plain.windows)
    assert torch.equal(embedder(*coded.to("cpu")), embedder(*plain.to("cpu")))


def test_bfloat16_is_used_only_if_it_agrees(index, tmp_path, capsys, write_model, monkeypatch):
    embedder = Embedder.load(write_model(tmp_path / "m.pt"))
    made = {}
    for precision in ("float32", "bfloat16"):
        paths = tmp_path / f"{precision}.ark", tmp_path / f"{precision}.scp"
        embed(embedder, index, *paths, precision=precision)
        made[precision] = torch.from_numpy(load_vectors(f"scp:{paths[1]}")[1])
    assert embedder.dtype is torch.bfloat16
    embed(embedder, index, tmp_path / "again.ark", tmp_path / "again.scp")  # float32 again
    again = load_vectors(f"scp:{tmp_path}/again.scp")[1]
    assert embedder.dtype is None and np.array_equal(again, made["float32"].numpy())
    assert "note:" not in capsys.readouterr().err
    apart = 1 - torch.cosine_similarity(*made.values())
    assert 0 < apart.max() <= parity.PARITY
    monkeypatch.setattr(parity, "PARITY", 1e-12)
    embed(embedder, index, *paths, precision="bfloat16")
    assert embedder.dtype is None and "computed in float32" in capsys.readouterr().err
    assert np.array_equal(load_vectors(f"scp:{paths[1]}")[1], made["float32"].numpy())


def test_the_program_writes_ark_and_scp(index, tmp_path, capsys, write_model):
    model = write_model(tmp_path / "m.pt")
    arguments = ["--model", str(model), "--data", str(tmp_path / "data")]
    program.main([*arguments, "--out", str(tmp_path / "out" / "test"), "--device", "cpu"])
    ids, vectors = load_vectors(f"scp:{tmp_path}/out/test.scp")
    assert vectors.shape == (len(LENGTHS), 12) and np.isfinite(vectors).all()
    assert "7 embeddings" in capsys.readouterr().out


def test_two_processes_write_the_bytes_of_one(root, tmp_path, write_features, write_model):
    """By the stage's script, of which the batches are 8,000 frames: five of them here."""
    lengths = [200 + 37 * n % 200 for n in range(100)]
    write_features(tmp_path / "data", lengths)
    assert len(batches_by_length(np.array(lengths), 8000)) == 5
    write_model(tmp_path / "m.pt")
    environment = {**os.environ, "SV_PYTHON": fork_python()}
    written = []
    for options in ([], ["--processes", "2", "--force", "true"]):
        done = subprocess.run(
            [root / "local" / "embed.sh", *options, "m.pt", "data", "exp"],
            cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=200,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        folder = tmp_path / "exp" / "embeddings"
        written.append([(folder / name).read_bytes() for name in ("data.ark", "data.scp")])
    log = (tmp_path / "exp" / "log" / "embed.data.log").read_text()
    assert "processes 2 -m sv.bin.embed" in log.splitlines()[0]
    assert log.count("100 embeddings") == 1  # the first process speaks
    assert written[0] == written[1]


def test_features_of_another_size_are_refused(index, tmp_path, write_model):
    embedder = Embedder.load(write_model(tmp_path / "m.pt", mel_bins=10))
    with pytest.raises(InputError, match="10 mel bands, the features have 8"):
        embed(embedder, index, tmp_path / "e.ark", tmp_path / "e.scp")
    assert not (tmp_path / "e.scp").exists()


def test_a_model_that_gives_nan_is_refused(index, tmp_path, write_model):
    path = write_model(tmp_path / "m.pt")
    model = checkpoint.load(path)
    model["encoder"]["output.weight"][0, 0] = torch.nan
    with pytest.raises(InputError, match="not finite"):
        embed(Embedder(model), index, tmp_path / "e.ark", tmp_path / "e.scp")


@pytest.mark.parametrize(
    "content", [b"", b"not a model", b"\x80\x04cos\nsystem\n.", b"RIFF    WAVE", b"a: 1"]
)
def test_a_file_that_is_no_model_is_refused_and_not_run(tmp_path, content):
    path = tmp_path / "m.pt"
    path.write_bytes(content)
    with pytest.raises(InputError, match="not a checkpoint"):
        Embedder.load(path)
    checkpoint.save(path, {"identity": {}})
    with pytest.raises(InputError, match="is not a model: give final.pt"):
        Embedder.load(path)
    with pytest.raises(InputError, match="missing.pt: there is no such file"):
        Embedder.load(tmp_path / "missing.pt")
