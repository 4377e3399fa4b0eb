"""Text files of every origin, through every reader: trimmed, or refused by their cause."""

import numpy as np
import pytest

from sv import config
from sv.audio.problems import read_bad, read_exclude
from sv.corpora.counts import expected_counts
from sv.corpora.mini_tables import read_tsv
from sv.corpora.name_lists import read_named_trials
from sv.corpora.scan import read_scanned
from sv.crops.index import TrainingIndex, read_lengths, read_locations
from sv.data.durations import read_seconds
from sv.data.labels import read_label_file
from sv.data.trials import read_trials
from sv.errors import InputError
from sv.kaldi.arks import read_scp
from sv.kaldi.tables import read_dict, read_table
from sv.scoring.fusion import read_quality
from sv.scoring.score_file import read_scores
from sv.text import blocks, read_lines, read_text


def locations(path):
    names, arks, ark_id, offset = read_locations(path)
    return [name.decode() for name in names], arks, ark_id.tolist(), offset.tolist()


def lengths(path):
    return read_lengths(path, np.array([b"a", b"b\xc3\xa9"]), path).tolist()


def trials(path):
    found = read_trials(path)
    return found.names, found.enrol.tolist(), found.test.tolist(), found.labels.tolist()


def scores(path):
    found = read_scores(path)
    return found.names, found.values.tolist()


def counts(path):
    return expected_counts(str(path), {"p": (1, 2), "q": (1,)})


def settings(path):
    return config.load({"optim": Optim}, path)


@config.dataclasses.dataclass
class Optim:
    """Settings for these tests."""

    lr: float = 1.0
    steps: int = 1


# reader, a file that it reads
READERS = {
    "read_scp": (read_scp, "a /x y.wav\nbé /z.wav\n"),
    "read_table": (lambda path: read_table(path).as_dict(), "a x\nbé y\n"),
    "labels": (read_label_file, "a s1\nbé s2\n"),
    "durations": (read_seconds, "a 1.5\nbé 2\n"),
    "feats.scp": (locations, "a /f.ark:5\nbé /f.ark:90\n"),
    "utt2num_frames": (lengths, "a 10\nbé 20\n"),
    "trials": (trials, "1 a bé\n0 a c\n"),
    "trials of Kaldi": (trials, "a bé target\na c nontarget\n"),
    "trials by path": (read_named_trials, "1\ta b.wav\tbé.wav\n0\ta b.wav\tc.wav\n"),
    "scores": (scores, "a bé 0.5\na c -inf\n"),
    "quality": (lambda path: read_quality(str(path))[0], "a 1.5\nbé 2\n"),
    "settings": (settings, "optim:\n  lr: 0.5  # é\n"),
    "exclude": (read_exclude, "a\nbé\t/x.wav\tis silence\n"),
    "bad": (read_bad, "a\t/x.wav\tis short\nbé\t/y.wav\tis silence\n"),
    "scanned": (lambda path: read_scanned([path]), "# mark\na\t/é.wav\t16000\t1\t16000\n"),
    "tsv": (read_tsv, "id\tsex\na\tf\nbé\tm\n"),
    "counts": (counts, "p 1 2\nq 3\n"),
    "lines": (read_lines, "a\nbé\n"),
}


def rewritten(text):
    """The same text as other programs write it."""
    plain = text.encode()
    return {
        "byte order mark": b"\xef\xbb\xbf" + plain,
        "windows": plain.replace(b"\n", b"\r\n"),
        "windows, twice": plain.replace(b"\n", b"\r\r\n"),
        "windows with a mark": b"\xef\xbb\xbf" + plain.replace(b"\n", b"\r\n"),
        "blanks at line ends": plain.replace(b"\n", b" \n"),
        "empty lines at the end": plain + b"\n \n\n",
        "no line end": plain.rstrip(b"\n"),
        "carriage return at the end": plain.rstrip(b"\n") + b"\r",
    }


@pytest.mark.parametrize("form", rewritten(""))
@pytest.mark.parametrize("reader", READERS)
def test_harmless_differences_are_taken_away(reader, form, tmp_path):
    read, text = READERS[reader]
    (tmp_path / "plain").write_text(text, encoding="utf-8")
    (tmp_path / "other").write_bytes(rewritten(text)[form])
    assert repr(read(tmp_path / "other")) == repr(read(tmp_path / "plain")).replace(
        f"{tmp_path / 'plain'}", f"{tmp_path / 'other'}"
    )


CAUSES = {
    "UTF-16": (lambda text: text.encode("utf-16"), "is UTF-16 text.*iconv"),
    "UTF-16 without mark": (lambda text: text.encode("utf-16-le"), "is UTF-16 text.*iconv"),
    "UTF-16 BE without mark": (lambda text: text.encode("utf-16-be"), "is UTF-16 text.*iconv"),
    "UTF-32": (lambda text: text.encode("utf-32"), "is UTF-32 text.*iconv"),
    "UTF-32 without mark": (lambda text: text.encode("utf-32-le"), "is UTF-32 text.*iconv"),
    "UTF-32 BE without mark": (lambda text: text.encode("utf-32-be"), "is UTF-32 text.*iconv"),
    "Latin 1": (lambda text: text.replace("/z", "é").encode("latin-1"), r":\d: is not UTF-8 text"),
    "old Mac": (lambda text: text.replace("\n", "\r").encode(), "old Macs end their lines"),
    "zero byte": (lambda text: text.encode()[:-1] + b"\0\n", "has a zero byte"),
    "zero bytes at the end": (
        lambda text: text.encode() + bytes(5000),
        ":\\d+: has nothing but zero bytes from here on",
    ),
    "gzip": (lambda text: b"\x1f\x8b\x08" + text.encode(), "is compressed; unpack"),
}


@pytest.mark.parametrize("cause", CAUSES)
@pytest.mark.parametrize("reader", READERS)
def test_what_would_be_read_wrongly_is_refused_by_its_cause(reader, cause, tmp_path):
    read, text = READERS[reader]
    make, words = CAUSES[cause]
    (tmp_path / "f").write_bytes(make(text if "é" in text else text.replace("p", "é")))
    with pytest.raises(InputError, match=words) as caught:
        read(tmp_path / "f")
    assert str(tmp_path / "f") in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("reader", READERS)
def test_missing_files_and_folders_are_named(reader, tmp_path):
    read, _ = READERS[reader]
    with pytest.raises(InputError, match="nothing"):
        read(tmp_path / "nothing")
    with pytest.raises(InputError, match="is a folder"):
        read(tmp_path)


DICTS = {
    "no value": ("a x\nb\n", ":2: 'b' has no value"),
    "an empty line": ("a x\n\nb y\n", ":2: the line is empty; remove it"),
    "twice": ("a x\nb y\na x\n", ":3: 'a' is there twice, first in line 1"),
    "empty": ("\n \n", ": is empty"),
    "a no-break space": ("a x\nb\u00a0 y\n", r":2: the id 'b\\xa0' has.*U\+00A0"),
    "a joiner": ("a x\nb\u200d y\n", r"U\+200D"),
    "two files with marks, joined": ("a x\n\ufeffb\ufeff y\n", r"U\+FEFF"),
}


@pytest.mark.parametrize("case", DICTS)
@pytest.mark.parametrize("read", [read_dict, read_scp, read_label_file])
def test_bad_lines_are_named(read, case, tmp_path):
    text, words = DICTS[case]
    (tmp_path / "f").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=words):
        read(tmp_path / "f")


@pytest.mark.parametrize("odd", "\u00a0\u200b\ufeff\u3000\u0085\x1c")
def test_words_that_look_alike_are_refused(odd, tmp_path):
    path = tmp_path / "f"
    for read, text in (
        (read_trials, "1 a b\n0 a {}\n"),
        (read_trials, "a b target\na {} nontarget\n"),
        (read_scores, "a b 0.5\na {} 1\n"),
        (read_label_file, "a s1\nb {}\n"),
    ):
        path.write_text(text.format(f"s1{odd}"), encoding="utf-8")
        with pytest.raises(InputError, match=rf"\b2: .*U\+{ord(odd):04X}"):
            read(path)
    path.write_text(f"1 a b.wav\n0 a c{odd}.wav\n", encoding="utf-8")  # names of files
    assert read_named_trials(path)[1][3] == f"c{odd}.wav"


def test_a_label_is_one_word(tmp_path):
    (tmp_path / "utt2spk").write_text("a s1\nb s 2\n")
    with pytest.raises(InputError, match="utt2spk:2: 'b' has more than one value"):
        read_label_file(tmp_path / "utt2spk")
    assert read_dict(tmp_path / "utt2spk") == {"a": "s1", "b": "s 2"}


def test_only_ascii_blanks_end_an_id(tmp_path):
    """A no-break space in a path is a part of it, and so are the line ends of Unicode."""
    text = "a /x\u00a0y\u2028z\u0085.wav\nb  /y\u3000\n"
    (tmp_path / "wav.scp").write_text(text, encoding="utf-8")
    assert read_scp(tmp_path / "wav.scp") == {"a": "/x\u00a0y\u2028z\u0085.wav", "b": "/y\u3000"}


def test_blocks_join_to_the_file_and_know_their_lines(tmp_path):
    lines = [f"utt{n:03} {'é' if n % 7 == 0 else n}" for n in range(200)]
    (tmp_path / "f").write_bytes(b"\xef\xbb\xbf" + "\r\n".join(lines).encode())
    found = list(blocks(tmp_path / "f", size=50))
    assert len(found) > 20 and b"".join(part for _, part in found).decode().split() == (
        " ".join(lines).split()
    )
    for first, part in found:
        assert part.decode().split("\n")[0] == lines[first - 1]
    assert read_text(tmp_path / "f") == "\n".join(lines)


def test_the_line_is_named_in_a_later_block(tmp_path):
    (tmp_path / "f").write_bytes(b"a b\n" * 300 + b"a \xff\n")
    with pytest.raises(InputError, match=":301: is not UTF-8 text .the byte 0xff"):
        list(blocks(tmp_path / "f", size=64))


def test_a_training_set_from_windows(tmp_path, write_features):
    folder = write_features(tmp_path, [20, 30, 25])
    before = TrainingIndex.load(folder)
    for name in ("feats.scp", "utt2num_frames"):
        text = (folder / name).read_bytes()
        (folder / name).write_bytes(b"\xef\xbb\xbf" + text.replace(b"\n", b" \r\n") + b"\r\n")
    after = TrainingIndex.load(folder)
    assert after.ids(slice(None)) == before.ids(slice(None)) and after.arks == before.arks
    assert after.lengths.tolist() == [20, 30, 25]
