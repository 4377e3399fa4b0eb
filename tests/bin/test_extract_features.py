"""Stage 1 on a small corpus: values, restarts, bad audio, and joining the pieces."""

import subprocess
import sys

import kaldiio
import numpy as np
import pytest
import soundfile

from sv.audio.files import read_audio, write_audio
from sv.bin import extract_features, merge_features
from sv.crops.wave_index import load_index
from sv.data import extraction
from sv.errors import InputError
from sv.features import fbank
from sv.kaldi.arks import read_matrix, read_scp

RATE = 16000


def write_scp(path, table):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{key} {value}\n" for key, value in table.items()))


class Corpus:
    """Six utterances of noise, in two pieces."""

    def __init__(self, folder):
        self.data, self.fbank, self.split = folder / "data", folder / "fbank", folder / "split"
        self.wav = {}
        generator = np.random.default_rng(0)
        for number in range(6):
            path = folder / f"with space {number}.wav"
            write_audio(path, 0.1 * generator.standard_normal(4000 + 700 * number), RATE)
            self.wav[f"utt-{number}"] = str(path)
        self.write()

    def write(self):
        keys = list(self.wav)
        write_scp(self.data / "wav.scp", self.wav)
        write_scp(self.split / "wav.1.scp", {key: self.wav[key] for key in keys[:3]})
        write_scp(self.split / "wav.2.scp", {key: self.wav[key] for key in keys[3:]})

    def extract(self, piece, *options):
        extract_features.main(
            ["--scp", str(self.split / f"wav.{piece}.scp"), "--out", str(self.fbank)]
            + ["--name", str(piece), *options]
        )

    def merge(self, *options, num=2):
        merge_features.main(
            ["--data", str(self.data), "--pieces", str(self.fbank), "--num", str(num), *options]
        )


@pytest.fixture
def corpus(tmp_path):
    return Corpus(tmp_path)


def snapshot(folder):
    return {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}


@pytest.mark.parametrize("compression", ["CM2", "FM"])
def test_from_wav_scp_to_feats_scp(corpus, compression, capsys):
    corpus.extract(2, "--compression", compression)
    corpus.extract(1, "--compression", compression)
    corpus.merge()
    assert "features of 6 utterances" in capsys.readouterr().out
    feats = read_scp(corpus.data / "feats.scp")
    frames = read_scp(corpus.data / "utt2num_frames")
    assert list(feats) == list(frames) == sorted(corpus.wav)
    assert (corpus.data / "bad_utterances").read_text() == ""
    for key, path in corpus.wav.items():
        expected = fbank(read_audio(path))
        assert frames[key] == str(len(expected))
        np.testing.assert_allclose(read_matrix(feats[key]), expected, atol=1e-3)
        np.testing.assert_allclose(kaldiio.load_mat(feats[key]), expected, atol=1e-3)


def test_waveforms_are_kept_where_asked(corpus, tmp_path):
    write_audio(corpus.wav["utt-4"], np.zeros(RATE), RATE)
    other = 0.1 * np.random.default_rng(1).standard_normal(12000)
    soundfile.write(corpus.wav["utt-5"], other, 24000)  # resampled, then 16 bits again
    for piece in (1, 2):
        corpus.extract(piece, "--wave", "true")
    corpus.merge("--wave", "true", "--max-bad", "0.2")
    waves = read_scp(corpus.data / "wav_ark.scp")
    samples = read_scp(corpus.data / "utt2num_samples")
    assert list(waves) == list(samples) == list(read_scp(corpus.data / "feats.scp"))
    assert "utt-4" not in waves
    for key, place in waves.items():
        rate, found = kaldiio.load_mat(place)
        expected = read_audio(corpus.wav[key])
        assert rate == RATE and len(found) == int(samples[key]) == len(expected)
        np.testing.assert_allclose(found / 32768, expected, atol=0.51 / 32768)
    index = load_index(corpus.data, "wave")
    assert len(index) == 5
    corpus.extract(1)
    corpus.extract(2)
    corpus.merge("--max-bad", "0.2")
    assert not (corpus.data / "wav_ark.scp").exists()


@pytest.mark.parametrize("name", ["raw_wave.1.ark", "raw_wave.1.scp", "utt2num_samples.1"])
def test_a_piece_that_lost_its_waveforms_is_made_again(corpus, name, capsys):
    corpus.extract(1, "--wave", "true")
    whole = (corpus.fbank / name).read_bytes()
    corpus.extract(1, "--wave", "true")
    assert "skipped" in capsys.readouterr().out
    (corpus.fbank / name).unlink()
    corpus.extract(1, "--wave", "true")
    assert (corpus.fbank / name).read_bytes() == whole


def test_options_reach_the_features(corpus):
    corpus.extract(1, "--num-mel-bins", "40", "--sample-rate", "8000", "--compression", "FM")
    scp = read_scp(corpus.fbank / "raw_fbank.1.scp")
    expected = fbank(read_audio(corpus.wav["utt-1"], 8000), 8000, 40)
    np.testing.assert_array_equal(read_matrix(scp["utt-1"]), expected)


def test_a_complete_piece_is_skipped_and_a_stale_one_made_again(corpus, capsys):
    corpus.extract(1)
    before = snapshot(corpus.fbank)
    capsys.readouterr()
    corpus.extract(1)
    assert snapshot(corpus.fbank) == before
    output = capsys.readouterr().out
    assert "skipped" in output
    assert output.count("\n") == 1
    for change in (["--num-mel-bins", "40"], ["--num-mel-bins", "40", "--force", "true"]):
        corpus.extract(1, *change)
        after = snapshot(corpus.fbank)
        assert all(after[name] != before[name] for name in before)
        before = after
    corpus.wav["utt-1"] = corpus.wav["utt-2"]
    corpus.write()
    corpus.extract(1, "--num-mel-bins", "40")
    assert snapshot(corpus.fbank) != before


def test_replaced_audio_is_extracted_again(corpus):
    """The list stays the same, so does the number of samples."""
    corpus.extract(1)
    samples = read_audio(corpus.wav["utt-1"])[::-1]
    write_audio(corpus.wav["utt-1"], samples, RATE)
    corpus.extract(1)
    features = read_matrix(read_scp(corpus.fbank / "raw_fbank.1.scp")["utt-1"])
    np.testing.assert_allclose(features, fbank(samples.copy()), atol=1e-3)


@pytest.mark.whole
def test_other_rates_and_channels_are_converted_and_said_once(tmp_path, root):
    """In the output of the job: a process, because what was said is remembered in one."""
    generator = np.random.default_rng(0)
    table, frames = {}, {}
    for name, rate, channels in (("16k", 16000, 2), ("44k", 44100, 1), ("8k", 8000, 1)):
        for number, seconds in enumerate((0.5, 0.75)):
            path = tmp_path / f"{name}{number}.wav"
            noise = 0.1 * generator.standard_normal((int(seconds * rate), channels))
            soundfile.write(path, noise, rate)
            table[path.stem] = str(path)
            frames[path.stem] = str(1 + (int(seconds * 16000) - 400) // 160)
    write_scp(tmp_path / "wav.1.scp", table)
    command = [sys.executable, "-m", "sv.bin.extract_features", "--name", "1"]
    command += ["--scp", str(tmp_path / "wav.1.scp"), "--out", str(tmp_path / "fbank")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=root)
    assert done.returncode == 0, done.stderr
    assert read_scp(tmp_path / "fbank" / "utt2num_frames.1") == frames
    for said in ("16k0.wav has 2 channels", "44k0.wav is sampled at 44100 Hz", "at 8000 Hz"):
        assert done.stderr.count(said) == 1
    assert "1.wav" not in done.stderr  # the second of each kind


@pytest.mark.parametrize("name", ["raw_fbank.1.ark", "raw_fbank.1.scp", "utt2num_frames.1"])
def test_a_piece_that_lost_a_file_is_made_again(corpus, name):
    corpus.extract(1)
    whole = (corpus.fbank / name).read_bytes()
    (corpus.fbank / name).unlink()
    corpus.extract(1)
    assert (corpus.fbank / name).read_bytes() == whole


def test_a_truncated_ark_is_made_again(corpus):
    corpus.extract(1)
    ark = corpus.fbank / "raw_fbank.1.ark"
    whole = ark.read_bytes()
    ark.write_bytes(whole[:-1])
    corpus.extract(1)
    assert ark.read_bytes() == whole


def test_nothing_half_written_when_interrupted(corpus, monkeypatch):
    calls = []

    def interrupted(*arguments):
        calls.append(arguments)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return fbank(*arguments)

    monkeypatch.setattr(extraction, "fbank", interrupted)
    with pytest.raises(KeyboardInterrupt):
        corpus.extract(1)
    assert list(corpus.fbank.iterdir()) == []
    corpus.extract(2)
    with pytest.raises(InputError, match="piece 1 of 2 .* not complete"):
        corpus.merge()
    assert not (corpus.data / "feats.scp").exists()


def test_what_a_killed_job_left_is_removed(corpus):
    corpus.fbank.mkdir()
    (corpus.fbank / ".raw_fbank.1.ark.123.tmp").write_text("half an ark")
    corpus.extract(1)
    assert not list(corpus.fbank.glob("*.tmp"))


def test_audio_is_decoded_once(corpus, monkeypatch):
    from sv.audio import problems

    decoded = []

    def counting(path, *options):
        decoded.append(path)
        return read_audio(path, *options)

    monkeypatch.setattr(problems, "read_audio", counting)
    corpus.extract(1)
    assert decoded == list(corpus.wav.values())[:3]


def test_bad_utterances_are_counted_listed_and_left_out(corpus, capsys):
    write_audio(corpus.wav["utt-1"], np.zeros(RATE), RATE)
    corpus.wav["utt-4"] += ".missing.wav"
    corpus.write()
    corpus.extract(1)
    corpus.extract(2)
    with pytest.raises(InputError, match=r"2 of 6 utterances are bad.*silence.*--max-bad"):
        corpus.merge()
    assert not (corpus.data / "feats.scp").exists()
    corpus.merge("--max-bad", "0.4")
    assert "2 bad ones left out" in capsys.readouterr().out
    assert sorted(read_scp(corpus.data / "feats.scp")) == ["utt-0", "utt-2", "utt-3", "utt-5"]
    rows = [line.split("\t") for line in (corpus.data / "bad_utterances").open()]
    assert [(row[0], row[1]) for row in rows] == [
        (key, corpus.wav[key]) for key in ("utt-1", "utt-4")
    ]
    assert "silence" in rows[0][2]
    assert "does not exist" in rows[1][2]


def test_excluded_utterances_are_left_out_unheard(corpus, tmp_path, capsys):
    """By id or by path; they do not count as bad, and another list makes the pieces again."""
    (tmp_path / "list").write_text(f"utt-1\nother\t{corpus.wav['utt-4']}\tis clipped\n")
    options = ["--exclude", str(tmp_path / "list")]
    for piece in (1, 2):
        corpus.extract(piece, *options)
    corpus.merge("--max-bad", "0", *options)
    assert sorted(read_scp(corpus.data / "feats.scp")) == ["utt-0", "utt-2", "utt-3", "utt-5"]
    assert "utt-4" in (corpus.data / "bad_utterances").read_text()
    assert capsys.readouterr().out.count("1 are excluded") == 2
    corpus.extract(1, *options)
    assert "skipped" in capsys.readouterr().out
    corpus.extract(1)
    corpus.extract(2)
    corpus.merge("--max-bad", "0")
    assert len(read_scp(corpus.data / "feats.scp")) == 6
    (tmp_path / "list").write_text("".join(f"{name}\n" for name in corpus.wav))
    for piece in (1, 2):
        corpus.extract(piece, *options)
    with pytest.raises(InputError, match="are excluded"):
        corpus.merge(*options)


def test_a_bad_utterance_of_the_trials_is_refused(corpus):
    """However many may be left out: the trials could not be scored after the training."""
    write_audio(corpus.wav["utt-4"], np.zeros(RATE), RATE)
    corpus.extract(1)
    corpus.extract(2)
    trials = corpus.data / "trials"
    trials.write_text("1 utt-0 utt-1\n0 utt-0 utt-4\n")
    with pytest.raises(InputError, match="trials: names utt-4, which .*silence.*take its trials"):
        corpus.merge("--max-bad", "0.4")
    assert not (corpus.data / "feats.scp").exists()
    trials.write_text("1 utt-0 utt-1\n0 utt-0 utt-3\n")
    corpus.merge("--max-bad", "0.4")
    assert len(read_scp(corpus.data / "feats.scp")) == 5


def test_mended_audio_is_taken_up(corpus, capsys):
    """The message says to mend the audio and run again; the list itself stays the same."""
    good = read_audio(corpus.wav["utt-1"])
    write_audio(corpus.wav["utt-1"], np.zeros(RATE), RATE)
    corpus.extract(1)
    corpus.extract(2)
    corpus.extract(1)
    assert "piece 1 is complete" in capsys.readouterr().out
    write_audio(corpus.wav["utt-1"], good, RATE)
    corpus.extract(1)
    corpus.merge()
    assert len(read_scp(corpus.data / "feats.scp")) == 6


def test_a_piece_of_bad_utterances_only(corpus):
    for key in ("utt-3", "utt-4", "utt-5"):
        write_audio(corpus.wav[key], np.zeros(100), RATE)
    corpus.extract(1)
    corpus.extract(2)
    corpus.merge("--max-bad", "0.5")
    assert len(read_scp(corpus.data / "feats.scp")) == 3


def test_all_bad_is_an_error_whatever_is_allowed(corpus):
    for path in corpus.wav.values():
        write_audio(path, np.zeros(100), RATE)
    corpus.extract(1)
    corpus.extract(2)
    with pytest.raises(InputError, match="6 of 6"):
        corpus.merge("--max-bad", "1")


@pytest.mark.parametrize(("good", "bad"), [([], 50), ([49], 49)])
def test_a_wrong_corpus_folder_shows_at_once(corpus, good, bad):
    """Also if the fiftieth file happens to be good."""
    table = {f"utt-{number:04}": f"/nowhere/{number}.wav" for number in range(200)}
    for number in good:
        table[f"utt-{number:04}"] = corpus.wav["utt-0"]
    write_scp(corpus.split / "wav.1.scp", table)
    with pytest.raises(InputError, match=f"{bad} of the first 50 .*nowhere/0.wav does not exist"):
        corpus.extract(1)
    assert list(corpus.fbank.iterdir()) == []


def test_pieces_of_another_list_are_refused(corpus):
    corpus.extract(1)
    corpus.extract(2)
    with pytest.raises(InputError, match="3 utterances of .*wav.scp have no features.*utt-3"):
        corpus.merge(num=1)
    write_scp(corpus.data / "wav.scp", {"utt-0": corpus.wav["utt-0"]})
    with pytest.raises(InputError, match="5 utterances with features are not in"):
        corpus.merge()
    write_scp(corpus.split / "wav.2.scp", corpus.wav)
    corpus.extract(2)
    with pytest.raises(InputError, match="utt-0 is in two pieces"):
        corpus.merge()


def test_a_pipe_is_never_run(corpus, tmp_path):
    write_scp(corpus.split / "wav.1.scp", {"utt-0": f"touch {tmp_path}/run |"})
    with pytest.raises(InputError, match="never executed"):
        corpus.extract(1)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("program", [extract_features, merge_features])
def test_help_teaches(program, capsys):
    with pytest.raises(SystemExit):
        program.main(["--help"])
    assert "Example:" in capsys.readouterr().out
