"""The only training loop, for all methods.

A step: crops of a batch → device → augmentation → normalisation → ``method.training_step`` →
gradients → update. The learning rate depends on epochs only. A checkpoint is written after every
epoch and after SIGTERM. Every epoch adds a line to the log. Training stops if it learns nothing.

Resuming is exact: batches are pure functions of (seed, epoch, step), and everything else that
changes is in the checkpoint (`sv.training.state`). A training that was killed and started again
ends with the same bits.

With several processes, each process takes its share of every batch. Gradients and figures are
averaged, and the first process writes (see `sv.distributed`). Everything else, and every decision,
is the same in all processes.
"""

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import torch

from sv import distributed
from sv.crops.batches import Batches
from sv.crops.index import TrainingIndex
from sv.crops.noises import NoiseBank
from sv.crops.readers import Key, read
from sv.crops.views import ViewSource
from sv.device import autocast_dtype, tune_float32_products
from sv.features.augment import RoomBank
from sv.features.augment_wave import WaveRooms
from sv.methods.base import Facts, Moment, Views
from sv.progress import progress, silent
from sv.training.bad_batch import RecentLosses, save_bad_batch
from sv.training.build import build, build_front_end
from sv.training.composition import compose, positives
from sv.training.development import Development
from sv.training.estimate import Estimate
from sv.training.experiment import Experiment
from sv.training.facts import facts_of_training
from sv.training.first_encoder import FirstEncoder
from sv.training.gradients import Gradients
from sv.training.identity import identity_of
from sv.training.kernels import Kernels
from sv.training.log import TrainLog, epoch_row
from sv.training.monitor import TrainingFailed, effective_rank, not_finite
from sv.training.optim import build_optimizer, clip_gradients, learning_rate, set_learning_rate
from sv.training.oracle import Oracle
from sv.training.plan import refuse_early_stop
from sv.training.positives import fill_step, positive_figures, start_epoch, steps_of_pass
from sv.training.prefetch import Prefetcher, Ready, side_of
from sv.training.preflight import check
from sv.training.state import State
from sv.training.stopping import Interrupted, StopSignals

CHECK_EVERY = 10
"""Number of steps between two checks of the loss; each check waits for the device."""


class Trainer:
    """The training of one method.

    Parameters
    ----------
    settings: of the whole experiment.
    index: the training set.
    exp: the folder for checkpoints and logs.
    noises, rooms: banks for augmentation; None if augmentation does not need them.
    batches: which utterances form a batch; by default all utterances once an epoch, shuffled.
    labels: (N,) speaker of each utterance as a number from 0; for supervised methods only.
    oracle: true labels, only for figures in the log; the weights do not depend on them.
    base: experiment folder of a complete training to go on from (SSPS, and its baseline).
    encoder: of another training, whose weights this training starts from (C3-DINO).
    device: of the network.
    """

    stop_at: tuple[int, int] | None = None
    """For tests: end as if a signal came when these (epochs, steps) are done."""

    def __init__(
        self,
        settings: Experiment,
        index: TrainingIndex,
        exp: str | Path,
        *,
        noises: NoiseBank | None = None,
        rooms: RoomBank | WaveRooms | None = None,
        batches: Batches | None = None,
        labels: np.ndarray | None = None,
        oracle: Oracle | None = None,
        base: str | Path | None = None,
        encoder: FirstEncoder | None = None,
        device: torch.device | str = "cpu",
    ):
        self.settings, self.exp, self.oracle = settings, Path(exp), oracle
        self.base = None if base is None else Path(base)
        self.device = torch.device(device)
        self.dtype = autocast_dtype(settings.train.precision, self.device)
        if self.device.type == "cpu":
            tune_float32_products()
        kernels = Kernels.choose(settings.train, self.device)
        torch.manual_seed(settings.train.seed)
        self.labels = None if labels is None else torch.from_numpy(labels).long().to(device)
        facts = Facts(len(index), 0 if labels is None else int(labels.max()) + 1)
        self.method, groups = build(settings, facts, self.labels, self.device, kernels, encoder)
        self.gradients = Gradients(self.method, settings.train, self.device, self.dtype)
        self.optimizer = build_optimizer(settings.optim, self.method)
        self.source = ViewSource(
            index,
            groups,
            batches or compose(settings, self.method, index, self.device),
            settings.augment,
            seed=settings.train.seed,
            noises=noises,
            rooms=len(rooms) if rooms is not None else 0,
            mel_bins=settings.model.mel_bins,
            mixing=settings.mixing,
            neighbours=positives(settings, index),
            own=distributed.deal(settings.train.batch_size),
            codes=self.device.type == "cuda",  # the device converts them
        )
        check(settings, index, self.source, rooms)
        self.front_end = build_front_end(settings, index, rooms, self.device)
        self.prefetcher = Prefetcher(self.views, side_of(self.device))
        self.steps = self.source.batches.steps
        made_by = (self.source, rooms, self.dtype, self.base, kernels, encoder)
        of = (self.method, self.optimizer, self.source.batches, self.device)
        self.state = State(self.exp, settings, identity_of(settings, *made_by), *of)
        self.losses, self.stop = RecentLosses(), StopSignals()
        self.development = Development(settings)
        self.estimate = Estimate(settings, self.method, self.device, self.dtype)

    def fit(self) -> None:
        """Train until the last epoch, from the checkpoint in ``exp`` if there is one."""
        first, state = distributed.is_first(), self.state
        state.restore_or_begin(self.base)
        distributed.spread(self.method)
        total = self.settings.train.until * self.steps
        done = state.epoch * self.steps + state.step
        refuse_early_stop(self.exp, done / self.steps, self.settings.train.until)
        if distributed.from_first(done == total and (self.exp / "train.json").exists()):
            return  # the training is complete; its summary stays unchanged
        self.log = TrainLog(self.exp, after_epoch=state.epoch) if first else None
        self.shown = progress if first else silent
        try:
            with self.stop:
                self._fill_memories()
                self._train(done, total)
        finally:
            if first:
                self.log.close()
        if first:
            labels = "none" if self.labels is None else self.method.labels_are
            facts = facts_of_training(state, self.source, labels)
            self.log.summarise(facts | self.development.facts)

    def _train(self, done: int, total: int) -> None:
        """Do the steps from ``done`` to ``total``."""
        state, seconds = self.state, time.perf_counter
        bar = self.shown(total=total, initial=done, desc="training", unit="step")
        watched = (self._batches(), total - done, lambda: self.source[state.epoch, state.step])
        with bar, closing(self.estimate.watch(*watched, self.views)) as batches:
            for _ in range(done, total):
                start = seconds()
                batch = next(batches)
                state.seconds["wait"] += seconds() - start
                if batch is not None:  # if it is None, a signal came first
                    self.train_step(batch)
                    state.seconds["wait"] += self.prefetcher.look_ahead()
                    bar.update(1)
                state.seconds["epoch"] += seconds() - start
                if state.step == self.steps:
                    bar.set_postfix_str(self._end_of_epoch(), refresh=False)
                self._obey_signals()

    def train_step(self, batch: Ready) -> None:
        """Do one step of training: views, loss, gradients, update, figures."""
        settings, state, method, moment = self.settings, self.state, self.method, self.moment
        method.train()
        if state.step == 0:
            figures = start_epoch(method, moment, self.oracle)
            state.add({name: value * self.steps for name, value in figures.items()})
        rate = learning_rate(settings.optim, moment.epoch, moment.epochs)
        set_learning_rate(self.optimizer, rate)
        views = self.views(batch, moment)
        self.estimate.copied()
        loss, stats = self.gradients.of(views)
        stats |= positive_figures(method, views, self.oracle)
        self.losses.add(state.step, loss)
        if state.step % CHECK_EVERY == 0 or state.step + 1 == self.steps:
            self._check_losses()
        clip_gradients(settings.optim, method.parameters())
        self.optimizer.step()
        if not settings.train.sync_batch_norm:
            # Otherwise networks in evaluation mode (for references, for clusters of speakers) would
            # differ between processes, and the state has only that of the first process.
            distributed.average_statistics(method)
        state.step += 1
        method.after_step(moment)
        embeddings = stats.pop("embeddings")
        if state.step == self.steps:
            state.add({"rank": effective_rank(distributed.gather(embeddings)) * self.steps})
        state.add({"loss": loss, **stats})
        self.estimate.computed()

    @property
    def moment(self) -> Moment:
        """The present moment of training."""
        return Moment(self.state.epoch + self.state.step / self.steps, self.settings.train.epochs)

    def views(self, batch: Ready, moment: Moment | None = None) -> Views:
        """Return a batch as the method sees it; it may have been prepared ahead."""
        if isinstance(batch, Views):
            return self.prefetcher.hand_over(batch)
        now = moment or self.moment
        return Views.of(batch, self.front_end, self.device, labels=self.labels, moment=now)

    def _batches(self) -> Iterator[Ready | None]:
        """Yield the remaining batches; refresh their composition when it is due.

        The readers know one composition of batches, so they never read beyond the next refresh.
        """
        state, batches, epochs = self.state, self.source.batches, self.settings.train.until
        every = batches.refresh_every or epochs
        while state.epoch < epochs:
            if state.step == 0 and state.epoch > 0 and state.epoch % every == 0:
                batches.refresh(self.method.evaluated, state.epoch)
            until = min(epochs, (state.epoch // every + 1) * every)
            keys = [(n, step) for n in range(state.epoch, until) for step in range(self.steps)]
            yield from self._read(keys[state.step :])

    def _read(self, steps: list[Key], moment: Moment | None = None) -> Iterator[Ready | None]:
        """Yield the batches of these (epoch, step); None if a signal came first.

        moment: of all of them; None: each has that of its step.
        """
        count, epochs = self.settings.train.workers, self.settings.train.epochs
        batches = read(self.source, steps, count, stop=self.stop.waits_no_more)
        moments = (moment or Moment(n + step / self.steps, epochs) for n, step in steps)
        yield from self.prefetcher.run(batches, moments)

    def _fill_memories(self) -> None:
        """Let SSPS see the training set once before the first step, if it starts with a pass."""
        remaining = steps_of_pass(self.method.positives, self.state.epoch, self.steps)
        if not remaining:
            return
        how = {"total": self.steps, "initial": self.steps - len(remaining), "unit": "step"}
        bar = self.shown(desc="filling memories", **how)
        with bar, closing(self._read(remaining, self.moment)) as batches:
            for batch in batches:
                if batch is not None:
                    with self.gradients.forward():
                        fill_step(self.method, self.views(batch, self.moment))
                    self.prefetcher.look_ahead()
                    bar.update(1)
                self._obey_signals()
        self.state.save()

    def _obey_signals(self) -> None:
        """Save and end if any process has received a signal."""
        at = (self.state.epoch, self.state.step)
        if distributed.any_of(self.stop.received or at == self.stop_at):
            self._check_losses()
            self.state.save()
            distributed.barrier()  # when one process ends, a launcher may stop the others
            raise Interrupted

    def _check_losses(self) -> None:
        """Raise ``TrainingFailed`` if a recent loss is not finite, and save its batch."""
        found = self.losses.first_bad()
        if found is None:
            return
        step, loss, own = found
        epoch = self.state.epoch
        told = not_finite(loss, epoch, step)
        if own:  # make the batch again: it is a function of epoch and step
            batch = self.source[epoch, step]
            inputs = self.views(batch, Moment(epoch, self.settings.train.epochs)).crops
            about = {"epoch": epoch + 1, "step": step + 1, "loss": str(loss)}
            told = save_bad_batch(self.exp, batch, inputs, self.source.index, about, told)
        raise TrainingFailed(told)

    def _end_of_epoch(self) -> str:
        """Log and save an epoch; return a few words for the progress line."""
        state, seconds, epoch = self.state, self.state.seconds, self.state.epoch + 1
        means = {k: total / self.steps for k, total in distributed.mean_of(state.totals).items()}
        if self.oracle is not None:
            means |= self.oracle.accuracy(means)
        means |= self.source.batches.figures(state.epoch)
        each = sum(group.count for group in self.source.groups)
        crops = self.steps * self.settings.train.batch_size * each
        means |= self.development.figures(self.method, epoch, self.device)
        row = epoch_row(epoch, means, self.optimizer.param_groups[0]["lr"], seconds, crops)
        state.next_epoch()
        if distributed.is_first():
            self.log.epoch(row)
        state.watch.end_of_epoch(means)
        state.save_epoch()
        return f"loss {means['loss']:.3f}, wait {row['data_wait']:.0%}"
