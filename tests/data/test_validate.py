"""The validator finds each defect, names file and line, and the repair makes it valid again."""

import gzip
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from sv.data.fix import fix
from sv.data.validate import validate
from sv.errors import InputError

UTILS = Path(__file__).parents[2] / "utils"
IDS = ["a-1", "a-2", "b-1", "b-2"]


@pytest.fixture
def folder(tmp_path):
    """A valid directory after stage 1, manifests included, written without lhotse."""
    data = tmp_path / "my data" / "train"
    data.mkdir(parents=True)
    (data.parent / "x.ark").write_bytes(b"ark")
    columns = {name: [] for name in ("wav.scp", "utt2spk", "spk2utt", "utt2dur")}
    columns |= {"feats.scp": [], "utt2num_frames": []}
    manifests = {"recordings": [], "supervisions": [], "cuts": []}
    for number, key in enumerate(IDS):
        audio = data.parent / f"{key} x.wav"
        audio.write_bytes(b"RIFF")
        values = [audio, key, key, "2.015", f"{data.parent / 'x.ark'}:{9 * number}", "200"]
        for rows, value in zip(columns.values(), values, strict=True):
            rows.append(f"{key} {value}\n")
        segment = {"id": key, "duration": 2.015, "speaker": key}
        manifests["recordings"].append(
            {"id": key, "duration": 2.015, "sources": [{"source": str(audio)}]}
        )
        manifests["supervisions"].append(segment)
        manifests["cuts"].append({"id": key, "duration": 2.015, "supervisions": [segment]})
    for name, rows in columns.items():
        (data / name).write_text("".join(rows))
    (data / "trials").write_text("1 a-1 a-2\n0 a-1 b-1\n1 b-1 b-2\n0 a-2 b-2\n")
    for kind, items in manifests.items():
        write_manifest(data / f"{kind}.jsonl.gz", items)
    return data


def write_manifest(path, items):
    with gzip.open(path, "wt") as handle:
        handle.writelines(json.dumps(item) + "\n" for item in items)


def edit(path, line, text):
    lines = path.read_text().splitlines(keepends=True)
    lines[line - 1] = text
    path.write_text("".join(lines))


def only(problems):
    assert len(problems) == 1, problems
    return problems[0]


def test_a_good_directory_is_valid_and_needs_no_repair(folder):
    assert validate(folder) == []
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert fix(folder) == []
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize("name", ["wav.scp", "utt2spk", "utt2dur", "spk2utt", "feats.scp"])
def test_a_missing_or_empty_file_is_named(folder, name):
    (folder / name).unlink()
    assert any(f"{folder / name}: no such file" in text for text in validate(folder))
    (folder / name).write_text("")
    assert any(f"{folder / name}: is empty" in text for text in validate(folder))


def test_features_may_be_absent_before_stage_1(folder):
    (folder / "feats.scp").unlink()
    (folder / "utt2num_frames").unlink()
    assert len(validate(folder)) == 2
    assert validate(folder, feats=False) == []


def test_a_bad_utterance_needs_no_features(folder):
    """Stage 1 has left it out and said why; that is no error of the directory."""
    edit(folder / "feats.scp", 2, "")
    edit(folder / "utt2num_frames", 2, "")
    (folder / "bad_utterances").write_text("a-1\tx.wav\tis silence\n")
    assert len(validate(folder)) == 2
    (folder / "bad_utterances").write_text("a-2\tx.wav\tis silence\n")
    assert validate(folder) == []
    edit(folder / "utt2dur", 2, "")  # but everything else
    assert "utt2dur: lacks utterance 'a-2'" in only(validate(folder))


# file, line, what that line becomes, what is said; all these can be repaired
REPAIRABLE = {
    "unsorted": ("utt2dur", 1, "c 1\n", r"utt2dur:1: 'c 1': is not in sorted order, 'a-2' comes"),
    "duplicate": ("utt2dur", 2, "a-1 2.015\n", r"utt2dur:2: 'a-1 2.015': the id stands in line 1"),
    "one column": ("utt2num_frames", 3, "b-1\n", r"utt2num_frames:3: 'b-1': is not '<id> <value>'"),
    "windows": ("utt2dur", 2, "a-2 2.015\r\n", r"utt2dur:2: 'a-2 2.015\\r': has a Windows line"),
    "cut off": ("utt2dur", 4, "b-2 2.015", r"utt2dur:4: 'b-2 2.015': the last line has no line"),
    "extra": ("utt2dur", 4, "b-3 2.015\n", r"utt2dur:4: 'b-3 2.015': wav.scp has no such utt"),
    "lacking": ("feats.scp", 2, "", r"feats.scp: lacks utterance 'a-2' \(wav.scp, line 2\)"),
    "negative": ("utt2dur", 3, "b-1 -2\n", r"utt2dur:3: 'b-1 -2': is not a duration in seconds"),
    "nan": ("utt2dur", 3, "b-1 nan\n", r"utt2dur:3: 'b-1 nan': is not a duration in seconds"),
    "no frames": ("utt2num_frames", 3, "b-1 0\n", r"'b-1 0': is not a number of frames above 0"),
    "no audio": ("wav.scp", 4, "b-2 /no/where.wav\n", r"wav.scp:4: .* no such audio file"),
    "spk2utt": ("spk2utt", 2, "a-2 b-1\n", r"spk2utt:2: 'a-2 b-1': utterance 'b-1' is not of"),
    "spk2utt short": ("spk2utt", 4, "", r"spk2utt: lists 3 utterances, utt2spk 4"),
    "trial id": ("trials", 4, "1 a-1 zz\n", r"trials: names 1 utterances that .* 'zz' in line 4"),
    "byte order mark": ("utt2spk", 1, "\ufeffa-1 a-1\n", r"utt2spk:1: has a byte order mark"),
    "blanks": ("utt2dur", 4, "b-2 2.015 \n\n", r"utt2dur: has blanks or empty lines at its end"),
}


@pytest.mark.parametrize("case", REPAIRABLE)
def test_a_defect_is_named_and_repaired(folder, case):
    name, line, text, message = REPAIRABLE[case]
    edit(folder / name, line, text)
    problems = validate(folder)
    matching = [problem for problem in problems if re.search(message, problem)]
    assert matching, problems
    assert f"utils/fix_data_dir {folder}" in matching[0]
    before = (folder / name).read_text()

    done = fix(folder)
    assert validate(folder) == []
    assert done
    if (folder / name).read_text() != before:
        assert (folder / ".backup" / name).read_text() == before


def test_repair_keeps_the_intersection_everywhere(folder):
    edit(folder / "utt2dur", 2, "")
    fix(folder)
    for name in ("wav.scp", "utt2spk", "spk2utt", "utt2dur", "feats.scp", "utt2num_frames"):
        keys = [line.split()[0] for line in (folder / name).read_text().splitlines()]
        assert keys == ["a-1", "b-1", "b-2"]
    assert (folder / "trials").read_text() == "0 a-1 b-1\n1 b-1 b-2\n"
    with gzip.open(folder / "cuts.jsonl.gz", "rt") as handle:
        assert [json.loads(line)["id"] for line in handle] == ["a-1", "b-1", "b-2"]


# what only a person can decide: the repair refuses and changes nothing
UNDECIDABLE = {
    "command": ("wav.scp", 1, "a-1 touch HACKED |\n", "is a command, not a file", "is a command"),
    "two values": ("utt2dur", 2, "a-1 9\n", "the id stands in line 1", "with another value"),
    "speaker": ("utt2spk", 1, "a-1 a\n", "names a speaker", "names a speaker"),
    "trial label": ("trials", 1, "x a-1 a-2\n", "trials: line 1: found 'x'", "line 1: found 'x'"),
    "both labels": ("trials", 3, "0 a-2 a-1\n", "both as target and", "both as target and"),
}


@pytest.mark.parametrize("case", UNDECIDABLE)
def test_what_a_person_must_decide_is_left_alone(folder, case):
    name, line, text, complaint, refusal = UNDECIDABLE[case]
    edit(folder / name, line, text)
    assert any(complaint in problem for problem in validate(folder))
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(InputError, match=refusal):
        fix(folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_trials_of_one_class_are_refused(folder):
    (folder / "trials").write_text("1 a-1 a-2\n1 b-1 b-2\n")
    assert "trials: all 2 trials are target trials" in only(validate(folder))
    with pytest.raises(InputError, match="add non-target trials"):
        fix(folder)
    (folder / "trials").write_text("1 a-1 a-2\n0 b-1 zz\n")
    with pytest.raises(InputError, match="not of both classes; nothing was changed"):
        fix(folder)


def test_trials_in_the_form_of_kaldi_are_trials(folder):
    """What scoring and the report read, validation, repair and stage 1 read, too."""
    (folder / "trials").write_text("a-1 a-2 target\na-1 b-1 nontarget\na-1 b-2 nontarget\n")
    assert validate(folder) == []
    edit(folder / "utt2dur", 4, "")
    assert "trials: dropped 1 trials of utterances not here" in fix(folder)
    assert (folder / "trials").read_text() == "1 a-1 a-2\n0 a-1 b-1\n"
    assert validate(folder) == []
    (folder / "trials").write_text(
        "\ufeffa-1 a-2 target\r\na-1 b-1 nontarget\r\n", encoding="utf-8"
    )
    assert validate(folder) == []
    (folder / "trials").write_text("a-1 a-2\na-1 b-1\n")
    assert "the trials have no labels" in only(validate(folder))


def test_nothing_in_common_is_refused(folder):
    (folder / "feats.scp").write_text(f"z {folder.parent / 'x.ark'}:0\n")
    with pytest.raises(InputError, match="feats.scp shares the fewest"):
        fix(folder)
    assert len((folder / "wav.scp").read_text().splitlines()) == 4


def test_true_speakers_may_be_allowed(folder):
    (folder / "utt2spk").write_text("a-1 a\na-2 a\nb-1 b\nb-2 b\n")
    (folder / "spk2utt").write_text("a a-1 a-2\nb b-1 b-2\n")
    assert "keep the true labels apart" in only(validate(folder))
    assert validate(folder, labels_inside=True) == []


def test_frames_of_other_audio_are_found(folder):
    edit(folder / "utt2num_frames", 2, "a-2 150\n")
    text = only(validate(folder))
    assert "utt2num_frames:2: 'a-2 150': so many frames of 10 ms cover 1.51 s, but" in text
    assert "run stage 1" in text


def test_a_missing_ark_is_found(folder):
    (folder.parent / "x.ark").unlink()
    assert "there is no such ark file" in only(validate(folder))


def test_audio_may_be_on_a_disk_not_mounted(folder):
    (folder.parent / "a-1 x.wav").unlink()
    assert "wav.scp:1:" in only(validate(folder))
    assert validate(folder, audio=False) == []
    assert fix(folder, audio=False) == []


MANIFEST_DEFECTS = {
    "speaker": ("supervisions", {"speaker": "a"}, "'a-1' has the speaker 'a'; labels do not"),
    "cut speaker": ("cuts", {"supervisions": [{"speaker": "a"}]}, "'a-1' has the speaker 'a'"),
    "duration": ("cuts", {"duration": 3.0}, "'a-1' lasts 3.0 s, but 2.015 s in utt2dur"),
    "path": ("recordings", {"sources": [{"source": "/x.wav"}]}, "'a-1' is /x.wav, but "),
    "id": ("recordings", {"id": "q"}, "recordings.jsonl.gz: has 'q', which wav.scp has not"),
}


@pytest.mark.parametrize("case", MANIFEST_DEFECTS)
def test_manifests_must_agree_with_the_kaldi_files(folder, case):
    kind, change, message = MANIFEST_DEFECTS[case]
    path = folder / f"{kind}.jsonl.gz"
    with gzip.open(path, "rt") as handle:
        items = [json.loads(line) for line in handle]
    items[0] |= change
    write_manifest(path, items)
    assert message in only(validate(folder))
    assert validate(folder, manifests=False) == []


def test_damaged_and_missing_manifests_are_named(folder):
    path = folder / "cuts.jsonl.gz"
    path.write_bytes(path.read_bytes()[:-12])
    assert f"{path}: is damaged after line" in only(validate(folder))
    for name in ("cuts", "recordings", "supervisions"):
        (folder / f"{name}.jsonl.gz").unlink()
    assert "has no lhotse manifests" in only(validate(folder))


def test_not_utf_8_is_named_with_its_line(folder):
    (folder / "utt2dur").write_bytes(b"a-1 2.015\na-2\xff 2.015\n")
    assert f"{folder / 'utt2dur'}:2: is not UTF-8" in only(validate(folder))


def call(tool, *arguments, cwd):
    command = [sys.executable, UTILS / tool, *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


def test_the_executables_exit_with_0_or_1(folder):
    good = call("validate_data_dir", folder.name, cwd=folder.parent)
    assert (good.returncode, good.stdout) == (0, "validate_data_dir: train is valid\n")
    edit(folder / "utt2dur", 2, "")
    bad = call("validate_data_dir", folder.name, cwd=folder.parent)
    assert bad.returncode == 1
    assert "validate_data_dir: train/utt2dur: lacks utterance 'a-2'" in bad.stderr
    repaired = call("fix_data_dir", folder.name, cwd=folder.parent)
    assert repaired.returncode == 0
    assert "wav.scp: dropped 1 utterances (a-2): not in utt2dur" in repaired.stdout
    assert call("validate_data_dir", folder.name, cwd=folder.parent).returncode == 0
    missing = call("fix_data_dir", "nowhere", cwd=folder.parent)
    assert (missing.returncode, missing.stdout) == (1, "")
    assert missing.stderr.startswith("fix_data_dir: nowhere: no such data directory")


def test_validating_imports_neither_torch_nor_lhotse(folder):
    (folder / "trials").unlink()  # to read it takes numpy
    code = (
        "import sys; from sv.data.validate import validate; from sv.data import fix\n"
        f"assert validate({str(folder)!r}) == []\n"
        "assert not {'torch', 'lhotse', 'numpy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=UTILS.parent, check=True)
