"""A step of a training, shown: the very batch that training received, and what was drawn for it."""

import numpy as np
import pytest
import soundfile
import torch
from tiny_methods import settings_of as tiny
from tiny_methods import supervised

from sv.bin import make_banks, show_batch, train
from sv.crops.index import TrainingIndex
from sv.errors import InputError
from sv.features import fbank
from sv.features.augment import mask
from sv.features.normalise import normalise
from sv.methods.simclr import SimCLR
from sv.training.experiment import Experiment
from sv.training.replay import open_training, replay, settings_of

pytestmark = pytest.mark.whole

SMALL = [
    "model.name=fast_resnet34",
    "model.mel_bins=16",
    "model.channels=[16, 16, 16, 16]",
    "model.embedding_dim=8",
    "data.crop_seconds=0.2",
    "method.temperature=0.1",
    "augment.noise_probability=0.8",
    "augment.room_probability=0.7",
    "augment.babble_speakers=[1, 2]",
    "augment.time_masks=2",
    "augment.band_masks=1",
    "train.batch_size=6",
    "train.epochs=2",
    "train.workers=0",
    "train.seed=3",
]
STEPS = 2
DOMAINS = {
    "fbank": ["mixing.probability=0.6", "mixing.interferers=[1, 2]"],
    "wave": ["data.domain=wave", "augment.speeds=[0.9, 1.0, 1.1]"],
}


@pytest.fixture(scope="module")
def data(tmp_path_factory, write_features, write_waves):
    folder = tmp_path_factory.mktemp("data")
    write_features(folder, [25 + n for n in range(14)], dim=16)
    return write_waves(folder, [5000 + 160 * n for n in range(14)])


@pytest.fixture(scope="module")
def banks(tmp_path_factory):
    out = tmp_path_factory.mktemp("banks")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(make_banks, "GENERATED_NOISES", 4)
        patch.setattr(make_banks, "GENERATED_ROOMS", 3)
        make_banks.main(["--wave", "true", "--num-mel-bins", "16", "--out", str(out)])
    return out


def words(settings):
    return [part for text in settings for part in ("--set", text)]


@pytest.fixture(scope="module")
def trained(tmp_path_factory, data, banks):
    """Domain -> (an experiment folder, what its network received: (epoch, step) -> views)."""
    found = {}
    with pytest.MonkeyPatch.context() as patch:
        step = SimCLR.training_step

        def spy(method, views):
            epoch, share = divmod(views.moment.epoch, 1)
            received[int(epoch) + 1, round(share * STEPS) + 1] = views
            return step(method, views)

        patch.setattr(SimCLR, "training_step", spy)
        for domain, more in DOMAINS.items():
            exp, received = tmp_path_factory.mktemp("exp") / domain, {}
            where = ["--data", str(data), "--banks", str(banks), "--out", str(exp)]
            train.main([*where, "--device", "cpu", *words([*SMALL, *more])])
            found[domain] = exp, received
    return found


def show(exp, data, banks, out, *more):
    command = ["--exp", str(exp), "--data", str(data), "--banks", str(banks), "--out", str(out)]
    show_batch.main([*command, *more])
    return (out / "draws.txt").read_text().splitlines()


@pytest.mark.parametrize("domain", DOMAINS)
@pytest.mark.parametrize("key", [(1, 1), (2, 2)])
def test_it_is_what_the_network_received(trained, data, banks, domain, key):
    exp, received = trained[domain]
    trainer = open_training(settings_of(exp, []), data, exp=exp, banks=banks)
    step = replay(trainer, *key)
    views = received[key]
    assert torch.equal(step.batch.utterances, views.utterances)
    assert step.inputs.keys() == views.crops.keys()
    for name, crops in views.crops.items():
        assert torch.equal(step.inputs[name], crops)


@pytest.mark.parametrize("domain", DOMAINS)
def test_the_table_names_what_was_drawn(trained, data, banks, tmp_path, capsys, domain):
    exp, received = trained[domain]
    head, *rows = show(exp, data, banks, tmp_path, "--epoch", "2", "--step", "1", "--items", "6")
    assert capsys.readouterr().out.splitlines()[1:-1] == [head, *rows]
    names = head.split()
    table = [dict(zip(names, row.split(), strict=True)) for row in rows]
    assert [(row["item"], row["view"]) for row in table] == [
        (str(item), f"views.{view}") for item in range(1, 7) for view in (1, 2)
    ]
    utterances = received[2, 1].utterances.repeat_interleave(2).tolist()
    assert [row["utterance"] for row in table] == [f"utt{n:03d}" for n in utterances]
    drawn = {name: {row[name] for row in table} for name in names}
    assert drawn["room"] <= {"-", "room0000", "room0001", "room0002"}
    assert {"babble"} < drawn["noise"] and "-" in drawn["noise"] and "-" in drawn["room"]
    for row in table:
        assert (row["noise"] == "-") == (row["snr"] == "-") == (row["sounds"] == "-")
        assert row["sounds"].count("@") == 1 or row["noise"] == "babble" or row["noise"] == "-"
    assert any("s," in text or text.endswith("s") for text in drawn["time_masks"])
    if domain == "fbank":
        assert drawn["speed"] == {"-"} and any("utt" in text for text in drawn["interferers"])
    else:
        assert drawn["speed"] <= {"0.9", "1", "1.1"} and drawn["interferers"] == {"-"}
    assert (tmp_path / "views.png").read_bytes()[:4] == b"\x89PNG"


def test_starts_and_utterances_are_those_of_the_crops(data, tmp_path):
    """Without augmentation the crop that the table names is the input, to the bit."""
    quiet = [*SMALL[:6], *SMALL[-4:], "augment.noise_probability=0", "augment.room_probability=0"]
    (tmp_path / "quiet.yaml").write_text("{}\n")
    command = ["--config", str(tmp_path / "quiet.yaml"), "--data", str(data), "--epoch", "1"]
    command += ["--step", "2", "--out", str(tmp_path / "out"), *words(quiet)]
    show_batch.main(command)
    _, *rows = (tmp_path / "out" / "draws.txt").read_text().splitlines()
    assert len(rows) == 8
    index = TrainingIndex.load(data)
    step = replay(open_training(Experiment.load(None, quiet), data, exp=None), 1, 2)
    for number, line in enumerate(rows):
        _, _, utterance, start, *rest = line.split()
        assert set(rest) == {"-"}
        place = np.array([int(utterance.removeprefix("utt"))])
        crop = index.read_windows(
            place, np.array([round(float(start.removesuffix("s")) * 100)]), 20
        )
        expected = normalise(torch.from_numpy(crop), "mean")[0]
        assert torch.equal(step.inputs["views"][number % 2, number // 2], expected)


def heard(trainer, crops):
    """Return what the network would receive of the sounds that a listener hears."""
    waves = trainer.front_end.sounds(crops)
    log_mel = fbank(waves.flatten(0, 1), num_mel_bins=16).unflatten(0, waves.shape[:2])
    return waves, normalise(mask(log_mel, crops.draws.masks), "mean")


def test_sounds_are_what_the_filterbank_heard(trained, data, banks, tmp_path):
    exp, received = trained["wave"]
    show(exp, data, banks, tmp_path, "--epoch", "1", "--step", "1", "--sound", "true")
    sounds = sorted(path.name for path in tmp_path.glob("*.wav"))
    assert sounds == sorted(f"{n}.views.{v}.wav" for n in range(1, 5) for v in (1, 2))
    trainer = open_training(settings_of(exp, []), data, exp=exp, banks=banks)
    waves, inputs = heard(trainer, replay(trainer, 1, 1).batch.crops["views"])
    assert torch.equal(inputs, received[1, 1].crops["views"])
    for item in range(4):
        for view in range(2):
            wave, rate = soundfile.read(tmp_path / f"{item + 1}.views.{view + 1}.wav")
            expected = waves[view, item].numpy()
            assert rate == 16000 and len(wave) == 19 * 160 + 400
            np.testing.assert_allclose(wave, expected / max(1, abs(expected).max()), atol=1e-4)


def test_mixtures_have_sounds_too(data, banks):
    settings = Experiment.load(None, [*SMALL, *DOMAINS["wave"], *DOMAINS["fbank"]])
    trainer = open_training(settings, data, exp=None, banks=banks)
    step = replay(trainer, 1, 1)
    assert torch.equal(heard(trainer, step.batch.crops["views"])[1], step.inputs["views"])


@pytest.mark.parametrize(
    ("name", "views"),
    [
        ("dino", ["global.1", "global.2", "local.1"]),
        ("csc", None),
        ("supcon", ["views.1", "views.2"]),
    ],
)
def test_crops_of_every_kind(data, tmp_path, name, views):
    """Groups of several lengths; mixtures with their sources; two utterances of a speaker."""
    (tmp_path / "empty.yaml").write_text("{}\n")
    (tmp_path / "utt2spk").write_text("".join(f"utt{n:03d} spk{n // 2}\n" for n in range(14)))
    command = ["--config", str(tmp_path / "empty.yaml"), "--data", str(data), "--epoch", "1"]
    command += ["--step", "1", "--items", "1", "--out", str(tmp_path / "out")]
    if supervised(name):
        command += ["--labels", str(tmp_path / "utt2spk")]
    show_batch.main([*command, *words([*tiny(name), "model.mel_bins=16"])])
    _, *rows = (tmp_path / "out" / "draws.txt").read_text().splitlines()
    assert views is None or [row.split()[1] for row in rows] == views
    if name == "supcon":
        one, other = (int(row.split()[2].removeprefix("utt")) for row in rows)
        assert one // 2 == other // 2


def refusal(*command):
    with pytest.raises(InputError) as caught:
        show_batch.main([str(word) for word in command])
    return str(caught.value)


def test_what_is_refused(trained, data, banks, tmp_path, write_features):
    exp, _ = trained["fbank"]
    step = ["--step", 1, "--out", tmp_path / "out"]
    where = ["--data", data, "--banks", banks]
    common = ["--exp", exp, *where]
    assert "--epoch 3: there are 2 in this training: give 1 to 2" in refusal(
        *common, "--epoch", 3, *step
    )
    assert "--step 3: there are 2 in an epoch: give 1 to 2" in refusal(
        *common, "--epoch", 1, "--step", 3, "--out", tmp_path
    )
    assert "nowhere: there is no training here (no config.yaml)" in refusal(
        "--exp", tmp_path / "nowhere", *where, "--epoch", 1, *step
    )
    no_banks = ["--exp", exp, "--data", data, "--banks", tmp_path / "none", "--epoch", 1, *step]
    assert "there is no such folder of banks" in refusal(*no_banks)
    (tmp_path / "empty").mkdir()
    no_banks[5] = tmp_path / "empty"
    assert "there is no room bank" in refusal(*no_banks)
    assert "--sound true: the crops are features" in refusal(
        *common, "--epoch", 1, *step, "--sound", "true"
    )
    other = write_features(tmp_path / "other", [30] * 14, dim=16)
    assert "was trained otherwise: the training set has changed" in refusal(
        "--exp", exp, "--data", other, "--banks", banks, "--epoch", 1, *step
    )
    assert "augment.room_probability was 0.7 and is 0.5" in refusal(
        *common, "--epoch", 1, *step, "--set", "augment.room_probability=0.5"
    )
    assert not (tmp_path / "out").exists()


def test_clusters_that_were_made_again_are_taken_up_or_missed(tmp_path):
    from types import SimpleNamespace

    from sv import checkpoint
    from sv.training.replay import _take_up_clusters

    taken = []
    batches = SimpleNamespace(refresh_every=2, load_state_dict=taken.append)
    trainer = SimpleNamespace(source=SimpleNamespace(batches=batches), exp=tmp_path)
    _take_up_clusters(trainer, 1)  # the clusters that training began with
    assert not taken
    with pytest.raises(InputError, match="the clusters of epoch 3, .* give an epoch up to 2"):
        _take_up_clusters(trainer, 2)
    state = {"batches": {"assignments": torch.arange(3)}}
    (tmp_path / "checkpoints").mkdir()
    checkpoint.save_state(tmp_path, state | {"epoch": 4, "step": 0})
    _take_up_clusters(trainer, 3)
    assert taken[0]["assignments"].tolist() == [0, 1, 2]
    with pytest.raises(InputError, match="the clusters of epoch 5"):
        _take_up_clusters(trainer, 4)
    checkpoint.save_state(tmp_path, state | {"epoch": 4, "step": 1})
    _take_up_clusters(trainer, 4)
    assert len(taken) == 2
