"""The columns of calibration and fusion: scores of several systems and measures of quality.

A measure of quality is a positive number for each utterance, such as its duration, or the length
("magnitude") of its embedding before normalisation. It shows how reliable a score is (Thienpondt
et al., "The IDLab VoxSRC-20 submission", 2021). Each measure gives two columns: the logarithms of
the smaller and of the larger value of the trial. So enrolment and test may be exchanged.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sv.data.trials import Trials
from sv.errors import InputError
from sv.kaldi.arks import load_vectors, read_scp
from sv.numbers import to_float
from sv.scoring.score_file import match_scores, read_scores


def read_quality(source: str) -> tuple[dict[str, float], str]:
    """Return utterance -> value of ``source``, and the name of this measure.

    For ``scp:E.scp`` and ``ark:E.ark``, values are the magnitudes of the embeddings. Any other
    name is a file of lines ``utterance value``, such as ``utt2dur``. Raises ``InputError`` for
    values that are not above 0.
    """
    if source.startswith(("scp:", "ark:")):
        ids, vectors = load_vectors(source)
        lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64))
        values, kind = dict(zip(ids, lengths.tolist(), strict=True)), "magnitude"
    else:
        table, kind = read_scp(source), Path(source).name
        try:
            values = {name: to_float(text) for name, text in table.items()}
        except ValueError as error:
            raise InputError(f"{source}: {error}; expected lines 'utterance number'") from None
    bad = [name for name, value in values.items() if not 0.0 < value < np.inf]
    if bad:
        raise InputError(
            f"{source}: {len(bad)} of {len(values)} values are not positive numbers, first "
            f"{bad[0]} {values[bad[0]]}; correct or remove these utterances"
        )
    return values, kind


def quality_columns(trials: Trials, values: dict[str, float], source: str) -> np.ndarray:
    """Return (trials, 2): the logarithms of the smaller and the larger value of each trial."""
    rows = trials.rows_of(values, source)
    logs = np.log(np.fromiter(values.values(), dtype=np.float64, count=len(values)))[rows]
    enrol, test = logs[trials.enrol], logs[trials.test]
    return np.stack([np.minimum(enrol, test), np.maximum(enrol, test)], axis=1)


def gather(
    trials: Trials, score_files: Sequence[str | Path], qualities: Sequence[str] = ()
) -> tuple[np.ndarray, list[str]]:
    """Return the columns (trials, k) float64 of ``trials``, and the name of each column.

    Score files come first, in order, then two columns for each quality. A name does not contain
    the file, because the columns for learning and for applying must have the same names.
    """
    columns = [match_scores(read_scores(path), trials) for path in score_files]
    names = [f"score {number + 1}" for number in range(len(columns))]
    for source in qualities:
        values, kind = read_quality(source)
        columns += list(quality_columns(trials, values, source).T)
        names += [f"least log {kind}", f"largest log {kind}"]
    return np.stack(columns, axis=1), names
