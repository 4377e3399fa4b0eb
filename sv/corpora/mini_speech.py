"""The mini corpus: synthetic speakers in sessions of their own, planned from one seed.

The plan states for each utterance the speaker, the sentence, the session and the channel. It is a
pure function of the settings. Each file is a pure function of them, too, so it does not matter
which job makes a file, or in which order.
"""

import wave
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from sv.audio.channels import SAMPLE_RATE, Channel, draw_channel, room_response, transmit
from sv.corpora.hard_sessions import (
    HardSession,
    Speaking,
    draw_session,
    draw_speaking,
    record,
)
from sv.corpora.mini_sentences import draw_sentence
from sv.corpora.mini_voices import Voice, draw_voices, require_espeak, speak
from sv.data.trial_design import Labelled, fresh_pairs, target_pairs
from sv.errors import InputError
from sv.files import atomic_write
from sv.machine.workers import in_child

VERSION = 1
"""Raise this number if the same settings give other files than before."""

# The seed of every generator is [seed, one of these, speaker, session, utterance]. It always has
# five numbers, because numpy treats a list padded with zeros as the same seed. The uses begin at
# 11, so the seeds of stage 2, [seed, 0 or 1, number], never give a channel of the corpus.
VOICES, MOOD, CHANNEL, RESPONSE, SENTENCE, UTTERANCE, TRIALS, HARD, PACKETS = range(11, 20)

Channels = Literal["easy", "hard"]


@dataclass(frozen=True)
class Settings:
    """The size of the corpus and the seed of its draws."""

    seed: int = 0
    train_speakers: int = 64
    test_speakers: int = 24
    sessions: int = 3
    utterances: int = 4  # in a session
    channels: Channels = "easy"  # hard: devices, lines and ways of speaking differ as well

    def __post_init__(self) -> None:
        """Raise for sizes that give no trials, or more speakers of one sex."""
        if self.train_speakers < 2 or self.train_speakers % 2 or self.test_speakers % 2:
            raise InputError(
                f"{self.train_speakers} training and {self.test_speakers} test speakers: "
                "both numbers must be even, because half of the speakers are women"
            )
        if self.test_speakers < 4 or self.sessions < 2 or self.utterances < 1 or self.seed < 0:
            raise InputError(
                "trials need at least 4 test speakers (2 of a sex), 2 sessions of 1 utterance, "
                f"and a seed of 0 or more; given {self}"
            )
        if self.channels not in get_args(Channels):
            raise InputError(f"channels '{self.channels}': give easy or hard")

    def noted(self) -> dict:
        """Return what ``settings.json`` holds; easy channels are not named, as before hard ones."""
        return {k: v for k, v in asdict(self).items() if (k, v) != ("channels", "easy")}


@dataclass(frozen=True)
class Session:
    """One session of one speaker: a channel, and the speaker's pitch and rate of that day."""

    speaker: str
    split: str  # "train" or "test"
    name: str
    voice: Voice
    channel: Channel
    pitch_factor: float
    rate_factor: float
    key: tuple[int, int]  # number of the speaker, number of the session
    hard: HardSession | None = None  # device and line behind the channel
    speaking: Speaking | None = None  # of hard sessions

    @property
    def id(self) -> str:
        """``<speaker>-<name>``, unique in the corpus."""
        return f"{self.speaker}-{self.name}"


@dataclass(frozen=True)
class Spoken:
    """One utterance of the plan."""

    session: Session
    name: str
    sentence: str
    index: int

    @property
    def id(self) -> str:
        """``<speaker>-<session>-<name>``."""
        return f"{self.session.id}-{self.name}"

    @property
    def path(self) -> Path:
        """The path of the file below the corpus folder."""
        session = self.session
        return Path(session.split) / session.speaker / session.name / f"{self.name}.wav"


def generator(seed: int, use: int, speaker: int = 0, session: int = 0, index: int = 0):
    """Return the random generator of one use (see ``VOICES``) for one utterance or session."""
    return np.random.default_rng([seed, use, speaker, session, index])


def plan(settings: Settings) -> list[Spoken]:
    """Return every utterance of the corpus, by speaker, session and index; all sentences differ."""
    count = settings.train_speakers + settings.test_speakers
    voices = draw_voices(count, generator(settings.seed, VOICES))
    said: set[str] = set()
    utterances = []
    for speaker, voice in enumerate(voices):
        for number in range(settings.sessions):
            session = _plan_session(settings, speaker, number, voice)
            for index in range(settings.utterances):
                rng = generator(settings.seed, SENTENCE, speaker, number, index)
                while (sentence := draw_sentence(rng)) in said:
                    pass
                said.add(sentence)
                utterances.append(Spoken(session, f"u{index + 1}", sentence, index))
    return utterances


def _plan_session(settings: Settings, speaker: int, number: int, voice: Voice) -> Session:
    mood = generator(settings.seed, MOOD, speaker, number)
    return Session(
        speaker=f"spk{speaker + 1:03d}",
        split="train" if speaker < settings.train_speakers else "test",
        name=f"s{number + 1}",
        voice=voice,
        channel=draw_channel(generator(settings.seed, CHANNEL, speaker, number)),
        pitch_factor=round(float(np.exp(0.04 * mood.standard_normal())), 4),
        rate_factor=round(float(np.exp(0.05 * mood.standard_normal())), 4),
        key=(speaker, number),
        **(_plan_hard(settings.seed, speaker, number) if settings.channels == "hard" else {}),
    )


def _plan_hard(seed: int, speaker: int, number: int) -> dict:
    rng = generator(seed, HARD, speaker, number)
    return {"hard": draw_session(rng), "speaking": draw_speaking(rng)}


def _spoken_voice(session: Session) -> tuple[Voice, float, float]:
    """Return the voice in a session, and its factors of pitch and rate."""
    voice, how = session.voice, session.speaking
    if how is None:
        return voice, session.pitch_factor, session.rate_factor
    spread, slope = voice.pitch_range * how.pitch_range, voice.slope + how.effort
    return replace(voice, pitch_range=spread, slope=slope), how.pitch, how.rate


def make_samples(utterance: Spoken, seed: int) -> np.ndarray:
    """Return the utterance as int16 (samples,) at 16 kHz. It must be the first call in a process.

    Raises:
        InputError: praat-parselmouth is not installed, or eSpeak returned silence.
    """
    session = utterance.session
    rng = generator(seed, UTTERANCE, *session.key, utterance.index)
    pitch, rate = np.exp(np.array([0.02, 0.03]) * rng.standard_normal(2))
    voice, pitch_factor, rate_factor = _spoken_voice(session)
    speech = speak(voice, utterance.sentence, pitch_factor * pitch, rate_factor * rate)
    if len(speech) < SAMPLE_RATE or np.sqrt(np.mean(speech**2)) < 1e-3:
        raise InputError(
            f"{utterance.id}: eSpeak gave no speech for the voice '{session.voice.variant}', "
            f"'{session.voice.accent}'; install another version of praat-parselmouth"
        )
    before, after = (rng.uniform(0.05, 0.25, 2) * SAMPLE_RATE).astype(int)
    speech = np.pad(speech, (before, after))
    # A talker does not move during a session, so all its utterances draw from the same seed.
    response = room_response(session.channel.room, generator(seed, RESPONSE, *session.key))
    received = transmit(speech, session.channel, response, rng)
    if session.hard is not None:
        lost = generator(seed, PACKETS, *session.key, utterance.index)
        received = record(received, session.hard, lost)
    return np.round(received * 32767).astype(np.int16)


def make_file(utterance: Spoken, corpus: Path, seed: int) -> None:
    """Write the utterance below ``corpus`` as a 16-bit mono wav file, atomically."""
    samples = make_samples(utterance, seed)
    with atomic_write(corpus / utterance.path, "wb") as handle, wave.open(handle, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(SAMPLE_RATE)
        out.writeframes(samples.tobytes())


def make_files(
    utterances: list[Spoken], corpus: Path, seed: int, again: bool = False
) -> Iterator[None]:
    """Make the files that do not exist yet (``again``: all); yield once per utterance, in order.

    Each file is made in a new child of this process, because eSpeak keeps state from one call to
    the next (the second sentence of a process depends on the first). A fork takes some 10 ms.
    """
    require_espeak()  # here, so that it fails early and children inherit the loaded library
    missing = [one for one in utterances if again or not (corpus / one.path).exists()]
    yield from (None for _ in range(len(utterances) - len(missing)))
    for one in missing:
        yield in_child(make_file, one, corpus, seed, what=f"the process that speaks {one.id}")


def draw_trials(utterances: list[Spoken], seed: int) -> list[tuple[int, str, str]]:
    """Return (1 or 0, enrolment id, test id) of the test speakers, equally many of both classes.

    Targets are all pairs of utterances of one speaker from two sessions. Each speaker has as many
    non-targets, with other speakers of the same sex, so recognising the sex does not help.
    """
    test = [one for one in utterances if one.session.split == "test"]
    by_speaker: dict[str, list[Spoken]] = {}
    for one in test:
        by_speaker.setdefault(one.session.speaker, []).append(one)
    trials: list[tuple[int, str, str]] = []
    seen: set[frozenset] = set()
    for own in by_speaker.values():
        targets = target_pairs([_labelled(one) for one in own])
        first = own[0].session
        others = [
            one
            for one in test
            if one.session.voice.sex == first.voice.sex and one.session.speaker != first.speaker
        ]
        rng = generator(seed, TRIALS, first.key[0])
        # An earlier speaker may have the same pair: draw from all pairs and skip known ones.
        order = rng.permutation(len(own) * len(others))
        nontargets = fresh_pairs(own, others, len(targets), order, seen)
        for label, pairs in ((1, targets), (0, nontargets)):
            trials += [(label, a.id, b.id) for a, b in pairs]
    return trials


def _labelled(one: Spoken) -> Labelled:
    return Labelled(one.id, one.session.speaker, one.session.name, one.session.voice.sex)
