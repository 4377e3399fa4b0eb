"""Data directories: lhotse manifests and Kaldi files of one set, side by side.

A directory holds ``recordings``, ``supervisions`` and ``cuts`` (``.jsonl.gz``) for lhotse, and
``wav.scp utt2spk spk2utt utt2dur [trials]`` for Kaldi. All files are sorted by utterance id. An
utterance is an audio file, or a span of one: then the ids of ``wav.scp`` and ``recordings`` are
those of recordings, and ``segments``, ``reco2dur`` and, if channels are apart,
``reco2file_and_channel`` are there, too. In the files of both kinds the speaker is the utterance's
own id, so self-supervised stages find no true label. True labels are in a separate directory (see
``sv.data.labels``).
"""

import contextlib
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from sv.data.labels import read_label_file, refuse_gaps, staged_labels
from sv.data.replaced import replaced_directory, write_table
from sv.data.segments import Segment, read_channels, read_segments, write_channels, write_segments
from sv.data.trials import Trials, refuse_contradictions
from sv.data.utterance import Trial, Utterance
from sv.errors import InputError
from sv.files import atomic_write
from sv.kaldi.ids import id_problem


def write_data_dir(
    out_dir: str | os.PathLike,
    utterances: Iterable[Utterance],
    trials: Sequence[Trial] | None = None,
    labels_dir: str | os.PathLike | None = None,
) -> None:
    """Write a data directory and read its manifests back; then replace an older directory.

    See ``staged_data_dir`` for the arguments and errors.
    """
    with staged_data_dir(out_dir, utterances, trials, labels_dir):
        pass


@contextlib.contextmanager
def staged_data_dir(
    out_dir: str | os.PathLike,
    utterances: Iterable[Utterance],
    trials: Sequence[Trial] | None = None,
    labels_dir: str | os.PathLike | None = None,
) -> Iterator[None]:
    """Write a data directory beside an older one, which it replaces after the ``with`` block.

    With nested blocks, several sets are replaced together or not at all. So a disk that is full
    after the first set cannot leave a new test set beside an old training set.

    Args:
        out_dir: the directory, e.g. ``data/train``.
        utterances: in any order.
        trials: written as ``<1|0> <enrol-id> <test-id>`` lines, in the given order.
        labels_dir: folder for the true speakers, sessions and groups that are known, e.g.
            ``data/labels/train``.

    Raises:
        InputError: there is no utterance, an id occurs twice or has blanks, a length is zero, a
            path has a line break, trials name unknown utterances or have one class only, or a
            manifest does not read back as it was written.
    """
    ordered = sorted(utterances, key=lambda utterance: utterance.id)
    _check(ordered, out_dir)
    if trials is not None:
        check_trials(trials, {utterance.id for utterance in ordered}, f"{out_dir}/trials")
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(replaced_directory(out_dir, marker="wav.scp"))
        _write_kaldi_files(folder, ordered, trials)
        # Imported here, not at the top, because lhotse imports torch, which takes seconds.
        from sv.data.lhotse_manifests import verify_manifests, write_manifests

        write_manifests(folder, ordered)
        verify_manifests(folder, ordered, shown=Path(out_dir))
        if labels_dir is not None:
            stack.enter_context(staged_labels(labels_dir, ordered))
        yield


def _check(ordered: list[Utterance], out_dir: str | os.PathLike) -> None:
    if not ordered:
        raise InputError(f"{out_dir}: there is not a single utterance to write; check the corpus")
    for before, after in zip(ordered, ordered[1:], strict=False):
        if before.id == after.id:
            raise InputError(
                f"{before.path} and {after.path} have the same utterance id '{before.id}': "
                "rename or remove one of them"
            )
    for utterance in ordered:
        problem = id_problem(utterance.id)
        if problem is not None:
            raise InputError(
                f"{utterance.path}: its id {utterance.id[:60]!r} {problem}; rename the file"
            )
        problem = id_problem(utterance.recording_id)
        if problem is not None:
            raise InputError(
                f"{utterance.path}: its id {utterance.recording_id[:60]!r} {problem}; rename the "
                "recording"
            )
        if utterance.num_samples <= 0 or not utterance.duration > 0:
            raise InputError(f"{utterance.path}: has no samples; leave it out")
        if "\n" in str(utterance.path) or str(utterance.path).endswith("|"):
            raise InputError(
                f"{str(utterance.path)!r}: a path with a line break or ending in '|' "
                "cannot stand in wav.scp; rename the file"
            )


def check_trials(trials: Sequence[Trial], known: set[str], name: str) -> None:
    """Raise if trials name unknown utterances, contradict each other, or lack a class."""
    unknown = sorted({one for _, *pair in trials for one in pair if one not in known})
    if unknown:
        raise InputError(
            f"{name}: names {len(unknown):,} unknown utterances, the first is '{unknown[0]}'; "
            "check that list and audio are of the same corpus"
        )
    refuse_contradictions(Trials.of(name, trials))
    targets = sum(label == 1 for label, _, _ in trials)
    if not 0 < targets < len(trials):
        raise InputError(
            f"{name}: has {targets:,} target and {len(trials) - targets:,} non-target trials; "
            "an error rate needs both"
        )


def _write_kaldi_files(
    folder: Path, ordered: list[Utterance], trials: Sequence[Trial] | None
) -> None:
    recordings = {u.recording_id: u for u in ordered}
    recordings = {key: recordings[key] for key in sorted(recordings)}
    paths = ((key, str(Path(u.path).absolute())) for key, u in recordings.items())
    write_table(folder / "wav.scp", paths)
    if any(u.recording is not None for u in ordered):
        spans = ((u.id, Segment(u.recording_id, u.start, u.end)) for u in ordered)
        write_segments(folder / "segments", spans)
        lengths = {key: u.recording_samples or u.num_samples for key, u in recordings.items()}
        lasting = ((k, str(round(n / recordings[k].sample_rate, 6))) for k, n in lengths.items())
        write_table(folder / "reco2dur", lasting)
    if any(u.channel is not None for u in ordered):
        rows = [(k, "_".join(Path(u.path).stem.split()), u.channel) for k, u in recordings.items()]
        path = folder / "reco2file_and_channel"
        write_channels(path, [row for row in rows if row[2] is not None])
    for name in ("utt2spk", "spk2utt"):  # the firewall: every utterance is its own speaker
        write_table(folder / name, ((u.id, u.id) for u in ordered))
    write_table(folder / "utt2dur", ((u.id, str(round(u.duration, 6))) for u in ordered))
    if trials is not None:
        with atomic_write(folder / "trials") as handle:
            handle.writelines(f"{label} {enrol} {test}\n" for label, enrol, test in trials)


def read_data_dir(
    data_dir: str | os.PathLike, labels_dir: str | os.PathLike | None = None
) -> list[Utterance]:
    """Return the utterances of a data directory, with their labels only if ``labels_dir`` is given.

    Raises:
        InputError: the directory or its ``recordings.jsonl.gz`` is missing or damaged, or
            ``utt2spk`` lacks an utterance.
    """
    from sv.data.lhotse_manifests import read_recordings  # here, because lhotse loads slowly

    utterances = _cut_into_segments(Path(data_dir), read_recordings(data_dir))
    if labels_dir is None:
        return utterances
    labels_dir = Path(labels_dir)
    speakers = read_label_file(labels_dir / "utt2spk")
    refuse_gaps(labels_dir / "utt2spk", speakers, (u.id for u in utterances), str(data_dir))
    optional = {
        name: read_label_file(labels_dir / name) if (labels_dir / name).exists() else {}
        for name in ("utt2session", "utt2group")
    }
    labelled = []
    for utterance in utterances:
        speaker = speakers.get(utterance.id)
        session = optional["utt2session"].get(utterance.id)
        if session is not None and speaker is not None:
            session = session.removeprefix(f"{speaker}-")
        group = optional["utt2group"].get(utterance.id)
        labelled.append(replace(utterance, speaker=speaker, session=session, group=group))
    return labelled


def _cut_into_segments(folder: Path, recordings: list[Utterance]) -> list[Utterance]:
    """Return the utterances of a directory: its recordings, or the spans of its ``segments``."""
    channels = read_channels(folder / "reco2file_and_channel")
    if not (folder / "segments").exists():
        return [replace(one, channel=channels.get(one.id)) for one in recordings]
    known = {recording.id: recording for recording in recordings}
    spans = []
    for key, segment in read_segments(folder / "segments").items():
        if segment.recording not in known:
            raise InputError(
                f"{folder / 'segments'}: '{key}' is of the recording '{segment.recording}', which "
                f"recordings.jsonl.gz lacks; run utils/fix_data_dir {folder}"
            )
        channel = channels.get(segment.recording)
        spans.append(span_of(known[segment.recording], key, segment, channel))
    return spans


def span_of(
    recording: Utterance, key: str, segment: Segment, channel: int | None = None
) -> Utterance:
    """Return the utterance ``key``: a span of a whole recording, moved to whole samples.

    The end may lie beyond that of the recording; the span ends there then.
    """
    rate, total = recording.sample_rate, recording.num_samples
    first = round(segment.start * rate)
    last = total if math.isinf(segment.end) else min(total, round(segment.end * rate))
    return replace(
        recording,
        id=key,
        recording=segment.recording,
        start=first / rate,
        duration=(last - first) / rate,
        num_samples=last - first,
        channel=channel,
        recording_samples=total,
    )
