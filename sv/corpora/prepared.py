"""Writes a data directory of somebody else's lists, with the speakers behind the firewall."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from sv.data.manifests import staged_data_dir
from sv.data.replaced import write_table
from sv.data.trial_checks import doubts
from sv.data.trials import Trials, read_trials
from sv.data.utterance import Utterance
from sv.errors import InputError


def labels_of(out: str | os.PathLike) -> Path:
    """Return the folder of the true labels of ``data/x``: ``data/labels/x``."""
    out = Path(out)
    return out.parent / "labels" / out.name


def write_prepared(
    out: str | os.PathLike,
    utterances: Sequence[Utterance],
    trials: str | os.PathLike | None = None,
    genders: Mapping[str, str] | None = None,
) -> str:
    """Write ``out`` and its labels; return a few lines for the user.

    trials: path of a list of trials between the utterances, or None. genders: {speaker: gender},
    written to ``spk2gender`` beside the labels.

    Raises:
        InputError: see ``sv.data.manifests.staged_data_dir`` and ``sv.data.trials.read_trials``.
    """
    listed = None
    if trials is not None:
        listed = read_trials(trials)
        if listed.labels is None:
            raise InputError(f"{trials}: has no labels (1 or 0, target or nontarget); complete it")
    labels = labels_of(out)
    with staged_data_dir(out, utterances, listed.rows() if listed else None, labels):
        pass
    spoken = {u.speaker for u in utterances if u.speaker is not None}
    known = {s: gender for s, gender in sorted((genders or {}).items()) if s in spoken}
    if known:
        write_table(labels / "spk2gender", known.items())
    else:
        (labels / "spk2gender").unlink(missing_ok=True)
    return "\n".join(_summary(utterances, listed, labels))


def _summary(utterances: Sequence[Utterance], trials: Trials | None, labels: Path) -> list[str]:
    files = len({u.path for u in utterances})
    hours = sum(u.duration for u in utterances) / 3600
    lines = [f"{len(utterances):,} utterances of {files:,} files, {hours:.2f} h"]
    speakers = {u.id: u.speaker for u in utterances if u.speaker is not None}
    if speakers:
        lines.append(f"{len(set(speakers.values())):,} speakers, named only in {labels}")
    if trials is not None:
        lines.append(f"{len(trials):,} trials")
        lines += [f"warning: {text}" for text in doubts(trials, speakers or None)]
    return lines
