"""Checks before training, for errors that would otherwise appear an hour later."""

import os
import resource

import numpy as np

from sv.crops.index import TrainingIndex
from sv.crops.views import ViewSource
from sv.crops.wave_index import WaveformIndex
from sv.errors import InputError
from sv.features.augment import RoomBank
from sv.features.augment_wave import WaveRooms
from sv.features.filterbank import mel_banks
from sv.kaldi.windows import MOST_OPEN
from sv.methods import METHODS
from sv.training.experiment import Experiment

SPARE_DESCRIPTORS = 16
"""File descriptors for checkpoints, logs and libraries."""


def _check_bands(name: str, bands: int | None, wanted: int) -> None:
    if bands not in (None, wanted):
        raise InputError(
            f"the {name} has {bands} mel bands, the features have {wanted}: make the bank again "
            f"with --num-mel-bins {wanted}"
        )


def _check_preset(name: str, preset: str | None, wanted: str) -> None:
    if preset not in (None, wanted):
        stage, of = (1, "are") if name == "features" else (2, "is")
        raise InputError(
            f"the {name} {of} of the preset {preset}, and data.preset is {wanted}: run stage "
            f"{stage} again with --preset {wanted}, or --set data.preset={preset}"
        )


def _check_features(
    settings: Experiment, index: TrainingIndex, source: ViewSource, rooms: RoomBank | None
) -> None:
    if settings.model.hears_waveforms:
        raise InputError(
            f"encoder {settings.model.name} takes waveforms, and data.domain is fbank: run stage 1 "
            "with --wave true, and --set data.domain=wave"
        )
    if settings.model.mel_bins != index.mel_bins:
        raise InputError(
            f"the features have {index.mel_bins} mel bands but model.mel_bins is "
            f"{settings.model.mel_bins}: change one (--set model.mel_bins={index.mel_bins})"
        )
    noises = source.noises.index if source.noises else None
    for name, made in (("features", index), ("noise bank", noises), ("room bank", rooms)):
        _check_preset(name, made.preset if made else None, settings.data.preset)
    _check_bands("noise bank", noises.mel_bins if noises else None, index.mel_bins)
    _check_bands("room bank", rooms.decays.shape[-1] if rooms else None, index.mel_bins)
    if settings.augment.speeds != [1.0]:
        raise InputError(
            "augment.speeds changes waveforms, and data.domain is fbank: --set data.domain=wave, "
            "or --set augment.speeds=[1.0]"
        )


def _check_waves(
    settings: Experiment, index: WaveformIndex, source: ViewSource, rooms: WaveRooms | None
) -> None:
    if settings.model.hears_waveforms:
        _check_heard(settings, index)
    else:
        mel_banks(settings.model.mel_bins, index.sample_rate)  # refuses more than there can be
    noises = source.noises.index if source.noises else None
    for name, bank in (("noise bank", noises), ("room bank", rooms)):
        if bank is not None and bank.sample_rate != index.sample_rate:
            raise InputError(
                f"the {name} is sampled at {bank.sample_rate} Hz, the waveforms at "
                f"{index.sample_rate} Hz: make stage 1 again at the rate of the bank"
            )
    if settings.ssps.enabled and settings.augment.speeds != [1.0]:
        raise InputError(
            "augment.speeds changes the voice of an utterance, and ssps takes positives of any "
            "speed from memory: --set augment.speeds=[1.0] or ssps.enabled=false"
        )


def _check_heard(settings: Experiment, index: WaveformIndex) -> None:
    """Refuse what an encoder of waveforms cannot hear: another rate, masks, mixtures."""
    rate = settings.model.description()["sample_rate"]
    if index.sample_rate != rate:
        raise InputError(
            f"the waveforms are sampled at {index.sample_rate} Hz, and the front end of "
            f"{settings.model.folder} was pretrained on {rate} Hz: resample the corpus to {rate} Hz"
        )
    if settings.augment.time_masks or settings.augment.band_masks:
        raise InputError(
            "masks hide parts of a filterbank, and the encoder takes waveforms: "
            "--set augment.time_masks=0 augment.band_masks=0"
        )
    if settings.mixing.probability > 0:
        raise InputError(
            "mixtures are mixtures of filterbanks, and the encoder takes waveforms: "
            "--set mixing.probability=0"
        )


def _check_mixtures(settings: Experiment, source: ViewSource) -> None:
    """Refuse mixtures of more speakers than the encoder separates."""
    if not any(group.sources for group in source.groups):
        return
    most, sources = 1 + settings.mixing.interferers[1], settings.model.sources
    if settings.mixing.probability > 0 and most > sources:
        raise InputError(
            f"mixtures have up to {most} speakers and model.sources is {sources}: set it to "
            f"{most}, or lower mixing.interferers"
        )
    if settings.mixing.probability == 0:
        raise InputError(
            f"{settings.method.name} learns from mixtures, and mixing.probability is 0: "
            "--set mixing.probability=0.8"
        )


def check_descriptors(workers: int, arks: list[int]) -> None:
    """Raise the limit of open files to the number that reading needs.

    workers: number of readers of batches. arks: number of files of each index.

    Raises:
        InputError: the limit may not be raised that far; the message says the numbers and a remedy.
    """
    opened = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 16
    files = sum(min(count, MOST_OPEN) for count in arks)
    need = opened + files + 2 * workers + SPARE_DESCRIPTORS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or need <= soft:
        return
    if hard != resource.RLIM_INFINITY and need > hard:
        raise InputError(
            f"training needs {need} open files ({files} arks, 2 for each of {workers} readers, "
            f"{opened + SPARE_DESCRIPTORS} others) and may have {hard}: raise the limit (ulimit -n "
            f"{max(1024, need)}), or lower train.workers"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (need, hard))


def _check_order(settings: Experiment, source: ViewSource) -> None:
    """Refuse noise before rooms if there are mixtures: each speaker has a room, noise is last."""
    if settings.augment.order == "noise_room" and (
        settings.mixing.probability > 0 or any(group.sources for group in source.groups)
    ):
        raise InputError(
            "augment.order noise_room does not work for mixtures, because each speaker has its own "
            "room: --set augment.order=room_noise or mixing.probability=0"
        )


def _check_crops(settings: Experiment, index: TrainingIndex, source: ViewSource) -> None:
    """Check that two crops that are apart fit: the method uses them, utterances are long enough."""
    if settings.data.crops != "apart":
        return
    name = settings.method.name
    groups = [group for group in source.groups if group.apart]
    if not groups or METHODS[name][0].needs_labels:
        raise InputError(
            f"data.crops is apart, and method {name} does not learn from two crops of one "
            "utterance: --set data.crops=independent"
        )
    rows = index.rows(max(group.frames for group in groups))
    (short,) = np.nonzero(index.lengths < rows)
    if len(short):
        raise InputError(
            f"data.crops is apart, and {len(short):,} of {len(index):,} utterances are shorter "
            f"than one crop of {settings.data.crop_seconds:g} s, the first is "
            f"{index.ids(short[0])!r}: take them out of the training set, lower "
            "data.crop_seconds, or --set data.crops=independent"
        )


def check(
    settings: Experiment,
    index: TrainingIndex,
    source: ViewSource,
    rooms: RoomBank | WaveRooms | None,
) -> None:
    """Check that settings fit the data and the banks of augmentation.

    Raises:
        InputError: a setting does not fit; the message names it and a remedy.
    """
    if isinstance(index, WaveformIndex):
        _check_waves(settings, index, source, rooms)
    else:
        _check_features(settings, index, source, rooms)
    _check_mixtures(settings, source)
    noises = [source.noises.index] if source.noises else []
    check_descriptors(
        settings.train.workers, [len(index.arks) for index in (source.index, *noises)]
    )
    _check_crops(settings, index, source)
    _check_order(settings, source)
    augmentation = settings.augment
    if augmentation.room_probability > 0 and not source.rooms:
        raise InputError(
            "augment.room_probability is above 0 but there is no room bank: give --banks (made by "
            "stage 2) or --set augment.room_probability=0"
        )
    if augmentation.noise_probability > 0 and not source.noise_kinds():
        raise InputError(
            "augment.noise_probability is above 0 but there is no noise bank, and no babble: give "
            "--banks (made by stage 2) or --set augment.noise_probability=0"
        )
