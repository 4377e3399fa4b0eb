import numpy as np
import pytest
import soundfile
import torch

from sv.bin import make_banks
from sv.crops import mixed_babble
from sv.crops.banks import load_noises, load_rooms
from sv.crops.noises import draw_noises, noise_kinds
from sv.errors import InputError
from sv.features import fbank
from sv.features.augment import AugmentConfig

PLAIN = AugmentConfig()


def write(path, samples):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, 16000)


@pytest.fixture
def corpus(tmp_path):
    rng = np.random.default_rng(0)
    root = tmp_path / "my noises"
    write(root / "noise" / "a.wav", 0.1 * rng.standard_normal(24000))
    write(root / "music" / "x" / "b.flac", 0.1 * rng.standard_normal(32000))
    write(root / "speech" / "c.wav", 0.1 * rng.standard_normal(32000))
    write(root / "noise" / "too short.wav", 0.1 * rng.standard_normal(8000))
    decay = np.exp(-np.arange(8000) / 1000)
    write(tmp_path / "my rooms" / "hall.wav", 0.3 * decay * rng.standard_normal(8000))
    return tmp_path


def test_banks_from_folders(corpus, tmp_path):
    make_banks.main(
        ["--noise", str(corpus / "my noises"), "--rir", str(corpus / "my rooms")]
        + ["--out", str(tmp_path / "banks"), "--num-mel-bins", "40"]
    )
    noises, rooms = load_noises(tmp_path / "banks"), load_rooms(tmp_path / "banks")
    assert {kind: len(rows) for kind, rows in noises.rows.items()} == {
        "noise": 1,
        "music": 1,
        "speech": 1,
    }
    assert noises.index.ids(int(noises.rows["music"][0])) == "music-x-b"
    assert noises.index.mel_bins == 40 and noises.index.lengths.max() == 198
    assert len(rooms) == 1 and rooms.decays.shape == (1, 50, 40)


def test_generated_banks_are_deterministic(tmp_path, monkeypatch):
    monkeypatch.setattr(make_banks, "GENERATED_NOISES", 6)
    monkeypatch.setattr(make_banks, "GENERATED_ROOMS", 4)
    for out in ("one", "two"):
        make_banks.main(["--out", str(tmp_path / out)])
    for name in ("noise/feats.ark", "rooms/feats.ark"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    noises = load_noises(tmp_path / "one")
    assert len(noises.rows["noise"]) == 4 and len(noises.rows["music"]) == 2
    assert len(load_rooms(tmp_path / "one")) == 4


@pytest.mark.parametrize("domain", ["fbank", "wave"])
def test_babble_is_mixed_once_where_asked(corpus, tmp_path, domain, monkeypatch):
    """A training with the same range of talkers reads one sound; another one sums as before."""
    monkeypatch.setattr(mixed_babble, "CLIP_SECONDS", 2)
    command = ["--noise", str(corpus / "my noises"), "--rir", "none", "--num-mel-bins", "20"]
    command += ["--out", str(tmp_path / "banks"), "--wave", "true" if domain == "wave" else "false"]
    make_banks.main([*command, "--mixed-babble", "3", "--babble-speakers", "2", "2"])
    bank = load_noises(tmp_path / "banks", domain)
    assert bank.talkers == [2, 2] and len(bank.rows["mixed_babble"]) == 3
    asked = AugmentConfig(babble_speakers=[2, 2])
    assert "babble" not in noise_kinds(asked, bank) and "babble" in noise_kinds(PLAIN, bank)
    places = np.arange(2)
    plan = draw_noises(places, 30, bank.index, bank, asked, np.random.default_rng(4))
    assert plan.sounds.shape == (2, 1)
    if domain == "wave":  # the features are of the sums
        clip = bank.rows["mixed_babble"][:1], np.zeros(1, int)
        samples = bank.index.read_windows(*clip, int(bank.index.lengths[clip[0][0]]))[0]
        features = load_noises(tmp_path / "banks").index
        log_mel = features.read_windows(*clip, int(features.lengths[clip[0][0]]))[0]
        np.testing.assert_allclose(fbank(samples / 32768, num_mel_bins=20), log_mel, atol=2e-3)
        assert np.abs(samples).max() > 29000
    else:  # one speech file, twice: 3 dB more than the file at some place
        clip = bank.index.read_windows(bank.rows["mixed_babble"][:1], np.zeros(1, int), 30)
        speech = bank.index.read_windows(bank.rows["speech"], np.zeros(1, int), 198)
        assert abs(np.exp(clip).mean() / np.exp(speech).mean() - 2) < 0.4
    make_banks.main(command)
    assert "mixed_babble" not in load_noises(tmp_path / "banks", domain).rows


def test_babble_cannot_be_mixed_without_speech(tmp_path, monkeypatch):
    monkeypatch.setattr(make_banks, "GENERATED_NOISES", 2)
    with pytest.raises(InputError, match="no speech, of which babble could be mixed"):
        make_banks.main(["--rir", "none", "--out", str(tmp_path), "--mixed-babble", "2"])


def test_waveforms_are_kept_where_asked(corpus, tmp_path):
    command = ["--noise", str(corpus / "my noises"), "--rir", str(corpus / "my rooms")]
    command += ["--out", str(tmp_path / "banks")]
    make_banks.main([*command, "--wave", "true"])
    noises = load_noises(tmp_path / "banks", "wave")
    features = load_noises(tmp_path / "banks")
    assert {kind: len(rows) for kind, rows in noises.rows.items()} == {
        "noise": 1,
        "music": 1,
        "speech": 1,
    }
    for row in range(3):
        assert noises.index.ids(row) == features.index.ids(row)
        every = np.array([row]), np.array([0])
        wave = noises.index.read_windows(*every, int(noises.index.lengths[row]))[0]
        log_mel = features.index.read_windows(*every, int(features.index.lengths[row]))[0]
        np.testing.assert_allclose(fbank(wave / 32768), log_mel, atol=2e-3)
    rooms = load_rooms(tmp_path / "banks", "wave")
    assert rooms.responses.shape == (1, 8000) and rooms.sample_rate == 16000
    assert rooms.responses.int().abs().max() >= 32767
    assert rooms.responses[0].int().abs().argmax() <= 16  # the direct sound
    make_banks.main(command)  # without: those of the earlier run are gone
    with pytest.raises(InputError, match="no waveforms"):
        load_noises(tmp_path / "banks", "wave")
    assert not (tmp_path / "banks" / "rooms" / "wav.ark").exists()


def test_whole_responses_keep_their_delay_and_their_lengths(corpus, tmp_path):
    late = np.zeros(12345)
    late[3000], late[12000] = 0.5, 0.25
    write(corpus / "my rooms" / "late.wav", late)
    command = ["--noise", "none", "--rir", str(corpus / "my rooms"), "--wave", "true"]
    make_banks.main([*command, "--out", str(tmp_path / "whole"), "--room-seconds", "0"])
    waves, decays = (load_rooms(tmp_path / "whole", domain) for domain in ("wave", "fbank"))
    assert waves.responses.shape == (2, 12345) and decays.decays.shape == (2, 78, 80)
    hall, echo = waves.responses  # in the order of names
    assert not hall[8000:].any() and hall[:8000].any()
    assert echo.nonzero().flatten().tolist() == [3000, 12000]
    assert np.flatnonzero(decays.decays[1].sum(dim=1)).tolist() == [18, 75]
    speech = torch.randn(1, 1, 16000, generator=torch.Generator().manual_seed(0))
    found = waves.convolve(speech, torch.tensor([[1]]))[0, 0].numpy()
    expected = np.convolve(speech[0, 0].numpy(), late / np.linalg.norm(late))[:16000]
    np.testing.assert_allclose(found, expected, atol=1e-3)
    make_banks.main([*command, "--out", str(tmp_path / "cut"), "--room-seconds", "0.1"])
    assert load_rooms(tmp_path / "cut", "wave").responses.shape == (2, 1600)


def test_none_leaves_a_bank_out(tmp_path, monkeypatch):
    monkeypatch.setattr(make_banks, "GENERATED_ROOMS", 2)
    make_banks.main(["--noise", "none", "--out", str(tmp_path)])
    assert load_noises(tmp_path) is None and len(load_rooms(tmp_path)) == 2


def test_a_bank_that_is_switched_off_is_gone(tmp_path, monkeypatch):
    monkeypatch.setattr(make_banks, "GENERATED_ROOMS", 2)
    monkeypatch.setattr(make_banks, "GENERATED_NOISES", 2)
    make_banks.main(["--out", str(tmp_path)])
    make_banks.main(["--rir", "none", "--out", str(tmp_path)])
    assert load_rooms(tmp_path) is None and load_noises(tmp_path) is not None


def test_bad_files_are_listed_and_left_out_or_stop_the_stage(corpus, tmp_path):
    noises = corpus / "my noises"
    (noises / "broken.wav").write_text("no audio")
    command = ["--noise", str(noises), "--rir", "none", "--out", str(tmp_path / "banks")]
    with pytest.raises(InputError, match="1 of 5 .* are bad"):
        make_banks.main(command)
    assert load_noises(tmp_path / "banks") is None
    make_banks.main([*command, "--max-bad", "0.5"])
    assert len(load_noises(tmp_path / "banks").index) == 3
    assert "broken.wav" in (tmp_path / "banks" / "bad_noise").read_text()


def test_folders_that_cannot_be_used(corpus, tmp_path):
    for folder, message in [("nowhere", "missing|no such|not exist"), ("empty", "no audio")]:
        (corpus / "empty").mkdir(exist_ok=True)
        with pytest.raises(InputError, match=message):
            make_banks.main(["--noise", str(corpus / folder), "--out", str(tmp_path / "b")])
    only_short = corpus / "short"
    write(only_short / "a.wav", np.sin(np.arange(8000.0)) * 0.1)
    with pytest.raises(InputError, match="as long as 1 s"):
        make_banks.main(["--noise", str(only_short), "--out", str(tmp_path / "b")])
    assert not (tmp_path / "b" / "noise" / "feats.scp").exists()
