"""The only training loop, for all methods.

A step: crops of a batch → device → augmentation → normalisation → ``method.training_step`` →
gradients → update. The learning rate depends on epochs only. Every epoch and SIGTERM write a
checkpoint, every epoch writes a line to the log, and training stops if it learns nothing.

Resuming is exact: batches are pure functions of (seed, epoch, step), and everything else that
changes is in the checkpoint. A training that was killed and started again ends with the same bits.

With several processes, each takes its share of every batch. Gradients and figures are averaged,
and the first process writes (see `sv.distributed`). Everything else is the same in all processes,
and so are all decisions.
"""

import dataclasses
import signal
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from sv import checkpoint, distributed
from sv.crops.batches import Batches, RandomBatches
from sv.crops.front_end import FrontEnd
from sv.crops.index import TrainingIndex
from sv.crops.readers import read
from sv.crops.views import Batch, NoiseBank, ViewSource
from sv.device import autocast, autocast_dtype, describe_hardware, tune_float32_products
from sv.encoders import build_encoder
from sv.encoders.sync_norm import synchronise
from sv.errors import InputError, LostWorker
from sv.features.augment import RoomBank
from sv.features.augment_wave import WaveRooms
from sv.methods import build_method
from sv.methods.base import Facts, Moment, Sources, Views
from sv.progress import progress, silent
from sv.provenance import git_commit
from sv.sampling.ssps import SSPS
from sv.training.bad_batch import RecentLosses, save_bad_batch
from sv.training.experiment import Experiment
from sv.training.fill_memories import fill_step, steps_of_pass
from sv.training.identity import differences, fingerprint, fingerprint_noises, fingerprint_rooms
from sv.training.log import TrainLog
from sv.training.monitor import (
    CollapseWatch,
    TrainingFailed,
    check_weights,
    effective_rank,
    not_finite,
)
from sv.training.optim import build_optimizer, clip_gradients, learning_rate, set_learning_rate
from sv.training.oracle import Oracle
from sv.training.plan import refuse_early_stop, refuse_jumps
from sv.training.preflight import check

REQUEUE = 99
"""Exit status after SIGTERM or SIGUSR1: GridEngine starts such a job again; Slurm can be told."""

STOP_SIGNALS = (signal.SIGTERM, signal.SIGUSR1)

CHECK_EVERY = 10
"""Steps between two looks at the loss; each look waits for the device."""

PATIENCE = 20.0
"""Seconds after a signal in which several processes may still end a step together."""


class Interrupted(SystemExit):
    """A signal asked training to stop; a state is on disk."""

    def __init__(self):
        super().__init__(REQUEUE)


class Trainer:
    """A method in training.

    Parameters
    ----------
    settings: of the whole experiment.
    index: the training set.
    exp: the folder for checkpoints and logs.
    noises, rooms: banks for augmentation; None where augmentation needs none.
    batches: what batches are made of; by default every utterance once an epoch, in random order.
    labels: (N,) speaker of each utterance as a number from 0; for supervised methods only.
    oracle: true labels for figures in the log; the weights are the same with and without.
    base: experiment folder of a complete training to go on from (SSPS, and its baseline).
    device: where the network lives.
    """

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
        device: torch.device | str = "cpu",
    ):
        self.settings = settings
        self.exp = Path(exp)
        self.device = torch.device(device)
        self.oracle = oracle
        self.base = None if base is None else Path(base)
        self.dtype = autocast_dtype(settings.train.precision, self.device)
        if self.device.type == "cpu":
            tune_float32_products()
        torch.backends.cudnn.deterministic = True  # or resuming would not be exact
        torch.manual_seed(settings.train.seed)
        self.labels = None if labels is None else torch.from_numpy(labels).long()
        facts = Facts(len(index), 0 if labels is None else int(labels.max()) + 1)
        encoder = build_encoder(settings.model)
        self.method = build_method(encoder, settings.method, facts)
        if distributed.world_size() > 1 and settings.train.sync_batch_norm:
            synchronise(self.method)
        self.method.to(self.device)
        self.optimizer = build_optimizer(settings.optim, self.method)
        groups = self.method.crop_groups(settings.data)
        if settings.ssps.enabled:
            self.method.positives = self._ssps(len(index), encoder.embedding_dim)
            groups = [*groups, self.method.positives.crop_group()]
        size, seed = settings.train.batch_size, settings.train.seed
        self.source = ViewSource(
            index,
            groups,
            batches or RandomBatches(len(index), size, seed),
            settings.augment,
            seed=seed,
            noises=noises,
            rooms=len(rooms) if rooms is not None else 0,
            mel_bands=settings.model.mel_bins,
            mixing=settings.mixing,
            own=distributed.deal(size),
        )
        check(settings, index, self.source, rooms)
        self.front_end = FrontEnd.of(
            settings.data.normalise, settings.model.mel_bins, index, rooms, settings.augment.order
        )
        self.steps = self.source.batches.steps
        self.identity = {
            "settings": settings.identity(),
            "training set": fingerprint(index),
            "noise bank": fingerprint_noises(noises),
            "room bank": fingerprint_rooms(rooms),
            "precision": "float32" if self.dtype is None else "bfloat16",
            "base": "" if base is None else checkpoint.digest(checkpoint.state_path(base)),
            "composition of batches": getattr(self.source.batches, "fingerprint", ""),
        }
        self.commits = [git_commit()]  # now, not at the end: the code in memory is this one
        self.watch, self.losses = CollapseWatch(), RecentLosses()
        self.epoch = self.step = 0
        self.totals: dict[str, Tensor | float] = {}
        self.seconds = {"total": 0.0, "epoch": 0.0, "wait": 0.0}
        self.signalled, self.asked = False, 0.0

    def _ssps(self, utterances: int, dim: int) -> SSPS:
        shape, seed = self.method.positive_shape, self.settings.train.seed
        ssps = SSPS(self.settings.ssps, utterances, dim, shape, seed, self.labels)
        return ssps.to(self.device)

    def fit(self) -> None:
        """Train until the last epoch, from the checkpoint in ``exp`` if there is one."""
        first = distributed.is_first()
        distributed.barrier()  # the first one may be clearing the folder
        found = self._restore()
        if distributed.from_first(found) != found:
            raise InputError(f"{self.exp} is not the same folder for all processes: share one")
        if not found:
            if self.base is not None:
                self._begin_from_base()
            if first:
                self.settings.save(self.exp / "config.yaml")
            else:  # or all would draw alike, for items that differ
                torch.manual_seed(self.settings.train.seed + distributed.rank())
            self._save_model()
        distributed.spread(self.method)
        total = self.settings.train.until * self.steps
        done = self.epoch * self.steps + self.step
        refuse_early_stop(self.exp, done / self.steps, self.settings.train.until)
        if distributed.from_first(done == total and (self.exp / "train.json").exists()):
            return  # complete: its summary stays as it is
        self.log = TrainLog(self.exp, after_epoch=self.epoch) if first else None
        handlers = {number: signal.signal(number, self._on_signal) for number in STOP_SIGNALS}
        try:
            shown = progress if first else silent
            self._fill_memories(shown)
            with (
                shown(total=total, initial=done, desc="training", unit="step") as bar,
                closing(self._batches()) as batches,
            ):
                for _ in range(done, total):
                    start = time.perf_counter()
                    batch = next(batches)
                    self.seconds["wait"] += time.perf_counter() - start
                    if batch is not None:
                        self._one_step(batch)
                        bar.update(1)
                    self.seconds["epoch"] += time.perf_counter() - start
                    if self.step == self.steps:
                        bar.set_postfix_str(self._end_of_epoch(), refresh=False)
                    self._obey_signals()
        finally:
            if first:
                self.log.close()
            for number, handler in handlers.items():
                signal.signal(number, handler)
        if first:
            self.log.summarise(self._facts())

    def _facts(self) -> dict[str, object]:
        """Return what a table of results says about this training."""
        return {
            "method": self.settings.method.name,
            "encoder": self.settings.model.name,
            "epochs": self.epoch,
            "seed": self.settings.train.seed,
            "wall_seconds": round(self.seconds["total"], 1),
            "hardware": describe_hardware(self.device),
            "precision": "float32" if self.dtype is None else "bfloat16",
            "config_hash": self.settings.digest,
            "git_commit": ", ".join(self.commits),
            "labels_used": "none" if self.labels is None else "speakers",
            "train_utterances": len(self.source.index),
        }

    def _fill_memories(self, shown) -> None:
        """Let SSPS see the training set once before the first step, if that is how it begins."""
        remaining = steps_of_pass(self.method.positives, self.epoch, self.steps)
        if not remaining:
            return
        how = {"total": self.steps, "initial": self.steps - len(remaining), "unit": "step"}
        with shown(desc="filling memories", **how) as bar, closing(self._read(remaining)) as read:
            for batch in read:
                if batch is not None:
                    with autocast(self.device, self.dtype):
                        fill_step(self.method, self._prepare(batch, self._moment()))
                    bar.update(1)
                self._obey_signals()
        self._save_state()

    def _obey_signals(self) -> None:
        """Save and end if a signal has asked any process to."""
        if distributed.any_of(self.signalled):
            self._check_losses()
            self._save_state()
            distributed.barrier()  # whoever ends may make a launcher stop the others
            raise Interrupted

    def _on_signal(self, number: int, frame) -> None:
        """Ask for an end after this step; a signal that comes much later ends training at once."""
        now = time.monotonic()
        if self.signalled and now > self.asked + PATIENCE:
            raise Interrupted
        if not self.signalled:
            self.signalled, self.asked = True, now

    def _waits_no_more(self) -> bool:
        """Return whether a signal came and the next batch did not."""
        if not self.signalled or distributed.world_size() == 1:
            return self.signalled
        if time.monotonic() > self.asked + PATIENCE:  # the others are in a step, which we are not
            raise LostWorker(
                "the data readers gave no batch after a signal to end: the last checkpoint stands"
            )
        return False

    def _batches(self) -> Iterator[Batch | None]:
        """Yield the remaining batches; those that depend on the network follow it now and then."""
        epochs, every = self.settings.train.until, self._refresh_every
        while self.epoch < epochs:
            if every and self.step == 0 and self.epoch > 0 and self.epoch % every == 0:
                self.source.batches.refresh(self.method.evaluated, self.epoch)
            until = min(epochs, (self.epoch // every + 1) * every) if every else epochs
            yield from self._batches_until(until)

    @property
    def _refresh_every(self) -> int:
        """Epochs after which batches are made of something new; 0: never."""
        return getattr(self.source.batches, "refresh_every", 0)

    def _batches_until(self, epochs: int) -> Iterator[Batch | None]:
        """Yield the batches up to an epoch, read by processes that know how they are composed."""
        remaining = [
            (epoch, step)
            for epoch in range(self.epoch, epochs)
            for step in range(self.step if epoch == self.epoch else 0, self.steps)
        ]
        yield from self._read(remaining)

    def _read(self, steps: list[tuple[int, int]]) -> Iterator[Batch | None]:
        """Yield the batches of these (epoch, step); None where a signal came first."""
        count = self.settings.train.workers
        yield from read(self.source, steps, count, stop=self._waits_no_more)

    def _one_step(self, batch: Batch) -> None:
        self.method.train()
        moment = self._moment()
        if self.step == 0:
            for name, value in self._start_epoch(moment).items():
                self.totals[name] = value * self.steps
        rate = learning_rate(self.settings.optim, moment.epoch, moment.epochs)
        set_learning_rate(self.optimizer, rate)
        views = self._prepare(batch, moment)
        with autocast(self.device, self.dtype):
            loss, stats = self.method.training_step(views)
        stats |= self._positive_stats(views)
        self.losses.add(self.step, loss)
        if self.step % CHECK_EVERY == 0 or self.step + 1 == self.steps:
            self._check_losses()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        distributed.average_gradients(self.method.parameters())
        clip_gradients(self.settings.optim, self.method.parameters())
        self.optimizer.step()
        if not self.settings.train.sync_batch_norm:
            # Else what a network in evaluation makes (references, clusters of speakers) would be
            # of another network in each process, and only the first one's is in the state.
            distributed.average_statistics(self.method)
        self.step += 1
        self.method.after_step(moment)
        if self.step == self.steps:
            embeddings = distributed.gather(stats["embeddings"])
            self.totals["rank"] = effective_rank(embeddings) * self.steps
        for name, value in {"loss": loss.detach(), **stats}.items():
            if name != "embeddings":
                self.totals[name] = self.totals.get(name, 0.0) + value

    def _check_losses(self) -> None:
        """Stop if a loss of the last steps is not finite, and save the batch that made it."""
        found = self.losses.first_bad()
        if found is None:
            return
        step, loss, own = found
        told = not_finite(loss, self.epoch, step)
        if own:  # the batch is made again: it is a function of epoch and step
            batch = self.source[self.epoch, step]
            inputs = self._prepare(batch, Moment(self.epoch, self.settings.train.epochs)).crops
            about = {"epoch": self.epoch + 1, "step": step + 1, "loss": str(loss)}
            told = save_bad_batch(self.exp, batch, inputs, self.source.index, about, told)
        raise TrainingFailed(told)

    def _start_epoch(self, moment: Moment) -> dict:
        """Let the method and its positives prepare an epoch; return figures of it."""
        figures = self.method.start_epoch(moment)
        if self.method.positives is not None:
            figures |= self.method.positives.start_epoch(self.epoch)
            if self.oracle is not None:
                figures |= self.oracle.of_clusters(self.method.positives)
        return figures

    def _positive_stats(self, views: Views) -> dict:
        """Return how many anchors found a positive, and what true labels say of those."""
        ssps = self.method.positives
        if ssps is None or not ssps.sampling:
            return {}
        figures = {"coverage": ssps.coverage}
        if self.oracle is not None:
            figures |= self.oracle.of_positives(ssps, views.utterances)
        return figures

    def _moment(self) -> Moment:
        return Moment(self.epoch + self.step / self.steps, self.settings.train.epochs)

    def _prepare(self, batch: Batch, moment: Moment) -> Views:
        """Bring a batch to the device and make the network's input of it."""
        crops, sources = {}, {}
        for name, group in batch.crops.items():
            if group.sources:
                crops[name], of_sources = self.front_end.mixtures(group, self.device)
                sources[name] = Sources(of_sources, group.items.to(self.device))
            else:
                crops[name] = self.front_end(group, self.device)
        labels = None if self.labels is None else self.labels[batch.utterances].to(self.device)
        return Views(crops, batch.utterances.to(self.device), labels, moment, sources)

    def _end_of_epoch(self) -> str:
        totals = distributed.mean_of(self.totals)
        means = {name: total / self.steps for name, total in totals.items()}
        if self.oracle is not None:
            means |= self.oracle.accuracy(means)
        if hasattr(self.source.batches, "figures"):
            means |= self.source.batches.figures(self.epoch)
        count = sum(group.count for group in self.source.groups)
        crops = self.steps * self.settings.train.batch_size * count
        row = {
            "epoch": self.epoch + 1,
            **means,
            "lr": self.optimizer.param_groups[0]["lr"],
            "seconds": self.seconds["epoch"],
            "crops_per_second": crops / max(1e-9, self.seconds["epoch"]),
            "data_wait": self.seconds["wait"] / max(1e-9, self.seconds["epoch"]),
        }
        self.seconds["total"] += self.seconds["epoch"]
        self.seconds["epoch"] = self.seconds["wait"] = 0.0
        self.epoch, self.step, self.totals = self.epoch + 1, 0, {}
        if distributed.is_first():
            self.log.epoch(row)
        self.watch.end_of_epoch(means)
        self._save_model()
        self._save_state()
        if distributed.is_first():
            checkpoint.forget_models(self.exp, self.epoch - self.settings.train.keep)
        return f"loss {means['loss']:.3f}, wait {row['data_wait']:.0%}"

    def _save_model(self) -> None:
        check_weights(self.method, self.epoch)
        if not distributed.is_first():
            return
        checkpoint.save(
            checkpoint.epoch_path(self.exp, self.epoch),
            {
                "encoder": self.method.evaluated.state_dict(),
                "model": dataclasses.asdict(self.settings.model),
                "normalise": self.settings.data.normalise,
                "epochs": [self.epoch],
            },
        )

    def _save_state(self) -> None:
        check_weights(self.method, self.epoch)
        totals = distributed.mean_of(self.totals)
        random = distributed.gather(torch.get_rng_state()[None])
        on_gpu = self.device.type == "cuda"
        cuda = distributed.gather(torch.cuda.get_rng_state(self.device)[None]) if on_gpu else None
        if not distributed.is_first():
            return
        checkpoint.save_state(
            self.exp,
            {
                "identity": self.identity,
                "commits": self.commits,
                "epoch": self.epoch,
                "step": self.step,
                "method": self.method.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "batches": self.source.batches.state_dict() if self._refresh_every else {},
                "totals": totals,
                "seconds": self.seconds,
                "watch": self.watch.state_dict(),
                "random": random,  # a row for each process
                "random_cuda": cuda,
            },
        )

    def _begin_from_base(self) -> None:
        """Take weights, optimiser and epoch from the last state of another experiment."""
        path = checkpoint.state_path(self.base)
        state = checkpoint.load(path)
        changed = differences(
            {**state["identity"], "settings": {"model": state["identity"]["settings"]["model"]}},
            {**self.identity, "settings": {"model": self.identity["settings"]["model"]}},
        )
        changed = [text for text in changed if text.startswith(("model.", "the training set"))]
        if changed:
            raise InputError(f"{path} cannot be the base: {'; '.join(changed)}")
        if state["step"] or state["epoch"] >= self.settings.train.until:
            raise InputError(
                f"{path} has done {state['epoch']} epochs and {state['step']} steps: finish it, "
                f"and set train.epochs ({self.settings.train.until}) to more, base included"
            )
        planned = state["identity"]["settings"]["train"]["epochs"]
        refuse_jumps(path, self.settings, self.method, state["epoch"], planned)
        found = self.method.load_state_dict(state["method"], strict=False)
        wrong = [*found.missing_keys, *found.unexpected_keys]
        wrong = [name for name in wrong if not name.startswith("positives.")]
        if wrong:
            raise InputError(
                f"{path} is of another method or head ({wrong[0]} does not fit): give the settings "
                "of the base"
            )
        self.optimizer.load_state_dict(state["optimizer"])
        self.commits = list(dict.fromkeys([*state["commits"], *self.commits]))
        self.epoch, self.seconds = state["epoch"], state["seconds"]

    def _restore(self) -> bool:
        """Go back to the state that an earlier run left; False if there is none."""
        state = checkpoint.load_state(self.exp)
        if state is None:
            return False
        changed = differences(state["identity"], self.identity)
        if changed:
            raise InputError(
                f"{checkpoint.state_path(self.exp)} belongs to another training: "
                f"{'; '.join(changed)}. Choose another --out, or start over with --restart true"
            )
        self.method.load_state_dict(state["method"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.watch.load_state_dict(state["watch"])
        if self._refresh_every:
            self.source.batches.load_state_dict(state["batches"])
        self.commits = list(dict.fromkeys([*state["commits"], *self.commits]))
        self.epoch, self.step = state["epoch"], state["step"]
        self.totals, self.seconds = state["totals"], state["seconds"]
        row = distributed.rank() % len(state["random"])  # as many processes as before, or not
        torch.set_rng_state(state["random"][row].clone())  # torch 2.11 refuses views
        if state["random_cuda"] is not None:
            torch.cuda.set_rng_state(state["random_cuda"][row].clone(), self.device)
        return True
