"""Further crops of an item from the span before or after it in its recording."""

import numpy as np
import pytest
import tiny_training

from sv.crops.batches import RandomBatches
from sv.crops.groups import CropGroup
from sv.crops.index import TrainingIndex
from sv.crops.neighbours import Neighbours
from sv.crops.views import ViewSource
from sv.errors import InputError
from sv.features.augment import AugmentConfig

SEGMENTS = """\
utt000 r 0 1
utt001 r 2 3
utt002 r 1 2
utt003 s 0 1
utt004 t 5 6
utt005 t 0 1
"""


@pytest.fixture
def data(tmp_path, write_features):
    folder = write_features(tmp_path / "data", [60] * 6)
    (folder / "segments").write_text(SEGMENTS)
    return folder


def _source(index, neighbours=None):
    groups = [CropGroup("views", 3, 0.3)]
    batches = RandomBatches(len(index), 6, 0)
    return ViewSource(index, groups, batches, AugmentConfig(), seed=0, neighbours=neighbours)


def test_neighbours_are_those_before_and_after_in_the_recording(data):
    found = Neighbours.of(TrainingIndex.load(data))
    # In time, r has utt000, utt002, utt001; s has one span; t has utt005, utt004.
    assert found.both.tolist() == [[2, 2, 0, 3, 5, 4], [2, 2, 1, 3, 5, 4]]


def test_further_crops_are_of_neighbours_and_all_else_stays(data):
    index = TrainingIndex.load(data)
    neighbours = Neighbours.of(index)
    drawn = set()
    for step in range(40):
        plain = _source(index).plan(step, 0)
        plan = _source(index, neighbours).plan(step, 0)
        assert np.array_equal(plain.utterances, plan.utterances)
        places = plan.groups["views"].utterances
        assert np.array_equal(places[0], plan.utterances)
        assert np.array_equal(plain.groups["views"].starts, plan.groups["views"].starts)
        for row in places[1:]:
            for item, other in zip(places[0], row, strict=True):
                assert other in neighbours.both[:, item]
                drawn.add((int(item), int(other)))
    assert {(2, 0), (2, 1), (0, 2), (3, 3)} <= drawn  # on both sides; alone


def test_a_training_with_neighbours(data):
    settings = [*tiny_training.TINY, "train.epochs=1", "train.batch_size=4"]
    states = [
        tiny_training.state(tiny_training.run(data, data.parent / name, [*settings, *more]))
        for name, more in {
            "default": [],
            "span": ["train.positives=span"],
            "neighbours": ["train.positives=neighbours"],
        }.items()
    ]
    assert tiny_training.same(states[0], states[1])
    assert not tiny_training.same(states[0], states[2])


@pytest.mark.parametrize(
    ("change", "settings", "message"),
    [
        (lambda path: path.unlink(), [], "segments does not exist: utterances must be spans"),
        (lambda path: path.write_text("utt000 r 0 1\n"), [], "lacks 'utt001' of the training set"),
        (
            lambda path: path.write_text("".join(f"utt00{i} r{i} 0 1\n" for i in range(6))),
            [],
            "no recording has two spans",
        ),
        (lambda path: None, ["data.crops=apart"], "data.crops is apart"),
    ],
)
def test_what_cannot_be_is_one_sentence(change, settings, message, data, tmp_path):
    change(data / "segments")
    settings = [*tiny_training.TINY, "train.batch_size=4", "train.positives=neighbours", *settings]
    with pytest.raises(InputError, match=message):
        tiny_training.run(data, tmp_path / "exp", settings)
