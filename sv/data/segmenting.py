"""From long recordings to utterances: listen in bounded memory, decide, cut.

A recording is decoded in blocks of some seconds. Only a few numbers for each frame are kept (4 MB
an hour and channel); no step needs the samples of the whole recording.
"""

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import NamedTuple

from sv.audio.channel_choice import check_channel, to_mono
from sv.audio.source import measure, open_audio
from sv.data.cutting import Cutting, cut_spans, stretches
from sv.data.manifests import span_of
from sv.data.rttm import Turn, alone
from sv.data.segments import Segment, channel_name
from sv.data.utterance import Utterance
from sv.errors import AudioError, InputError
from sv.features.framing import FRAMES_PER_SECOND
from sv.features.vad_automaton import best_labels
from sv.features.vad_smooth import Listener, Measures, frame_log_odds, smooth
from sv.files import shown

BLOCK_SECONDS = 30.0
SHOWN = 10


class Settings(NamedTuple):
    """How recordings become utterances.

    channel: "mean", "each", or the number of a channel from 0, as text.
    vad: "energy", or "none" to take everything.
    decoder: what ``sv.features.vad_automaton.choose_decoder`` returns.
    """

    channel: str = "mean"
    vad: str = "energy"
    cutting: Cutting = Cutting()
    decoder: Callable = best_labels


class Cut(NamedTuple):
    """The utterances of recordings, and the recordings in which there is no speech."""

    utterances: list[Utterance]
    silent: list[str]


def channels_of(recording: Utterance, choice: str) -> list[int | None]:
    """Return the channels to take; None is the mean of all.

    Raises:
        AudioError: the recording lacks the channel.
    """
    if choice == "mean" or (choice == "each" and recording.channels == 1):
        return [None]
    if choice == "each":
        return list(range(recording.channels))
    try:
        check_channel(recording.channels, int(choice))
    except AudioError as error:
        raise error.of(shown(recording.path)) from None
    return [int(choice)]


def listen(path: str | os.PathLike, channels: list[int | None], heard=None) -> list[Measures]:
    """Return the measures of each of the channels; decode the file once, block by block.

    ``heard``: function that is called with the seconds of each block.
    """
    listeners: list[Listener] = []
    with open_audio(path) as audio:
        for block, info in audio.stream(BLOCK_SECONDS):
            listeners = listeners or [Listener(info.rate) for _ in channels]
            for listener, channel in zip(listeners, channels, strict=True):
                listener.hear(to_mono(block, channel))
            if heard is not None:
                heard(len(block) / info.rate)
    if not listeners:
        raise AudioError("holds no samples: remove it from the list", shown(path))
    return [listener.measures() for listener in listeners]


def segment(
    recordings: Iterable[Utterance],
    settings: Settings | None = None,
    turns: Iterable[Turn] | None = None,
    heard=None,
) -> Cut:
    """Return the utterances of recordings.

    Args:
        recordings: whole files.
        settings: see there.
        turns: who speaks when, in place of a VAD; what several people share is dropped, and an
            utterance never joins two speakers. They become the labels of the utterances.
        heard: see ``listen``.

    Raises:
        InputError: turns are of recordings that are not there (how many, and the first ten), a
            file cannot be decoded or lacks the channel, or there is no speech in any recording.
    """
    settings, recordings = settings or Settings(), list(recordings)
    spoken = None if turns is None else _by_recording(turns, recordings)
    found, silent = [], []
    for recording in recordings:
        channels = channels_of(recording, settings.channel)
        measures = listen(recording.path, channels, heard)
        cut = []
        for channel, of_channel in zip(channels, measures, strict=True):
            here = None if spoken is None else spoken.get(recording.id, [])
            for first, stop, speaker in _spans(of_channel, recording, channel, settings, here):
                cut.append(_utterance(recording, channel, first, stop, speaker))
        found += cut
        silent += [] if cut else [recording.id]
    if not found:
        shortest = settings.cutting.shortest
        raise InputError(
            f"there is no speech of {shortest:g} s or longer in any of {len(silent):,} recordings "
            f"({_first_ten(silent)}): listen to one, give --vad none, or RTTM of another detector"
        )
    return Cut(found, silent)


def _spans(measures: Measures, recording: Utterance, channel, settings: Settings, turns):
    """Return (first frame, stop frame, speaker or None) of each utterance of a channel."""
    frames, rate = len(measures.log_energy), recording.sample_rate
    if turns is not None:
        here = [turn for turn in turns if channel is None or turn.channel == channel]
        if channel is None:  # what two people on two channels share cannot be taken apart
            here = alone(turn._replace(channel=0) for turn in here)
        return _spans_of_turns(here, measures, settings, recording)
    if settings.vad == "none":
        found = [(0, frames)]
    else:
        speech = smooth(frame_log_odds(measures, rate), decoder=settings.decoder)
        found = stretches(speech)
    spans = cut_spans(found, measures.log_energy, settings.cutting)
    return [(first, stop, recording.speaker) for first, stop in spans]


def _spans_of_turns(turns: list[Turn], measures: Measures, settings: Settings, recording):
    frames, spans = len(measures.log_energy), []
    runs: list[list[Turn]] = []
    for turn in sorted(turns, key=lambda turn: turn.start):
        if runs and runs[-1][-1].speaker == turn.speaker:
            runs[-1].append(turn)
        else:
            runs.append([turn])
    cutting = settings.cutting._replace(padding=0.0)
    for run in runs:
        times = [(turn.start, turn.stop) for turn in run]
        found = [tuple(round(t * FRAMES_PER_SECOND) for t in time) for time in times]
        found = [(first, min(stop, frames)) for first, stop in found if first < frames]
        for first, stop in cut_spans(found, measures.log_energy, cutting):
            spans.append((first, stop, run[0].speaker))
    return spans


def _utterance(recording: Utterance, channel: int | None, first: int, stop: int, speaker):
    """Return the utterance of some frames; a frame begins each hundredth of a second."""
    name = recording.id if channel is None else f"{recording.id}-{channel_name(channel)}"
    start, end = first / FRAMES_PER_SECOND, stop / FRAMES_PER_SECOND
    key = f"{name}-{round(start * 100):07d}-{round(end * 100):07d}"
    found = span_of(recording, key, Segment(name, start, end), channel)
    return replace(found, speaker=speaker)


def _by_recording(turns: Iterable[Turn], recordings: list[Utterance]) -> Mapping[str, list[Turn]]:
    known = {recording.id: recording.id for recording in recordings}
    found: dict[str, list[Turn]] = {}
    strangers: dict[str, None] = {}
    for turn in alone(turns):
        if turn.recording not in known:
            strangers[turn.recording] = None
            continue
        found.setdefault(turn.recording, []).append(turn)
    if strangers:
        raise InputError(
            f"the RTTM names {len(strangers):,} recordings that are not there "
            f"({_first_ten(list(strangers))}); the recordings here are {_first_ten(list(known))}: "
            "names are those of the files without their endings"
        )
    return found


def _first_ten(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def recording_of(path: str | os.PathLike, key: str) -> Utterance:
    """Return the whole file as a recording with the id ``key``.

    Raises:
        AudioError: the file is missing, empty or cannot be read.
    """
    info = measure(path)
    if info.samples == 0:
        raise AudioError("holds no samples: remove it from the list", shown(path))
    return Utterance(
        id=key,
        path=str(path),
        duration=info.samples / info.rate,
        sample_rate=info.rate,
        num_samples=info.samples,
        channels=info.channels,
    )


def turns_of(utterances: Iterable[Utterance]) -> list[Turn]:
    """Return utterances as turns, with unknown speakers called ``speech``."""
    found = []
    for one in utterances:
        name = one.recording_id
        channel = one.channel or 0
        if one.channel is not None:
            name = name.removesuffix(f"-{channel_name(channel)}")
        found.append(Turn(name, channel, one.start, one.end, one.speaker or "speech"))
    return found
