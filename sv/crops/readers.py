"""Worker processes read batches ahead and return them through memory that we share with them.

Each reader has a piece of shared memory for a few batches, and a pipe for small messages. The
memory is not in /dev/shm, which is tiny in containers, and no batch needs a file descriptor. If a
reader fails, it reports the error through its pipe. If it was killed, the pipe is closed.
"""

import contextlib
import math
import mmap
import traceback
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sv.crops.batch_arrays import flatten, rebuild
from sv.crops.views import Batch, ViewSource
from sv.errors import InputError, LostWorker, OutOfMemory
from sv.machine import memory, workers

Key = tuple[int, int]
"""Epoch and step of a batch."""

ROOM = 3
"""Batches for which a reader has room: one is in use, one waits, one is being made."""

ALIGNED = 64
SMALL = 1 << 16
"""Arrays of at most so many bytes are copied out of the shared memory: a method may keep them."""

LOOK_EVERY = 0.2
"""Seconds between two calls of ``stop`` while waiting for a batch."""


def read(
    source: ViewSource,
    keys: Sequence[Key],
    count: int,
    *,
    stop: Callable[[], bool] = lambda: False,
) -> Iterator[Batch | None]:
    """Yield ``source[key]`` for all keys, in order, read ahead by ``count`` processes.

    A batch is valid until the next one is requested, because its memory is then used again. The
    readers have a copy of the source from the start of this generator. They end with the generator,
    however it ends.

    Readers ignore signals. A signal to the whole process group asks the training process for a
    checkpoint, and that process has to finish its step first. Readers are killed when training
    ends, however it ends; Python alone would wait for them (``sv.machine.workers``). If the
    training process itself is killed, Linux kills its readers.

    stop: if it returns true while a batch is awaited, the generator yields None and ends.

    Raises
    ------
    InputError, OSError, MemoryError: an error in a reader. LostWorker: a reader was killed.
    OutOfMemory: the memory does not suffice for the batches of ``count`` readers.
    """
    if count == 0 or len(keys) < 2:
        yield from (source[key] for key in keys)
        return
    first, keys = source[keys[0]], keys[1:]  # its size is the room that a batch needs
    count, size = min(count, len(keys)), _size(first)
    check_room(size, count)
    readers: list[_Reader] = []
    try:
        for number in range(count):
            readers.append(_Reader(source, keys[number::count], size))
        yield first
        del first
        for number in range(len(keys)):
            batch = readers[number % count].next(stop)
            yield batch
            if batch is None:
                return
            readers[number % count].release()
    finally:
        workers.end(reader.process for reader in readers)
        for reader in readers:
            reader.connection.close()


def check_room(size: int, count: int) -> None:
    """Raise ``OutOfMemory`` if ``count`` readers of batches of ``size`` bytes need too much."""
    need, have = size * ROOM * count, memory.available()
    if have is not None and need > have:
        raise OutOfMemory(
            f"{count} readers of batches need {memory.describe(need)} of memory ({ROOM} batches of "
            f"{memory.describe(size)} each), and {memory.describe(have)} are free: lower "
            "train.workers (0: none), train.batch_size, or the length of crops"
        )


class _Reader:
    """A process that makes some of the batches, and this process's end of the pipe to it."""

    def __init__(self, source: ViewSource, keys: Sequence[Key], size: int):
        self.room, self.size, self.taken = mmap.mmap(-1, ROOM * size), size, 0
        self.connection, theirs = workers.FORK.Pipe()
        self.process = workers.start(_serve, source, keys, self.room, size, theirs)
        theirs.close()

    def next(self, stop: Callable[[], bool]) -> Batch | None:
        """Return the next batch of this reader, or None if ``stop`` became true."""
        while not self.connection.poll(LOOK_EVERY):
            if stop():
                return None
        try:
            kind, *answer = self.connection.recv()
        except (EOFError, ConnectionError):
            raise self._lost() from None
        if kind is not None:
            raise kind(*answer)
        places, groups = answer
        start = (self.taken % ROOM) * self.size
        self.taken += 1
        return rebuild({p[0]: self._array(start, *p[1:]) for p in places}, groups)

    def _array(self, start: int, offset: int, kind: str, shape: tuple[int, ...]) -> Tensor:
        flat = np.frombuffer(self.room, kind, math.prod(shape), start + offset)
        array = torch.from_numpy(flat.reshape(shape))
        return array.clone() if flat.nbytes < SMALL else array

    def release(self) -> None:
        """Let the reader use the memory of the batch that was returned last."""
        with contextlib.suppress(OSError):  # the reader may have made all its batches and ended
            self.connection.send(None)

    def _lost(self) -> LostWorker:
        return LostWorker(
            f"a data reader (process {self.process.pid}) {workers.how_it_ended(self.process)}: "
            "give the job more memory, or lower train.workers or train.batch_size; started again, "
            "training goes on from its last checkpoint"
        )


def _size(batch: Batch) -> int:
    """Return the bytes of shared memory that a batch takes, whole pages."""
    sizes = [array.numpy().nbytes for array in flatten(batch)[0].values()]
    size = sum(-(-size // ALIGNED) * ALIGNED for size in sizes)
    return -(-size // mmap.PAGESIZE) * mmap.PAGESIZE


class _Slot:
    """The shared memory of one batch, which gives room for its arrays, one after another."""

    def __init__(self, room: mmap.mmap, size: int):
        self.room, self.size, self.start, self.end = room, size, 0, 0
        self.address = np.frombuffer(room, np.uint8).ctypes.data

    def begin(self, number: int) -> None:
        """Give the memory of batch ``number`` from now on."""
        self.start, self.end = (number % ROOM) * self.size, 0

    def empty(self, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        """Return an array in this memory, or in new memory if there is no room."""
        kind, count = np.dtype(dtype), math.prod(shape)
        offset, after = self.end, self.end + -(-count * kind.itemsize // ALIGNED) * ALIGNED
        if after > self.size:
            return np.empty(shape, kind)
        self.end = after
        return np.frombuffer(self.room, kind, count, self.start + offset).reshape(shape)

    def place(self, name: str, array: Tensor) -> tuple:
        """Return (name, offset, dtype, shape) of an array in this memory; copy it if need be."""
        values = array.numpy()
        offset = values.ctypes.data - self.address - self.start
        if not 0 <= offset < self.size or not values.flags.c_contiguous:
            offset, there = self.end, self.empty(values.shape, values.dtype)
            if self.end == offset and values.size:
                raise RuntimeError(f"the first batch had {self.size} bytes; {name} has no room")
            np.copyto(there, values)
        return name, offset, values.dtype.str, values.shape


def _serve(
    source: ViewSource, keys: Sequence[Key], room: mmap.mmap, size: int, connection: Connection
) -> None:
    """Make batches and send them, in the process of a reader."""
    torch.set_num_threads(1)
    slot = _Slot(room, size)
    source.empty = slot.empty
    try:
        for number, key in enumerate(keys):
            if number >= ROOM:
                connection.recv()
            slot.begin(number)
            connection.send(_answer(source, key, slot))
    except (EOFError, ConnectionError):  # the training process needs no more batches
        pass


def _answer(source: ViewSource, key: Key, slot: _Slot) -> tuple[Any, ...]:
    """Make a batch in shared memory; return (None, places, groups), or an error's parts."""
    try:
        arrays, groups = flatten(source[key])
        places = [slot.place(name, array) for name, array in arrays.items()]
    except InputError as error:
        return type(error), str(error)
    except OSError as error:
        return OSError, error.errno, error.strerror or str(error), error.filename
    except Exception as error:
        if memory.ran_out(error):
            return MemoryError, str(error)
        return RuntimeError, f"in a data reader:\n{traceback.format_exc()}"
    return None, places, groups
