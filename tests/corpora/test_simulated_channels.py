"""Recording conditions drawn from names: repeatable, different, and of the promised kind."""

import subprocess

import numpy as np
import pytest

from sv.audio.files import read_audio, write_audio
from sv.bin import simulate_channels
from sv.corpora.simulated_channels import Recorded, mu_law, session_names, simulate


def voice(seconds=1.0, seed=0):
    rng = np.random.default_rng(seed)
    time = np.arange(int(16000 * seconds)) / 16000
    tone = sum(np.sin(2 * np.pi * 150 * k * time) / k for k in range(1, 30))
    return (0.1 * tone * (1 + 0.3 * rng.standard_normal(len(time)))).astype(np.float32)


def test_a_condition_is_a_function_of_name_and_seed():
    samples = voice()
    one, line = simulate(samples, "a/b.flac", Recorded())
    again, same = simulate(samples, "a/b.flac", Recorded())
    other, different = simulate(samples, "a/c.flac", Recorded())
    assert np.array_equal(one, again) and line == same
    assert line != different and not np.allclose(one, other)
    assert simulate(samples, "a/b.flac", Recorded(), seed=1)[1] != line
    assert len(one) == len(samples) and np.abs(one).max() <= 0.98


def test_one_in_four_is_a_telephone_and_the_snr_is_in_range():
    lines = [simulate(voice(0.1), f"utterance {n}", Recorded())[1] for n in range(200)]
    assert 0.15 < np.mean(["mu-law" in line for line in lines]) < 0.35
    snr = [float(line.split(" at ")[1].split()[0]) for line in lines]
    assert 10 <= min(snr) < 12 and 23 < max(snr) <= 25


def test_recorded_noises_and_responses_are_used_where_given():
    impulse = np.zeros(100, np.float32)
    impulse[7] = 1.0
    rng = np.random.default_rng(0)
    recorded = Recorded([rng.standard_normal(50).astype(np.float32)], [impulse])
    assert "response 0" in simulate(voice(0.1), "x", recorded)[1]
    assert "noise 0 at" in simulate(voice(0.1), "x", recorded)[1]


def test_mu_law_has_256_levels_at_most_and_a_small_relative_error():
    samples = np.linspace(-1, 1, 20001)
    coded = mu_law(samples)
    assert len(np.unique(coded)) <= 255
    loud = np.abs(samples) > 0.01
    assert np.abs(coded[loud] / samples[loud] - 1).max() < 0.05


@pytest.fixture
def corpus(tmp_path):
    for name in ("s1/a/u1.wav", "s1/a/u2.wav", "s2/a/u1.wav"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        write_audio(tmp_path / "in" / name, voice(0.3), 16000)
    (tmp_path / "in" / "trials").write_text(
        "1 s1/a/u1.wav s1/a/u2.wav\n0 s1/a/u1.wav s2/a/u1.wav\n"
    )
    return tmp_path


def run(folder, *more):
    given = ["--corpus", str(folder / "in"), "--out", str(folder / "out")]
    simulate_channels.main([*given, "--trials", str(folder / "in" / "trials"), *more])


def test_a_tree_of_the_same_shape_with_its_trials_and_only_what_is_missing_again(corpus):
    for job in ("1", "2"):
        run(corpus, "--job", job, "--num-jobs", "2")
    made = sorted(str(p.relative_to(corpus / "out")) for p in corpus.glob("out/**/*.flac"))
    assert made == ["s1/a/u1.flac", "s1/a/u2.flac", "s2/a/u1.flac"]
    trials = (corpus / "out" / "trials").read_text().splitlines()
    assert trials[1] == "0 s1/a/u1.flac s2/a/u1.flac"
    first = read_audio(corpus / "out" / made[0])
    assert not np.allclose(first, read_audio(corpus / "out" / made[2]))  # same voice, other channel
    (corpus / "out" / made[0]).unlink()
    before = (corpus / "out" / made[1]).stat().st_mtime_ns
    run(corpus)
    assert np.array_equal(first, read_audio(corpus / "out" / made[0]))
    assert (corpus / "out" / made[1]).stat().st_mtime_ns == before


@pytest.mark.whole
def test_the_stage_makes_all_files_anew_when_the_seed_changes(root, corpus):
    made, script = corpus / "out" / "s1" / "a" / "u1.flac", root / "local" / "simulate_channels.sh"
    seen = []
    for seed in ("0", "1", "1"):
        command = [script, "--nj", "1", "--seed", seed, "in", "out"]
        done = subprocess.run(command, cwd=corpus, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        seen.append((made.read_bytes(), made.stat().st_mtime_ns))
    assert seen[0][0] != seen[1][0] and seen[1] == seen[2]


def test_hard_channels_change_the_recording_and_are_noted(corpus):
    run(corpus)
    easy = read_audio(corpus / "out/s1/a/u1.flac")
    given = ["--corpus", str(corpus / "in"), "--channels", "hard", "--session-size", "2"]
    simulate_channels.main([*given, "--out", str(corpus / "hard")])
    hard = read_audio(corpus / "hard/s1/a/u1.flac")
    assert len(hard) == len(easy) and not np.allclose(hard, easy, atol=1e-3)
    rows = (corpus / "hard/conditions.1.tsv").read_text().splitlines()
    sessions = [row.split("\t")[4] for row in rows]
    assert sessions == ["s1/a#1", "s1/a#1", "s2/a#1"]
    assert rows[0].split("\t")[5] == rows[1].split("\t")[5] != rows[2].split("\t")[5]


def test_pseudo_sessions_are_groups_of_a_folder():
    files = ["a/u3", "a/u1", "b/u1", "a/u2"]
    assert session_names(files) == {name: name for name in files}
    assert session_names(files, 2) == {"a/u1": "a#1", "a/u2": "a#1", "a/u3": "a#2", "b/u1": "b#1"}


def test_the_stage_refuses_another_word(corpus):
    command = [
        "local/prepare_folder.sh",
        "--simulate-channels",
        "harder",
        str(corpus / "in"),
        "data",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "easy (or true) or hard" in done.stderr
