"""The networks of a training, with fresh weights: encoder, method, and SSPS if it is enabled."""

from dataclasses import replace

import torch
from torch import Tensor

from sv import distributed
from sv.crops.front_end import FrontEnd
from sv.crops.groups import CropGroup
from sv.crops.index import TrainingIndex
from sv.encoders import build_encoder
from sv.encoders.sync_norm import synchronise
from sv.features.augment import RoomBank
from sv.features.augment_wave import WaveRooms
from sv.methods import build_method
from sv.methods.base import Facts, Method
from sv.sampling.ssps import SSPS
from sv.training.experiment import Experiment
from sv.training.first_encoder import FirstEncoder
from sv.training.kernels import Kernels


def build_front_end(
    settings: Experiment,
    index: TrainingIndex,
    rooms: RoomBank | WaveRooms | None = None,
    device: torch.device | str = "cpu",
) -> FrontEnd:
    """Return the front end for crops out of ``index``; without ``rooms``, for crops as recorded.

    device: where the front end keeps its rooms.
    """
    rooms = None if rooms is None else rooms.to(device)
    data, bands, order = settings.data, settings.model.mel_bins, settings.augment.order
    return FrontEnd.of(data.normalise, bands, index, rooms, order, data.preset)


def build(
    settings: Experiment,
    facts: Facts,
    labels: Tensor | None,
    device: torch.device,
    kernels: Kernels | None = None,
    encoder: FirstEncoder | None = None,
) -> tuple[Method, list[CropGroup]]:
    """Return the method on its device, and the groups of crops that it needs.

    labels: (N,) speaker of each utterance, for an ablation of SSPS.
    kernels: how the networks compute; None: as they are written.
    encoder: of another training, whose weights the method starts from; None: fresh weights.
    """
    network = build_encoder(settings.model)
    network.begin()
    method = build_method(network, settings.method, facts)
    processes = distributed.world_size()
    if processes > 1 and settings.train.sync_batch_norm:
        equal = settings.train.batch_size % processes == 0
        synchronise(method, native=equal and device.type == "cuda")
    method.to(device)
    if encoder is not None:
        encoder.put_into(method, settings)
    if kernels is not None:
        kernels.prepare(method)
    groups = method.crop_groups(settings.data)
    if settings.ssps.enabled:
        dim, shape = method.encoder.embedding_dim, method.positive_shape
        seed = settings.train.seed
        positives = SSPS(settings.ssps, facts.utterances, dim, shape, seed, labels)
        method.positives = positives.to(device)
        groups = [*groups, positives.crop_group()]
    # The frames of a crop depend on the filterbank, which no method needs to know.
    return method, [replace(group, preset=settings.data.preset) for group in groups]
