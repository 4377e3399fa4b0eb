"""Other scores of the same embeddings, beside those of a system: centred, whitened, AS-normalised.

``local/score_kinds.sh`` makes them in ``<exp>/<kind>/scores``, without labels. The report has
tables of them. The system is what its settings say, and never the best of them on a test.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from sv.errors import InputError
from sv.report.card import System
from sv.report.tables import cost, difference_rows, percent
from sv.scoring.evaluate import SystemResult
from sv.scoring.score_file import read_info

COSINE = "cosine"
KINDS = ("centred", "whitened", "as-norm")


class Chosen(NamedTuple):
    """The scores of a system: its ``kind``, ``name`` and ``path``, and all kinds that it has.

    ``kinds``: kind -> (name, path), its own kind included; {} if there are no others. ``old``:
    files that are left out.
    """

    kind: str
    name: str
    path: Path
    kinds: dict[str, tuple[str, Path]]
    old: list[Path]


def choose_scores(
    systems: Sequence[tuple[str, Path]], kind: str, shown: Sequence[str]
) -> list[Chosen]:
    """Return the scores of each of ``systems``, (name, file of cosines).

    ``kind``: of the scores that are the system; ``shown``: other kinds to show if they exist. A
    system for comparison without scores of this kind keeps its cosines. Raises ``InputError`` if
    the first system has none.
    """
    chosen = []
    for number, (name, path) in enumerate(systems):
        others, old = _others(path, dict.fromkeys([*shown, kind]))
        kinds = {one: (f"{name} {one}", others[one]) for one in KINDS if one in others}
        if kinds:
            kinds = {COSINE: (name, path), **kinds}
        own = kind if kind in kinds else COSINE
        if own != kind and number == 0:
            wanted = path.parent.parent / kind / "scores" / path.name
            raise InputError(
                f"--score {kind}: there are no such scores, {wanted}, or they are older than their "
                "embeddings; run stage 7 (score_kinds.sh), which makes them"
            )
        chosen.append(Chosen(own, *kinds.get(own, (name, path)), kinds, old))
    return chosen


def _others(scores: Path, kinds: Iterable[str]) -> tuple[dict[str, Path], list[Path]]:
    """Return the other score files beside ``<exp>/scores/<set>``, and those that are too old.

    Scores that are older than their embeddings are of an earlier model.
    """
    found, old = {}, []
    for kind in kinds:
        path = scores.absolute().parent.parent / kind / "scores" / scores.name
        if kind != COSINE and path.is_file():
            embeddings = System.of(kind, path).embeddings
            late = embeddings and path.stat().st_mtime < embeddings.stat().st_mtime
            if late:
                old.append(path)
            else:
                found[kind] = path
    return found, old


def kind_tables(results: Sequence[SystemResult]) -> list[tuple[str, list[list[str]]]]:
    """Return (heading, rows with the header first): error rates by kind of score, and differences.

    There are none if no system has other scores.
    """
    kinds = [kind for kind in (COSINE, *KINDS) if any(kind in r.kinds for r in results)]
    if not kinds:
        return []
    eers = [["EER %", *kinds]]
    costs = {p: [[f"minDCF p={p:g}", *kinds]] for p in results[0].min_dcf}
    for result in results:
        every = [result.kinds.get(kind) for kind in kinds]
        name = plain_name(result)
        eers.append([name, *(_cell(one, "eer", percent) for one in every)])
        for p, rows in costs.items():
            rows.append([name, *(_cell(one, p, cost) for one in every)])
    first = results[0]
    plain = first.kinds.get(COSINE)
    named = [one for kind, one in first.kinds.items() if kind != COSINE]
    tables = [("Equal error rates by kind of score, all without labels", eers)]
    tables += [(f"Costs by kind of score, p = {p:g}", rows) for p, rows in costs.items()]
    if plain is not None:
        heading = f"Differences from the cosine of {plain.name}, on the same draws"
        tables.append((heading, difference_rows([plain, *named])))
    return [(heading, rows) for heading, rows in tables if rows]


def plain_name(result: SystemResult) -> str:
    """Return the name of a system without the kind of its scores."""
    plain = result.kinds.get(COSINE)
    return plain.name if plain is not None else result.name


def _cell(result: SystemResult | None, key: str | float, text) -> str:
    if result is None:
        return "-"
    point = result.eer if key == "eer" else result.min_dcf[key]
    return text(point.value, result.intervals.get(key))


def kinds_notes(chosen: Sequence[Chosen]) -> list[str]:
    """Return sentences on how the other scores of the first system were made, and on old ones."""
    parts = []
    for kind, (_, path) in chosen[0].kinds.items():
        info = read_info(path)
        norm, how = info.get("normalisation"), info.get("whitening")
        if norm:
            top = f", the {norm['top_n']} highest of each side" if "top_n" in norm else ""
            parts.append(f"{kind} by {norm['size']:,} {norm['members']} of {norm['cohort']}{top}")
        elif how and kind != COSINE:
            parts.append(f"{kind} by {how['by']}, from {how['learned_from']}")
    notes = [f"How the other scores were made: {'; '.join(parts)}."] if parts else []
    old = [str(path) for one in chosen for path in one.old]
    if old:
        notes.append(
            f"Left out, because they are older than their embeddings: {', '.join(old)}; run stage "
            "7 again."
        )
    return notes
