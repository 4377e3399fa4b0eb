"""Each kind of bad file is found and named; a few are left out, many stop the stage."""

import numpy as np
import pytest
import soundfile

from sv.audio.files import write_audio
from sv.audio.problems import (
    Bad,
    clipped_share,
    examine,
    find_problem,
    load,
    read_bad,
    refuse_too_many,
    write_bad,
)
from sv.errors import InputError

RATE = 16000
NOISE = 0.1 * np.random.default_rng(0).standard_normal(RATE).astype(np.float32)


def write(path, samples, rate=RATE):
    write_audio(path, np.asarray(samples, np.float32), rate)
    return path


def make_corpus(folder) -> dict[str, str]:
    """Two good files and one of each kind of bad ones."""
    write(folder / "good.wav", NOISE)
    write(folder / "quiet.flac", 0.001 * NOISE / NOISE.max())
    write(folder / "short.wav", NOISE[:399])
    write(folder / "zeros.wav", np.zeros(RATE))
    write(folder / "offset.wav", np.full(RATE, 0.25))
    write(folder / "dither.wav", np.random.default_rng(0).integers(-1, 2, RATE) / 32768)
    write(folder / "empty.wav", [])
    (folder / "text.wav").write_text("no audio")
    whole = write(folder / "cut.flac", NOISE).read_bytes()
    (folder / "cut.flac").write_bytes(whole[: len(whole) // 2])
    samples = NOISE.copy()
    samples[5] = np.nan
    soundfile.write(folder / "nan.wav", samples, RATE, subtype="FLOAT")
    return {path.stem: str(path) for path in sorted(folder.iterdir())} | {
        "missing": str(folder / "missing.wav")
    }


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("short", "shorter than one frame"),
        ("zeros", "all samples are equal"),
        ("offset", "all samples are equal"),
        ("dither", "is silence (at most -90 dB"),
        ("empty", "no samples"),
        ("text", "cannot be read as audio"),
        ("cut", "cut off"),
        ("nan", "NaN"),
        ("missing", "does not exist"),
    ],
)
def test_examine_names_file_and_problem(tmp_path, name, reason):
    path = make_corpus(tmp_path)[name]
    problem = examine(path)
    assert reason in problem
    assert path in problem
    assert load(path) == (None, problem)


def test_good_files_are_good(tmp_path):
    corpus = make_corpus(tmp_path)
    assert examine(corpus["good"]) is None
    assert examine(corpus["quiet"]) is None
    samples, problem = load(corpus["good"])
    assert problem is None
    np.testing.assert_allclose(samples, NOISE, atol=1e-4)


def test_nothing_is_wrong_with_the_good_ones(tmp_path):
    corpus = make_corpus(tmp_path)
    good = [name for name, path in corpus.items() if examine(path) is None]
    assert good == ["good", "quiet"]


def test_a_frame_is_25_ms_at_any_rate():
    assert find_problem(NOISE[:400], 16000) is None
    assert find_problem(NOISE[:400], 44100)
    assert find_problem(NOISE[:200], 8000) is None


def test_clipped_share():
    assert clipped_share(np.zeros(0)) == 0.0
    assert clipped_share(np.array([0.5, -1.0, 32767 / 32768, 0.9], np.float32)) == 0.5


def test_bad_utterances_are_written_and_read_back(tmp_path):
    rows = [Bad("b", "/with space/b.wav", "is\tsilence"), Bad("a", "a.wav", "is gone")]
    write_bad(tmp_path / "bad", rows)
    assert (tmp_path / "bad").read_text() == (
        "a\ta.wav\tis gone\nb\t/with space/b.wav\tis silence\n"
    )
    assert [row.id for row in read_bad(tmp_path / "bad")] == ["a", "b"]
    write_bad(tmp_path / "bad", [])
    assert read_bad(tmp_path / "bad") == []


def test_reading_a_foreign_or_missing_list(tmp_path):
    (tmp_path / "bad").write_text("a a.wav\n")
    with pytest.raises(InputError, match="line 1"):
        read_bad(tmp_path / "bad")
    with pytest.raises(InputError, match="does not exist"):
        read_bad(tmp_path / "none")


def test_one_per_cent():
    bad = [Bad(f"u{i}", "p", f"p{i} is silence") for i in range(3)]
    refuse_too_many([], 10, "list")
    refuse_too_many(bad, 300, "list")
    refuse_too_many(bad, 10, "list", max_bad=0.5)
    with pytest.raises(InputError, match=r"3 of 299 .*1\.0%.*p0 is silence.*list"):
        refuse_too_many(bad, 299, "list")
    with pytest.raises(InputError, match="3 of 3"):
        refuse_too_many(bad, 3, "list", max_bad=1.0)
