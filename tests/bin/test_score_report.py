"""Stages 7 and 8 from the command line: files in, files out, plain words for what is wrong."""

import json
import subprocess
import sys

import numpy as np
import pytest

from sv.bin import embed_mean, report, score
from sv.errors import InputError
from sv.kaldi.arks import ArkWriter, load_vectors
from sv.scoring import metrics

SPEAKERS, EACH, DIM = 8, 4, 16


@pytest.fixture
def world(tmp_path):
    """A trial list, embeddings in which speakers are apart, and true speakers."""
    generator = np.random.default_rng(0)
    voices = generator.standard_normal((SPEAKERS, DIM))
    ids = [f"s{s}-u{u}" for s in range(SPEAKERS) for u in range(EACH)]
    with ArkWriter(tmp_path / "e.ark", tmp_path / "e.scp") as writer:
        for name in ids:
            noise = 1.5 * generator.standard_normal(DIM)
            writer.write(name, (voices[int(name[1])] + noise).astype(np.float32))
    pairs = [(a, b) for a in ids for b in ids if a < b]
    (tmp_path / "trials").write_text("".join(f"{int(a[:2] == b[:2])} {a} {b}\n" for a, b in pairs))
    (tmp_path / "utt2spk").write_text("".join(f"{name} {name[:2]}\n" for name in ids))
    return tmp_path


def run_score(world, *extra, trials="trials", output="exp/scores/test"):
    score.main(
        ["--trials", str(world / trials), "--embeddings", f"scp:{world}/e.scp"]
        + ["--output", str(world / output), *map(str, extra)]
    )
    return world / output


@pytest.mark.whole
def test_from_trials_to_report(world, capsys):
    scores = run_score(world)
    lines = [line.split() for line in scores.read_text().splitlines()]
    trials = [line.split() for line in (world / "trials").read_text().splitlines()]
    assert [line[:2] for line in lines] == [trial[1:] for trial in trials]
    ids, vectors = load_vectors(f"scp:{world}/e.scp")
    table = dict(zip(ids, vectors / np.linalg.norm(vectors, axis=1, keepdims=True), strict=True))
    for enrol, test, value in lines[::50]:
        assert float(value) == pytest.approx(float(table[enrol] @ table[test]), abs=2e-6)

    (world / "exp" / "train.json").write_text('{"seed": 5, "epochs": 2}')
    (world / "exp" / "train.jsonl").write_text('{"epoch": 1, "loss": 2}\n{"epoch": 2, "loss": 1}\n')
    capsys.readouterr()
    report.main(
        ["--scores", str(scores), "--trials", str(world / "trials"), "--p-target", "0.01", "0.05"]
        + ["--utt2spk", str(world / "utt2spk"), "--resamples", "50"]
        + ["--out", str(world / "report"), "--results", str(world / "RESULTS.md")]
    )
    expected = metrics.eer([float(x) for _, _, x in lines], [int(x) for x, _, _ in trials])
    printed = capsys.readouterr().out
    assert f"{100 * expected:.2f} [" in printed and "8 speakers" in printed
    record = json.loads((world / "report" / "report.json").read_text())
    assert record["eer"] == pytest.approx(expected)
    assert record["training"]["seed"] == "5"
    assert record["systems"][0]["name"] == "exp"
    written = {path.name for path in (world / "report").iterdir()}
    stems = ("det", "scores", "curves", "map")
    pictures = {f"{stem}.{form}" for stem in stems for form in ("png", "pdf")}
    assert written == {"report.json", "report.html"} | pictures
    assert f"{100 * expected:.2f} [" in (world / "RESULTS.md").read_text()


def test_several_systems_and_the_same_command_twice(world, capsys):
    run_score(world)
    run_score(world, output="other")
    (world / "other").write_text(
        "".join(
            f"{a} {b} {i % 7}\n"
            for i, (a, b, _) in enumerate(x.split() for x in (world / "other").open())
        )
    )
    command = ["--scores", f"trained={world}/exp/scores/test", f"chance={world}/other"]
    command += ["--trials", str(world / "trials"), "--resamples", "50"]
    outputs = []
    capsys.readouterr()
    for _ in range(2):
        report.main([*command, "--json", str(world / "r.json"), "--results", str(world / "R.md")])
        outputs.append((capsys.readouterr().out, (world / "r.json").read_text()))
    first, again = (text.splitlines() for text, _ in outputs)
    assert first[:-1] == again[:-1] and outputs[0][1] == outputs[1][1]
    assert first[-1].startswith("one row more") and again[-1].startswith("the row exists already")
    assert "chance - trained" in outputs[0][0] and "worse" in outputs[0][0]
    assert "--utt2spk" in outputs[0][0]
    rows = [line for line in (world / "R.md").read_text().splitlines() if "trained" in line]
    assert len(rows) == 1  # the same result is not noted twice


def test_a_prior_given_twice_counts_once(world, capsys):
    scores = run_score(world)
    report.main(
        ["--scores", str(scores), "--trials", str(world / "trials"), "--resamples", "0"]
        + ["--p-target", "0.01", "0.010", "--results", str(world / "R.md")]
    )
    assert "[95 % intervals]" not in capsys.readouterr().out
    header, _, row = (world / "R.md").read_text().splitlines()[-3:]
    assert header.count("minDCF p=0.01 ") == 1 and header.count("|") == row.count("|")


def test_intervals_that_do_not_exist_are_not_explained(world, capsys):
    """One trial of each class: most draws of the speakers lack one of them."""
    scores = run_score(world)
    (world / "few").write_text("1 s0-u0 s0-u1\n0 s1-u0 s2-u0\n")
    report.main(["--scores", str(scores), "--trials", str(world / "few"), "--resamples", "50"])
    assert "[95 % intervals]" not in capsys.readouterr().out


def test_centring_and_separate_enrolment(world):
    plain = run_score(world).read_text()
    with ArkWriter(world / "zero.ark", world / "zero.scp") as writer:
        writer.write("a", np.full(DIM, 2.0, dtype=np.float32))
        writer.write("b", np.full(DIM, -2.0, dtype=np.float32))
    zero = f"scp:{world}/zero.scp"
    assert run_score(world, "--center-on", zero, output="c").read_text() == plain
    both = f"scp:{world}/e.scp"
    assert run_score(world, "--enrol-embeddings", both, output="d").read_text() == plain
    with pytest.raises(InputError, match="not in scp:.*zero.scp"):
        run_score(world, "--enrol-embeddings", zero, output="x")
    assert run_score(world, "--center-on", both, output="e").read_text() != plain
    assert not (world / "x").exists()


def test_unlabelled_trials_are_scored_but_not_reported(world):
    (world / "pairs").write_text("s0-u0 s1-u0\ns0-u0 s0-u1\ns0-u0 s1-u0\n")
    scores = run_score(world, trials="pairs")
    assert len(scores.read_text().splitlines()) == 3
    with pytest.raises(InputError, match="no labels"):
        report.main(["--scores", str(scores), "--trials", str(world / "pairs")])


@pytest.mark.parametrize(
    ("trials", "words"),
    [
        ("1 s0-u0 s0-u1\n0 s0-u0 s9-u9\n", ["1 of 3 utterances", "s9-u9"]),
        ("1 s0-u0 s0-u1\n1 s0-u0\n", ["line 2", "2 columns"]),
        ("", ["empty"]),
    ],
)
def test_score_from_the_shell_says_what_is_wrong(world, root, trials, words):
    """The whole program: no traceback, exit status 2, nothing half-written."""
    (world / "bad").write_text(trials)
    command = [sys.executable, "-m", "sv.bin.score", "--trials", str(world / "bad")]
    command += ["--embeddings", f"scp:{world}/e.scp", "--output", str(world / "out" / "s")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=root)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith("error: ") and "Traceback" not in done.stderr
    for word in words:
        assert word in done.stderr
    assert not (world / "out").exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"trials": "1 s0-u0 s0-u1\n1 s0-u0 s0-u2\n"}, "all 2 trials are target"),
        ({"trials": "1 s0-u0 s0-u1\n0 s0-u0 s9-u2\n"}, "1 of the 2 trials.*no score"),
        ({"exp/scores/test": "s0-u0 s0-u1 nan\n" * 496}, "495 of the 496 trials.*no score"),
        ({"utt2spk": "s0-u0 s0\n"}, "31 of 32 utterances.*no speaker"),
    ],
)
def test_report_refuses_what_does_not_fit(world, change, words):
    run_score(world)
    for name, text in change.items():
        (world / name).write_text(text)
    with pytest.raises(InputError, match=words):
        report.main(
            ["--scores", str(world / "exp/scores/test"), "--trials", str(world / "trials")]
            + ["--utt2spk", str(world / "utt2spk"), "--out", str(world / "report")]
        )
    assert not (world / "report").exists()


def test_report_refuses_nan_scores_equal_names_and_missing_folders(world):
    scores = run_score(world)
    text = scores.read_text().splitlines()
    (world / "nan").write_text("\n".join([text[0].rsplit(" ", 1)[0] + " nan", *text[1:]]) + "\n")
    trials = ["--trials", str(world / "trials")]
    with pytest.raises(InputError, match="1 of 496 scores are NaN"):
        report.main(["--scores", str(world / "nan"), *trials])
    with pytest.raises(InputError, match="same name"):
        report.main(["--scores", f"a={scores}", f"a={scores}", *trials])
    with pytest.raises(InputError, match="no such folder"):
        report.main(["--scores", str(scores), *trials, "--exp", str(world / "none")])


def test_names_of_systems(tmp_path):
    assert report.named("a=b/c")[0] == "a"
    assert report.named(str(tmp_path / "exp/simclr/scores/test"))[0] == "simclr"
    assert report.named("some/list.txt")[0] == "list"
    (tmp_path / "x=y").touch()
    assert report.named(str(tmp_path / "x=y"))[1] == tmp_path / "x=y"


def test_mean_filterbank_is_the_mean_less_that_of_the_training_set(tmp_path):
    generator = np.random.default_rng(0)
    sets = {}
    for name, count in (("train", 5), ("test", 3)):
        sets[name] = [
            generator.standard_normal((9 + i, 4)).astype(np.float32) for i in range(count)
        ]
        folder = tmp_path / name
        with ArkWriter(folder / "f.ark", folder / "feats.scp", compression=None) as writer:
            for i, matrix in enumerate(sets[name]):
                writer.write(f"u{i}", matrix)
    command = ["--data", str(tmp_path / "test"), "--center-on", str(tmp_path / "train")]
    embed_mean.main([*command, "--out", str(tmp_path / "emb" / "test")])
    ids, vectors = load_vectors(tmp_path / "emb" / "test.scp")
    centre = np.mean([matrix.mean(0) for matrix in sets["train"]], axis=0)
    expected = [matrix.mean(0) - centre for matrix in sets["test"]]
    assert ids == ["u0", "u1", "u2"]
    np.testing.assert_allclose(vectors, expected, atol=1e-6)
    embed_mean.main([*command, "--center-utterances", "1", "--out", str(tmp_path / "one")])
    _, vectors = load_vectors(tmp_path / "one.scp")
    np.testing.assert_allclose(
        vectors[0], sets["test"][0].mean(0) - sets["train"][0].mean(0), atol=1e-6
    )


@pytest.mark.whole
def test_scoring_and_reporting_do_without_torch(root):
    """Metrics must start fast and run where there is no torch."""
    code = (
        "import sys; import sv.bin.score, sv.bin.report, sv.bin.embed_mean, sv.report.plots; "
        "sys.exit('torch' in sys.modules or 'sv.training.trainer' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=root).returncode == 0


# ---------------------------------------------------------------- what is doubtful is said


def small(folder, speakers, each=3):
    """A list over so many speakers, scores that rank it well, and the speakers."""
    generator = np.random.default_rng(1)
    ids = [f"s{s:02}-u{u}" for s in range(speakers) for u in range(each)]
    pairs = [(a, b) for a in ids for b in ids if a < b]
    lines = {"trials": "", "scores": "", "other": ""}
    for a, b in pairs:
        same = a[:3] == b[:3]
        lines["trials"] += f"{int(same)} {a} {b}\n"
        for name in ("scores", "other"):
            lines[name] += f"{a} {b} {2.0 * same + generator.standard_normal():.4f}\n"
    lines["utt2spk"] = "".join(f"{name} {name[:3]}\n" for name in ids)
    for name, text in lines.items():
        (folder / name).write_text(text)
    return ["--trials", str(folder / "trials"), "--utt2spk", str(folder / "utt2spk")]


def run_report(folder, options, capsys, scores=("scores", "other")):
    capsys.readouterr()
    report.main(
        ["--scores", *(str(folder / name) for name in scores), *options, "--resamples", "60"]
        + ["--json", str(folder / "r.json"), "--html", str(folder / "r.html")]
        + ["--results", str(folder / "R.md"), "--embeddings", "none"]
    )
    text = (folder / "r.json").read_text()
    record = json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
    return capsys.readouterr().out, record, (folder / "r.html").read_text()


@pytest.mark.parametrize(("speakers", "known"), [(2, False), (4, False), (6, True), (12, True)])
def test_few_speakers_have_no_interval_anywhere(speakers, known, tmp_path, capsys):
    printed, record, page = run_report(tmp_path, small(tmp_path, speakers), capsys)
    row = (tmp_path / "R.md").read_text().splitlines()[-1]
    (system, _), (difference,) = record["systems"], record["differences"]
    assert (system["intervals"]["eer"] is not None) == known
    assert (difference["eer_p_value"] is not None) == known
    assert ("[95 % intervals]" in printed) == ("95 % interval" in page) == known
    assert ("[" in row.split("|")[3]) == known
    assert (f"({speakers} speakers)" in row) == (speakers < 10)
    warned = [check["text"] for check in record["checks"] if check["what"] == "Test speakers"]
    assert len(warned) == (speakers < 10)
    assert all(f"no more than {speakers} speakers" in text for text in warned)
    assert all(text in printed for text in warned)


def test_trials_that_contradict_the_speakers_and_an_eer_above_half_are_questioned(tmp_path, capsys):
    options = small(tmp_path, 6)
    lines = (tmp_path / "trials").read_text().splitlines()
    inverted = [f"{1 - int(line[0])}{line[1:]}\n" for line in lines]
    (tmp_path / "trials").write_text("".join(inverted) + "1 s00-u0 s00-u0\n")
    with (tmp_path / "scores").open("a") as handle:
        handle.write("s00-u0 s00-u0 9\n")
    printed, record, page = run_report(tmp_path, options, capsys, ["scores"])
    for words in (
        "1 of 154 trials compare a recording with itself (first: 1 s00-u0 s00-u0)",
        "135 of 154 trials contradict the speakers: these target trials are of two speakers",
        "18 of 154 trials contradict the speakers: these non-target trials are of one speaker",
        "most labels contradict the speakers, as if 1 and 0 were exchanged.",
        "%, worse than chance: are 1 and 0 exchanged in the trial list",
    ):
        assert words in printed and words in " ".join(c["text"] for c in record["checks"])
        assert words in page


def test_an_infinite_cllr_is_written_and_explained(tmp_path, capsys):
    (tmp_path / "t").write_text("1 a b\n0 a c\n")
    (tmp_path / "s").write_text("a b -inf\na c 0\n")
    options = ["--trials", str(tmp_path / "t"), "--llr"]
    printed, record, page = run_report(tmp_path, options, capsys, ["s"])
    assert record["systems"][0]["cllr"] == "inf"
    for text in (printed, page):
        assert "Cllr of s is inf (infinite): a trial has an infinite log-likelihood ratio" in text
    report.main(["--scores", str(tmp_path / "s"), *options, "--out", str(tmp_path / "out")])
    assert {"report.html", "report.json"} <= {path.name for path in (tmp_path / "out").iterdir()}


@pytest.mark.parametrize(("scale", "shown"), [(1e-7, "e-0"), (1e9, "e+0"), (0.1, "0.")])
def test_thresholds_of_any_scale_have_digits(scale, shown, tmp_path, capsys):
    options = small(tmp_path, 6)
    rows = [line.split() for line in (tmp_path / "scores").read_text().splitlines()]
    rows = [f"{a} {b} {scale * (9 + float(value))}\n" for a, b, value in rows]
    (tmp_path / "scores").write_text("".join(rows))
    printed = run_report(tmp_path, options, capsys, ["scores"])[0]
    word = printed.split("The threshold at the EER of scores is ")[1].split()[0].rstrip(".")
    assert shown in word and float(word) > 0


def test_equal_scores_are_said(tmp_path, capsys):
    options = small(tmp_path, 6)
    rows = [line.rsplit(" ", 1)[0] for line in (tmp_path / "scores").read_text().splitlines()]
    (tmp_path / "scores").write_text("".join(f"{row} 0.5\n" for row in rows))
    printed, record, page = run_report(tmp_path, options, capsys, ["scores"])
    assert "All scores of scores are equal" in printed and "too few errors" not in printed
    assert "All scores of scores are equal" in page
    assert any("are equal" in check["text"] for check in record["checks"])


def test_speakers_from_a_windows_file(tmp_path, capsys):
    options = small(tmp_path, 6)
    plain = run_report(tmp_path, options, capsys)[0]
    for name in ("utt2spk", "trials", "scores"):
        text = (tmp_path / name).read_text()
        (tmp_path / name).write_bytes(b"\xef\xbb\xbf" + text.replace("\n", " \r\n").encode())
    assert run_report(tmp_path, options, capsys)[0].splitlines()[:-1] == plain.splitlines()[:-1]
