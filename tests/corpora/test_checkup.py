"""sv doctor: each kind of bad file is found, reported, and left out by stage 1."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import soundfile

from sv.audio.files import write_audio
from sv.audio.problems import read_exclude
from sv.bin import doctor
from sv.corpora import checkup
from sv.errors import InputError

RATE = 16000


def noise(seed, seconds=1.0):
    return 0.1 * np.random.default_rng(seed).standard_normal(int(seconds * RATE))


def write_corpus(folder):
    """Two good files and one of each kind; return (name -> kinds that must be found)."""
    folder.mkdir()
    write_audio(folder / "a good one.wav", noise(0), RATE)
    write_audio(folder / "b.flac", noise(1), RATE)
    write_audio(folder / "c.flac", noise(0), RATE)
    write_audio(folder / "clipped.wav", np.clip(20 * noise(3), -1, 1), RATE)
    cut = folder / "cut.flac"
    write_audio(cut, noise(4), RATE)
    cut.write_bytes(cut.read_bytes()[:9000])
    (folder / "foreign.wav").write_text("no audio at all")
    (folder / "empty.wav").touch()
    write_audio(folder / "long.wav", noise(5, 4), RATE)
    write_audio(folder / "named.flac", noise(6), RATE)
    (folder / "named.flac").rename(folder / "named.wav")
    soundfile.write(folder / "rate.wav", noise(7), 8000)
    write_audio(folder / "short.wav", noise(8, 0.3), RATE)
    write_audio(folder / "silent.wav", np.zeros(RATE), RATE)
    lies = folder / "tail.wav"
    write_audio(lies, noise(9), RATE)
    data = bytearray(lies.read_bytes())
    data[40:44] = (RATE).to_bytes(4, "little")  # half of the bytes that follow
    lies.write_bytes(data)
    return {
        "a good one.wav": [],
        "b.flac": [],
        "c.flac": ["duplicate"],
        "clipped.wav": ["clipped"],
        "cut.flac": ["truncated"],
        "foreign.wav": ["unreadable"],
        "empty.wav": ["unreadable"],
        "long.wav": ["long"],
        "named.wav": ["header"],
        "rate.wav": ["rate"],
        "short.wav": ["short"],
        "silent.wav": ["silent"],
        "tail.wav": ["header"],
    }


@pytest.fixture
def corpus(tmp_path):
    return tmp_path / "corpus", write_corpus(tmp_path / "corpus")


def kinds(report):
    found = {}
    for row in report["findings"]:
        found.setdefault(os.path.basename(row["path"]), []).append(row["kind"])
        assert row["path"] in row["what"]
    return found


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_a_folder_of_audio(corpus, tmp_path, capsys, jobs):
    folder, expected = corpus
    out = tmp_path / "out.json"
    words = [str(folder), "--json", str(out), "--exclude", str(tmp_path / "exclude")]
    doctor.main([*words, "--max-seconds", "3", "--jobs", jobs])
    report = json.loads(out.read_text())
    assert kinds(report) == {name: found for name, found in expected.items() if found}
    assert report["files"] == 13 and report["counts"]["unreadable"] == 2
    lines = capsys.readouterr().out.splitlines()
    assert "13 files, about" in lines[0] and f"{jobs} jobs" in lines[0]  # before the work
    assert any(line.split()[:3] == ["truncated", "1", "7.69%"] for line in lines)
    excluded = read_exclude(tmp_path / "exclude")
    assert f"{folder.absolute()}/cut.flac" in excluded
    assert not any(path.endswith(("clipped.wav", "rate.wav", "b.flac")) for path in excluded)
    assert "9 to leave out" in lines[-1]


def test_a_data_directory_whose_durations_are_wrong(corpus, tmp_path):
    folder, _ = corpus
    data = tmp_path / "data"
    data.mkdir()
    (data / "wav.scp").write_text(
        f"u1 {folder}/a good one.wav\nu2 {folder}/b.flac\nu3 {folder}/gone.wav\n"
    )
    (data / "utt2dur").write_text("u1 1.0\nu2 2.5\nu3 1.0\n")
    doctor.main([str(data), "--json", str(tmp_path / "out.json"), "--jobs", "1"])
    report = json.loads((tmp_path / "out.json").read_text())
    assert kinds(report) == {"b.flac": ["header"], "gone.wav": ["missing"]}
    assert "utt2dur says 2.50" in report["findings"][0]["what"]
    (data / "utt2dur").write_text("u1 one\n")
    with pytest.raises(InputError, match="utt2dur: the duration of 'u1': 'one' is no number"):
        doctor.main([str(data)])


def test_an_estimate_alone_looks_at_a_few_files(tmp_path, capsys, monkeypatch):
    seen = []
    monkeypatch.setattr(checkup, "look_at", lambda case, limits: seen.append(case))
    cases = [checkup.Case(str(n), f"/nowhere/{n}") for n in range(100_000)]
    sentence = checkup.estimate(cases, checkup.Limits(), 4)
    assert len(seen) == checkup.PROBE
    assert sentence.startswith("100,000 files") and "with 4 jobs" in sentence


def test_the_command_and_a_pipe_in_the_corpus(tmp_path):
    """A named pipe would block whoever opens it."""
    write_audio(tmp_path / "a.wav", noise(0), RATE)
    os.mkfifo(tmp_path / "b.wav")
    command = [sys.executable, "-m", "sv.bin", "doctor", str(tmp_path), "--jobs", "1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "no regular file" in done.stdout


@pytest.mark.parametrize(
    ("text", "words"), [("a b\n", "line 1"), ("ok\nu\tpath\n", "line 2"), ("\n\nok\n", "line 1")]
)
def test_a_foreign_list_is_refused(tmp_path, text, words):
    (tmp_path / "list").write_text(text)
    with pytest.raises(InputError, match=words):
        read_exclude(tmp_path / "list")
    with pytest.raises(InputError, match="check --exclude"):
        read_exclude(tmp_path / "none")


def test_what_a_folder_holds_besides(tmp_path, capsys):
    write_audio(tmp_path / "a.wav", noise(0), RATE)
    (tmp_path / "b.m4a").write_bytes(b"x")
    (tmp_path / "notes.txt").write_text("x")
    soundfile.write(tmp_path / "anti.wav", np.stack([noise(1), -noise(1)], 1), RATE)
    soundfile.write(tmp_path / "two.wav", np.stack([noise(2), noise(3)], 1), RATE)
    odd = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.wav")
    write_audio(odd, noise(4), RATE)
    out, exclude = tmp_path / "out.json", tmp_path / "exclude"
    words = [str(tmp_path), "--json", str(out), "--exclude", str(exclude), "--jobs", "1"]
    doctor.main(words)
    expected = {"anti.wav": ["cancel"], "two.wav": ["channels"], "b.m4a": ["foreign"]}
    expected["caf\\xe9.wav"] = ["name"]
    report = json.loads(out.read_text())
    assert kinds(report) == expected
    assert any("ffmpeg -i in.m4a" in row["what"] for row in report["findings"])
    assert not any(path.endswith("two.wav") for path in read_exclude(exclude))
    doctor.main([*words, "--channel", "0"])
    assert "anti.wav" not in kinds(json.loads(out.read_text()))
    doctor.main([*words, "--channel", "1"])
    assert kinds(json.loads(out.read_text()))["a.wav"] == ["cancel"]


def test_spans_of_a_recording_are_examined_alone(tmp_path):
    rng = np.random.default_rng(0)
    samples = np.stack([rng.normal(0, 0.1, 48000), np.zeros(48000)], axis=1)
    soundfile.write(tmp_path / "call.wav", samples, 16000)
    path = str(tmp_path / "call.wav")
    limits = checkup.Limits(max_seconds=2.0)
    good = checkup.Case("a", path, 1.5, span=(0.5, 2.0), channel=0)
    assert [kind for kind, _ in checkup.look_at(good, limits).findings] == []
    silent = checkup.look_at(good._replace(id="b", channel=1), limits)
    assert [kind for kind, _ in silent.findings] == ["silent"]
    assert "from 0.50 to 2.00 s" in silent.findings[0][1]
    beyond = checkup.look_at(good._replace(id="c", span=(2.5, 4.4)), limits)
    assert "a span of it lasts from 2.50 to 4.40 s" in beyond.findings[0][1]
