"""Stage 4 by its shell script, and bad input to its program."""

import json
import os
import subprocess
import sys
import time

import numpy as np
import pytest

from sv.bin.cluster import main
from sv.cluster.files import histogram
from sv.errors import InputError
from sv.kaldi.arks import ArkWriter, load_vectors

pytestmark = pytest.mark.whole


@pytest.fixture
def embeddings(tmp_path):
    """300 vectors of 15 speakers with two recordings each, in a folder with blanks."""
    folder = tmp_path / "a folder"
    folder.mkdir()
    generator = np.random.default_rng(0)
    speakers = np.repeat(np.arange(15), 20)
    x = generator.standard_normal((15, 24))[speakers]
    x += 0.5 * generator.standard_normal((30, 24))[np.repeat(np.arange(30), 10)]
    x += 0.3 * generator.standard_normal(x.shape)
    with ArkWriter(folder / "E.ark", folder / "E.scp") as writer:
        for number, row in enumerate(x.astype(np.float32)):
            writer.write(f"utt{number:03d}", row)
    rows = [f"utt{number:03d} spk{speaker}\n" for number, speaker in enumerate(speakers)]
    (folder / "utt2spk").write_text("".join(rows))
    return folder


def run(root, folder, *options):
    command = [root / "local" / "cluster.sh", *options, "E.scp", "out"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def table(path):
    return dict(line.split() for line in path.read_text().splitlines())


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_stage_with_and_without_labels(root, embeddings, monkeypatch):
    monkeypatch.chdir(embeddings)  # paths of an scp are relative to where it was written
    out = embeddings / "out"
    options = ("--k", "60", "--merge", "15")
    done = run(root, embeddings, *options, "--labels", "utt2spk.gone")  # not there: no figures
    assert done.returncode == 0, done.stderr
    clusters, sizes = table(out / "utt2cluster"), table(out / "sizes")
    assert list(clusters) == [f"utt{n:03d}" for n in range(300)] and len(sizes) == 15
    for cluster, size in sizes.items():
        assert sum(value == cluster for value in clusters.values()) == int(size)
    assert len(table(out / "kmeans2cluster")) == 60
    names, centroids = load_vectors(f"scp:{out / 'centroids.scp'}")
    assert names == [str(n) for n in range(15)]
    np.testing.assert_allclose(np.linalg.norm(centroids, axis=1), 1, rtol=1e-5)
    x = load_vectors(f"scp:{embeddings / 'E.scp'}")[1]
    nearest = (x @ centroids.T).argmax(axis=1)
    assert (nearest == [int(value) for value in clusters.values()]).mean() > 0.99
    assert (out / "sizes.png").read_bytes().startswith(b"\x89PNG")
    log = (out / "log" / "cluster.log").read_text()
    assert "300 utterances in 15 clusters" in log and "16-31" in log and "ORACLE" not in log
    blind = contents(out)
    assert "oracle" not in blind["cluster.json"].decode()

    again = run(root, embeddings, *options)
    assert again.returncode == 0 and "complete, skipped" in again.stdout + again.stderr

    labelled = run(root, embeddings, *options, "--labels", "utt2spk")
    assert labelled.returncode == 0, labelled.stderr
    seeing = contents(out)
    figures = json.loads(seeing["cluster.json"])["oracle_never_for_training"]
    assert figures["speakers"] == 15 and figures["nmi"] > 0.99
    assert "ORACLE" in (out / "log" / "cluster.log").read_text()
    for name in set(blind) - {"cluster.json", ".cluster.done", ".cluster.done.lock"}:
        assert blind[name] == seeing[name], f"{name} depends on the labels"


def test_k_auto(embeddings, capsys):
    out = embeddings / "out"
    argv = ["--embeddings", f"scp:{embeddings / 'E.scp'}", "--out", str(out)]
    main([*argv, "--k", "auto", "--k-candidates", "8,15,30,60"])
    made = json.loads((out / "cluster.json").read_text())
    assert made["k"] == made["clusters"] == 15 and made["start"] == "k-means++"
    assert set(made["silhouettes"]) <= {"8", "15", "30", "60"}
    assert "K = 15 has the best silhouette" in capsys.readouterr().out
    assert not (out / "kmeans2cluster").exists()


def test_two_processes_find_and_write_what_one_does(root, embeddings, monkeypatch):
    monkeypatch.chdir(embeddings)
    out, options = embeddings / "out", ("--k", "auto", "--merge", "8", "--labels", "utt2spk")
    made = []
    for more in ((), ("--processes", "2", "--force", "true")):
        done = run(root, embeddings, *options, *more)
        assert done.returncode == 0, done.stderr
        made.append(contents(out))
    alone, together = made
    log = (out / "log" / "cluster.log").read_text()
    assert "processes 2 -m sv.bin.cluster" in log.splitlines()[0]
    assert log.count("has the best silhouette") == log.count("300 utterances in 8 clusters") == 1
    for name in ("utt2cluster", "sizes", "kmeans2cluster", "centroids.scp", "sizes.png"):
        assert alone[name] == together[name], name
    one, other = (json.loads(files["cluster.json"]) for files in made)
    for name in ("silhouettes", "oracle_never_for_training"):
        assert one.pop(name) == pytest.approx(other.pop(name), abs=1e-5)
    for name in ("mean_cosine", "mean_cosine_by_iteration"):
        assert one.pop(name) == pytest.approx(other.pop(name), abs=1e-5)
    assert one == other
    (embeddings / "alone.ark").write_bytes(alone["centroids.ark"])
    centroids = [load_vectors(f"ark:{path}")[1] for path in ("alone.ark", "out/centroids.ark")]
    np.testing.assert_allclose(*centroids, atol=1e-5)


def test_one_of_two_processes_fails_and_the_other_does_not_wait(root, embeddings, monkeypatch):
    """Only the second process reads the end of the embeddings, where one is too short."""
    monkeypatch.chdir(embeddings)
    with ArkWriter("short.ark", "short.scp") as writer:
        writer.write("zzz", np.ones(3, np.float32))
    scp = (embeddings / "E.scp").read_text() + (embeddings / "short.scp").read_text()
    (embeddings / "E.scp").write_text(scp)
    command = [root / "utils" / "processes", "2", "-m", "sv.bin.cluster", "--k", "9"]
    start = time.monotonic()
    done = subprocess.run(
        [sys.executable, *command, "--embeddings", "scp:E.scp", "--out", "out"],
        env={**os.environ, "PYTHONPATH": str(root)}, capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    assert done.returncode == 2 and time.monotonic() - start < 50
    assert "'zzz' has 3 values, the first vector has 24" in done.stderr
    assert "Traceback" not in done.stderr and not (embeddings / "out").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--k", "301"], "301 clusters of 300 points"),
        (["--k", "20", "--merge", "20"], "--merge 20 is not below --k 20"),
        (["--k", "20", "--embeddings", "scp:{0}/nothing.scp"], "nothing.scp"),
        (["--k", "20", "--labels", "{0}/other"], "labels none of the 300 utterances"),
        (["--k", "20", "--labels", "{0}/missing"], "no such label file"),
        (["--k", "20", "--embeddings", "scp:{0}/bad.scp"], "1 of 2 embeddings .* NaN: silence;"),
    ],
)
def test_bad_input(embeddings, options, message):
    (embeddings / "other").write_text("someone else\n")
    with ArkWriter(embeddings / "bad.ark", embeddings / "bad.scp") as writer:
        writer.write("speech", np.ones(4, np.float32))
        writer.write("silence", np.zeros(4, np.float32))
    if "bad" in options[-1]:
        options = ["--k", "1", *options[2:]]
    argv = ["--embeddings", f"scp:{embeddings / 'E.scp'}", "--out", str(embeddings / "out")]
    with pytest.raises(InputError, match=message):
        main([*argv, *(option.format(embeddings) for option in options)])
    assert not (embeddings / "out").exists()


@pytest.mark.parametrize(
    "options",
    [
        ["--k", "0"],
        ["--k", "many"],
        ["--k", "9", "--k-candidates", "3"],
        ["--k", "9", "--merge", "0"],
    ],
)
def test_bad_options(options, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["--embeddings", "E.scp", "--out", "out", *options])
    assert stopped.value.code == 2 and "Traceback" not in capsys.readouterr().err


def test_histogram_of_sizes():
    lines = histogram(np.array([0, 1, 1, 2, 3, 4, 7, 7, 7]))
    rows = [line.split()[:2] for line in lines[1:]]
    assert rows == [["0", "1"], ["1", "2"], ["2-3", "2"], ["4-7", "4"]]
    assert lines[-1].endswith("#" * 40) and not lines[-1].endswith("#" * 41)
