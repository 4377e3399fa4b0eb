"""Tables of audio files: what they say, when they are made again, and bad files."""

import shutil
import subprocess
import sys

import numpy as np
import pytest
import soundfile

from sv.corpora import scan
from sv.corpora.scan import read_scanned, scan_piece
from sv.errors import InputError


def write_audio(path, seconds=0.5, rate=16000):
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = np.random.default_rng(0).normal(0, 0.1, int(seconds * rate))
    soundfile.write(path, samples, rate, format="WAV")
    return path


@pytest.fixture
def listed(tmp_path):
    good = write_audio(tmp_path / "a corpus" / "s1" / "v" / "1.wav")
    bad = tmp_path / "a corpus" / "s1" / "v" / "2.wav"
    bad.write_bytes(b"")
    scp = tmp_path / "files.scp"
    scp.write_text(f"s1-v-1 {good}\ns1-v-2 {bad}\n")
    return scp


def test_a_table_reads_back(listed, tmp_path):
    made = scan_piece(listed, tmp_path / "t.tsv", root="/", converted=tmp_path / "c")
    read = read_scanned([tmp_path / "t.tsv"])
    assert read == made
    (one,) = read.good
    assert (one.id, one.num_samples, one.duration, one.sample_rate) == ("s1-v-1", 8000, 0.5, 16000)
    ((path, reason),) = read.bad
    assert path == str(tmp_path / "a corpus/s1/v/2.wav") and reason.startswith("is empty (0 bytes)")


def test_a_complete_piece_is_kept_and_another_list_is_read(listed, tmp_path):
    options = {"root": "/", "converted": tmp_path / "c"}
    assert len(scan_piece(listed, tmp_path / "t.tsv", **options).bad) == 1
    write_audio(tmp_path / "a corpus" / "s1" / "v" / "2.wav")  # repaired
    assert scan_piece(listed, tmp_path / "t.tsv", **options).bad == []
    assert scan_piece(listed, tmp_path / "t.tsv", **options) is None
    assert scan_piece(listed, tmp_path / "t.tsv", force=True, **options) is not None
    listed.write_text(listed.read_text().splitlines()[0] + "\n")
    assert len(scan_piece(listed, tmp_path / "t.tsv", **options).good) == 1


def test_files_that_need_it_are_converted_and_keep_their_folders(tmp_path, monkeypatch):
    source = write_audio(tmp_path / "aac" / "s1" / "v" / "1.m4a")
    (tmp_path / "files.scp").write_text(f"s1-v-1 {source}\n")
    asked = []

    def convert(targets, ffmpeg):
        for one, target in targets.items():
            asked.append(target)
            target.parent.mkdir(parents=True)
            shutil.copy(one, target)
            yield one, ""

    monkeypatch.setattr(scan, "convert", convert)
    monkeypatch.setattr(scan, "require_ffmpeg", lambda count, example: "ffmpeg")
    found = scan_piece(
        tmp_path / "files.scp",
        tmp_path / "t.tsv",
        root=tmp_path / "aac",
        converted=tmp_path / "flac",
    )
    assert [u.path for u in found.good] == [str(tmp_path / "flac/s1/v/1.flac")]
    with pytest.raises(InputError, match="does not lie below --root"):
        scan_piece(
            tmp_path / "files.scp", tmp_path / "u.tsv", root=tmp_path / "x", converted="converted"
        )


def test_a_damaged_table_is_named(tmp_path):
    (tmp_path / "t.tsv").write_text("# 0\nonly\ttwo\n")
    with pytest.raises(InputError, match=r"t.tsv: 'only\ttwo' is not of a table"):
        read_scanned([tmp_path / "t.tsv"])
    with pytest.raises(InputError, match="no such file"):
        read_scanned([tmp_path / "none.tsv"])


def test_a_converted_file_may_not_leave_its_folder(tmp_path):
    """The path below the root names the copy, so it must not lead upwards."""
    (tmp_path / "files.scp").write_text(f"a {tmp_path}/root/../../evil.m4a\n")
    options = {"root": tmp_path / "root", "converted": tmp_path / "converted"}
    with pytest.raises(InputError, match="does not lie below --root"):
        scan_piece(tmp_path / "files.scp", tmp_path / "t.tsv", **options)


@pytest.mark.whole
def test_jobs_of_the_stage_and_fewer_jobs_later(root, tmp_path):
    lines = []
    for number in range(3):
        path = write_audio(tmp_path / "in" / f"{number}.wav")
        lines.append(f"u{number} {path}\n")
    (tmp_path / "part.scp").write_text("".join(lines))

    def stage(*options):
        command = [root / "local/scan_audio.sh", *options, "part.scp", "out"]
        done = subprocess.run(
            command,
            cwd=tmp_path,
            env={"PATH": "/usr/bin:/bin", "SV_PYTHON": sys.executable},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def ids():
        tables = sorted((tmp_path / "out").glob("scanned.*.tsv"))
        return len(tables), [u.id for u in read_scanned(tables).good]

    stage("--nj", "3")
    assert ids() == (3, ["u0", "u1", "u2"])
    assert "complete, skipped" in stage("--nj", "2")
    (tmp_path / "in" / "0.wav").write_bytes(b"")
    stage("--nj", "2", "--force", "true")
    assert ids() == (2, ["u1", "u2"])
    write_audio(tmp_path / "in" / "0.wav")
    stage("--nj", "2")  # is not complete while a file is bad
    assert ids() == (2, ["u0", "u1", "u2"])
