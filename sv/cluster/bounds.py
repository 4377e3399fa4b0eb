"""Bounds on distances, kept from pass to pass: a point that cannot change needs no product.

After a pass of k-means each point knows its distance to its own centroid, and a lower bound on its
distance to every other centroid. If the centroids move, a bound falls by as much as they moved
(the triangle inequality). If the bound stays above the distance to the own centroid, that centroid
is still the nearest. This is the idea of Hamerly (SDM 2010). As in Ding et al. (ICML 2015), the
few centroids that moved far are compared separately, so they do not spoil the bounds of all
others.

The result is the same as without bounds. In ten passes a third to a half of the products are left
out, mostly in later passes; the last pass, in float32, costs almost nothing. A search only near the
old cluster was tried, too. It is even faster, but on points without clear clusters its objective is
0.4 to 2 % worse.
"""

import torch

from sv.cluster.assign import Nearest
from sv.cluster.points import Points

# Shares of the centroids that may be compared separately; each block takes the cheapest share.
SHARES = (0.0, 1 / 64, 1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2)

# Largest error of the product of vectors x and c, relative to |x| |c|. bfloat16: both factors and
# the result are rounded; float32: sums of up to some thousand terms.
ROUNDING = {torch.bfloat16: 1.5 * 2**-8, torch.float32: 2**-16}


class Dense:
    """Makes every product in every pass, which suits a GPU."""

    def __init__(self, points: Points) -> None:
        self.points = points

    def start(self, centroids: torch.Tensor, dtype: torch.dtype) -> None:
        """Begin a pass over all blocks with these centroids (K, D)."""
        self.nearest = Nearest(centroids, spherical=self.points.spherical, dtype=dtype)

    def __call__(self, where: slice, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return (index, cost) of the nearest centroids of the block ``rows`` at ``where``."""
        return self.nearest(rows)


class Bounded:
    """Finds the nearest centroids of all points again and again while the centroids move.

    Results are those of ``Nearest``, with one exception: if several centroids are equally near (up
    to the precision of the products), a point keeps its centroid.

    Attributes:
        index: (N,) int64, the nearest centroids of this process's points after a pass.
        searched: products computed in the last pass, as a share of points times centroids.
    """

    def __init__(self, points: Points) -> None:
        self.points = points
        self.index = torch.zeros(points.count, dtype=torch.int64)
        self.bound = torch.full((points.count,), -torch.inf)  # lower bound, distance to all others
        self.centroids: torch.Tensor | None = None
        self.searched = 0.0

    def start(self, centroids: torch.Tensor, dtype: torch.dtype) -> None:
        """Begin a pass over all blocks with these centroids (K, D)."""
        spherical, count = self.points.spherical, len(centroids)
        drift = torch.zeros(count)
        if self.centroids is not None:
            drift = torch.linalg.vector_norm(centroids - self.centroids, dim=1)
        self.centroids = centroids
        # Centroids in the order of their movement; those that moved farthest come first.
        drift, self.order = drift.sort(descending=True, stable=True)
        self.place = torch.empty_like(self.order)
        self.place[self.order] = torch.arange(count)
        self.nearest = Nearest(centroids[self.order], spherical=spherical, dtype=dtype)
        self.movers = torch.tensor(sorted({int(share * count) for share in SHARES}))
        self.quiet = drift[self.movers]  # largest movement of the other centroids
        self.rounding = ROUNDING[dtype]
        self.longest = float(torch.linalg.vector_norm(centroids, dim=1).max())
        self.searched = 0.0

    def __call__(self, where: slice, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return (index, cost) as ``Dense`` does, for the block ``rows`` at ``where``."""
        index, bound = self.index[where], self.bound[where]  # views, which are written in place
        cost = self._own_cost(rows, index)
        distance = _distance(cost)
        # For each number of movers, count the rows that must be searched completely.
        doubtful = distance[:, None] >= bound[:, None] - self.quiet
        work = doubtful.sum(dim=0) * len(self.centroids) + (~doubtful).sum(dim=0) * self.movers
        choice = int(work.argmin())
        self.searched += float(work[choice]) / (self.points.count * len(self.centroids))
        movers, doubtful = int(self.movers[choice]), doubtful[:, choice]
        bound -= self.quiet[choice]
        if movers:
            some = torch.nonzero(~doubtful)[:, 0]
            self._look_at_movers(movers, some, rows, index, bound, cost)
        some = torch.nonzero(doubtful)[:, 0]
        if len(some):
            place, cost[some], second = self.nearest.two(rows[some])
            index[some] = self.order[place]
            bound[some] = self._at_least(second, rows[some])
        return index, cost

    def _look_at_movers(
        self,
        movers: int,
        some: torch.Tensor,
        rows: torch.Tensor,
        index: torch.Tensor,
        bound: torch.Tensor,
        cost: torch.Tensor,
    ) -> None:
        """Compare the rows ``some`` with the first centroids, and write changes in place."""
        if not len(some):
            return
        rows, own = rows[some], cost[some]
        place, nearest, second = self.nearest.two(rows, movers, self.place[index[some]])
        better = nearest < own
        others = torch.where(better, torch.minimum(own, second), nearest)
        bound[some] = torch.minimum(bound[some], self._at_least(others, rows))
        cost[some] = torch.where(better, nearest, own)
        index[some] = torch.where(better, self.order[place], index[some])

    def _own_cost(self, rows: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
        """Return the cost of each row at its own centroid, in float32."""
        own = self.centroids[index]
        if self.points.spherical:
            return 1 - (rows * own).sum(dim=1)
        return (rows - own).square_().sum(dim=1) / 2

    def _at_least(self, cost: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        """Return a distance that is not above the true one, whatever the rounding of ``cost``."""
        lengths = torch.linalg.vector_norm(rows, dim=1)
        return _distance(cost - self.rounding * (lengths * self.longest + cost.abs()))


def _distance(cost: torch.Tensor) -> torch.Tensor:
    return (2 * cost).clamp(min=0).nan_to_num(nan=torch.inf, posinf=torch.inf).sqrt()
