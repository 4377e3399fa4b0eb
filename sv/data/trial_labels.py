"""The labels of utterances, joined from tables, for ``sv.data.trial_design``."""

from collections.abc import Iterable, Mapping, Sequence

from sv.data.trial_design import Labelled
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
