"""The table of the bench: shares between floor and ceiling, means over seeds, differences."""

import numpy as np
import pytest

from sv.bin import bench_table
from sv.errors import InputError
from sv.report.bench import Figures, bench_rows, share

SPEAKERS, EACH = 12, 3


def test_the_share_is_0_at_the_floor_and_1_at_the_ceiling():
    assert share(0.3, 0.3, 0.1) == 0.0 and share(0.1, 0.3, 0.1) == 1.0
    assert share(0.25, 0.3, 0.1) == pytest.approx(0.25)
    assert share(0.2, 0.1, 0.1) is None and share(0.2, 0.1, 0.3) is None


def test_rows_are_sorted_and_differences_are_of_the_same_draws():
    rng = np.random.default_rng(0)
    drawn = rng.normal(0.2, 0.05, 400)  # of speakers: the same for all systems
    systems = {
        "floor": Figures(np.array([0.3]), drawn + 0.1),
        "base": Figures(np.array([0.21, 0.19]), drawn),
        "mine": Figures(np.array([0.16, 0.14]), drawn - 0.05),
        "top": Figures(np.array([0.1]), drawn - 0.1),
    }
    kinds = {"floor": "floor", "base": "system", "mine": "system", "top": "ceiling"}
    header, *rows = bench_rows(systems, kinds, "base")
    assert [row[0] for row in rows] == ["floor", "base", "mine", "top"]
    assert [row[4] for row in rows] == ["0 %", "50 %", "75 %", "100 %"]
    assert rows[2][2] == "16.00, 14.00" and rows[2][3].endswith("± 1.41")
    assert rows[2][5] == "-5.00 [-5.00, -5.00]" and rows[1][5] == "–"
    assert "that of base" in header[5]
    _, *rows = bench_rows({"base": systems["base"]}, kinds, "base")
    assert rows[0][4] == "–"


def test_the_program_reads_scores_of_every_seed(tmp_path):
    rng = np.random.default_rng(0)
    ids = [f"s{s:02d}-u{u}" for s in range(SPEAKERS) for u in range(EACH)]
    pairs = [(a, b) for a in ids for b in ids if a < b]
    (tmp_path / "trials").write_text("".join(f"{int(a[:3] == b[:3])} {a} {b}\n" for a, b in pairs))
    (tmp_path / "utt2spk").write_text("".join(f"{name} {name[:3]}\n" for name in ids))
    for name, gap in (("ivector", 0.5), ("base-0", 1.0), ("base-1", 1.2), ("up-0", 3), ("up-1", 3)):
        file = tmp_path / "exp" / name / "scores" / "test"
        file.parent.mkdir(parents=True)
        lines = (f"{a} {b} {gap * (a[:3] == b[:3]) + rng.normal():.6f}\n" for a, b in pairs)
        file.write_text("".join(lines))
    given = ["--trials", "trials", "--utt2spk", "utt2spk", "--exp", "exp", "--out", "exp/table.md"]
    given = [str(tmp_path / word) if word[0] != "-" else word for word in given]
    given += ["--seeds", "0", "1", "--against", "base", "--systems", "base", "--ceilings", "up"]
    bench_table.main([*given, "--floors", "ivector", "--resamples", "100"])
    lines = (tmp_path / "exp/table.md").read_text().splitlines()
    assert [line.split("|")[1].strip() for line in lines[2:]] == ["ivector", "base", "up"]
    with pytest.raises(InputError, match="none of the lists"):
        bench_table.main([*given[:-6], "--against", "x", "--systems", "base"])
    with pytest.raises(InputError, match="no such scores"):
        bench_table.main([*given, "--floors", "absent"])
