"""Makes ``data/train``, ``data/test`` and their labels from any folder of audio.

The test set has the files that the trials name. The training set has all other files, except those
of speakers in the trials.
"""

import contextlib
import os
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sv.corpora.folder_layout import (
    Found,
    describe_all,
    detect_layout,
    find_files,
    foreign_reason,
    foreign_sentence,
    speakers_in_several_groups,
)
from sv.corpora.name_lists import NameBook, read_name_list, read_trial_list
from sv.data.audio_headers import read_headers
from sv.data.guard import check_disjoint, copies_of
from sv.data.manifests import staged_data_dir
from sv.data.trial_checks import doubts
from sv.data.trials import Trials
from sv.data.utterance import AudioFile, Trial, Utterance, name_problem
from sv.errors import InputError
from sv.files import atomic_write, shown


@dataclass
class FolderCorpus:
    """A folder that was split into training and test set; no file has been written yet."""

    layout: str
    train: list[Utterance]
    test: list[Utterance] = field(default_factory=list)
    trials: list[Trial] | None = None
    bad: list[tuple[str, str]] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)
    left_out: int = 0
    copies: dict[str, str] = field(default_factory=dict)
    ambiguous_speakers: list[str] = field(default_factory=list)

    @property
    def has_speakers(self) -> bool:
        """Whether the paths name speakers."""
        return self.layout != "flat"


def scan(
    corpus: str | os.PathLike,
    trials: str | os.PathLike | None = None,
    train_list: str | os.PathLike | None = None,
    *,
    layout: str = "auto",
    group_speakers: bool = False,
    max_bad: float = 0.01,
    bad_files: str | os.PathLike | None = None,
    channel: int | None = None,
) -> FolderCorpus:
    """Find the audio under ``corpus``, read all headers, and split by the trials.

    The training set leaves out the speakers of test files. It also leaves out copies of test files
    under other names, with the speakers of these copies.

    Args:
        corpus: folder, or a link to one.
        trials: path of a list of ``1 enrol.flac test.flac`` lines, or None for training only.
        train_list: path of a list of files; the training set has no others.
        layout: one of ``sv.corpora.folder_layout.LAYOUTS``, or ``auto``.
        group_speakers: equal speaker names in two sub-corpora are two people.
        max_bad: the tolerated share of unusable files (0 to 1).
        bad_files: path for the list of unusable files, lines ``<path> <tab> <reason>``; it is
            removed if there are none. Audio that must be converted counts as unusable.
        channel: the channel that later stages take; a file without it is unusable.

    Raises:
        InputError: see ``find_files``, ``describe_all``, ``read_trial_list``; or there are too many
            bad files, the trials name a bad file, or no utterance is left for training.
    """
    corpus = Path(corpus)
    found = find_files(corpus)
    relative, listed = _usable_names(corpus, found)
    if len(listed) > max_bad * found.total or not relative:  # before a million headers are read
        _report_bad(corpus, listed, max_bad, bad_files, found)
    layout = detect_layout(relative, corpus) if layout == "auto" else layout
    files = describe_all(relative, layout, corpus, group_speakers)
    # Lists are checked before the headers are read, because headers can take an hour.
    named, chosen = _read_lists(NameBook(corpus, files, layout), trials, train_list)

    utterances, bad = read_headers(corpus, files, channel)
    listed += [(str(corpus / file.relative), reason) for file, reason in bad]
    _report_bad(corpus, listed, max_bad, bad_files, found)
    if named is not None:
        _refuse_bad_trials(Path(trials), corpus, bad, named)

    tested = [file for _, *pair in named or [] for file in pair]
    result = FolderCorpus(
        layout=layout,
        train=[],
        trials=None if named is None else [(n, e.id, t.id) for n, e, t in named],
        bad=listed,
        foreign=found.foreign,
        ambiguous_speakers=[] if group_speakers else speakers_in_several_groups(files),
    )
    _split(result, utterances, tested, chosen)
    if not result.train:
        raise InputError(f"{corpus}: {_nothing_left(result, tested, chosen is not None)}")
    return result


def _read_lists(
    book: NameBook, trials: str | os.PathLike | None, train_list: str | os.PathLike | None
) -> tuple[list[tuple[int, AudioFile, AudioFile]] | None, set[str] | None]:
    """Return the trials, and the ids of the training list; None for a list that is not given."""
    named = read_trial_list(trials, book) if trials is not None else None
    if train_list is None:
        return named, None
    return named, {file.id for file in read_name_list(train_list, book)}


def _nothing_left(corpus: FolderCorpus, tested: list[AudioFile], listed: bool) -> str:
    """Return why nothing is left to train on; ``listed``: if there was a training list."""
    return (
        f"no utterance is left to train on: {len({file.id for file in tested}):,} are named by the "
        f"trials, {corpus.left_out:,} are of their speakers"
        + (f" ({_copies_sentence(corpus.copies)})" if corpus.copies else "")
        + (", and the training list allows no other" if listed else "")
        + "; add audio of other speakers"
    )


def _split(
    corpus: FolderCorpus,
    utterances: Sequence[Utterance],
    tested: Sequence[AudioFile],
    allowed: set[str] | None,
) -> None:
    """Fill in the test set, and the training set without speakers of the test set.

    tested: the files that the trials name.
    allowed: ids of the utterances that the training set may have; None: all.
    """
    ids = {file.id for file in tested}
    speakers = {file.speaker for file in tested if file.speaker is not None}
    candidates = [u for u in utterances if u.id not in ids and (allowed is None or u.id in allowed)]
    train = [u for u in candidates if u.speaker not in speakers]
    corpus.test = [u for u in utterances if u.id in ids]
    corpus.copies = copies_of({u.id: u.path for u in train}, {u.id: u.path for u in corpus.test})
    same = {u.speaker for u in train if u.id in corpus.copies and u.speaker is not None}
    corpus.train = [u for u in train if u.id not in corpus.copies and u.speaker not in same]
    corpus.left_out = len(candidates) - len(corpus.train)


def _usable_names(corpus: Path, found: Found) -> tuple[list[str], list[tuple[str, str]]]:
    """Return the audio files that can be listed, and (path, reason) of those that cannot."""
    problems = {name: name_problem(name) for name in found.audio}
    listed = [(shown(corpus / name), problem) for name, problem in problems.items() if problem]
    listed += [(shown(corpus / name), foreign_reason(name)) for name in found.foreign]
    return [name for name in found.audio if problems[name] is None], listed


def _report_bad(
    corpus: Path,
    bad: Sequence[tuple[str, str]],
    max_bad: float,
    bad_files: str | os.PathLike | None,
    found: Found,
) -> None:
    """Write the list of bad files; raise ``InputError`` if there are too many."""
    if bad_files is not None and not bad:
        Path(bad_files).unlink(missing_ok=True)
    elif bad_files is not None:
        with atomic_write(bad_files) as handle:
            handle.writelines(f"{name}\t{reason}\n" for name, reason in bad)
    total = found.total
    if len(bad) > max_bad * total or len(bad) == total:
        others = [row for row in bad if row[1] != foreign_reason(row[0])]
        first = f", the first: {others[0][0]}: {others[0][1]}" if others else ""
        where = f"; all are listed in {bad_files}" if bad_files is not None else ""
        formats = f"; {foreign_sentence(found.foreign)}" if found.foreign else ""
        raise InputError(
            f"{corpus}: {len(bad):,} of {total:,} audio files cannot be used "
            f"({100 * len(bad) / total:.1f} %, more than the {100 * max_bad:g} % of --max-bad)"
            f"{first}{formats}{where}; repair or remove them, or raise --max-bad"
        )


def _refuse_bad_trials(
    trials: Path,
    corpus: Path,
    bad: list[tuple[AudioFile, str]],
    named: list[tuple[int, AudioFile, AudioFile]],
) -> None:
    reasons = {file.id: (file, reason) for file, reason in bad}
    for _, *pair in named:
        for file in pair:
            if file.id in reasons:
                _, reason = reasons[file.id]
                raise InputError(
                    f"{trials}: names {corpus / file.relative}, which {reason}; repair the file, "
                    "or take its trials out (the error rate is then of another list)"
                )


def write(found: FolderCorpus, data: str | os.PathLike) -> None:
    """Write ``data/train``, ``data/test`` (if there are trials) and ``data/labels/…``.

    If there are no trials now, a ``data/test`` of an earlier run is removed, because it does not
    belong to this training set. After a failure both sets are as they were.
    """
    data = Path(data)
    if found.has_speakers:
        check_disjoint(
            {u.id: u.speaker for u in found.train}, {u.id: u.speaker for u in found.test}
        )
    labels = data / "labels"
    with contextlib.ExitStack() as stack:
        stack.enter_context(
            staged_data_dir(data / "train", found.train, labels_dir=labels / "train")
        )
        if found.trials is not None:
            stack.enter_context(
                staged_data_dir(data / "test", found.test, found.trials, labels / "test")
            )
        elif (data / "test" / "wav.scp").exists():
            shutil.rmtree(data / "test")
            shutil.rmtree(labels / "test", ignore_errors=True)


def summary(found: FolderCorpus) -> str:
    """Return a few lines about the two sets, for the user."""
    lines = [f"layout: {'files without speakers' if not found.has_speakers else found.layout}"]
    lines += _understood(found)
    if found.bad:
        lines.append(f"bad:    {len(found.bad):,} files cannot be used and are left out")
    if found.foreign:
        lines.append(f"        {foreign_sentence(found.foreign)}")
    lines += _set_lines("train:", found.train)
    if found.trials is None:
        lines.append("test:   none (no trials)")
        return "\n".join(lines)
    lines += _set_lines("test:", found.test)
    targets = sum(label for label, _, _ in found.trials)
    lines.append(
        f"trials: {len(found.trials):,}, of which {targets:,} target and "
        f"{len(found.trials) - targets:,} non-target"
    )
    speakers = {u.id: u.speaker for u in found.test} if found.has_speakers else None
    lines += [
        f"trials: warning: {text}" for text in doubts(Trials.of("trials", found.trials), speakers)
    ]
    if not found.has_speakers:
        lines.append("guard:  cannot be checked: the paths in a flat folder name no speakers")
    else:
        lines.append(
            f"guard:  no speaker is in both sets; {found.left_out:,} utterances of test speakers "
            "were left out of training"
        )
    if found.copies:
        lines.append(f"copies: {_copies_sentence(found.copies)}; they were left out")
    if found.ambiguous_speakers:
        lines.append(
            f"note:   {len(found.ambiguous_speakers):,} speaker names occur in several sub-corpora "
            f"(e.g. {found.ambiguous_speakers[0]}) and are taken as one person each; "
            "--group-speakers makes them different people"
        )
    return "\n".join(lines)


MOST_OF_ONE = 0.5
"""With a larger share of the utterances under one speaker, the folders are probably misread."""


def _understood(found: FolderCorpus) -> list[str]:
    """Return lines on what the paths were taken to mean, and a warning if that is improbable."""
    everything = [*found.train, *found.test]
    if not found.has_speakers or not everything:
        return []
    example = everything[0]
    what = f"speaker {example.speaker}"
    what += f", session {example.session}" if example.session is not None else ""
    what += f", sub-corpus {example.group}" if example.group is not None else ""
    lines = [f"        {example.path} is of {what}"]
    largest, count = Counter(u.speaker for u in everything).most_common(1)[0]
    if len(everything) < 3 or count <= MOST_OF_ONE * len(everything):
        return lines
    sessions = sorted({u.session for u in everything if u.speaker == largest and u.session})
    remedy = "move the folders of the speakers to the top, or give --layout"
    if len(sessions) > 1:
        remedy = (
            f"if its folders ({', '.join(sessions[:3])}) are the speakers, give --layout "
            "speaker/utt"
        )
    return [
        *lines,
        f"warning: {count:,} of {len(everything):,} utterances are of one speaker, {largest}: "
        f"{remedy}",
    ]


def _copies_sentence(copies: dict[str, str]) -> str:
    train, test = next(iter(copies.items()))
    return (
        f"{len(copies):,} training files, and so their speakers, have the audio of test files "
        f"under other names: {train} that of {test}"
    )


def _set_lines(title: str, utterances: list[Utterance]) -> list[str]:
    lines = [f"{title:<8}{_counts(utterances)}"]
    groups = sorted({u.group for u in utterances if u.group is not None})
    if len(groups) > 1:
        for group in groups:
            lines.append(f"        {group}: {_counts([u for u in utterances if u.group == group])}")
    return lines


def _counts(utterances: list[Utterance]) -> str:
    parts = []
    if utterances and utterances[0].speaker is not None:
        parts.append(f"{len({u.speaker for u in utterances}):,} speakers")
    if utterances and utterances[0].session is not None:
        parts.append(f"{len({(u.speaker, u.session) for u in utterances}):,} sessions")
    parts.append(f"{len(utterances):,} utterances")
    parts.append(f"{sum(u.duration for u in utterances) / 3600:.2f} h")
    rates = sorted({u.sample_rate for u in utterances})
    return ", ".join(parts) + f" at {' and '.join(str(rate) for rate in rates)} Hz"
