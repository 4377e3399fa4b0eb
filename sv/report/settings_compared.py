"""From experiment folders to the table of settings, and its files."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sv.data.labels import read_label_file
from sv.data.speaker_groups import linked_groups, speaker_groups
from sv.data.trials import Trials, read_trials
from sv.errors import InputError
from sv.files import atomic_write
from sv.report.run_table import Table, table_of
from sv.report.runs import Row, Run, rows_of
from sv.report.table_formats import ENDINGS, FORMATS
from sv.scoring.evaluate import evaluate
from sv.scoring.intervals import caution, taking_part
from sv.scoring.score_file import match_scores, read_scores


@dataclass
class Comparison:
    """The rows, their table, and what it was made from.

    ``intervals``: a description of the draws. ``left_out``: folders without scores.
    """

    rows: list[Row]
    table: Table
    trials: Trials
    intervals: str
    left_out: list[Path]


def compare_settings(
    experiments: Sequence[Path],
    *,
    trials: Path,
    labels: Path,
    scores: str,
    p_targets: list[float],
    resamples: int = 1000,
    seed: int = 0,
) -> Comparison:
    """Measure the experiments on one trial list and compare their settings.

    Parameters
    ----------
    experiments: folders; those without ``scores/<scores>`` are left out.
    trials: the list with labels.
    labels: true speakers, for the draws; without this file, groups are guessed from the trials.
    p_targets: priors for minDCF.
    resamples, seed: of the draws of speakers; 0 draws: no test.

    Raises ``InputError`` if no folder has scores.
    """
    pairs = read_trials(trials)
    pairs.require_both_classes()
    folders = [path for path in experiments if path.is_dir()]
    scored = [path for path in folders if (path / "scores" / scores).is_file()]
    if not scored:
        raise InputError(
            f"no experiment has scores/{scores}: run stages 6 and 7 (./run.sh --stage 6 "
            "--stop-stage 7), or give --name"
        )
    utt2spk = read_label_file(labels) if labels.exists() else None
    groups = speaker_groups(pairs, utt2spk) if utt2spk else linked_groups(pairs)
    how = {"groups": groups, "resamples": resamples, "seed": seed}
    runs = []
    for path in scored:
        values = match_scores(read_scores(path / "scores" / scores), pairs)
        runs.append(Run.of(path, evaluate(path.name, values, pairs, p_targets, **how)))
    rows = rows_of(runs)
    few = caution(taking_part(pairs, groups), groups)
    described = f"95 %, {resamples} draws of {groups.count} {groups.kind} and of seeds, seed {seed}"
    return Comparison(
        rows,
        table_of(rows, [few] if few else []),
        pairs,
        described if resamples else "none",
        [path for path in folders if path not in scored],
    )


def write_table(found: Comparison, path: Path, title: str | None, command: str) -> None:
    """Write the table in the format that the ending of ``path`` gives.

    Raises ``InputError`` for another ending.
    """
    form = ENDINGS.get(path.suffix)
    if form is None:
        raise InputError(f"--out {path}: the ending must be one of {', '.join(ENDINGS)}")
    if form == "html":
        from sv.report.run_page import comparison_page

        name = found.rows[0].runs[0].exp.absolute().parent.name
        text = comparison_page(
            found.rows, found.table, found.trials, title or name, command, found.intervals
        )
    else:
        text = FORMATS[form](found.table.cells, found.table.bold)
        if form in ("text", "markdown"):
            notes = [*(f"Warning: {text}" for text in found.table.warnings), *found.table.notes]
            text += "\n" + "".join(f"{note}\n" for note in notes)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as handle:
        handle.write(text)
