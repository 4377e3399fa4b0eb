"""The glossary has every figure that the code can log, and the document is written from it."""

import ast
from pathlib import Path

from sv.data.glossary import GLOSSARY, TRAINING, markdown, missing, term_of
from sv.training.log import epoch_row

SV = Path(__file__).parents[2] / "sv"
FIGURES = {"stats", "figures", "found", "shares"}
"""Names of the dictionaries of figures in methods, sampling and training."""
NOT_LOGGED = {"embeddings"}
"""What methods return beside their figures, for the rank."""


def test_the_document_is_the_table(root):
    found = (root / "docs" / "glossary.md").read_text()
    assert found == markdown(), (
        "write it again: python -c 'from sv.data.glossary import *; print(markdown(), end=\"\")' "
        "> docs/glossary.md"
    )


def test_every_sentence_is_one_and_ends():
    assert all(text.endswith(".") and len(text) > 20 for text in GLOSSARY.values())
    assert all(". " not in text for text in GLOSSARY.values())


def test_the_figures_of_an_epoch_are_explained():
    row = epoch_row(1, {"loss": 1.0}, 0.1, {"epoch": 1.0, "wait": 0.1}, 10)
    assert missing(row) == [] and missing(["rank", "oracle_speaker", "nothing"]) == ["nothing"]


def returned_figures(path):
    """Return the constant keys of dictionaries that are returned, or named as figures."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        inside = []
        if isinstance(node, ast.Return) and node.value is not None:
            inside = [node.value]
        elif isinstance(node, ast.Assign | ast.AugAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names = {
                getattr(t, "id", getattr(getattr(t, "value", None), "id", "")) for t in targets
            }
            inside = [node.value] if names & FIGURES else []
            if names & FIGURES:
                keys = [t.slice for t in targets if isinstance(t, ast.Subscript)]
                found |= {key.value for key in keys if isinstance(key, ast.Constant)}
        for part in inside:
            for inner in ast.walk(part):
                if isinstance(inner, ast.Dict):
                    found |= {k.value for k in inner.keys if isinstance(k, ast.Constant)}
    return {name for name in found if isinstance(name, str) and " " not in name}


def test_every_figure_in_the_source_of_a_method_is_explained():
    files = [*(SV / "methods").glob("*.py"), SV / "sampling" / "ssps.py"]
    files += [SV / "sampling" / name for name in ("chns.py", "cluster_batches.py")]
    names = set().union(*(returned_figures(path) for path in files))
    settings = {"count", "clusters", "assignments", "centroids", "weights", "inv", "var", "cov"}
    settings |= {"nce", "bce", "mine", "margin_type", "margin_state"}  # no figures, but arguments
    assert missing(names - settings - NOT_LOGGED) == []
    assert len(names & TRAINING.keys()) > 25


def test_a_heading_finds_its_term():
    assert term_of("EER % within") == "EER" and term_of("minDCF p=0.01") == "minDCF"
    assert term_of("p-value of EER") == "p-value" and term_of("system") is None
