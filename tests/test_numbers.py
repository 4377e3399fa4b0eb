"""Numbers that people write: every numeric option of every program refuses what is none."""

import argparse
import importlib
import math
import re
from pathlib import Path

import numpy as np
import pytest

from sv import cli, config, numbers
from sv.audio import source
from sv.data.durations import read_seconds
from sv.errors import InputError
from sv.scoring import metrics
from sv.scoring.score_file import read_scores

ROOT = Path(__file__).resolve().parent.parent


WIDE = "\uff11\uff12"  # digits, for Python


@pytest.mark.parametrize("text", ["1_0", "nan", "inf", "", "1.5", "0x1", WIDE, "9" * 30, "1e3"])
def test_what_is_no_whole_number(text):
    with pytest.raises(ValueError, match="whole number|too large"):
        numbers.to_int(text)


@pytest.mark.parametrize("text", ["1_0.5", "nan", "-nan", "inf", "", "1e400", "1,5", "0x1p3", WIDE])
def test_what_is_no_number(text):
    with pytest.raises(ValueError, match="is no number|too large"):
        numbers.to_float(text)


def test_what_is_one():
    assert [numbers.to_int(text) for text in ("0", "-7", "+3", " 12 ", "007")] == [0, -7, 3, 12, 7]
    found = [numbers.to_float(text) for text in ("0", "-.5", "1.", "1e-3", "+2E5")]
    assert found == [0, -0.5, 1.0, 0.001, 2e5]
    assert numbers.to_float("-inf", infinite=True) == -math.inf


def test_the_ends_of_a_range():
    assert numbers.PRIOR("0.5") == 0.5 and numbers.SHARE("1") == 1.0 and numbers.COSINE("-1") == -1
    for kind, text in [
        (numbers.PRIOR, "0"),
        (numbers.PRIOR, "1"),
        (numbers.SHARE, "1.01"),
        (numbers.COSINE, "1.5"),
        (numbers.COUNT, "0"),
        (numbers.SAMPLE_RATE, "10"),
        (numbers.SAMPLE_RATE, "1000000000"),
        (numbers.SEED, "-1"),
    ]:
        with pytest.raises(argparse.ArgumentTypeError, match=f"{text} is not a"):
            kind(text)
    assert str(numbers.PRIOR) == "a number above 0 and below 1"
    assert str(numbers.POSITIVE) == "a number above 0 and up to 1,000,000,000"
    assert str(numbers.COUNT) == "a whole number from 1 to 1,000,000,000"
    with pytest.raises(InputError, match="the rate: nan is not a whole number from 1,000"):
        numbers.SAMPLE_RATE.check(math.nan, "the rate")
    assert (numbers.SAMPLE_RATE.low, numbers.SAMPLE_RATE.high) == (
        source.MIN_RATE,
        source.MAX_RATE,
    )


# ---------------------------------------------------------------- options


class Caught(Exception):
    """Carries a parser out of a program."""


def parser_of(main, monkeypatch):
    def stop(self, *_):
        raise Caught(self)

    with monkeypatch.context() as patch:
        patch.setattr(argparse.ArgumentParser, "parse_args", stop)
        with pytest.raises(Caught) as caught:
            main([])
    return caught.value.args[0]


PROGRAMS = sorted(path.stem for path in (ROOT / "sv" / "bin").glob("[a-z]*.py"))


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_numeric_option_refuses_what_is_no_usable_number(name, monkeypatch, capsys):
    """Whichever options there are: ``int`` and ``float`` of Python are the types of none."""
    parser = parser_of(importlib.import_module(f"sv.bin.{name}").main, monkeypatch)
    for action in parser._actions:
        assert action.type not in (int, float), f"{name} {action.option_strings}"
        if not isinstance(action.type, numbers.Number):
            continue
        for text in ("nan", "inf", "-inf", "1_0", "1e400", "-1e10", "9" * 40, "x", ""):
            with pytest.raises(SystemExit) as end:
                parser.parse_args([f"{action.option_strings[0]}={text}"])
            said = capsys.readouterr().err
            assert end.value.code == 2 and action.option_strings[0] in said
            assert len(said.splitlines()) == 1, said
        defaults = action.default if isinstance(action.default, list) else [action.default]
        assert all(action.type.holds(one) for one in defaults if one is not None), name


def test_no_program_reads_numbers_by_itself():
    """Also not those outside ``sv/bin``."""
    files = [*ROOT.glob("utils/*"), *ROOT.glob("egs/*/local/*.py"), *ROOT.glob("sv/**/*.py")]
    odd = []
    for path in files:
        if path.is_file() and re.search(r"type=(int|float)\b", path.read_text(encoding="utf-8")):
            odd.append(path.name)
    assert odd == ["once"]  # a descriptor that begin.sh gives


def test_a_wrong_option_is_one_line(capsys):
    p = cli.parser("What it does.")
    p.add_argument("--threshold", type=numbers.COSINE)
    for word in ("nan", "1.5"):
        with pytest.raises(SystemExit) as end:
            p.parse_args(["--threshold", word])
        text = capsys.readouterr().err
        assert end.value.code == 2 and len(text.splitlines()) == 1
        assert text.startswith("error: argument --threshold: ") and "from -1 to 1" in text


# ---------------------------------------------------------------- settings and files


@config.dataclasses.dataclass
class Optim:
    """Settings for these tests."""

    lr: float = 1.0
    steps: int = 1


@pytest.mark.parametrize("text", [".nan", ".inf", "nan", "1_0.5", "1e400", "1:30", "-.inf", "1e12"])
def test_settings_take_usable_numbers_only(text, tmp_path):
    (tmp_path / "c.yaml").write_text(f"optim:\n  lr: {text}\n")
    for path, words in ((tmp_path / "c.yaml", []), (None, [f"optim.lr={text}"])):
        with pytest.raises(InputError, match="optim.lr"):
            config.load({"optim": Optim}, path, words)


@pytest.mark.parametrize("text", ["1_000", "010", "1:30", "0x1F", "99999999999", "1.0"])
def test_settings_take_usable_whole_numbers_only(text):
    with pytest.raises(InputError, match="optim.steps"):
        config.load({"optim": Optim}, None, [f"optim.steps={text}"])


def test_numbers_of_settings_as_people_write_them():
    for text, value in (("1e-3", 0.001), ("5.0e-4", 0.0005), (".5", 0.5), ("-2", -2.0), ("3", 3.0)):
        assert config.load({"optim": Optim}, None, [f"optim.lr={text}"])["optim"].lr == value
    assert config.load({"optim": Optim}, None, ["optim.steps=12"])["optim"].steps == 12


@pytest.mark.parametrize("text", ["1_0.5", "1e400", "0x1", "x", "1,5"])
def test_scores_that_are_none(text, tmp_path):
    (tmp_path / "s").write_text(f"a_1 b_1 0.25\na_1 c_1 {text}\n")
    with pytest.raises(InputError, match=re.escape(f"line 2: the score '{text}' is not a")):
        read_scores(tmp_path / "s")


def test_infinite_scores_are_scores(tmp_path):
    (tmp_path / "s").write_text("a b inf\na c -inf\na d -Infinity\na e 1e-400\n")
    np.testing.assert_array_equal(
        read_scores(tmp_path / "s").values, [np.inf, -np.inf, -np.inf, 0.0]
    )


@pytest.mark.parametrize("text", ["1_0", "nan", "-2", "0", "inf"])
def test_durations_that_are_none(text, tmp_path):
    (tmp_path / "utt2dur").write_text(f"a 1.5\nb {text}\n")
    with pytest.raises(InputError, match="utt2dur: the duration of 'b'"):
        read_seconds(tmp_path / "utt2dur")


@pytest.mark.parametrize("costs", [(math.nan, 1.0), (1.0, math.inf), (0.0, 1.0)])
def test_costs_that_are_none(costs):
    with pytest.raises(InputError, match="the costs must be above 0"):
        metrics.cost_weights(0.5, *costs)
    with pytest.raises(InputError, match="the prior"):
        metrics.cost_weights(math.nan)
