"""Whether the device computes what the processor computes: losses, gradients, clusters."""

import copy

import torch

from benchmarks.gpu.bench import Bench
from benchmarks.gpu.systems import SYSTEMS, encoders_of, trainer_of
from sv.cluster import kmeans
from sv.training.trainer import Trainer

SMALL_BATCH = 16


def measure_equality(bench: Bench) -> None:
    """Do the same step on both, in float32 without TF32; then cluster the same points."""
    allowed = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    size = min(SMALL_BATCH, bench.scale.batch)
    how = ("train.precision=float32", "train.compile=false", "train.exact=true")
    how += (f"train.batch_size={size}",)
    try:
        for name in ("SimCLR", "CSC") if bench.scale.miniature else SYSTEMS:
            for encoder in encoders_of(bench, name):
                here = trainer_of(bench, name, encoder, *how, device="cpu")
                there = trainer_of(bench, name, encoder, *how)
                _compare(bench, name, encoder, here, there)
    finally:
        torch.backends.cudnn.allow_tf32 = allowed
    points = torch.randn(min(4000, bench.scale.points), bench.scale.dim)
    clusters = min(50, bench.scale.clusters)
    one = kmeans(points, clusters, precision="float32", init=points[:clusters].clone())
    start = points[:clusters].to(bench.device)
    two = kmeans(points.to(bench.device), clusters, precision="float32", init=start)
    same = (one.assignments == two.assignments.cpu()).float().mean()
    bench.add("equality of k-means", points=len(points), same_cluster=float(same))


def _compare(bench: Bench, name: str, encoder: str, here: Trainer, there: Trainer) -> None:
    there.method.load_state_dict(copy.deepcopy(here.method.state_dict()))
    batch, found = here.source[0, 1], []
    for trainer in (here, there):
        trainer.state.epoch, trainer.state.step = 1, 1
        trainer.method.train()
        loss, _ = trainer.method.training_step(trainer.views(batch, trainer.moment))
        loss.backward()
        gradient = [w.grad.double().flatten().cpu() for w in trainer.method.encoder.parameters()]
        found.append((loss.item(), torch.cat(gradient)))
    (loss, gradient), (other_loss, other) = found
    bench.add(
        "equality with the CPU",
        system=name,
        encoder=encoder,
        loss_difference=abs(loss - other_loss) / max(1e-9, abs(loss)),
        gradient_difference=float((gradient - other).norm() / gradient.norm().clamp_min(1e-30)),
    )
