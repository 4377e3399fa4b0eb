"""Who may import whom: one direction, no circles, few modules at the root of ``sv``."""

import ast
import graphlib
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.whole

SV = Path(__file__).resolve().parent.parent / "sv"
ROOT = {"__init__", "cli", "config", "checkpoint", "device", "distributed", "errors", "files"}
ROOT |= {"lock", "model_paths", "numbers", "progress", "provenance", "text"}
MAY_IMPORT = {
    "machine": "",
    "kaldi": "",
    "audio": "",
    "features": "kaldi",
    "data": "kaldi audio features",
    "corpora": "kaldi audio data",
    "crops": "kaldi features data",
    "cluster": "kaldi data",
    "sampling": "crops cluster",
    "encoders": "",
    "losses": "",
    "methods": "crops sampling encoders losses",
    "training": "kaldi features data crops sampling encoders methods",
    "inference": "kaldi audio features data crops encoders",
    "scoring": "kaldi data",
    "report": "kaldi data inference scoring",
    "bin": "kaldi audio features data corpora crops cluster sampling training inference scoring "
    "report",
}
"""Package → packages below it, which it may import besides ``machine`` and the root of ``sv``."""
FROM_THE_ROOT = {"losses": set(), "machine": {"sv.errors"}}
"""Packages that import neither ``machine`` nor all of the root → what they may from the root."""


def imports(path, modules):
    """Return the modules of ours that a file imports, at its top or inside a function."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in modules else node.module for name in names}
    return found & modules.keys()


@pytest.fixture(scope="module")
def graph():
    """``sv.a.b`` → the modules that it imports."""
    modules = {}
    for path in SV.rglob("*.py"):
        parts = path.relative_to(SV.parent).with_suffix("").parts
        modules[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return {name: imports(path, modules) - {name} for name, path in modules.items()}


def package_of(module):
    """Return the package of a module; "" for the modules of the root."""
    name = module.split(".")[1:2]
    return name[0] if name and name[0] in MAY_IMPORT else ""


def test_packages_import_only_those_below_them(graph):
    order = list(MAY_IMPORT)
    for package, below in MAY_IMPORT.items():
        assert all(order.index(name) < order.index(package) for name in below.split())
    wrong = []
    for module in graph.keys() - {"sv"}:  # sv.load imports what it loads with, when it is called
        package = package_of(module)
        below = set(MAY_IMPORT.get(package, "").split())
        below |= set() if package in FROM_THE_ROOT else {"machine"}
        for other in graph[module]:
            home = package_of(other)
            allowed = home in below or home == package
            if not home and package:
                allowed = other in FROM_THE_ROOT.get(package, {other})
            wrong += [] if allowed else [f"{module} imports {other}"]
    assert sorted(wrong) == []


def test_no_modules_import_each_other(graph):
    graphlib.TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle


def test_the_root_holds_what_all_packages_share():
    assert {path.stem for path in SV.glob("*.py")} <= ROOT and len(ROOT) <= 14
    assert {path.parent.name for path in SV.glob("*/__init__.py")} <= MAY_IMPORT.keys()


def loaded_by(code, *arguments):
    """Return the names of the modules that an interpreter holds after ``code``."""
    code += "; print(*sys.modules)"
    command = [sys.executable, "-c", f"import sys; {code}", *map(str, arguments)]
    done = subprocess.run(command, cwd=SV.parent, capture_output=True, text=True, check=True)
    return done.stdout.split()


@pytest.mark.parametrize("name", ["ecapa", "fast_resnet34"])
def test_a_model_is_loaded_with_few_modules(write_model, tmp_path, name):
    model = write_model(tmp_path / "final.pt", name)
    loaded = loaded_by("import sv; sv.load(sys.argv[1])", model)
    assert "sv.inference.speaker_model" in loaded
    assert len([module for module in loaded if module.startswith("sv.")]) <= 40
    slow = {"torch._dynamo", "torchaudio", "lhotse", "sklearn", "scipy.stats", "matplotlib"}
    assert not slow.intersection(loaded)


def test_training_starts_without_what_only_some_trainings_use():
    loaded = loaded_by("import sv.bin.train, sv.training.trainer")
    assert not {"sklearn", "scipy.stats", "matplotlib", "lhotse", "torchaudio"}.intersection(loaded)
