import builtins
import shutil
import subprocess
import sys
import threading
import time
import wave
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from sv.bin import synthesize
from sv.corpora import mini_speech, mini_tables, mini_voices
from sv.corpora.mini_corpus import prepare
from sv.corpora.mini_speech import Settings, draw_trials, plan
from sv.corpora.mini_tables import check_same_settings, read_tsv
from sv.errors import InputError

TINY = Settings(train_speakers=2, test_speakers=4, sessions=2, utterances=2)
SIZES = ["--train-speakers=2", "--test-speakers=4", "--sessions=2", "--utterances=2"]
REPOSITORY = Path(__file__).resolve().parents[2]


def synthesize_in_a_process(out, *options):
    """eSpeak is started by fork: do that from a process without the threads of the test run."""
    command = [sys.executable, "-m", "sv.bin.synthesize", "--out", str(out), *SIZES, *options]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)


def contents(corpus):
    return {
        file.relative_to(corpus).as_posix(): file.read_bytes()
        for file in sorted(corpus.rglob("*"))
        if file.is_file()
    }


def samples_of(path):
    with wave.open(str(path)) as sound:
        assert (sound.getframerate(), sound.getnchannels(), sound.getsampwidth()) == (16000, 1, 2)
        return np.frombuffer(sound.readframes(sound.getnframes()), np.int16) / 32768


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    pytest.importorskip(
        "parselmouth", reason="the mini corpus is spoken by praat-parselmouth (the extra [mini])"
    )
    folder = tmp_path_factory.mktemp("mini") / "corpus"
    done = synthesize_in_a_process(folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.whole
def test_files_do_not_depend_on_the_number_of_jobs_or_their_order(corpus, tmp_path):
    for job in "312":
        done = synthesize_in_a_process(tmp_path, "--job", job, "--num-jobs", "3")
        assert done.returncode == 0, done.stderr
    assert contents(tmp_path) == contents(corpus)


@pytest.mark.whole
def test_an_interrupted_job_goes_on_and_keeps_what_is_there(corpus, tmp_path):
    whole = contents(corpus)
    for name, data in whole.items():
        if "s2" not in name:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_bytes(data)
    kept = tmp_path / "test/spk003/s1/u1.wav"
    before = kept.stat().st_mtime_ns
    assert synthesize_in_a_process(tmp_path).returncode == 0
    assert contents(tmp_path) == whole
    assert kept.stat().st_mtime_ns == before


def test_every_utterance_is_speech_of_sensible_length_and_level(corpus):
    for row in read_tsv(corpus / "utterances.tsv"):
        samples = samples_of(corpus / row["path"])
        assert 1.5 < len(samples) / 16000 < 8.0
        assert np.abs(samples).max() < 0.985  # not clipped
        assert -34 < 20 * np.log10(samples.std()) < -25
        frames = samples[: len(samples) // 400 * 400].reshape(-1, 400).std(axis=1)
        assert np.percentile(frames, 95) > 4 * np.percentile(frames, 5)  # words and pauses


def test_a_voice_has_the_pitch_it_was_given(corpus):
    import parselmouth

    for row in read_tsv(corpus / "speakers.tsv"):
        found = []
        for file in (corpus / row["split"] / row["id"]).rglob("*.wav"):
            pitch = parselmouth.Sound(str(file)).to_pitch(0.01, 60.0, 400.0)
            track = pitch.selected_array["frequency"]
            found += list(track[track > 0])
        assert np.median(found) == pytest.approx(float(row["pitch"]), rel=0.2)


def test_the_program_refuses_a_corpus_of_other_settings(corpus):
    with pytest.raises(InputError, match=r"settings\.json.*--force true"):
        synthesize.main(["--out", str(corpus), *SIZES, "--seed", "1"])


def test_an_interrupted_change_of_settings_leaves_nothing_of_the_old_corpus(corpus, tmp_path):
    """The forced run stops before its first file; the run that goes on must not keep old ones."""
    shutil.copytree(corpus, tmp_path, dirs_exist_ok=True)
    (tmp_path / "log").mkdir()  # of the jobs themselves
    other = Settings(**{**vars(TINY), "seed": 1})
    check_same_settings(tmp_path, other, again=True)
    assert {file.name for file in tmp_path.iterdir()} == {"settings.json", "log", ".lock"}
    made = tmp_path / "train/spk001/s1/u1.wav"  # by a first job
    made.parent.mkdir(parents=True)
    made.write_bytes(b"new")
    check_same_settings(tmp_path, other, again=True)  # a second job, which starts later
    check_same_settings(tmp_path, other)
    assert made.read_bytes() == b"new"
    with pytest.raises(InputError, match="--force true"):
        check_same_settings(tmp_path, TINY)


def test_jobs_that_start_together_keep_the_files_of_each_other(tmp_path, monkeypatch):
    check_same_settings(tmp_path, TINY)
    (tmp_path / "train/old").mkdir(parents=True)
    remove = shutil.rmtree

    def slow(folder):
        time.sleep(0.02 * int(threading.current_thread().name[-1]))
        remove(folder)

    def job(number):
        check_same_settings(tmp_path, Settings(**{**vars(TINY), "seed": 1}), again=True)
        (tmp_path / f"train/{number}").mkdir(parents=True)

    monkeypatch.setattr(mini_tables.shutil, "rmtree", slow)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(job, range(4)))
    assert {file.name for file in (tmp_path / "train").iterdir()} == set("0123")


def test_data_directories(corpus, tmp_path):
    sets = prepare(corpus, tmp_path)
    assert {name: len(found) for name, found in sets.items()} == {"train": 8, "test": 16}
    assert (tmp_path / "test/trials").read_text() == (corpus / "trials").read_text()
    for name in ("utt2spk", "utt2session", "utt2group"):
        assert len((tmp_path / "labels/train" / name).read_text().splitlines()) == 8
    pairs = [line.split() for line in (tmp_path / "train/utt2spk").read_text().splitlines()]
    assert all(utterance == speaker for utterance, speaker in pairs)  # no label in there


def test_a_gap_in_the_corpus_is_named(corpus, tmp_path):
    (tmp_path / "utterances.tsv").write_bytes((corpus / "utterances.tsv").read_bytes())
    with pytest.raises(InputError, match=r"u1\.wav: is missing; run sv\.bin\.synthesize again"):
        prepare(tmp_path, tmp_path / "data")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (
            "trials",
            "1 spk001-s1-u1 spk001-s2-u1\n0 spk001-s1-u1 spk002-s1-u1\n",
            "unknown utterances",
        ),
        ("utterances.tsv", "", "share 1 speakers"),
    ],
)
def test_a_corpus_that_does_not_fit_is_refused_before_anything_is_written(
    corpus, tmp_path, name, text, message
):
    folder = tmp_path / "corpus"
    shutil.copytree(corpus, folder)
    if name == "utterances.tsv":  # a speaker of the training set, said to be a test speaker too
        text = (folder / name).read_text().replace("\ttrain\t", "\ttest\t", 1)
    (folder / name).write_text(text)
    with pytest.raises(InputError, match=message):
        prepare(folder, tmp_path / "data")
    assert not list(tmp_path.glob("data/*"))


def test_without_parselmouth_the_message_says_what_to_install(monkeypatch, tmp_path):
    real = builtins.__import__

    def no_parselmouth(name, *rest):
        if name.startswith("parselmouth"):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", no_parselmouth)
    with pytest.raises(InputError, match="pip install 'praat-parselmouth"):
        synthesize.main(["--out", str(tmp_path), *SIZES])
    assert not list(tmp_path.rglob("*.wav"))


@pytest.mark.parametrize("seed", [0, 1, 7])
def test_the_plan_keeps_its_promises(seed):
    utterances = plan(Settings(seed=seed))
    assert len({one.id for one in utterances}) == len(utterances) == 88 * 3 * 4
    assert len({one.sentence for one in utterances}) == len(utterances)
    split = {}
    for one in utterances:
        split.setdefault(one.session.split, set()).add(one.session.speaker)
    assert (len(split["train"]), len(split["test"])) == (64, 24)
    assert not split["train"] & split["test"]
    sessions = {one.session.id: one.session for one in utterances}
    assert len({one.channel for one in sessions.values()}) == len(sessions) == 88 * 3
    assert Counter((one.split, one.voice.sex) for one in sessions.values()) == {
        ("train", "m"): 96,
        ("train", "f"): 96,
        ("test", "m"): 36,
        ("test", "f"): 36,
    }


@pytest.mark.parametrize("seed", [0, 1, 7])
def test_no_two_speakers_are_nearly_the_same(seed):
    drawn = mini_voices.draw_voices(88, np.random.default_rng(seed))
    for place, one in enumerate(drawn):
        for other in drawn[:place]:
            if (one.sex, one.variant) == (other.sex, other.variant):
                apart = [
                    abs(np.log(one.formant_ratio / other.formant_ratio)) / 0.03,
                    abs(np.log(one.pitch / other.pitch)) / 0.06,
                    abs(one.slope - other.slope) / 1.0,
                    float(one.accent != other.accent),
                ]
                assert sum(value >= 1.0 for value in apart) >= 1, (one, other)


def test_other_seeds_give_other_corpora_and_sizes_do_not_disturb_sessions():
    first, other = plan(TINY), plan(Settings(**{**vars(TINY), "seed": 1}))
    longer = plan(Settings(**{**vars(TINY), "sessions": 3}))
    assert not {one.session.voice for one in first} & {one.session.voice for one in other}
    assert not {one.session.channel for one in first} & {one.session.channel for one in other}
    assert {one.session for one in first} < {one.session for one in longer}


@pytest.mark.parametrize("settings", [TINY, Settings(), Settings(seed=3, sessions=4)])
def test_trials_cross_sessions_and_stay_within_a_sex(settings):
    utterances = plan(settings)
    known = {one.id: one for one in utterances}
    trials = draw_trials(utterances, settings.seed)
    assert trials == draw_trials(utterances, settings.seed)
    assert len({frozenset(pair) for _, *pair in trials}) == len(trials)
    kinds = Counter(kind for kind, _, _ in trials)
    assert kinds[0] == kinds[1] > 0
    for kind, *pair in trials:
        enrol, test = (known[one] for one in pair)
        assert enrol.session.split == test.session.split == "test"
        assert enrol.session.voice.sex == test.session.voice.sex
        assert (enrol.session.speaker == test.session.speaker) == (kind == 1)
        assert enrol.session.id != test.session.id
        assert enrol.sentence != test.sentence


@pytest.mark.parametrize(
    "sizes", [{"train_speakers": 3}, {"test_speakers": 2}, {"sessions": 1}, {"utterances": 0}]
)
def test_sizes_that_cannot_work_are_refused(sizes):
    with pytest.raises(InputError):
        mini_speech.Settings(**sizes)


def test_hard_channels_plan_devices_and_ways_of_speaking_and_leave_easy_ones_alone():
    easy, hard = plan(TINY), plan(Settings(**{**vars(TINY), "channels": "hard"}))
    assert [one.sentence for one in easy] == [one.sentence for one in hard]
    assert all(
        one.session.channel == two.session.channel for one, two in zip(easy, hard, strict=True)
    )
    assert all(one.session.hard is None for one in easy)
    devices = {one.session.id: one.session.hard for one in hard}
    assert len(devices) == len({device.equaliser for device in devices.values()}) == 12
    assert "channels" not in TINY.noted() and hard[0].session.speaking.rate != 1.0
    with pytest.raises(InputError, match="easy or hard"):
        Settings(channels="harder")


@pytest.mark.whole
def test_a_hard_corpus_has_the_sessions_in_its_tables(tmp_path):
    pytest.importorskip("parselmouth", reason="the mini corpus is spoken by praat-parselmouth")
    done = synthesize_in_a_process(tmp_path, "--channels", "hard")
    assert done.returncode == 0, done.stderr
    rows = read_tsv(tmp_path / "sessions.tsv")
    assert len({row["hard"] for row in rows}) == 12 and float(rows[0]["speaking_rate"]) > 0.5
    for row in read_tsv(tmp_path / "utterances.tsv"):
        samples = samples_of(tmp_path / row["path"])
        assert 1.0 < len(samples) / 16000 < 9.0 and -36 < 20 * np.log10(samples.std()) < -22
