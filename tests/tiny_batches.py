"""Batches of random crops for any method, without a training set."""

import torch

from sv.methods.base import Moment, Sources, Views


def views_of(groups, items: int, rows: slice) -> Views:
    """Return some rows of a batch; what is random in it does not depend on them."""
    generator = torch.Generator().manual_seed(1)
    place, crops, sources = torch.arange(items), {}, {}
    for group in groups:
        shape = (group.count, items)
        crops[group.name] = torch.randn(*shape, 3, 8, generator=generator)[:, rows]
        if group.sources:
            log_mel = torch.randn(*shape, 2, 3, 8, generator=generator)[:, rows]
            away = torch.randint(1, items, shape, generator=generator)
            alone = torch.rand(shape, generator=generator) < 0.3
            partner = torch.where(alone, -1, (place + away) % items)
            made_of = torch.stack([place.expand(shape), partner], dim=2)[:, rows]
            sources[group.name] = Sources(log_mel, made_of)
    speakers = torch.tensor([0, 1, 2, 3, 4, 0, 5, 6])[:items][rows]  # one is there twice
    return Views(crops, place[rows], speakers, Moment(5.0, 10), sources)
