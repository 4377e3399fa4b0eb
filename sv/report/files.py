"""The files of a report: figures as JSON, pictures, and a page with all of them."""

import datetime
import html
import json
import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from sv import config
from sv.data.trials import Trials
from sv.errors import InputError
from sv.files import atomic_write, sha256
from sv.kaldi.arks import load_vectors
from sv.provenance import git_commit
from sv.report.card import System, card_rows, list_version
from sv.report.differences import setting_rows, surprises
from sv.report.facts import UNKNOWN
from sv.report.page import Page, Picture, page
from sv.report.summary import Check, summary
from sv.report.tables import as_dict, best_in_columns, cost, figure_rows
from sv.scoring.evaluate import SystemResult

HEADINGS = {
    "det": "Errors at every threshold",
    "histogram": "Scores",
    "map": "Embeddings",
    "curves": "Training",
}
RECIPE = re.compile(r"/egs/([^/]+)/v\d+/")
"""The folder of a recipe in a path; its name is that of the corpus."""
FILES = {"det": "det", "histogram": "scores", "map": "map", "curves": "curves"}


@dataclass
class Outputs:
    """The paths of the files; a file with path None is not written.

    ``pictures``: key of ``HEADINGS`` -> files (PNG, PDF). Pictures without files are only on the
    page.
    """

    json: Path | None = None
    html: Path | None = None
    pictures: dict[str, list[Path]] = field(default_factory=dict)


@dataclass
class Report:
    """The contents of a report.

    ``tables``: (heading, rows with the header first). ``facts``: of the first training, by the keys
    of ``facts.FACTS``. ``intervals``: a description of the resampling. ``speakers``: number of
    speakers in the trials, if known. ``utt2spk``, ``utt2session``: true labels for the map.
    ``embeddings``: of the first system.
    """

    results: Sequence[SystemResult]
    systems: Sequence[System]
    trials: Trials
    tables: Sequence[tuple[str, Sequence[Sequence[str]]]]
    notes: list[str]
    facts: Mapping[str, str]
    checks: Sequence[Check] = ()
    intervals: str = UNKNOWN
    list_name: str = UNKNOWN
    speakers: int | None = None
    utt2spk: Mapping[str, str] | None = None
    utt2session: Mapping[str, str] | None = None
    embeddings: Path | None = None


def write_files(outputs: Outputs, report: Report) -> None:
    """Write the files in ``outputs``, each of them atomically."""
    pictures = _draw(outputs, report) if outputs.html or outputs.pictures else []
    trials = report.trials.path
    digest, commit = sha256(trials), git_commit()
    if outputs.json:
        record = {
            **_with_whitening(as_dict(report.results), report.systems),
            "trials": {"path": str(trials), "sha256": digest, "list": report.list_name},
            "training": dict(report.facts),
            "report_commit": commit,
            "checks": [check._asdict() for check in report.checks],
            "notes": list(report.notes),
        }
        with atomic_write(outputs.json) as handle:
            json.dump(record, handle, indent=1, ensure_ascii=False, allow_nan=False)
            handle.write("\n")
    if outputs.html:
        with atomic_write(outputs.html) as handle:
            handle.write(page(_page(report, pictures, digest, commit)))


def _with_whitening(record: dict, systems: Sequence[System]) -> dict:
    """Note the SHA-256 of the whitening of each system whose scores are cosines and nothing else.

    ``sv.bin.package`` looks for the figures of the whitening that it packages.
    """
    for figures, system in zip(record["systems"], systems, strict=True):
        info = system.info
        if info.get("whitening") and not info.keys() & {
            "normalisation",
            "calibration",
            "centred_on",
        }:
            figures["whitening"] = info["whitening"]["sha256"]
    return record


def _page(report: Report, pictures: Sequence[Picture], digest: str, commit: str) -> Page:
    from sv.report.plots import logged  # slow to load

    first, trials = report.results[0], report.trials
    name = report.list_name if report.list_name != UNKNOWN else list_version(trials)
    logs = [(system, read_log(system.log)) for system in report.systems if system.log]
    evaluation = [
        ["trial list", f"{trials.path} (sha256 {digest})"],
        ["list", name],
        ["trials", f"{len(trials):,}, {int(trials.labels.sum()):,} of them target"],
        ["priors (p_target)", ", ".join(f"{p:g}" for p in first.min_dcf)],
        ["intervals", report.intervals],
        ["report", f"{datetime.date.today().isoformat()}, commit {commit}"],
        ["command", _command()],
    ]
    return Page(
        title=_title(report, name),
        over=f"Speaker verification on {trials.path.parent.name}/{trials.path.name}: "
        + _systems([result.name for result in report.results]),
        summary=summary(report.results, trials, report.speakers),
        tiles=_tiles(first),
        checks=report.checks,
        tables=[*report.tables, *_settings(report.systems)],
        terms=logged({system.name: rows for system, rows in logs if rows}),
        bold={"Figures": best_in_columns(figure_rows(report.results))},
        notes=[*report.notes, *(t for system, rows in logs for t in surprises(system.name, rows))],
        pictures=pictures,
        card=card_rows(report.systems),
        evaluation=[row for row in evaluation if row[1] != UNKNOWN],
        configurations={
            system.name: text for system in report.systems if (text := system.configuration)
        },
    )


def _title(report: Report, list_name: str) -> str:
    """Return the method and the corpus, as far as they are known, such as ``simclr on mini``."""
    method = report.facts.get("method", UNKNOWN)
    method = report.results[0].name if method == UNKNOWN else method
    recipe = RECIPE.search(str(report.trials.path.absolute()))
    corpus = list_name if list_name != UNKNOWN else recipe and recipe[1]
    return f"{method} on {corpus}" if corpus else method


def _settings(systems: Sequence[System]) -> list[tuple[str, list[list[str]]]]:
    """Return the table of the settings that differ between the systems, if any does."""
    found = {}
    for system in systems:
        if system.exp is not None and (file := system.exp / "config.yaml").exists():
            groups = config.read_yaml(file)
            found[system.name] = {k: v for k, v in groups.items() if isinstance(v, dict)}
    rows = setting_rows(found) if len(found) > 1 else []
    return [("Settings that differ", rows)] if rows else []


def _systems(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= 3 else f"{names[0]} and {len(names) - 1} other systems"


def _command() -> str:
    program = "python -m sv.bin.report" if sys.argv[0].endswith(".py") else sys.argv[0]
    return f"{program} {shlex.join(sys.argv[1:])}"


def _tiles(first: SystemResult) -> list[tuple[str, str, str]]:
    def span(key, scale: float, digits: int) -> str:
        found = first.intervals.get(key)
        if found is None or found.low != found.low:
            return first.name
        low, high = scale * found.low, scale * found.high
        return f"95 % interval {low:.{digits}f} to {high:.{digits}f}"

    tiles = [("equal error rate", f"{100 * first.eer.value:.2f} %", span("eer", 100, 2))]
    for p, point in first.min_dcf.items():
        tiles.append((f"minDCF, p = {p:g}", cost(point.value), span(p, 1, 4)))
    return tiles


def _draw(outputs: Outputs, report: Report) -> list[Picture]:
    """Draw the pictures, write their files, and return the pictures for the page."""
    from sv.report import plots  # slow to load, so only for pictures
    from sv.report.plots import inline_svg

    drawn = []
    for key, (figure, caption, panels) in _figures(outputs, report).items():
        files = outputs.pictures.get(key, [])
        for path in files:
            plots.save(figure, path)
        if outputs.html:
            title = html.escape(HEADINGS[key])
            svgs = [  # names of their own, because ids inside come from the name
                inline_svg(panel, f"{title} {number}" if number else title)
                for number, panel in enumerate(panels or [figure])
            ]
            names = [path.name for path in files]
            drawn.append(Picture(HEADINGS[key], svgs if panels else svgs[0], caption, names))
    return drawn


def _figures(outputs: Outputs, report: Report) -> dict:
    """Return key -> (figure, caption, panels) for the pictures that the page or a file needs.

    ``panels``: the parts of the figure, which the page arranges by its width; [] for a single one.
    """
    from sv.report import plots

    wanted = set(HEADINGS) if outputs.html else set(outputs.pictures)
    first, figures = report.results[0], {}
    systems = {result.name: result.classes for result in report.results}
    if "det" in wanted:
        caption = (
            "DET curves: the share of target trials that are rejected, against the share of "
            "non-target trials that are accepted."
        )
        figures["det"] = plots.det_figure(systems, list(first.min_dcf)), caption, []
    if "histogram" in wanted:
        caption = (
            "The scores of target and non-target trials; the less they overlap, the fewer errors."
        )
        panels = [plots.histogram_figure({name: each}) for name, each in systems.items()]
        figures["histogram"] = plots.histogram_figure(systems), caption, panels
    if "map" in wanted and report.embeddings is not None:
        found = _map(report)
        if found is not None:
            figures["map"] = found
    if "curves" in wanted:
        logs = {system.name: read_log(system.log) for system in report.systems if system.log}
        logs = {name: rows for name, rows in logs.items() if rows}
        if logs:
            caption = f"Epoch by epoch: {', '.join(logs)}."
            figures["curves"] = plots.curves_figure(logs), caption, plots.curve_figures(logs)
    return figures


def _map(report: Report):
    from sv.report.embedding_map import embedding_map, map_figure, map_panels

    try:
        ids, vectors = load_vectors(report.embeddings)
    except InputError as error:
        report.notes.append(f"No map of embeddings: {error}.")
        return None
    wanted = set(report.trials.names)
    whole = np.isfinite(vectors).all(axis=1)
    rows = [row for row, name in enumerate(ids) if name in wanted and whole[row]]
    found = embedding_map([ids[row] for row in rows], vectors[rows])
    if found is None:
        return None
    caption = (
        f"Recordings of the trials by {report.results[0].name}, one dot each ({found.method})."
    )
    if found.method == "t-SNE":
        caption += " Neighbours are similar; long distances have no meaning."
    labels = report.utt2spk, report.utt2session
    return map_figure(found, *labels), caption, map_panels(found, *labels)


def read_log(path: Path) -> list[dict]:
    """Return the epochs of a ``train.jsonl``; [] if the file does not exist.

    Damaged lines are skipped, so that the picture lacks an epoch but the report is written.
    """
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict) and "epoch" in record:
            rows.append(record)
    return rows
