"""Conversion: whole files only, bad ones named, ffmpeg's absence explained."""

import shutil
import subprocess
import sys

import numpy as np
import pytest
import soundfile

from sv.corpora.convert import convert, require_ffmpeg
from sv.errors import InputError

# In the place of ffmpeg: copies each input to its output; complains if one of them is "broken",
# after having written something, as ffmpeg does for a file that was cut off.
STUB = """#!{python}
import pathlib, sys
words = sys.argv[1:]
inputs = [words[i + 1][5:] for i, word in enumerate(words) if word == "-i"]
outputs = [words[i + 2][5:] for i, word in enumerate(words) if word == "-f"]
with open("calls", "a") as calls:
    calls.write(f"{{len(inputs)}}\\n")
for source, target in zip(inputs, outputs, strict=True):
    content = pathlib.Path(source).read_bytes()
    pathlib.Path(target).write_bytes(content[:4])
    if content == b"broken":
        sys.exit("partial file")
"""


@pytest.fixture
def stub(tmp_path, monkeypatch):
    path = tmp_path / "ffmpeg stub"
    path.write_text(STUB.format(python=sys.executable))
    path.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    return str(path)


def sources(folder, contents):
    files = {}
    for number, content in enumerate(contents):
        source = folder / "in" / f"{number}.m4a"
        source.parent.mkdir(exist_ok=True)
        source.write_bytes(content)
        files[source] = folder / "out" / f"{number}.flac"
    return files


def test_one_bad_file_costs_no_good_one(tmp_path, stub):
    files = sources(tmp_path, [b"good", b"broken", b"fine"])
    reasons = dict(convert(files, stub))
    bad = tmp_path / "in" / "1.m4a"
    assert {source: bool(reason) for source, reason in reasons.items()} == {
        source: source == bad for source in files
    }
    assert "partial file" in reasons[bad]
    # Nothing half-written is left, under no name.
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["0.flac", "2.flac"]
    assert (tmp_path / "calls").read_text().split() == ["3", "1", "1", "1"]


def test_what_is_there_is_not_made_again(tmp_path, stub):
    files = sources(tmp_path, [b"good", b"fine", b"also"])
    first, second, third = files.values()
    first.parent.mkdir()
    first.write_bytes(b"done before")
    second.write_bytes(b"")  # a crash of the machine may leave an empty file
    third.with_name(f".{third.name}.tmp").write_bytes(b"half")  # a killed ffmpeg leaves this
    assert not any(reason for _, reason in convert(files, stub))
    assert first.read_bytes() == b"done before"
    assert second.read_bytes() == b"fine" and third.read_bytes() == b"also"
    assert len(list(first.parent.iterdir())) == 3
    assert (tmp_path / "calls").read_text().split() == ["2"]


def test_a_full_disk_is_no_fault_of_the_file(tmp_path, stub):
    full = STUB.replace("partial file", "out.flac: No space left on device")
    (tmp_path / "ffmpeg stub").write_text(full.format(python=sys.executable))
    with pytest.raises(OSError, match="No space left") as caught:
        list(convert(sources(tmp_path, [b"broken", b"good"]), stub))
    assert caught.value.filename == str(tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_without_ffmpeg_there_is_a_remedy(monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(InputError, match="16 files such as a.m4a .*apt-get install ffmpeg"):
        require_ffmpeg(16, "a.m4a")


@pytest.mark.skipif(not shutil.which("ffmpeg"), reason="ffmpeg is not installed")
def test_the_real_ffmpeg(tmp_path):
    wav = tmp_path / "a:b.wav"  # a name that ffmpeg could take for a protocol
    soundfile.write(wav, np.random.default_rng(0).normal(0, 0.1, 32000), 16000)
    whole, cut = tmp_path / "whole.m4a", tmp_path / "cut.m4a"
    made = dict(convert({wav: tmp_path / "c.flac"}))
    assert made == {wav: ""}
    command = ["ffmpeg", "-v", "error", "-i", tmp_path / "c.flac", "-movflags", "faststart", whole]
    subprocess.run(command, check=True)
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    results = dict(convert({p: tmp_path / "flac" / f"{p.stem}.flac" for p in (whole, cut)}))
    assert results[whole] == "" and results[cut].startswith("ffmpeg cannot read it: ")
    assert [p.name for p in (tmp_path / "flac").iterdir()] == ["whole.flac"]
    info = soundfile.info(tmp_path / "flac" / "whole.flac")
    assert (info.samplerate, info.channels, info.subtype) == (16000, 1, "PCM_16")
    assert info.duration == pytest.approx(2.0, abs=0.1)
