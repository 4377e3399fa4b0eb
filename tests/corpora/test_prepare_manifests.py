"""lhotse cuts of other recipes become a data directory, or are refused in one sentence."""

import gzip
import json
import subprocess
import sys
from dataclasses import replace

import lhotse
import numpy as np
import pytest
import soundfile
from lhotse import CutSet, MonoCut, MultiCut, Recording, RecordingSet, SupervisionSegment

from sv.audio.files import read_audio
from sv.bin import prepare_manifests
from sv.data.manifests import read_data_dir
from sv.data.validate import validate
from sv.errors import InputError

RATE = 16000


@pytest.fixture
def corpus(tmp_path):
    """A mono and a stereo recording in a folder."""
    folder = tmp_path / "corpus"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name, channels in (("talk", 1), ("call", 2)):
        soundfile.write(folder / f"{name}.wav", rng.normal(0, 0.1, (4 * RATE, channels)), RATE)
    return folder


def _said(key, recording, start, duration, speaker, channel=0, **more):
    return SupervisionSegment(
        key, recording.id, start, duration, channel=channel, speaker=speaker, **more
    )


@pytest.fixture
def cuts(corpus):
    talk, call = (Recording.from_file(corpus / f"{name}.wav") for name in ("talk", "call"))
    several = [_said("t1", talk, 0.0, 1.0, "anna"), _said("t2", talk, 1.2, 1.5, "bert", gender="m")]
    return CutSet.from_cuts(
        [
            MonoCut("talks", 0.5, 3.0, 0, several, recording=talk, custom={"show": "one"}),
            MonoCut("b", 1.0, 2.0, 1, [_said("x", call, 0.1, 9, "carl", 1)], recording=call),
            MultiCut("both", 0.0, 4.0, [0, 1], recording=call),
            MultiCut(
                "a", 0.0, 4.0, [0, 1], [_said("y", call, 1.0, 1.0, "dora", 0)], recording=call
            ),
        ]
    )


def _write(cuts, path) -> str:
    cuts.to_file(path)
    return str(path)


def test_spans_channels_and_labels(cuts, tmp_path):
    out = tmp_path / "data" / "train"
    prepare_manifests.main(["--cuts", _write(cuts, tmp_path / "c.jsonl.gz"), "--out", str(out)])
    assert validate(out, feats=False) == []
    found = read_data_dir(out)
    assert {u.id: (u.recording_id, u.start, u.end, u.channel) for u in found} == {
        "t1": ("talk", 0.5, 1.5, None),
        "t2": ("talk", 1.7, 3.2, None),
        "b": ("call-B", 1.1, 3.0, 1),
        "both": ("call", 0.0, 4.0, None),
        "a": ("call-A", 1.0, 2.0, 0),
    }
    labels = tmp_path / "data" / "labels" / "train"
    assert (labels / "spk2gender").read_text() == "bert m\n"
    cut = {cut.id: cut for cut in lhotse.CutSet.from_file(out / "cuts.jsonl.gz")}["b"]
    expected, _ = soundfile.read(tmp_path / "corpus" / "call.wav", dtype="float32")
    np.testing.assert_allclose(cut.load_audio()[0], expected[17600:48000, 1], atol=1e-6)


def test_recordings_of_their_own_and_relative_paths(cuts, corpus, tmp_path):
    recordings = RecordingSet.from_recordings([cuts["b"].recording, cuts["talks"].recording])
    for recording in recordings:
        recording.sources[0].source = f"corpus/{recording.id}.wav"
    _write(recordings, tmp_path / "r.jsonl.gz")
    supervisions = lhotse.SupervisionSet.from_segments(cuts["talks"].supervisions)
    bare = CutSet.from_cuts([replace(cuts["talks"], recording=None)])
    for number, manifest in enumerate((supervisions, bare)):
        given = _write(manifest, tmp_path / f"m{number}.jsonl.gz")
        with pytest.raises(InputError, match="give .*recordings .--recordings FILE"):
            prepare_manifests.main(["--cuts", given, "--out", str(tmp_path / "x")])
        options = ["--recordings", str(tmp_path / "r.jsonl.gz"), "--out", str(tmp_path / "x")]
        prepare_manifests.main(["--cuts", given, *options])
        found = read_data_dir(tmp_path / "x")
        assert [u.id for u in found] == ["t1", "t2"]
        assert found[0].path == str(corpus / "talk.wav")


def test_a_custom_field_names_the_session(cuts, tmp_path):
    given = _write(CutSet.from_cuts([cuts["talks"]]), tmp_path / "c.jsonl")
    out = tmp_path / "data" / "t"
    prepare_manifests.main(["--cuts", given, "--out", str(out), "--session", "show"])
    sessions = (tmp_path / "data" / "labels" / "t" / "utt2session").read_text()
    assert sessions == "t1 anna-one\nt2 bert-one\n"
    with pytest.raises(InputError, match="'t1' has no custom field 'tv'; it has show"):
        prepare_manifests.main(["--cuts", given, "--out", str(out), "--session", "tv"])


def _change(item, **changes):
    return item | changes


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda i: _change(i, type="Cut"), "2 of 2 cuts cannot be taken: 'b' is no cut of today's"),
        (lambda i: _change(i, type="MixedCut"), "is a MixedCut, made of several cuts: write its"),
        (lambda i: {"id": i["id"], "type": "MonoCut"}, "'b' lacks 'start' of a lhotse cut"),
        (lambda i: {"id": i["id"], "text": "hello"}, "is no cut of today's lhotse"),
        (lambda i: _change(i, start=3.5, duration=5, supervisions=[]), "2 segments lie beyond"),
        (lambda i: _change(i, duration=0), r"is empty \(1.1 to 1 s\)"),
        (lambda i: _change(i, channel=5), r"takes channel 5, and its recording has \[0, 1\]"),
        (lambda i: _change(i, id="z"), "1 ids are there more than once: z"),
        (
            lambda i: _change(i, recording=_change(i["recording"], transforms=[{"name": "x"}])),
            "lhotse changes when it reads it",
        ),
        (
            lambda i: _change(
                i,
                recording=_change(
                    i["recording"],
                    sources=[{"type": "command", "channels": [0, 1], "source": "touch /tmp/x"}],
                ),
            ),
            "never executed or fetched here",
        ),
    ],
)
def test_what_is_wrong_is_one_sentence(change, message, cuts, tmp_path):
    item = json.loads(json.dumps(cuts["b"].to_dict()))
    lines = [json.dumps(change(_change(item, id=key))) + "\n" for key in ("b", "c")]
    with gzip.open(tmp_path / "c.jsonl.gz", "wt") as handle:
        handle.writelines(lines)
    with pytest.raises(InputError, match=message) as caught:
        prepare_manifests.main(
            ["--cuts", str(tmp_path / "c.jsonl.gz"), "--out", str(tmp_path / "out")]
        )
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_files_that_are_no_manifests(tmp_path):
    for text, message in (("RIFF", "is damaged"), ("[1]\n", "not an object"), ("", "has no cuts")):
        (tmp_path / "c.jsonl").write_text(text)
        with pytest.raises(InputError, match=message):
            prepare_manifests.main(["--cuts", str(tmp_path / "c.jsonl"), "--out", str(tmp_path)])
    with pytest.raises(InputError, match="no such file"):
        prepare_manifests.main(["--cuts", str(tmp_path / "no.jsonl.gz"), "--out", str(tmp_path)])


def test_the_remedy_for_a_shar_folder_works(cuts, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    part = CutSet.from_cuts([cuts["b"]])
    (tmp_path / "shar").mkdir()
    part.to_shar(tmp_path / "shar", fields={"recording": "wav"}, shard_size=10)
    with pytest.raises(InputError, match="write its audio out first") as caught:
        prepare_manifests.main(["--cuts", str(tmp_path / "shar"), "--out", str(tmp_path / "x")])
    command = str(caught.value).partition("python -c ")[2].strip('"')
    subprocess.run([sys.executable, "-c", command], check=True)
    prepare_manifests.main(["--cuts", "cuts.jsonl.gz", "--out", str(tmp_path / "x")])
    (found,) = read_data_dir(tmp_path / "x")
    assert found.duration == pytest.approx(1.9)
    samples = read_audio(found.path, RATE, found.channel, found.seconds)
    expected, _ = soundfile.read(tmp_path / "corpus" / "call.wav", dtype="float32")
    np.testing.assert_allclose(samples, expected[17600:48000, 1], atol=1e-4)
