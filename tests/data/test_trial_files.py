"""Trial lists that name files."""

import pytest

from sv.data.trials import id_of, read_distributed, refuse_missing, write_trials
from sv.errors import InputError

LINES = [f"{int(i == 0)} id1/-a-/1.wav id2/b/{i}.wav" for i in range(14)]


@pytest.fixture
def trials(tmp_path):
    path = tmp_path / "list.txt"
    path.write_text("\n".join(LINES) + "\n")
    return read_distributed(path)


def test_paths_become_ids_in_the_order_of_the_list(trials, tmp_path):
    assert id_of("id10270/x6uYqmx31kE/00001.wav") == "id10270-x6uYqmx31kE-00001"
    write_trials(tmp_path / "out", trials)
    lines = (tmp_path / "out").read_text().splitlines()
    assert lines[0] == "1 id1--a--1 id2-b-0" and lines[13] == "0 id1--a--1 id2-b-13"
    assert len(lines) == 14


def test_missing_files_are_counted_and_the_first_ten_named(trials):
    refuse_missing(trials, set(trials.names), "here")
    with pytest.raises(InputError) as caught:
        refuse_missing(trials, {"id1--a--1", "id2-b-0", "id2-b-1"}, "here")
    text = str(caught.value)
    assert "names 12 files (of 15) that are not in here: id2-b-2 (line 3), id2-b-3 (line 4)" in text
    assert "id2-b-11 (line 12), ...;" in text and "id2-b-12" not in text


def test_wrong_lists(tmp_path):
    with pytest.raises(InputError, match="none.txt: no such trial list"):
        read_distributed(tmp_path / "none.txt")
    (tmp_path / "a").write_text("1 a/b/1.wav a/b/2.wav\n1 a/b/1.wav a/b/3.wav\n")
    with pytest.raises(InputError, match="target"):
        read_distributed(tmp_path / "a")
    (tmp_path / "b").write_text("1 a/b/1.wav a/b/1.flac\n0 a/b/1.wav c/b/3.wav\n")
    with pytest.raises(InputError, match="mean the same utterance"):
        read_distributed(tmp_path / "b")
