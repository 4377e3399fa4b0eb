"""Adverse trials: who speaks over whom, how loud, and never one of the trial's own speakers."""

import subprocess
import wave

import numpy as np
import pytest
from fork_server import fork_python

from sv.bin import mix_trials
from sv.corpora.adverse_trials import generator, plan, speak_over
from sv.errors import InputError

pytestmark = pytest.mark.whole

SPEAKERS = {f"{who}{n}": who for who in "abcdef" for n in range(3)}
TRIALS = [(int(x == y), f"{x}0", f"{y}{n}") for x in "abc" for y in "abc" for n in (1, 2)]


def targets_of(planned):
    return {mixture.id: mixture for mixture in planned.mixtures}


@pytest.mark.parametrize("sides", ["test", "both"])
def test_interferers_are_never_of_a_trials_speakers(sides):
    for seed in range(20):
        planned = plan(TRIALS, SPEAKERS, sides=sides, seed=seed)
        made = targets_of(planned)
        assert len(made) == len(planned.mixtures)
        for (label, enrol, test), (new_label, new_enrol, new_test) in zip(
            TRIALS, planned.trials, strict=True
        ):
            assert new_label == label and made[new_test].target == test
            others = [SPEAKERS[made[new_test].interferer]]
            if sides == "both":
                assert made[new_enrol].target == enrol
                others.append(SPEAKERS[made[new_enrol].interferer])
            else:
                assert new_enrol == enrol
            assert len({SPEAKERS[enrol], SPEAKERS[test], *others}) == len(others) + 1 + (not label)


def test_a_plan_is_a_function_of_list_and_seed():
    assert plan(TRIALS, SPEAKERS, seed=1) == plan(TRIALS, dict(reversed(SPEAKERS.items())), seed=1)
    assert plan(TRIALS, SPEAKERS, seed=1) != plan(TRIALS, SPEAKERS, seed=2)


def test_an_utterance_that_meets_everybody_is_mixed_more_than_once():
    speakers = {f"{who}{n}": who for who in "abc" for n in range(2)}
    trials = [(1, "a0", "a1"), (0, "b0", "a1"), (0, "c0", "a1")]
    planned = plan(trials, speakers)
    assert [mixture.target for mixture in planned.mixtures] == ["a1", "a1"]
    made = targets_of(planned)
    assert speakers[made[planned.trials[1][2]].interferer] == "c"
    assert speakers[made[planned.trials[2][2]].interferer] == "b"
    with pytest.raises(InputError, match="only 3 speakers: nobody is left"):
        plan(trials, speakers, sides="both")
    with pytest.raises(InputError, match="c0, whose speaker is not known"):
        plan(trials, {"a0": "a", "a1": "a", "b0": "b"})


@pytest.mark.parametrize("snr", [10.0, 0.0, -3.0])
def test_level_is_exact_and_a_short_interferer_is_repeated(snr):
    rng = np.random.default_rng(0)
    target = 0.1 * rng.standard_normal(4000).astype(np.float32)
    other = 0.02 * rng.standard_normal(700).astype(np.float32)
    mixture = speak_over(target, other, snr, generator(0, "x"))
    added = mixture - target
    assert 10 * np.log10(np.var(target) / np.var(added)) == pytest.approx(snr, abs=0.1)
    np.testing.assert_allclose(added[:700], added[700:1400], atol=1e-6)
    loud = speak_over(10 * target, other, snr, generator(0, "x"))
    assert np.abs(loud).max() <= 0.991


@pytest.fixture
def corpus(tmp_path):
    """A folder with blanks in its name: five speakers, two utterances each, and trials of four."""
    folder, rng = tmp_path / "my corpus", np.random.default_rng(0)
    for who in "abcde":
        for number in "12":
            path = folder / who / f"{number}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            with wave.open(str(path), "wb") as file:
                file.setparams((1, 2, 16000, 0, "NONE", ""))
                samples = (3000 * rng.standard_normal(8000)).astype("<i2")
                file.writeframes(samples.tobytes())
    pairs = ("aa", "ab", "cc", "cb", "dd")
    lines = [f"{int(x == y)} {x}/1.wav {y}/2.wav\n" for x, y in pairs]
    (folder / "trials").write_text("".join(lines))
    return folder


@pytest.mark.thorough
def test_the_stage_by_its_shell_script(corpus, tmp_path, root):
    def shell(*words, status=0):
        done = subprocess.run(
            ["bash", root / "local" / words[0], *words[1:]],
            cwd=tmp_path,
            env={"PATH": "/usr/bin:/bin", "SV_PYTHON": fork_python(), "HOME": str(tmp_path)},
            capture_output=True,
            text=True,
        )
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout + done.stderr

    shell("prepare_folder.sh", corpus, "data")
    words = ["mix_trials.sh", "--levels", "5 0", "data/test", "mixtures", "fbank"]
    printed = shell(*words)
    assert "5 trials in data/test_5db: 4 mixtures at 5 dB on the test side" in printed
    assert (tmp_path / "data/test_0db/trials").read_text().splitlines()[0] == "1 a-1 a-2-mix1"
    assert len((tmp_path / "data/test_0db/feats.scp").read_text().splitlines()) == 7
    assert "a-2-mix1 a\n" in (tmp_path / "data/labels/test_0db/utt2spk").read_text()
    assert "a-2-mix1 a-2-mix1\n" in (tmp_path / "data/test_0db/utt2spk").read_text()  # no label
    assert shell(*words).count("complete, skipped") == 4

    (tmp_path / "data/labels/test/utt2spk").unlink()
    printed = shell(*words, status=2)
    assert "adverse trials need true speakers" in printed and "Traceback" not in printed


def test_a_list_without_labels_is_refused(corpus, tmp_path, monkeypatch):
    from sv.bin import prepare_folder

    monkeypatch.chdir(tmp_path)
    prepare_folder.main(["--corpus", str(corpus), "--out", "data"])
    (tmp_path / "unlabelled").write_text("a-1 a-2\n")
    words = ["--data", "data/test", "--labels", "data/labels/test", "--trials", "unlabelled"]
    words += ["--snr", "0", "--audio", "m", "--out", "o", "--out-labels", "l"]
    with pytest.raises(InputError, match="have no labels"):
        mix_trials.main(words)
    assert not (tmp_path / "o").exists()
