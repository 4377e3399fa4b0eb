"""The points of a clustering, read in blocks, so that memory holds no second copy of them."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from sv.cluster.processes import share_of, sum_over_processes
from sv.errors import InputError

# 1,024 points x 512 float32 are 2 MB: the block, the centroids, and the products with some thousand
# centroids stay in a processor's cache. A GPU needs larger blocks to be busy.
CPU_BLOCK = 1024
GPU_BLOCK = 16384
SHOWN = 5


class Points:
    """Rows of length one (spherical) or rows less their common mean (Euclidean), in float32.

    Args:
        x: (N, D) numpy array or tensor of any floating type; it may be memory-mapped, and is never
            changed. With ``sharded`` every process of torch.distributed has its own rows.
        names: names of the rows, such as utterance ids, for messages.

    Attributes: ``count`` and ``dim`` of the own rows; ``offset``: number of rows on the processes
    before this one; ``total``: number of rows on all processes; ``mean`` (D,): subtracted from all
    rows, zeros if spherical.

    Raises:
        InputError: ``x`` is no matrix of numbers, or has NaN, infinite or (spherical) zero rows.
    """

    def __init__(
        self,
        x: np.ndarray | torch.Tensor,
        *,
        spherical: bool,
        device: torch.device,
        sharded: bool = False,
        names: Sequence[str] | None = None,
    ) -> None:
        floating = (
            x.is_floating_point() if torch.is_tensor(x) else np.issubdtype(x.dtype, np.floating)
        )
        if x.ndim != 2 or not floating:
            raise InputError(
                f"k-means needs a matrix (points, dimensions) of floating numbers, not "
                f"{x.dtype} of shape {tuple(x.shape)}"
            )
        self.x, self.spherical, self.device, self.sharded = x, spherical, device, sharded
        self.count, self.dim = x.shape
        offset, total = share_of(self.count, sharded)
        self.offset, self.total = int(offset), int(total)
        self.block_size = CPU_BLOCK if device.type == "cpu" else GPU_BLOCK
        self.mean = torch.zeros(self.dim, device=device)
        self._measure(names)

    def _measure(self, names: Sequence[str] | None) -> None:
        """Compute the length of each row and the mean of all rows; raise for unusable rows."""
        lengths = torch.empty(self.count, device=self.device)
        sums = torch.zeros(self.dim, dtype=torch.float64, device=self.device)
        for start in range(0, self.count, self.block_size):
            rows = self._read(slice(start, start + self.block_size))
            lengths[start : start + len(rows)] = torch.linalg.vector_norm(rows, dim=1)
            sums += rows.sum(dim=0, dtype=torch.float64)
        bad = ~torch.isfinite(lengths)
        if self.spherical:
            bad |= lengths == 0
        # If one process stops, all must stop; else the others would wait for it for ever.
        count = int(sum_over_processes(bad.sum(), self.sharded))
        if count:
            here = torch.nonzero(bad)[:SHOWN, 0].tolist()
            shown = [names[i] if names else f"row {self.offset + i}" for i in here]
            shown += ["..."] if count > len(here) else []
            kinds = "zero, infinite or NaN" if self.spherical else "infinite or NaN"
            raise InputError(
                f"{count} of {self.total:,} embeddings are {kinds}: {', '.join(shown)}; they have "
                "no nearest cluster. Look at their audio (silence?), and at the model if there "
                "are many"
            )
        self._scale = 1 / lengths if self.spherical else None
        if not self.spherical:
            self.mean = (sum_over_processes(sums, self.sharded) / self.total).float()

    def _read(self, rows: slice | np.ndarray) -> torch.Tensor:
        """Return the given rows, not prepared, in float32 on the device."""
        if torch.is_tensor(self.x):
            index = rows if isinstance(rows, slice) else torch.from_numpy(rows).to(self.x.device)
            return self.x[index].detach().to(self.device, torch.float32)
        # torch refuses arrays that are read-only or have negative strides, so these are copied.
        block = np.require(self.x[rows], np.float32, ["C", "W"])
        return torch.from_numpy(block).to(self.device)

    def prepare(self, rows: slice | np.ndarray) -> torch.Tensor:
        """Return the given rows (n, D) of this process, scaled to length one or less the mean."""
        block = self._read(rows)
        if self._scale is None:
            return block - self.mean
        index = rows if isinstance(rows, slice) else torch.from_numpy(rows)
        return block * self._scale[index, None]

    def blocks(self) -> Iterator[tuple[slice, torch.Tensor]]:
        """Yield (slice, prepared rows) for all rows of this process."""
        for start in range(0, self.count, self.block_size):
            rows = slice(start, min(start + self.block_size, self.count))
            yield rows, self.prepare(rows)

    def rows_of_all(self, ids: np.ndarray) -> torch.Tensor:
        """Return the prepared rows ``ids`` (n,), numbered over all processes, on every process."""
        found = torch.zeros(len(ids), self.dim, device=self.device)
        mine = np.flatnonzero((ids >= self.offset) & (ids < self.offset + self.count))
        if len(mine):
            found[torch.from_numpy(mine).to(self.device)] = self.prepare(ids[mine] - self.offset)
        return sum_over_processes(found, self.sharded)
