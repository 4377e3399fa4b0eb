"""Trial lists in their three forms, and every way they can be wrong."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sv.data.trials import read_trials
from sv.errors import InputError
from sv.kaldi import columns

ID = st.text("abcdefXYZ0123456789-_/.é", min_size=1, max_size=12)


@pytest.fixture
def write(tmp_path):
    def writer(text: str | bytes):
        path = tmp_path / "trials"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return writer


def pairs(trials):
    return [
        (trials.names[e], trials.names[t]) for e, t in zip(trials.enrol, trials.test, strict=True)
    ]


def test_voxceleb_form(write):
    trials = read_trials(write("1 a b\n0 a c\n0 c a\n"))
    assert pairs(trials) == [("a", "b"), ("a", "c"), ("c", "a")]
    assert trials.labels.tolist() == [True, False, False]
    assert trials.labels.dtype == bool and len(trials) == 3


def test_kaldi_form(write):
    trials = read_trials(write("a b target\na c nontarget\n"))
    assert pairs(trials) == [("a", "b"), ("a", "c")]
    assert trials.labels.tolist() == [True, False]


def test_kaldi_form_with_ids_that_look_like_labels(write):
    trials = read_trials(write("1 0 target\n0 2 nontarget\n"))
    assert pairs(trials) == [("1", "0"), ("0", "2")]


def test_list_without_labels_can_be_scored_but_not_measured(write):
    trials = read_trials(write("a b\nb c\n"))
    assert pairs(trials) == [("a", "b"), ("b", "c")] and trials.labels is None
    with pytest.raises(InputError, match="no labels"):
        trials.require_both_classes()


@pytest.mark.parametrize(
    "text",
    [b"1 a b\r\n0 a c\r\n", b"\xef\xbb\xbf1 a b\n0 a c", b"\n1\ta  b\n\n 0 a\tc \n\n"],
    ids=["windows", "byte order mark", "blank lines and tabs"],
)
def test_harmless_differences_of_form(write, text):
    trials = read_trials(write(text))
    assert pairs(trials) == [("a", "b"), ("a", "c")]
    assert trials.labels.tolist() == [True, False]


@given(rows=st.lists(st.tuples(st.booleans(), ID, ID), min_size=1, max_size=40), size=st.integers())
def test_whatever_is_written_is_read(tmp_path_factory, rows, size):
    """Also when blocks are so small that every line is one, or ids are cut at a block's end."""
    rows = list({frozenset((left, right)): (y, left, right) for y, left, right in rows}.values())
    path = tmp_path_factory.mktemp("t") / "trials"
    path.write_text("".join(f"{int(y)} {a} {b}\n" for y, a, b in rows), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(columns, "BLOCK_BYTES", 1 + abs(size) % 60)
        trials = read_trials(path)
    if rows[0][2] not in ("target", "nontarget"):
        assert pairs(trials) == [(a, b) for _, a, b in rows]
        assert trials.labels.tolist() == [y for y, _, _ in rows]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["empty"]),
        ("\n \n", ["empty"]),
        ("a\n", ["line 1", "1 columns"]),
        ("1 a b c\n", ["line 1", "4 columns", "spaces"]),
        ("1 a b\n0 a\n", ["line 2", "2 columns"]),
        ("1 a b\n\n0 a\n1 x y z\n", ["line 3", "2 columns"]),
        ("1 a b\n0 a\n1 x y z\n", ["line 2", "2 columns"]),
        ("a b\n1 a b\n", ["line 2", "3 columns"]),
        ("1 a b\n2 a c\n", ["line 2", "'2'", "1 or 0"]),
        ("a b 0.53\n", ["line 1", "'a'", "1 or 0"]),
        ("a b target\n\na c impostor\n", ["line 3", "'impostor'", "nontarget"]),
        ("a b target\n1 a b\n", ["line 2", "'b'"]),
        ("1 a b\n0 b a\n0 a b\n", ["both as target and as non-target", "a b"]),
        ("0 x y\n1 a b\n0 b a\n", ["both as target and as non-target", "first a b"]),
        ("b a target\na b nontarget\n", ["both as target and as non-target", "first b a"]),
        ("1 a b\n0 a c\n0 a a\n1 a a\n", ["both as target and as non-target", "a a"]),
        (b"1 a\xff b\n", ["UTF-8"]),
    ],
)
def test_malformed_lists_are_refused_with_the_line(write, text, words):
    path = write(text)
    with pytest.raises(InputError) as error:
        read_trials(path)
    for word in [str(path), *words]:
        assert word in str(error.value)


def test_the_line_number_counts_over_blocks(write, monkeypatch):
    monkeypatch.setattr(columns, "BLOCK_BYTES", 10)
    with pytest.raises(InputError, match="line 50 has 2 columns"):
        read_trials(write("1 aa bb\n" * 49 + "1 aa\n" + "1 aa bb\n" * 10))
    with pytest.raises(InputError, match="line 50: found 'x'"):
        read_trials(write("1 aa bb\n" * 49 + "x aa bb\n"))


@pytest.mark.parametrize("label", [0, 1])
def test_one_class_is_refused_for_metrics(write, label):
    trials = read_trials(write(f"{label} a b\n{label} a c\n"))
    with pytest.raises(InputError, match="all 2 trials are"):
        trials.require_both_classes()


def test_duplicates_are_counted(write):
    trials = read_trials(write("1 a b\n0 a c\n1 a b\n1 b a\n1 a b\n"))
    assert trials.duplicates == 2
    assert read_trials(write("1 a b\n1 b a\n")).duplicates == 0


def test_unknown_utterances_are_counted_and_named(write):
    trials = read_trials(write("1 a b\n0 a c\n0 d b\n"))
    ids = ["d", "x", "c", "b", "a"]
    assert [ids[row] for row in trials.rows_of(ids, "E.scp")] == trials.names
    with pytest.raises(InputError, match="2 of 4 utterances.*not in E.scp: (c, d|d, c);"):
        trials.rows_of(["a", "b"], "E.scp")


def test_the_first_ten_unknown_utterances_are_named(write):
    trials = read_trials(write("".join(f"1 a{n:02d} b{n:02d}\n" for n in range(20))))
    with pytest.raises(InputError, match="40 of 40 utterances") as error:
        trials.rows_of(["x"], "E.scp")
    names = str(error.value).split("E.scp: ")[1].split(", ...;")[0].split(", ")
    assert names == trials.names[:10]


def test_the_digest_is_that_of_the_pairs(write):
    first = read_trials(write("1 a b\n0 a c\n")).digest()
    assert read_trials(write("c x target\n")).digest() != first
    for same in ("a c nontarget\na b nontarget\n", "a b\na c\n", "1 a b\n0 a c\n1 a b\n"):
        assert read_trials(write(same)).digest() == first
    for other in ("1 a b\n", "1 b a\n0 a c\n", "1 a b\n0 a c\n0 b c\n", "1 a d\n0 a c\n"):
        assert read_trials(write(other)).digest() != first


def test_a_side_needs_only_its_own_utterances(write):
    trials = read_trials(write("1 a b\n0 a c\n"))
    assert trials.rows_of(["a"], "E.scp", side="enrol").tolist() == [0, -1, -1]
    assert trials.rows_of(["c", "b"], "E.scp", side="test").tolist() == [-1, 1, 0]
    with pytest.raises(InputError, match="1 of 3"):
        trials.rows_of(["b"], "E.scp", side="test")


def test_indices_fit_the_names_of_a_larger_list(write):
    generator = np.random.default_rng(0)
    chosen = generator.integers(0, 500, (20_000, 2))
    trials = read_trials(
        write("".join(f"{int(i == j)} utt{i:05d} utt{j:05d}\n" for i, j in chosen))
    )
    names = np.array(trials.names)
    assert (names[trials.enrol] == [f"utt{i:05d}" for i in chosen[:, 0]]).all()
    assert (names[trials.test] == [f"utt{j:05d}" for j in chosen[:, 1]]).all()
    assert (trials.labels == (chosen[:, 0] == chosen[:, 1])).all()
