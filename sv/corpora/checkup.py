"""A check of a corpus before hours of work: every file is decoded once, in parallel.

``KINDS`` lists the kinds of findings. One file may have several findings. The caller chooses which
kinds exclude an utterance.
"""

import hashlib
import os
import random
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sv.audio.channel_choice import to_mono, unlike
from sv.audio.files import decode
from sv.audio.problems import CLIPPED, Bad, clipped_share, find_problem
from sv.audio.source import measure
from sv.corpora.folder_layout import foreign_reason
from sv.data.utterance import name_problem
from sv.errors import AudioError, Cancelling, Missing, Truncated, WrongHeader
from sv.files import shown
from sv.machine.workers import in_processes
from sv.progress import progress

KINDS = {
    "missing": "there is no such file",
    "unreadable": "no audio, or damaged",
    "truncated": "cut off before its end",
    "foreign": "audio in a format that is not read",
    "name": "a name that cannot stand in a list",
    "header": "the header, the name or utt2dur contradicts the contents",
    "short": "shorter than --min-seconds",
    "long": "longer than --max-seconds; not decoded",
    "silent": "all samples are below -80 dB of full scale",
    "cancel": "channels that cancel each other, or no such --channel",
    "duplicate": "the same samples as an earlier file",
    "clipped": "more than a thousandth of the samples at full scale",
    "rate": "another rate than --sample-rate; it would be resampled",
    "channels": "channels that differ: two people, perhaps; --channel takes one",
}
HARMLESS = ("clipped", "rate", "channels")
"""Kinds that stage 1 can handle; by default they exclude no utterance."""

PROBE = 32
CHUNK = 32
_FORMATS = {"WAV": ("wav",), "WAVEX": ("wav",), "RF64": ("wav",), "W64": ("w64", "wav")} | {
    "FLAC": ("flac",),
    "OGG": ("ogg", "opus", "oga"),
    "MP3": ("mp3",),
}


class Limits(NamedTuple):
    """What is expected of a file: its length in seconds, its rate in Hz, its channels.

    ``channel``: the channel that later stages take, see ``sv.audio.channel_choice``.
    """

    sample_rate: int = 16000
    min_seconds: float = 0.5
    max_seconds: float = 3600.0
    channel: int | None = None


class Case(NamedTuple):
    """A file to examine. ``seconds``: its length in the data directory; 0 if that has none.

    ``foreign``: its ending is that of a format that must be converted. ``span``: start and end in
    seconds if the utterance is a span of the file, ``channel``: the only channel it has.
    """

    id: str
    path: str
    seconds: float = 0.0
    foreign: bool = False
    span: tuple[float, float] | None = None
    channel: int | None = None


class Result(NamedTuple):
    """The findings about a file, (kind, sentence), and the figures that the report sums up."""

    case: Case
    findings: list[tuple[str, str]]
    seconds: float = 0.0
    rate: int = 0
    digest: bytes = b""


def look_at(case: Case, limits: Limits) -> Result:
    """Examine one file; whatever its contents are, no exception is raised."""
    name, found = shown(case.path), []
    problem = name_problem(case.path)
    if problem:
        found.append(("name", f"{name} {problem}"))
    if case.foreign:
        return Result(case, [*found, ("foreign", f"{name} {foreign_reason(case.path)}")])
    try:
        result = _look_at(case, limits)
        return result._replace(findings=found + result.findings)
    except AudioError as error:
        kinds = {Missing: "missing", Truncated: "truncated", WrongHeader: "header"}
        kinds[Cancelling] = "cancel"
        return Result(case, [*found, (kinds.get(type(error), "unreadable"), str(error))])
    except (OSError, MemoryError) as error:
        return Result(case, [*found, ("unreadable", f"{name} cannot be read ({error})")])


def _look_at(case: Case, limits: Limits) -> Result:
    info, name = measure(case.path), shown(case.path)
    lasts, channel = info.samples / info.rate, limits.channel
    if case.channel is not None:
        channel = case.channel
    if case.span:
        lasts = min(case.span[1], lasts) - case.span[0]
        name += f" from {case.span[0]:.2f} to {case.span[1]:.2f} s"
    if lasts > limits.max_seconds:  # before it fills the memory
        text = f"{name} is {lasts:,.0f} s long (at most {limits.max_seconds:g})"
        return Result(case, [("long", text)], lasts, info.rate)
    samples, rate, _, form = decode(case.path, case.span)
    seconds, found = len(samples) / rate, []
    try:
        mono = to_mono(samples, channel)
    except AudioError as error:
        return Result(case, [("cancel", f"{name} {error}")], seconds, rate)
    # Identical samples are a duplicate in whatever file format they are stored.
    digest = hashlib.blake2b(f"{rate} {samples.shape[1:]}".encode(), digest_size=16)
    digest.update(mono.tobytes())
    problem = find_problem(mono, rate)
    if seconds < limits.min_seconds:
        text = f"{name} is {seconds:.2f} s long (at least {limits.min_seconds:g} s)"
        found.append(("short", text))
    elif problem:
        found.append(("silent", f"{name} {problem}"))
    found += [("header", f"{name} {text}") for text in _lies(case, seconds, form)]
    if channel is None and unlike(samples):
        found.append(("channels", f"{name} {unlike(samples)}"))
    share = max(clipped_share(mono), _clipped(samples))
    if share > CLIPPED:
        found.append(("clipped", f"{name} is clipped ({share:.1%} of it at full scale)"))
    if rate != limits.sample_rate:
        found.append(("rate", f"{name} is sampled at {rate} Hz, not {limits.sample_rate}"))
    return Result(case, found, seconds, rate, digest.digest())


def _clipped(samples: np.ndarray) -> float:
    """Return the share of the samples of all channels at full scale."""
    return clipped_share(to_mono(samples.reshape(-1)))


def _lies(case: Case, seconds: float, form: str) -> Iterator[str]:
    """Yield sentences on what the name or the data directory states wrongly."""
    ending = Path(case.path).suffix.lower().removeprefix(".")
    known = {name for names in _FORMATS.values() for name in names}
    if ending in known and ending not in _FORMATS.get(form, (ending,)):
        yield f"is called .{ending} but holds {form}"
    if case.seconds and abs(seconds - case.seconds) > max(0.025, 1e-3 * case.seconds):
        yield f"holds {seconds:.2f} s but utt2dur says {case.seconds:.2f}"


def estimate(cases: Sequence[Case], limits: Limits, jobs: int) -> str:
    """Examine a few files, spread over the list; return a sentence on the time for all files."""
    probe = random.Random(0).sample(cases, min(PROBE, len(cases)))
    start, size = time.perf_counter(), 0
    for case in probe:
        look_at(case, limits)
        size += os.stat(case.path).st_size if os.path.isfile(case.path) else 0
    spent = (time.perf_counter() - start) / len(probe)
    total = spent * len(cases) / jobs
    duration = f"{total / 3600:.1f} h" if total > 5400 else f"{total / 60:.1f} min"
    return (
        f"{len(cases):,} files, about {size / len(probe) * len(cases) / 1e9:,.1f} GB: about "
        f"{duration} with {jobs} jobs ({1000 * spent:.1f} ms a file, by {len(probe)} of them)"
    )


def examine_all(cases: Sequence[Case], limits: Limits, jobs: int) -> list[Result]:
    """Examine all files, ``jobs`` at a time; results in the order of ``cases``.

    Files with equal samples and rate are duplicates; all but the first get a finding. Samples are
    compared, not bytes, because the same recording often exists as WAV and as FLAC.
    """
    look = partial(look_at, limits=limits)
    if jobs == 1:
        return _mark_duplicates(_collect(map(look, cases), len(cases)))
    remedy = "give fewer --jobs, or a smaller --max-seconds"
    results = in_processes(look, cases, jobs, chunk=CHUNK, what="a job", remedy=remedy)
    return _mark_duplicates(_collect(results, len(cases)))


def _collect(results: Iterable[Result], total: int) -> list[Result]:
    return list(progress(results, total=total, desc="check-up", unit="file"))


def _mark_duplicates(results: list[Result]) -> list[Result]:
    first: dict[bytes, Case] = {}
    for result in results:
        if not result.digest or any(kind == "silent" for kind, _ in result.findings):
            continue
        earlier = first.setdefault(result.digest, result.case)
        if earlier is not result.case:
            text = f"{shown(result.case.path)} has the same samples as "
            text += f"{shown(earlier.path)} ({earlier.id})"
            result.findings.append(("duplicate", text))
    return results


def excluded(results: Iterable[Result], kinds: Iterable[str]) -> list[Bad]:
    """Return the files with a finding of these kinds; the reason is the first such finding."""
    kinds, bad = set(kinds), []
    for result in results:
        reason = next((text for kind, text in result.findings if kind in kinds), None)
        if reason:
            bad.append(Bad(result.case.id, shown(result.case.path), reason))
    return bad


def table(results: Sequence[Result]) -> str:
    """Return the findings as text, one line for each kind."""
    counts = Counter(kind for result in results for kind, _ in result.findings)
    examples: dict[str, str] = {}
    for result in results:
        for kind, text in result.findings:
            examples.setdefault(kind, text)
    good = sum(not result.findings for result in results)
    hours = sum(result.seconds for result in results) / 3600
    rates = Counter(result.rate for result in results if result.rate)
    shown = ", ".join(f"{rate} Hz {count:,}" for rate, count in rates.most_common(5))
    lines = [f"{len(results):,} files, {hours:,.2f} h; {good:,} without findings; {shown}"]
    for kind in KINDS:
        if counts[kind]:
            share = counts[kind] / len(results)
            lines.append(f"  {kind:10} {counts[kind]:9,} {share:7.2%}  such as {examples[kind]}")
    return "\n".join(lines)


def to_json(results: Sequence[Result], limits: Limits) -> dict:
    """Return the report as a dictionary that JSON can hold."""
    counts: Mapping[str, int] = Counter(k for result in results for k, _ in result.findings)
    return {
        "files": len(results),
        "hours": sum(result.seconds for result in results) / 3600,
        "limits": limits._asdict(),
        "counts": {kind: counts[kind] for kind in KINDS},
        "findings": [
            {"id": result.case.id, "path": shown(result.case.path), "kind": kind, "what": text}
            for result in results
            for kind, text in result.findings
        ],
    }
