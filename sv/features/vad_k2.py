"""The smoother of VAD by k2: the same best path as ``vad_automaton.best_labels``.

This module imports torch and k2 only, so that it also runs in an environment of its own that has
nothing else: k2's wheels are for older versions of Python and torch than this toolkit needs. The
automaton comes as plain numbers.
"""

import k2
import torch

BEAM = 1e9
"""Beam of the search. So wide that nothing is pruned before the end."""
OUTPUT_BEAM = 16.0
"""Arcs stay if a path through them is so near to the best one. The best path needs only 0, and
float32 sums over hours are off by less than this."""


class K2Decoder:
    """Finds best paths through an automaton that is built once.

    Args:
        arcs: (source, target, label, score) of each arc, sorted by the source. State 0 begins, and
            arcs with the label -1 lead to the last state.
        device: where k2 works: "cpu", or "cuda" if k2 is built for it.
    """

    _made = {}

    def __init__(self, arcs, device="cpu"):
        if [arc[0] for arc in arcs] != sorted(arc[0] for arc in arcs):
            raise ValueError("the arcs of an FSA must be sorted by their source state")
        numbers = torch.tensor([arc[:3] for arc in arcs], dtype=torch.int32)
        weights = torch.tensor([arc[3] for arc in arcs], dtype=torch.float32)
        # k2 takes arcs as four columns of int32; the last one holds the bits of the score.
        table = torch.cat([numbers, weights.view(torch.int32)[:, None]], dim=1)
        self.states = int(numbers[:, :2].max()) + 1
        self.graph = k2.create_fsa_vec([k2.Fsa(table)]).to(device)
        self.device = torch.device(device)

    @classmethod
    def of(cls, arcs, device="cpu"):
        """Return the decoder of these arcs, which is built at the first call only."""
        key = (tuple(arcs), device)
        if key not in cls._made:
            cls._made[key] = cls(arcs, device)
        return cls._made[key]

    def __call__(self, scores, lengths):
        """Return the labels of the best path of each row: a list of int64 arrays (its length,).

        scores: (rows, frames, labels) float32, numpy or torch; lengths: (rows,) whole numbers.
        """
        scores = torch.as_tensor(scores, dtype=torch.float32, device=self.device)
        lengths = torch.as_tensor(lengths).to("cpu", torch.int64)
        # Rows must go from the longest to the shortest.
        order = torch.sort(lengths, descending=True, stable=True).indices
        segments = torch.stack([order, torch.zeros_like(order), lengths[order]], dim=1)
        dense = k2.DenseFsaVec(scores.contiguous(), segments.to(torch.int32))
        lattice = k2.intersect_dense_pruned(
            self.graph,
            dense,
            search_beam=BEAM,
            output_beam=OUTPUT_BEAM,
            min_active_states=self.states,
            max_active_states=10 * self.states,
        )
        best = k2.shortest_path(lattice, use_double_scores=True)
        found = [None] * len(order)
        for place, row in enumerate(order.tolist()):
            labels = best[place].labels
            found[row] = labels[labels >= 0].to("cpu", torch.int64).numpy()
        return found
