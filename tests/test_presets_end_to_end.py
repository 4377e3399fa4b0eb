"""A filterbank preset from extraction to the exported graph, and every place where two would mix.

Program after program in this process, on a few seconds of noise.
"""

import logging
import shutil

import numpy as np
import pytest
import torch
import yaml

import sv
from sv import checkpoint
from sv.audio.files import read_audio, write_audio
from sv.bin import (
    average,
    embed,
    embed_mean,
    export,
    extract_features,
    make_banks,
    merge_features,
    package,
    train,
    verify,
)
from sv.crops.banks import energy_decay, load_noises, load_rooms
from sv.crops.front_end import FrontEnd
from sv.crops.index import TrainingIndex
from sv.crops.views import Crops
from sv.crops.wave_index import WaveformIndex
from sv.data.feature_preset import PRESETS as NAMES
from sv.data.feature_preset import read_preset
from sv.encoders import SeparativeConfig, build_encoder
from sv.errors import InputError
from sv.features import fbank
from sv.features.augment import Draws, RoomBank, augment
from sv.features.presets import PRESETS, definition
from sv.inference.separation import separate
from sv.inference.speaker_model import SpeakerModel
from sv.kaldi.arks import load_vectors, read_matrix, read_scp

pytestmark = pytest.mark.whole

RATE, BANDS, PRESET = 16000, 16, "sslsv"
SETTINGS = [
    "data.crop_seconds=0.4",
    f"model.mel_bins={BANDS}",
    "model.name=fast_resnet34",
    "model.channels=[16, 16, 16, 16]",
    "model.embedding_dim=16",
    "train.batch_size=4",
    "train.epochs=1",
    "train.workers=0",
    "train.precision=float32",
]


def sets(*more):
    return [part for text in [*SETTINGS, *more] for part in ("--set", text)]


class Place:
    """A folder with audio, features of one preset, banks, a training, and a model."""

    def __init__(self, folder, preset):
        self.folder, self.preset = folder, preset
        self.data, self.fbank, self.banks = folder / "data", folder / "fbank", folder / "banks"
        self.exp, self.model = folder / "exp", folder / "model"
        self.wav = {}
        rng = np.random.default_rng(0)
        self.data.mkdir(parents=True)
        for number in range(4):
            path = folder / f"{number}.wav"
            write_audio(path, 0.1 * rng.standard_normal(12_000 + 2_000 * number), RATE)
            self.wav[f"utt{number}"] = path
        text = "".join(f"{name} {path}\n" for name, path in self.wav.items())
        (self.data / "wav.scp").write_text(text)

    def features(self, *pieces):
        """Write pieces, each (name, preset), of two utterances each, and join them."""
        lines = (self.data / "wav.scp").read_text().splitlines(keepends=True)
        for name, preset in pieces:
            scp = self.folder / f"wav.{name}.scp"
            scp.write_text("".join(lines[2 * int(name) - 2 : 2 * int(name)]))
            extract_features.main(
                ["--scp", str(scp), "--out", str(self.fbank), "--name", name]
                + ["--num-mel-bins", str(BANDS), "--preset", preset]
            )
        merge_features.main(
            ["--data", str(self.data), "--pieces", str(self.fbank), "--num", str(len(pieces))]
        )

    def make_banks(self, preset):
        options = ["--num-mel-bins", str(BANDS), "--preset", preset]
        make_banks.main(["--out", str(self.banks), *options])

    def train(self, out, *more, data=None, banks=None):
        train.main(
            ["--data", str(data or self.data), "--banks", str(banks or self.banks)]
            + ["--out", str(out), "--device", "cpu", *sets(*more)]
        )


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Preset → the folder of everything made with it; training and model of PRESET alone."""
    places = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(make_banks, "GENERATED_NOISES", 4)
        patch.setattr(make_banks, "GENERATED_ROOMS", 2)
        for preset in ("kaldi", PRESET):
            place = Place(tmp_path_factory.mktemp(preset), preset)
            place.features(("1", preset), ("2", preset))
            place.make_banks(preset)
            places[preset] = place
    place = places[PRESET]
    place.train(place.exp, f"data.preset={PRESET}")
    average.main(["--exp", str(place.exp), "--last", "1", "--out", str(place.exp / "final.pt")])
    package.main(["--exp", str(place.exp), "--out", str(place.model)])
    return places


def test_programs_and_the_filterbank_know_the_same_names():
    assert tuple(PRESETS) == NAMES


def test_features_and_banks_are_of_the_preset_and_say_so(made):
    place = made[PRESET]
    assert read_preset(place.data) == PRESET and TrainingIndex.load(place.data).preset == PRESET
    for name, location in read_scp(place.data / "feats.scp").items():
        samples = read_audio(place.wav[name], RATE)
        expected = fbank(samples, RATE, BANDS, PRESET)
        np.testing.assert_allclose(read_matrix(location), expected, atol=2e-3)
        assert len(expected) == 1 + len(samples) // 160  # centred
        kaldi = fbank(samples, RATE, BANDS)
        assert np.abs(expected[: len(kaldi)] - kaldi).max() > 0.1
    assert load_noises(place.banks).index.preset == load_rooms(place.banks).preset == PRESET
    impulse = np.r_[1.0, np.random.default_rng(0).standard_normal(4000) * 0.1]
    decays = [energy_decay(impulse, RATE, BANDS, preset=preset) for preset in NAMES]
    assert np.abs(decays[0] - decays[1]).max() > 1e-3 and np.array_equal(*decays[1:])


def test_directories_without_a_note_hold_kaldis(write_features, tmp_path):
    assert TrainingIndex.load(write_features(tmp_path / "data", [5])).preset == "kaldi"


def test_the_model_carries_the_preset_through_every_use(made, tmp_path, capsys):
    place = made[PRESET]
    assert checkpoint.load(place.exp / "final.pt")["preset"] == PRESET
    assert yaml.safe_load((place.model / "config.yaml").read_text())["features"]["preset"] == PRESET
    assert f"filterbank: {PRESET}" in (place.model / "README.md").read_text()
    ours, final = sv.load(place.model), SpeakerModel.load(place.exp / "final.pt")
    assert ours.embedder.preset == final.embedder.preset == PRESET
    embed.main(
        ["--model", str(place.model), "--data", str(place.data), "--out", f"{tmp_path}/e"]
        + ["--device", "cpu"]
    )
    ids, vectors = load_vectors(f"scp:{tmp_path}/e.scp")
    export.main(
        ["--model", str(place.model), "--format", "torchscript", "--out", f"{tmp_path}/m.pt"]
    )
    graph = torch.jit.load(f"{tmp_path}/m.pt")
    for name, vector in zip(ids, vectors, strict=True):
        samples = read_audio(place.wav[name], RATE)
        alone = ours.embed(samples, RATE)
        np.testing.assert_allclose(vector, alone, atol=1e-2 * np.linalg.norm(alone))
        found = graph(torch.from_numpy(samples)[None])[0].numpy()
        np.testing.assert_allclose(found, alone, atol=1e-3 * np.linalg.norm(alone))
        ours.embedder.preset = "kaldi"
        other = ours.embed(samples, RATE)
        ours.embedder.preset = PRESET
        assert np.linalg.norm(other - alone) > 0.02 * np.linalg.norm(alone)
    capsys.readouterr()
    paths = list(place.wav.values())[:2]
    verify.main([str(paths[0]), str(paths[1]), "--model", str(place.model)])
    cosine = float(capsys.readouterr().out.split()[0])
    a, b = (ours.embed_file(path) for path in paths)
    assert cosine == pytest.approx(a @ b / np.linalg.norm(a) / np.linalg.norm(b), abs=1e-4)


def test_silence_is_refused_with_any_filterbank(made):
    with pytest.raises(InputError, match="digital silence"):
        sv.load(made[PRESET].model).embed(np.zeros(RATE, np.float32), RATE)


@pytest.mark.parametrize(
    ("features", "banks", "setting", "told"),
    [
        (PRESET, PRESET, "kaldi", "the features are of the preset sslsv, and data.preset is kaldi"),
        ("kaldi", PRESET, PRESET, "the features are of the preset kaldi, and data.preset is sslsv"),
        ("kaldi", PRESET, "kaldi", "the noise bank is of the preset sslsv, and data.preset is kal"),
    ],
)
def test_training_refuses_two_presets(made, tmp_path, features, banks, setting, told):
    with pytest.raises(InputError, match=f"{told}.*: run stage . again with --preset {setting}"):
        made[features].train(
            tmp_path / "exp",
            f"data.preset={setting}",
            data=made[features].data,
            banks=made[banks].banks,
        )


def test_a_room_bank_of_another_preset_is_refused(made, tmp_path):
    shutil.copytree(made[PRESET].banks / "rooms", tmp_path / "banks" / "rooms")
    with pytest.raises(InputError, match="the room bank is of the preset sslsv"):
        made["kaldi"].train(
            tmp_path / "exp", "augment.noise_probability=0", banks=tmp_path / "banks"
        )


def test_embedding_and_baseline_refuse_two_presets(made, tmp_path):
    model, other = str(made[PRESET].model), str(made["kaldi"].data)
    with pytest.raises(InputError, match="trained on features of the preset sslsv, and these are"):
        embed.main(["--model", model, "--data", other, "--out", f"{tmp_path}/e", "--device", "cpu"])
    with pytest.raises(InputError, match="of the preset kaldi and those of .* of sslsv: run stage"):
        embed_mean.main(
            ["--data", other, "--center-on", str(made[PRESET].data), "--out", f"{tmp_path}/m"]
        )


def test_pieces_of_two_presets_are_refused_and_made_again(tmp_path, caplog):
    caplog.set_level(logging.ERROR)
    place = Place(tmp_path, PRESET)
    with pytest.raises(InputError, match="piece 1 is of the preset sslsv and piece 2 of kaldi"):
        place.features(("1", PRESET), ("2", "kaldi"))
    assert not (place.data / "feats.scp").exists()
    place.features(("1", PRESET), ("2", PRESET))  # the second of them is stale, and made again
    assert read_preset(place.data) == PRESET
    (place.data / "feats_preset").write_text("htk\n")
    with pytest.raises(InputError, match="feats_preset names the preset 'htk', which is none of"):
        TrainingIndex.load(place.data)


@pytest.mark.parametrize("preset", NAMES)
def test_sounds_add_in_the_feature_domain_as_their_energies_do(preset):
    form = definition(preset)
    rng = np.random.default_rng(0)
    speech, noise = (torch.from_numpy(rng.random((1, 30, 4)) + 0.1).float() for _ in range(2))
    draws = Draws(noise=form.log(noise), snr=torch.zeros(1), room=torch.zeros(1, dtype=torch.int64))
    decays = torch.zeros(1, 3, 4)
    decays[:, 1] = 0.5  # an echo after one frame, and no direct sound
    found = augment(form.log(speech), draws, RoomBank(decays, preset), "noise_room", preset)
    mixed = speech + noise * speech.sum() / noise.sum()
    echo = torch.cat([torch.zeros(1, 1, 4), 0.5 * mixed[:, :-1]], dim=1)
    # Before the echo is silence, where the transform's rounding is as large as the floor.
    torch.testing.assert_close(found[:, 1:], form.log(echo)[:, 1:], atol=1e-4, rtol=1e-4)
    index = TrainingIndex([], *[np.zeros(0, np.int64)] * 4, 4, preset)
    torch.testing.assert_close(
        torch.from_numpy(index.from_power(index.to_power(form.log(speech).numpy()))),
        form.log(speech), atol=1e-5, rtol=0,
    )  # fmt: skip


@pytest.mark.parametrize("preset", NAMES)
def test_waveforms_in_training_get_the_filterbank_of_the_preset(preset, tmp_path, write_waves):
    index = WaveformIndex.load(write_waves(tmp_path / "data", [6000] * 2), preset)
    front = FrontEnd.of("none", BANDS, index, None, preset=preset)
    waves = index.read_windows(np.arange(2), np.zeros(2, np.int64), index.rows(30))
    assert waves.shape[1] == (29 * 160 + 400 if preset == "kaldi" else 29 * 160)
    expected = fbank(waves.astype(np.float32) / 32768, RATE, BANDS, preset)
    crops = Crops(torch.from_numpy(waves)[None], 30)
    np.testing.assert_allclose(front(crops, torch.device("cpu"))[0], expected, atol=1e-4)
    crops.draws = Draws(  # each is mixed into the other, at its own level
        partner=torch.tensor([[[1], [0]]]), level=torch.zeros(1, 2, 1)
    )
    mixture, sources = front.mixtures(crops, torch.device("cpu"))
    np.testing.assert_allclose(sources[0, :, 0], expected, atol=1e-3)
    assert mixture.shape == (1, 2, 30, BANDS)


def test_separation_hears_with_the_filterbank_of_the_model(tmp_path):
    sizes = {"mel_bins": 8, "channels": 16, "embedding_dim": 12}
    config = SeparativeConfig(**sizes)
    model = {"encoder": build_encoder(config).state_dict(), "model": vars(config)}
    checkpoint.save(tmp_path / "m.pt", {**model, "normalise": "mean", "preset": PRESET})
    samples = 0.1 * np.random.default_rng(0).standard_normal(RATE).astype(np.float32)
    voices = separate(SpeakerModel.load(tmp_path / "m.pt"), samples)
    np.testing.assert_allclose(voices.log_mel[0], fbank(samples, RATE, 8, PRESET), atol=1e-5)
