"""The next batch is prepared ahead in the right order, with its own moment, to the same bits."""

import pytest
import torch
from tiny_training import SSPS, TINY, run, same, state

from sv.crops.views import Batch
from sv.methods.base import Moment, Views
from sv.training import trainer
from sv.training.prefetch import Prefetcher
from sv.training.stopping import Interrupted


class Recording:
    """A side without a GPU that notes what is asked of it."""

    def __init__(self, notes):
        self.notes = notes

    def begin(self):
        self.notes.append("begin")

    def prepare(self, prepare, batch, moment):
        self.notes.append(("prepare", moment.epoch))
        return prepare(batch, moment)

    def hand_over(self, views):
        self.notes.append(("hand over", views.moment.epoch))


def batches_of(count, then=None):
    for number in range(count):
        yield Batch({}, torch.tensor([number]))
    if isinstance(then, Exception):
        raise then
    if then == "signal":
        yield None


def prepare(batch, moment):
    return Views({}, batch.utterances, moment=moment)


def prefetcher(notes):
    return Prefetcher(prepare, Recording(notes))


def test_batch_n_plus_1_is_prepared_after_step_n_was_given_to_the_device():
    notes = []
    ahead = prefetcher(notes)
    for views in ahead.run(batches_of(3), [Moment(epoch, 9) for epoch in (4.0, 4.5, 5.0)]):
        assert ahead.hand_over(views) is views
        notes.append(("step", views.moment.epoch, int(views.utterances)))
        assert ahead.look_ahead() >= 0.0
        ahead.look_ahead()  # one is prepared already
    assert notes == [
        *("begin", ("prepare", 4.0), ("hand over", 4.0), ("step", 4.0, 0)),
        *(("prepare", 4.5), ("hand over", 4.5), ("step", 4.5, 1)),
        *(("prepare", 5.0), ("hand over", 5.0), ("step", 5.0, 2)),
    ]


def test_signals_and_errors_come_in_their_turn():
    ahead, seen = prefetcher([]), []
    for views in ahead.run(batches_of(1, "signal"), [Moment()] * 2):
        seen.append(views)
        ahead.look_ahead()
    assert len(seen) == 2 and seen[0] is not None and seen[1] is None
    steps = ahead.run(batches_of(1, OSError("gone")), [Moment()] * 2)
    next(steps)
    ahead.look_ahead()  # raises nothing: the step that is under way is saved first
    with pytest.raises(OSError, match="gone"):
        next(steps)


def test_an_early_end_closes_the_readers_and_forgets_what_was_prepared():
    ahead, batches = prefetcher([]), batches_of(3)
    steps = ahead.run(batches, [Moment()] * 3)
    next(steps)
    ahead.look_ahead()
    steps.close()
    assert not ahead.waiting and ahead.coming is None and batches.gi_frame is None
    assert ahead.look_ahead() == 0.0


def test_without_a_side_batches_pass_as_they_are():
    ahead, batches = Prefetcher(prepare, None), list(batches_of(2))
    found = list(ahead.run((batch for batch in batches), [Moment()] * 2))
    assert all(a is b for a, b in zip(found, batches, strict=True))
    assert ahead.look_ahead() == 0.0


@pytest.mark.whole
def test_training_ahead_has_the_same_bits_and_each_step_its_moment(
    tmp_path, write_features, monkeypatch
):
    data = write_features(tmp_path / "data", [40] * 24)
    base = run(data, tmp_path / "base", [*TINY, "train.epochs=1"])
    settings = [*SSPS, "train.epochs=3", "ssps.fill=pass"]
    run(data, tmp_path / "plain", settings, base=base)
    notes, moments = [], []
    monkeypatch.setattr(trainer, "side_of", lambda device: Recording(notes))
    step = trainer.Trainer.train_step

    def noted(self, views):
        moments.append((views.moment, self.moment))
        notes.append("step")
        step(self, views)

    monkeypatch.setattr(trainer.Trainer, "train_step", noted)
    monkeypatch.setattr(trainer.Trainer, "stop_at", (2, 1))
    with pytest.raises(Interrupted):
        run(data, tmp_path / "ahead", settings, base=base)
    monkeypatch.setattr(trainer.Trainer, "stop_at", None)
    run(data, tmp_path / "ahead", settings, base=base)
    assert all(mine == now for mine, now in moments) and len(moments) == 6
    assert notes.count("begin") == 3  # the pass, the training, the training that goes on
    at = notes.index("step")
    assert [note[0] for note in notes[at + 1 : at + 3]] == ["hand over", "prepare"]
    assert same(state(tmp_path / "plain"), state(tmp_path / "ahead"))
