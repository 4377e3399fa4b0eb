"""lhotse's part of a data directory: lhotse writes it, and lhotse reads it back.

The recordings get the lengths that ``sv.audio`` measured, not those of ``Recording.from_file``. So
both parts of the directory state the same lengths, whichever audio backend lhotse would choose.
"""

import gzip
import os
import shutil
from pathlib import Path

from lhotse import (
    CutSet,
    MonoCut,
    MultiCut,
    Recording,
    RecordingSet,
    SupervisionSegment,
    SupervisionSet,
)
from lhotse.audio import AudioSource
from lhotse.cut import Cut

from sv.data.utterance import Utterance
from sv.errors import InputError

DURATION_TOLERANCE = 1e-4


def recording_of(utterance: Utterance) -> Recording:
    """Return lhotse's description of the audio file."""
    samples = utterance.recording_samples or utterance.num_samples
    channels = list(range(utterance.channels))
    source = AudioSource("file", channels=channels, source=str(Path(utterance.path).absolute()))
    return Recording(
        id=utterance.recording_id,
        sources=[source],
        sampling_rate=utterance.sample_rate,
        num_samples=samples,
        duration=samples / utterance.sample_rate,
        channel_ids=channels,
    )


def supervision_of(utterance: Utterance) -> SupervisionSegment:
    """Return the segment of an utterance; its speaker is the utterance id, not the true one."""
    channel = 0 if utterance.channels == 1 else list(range(utterance.channels))
    return SupervisionSegment(
        id=utterance.id,
        recording_id=utterance.recording_id,
        start=utterance.start,
        duration=utterance.num_samples / utterance.sample_rate,
        channel=channel if utterance.channel is None else utterance.channel,
        speaker=utterance.id,
    )


def cut_of(utterance: Utterance, recording: Recording, supervision: SupervisionSegment) -> Cut:
    """Return the cut of an utterance, with its supervision."""
    if utterance.recording is None and utterance.channel is None:
        cut = recording.to_cut()
        cut.id = utterance.id
    else:
        kind = MultiCut if isinstance(supervision.channel, list) else MonoCut
        cut = kind(
            id=utterance.id,
            start=utterance.start,
            duration=supervision.duration,
            channel=supervision.channel,
            recording=recording,
        )
    # In a cut, times of supervisions start with the cut.
    cut.supervisions = [supervision.with_offset(-supervision.start)]
    return cut


def first_of_each(utterances: list[Utterance]) -> list[Utterance]:
    """Return an utterance of each recording, in the order of the recordings' ids."""
    found: dict[str, Utterance] = {}
    for utterance in utterances:
        found.setdefault(utterance.recording_id, utterance)
    return [found[key] for key in sorted(found)]


def write_manifests(folder: Path, utterances: list[Utterance]) -> None:
    """Write ``{recordings,supervisions,cuts}.jsonl.gz`` in the order of ``utterances``."""
    plain = {kind: folder / f"{kind}.jsonl" for kind in ("recordings", "supervisions", "cuts")}
    with (
        RecordingSet.open_writer(plain["recordings"]) as recordings,
        SupervisionSet.open_writer(plain["supervisions"]) as supervisions,
        CutSet.open_writer(plain["cuts"]) as cuts,
    ):
        known = {}
        for utterance in first_of_each(utterances):
            known[utterance.recording_id] = recording_of(utterance)
            recordings.write(known[utterance.recording_id])
        for utterance in utterances:
            supervision = supervision_of(utterance)
            supervisions.write(supervision)
            cuts.write(cut_of(utterance, known[utterance.recording_id], supervision))
    for path in plain.values():
        _compress(path)


def _compress(path: Path) -> None:
    """Replace ``path`` by ``path.gz`` without a time stamp: equal data give equal bytes."""
    target = path.with_name(path.name + ".gz")
    with (
        path.open("rb") as source,
        target.open("wb") as raw,
        gzip.GzipFile("", "wb", compresslevel=6, fileobj=raw, mtime=0) as packed,
    ):
        shutil.copyfileobj(source, packed, 1 << 20)
    path.unlink()


def verify_manifests(folder: Path, utterances: list[Utterance], shown: Path) -> None:
    """Read the three manifests back and compare counts, ids, durations and speakers.

    ``shown`` is the folder that messages name (``folder`` is a temporary one).

    Raises:
        InputError: a manifest differs from ``utterances``.
    """
    sets = {
        "recordings": RecordingSet.from_jsonl_lazy(folder / "recordings.jsonl.gz"),
        "supervisions": SupervisionSet.from_jsonl_lazy(folder / "supervisions.jsonl.gz"),
        "cuts": CutSet.from_jsonl_lazy(folder / "cuts.jsonl.gz"),
    }
    for kind, manifest in sets.items():
        count = 0
        written = first_of_each(utterances) if kind == "recordings" else utterances
        for count, item in enumerate(manifest, 1):
            expected = written[count - 1] if count <= len(written) else None
            if expected is None or not _agrees(item, expected, kind):
                raise InputError(
                    f"{shown / kind}.jsonl.gz: entry {count} ('{item.id}') was not read back as "
                    "it was written; check the disk and run stage 0 again"
                )
        if count != len(written):
            raise InputError(
                f"{shown / kind}.jsonl.gz: {count:,} of {len(written):,} entries were read "
                "back; check the disk and run stage 0 again"
            )


def _agrees(item, expected: Utterance, kind: str) -> bool:
    if kind == "recordings":
        samples = expected.recording_samples or expected.num_samples
        return item.id == expected.recording_id and item.num_samples == samples
    same = item.id == expected.id and abs(item.duration - expected.duration) < DURATION_TOLERANCE
    same = same and abs(item.start - expected.start) < DURATION_TOLERANCE
    if kind == "supervisions":
        return same and item.speaker == expected.id
    return same and [s.speaker for s in item.supervisions] == [expected.id]


def read_recordings(data_dir: str | os.PathLike) -> list[Utterance]:
    """Return the recordings of a data directory as unlabelled utterances, each a whole file.

    Raises:
        InputError: the file is missing, or lhotse cannot read it.
    """
    path = Path(data_dir) / "recordings.jsonl.gz"
    if not path.is_file():
        raise InputError(f"{path}: no such file; run stage 0 (data), or check the path")
    try:
        recordings = list(RecordingSet.from_jsonl_lazy(path))
    except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: cannot be read as lhotse recordings ({error})") from error
    return [
        Utterance(
            id=recording.id,
            path=str(recording.sources[0].source),
            duration=recording.duration,
            sample_rate=recording.sampling_rate,
            num_samples=recording.num_samples,
            channels=recording.num_channels,
        )
        for recording in recordings
    ]
