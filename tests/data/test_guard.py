"""Corpora that are known to share people."""

import pytest

from sv.data.guard import Overlap, check_known_overlaps
from sv.errors import InputError

KNOWN = [Overlap("a-test", "b", "said so"), Overlap("c", "b", "too")]


def test_a_known_overlap_is_refused_or_returned():
    assert check_known_overlaps({"a-dev"}, {"b"}, KNOWN) == []
    assert check_known_overlaps({"a-test"}, {"other"}, KNOWN) == []
    with pytest.raises(InputError, match="share people .a-test with b: said so"):
        check_known_overlaps({"a-dev", "a-test"}, {"b"}, KNOWN)
    assert check_known_overlaps({"a-test", "c"}, {"b"}, KNOWN, allow=True) == KNOWN
