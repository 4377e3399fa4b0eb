"""Tiny settings of every method: the one table for all tests of what every method must be able to.

These are training in several processes (tests/methods/test_processes.py), going on after a signal
(tests/methods/test_training.py) and after kills (tests/kill_test.py). A method that is in the
registry and not here fails tests/methods/test_processes.py.
"""

COMMON = [
    "model.name=fast_resnet34",
    "model.mel_bins=8",
    "model.channels=[16, 16, 16, 16]",
    "model.embedding_dim=8",
    "data.crop_seconds=0.2",
    "augment.room_probability=0",
    "augment.noise_probability=0.5",
    "train.batch_size=8",
    "train.workers=0",
    "train.precision=float32",
]
"""Settings of all of them, which those of a method may override."""

_SEPARATIVE = [
    *("model.name=separative", "model.mel_bins=8", "model.embedding_dim=8"),  # another network
    *("model.channels=8", "model.blocks=1", "model.pooled_channels=8"),
    *("mixing.probability=0.8", "data.crop_seconds=0.3", "optim.lr=0.005"),
]
TINY = {
    "simclr": ["method.projector=[6, 5]", "method.temperature=0.2"],
    "moco": [
        *("method.queue_size=12", "method.temperature=0.1", "method.momentum=0.9"),
        "method.symmetric=true",
    ],
    "dino": [
        *("method.hidden=[16]", "method.bottleneck=8", "method.outputs=16"),
        *("method.global_seconds=0.3", "method.local_crops=1", "method.momentum=0.9"),
    ],
    "rdino": [
        *("method.hidden=[16, 12]", "method.bottleneck=8", "method.outputs=16"),
        *("method.global_seconds=0.3", "method.local_crops=1", "method.momentum=0.9"),
    ],
    "sdpn": [
        *("method.hidden=[16]", "method.bottleneck=8", "method.prototypes=6"),
        *("method.global_seconds=0.3", "method.local_crops=2", "method.momentum=0.9"),
    ],
    "byol": ["method.projector=[16, 8]", "method.predictor=[16]", "method.momentum=0.9"],
    "simsiam": ["method.projector=[16, 8]", "method.predictor=[4]"],
    "barlow_twins": ["method.projector=[16, 16]"],
    "vicreg": ["method.projector=[16, 16]"],
    "vibcreg": ["method.projector=[16, 16]", "method.groups=8"],
    "w_mse": [
        *("method.projector=[16, 2]", "method.whitening_size=4", "method.whitening_draws=2"),
        "method.whitening_eps=0.1",
    ],
    "label_efficient": ["method.projector=[16, 16]"],
    "angular": ["method.projector=[16, 8]"],
    "lim": ["method.projector=[16, 8]"],
    "swav": [
        *("method.projector=[16, 8]", "method.prototypes=12"),
        *("method.queue_size=16", "method.queue_start=0.0"),
    ],
    "supcon": ["train.batch_size=6"],
    "h_scl": ["train.batch_size=6"],
    "aam": ["train.batch_size=6"],
    "aam_gated": [
        *("method.gate=fixed", "method.gate_loss=18", "method.gate_start=1"),
        *("method.correct_start=1", "method.confidence=0.99"),
    ],
    "csc": _SEPARATIVE,
    "csc_supervised": [*_SEPARATIVE, "train.batch_size=6"],
    "angular_supcon": ["train.batch_size=6"],
    "supcon_aam": ["train.batch_size=6", "method.attention=true"],
    "moco_proto": [
        *("method.queue_size=12", "method.temperature=0.1", "method.momentum=0.9"),
        *("method.symmetric=true", "method.clusters=[3, 5]", "method.cluster_start=1"),
    ],
    "moco_c3": [
        *("method.queue_size=12", "method.temperature=0.1", "method.momentum=0.9"),
        *("method.clusters=[3, 5]", "method.cluster_start=1", "method.collision_cosine=0.9"),
    ],
    "ca_dino": [
        *("method.hidden=[16]", "method.bottleneck=8", "method.outputs=16"),
        *("method.global_seconds=0.3", "method.local_crops=1", "method.momentum=0.9"),
        *("method.utterance_clusters=4", "method.recluster_every=1"),
    ],
    "acsg": ["method.projector=[6, 5]", "method.temperature=0.2"],
}
"""Name of a method → its settings, GROUP.KEY=VALUE."""


def settings_of(name: str, *more: str) -> list[str]:
    """Return all settings of a tiny training by a method."""
    return [*COMMON, f"method.name={name}", *TINY[name], *more]


def supervised(name: str) -> bool:
    """Return whether a method needs labels."""
    from sv.methods import METHODS  # not above: some set the number of threads first

    return METHODS[name][0].needs_labels
