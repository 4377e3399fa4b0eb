"""Readers in processes of their own: the same batches, every failure told, nothing left behind."""

import ctypes
import errno
import faulthandler
import multiprocessing
import os
import re
import signal
import time

import numpy as np
import pytest
import torch

from sv.crops import readers
from sv.crops.batch_arrays import flatten, rebuild
from sv.crops.batches import RandomBatches
from sv.crops.groups import CropGroup
from sv.crops.index import TrainingIndex
from sv.crops.readers import read
from sv.crops.views import ViewSource
from sv.errors import InputError, LostWorker, OutOfMemory, Truncated
from sv.features.augment import AugmentConfig
from sv.features.mixing import MixingConfig
from sv.machine import memory

KEYS = [(epoch, step) for epoch in range(3) for step in range(3)]


@pytest.fixture(scope="module")
def source(tmp_path_factory, write_features):
    data = write_features(tmp_path_factory.mktemp("data"), [50 + n for n in range(24)])
    index = TrainingIndex.load(data)
    groups = [CropGroup("views", 2, 0.3), CropGroup("reference", 1, 0.5, augment=False)]
    augment = AugmentConfig(room_probability=0, time_masks=1, noise_probability=0.5)
    batches = RandomBatches(len(index), 8, seed=1)
    mixing = MixingConfig(probability=0.5)
    return ViewSource(index, groups, batches, augment, seed=1, mixing=mixing)


@pytest.fixture
def failing(source):
    """A function that returns a source which calls ``failure`` for one of its batches."""

    class Failing:
        def __init__(self, bad, failure):
            self.bad, self.failure = bad, failure

        def __getitem__(self, key):
            if key == self.bad:
                self.failure()
            return source[key]

    return Failing


def raising(error):
    def failure():
        raise error

    return failure


def same(one, other):
    (a, more), (b, rest) = flatten(one), flatten(other)
    return a.keys() == b.keys() and more == rest and all(torch.equal(a[n], b[n]) for n in a)


def test_a_batch_is_rebuilt_from_its_arrays(source):
    batch = source[KEYS[0]]
    arrays, groups = flatten(batch)
    assert {"utterances", "views/signal", "views/noise", "views/partner"} <= arrays.keys()
    again = rebuild(arrays, groups)
    assert same(batch, again) and again.crops["reference"].draws.noise is None


@pytest.mark.parametrize("count", [0, 1, 2, 3, 50])
@pytest.mark.parametrize("small", [1, readers.SMALL])
def test_any_number_of_readers_gives_the_same_batches(source, count, small, monkeypatch):
    monkeypatch.setattr(readers, "SMALL", small)
    seen = 0
    for key, batch in zip(KEYS, read(source, KEYS, count), strict=True):
        assert same(batch, source[key])
        seen += 1
    assert seen == len(KEYS) and not multiprocessing.active_children()


def test_arrays_of_a_batch_can_be_kept_if_they_are_small(source):
    kept = [batch.utterances for batch in read(source, KEYS, 1)]
    assert all(torch.equal(u, source[k].utterances) for u, k in zip(kept, KEYS, strict=True))


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (InputError("a.ark: damaged: x\ny"), InputError, "a.ark: damaged: x\ny"),
        (Truncated("is cut off", "a.wav"), Truncated, "a.wav is cut off"),
        (OSError(errno.ESTALE, "stale", "b.ark"), OSError, "[Errno 116] stale: 'b.ark'"),
        (MemoryError("Unable to allocate 3 GiB"), MemoryError, "Unable to allocate 3 GiB"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), MemoryError, None),
    ],
)
def test_what_a_reader_meets_is_raised_as_it_is(failing, error, kind, words):
    with pytest.raises(kind) as caught:
        list(read(failing(KEYS[4], raising(error)), KEYS, 2))
    assert words is None or str(caught.value) == words
    assert not multiprocessing.active_children()


def test_a_defect_in_a_reader_keeps_its_traceback(failing):
    bad = failing(KEYS[4], lambda: np.zeros(2)[7])
    with pytest.raises(RuntimeError, match="(?s)in a data reader:.*zeros.*IndexError"):
        list(read(bad, KEYS, 2))


@pytest.mark.parametrize("name", ["SIGKILL", "SIGBUS"])
def test_a_reader_that_was_killed_is_named(failing, name):
    def die():
        faulthandler.disable()  # pytest's, which would print where it was
        os.kill(os.getpid(), getattr(signal, name))

    bad = failing(KEYS[4], die)
    with pytest.raises(LostWorker, match=rf"reader .process \d+. was killed by {name}.*workers"):
        list(read(bad, KEYS, 2))
    assert not multiprocessing.active_children()


def test_a_reader_that_ends_by_itself_is_named(failing):
    with pytest.raises(LostWorker, match="ended with status 3"):
        list(read(failing(KEYS[4], lambda: os._exit(3)), KEYS, 2))


def test_nobody_waits_for_readers_that_hang_once_an_end_is_wanted(failing):
    hanging = failing(KEYS[2], lambda: time.sleep(3600))
    wanted = []
    batches = read(hanging, KEYS, 2, stop=lambda: bool(wanted))
    assert [next(batches) is None for _ in range(2)] == [False, False]
    for process in multiprocessing.active_children():
        os.kill(process.pid, signal.SIGSTOP)
    wanted.append(True)
    assert list(batches) == [None]
    assert not multiprocessing.active_children()


def test_an_exception_of_the_caller_ends_the_readers(source):
    batches = read(source, KEYS, 2)
    next(batches)
    assert len(multiprocessing.active_children()) == 2
    batches.close()
    assert not multiprocessing.active_children()


def test_too_many_readers_for_the_memory_are_refused_before_they_start(source, monkeypatch):
    monkeypatch.setattr(memory, "available", lambda: 100_000)
    with pytest.raises(OutOfMemory) as caught:
        next(read(source, KEYS, 8))
    told = str(caught.value)
    assert told.startswith("8 readers of batches need ") and "100 kB are free" in told
    assert "train.workers (0: none)" in told and not multiprocessing.active_children()
    need = float(re.search(r"need ([\d.]+) MB", told)[1]) * 1e6
    arrays, _ = flatten(source[KEYS[0]])
    size = sum(array.nbytes for array in arrays.values())
    assert need == pytest.approx(8 * readers.ROOM * size, rel=0.3)  # whole pages
    monkeypatch.setattr(memory, "available", lambda: int(1.1 * need))
    assert len([None for _ in read(source, KEYS, 8)]) == len(KEYS)


CLONE_NEWNS, MS_REC, MS_PRIVATE = 0x20000, 0x4000, 1 << 18


def test_readers_need_no_shared_memory_of_the_container(source):
    """/dev/shm of one page, in a fork that has its own view of the file systems."""
    process = os.fork()
    if process == 0:
        libc, status = ctypes.CDLL(None), 1
        try:
            private = libc.unshare(CLONE_NEWNS) or libc.mount(
                None, b"/", None, MS_REC | MS_PRIVATE, None
            )
            if private or libc.mount(b"tmpfs", b"/dev/shm", b"tmpfs", 0, b"size=4k"):
                os._exit(77)
            pairs = zip(KEYS, read(source, KEYS, 2), strict=True)
            status = 0 if all(same(batch, source[key]) for key, batch in pairs) else 1
        finally:
            os._exit(status)
    status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    if status == 77:
        pytest.skip("only root may mount a small /dev/shm")
    assert status == 0


def test_whose_crops_are_in_a_mixture_is_sent_too(source):
    groups = [CropGroup("mixtures", 2, 0.3, sources=True)]
    augment = AugmentConfig(room_probability=0, noise_probability=0)
    mixing = MixingConfig(probability=0.5)
    mixtures = ViewSource(source.index, groups, source.batches, augment, seed=1, mixing=mixing)
    for key, batch in zip(KEYS[:3], read(mixtures, KEYS[:3], 1), strict=True):
        assert torch.equal(batch.crops["mixtures"].items, mixtures[key].crops["mixtures"].items)
