"""Trial lists from a labelled set: which pairs to compare, as pure functions of labels and a seed.

Targets are pairs of utterances of one speaker. If sessions are known, they are of two sessions,
because within one the recording channel gives the speaker away. Non-targets are pairs of two
speakers. If groups (sex, language, corpus) are known, they are of one group, because recognising
the group must not help.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from sv.errors import InputError


class Labelled(NamedTuple):
    """An utterance and what is known of it; ``session`` and ``group`` may be None."""

    id: str
    speaker: str
    session: str | None = None
    group: str | None = None


MOST_PAIRS = 20_000_000
"""Pairs of utterances that ``all_trials`` looks at, at most: some seconds."""
PERMUTED = 1 << 20
"""Pairs of one speaker that are put into random order as a whole."""

Trial = tuple[int, str, str]


def target_pairs(own: Sequence[Labelled]) -> list[tuple[Labelled, Labelled]]:
    """Return all pairs of one speaker's utterances that are not of one known session, in order."""
    return [
        (a, b)
        for place, a in enumerate(own)
        for b in own[place + 1 :]
        if a.session is None or a.session != b.session
    ]


def fresh_pairs(
    own: Sequence[Any], others: Sequence[Any], count: int, order: np.ndarray, seen: set[frozenset]
) -> list[tuple[Any, Any]]:
    """Return the first ``count`` pairs of one of ``own`` and one of ``others`` that are not known.

    ``order``: a permutation of the len(own) * len(others) pairs. ``seen``: ids of known pairs, in
    either order; the new ones are added. Fewer pairs come back if there are no more.
    """
    pairs = ((own[i // len(others)], others[i % len(others)]) for i in order)
    fresh = (pair for pair in pairs if frozenset(one.id for one in pair) not in seen)
    found = [pair for pair, _ in zip(fresh, range(count), strict=False)]
    seen.update(frozenset(one.id for one in pair) for pair in found)
    return found


def all_trials(utterances: Sequence[Labelled]) -> list[Trial]:
    """Return all target pairs, and all pairs of two speakers of one group."""
    count = len(utterances) * (len(utterances) - 1) // 2
    if count > MOST_PAIRS:
        raise InputError(
            f"{len(utterances):,} utterances have {count:,} pairs, more than {MOST_PAIRS:,}: take "
            "--pairs balanced, or fewer utterances (--only)"
        )
    trials = []
    for place, a in enumerate(utterances):
        for b in utterances[place + 1 :]:
            if a.speaker == b.speaker:
                if a.session is None or a.session != b.session:
                    trials.append((1, a.id, b.id))
            elif a.group == b.group:
                trials.append((0, a.id, b.id))
    return trials


def balanced_trials(
    utterances: Sequence[Labelled], seed: int = 0, count: int | None = None
) -> list[Trial]:
    """Return equally many target and non-target trials, ``count`` in all, speaker by speaker.

    Every speaker has equally many of both classes, and as nearly as possible the same number of
    them as every other speaker. Without ``count`` all targets are taken.
    """
    rng = np.random.default_rng(seed)
    speakers = by_speaker(utterances)
    targets = {speaker: target_pairs(own) for speaker, own in speakers.items()}
    if count is not None:
        shares = _equal_shares([len(pairs) for pairs in targets.values()], count // 2)
        for (speaker, pairs), share in zip(targets.items(), shares, strict=True):
            chosen = np.sort(rng.permutation(len(pairs))[:share])
            targets[speaker] = [pairs[place] for place in chosen]
    trials: list[Trial] = []
    seen: set[frozenset] = set()
    for speaker, own in speakers.items():
        groups = {one.group for one in own}
        others = [one for one in utterances if one.speaker != speaker and one.group in groups]
        order = _order(rng, len(own) * len(others), len(targets[speaker]))
        if len(groups) > 1:  # a speaker of two groups: each pair within one of them
            of_own, of_others = ([one.group for one in side] for side in (own, others))
            size = len(others)
            order = [n for n in order if of_own[n // size] == of_others[n % size]]
        wanted = targets[speaker]
        nontargets = fresh_pairs(own, others, len(wanted), order, seen)
        if len(nontargets) < len(wanted):
            raise InputError(
                f"{speaker} has {len(wanted):,} target pairs and only {len(nontargets):,} "
                "non-target pairs are left within its group: take --pairs all, a smaller --number, "
                "or no --same"
            )
        trials += [(1, a.id, b.id) for a, b in wanted] + [(0, a.id, b.id) for a, b in nontargets]
    return trials


def make_trials(
    utterances: Sequence[Labelled],
    pairs: str = "balanced",
    number: int | None = None,
    seed: int = 0,
) -> list[Trial]:
    """Return the trials of a labelled set; the same arguments give the same list.

    Parameters
    ----------
    pairs: "balanced" (``balanced_trials``) or "all" (``all_trials``).
    number: of trials: exactly so many, drawn without bias to a speaker if balanced, or spread over
        the list if all. None: as many as there are.

    Raises
    ------
    InputError: there is no target or no non-target trial, or fewer trials than ``number``.
    """
    _refuse_impossible(utterances)
    if number is not None and (number < 2 or (pairs == "balanced" and number % 2)):
        raise InputError(f"--number {number}: give 2 or more, and an even number if balanced")
    if pairs == "balanced":
        trials = balanced_trials(utterances, seed, number)
    else:
        trials = all_trials(utterances)
        if number is not None and number < len(trials):
            chosen = np.random.default_rng(seed).permutation(len(trials))[:number]
            trials = [trials[place] for place in np.sort(chosen)]
    targets = sum(trial[0] for trial in trials)
    if number is not None and len(trials) < number:
        raise InputError(
            f"--number {number:,}: these {len(utterances):,} utterances have only {len(trials):,} "
            "such trials; take fewer, or demand less of them"
        )
    if targets in (0, len(trials)):
        kind = "target" if targets == 0 else "non-target"
        raise InputError(f"no {kind} trial was drawn: raise --number, or take --pairs balanced")
    return trials


def by_speaker(utterances: Sequence[Labelled]) -> dict[str, list[Labelled]]:
    """Return the utterances of each speaker, speakers in the order of their first utterance."""
    speakers: dict[str, list[Labelled]] = {}
    for one in utterances:
        speakers.setdefault(one.speaker, []).append(one)
    return speakers


def _order(rng: np.random.Generator, size: int, wanted: int) -> np.ndarray | list[int]:
    """Return the places of ``size`` pairs in random order; of very many pairs only a part."""
    if size <= PERMUTED:
        return rng.permutation(size)
    return list(dict.fromkeys(rng.integers(0, size, 8 * wanted + 1000).tolist()))


def _equal_shares(most: Sequence[int], total: int) -> list[int]:
    """Return numbers of at most ``most`` each that sum to ``total`` and differ as little as can be.

    Raises ``InputError`` if there are not so many.
    """
    if sum(most) < total:
        raise InputError(
            f"--number {2 * total:,} balanced trials need {total:,} target pairs, and there are "
            f"{sum(most):,}: take fewer, or demand less of them"
        )
    shares, left = [0] * len(most), total
    open_ = [place for place, limit in enumerate(most) if limit]
    while left:
        each = max(1, left // len(open_))
        for place in open_:
            more = min(each, most[place] - shares[place], left)
            shares[place] += more
            left -= more
        open_ = [place for place in open_ if shares[place] < most[place]]
    return shares


def _refuse_impossible(utterances: Sequence[Labelled]) -> None:
    """Raise ``InputError`` if no list can have both classes."""
    speakers = by_speaker(utterances)
    if len(speakers) < 2:
        raise InputError(
            f"{len(speakers)} speaker: a trial list needs two or more, for non-target trials"
        )
    if not any(target_pairs(own) for own in speakers.values()):
        sessions = any(one.session is not None for one in utterances)
        remedy = " from two sessions: leave out --across" if sessions else ""
        raise InputError(f"no speaker has two utterances{remedy}: there are no target trials")
    of_group: dict[str | None, set[str]] = {}
    for one in utterances:
        of_group.setdefault(one.group, set()).add(one.speaker)
    if all(len(names) < 2 for names in of_group.values()):
        raise InputError(
            "every group has one speaker only, so there are no non-target trials: leave out --same"
        )
