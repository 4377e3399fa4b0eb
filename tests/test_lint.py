"""What no file of ours may do: run what it reads, start a shell, or be too long to read."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FORBIDDEN_CALLS = {"eval", "exec", "os.system", "os.popen", "yaml.load", "yaml.unsafe_load"}
FORBIDDEN_CALLS |= {"yaml.full_load", "yaml.load_all", "numpy.load", "np.load", "joblib.load"}
FORBIDDEN_IMPORTS = {"pickle", "cPickle", "dill", "cloudpickle", "marshal", "shelve", "joblib"}
FORBIDDEN_LOADERS = {"Loader", "UnsafeLoader", "FullLoader"}


def sources():
    folders = [ROOT / name for name in ("sv", "utils", "egs", "benchmarks", "local")]
    for path in sorted(path for folder in folders for path in folder.rglob("*")):
        if path.suffix == ".py":
            yield path
        elif path.is_file() and not path.suffix:
            with path.open("rb") as handle:
                if b"python" in handle.readline():
                    yield path


def dotted(node):
    """Return ``a.b.c`` of a name or attribute, "" of anything else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return ""


def offences(text):
    """Yield (line, what) of everything in Python source ``text`` that is forbidden."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names]
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""] + [f"{node.module}.{name}" for name in names]
            for name in names:
                if name.split(".")[0] in FORBIDDEN_IMPORTS or name in FORBIDDEN_CALLS:
                    yield node.lineno, f"import of {name}"
        elif isinstance(node, ast.Attribute) and node.attr in FORBIDDEN_LOADERS:
            if dotted(node.value) == "yaml":
                yield node.lineno, dotted(node)
        elif isinstance(node, ast.Call):
            name = dotted(node.func)
            words = {word.arg: word.value for word in node.keywords}
            if name in FORBIDDEN_CALLS:
                yield node.lineno, name
            if name == "torch.load" and not is_true(words.get("weights_only")):
                yield node.lineno, "torch.load without weights_only=True"
            shell = words.get("shell")
            if shell is not None and not (isinstance(shell, ast.Constant) and shell.value is False):
                yield node.lineno, "shell="


def is_true(node):
    return isinstance(node, ast.Constant) and node.value is True


def test_nothing_that_is_read_is_run():
    found = [
        f"{path.relative_to(ROOT)}:{line}: {what}"
        for path in sources()
        for line, what in offences(path.read_text(encoding="utf-8"))
    ]
    assert found == []
    names = {path.name for path in sources()}
    assert {"once", "launch", "train.py", "voxceleb.py", "harness.py"} <= names


def test_no_file_is_too_long_to_read():
    tests = (ROOT / "tests").rglob("*.py")
    long = {p.name: n for p in [*sources(), *tests] if (n := len(p.read_text().splitlines())) > 500}
    assert long == {}


def functions(text):
    """Yield (name, lines) of each function in Python source ``text``, docstring and all."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, node.end_lineno - node.lineno + 1


def test_no_function_is_too_long_to_see_at_once():
    long = [
        f"{path.relative_to(ROOT)}: {name} has {lines} lines"
        for path in (ROOT / "sv").rglob("*.py")
        for name, lines in functions(path.read_text(encoding="utf-8"))
        if lines > 60
    ]
    assert long == []
    assert list(functions("x = 1\n\n\nasync def f():\n    return 1\n")) == [("f", 2)]


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "from pickle import loads",
        "import yaml; yaml.load(x, Loader=yaml.SafeLoader)",
        "x = yaml.FullLoader",
        "from yaml import unsafe_load",
        "eval('1')",
        "exec(text)",
        "import os; os.system('ls')",
        "subprocess.run('ls', shell=True)",
        "subprocess.run('ls', shell=flag)",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "np.load(path, allow_pickle=True)",
    ],
)
def test_each_of_them_is_noticed(line):
    assert list(offences(line))


@pytest.mark.parametrize(
    "line",
    [
        "torch.load(path, weights_only=True)",
        "model.eval()",
        "yaml.safe_load(text)",
        "subprocess.run(['ls'], shell=False)",
        "text = 'eval(x) and pickle'",
    ],
)
def test_what_is_harmless_is_not(line):
    assert not list(offences(line))
