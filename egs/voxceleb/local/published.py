"""What the authors of the rows of this corpus ran, and the figures that they printed.

Settings are named as ours are, so that ``differences.py`` can compare the two; options are those of
a recipe's run.sh. Read off the papers and the code that their authors released.
"""

from typing import Any, NamedTuple

SOURCES = {
    1: "Lepage & Dehak, Odyssey 2024, arXiv 2404.14913.",
    2: "Lepage & Dehak, Interspeech 2023, arXiv 2306.03664.",
    3: "Lepage & Dehak, Interspeech 2025, arXiv 2505.14561; there 6.30 is SimCLR after 120 epochs.",
    4: "The authors' own table of bases, in the repository of their toolkit. minDCF at p = 0.01: "
    "SimCLR .516, MoCo .537, SwAV .615, VICReg .566, DINO .346; with Fast ResNet-34 Barlow Twins "
    ".766, BYOL .751, SimSiam .998, W-MSE .851, LIM .902.",
    5: "Masztalski et al., Interspeech 2025, arXiv 2507.17540; on VoxCeleb1-H.",
    6: "Wang, Lam, Su & Yu, ICASSP 2021, arXiv 2103.00816.",
    7: "Lepage & Dehak, Interspeech 2022, arXiv 2207.05506; minDCF at p = 0.01: .640.",
    8: "Chen et al., ICASSP 2023, arXiv 2211.04168, and their code (3D-Speaker); minDCF at p = "
    "0.05: .223.",
    9: "Chen et al., arXiv 2308.02774, and their code (3D-Speaker); minDCF at p = 0.05: .139.",
    21: "Gan, Mak, Lin & Chien, 2023, arXiv 2309.04265: fewer errors than without it, relative.",
    22: "Li, Mak & Meng, ICASSP 2023, arXiv 2210.16622; its figures are not of this training set.",
    23: "Xia et al., ICASSP 2021, arXiv 2012.07178; minDCF .59.",
    24: "Han, Chen & Qian, 2023, arXiv 2304.05754; minDCF .353.",
    25: "Zhang & Yu, 2022, arXiv 2208.07446; 2.5 after DINO, which starts from these weights.",
}


class Either(NamedTuple):
    """A value that differs between the authors' sources: the one we follow, and the other."""

    value: Any
    other: Any
    where: str


class Row(NamedTuple):
    """A row of the table: ``config`` is a file of settings below this corpus.

    figures: EER in % and the number of its source, as printed. settings, options: of the authors.
    more: our options besides the defaults of the recipe, for a row as published.
    """

    config: str
    method: str
    encoder: str
    figures: str
    settings: dict[str, Any]
    options: dict[str, str]
    more: str = ""


def group(part: str, /, **values: Any) -> dict[str, Any]:
    """Return {``part.key``: value}."""
    return {f"{part}.{key}": value for key, value in values.items()}


STEPS = group("optim", lr=0.001, name="adam", schedule="step", step_factor=0.95, clip_norm=0.0)
STEPS |= group("optim", warmup_epochs=0.0, weight_decay=0.0)
LOUD = group("augment", noise_snr=[0.0, 15.0], music_snr=[5.0, 15.0], babble_snr=[13.0, 20.0])
LOUD |= group("augment", babble_speakers=[1, 1], speeds=[1.0], time_masks=0, band_masks=0)
ALWAYS = LOUD | group("augment", noise_probability=1.0, room_probability=1.0)
CROPS = group("data", crop_seconds=2.0, normalise="mean_var", domain="wave")
SIMCLR = group("method", name="simclr", symmetric=True, margin=0.0)

# ---------------------------------------------------------------- 2024 and 2023
SETUP_2024 = {
    **CROPS,
    **ALWAYS,
    **STEPS,
    **group("data", crops="apart", preset="sslsv_hann"),
    **group("augment", order="noise_room"),
    **group("model", name="fast_resnet34", mel_bins=40, channels=[16, 32, 64, 128]),
    **group("model", embedding_dim=512, pooling="sap"),
    **group("optim", step_epochs=5.0),
    **group("train", epochs=150, batch_size=200, precision="float32"),
    **group("method", temperature=0.0333333, projector=[]),
}
SETUP_2023 = {
    **SETUP_2024,
    **SIMCLR,
    **group("model", name="resnet34_2023", pooling="channel_sap"),
    **group("method", temperature=0.2, projector=[2048, 256], projector_norm=False),
    **group("optim", step_epochs=10.0),
    **group("train", epochs=200, batch_size=256),
}
LABEL_EFFICIENT = {
    **{key: value for key, value in SETUP_2023.items() if not key.startswith("method.")},
    **group("model", channels=[32, 64, 128, 256], embedding_dim=1024),
    **group("train", epochs=500),
    **group("method", name="label_efficient", composition=2, temperature=0.07),
    **group("method", projector=[2048, 2048, 2048], covariance=0.04),
}
QUEUES = Either(32768, "65,536", "in another configuration of the authors")
MOCO = group("method", name="moco", symmetric=True, momentum=0.999, margin=0.0)
EVALUATION = {"max_rooms": "0", "room_seconds": "0", "crops": "10"}
AS_V1 = "--preset sslsv_hann --wave true --max-rooms 0 --room-seconds 0 --crops 10"
AS_V2 = "--preset sslsv --wave true --max-rooms 0 --room-seconds 0 --crops 10"


def of_2024(name: str, method: str, figure: str, more: str = "", **values: Any) -> Row:
    """Return a row of the paper of 2024."""
    kind = {**MOCO, "method.queue_size": QUEUES} if name.startswith("moco") else SIMCLR
    settings = {**SETUP_2024, **kind, **group("method", **values)}
    config = f"v1/conf/{name}.yaml"
    return Row(config, method, "Fast ResNet-34", f"{figure} [1]", settings, EVALUATION, more)


def of_2023(name: str, method: str, figure: str, **values: Any) -> Row:
    """Return a row of the paper of 2023, trained on VoxCeleb1 dev."""
    settings = {**SETUP_2023, **group("method", **values)}
    config = f"v1/conf/simclr_2023_{name}.yaml"
    return Row(config, method, "ResNet-34 of 2023", f"{figure} [2] †", settings, EVALUATION)


# ---------------------------------------------------------------- 2025
ECAPA = group("model", name="ecapa", variant="speechbrain", mel_bins=40, channels=1024)
ECAPA |= group("model", pooled_channels=3072, embedding_dim=512)
SSPS = group("ssps", clusters=25000, nearest=1, reference_seconds=4.0, fill="pass")
SETUP_2025 = {
    **CROPS,
    **ALWAYS,
    **STEPS,
    **ECAPA,
    **group("data", crops="independent", preset="sslsv"),
    **group("augment", order="room_noise"),
    **group("optim", step_epochs=5.0),
    **group("train", epochs=120, stop=100, batch_size=256, precision="float32"),
}
PHASES = {**SETUP_2025, **SSPS}
BASES = {**SETUP_2025, **group("train", epochs=100, stop=0)}
DINO = {
    **PHASES,
    **group("augment", noise_probability=0.5, room_probability=0.5),
    **group("model", mel_bins=80),
    **group("method", name="dino", global_crops=2, global_seconds=4.0, local_crops=4),
    **group("method", hidden=[2048, 2048], bottleneck=256, outputs=65536, momentum=0.996),
    **group("method", student_temp=0.1, teacher_temp=0.04, center_momentum=0.9),
    **group("method", frozen_epochs=1.0),
    **group("optim", name="sgd", lr=0.2, momentum=0.9, weight_decay=5e-5, clip_norm=3.0),
    **group("optim", clip_by="parameter"),
    **group("train", epochs=100, stop=80, batch_size=128),
}
SIMCLR_2025 = {**PHASES, **SIMCLR, **group("method", temperature=0.03, projector=[])}
MOCO_2025 = {**MOCO, **group("method", temperature=0.03, projector=[], queue_size=32768)}
PROTOTYPES = Either(3000, "6,000", "in the README of the authors' toolkit")
COVARIANCE = Either(0.04, "0.1", "in the README of the authors' toolkit")
SWAV = group("method", name="swav", temperature=0.1, prototypes=PROTOTYPES, epsilon=0.05)
SWAV |= group("method", iterations=3, queue_size=3840, queue_start=0.125)
VICREG = group("method", name="vicreg", invariance=1.0, variance=1.0, covariance=COVARIANCE)
VICREG |= group("method", projector=[2048, 2048, 512])
WHOLE = {"max_rooms": "0", "room_seconds": "0", "last": "10"}
"""The bases of the authors' table are scored by whole utterances."""


def of_2025(
    name: str, method: str, figures: str, settings: dict[str, Any], more: str = "", **options: str
) -> Row:
    """Return a row of the paper of 2025."""
    config = f"v2/conf/{name}.yaml"
    return Row(config, method, "ECAPA-TDNN, C = 1024", figures, settings, WHOLE | options, more)


FAST = group("model", name="fast_resnet34", mel_bins=40, channels=[16, 32, 64, 128])
FAST |= group("model", embedding_dim=512, pooling="sap")


def of_table(name: str, method: str, figure: str, **values: Any) -> Row:
    """Return a row of the authors' table of frameworks with Fast ResNet-34."""
    ecapa = ECAPA.keys() - FAST.keys()
    setup = {key: value for key, value in BASES.items() if key not in ecapa} | FAST
    settings = {**setup, **group("method", name=name, **values)}
    return Row(f"v1/conf/{name}.yaml", method, "Fast ResNet-34", figure, settings, WHOLE)


# ---------------------------------------------------------------- 3D-Speaker
OF_3D = {
    **group("data", crop_seconds=2.0, domain="wave"),
    **group("model", name="ecapa", mel_bins=80, channels=1024, pooled_channels=3072),
    **group("model", embedding_dim=512),
    **group("method", global_seconds=4.0, local_crops=4, bottleneck=256, momentum=0.996),
    **group("optim", name="sgd", momentum=0.9, weight_decay=5e-5, clip_norm=3.0),
    **group("optim", clip_by="parameter", schedule="cosine", warmup_epochs=10.0),
}
RDINO = {
    **OF_3D,
    **group("method", name="rdino", global_crops=2, outputs=65536, std_weight=10.0),
    **group("method", cov_weight=1.0, weight_start=0.05, weight=0.2, weight_epochs=10),
    **group("optim", lr=0.325),
    **group("train", epochs=70, batch_size=208),
}
SDPN = {
    **OF_3D,
    **group("method", name="sdpn", hidden=[2048, 2048], prototypes=1024, temperature=0.1),
    **group("method", sharpening=0.25, iterations=3, entropy_weight=1.0, koleo_weight=0.1),
    **group("optim", lr=0.6),
    **group("train", epochs=150, batch_size=384),
}

# ---------------------------------------------------------------- CHNS
CHNS = {
    **group("data", crop_seconds=3.0, normalise="mean"),
    **group("augment", noise_probability=0.0, room_probability=0.0),
    **group("model", mel_bins=80),
    **group("batches", samples_per_epoch=1001000),
    **group("optim", name="adam", lr=0.01, weight_decay=2e-6, schedule="cosine"),
    **group("optim", warmup_epochs=20.0),
    **group("train", epochs=200, batch_size=650),
}
SMALL_ECAPA = group("model", name="ecapa", variant="speechbrain", channels=256)
SMALL_ECAPA |= group("model", pooled_channels=768, embedding_dim=192)
THIN = group("model", name="thin_resnet34", channels=[16, 32, 64, 128], embedding_dim=256)
LEARNED = group("method", temperature=0.1, learn_temperature=True)


def of_chns(loss: str, method: str, figures: str) -> list[Row]:
    """Return the rows of a loss of the paper on hard negatives, one for each encoder."""
    how = group("method", scale=30.0, margin=0.2) if loss == "aam" else {}
    how |= LEARNED if loss == "supcon" else {}
    settings = {**CHNS, **group("method", name=loss), **how}
    config = f"v3/conf/{loss}_%s.yaml"
    return [
        Row(config % "ecapa", method, "ECAPA-TDNN, C = 256", figures, settings | SMALL_ECAPA, {}),
        Row(config % "thin_resnet34", method, "Thin ResNet-34", "", settings | THIN, {}),
    ]


# ---------------------------------------------------------------- reconstructions
RECONSTRUCTED = {
    "acsg": "Of ACSG the idea is published: one clean crop, more positives, heavier negatives. The "
    "sum, its weights, encoder and schedule are ours.",
    "angular_supcon": "The loss of angular SupCon, τ and m are of its authors' code; encoder and "
    "schedule are ours.",
    "supcon_aam": "That the sum with AAM-Softmax has weights by MGDA, and an attention for hard "
    "negatives, is published; the form of both, s and m of AAM are ours.",
    "moco_proto": "ProtoNCE is that of PCL's paper (arXiv 2005.04966). That the speaker paper has "
    "exactly this, and from which epoch, is not known to us; prototypes are of the keys of the "
    "epoch before, not of a pass over the training set.",
    "deepcluster": "The first epoch of DeepCluster learns nothing, it fills the memory.",
    "cpc": "In CPC the encoder embeds windows of a quarter of a second, with pooling; theirs has a "
    "vector for each frame, and the state of the recurrent network is the embedding.",
    "ca_dino": "That crops of CA-DINO come from several utterances of a cluster is published; when "
    "clusters are made, how many, and how crops are dealt are ours, and so is the DINO under it.",
    "moco_c3": "That C3 filters false negatives, re-weights InfoNCE and adds ProtoNCE is "
    "published; the form of filter and weights is ours. This is its first stage alone.",
    "c3_dino": "That DINO starts from the encoder of C3 (`--encoder exp/moco_c3/final.pt`) is "
    "published; this DINO, its encoder and its schedule are ours.",
}
"""Name of a method or of a configuration → what of it is published, and what is ours."""


def of_relative(config: str, method: str, encoder: str, figures: str, **values: Any) -> Row:
    """Return a row of a method of which `RECONSTRUCTED` tells what is published."""
    return Row(config, method, encoder, figures, group("method", **values), {})


ROWS = [
    of_2024("simclr_ntxent", "SimCLR, NT-Xent", "8.98", symmetric=False),
    of_2024("simclr_symmetric", "SimCLR, symmetric NT-Xent", "8.41"),
    *(
        of_2024(f"simclr_am_{m}", f"the same, AM, m = {m}", eer, margin=m, margin_type="am")
        for m, eer in ((0.05, "8.35"), (0.1, "7.85"), (0.2, "8.13"))
    ),
    of_2024(
        "simclr_am_0.1_as_published",
        "**as published**: the same, m = 0.1",
        "7.85",
        AS_V1,
        margin=0.1,
        margin_type="am",
    ),
    of_2024("moco", "MoCo", "9.59"),
    of_2024("moco_am_0.1", "MoCo, AM, m = 0.1", "9.36", margin=0.1, margin_type="am"),
    of_2023("symmetric", "SimCLR, symmetric NT-Xent, τ = 0.2, projector", "9.35"),
    of_2023("am_0.4", "the same, AM, m = 0.4", "8.70", margin=0.4, margin_type="am"),
    of_2023("aam_0.05", "the same, AAM, m = 0.05", "8.92", margin=0.05, margin_type="aam"),
    Row(
        "v1/conf/simclr_ecapa.yaml",
        "SimCLR, symmetric NT-Xent, 100 epochs",
        "ECAPA-TDNN, C = 1024",
        "6.41 [4]",
        {**BASES, **SIMCLR, **group("method", temperature=0.03, projector=[])},
        WHOLE,
    ),
    Row(
        "v1/conf/moco_ecapa.yaml",
        "MoCo, 100 epochs",
        "ECAPA-TDNN, C = 1024",
        "6.48 [4]",
        {**BASES, **MOCO_2025},
        WHOLE,
    ),
    of_table(
        "barlow_twins",
        "Barlow Twins",
        "13.22 [4]",
        projector=[2048, 2048, 512],
        redundancy=0.005,
        scale=0.025,
    ),
    of_table(
        "byol",
        "BYOL",
        "13.99 [4]",
        projector=[2048, 2048, 512],
        predictor=[4096],
        momentum=0.996,
    ),
    of_table("simsiam", "SimSiam", "28.94 [4]", projector=[2048, 2048, 512], predictor=[512]),
    of_table(
        "w_mse",
        "W-MSE",
        "14.62 [4]",
        projector=[1024, 64],
        whitening_size=128,
        whitening_draws=1,
        whitening_eps=0.0,
    ),
    of_table("lim", "LIM", "16.13 [4]", projector=[2048, 2048, 512], bound="nce"),
    Row(
        "v1/conf/label_efficient.yaml",
        "VICReg and InfoNCE",
        "ResNet-34 of 2022",
        "8.47 [7] †",
        LABEL_EFFICIENT,
        EVALUATION,
    ),
    Row(
        "v1/conf/angular.yaml", "angular contrastive loss: ours alone", "Fast ResNet-34", "", {}, {}
    ),
    Row("v1/conf/rdino.yaml", "RDINO", "ECAPA-TDNN, C = 1024", "3.16 [8]", RDINO, {}),
    Row("v1/conf/sdpn.yaml", "SDPN", "ECAPA-TDNN, C = 1024", "1.80 [9]", SDPN, {}),
    of_table(
        "vibcreg",
        "VIbCReg",
        "",
        projector=[2048, 2048, 2048],
        **{"invariance": 1.0, "variance": 1.0, "covariance": 8.0, "groups": 64},
    ),
    Row(
        "v1/conf/simclr_small_gpu.yaml",
        "SimCLR, AM, m = 0.1, 50 epochs: ours alone",
        "Fast ResNet-34",
        "",
        {},
        {},
    ),
    of_2025(
        "simclr",
        "SimCLR + SSPS",
        "after stage 3 6.41 [4]; "
        "`--baseline true` 6.30, **SSPS 2.57**, `--upper-bound true` 1.72 [3]",
        SIMCLR_2025,
    ),
    of_2025(
        "simclr_as_published", "**as published**: the same", "as above", SIMCLR_2025, more=AS_V2
    ),
    of_2025(
        "dino",
        "DINO + SSPS",
        "after stage 3 2.82 [4]; "
        "`--baseline true` 3.07, **SSPS 2.53**, `--upper-bound true` 2.36 [3]",
        DINO,
    ),
    of_2025("dino_as_published", "**as published**: the same", "as above", DINO, more=AS_V2),
    of_2025(
        "moco",
        "MoCo + SSPS",
        "after stage 3 6.48 [4]; SSPS not known to us",
        {**PHASES, **MOCO_2025},
    ),
    of_2025(
        "swav", "SwAV + SSPS", "after stage 3 8.12 [4]; SSPS not known to us", {**PHASES, **SWAV}
    ),
    of_2025(
        "vicreg",
        "VICReg + SSPS",
        "after stage 3 7.42 [4]; SSPS not known to us",
        {**PHASES, **VICREG},
    ),
    *(
        Row(
            f"v2/conf/{name}.yaml",
            f"{name.upper()} + SSPS: ours alone",
            "ECAPA-TDNN, C = 1024",
            "",
            {},
            {},
        )
        for name in ("rdino", "sdpn")
    ),
    *of_chns("aam", "AAM-Softmax", "3.19 [5]"),
    *of_chns("supcon", "SupCon, + CHNS", "3.17, 2.70 [5]"),
    *of_chns("h_scl", "H-SCL, + CHNS", "3.02, 2.60 [5]"),
    of_relative("v1/conf/acsg.yaml", "ACSG", "Fast ResNet-34", "19 % fewer [21]", name="acsg"),
    *(
        of_relative(f"v3/conf/{name}_ecapa.yaml", title, "ECAPA-TDNN, C = 256", "[22]", **values)
        for name, title, values in (
            (
                "angular_supcon",
                "angular SupCon, + CHNS",
                {"name": "angular_supcon", "temperature": 0.07, "margin": 0.1},
            ),
            (
                "supcon_aam",
                "the same and AAM-Softmax, + CHNS",
                {"name": "supcon_aam", "temperature": 0.07, "margin": 0.1, "attention": False},
            ),
            (
                "supcon_aam_attention",
                "the same with class-aware attention, + CHNS",
                {"name": "supcon_aam", "temperature": 0.07, "margin": 0.1, "attention": True},
            ),
        )
    ),
    of_relative(
        "v1/conf/moco_proto.yaml",
        "MoCo + ProtoNCE",
        "Fast ResNet-34",
        "8.23 [23]",
        name="moco_proto",
    ),
    of_relative(
        "v1/conf/ca_dino.yaml", "CA-DINO", "ECAPA-TDNN, C = 1024", "3.59 [24]", name="ca_dino"
    ),
    of_relative(
        "v1/conf/moco_c3.yaml", "C3, the first stage", "Fast ResNet-34", "[25]", name="moco_c3"
    ),
    of_relative(
        "v1/conf/c3_dino.yaml",
        "C3-DINO, the second stage",
        "Fast ResNet-34",
        "2.5 [25]",
        name="dino",
    ),
    of_table(
        "deepcluster",
        "DeepCluster-v2",
        "above SimCLR's 9.05 [4]",
        projector=[2048, 2048, 512],
        clusters=[3000, 3000, 3000],
        temperature=0.1,
    ),
    of_table("cpc", "CPC", "above SimCLR's 9.05 [4]", steps=4, context=256),
]
