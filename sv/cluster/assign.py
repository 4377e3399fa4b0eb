"""The nearest centroid of each point, by matrix products in tiles that stay in the cache."""

import torch

# Centroids at a time. 1,024 points x 4,096 products in bfloat16 are 8 MB.
TILE = 4096


class Nearest:
    """Finds nearest centroids by products in ``dtype``, which the hardware sums in float32.

    The cost of point x at centroid c is half the squared distance: 1 - <x, c> on the unit sphere,
    |x|^2/2 - <x, c> + |c|^2/2 in general. The two squares are further columns of the product,
    ``[-x, 1, |x|^2/2] . [c, |c|^2/2, 1]``, which saves a pass over the products. In bfloat16 each
    square is split into three columns whose sum has the 24 bits of a float32.

    Args:
        centroids: (K, D) float32, of length one if ``spherical``.
        dtype: torch.float32, or torch.bfloat16 if a wrong choice does not matter among centroids
            whose distances are equal to 3 digits.
    """

    def __init__(self, centroids: torch.Tensor, *, spherical: bool, dtype: torch.dtype) -> None:
        self.spherical, self.dtype = spherical, dtype
        self.parts = 1 if dtype == torch.float32 else 3
        if not spherical:
            ones = torch.ones(len(centroids), self.parts, device=centroids.device)
            centroids = torch.cat([centroids, *self._halves(centroids), ones], dim=1)
        self.tiles = centroids.to(dtype).split(TILE)
        self.buffer = torch.empty(0, dtype=dtype, device=centroids.device)

    def _halves(self, rows: torch.Tensor) -> list[torch.Tensor]:
        """Return |row|^2/2 as ``parts`` columns that add up to it, each exact in ``dtype``."""
        rest = rows.square().sum(dim=1, keepdim=True) / 2
        columns = []
        for _ in range(self.parts):
            columns.append(rest.to(self.dtype).float())
            rest = rest - columns[-1]
        return columns

    def __call__(self, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return (index (n,) int64, cost (n,) float32) of the nearest centroid of ``rows`` (n, D).

        If several centroids are equally near, the first one counts.
        """
        return self._search(rows, len(self), None, second=False)[:2]

    def two(
        self, rows: torch.Tensor, first: int | None = None, without: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return (index of the nearest, its cost, cost of the second nearest), each (n,).

        A cost is infinite if there is no such centroid.

        Args:
            first: search only the first ``first`` centroids; None: all.
            without: (n,) int64, a centroid that is left out for this row; -1: none.
        """
        return self._search(rows, len(self) if first is None else first, without, second=True)

    def __len__(self) -> int:
        return sum(len(tile) for tile in self.tiles)

    def _search(
        self, rows: torch.Tensor, first: int, without: torch.Tensor | None, *, second: bool
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        if not self.spherical:
            ones = torch.ones(len(rows), self.parts, device=rows.device)
            rows = torch.cat([-rows, ones, *self._halves(rows)], dim=1)
        rows = rows.to(self.dtype)
        best = torch.full((len(rows),), torch.inf, device=rows.device)
        next_best, index = best.clone(), torch.zeros_like(best, dtype=torch.int64)
        for number, tile in enumerate(self.tiles):
            offset = number * TILE
            tile = tile[: max(0, first - offset)]
            if not len(tile):
                break
            products = self._product(rows, tile)
            if without is not None:
                self._forget(products, without - offset)
            here, cost = self._nearest(products)
            if second:
                self._forget(products, here)
                runner_up = self._nearest(products)[1]
                next_best = torch.minimum(
                    torch.maximum(best, cost), torch.minimum(next_best, runner_up)
                )
            index = torch.where(cost < best, here + offset, index)
            best = torch.minimum(best, cost)
        return index, best, next_best

    def _nearest(self, products: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the place and the cost of each row's nearest centroid of a tile."""
        here = _argmax(products) if self.spherical else _argmin(products)
        value = products.gather(1, here[:, None])[:, 0].float()
        return here, 1 - value if self.spherical else value

    def _forget(self, products: torch.Tensor, columns: torch.Tensor) -> None:
        """Set the cost of one column of each row to infinity, if the tile has this column."""
        rows = torch.nonzero((columns >= 0) & (columns < products.shape[1]))[:, 0]
        products[rows, columns[rows]] = -torch.inf if self.spherical else torch.inf

    def _product(self, rows: torch.Tensor, tile: torch.Tensor) -> torch.Tensor:
        """Return rows x tile^T in a buffer that is reused: new memory would cost a tenth more."""
        size = len(rows) * len(tile)
        if len(self.buffer) < size:
            self.buffer = torch.empty(size, dtype=self.dtype, device=rows.device)
        return torch.mm(rows, tile.T, out=self.buffer[:size].view(len(rows), len(tile)))


def _argmax(products: torch.Tensor) -> torch.Tensor:
    """Return the place (n,) of each row's largest product.

    On the CPU numpy's search is vectorised and torch's is not, so numpy's is 15 times as fast.
    numpy has no bfloat16. But the bits of positive floats, read as integers, have the same order,
    and are larger than those of negative floats. Rows without a positive product are searched
    again.
    """
    if products.device.type != "cpu":
        return products.argmax(dim=1)
    if products.dtype == torch.float32:
        return torch.from_numpy(products.numpy().argmax(axis=1))
    here = torch.from_numpy(products.view(torch.int16).numpy().argmax(axis=1))
    negative = products.gather(1, here[:, None])[:, 0] <= 0
    if negative.any():
        here[negative] = products[negative].float().argmax(dim=1)
    return here


def _argmin(costs: torch.Tensor) -> torch.Tensor:
    """Return the place (n,) of each row's smallest cost.

    Costs are squares, so their bits, read as integers, have the same order. A cost that rounding
    has made negative is nearly zero, and rightly comes first.
    """
    if costs.device.type != "cpu":
        return costs.argmin(dim=1)
    bits = costs if costs.dtype == torch.float32 else costs.view(torch.int16)
    return torch.from_numpy(bits.numpy().argmin(axis=1))
