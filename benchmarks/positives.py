"""SSPS: sampling of positives for a batch, against a loop that searches the queue for each."""

import torch

from benchmarks.harness import Table, compare
from sv.sampling.ssps import SSPS, SSPSConfig


def full_memories(clusters: int, utterances: int, dim: int, batch: int) -> SSPS:
    """SSPS as it is in the middle of an epoch: every utterance in a cluster, the queue full."""
    generator = torch.Generator().manual_seed(0)
    ssps = SSPS(SSPSConfig(clusters=clusters, nearest=1), utterances, dim, (dim,))
    ssps.cluster = torch.randint(clusters, (utterances,), generator=generator)
    ssps.near = torch.randint(clusters, (clusters, 1), generator=generator)
    ssps.filling = ssps.sampling = True
    for rows in torch.randperm(utterances, generator=generator)[: clusters + batch].split(batch):
        ssps.remember(rows, torch.zeros(len(rows), dim), torch.zeros(len(rows), dim))
    return ssps


def loop(ssps: SSPS, utterances: torch.Tensor) -> torch.Tensor:
    """The straightforward way: search the queue for members of each anchor's cluster."""
    found = torch.full_like(utterances, -1)
    for place, utterance in enumerate(utterances.tolist()):
        wanted = ssps.near[ssps.cluster[utterance], 0]
        members = (ssps.cluster[ssps.queued] == wanted) & (ssps.queued != utterance)
        members = members.nonzero().squeeze(1)
        if len(members):
            found[place] = members[torch.randint(len(members), (1,))]
    return found


def benchmark(quick: bool) -> list[Table]:
    """Positives of a batch at the size of VoxCeleb2, without and with a loop over the batch."""
    torch.set_num_threads(1)
    clusters, utterances, batch = (2500, 110_000, 64) if quick else (25_000, 1_092_009, 256)
    ssps = full_memories(clusters, utterances, 16, batch)
    anchors = torch.randperm(utterances)[:batch]
    references = torch.zeros(batch, 16)
    return [
        compare(
            f"positives of {batch} anchors, {clusters:,} clusters, a queue of as many",
            {
                "loop that searches the queue": lambda: loop(ssps, anchors),
                "sv.sampling.ssps": lambda: ssps.sample(anchors, references),
            },
            base="loop that searches the queue",
            items=batch,
            unit="anchors",
            rounds=5 if quick else 15,
        )
    ]
