"""Counts of parts of a corpus."""

import pytest

from sv.corpora.counts import check_counts, expected_counts
from sv.errors import InputError

PUBLISHED = {"dev": (2, 10), "list": (7,)}


def test_published_any_and_a_file(tmp_path):
    assert expected_counts("published", PUBLISHED) == PUBLISHED
    assert expected_counts("any", PUBLISHED) == {}
    (tmp_path / "counts").write_text("dev 1 4\n")
    assert expected_counts(str(tmp_path / "counts"), PUBLISHED) == {"dev": (1, 4)}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("test 1 4", "no such part; known: dev, list"),
        ("dev one 4", "is not '<name> <count> ...'"),
        ("dev 4", "dev needs 2 counts, as published: 2 10"),
    ],
)
def test_a_wrong_file_of_counts(text, message, tmp_path):
    (tmp_path / "counts").write_text(text + "\n")
    with pytest.raises(InputError, match="counts:1: .*" + message.replace("...", r"\.\.\.")):
        expected_counts(str(tmp_path / "counts"), PUBLISHED)


def test_a_difference_is_an_error_with_both_counts():
    check_counts("x", "dev", (2, 10), PUBLISHED, "speakers, utterances")
    check_counts("x", "other", (1, 1), PUBLISHED, "speakers, utterances")
    with pytest.raises(
        InputError, match="x: dev has 2 speakers, 9 utterances, where 2 speakers, 10"
    ):
        check_counts("x", "dev", (2, 9), PUBLISHED, "speakers, utterances")
