"""Listing a corpus by its folders."""

import re

from sv.corpora.known_layouts import list_utterances, matching, speakers_in

is_speaker = re.compile(r"id\d{5}").fullmatch


def touch(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_speakers_are_folders_with_their_names(tmp_path):
    touch(tmp_path, "id00002/v/1.wav", "id00001/v/1.wav", "README/x/1.wav", "id00003")
    assert speakers_in(tmp_path, is_speaker) == ["id00001", "id00002"]
    assert speakers_in(tmp_path / "none", is_speaker) == []
    assert speakers_in(tmp_path / "id00003", is_speaker) == []  # a file


def test_the_candidates_that_hold_speakers_in_their_order(tmp_path):
    touch(tmp_path, "dev/aac/id00001/v/1.m4a", "dev/wav/id00001/v/1.wav", "wav/no/v/1.wav")
    assert matching(tmp_path, ["dev/wav", "", "wav", "dev/aac"], is_speaker) == [
        "dev/wav",
        "dev/aac",
    ]


def test_utterances_lie_three_deep_and_count_once(tmp_path):
    touch(
        tmp_path,
        "id00001/-v-/00001.m4a",
        "id00001/-v-/00001.wav",  # converted in place
        "id00001/-v-/00002.m4a",
        "id00001/-v-/00001.txt",
        "id00001/-v-/.00003.wav",
        "id00001/a/deep/00001.wav",
        "id00001/00001.wav",
        "id00002/w/00001.WAV",
    )
    found = list_utterances(tmp_path, ["id00001", "id00002"])
    assert [(f.id, f.relative) for f in found] == [
        ("id00001--v--00001", "id00001/-v-/00001.wav"),
        ("id00001--v--00002", "id00001/-v-/00002.m4a"),
        ("id00002-w-00001", "id00002/w/00001.WAV"),
    ]
    assert (found[0].speaker, found[0].session) == ("id00001", "-v-")
