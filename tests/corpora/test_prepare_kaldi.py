"""Somebody else's Kaldi directory becomes a data directory; its speakers go behind the firewall."""

import shlex
import shutil
import subprocess

import numpy as np
import pytest
import soundfile

from sv.bin import prepare_kaldi
from sv.data.manifests import read_data_dir
from sv.data.validate import validate
from sv.errors import InputError

RATE = 16000


@pytest.fixture
def kaldi(tmp_path):
    """A call on two channels, two segments of each, with speakers, genders and trials."""
    folder = tmp_path / "kaldi"
    folder.mkdir()
    samples = np.random.default_rng(0).normal(0, 0.1, (4 * RATE, 2))
    soundfile.write(tmp_path / "call.wav", samples, RATE)
    lines = {
        "wav.scp": f"call-A {tmp_path}/call.wav\ncall-B {tmp_path}/call.wav\n",
        "reco2file_and_channel": "call-A call A\ncall-B call B\n",
        "segments": "a1 call-A 0 1.5\na2 call-A 2 -1\nb1 call-B 0.5 1.9\nb2 call-B 2.5 4.3\n",
        "utt2spk": "a1 anna\na2 anna\nb1 bert\nb2 bert\n",
        "spk2gender": "anna f\nbert m\n",
        "trials": "a1 a2 target\na1 b1 nontarget\n",
    }
    for name, text in lines.items():
        (folder / name).write_text(text)
    return folder


def test_spans_channels_trials_and_labels(kaldi, tmp_path, capsys):
    out = tmp_path / "data" / "call"
    prepare_kaldi.main([str(kaldi), "--out", str(out)])
    assert "4 utterances of 1 files" in capsys.readouterr().out
    assert validate(out, feats=False) == []
    found = {u.id: u for u in read_data_dir(out, tmp_path / "data" / "labels" / "call")}
    assert {key: (u.start, u.end, u.channel, u.speaker) for key, u in found.items()} == {
        "a1": (0, 1.5, 0, "anna"),
        "a2": (2, 4, 0, "anna"),
        "b1": (0.5, 1.9, 1, "bert"),
        "b2": (2.5, 4, 1, "bert"),
    }
    assert (out / "trials").read_text() == "1 a1 a2\n0 a1 b1\n"
    labels = tmp_path / "data" / "labels" / "call"
    assert (labels / "spk2gender").read_text() == "anna f\nbert m\n"
    inside = b"".join(path.read_bytes() for path in out.iterdir() if path.suffix != ".gz")
    assert b"anna" not in inside


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        ("segments", "a1 call-A 0 1.5", "a1 call-A 0 9", "1 segments lie beyond the end"),
        ("segments", "0 1.5", "1.5 1.5", "is empty"),
        ("segments", "a1 call-A", "a1 call-X", "recordings that wav.scp lacks: a1"),
        (
            "reco2file_and_channel",
            "call B",
            "call C",
            r"call-B.* \(channel 2, counted",
        ),
        ("utt2spk", "b2 bert\n", "", "1 of 4 utterances have no label, the first is 'b2'"),
        ("trials", "a1 b1", "a1 c1", "unknown utterances"),
        ("trials", " target", "", "trials"),
    ],
)
def test_what_is_wrong_is_one_sentence(name, old, new, message, kaldi, tmp_path):
    text = (kaldi / name).read_text()
    assert old in text
    (kaldi / name).write_text(text.replace(old, new, 1))
    with pytest.raises(InputError, match=message):
        prepare_kaldi.main([str(kaldi), "--out", str(tmp_path / "out")])
    assert not (tmp_path / "out").exists()


def test_overlapping_segments_are_kept_with_a_warning(kaldi, tmp_path, caplog):
    text = (kaldi / "segments").read_text().replace("a2 call-A 2", "a2 call-A 1")
    (kaldi / "segments").write_text(text)
    prepare_kaldi.main([str(kaldi), "--out", str(tmp_path / "out")])
    assert "1 segments overlap" in caplog.text
    assert "'a1' and 'a2'" in caplog.text


def test_the_remedy_for_commands_works(kaldi, tmp_path):
    """The commands that the message names write the files, and the directory can be taken then."""
    folder = tmp_path / "my kaldi"
    shutil.copytree(kaldi, folder)
    (folder / "reco2file_and_channel").unlink()
    source = shlex.quote(str(tmp_path / "call.wav"))
    (folder / "wav.scp").write_text(f"call-A cat {source} |\ncall-B {tmp_path}/call.wav\n")
    with pytest.raises(InputError, match="commands are never executed") as caught:
        prepare_kaldi.main([str(folder), "--out", str(tmp_path / "out")])
    write, rewrite = (
        str(caught.value).split("run them yourself by  ")[1].split("  and list the files by  ")
    )
    for command in (write, rewrite):
        subprocess.run(["bash", "-euc", command], check=True)
    assert (folder / "wav" / "call-A.wav").read_bytes() == (tmp_path / "call.wav").read_bytes()
    prepare_kaldi.main([str(folder), "--out", str(tmp_path / "out")])
