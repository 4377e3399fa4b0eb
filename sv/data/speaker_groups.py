"""Groups of utterances, by speaker, that bootstrap intervals resample as a whole."""

from typing import NamedTuple

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from sv.data.trials import Trials
from sv.errors import InputError


class Groups(NamedTuple):
    """The groups that are resampled: ``of_name`` (names,) int64, the group of each utterance.

    The utterances are those of ``Trials.names``, in their order.
    """

    of_name: np.ndarray
    count: int
    kind: str


def speaker_groups(trials: Trials, utt2spk: dict[str, str]) -> Groups:
    """Return the speakers as groups.

    Raises:
        InputError: an utterance has no speaker.
    """
    missing = [name for name in trials.names if name not in utt2spk]
    if missing:
        raise InputError(
            f"{len(missing)} of {len(trials.names)} utterances of {trials.path} have no speaker: "
            f"{', '.join(missing[:5])}; complete the utt2spk file, or leave it out"
        )
    speakers, of_name = np.unique([utt2spk[name] for name in trials.names], return_inverse=True)
    return Groups(of_name.astype(np.int64), len(speakers), "speakers")


def linked_groups(trials: Trials) -> Groups:
    """Return groups for a list without speakers: utterances that target trials join.

    A target trial says that two utterances share a speaker. If a speaker's utterances are not all
    joined, they form several groups, so intervals from these groups may be too narrow.
    """
    targets = trials.require_both_classes()
    size = len(trials.names)
    links = coo_matrix(
        (np.ones(np.count_nonzero(targets)), (trials.enrol[targets], trials.test[targets])),
        shape=(size, size),
    )
    count, of_name = connected_components(links, directed=False)
    return Groups(
        of_name.astype(np.int64), int(count), "groups of utterances joined by target trials"
    )
