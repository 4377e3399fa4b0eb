"""The labels of utterances, joined from tables, for ``sv.data.trial_design``."""

from collections.abc import Iterable, Mapping, Sequence

from sv.data.trial_design import Labelled, Trial, make_trials
from sv.errors import InputError


def labelled(
    speakers: Mapping[str, str],
    sessions: Mapping[str, str] | None = None,
    groups: Sequence[Mapping[str, str]] = (),
    only: Iterable[str] | None = None,
) -> list[Labelled]:
    """Return the utterances of ``speakers``, sorted by id, with their sessions and groups.

    A session name counts within its speaker. ``groups``: tables such as sex and corpus; a group is
    the combination of their values. ``only``: the utterances to take.

    Raises ``InputError`` if an utterance has no speaker, session or group.
    """
    ids = sorted(speakers) if only is None else sorted(set(only))
    for table, what in [
        (speakers, "speaker"),
        *([(sessions, "session (--across)")] if sessions is not None else []),
        *((table, "value in a table of --same") for table in groups),
    ]:
        missing = [name for name in ids if name not in table]
        if missing:
            raise InputError(
                f"{len(missing):,} of {len(ids):,} utterances have no {what}, the first is "
                f"{missing[0]}: complete the table, or name the utterances to take with --only"
            )
    return [
        Labelled(
            name,
            speakers[name],
            None if sessions is None else sessions[name],
            " ".join(table[name] for table in groups) if groups else None,
        )
        for name in ids
    ]


def strictest_trials(
    ids: Sequence[str],
    speakers: Mapping[str, str],
    sessions: Mapping[str, str] | None,
    groups: Mapping[str, str] | None,
    number: int | None = None,
    seed: int = 0,
) -> list[Trial]:
    """Return balanced trials of ``ids``, across sessions and within groups as far as possible.

    A table that lacks an utterance is not used. If the labels allow no trials across sessions
    within groups, first the groups are ignored, then the sessions. ``number``: at most so many.

    Raises ``InputError`` if there are no trials even then.
    """
    tables = [
        None if table is None or any(name not in table for name in ids) else table
        for table in (sessions, groups)
    ]
    reason: InputError | None = None
    for across in (tables[0], None) if tables[0] is not None else (None,):
        for group in (tables[1], None) if tables[1] is not None else (None,):
            utterances = labelled(speakers, across, [] if group is None else [group], ids)
            try:
                trials = make_trials(utterances, seed=seed)
                if number is not None and len(trials) > number:
                    trials = make_trials(utterances, number=number - number % 2, seed=seed)
                return trials
            except InputError as error:
                reason = error
    assert reason is not None
    raise reason
