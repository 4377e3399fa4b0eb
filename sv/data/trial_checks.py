"""Checks of a trial list: trials that contradict the speakers, trials of a recording with itself.

Figures from such a list look like any other figures. So stage 0 and the report warn of each
finding with a sentence.
"""

from collections.abc import Mapping

import numpy as np

from sv.data.trials import Trials


def doubts(trials: Trials, utt2spk: Mapping[str, str] | None) -> list[str]:
    """Return a sentence for each kind of doubtful trial, with their number and an example.

    ``utt2spk``: the true speakers, or None if they are not known. Utterances without a speaker are
    skipped. Without ``utt2spk``, target trials show which utterances share a speaker: if they join
    a with b, and b with c, a non-target trial of a and c is a contradiction.
    """
    found = []
    alone = trials.enrol == trials.test
    if alone.any():
        found.append(
            f"{_count(alone)} compare a recording with itself ({_example(trials, alone)}); they "
            "count like other trials and improve the figures: take them out"
        )
    if trials.labels is None:
        return found
    if utt2spk is None:
        return found + _unlinked(trials)
    known, speaker = _speakers(trials, utt2spk)
    both = known[trials.enrol] & known[trials.test]
    same = speaker[trials.enrol] == speaker[trials.test]
    for wrong, what in (
        (both & trials.labels & ~same, "target trials are of two speakers"),
        (both & ~trials.labels & same, "non-target trials are of one speaker"),
    ):
        if wrong.any():
            found.append(
                f"{np.count_nonzero(wrong):,} of {len(trials):,} trials contradict the speakers: "
                f"these {what} ({_example(trials, wrong, utt2spk)}); correct the labels of the "
                "list, or the speakers"
            )
    if both.any() and np.count_nonzero(both & (trials.labels != same)) > len(trials) / 2:
        found.append("most labels contradict the speakers, as if 1 and 0 were exchanged")
    return found


def _speakers(trials: Trials, utt2spk: Mapping[str, str]) -> tuple[np.ndarray, np.ndarray]:
    """Return whether the speaker of each of ``names`` is known, and a number for the speaker."""
    number: dict[str, int] = {}
    names = [utt2spk.get(name) for name in trials.names]
    numbers = [-1 if one is None else number.setdefault(one, len(number)) for one in names]
    speaker = np.array(numbers, dtype=np.int64)
    return speaker >= 0, speaker


def _unlinked(trials: Trials) -> list[str]:
    if trials.labels.all() or not trials.labels.any():
        return []
    from sv.data.speaker_groups import linked_groups  # imports scipy, so only without speakers

    group = linked_groups(trials).of_name
    wrong = ~trials.labels & (group[trials.enrol] == group[trials.test])
    if not wrong.any():
        return []
    return [
        f"{np.count_nonzero(wrong):,} of {len(trials):,} trials contradict others: they are "
        f"non-target, but target trials join their two recordings ({_example(trials, wrong)}); "
        "correct the labels of the list"
    ]


def _count(mask: np.ndarray) -> str:
    return f"{np.count_nonzero(mask):,} of {len(mask):,} trials"


def _example(trials: Trials, mask: np.ndarray, utt2spk: Mapping[str, str] | None = None) -> str:
    row = int(np.flatnonzero(mask)[0])
    names = [trials.names[trials.enrol[row]], trials.names[trials.test[row]]]
    label = "" if trials.labels is None else f"{int(trials.labels[row])} "
    text = f"first: {label}{' '.join(names)}"
    if utt2spk is not None:
        text += f", speakers {' and '.join(utt2spk[name] for name in names)}"
    return text
