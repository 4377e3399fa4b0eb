"""Options of the recipes: common ones, those that documents name, defaults of programs."""

import re
import shlex
import subprocess
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
RECIPES = sorted(str(path.parent.relative_to(ROOT)) for path in ROOT.glob("egs/*/v*/run.sh"))
SCRIPTS = sorted([*ROOT.glob("local/*.sh"), *ROOT.glob("egs/*/local/*.sh")])
COMMON = ["stage", "stop-stage", "data", "nj", "ngpu", "nnodes", "set", "seed", "last", "name"]
COMMON += ["force"]
DOCUMENTS = sorted(
    [ROOT / "README.md", *ROOT.glob("docs/*.md")]
    + [*ROOT.glob("egs/*/README.md"), *ROOT.glob("egs/*/v*/RESULTS.md")]
)
RUN = r"(?<!tests/)\brun\.sh\b"  # the front door, or a recipe
FRONT_DOOR = {"recipe", "help"}  # of the run.sh of the repository
# What shell scripts decide themselves, though their programs know these words too.
OF_THE_SHELL = {"force", "trials", "corpus", "base", "labels", "clusters", "wave", "download"}
OF_THE_SHELL |= {"config", "converted", "k", "name", "group-speakers", "exclude"}


def relative(path):
    return str(path.relative_to(ROOT))


@cache
def options(script):
    """Return {option: default} that the script's --help lists."""
    done = subprocess.run(["bash", script, "--help"], capture_output=True, text=True, check=True)
    found = re.findall(r"^  --([a-z][a-z0-9-]*) .*?(?:\(default: (.*)\))?$", done.stdout, re.M)
    return dict(found)


def of_recipe(recipe):
    return options(ROOT / recipe / "run.sh").keys() | {"help"}


def commands(text):
    """Yield the words of each shell command in the text: lines in fences and code in sentences."""
    for block in re.findall(r"^```(?:sh|bash)\n(.*?)^```", text, re.M | re.S):
        variables = dict(re.findall(r'^(\w+)="(.*)"', block, re.M))
        for name, value in variables.items():
            block = re.sub(rf"(?<!\")\${name}\b", lambda _, value=value: value, block)
        for line in block.replace("\\\n", " ").splitlines():
            if re.search(RUN, line) and not line.startswith("#"):
                yield shlex.split(line, comments=True)
    for code in re.findall(r"`([^`\n]*)`", text):
        if re.search(RUN, code) and "<corpus>" not in code:  # which stands for any
            yield shlex.split(code)


def recipe_of(words, document):
    """Return the recipe that a command runs: the one it names, or that of the document's folder."""
    start = next(number for number, word in enumerate(words) if word.endswith("run.sh"))
    if "--recipe" in words:
        return words[words.index("--recipe") + 1], words[start + 1 :]
    if words[start].startswith("egs/"):
        return words[start].removesuffix("/run.sh"), words[start + 1 :]
    if document.name == "RESULTS.md":
        return relative(document.parent), words[start + 1 :]
    if document.parent != ROOT and document.name == "README.md":
        return f"{relative(document.parent)}/v1", words[start + 1 :]
    return ("egs/mini/v4" if document.name == "csc.md" else "egs/mini/v1"), words[start + 1 :]


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_common_options_exist(recipe):
    help_text = options(ROOT / recipe / "run.sh")
    assert [name for name in COMMON if name not in help_text] == []
    corpus = {
        "custom": "corpus trials layout group-speakers max-bad simulate-channels noise rir wave "
        "num-mel-bins",
        "mini": "wave",
        "voxceleb": "voxceleb1 voxceleb2 musan rirs trials counts download lists train-set "
        "contaminated converted babble max-rooms num-mel-bins",
    }[recipe.split("/")[1]]
    assert [name for name in corpus.split() if name not in help_text] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=relative)
def test_commands_in_documents_have_options_that_exist(document):
    for words in commands(document.read_text()):
        recipe, rest = recipe_of(words, document)
        known = of_recipe(recipe) | FRONT_DOOR
        given = [word[2:].partition("=")[0] for word in rest if word.startswith("--")]
        assert [name for name in given if name not in known] == [], shlex.join(words)


@pytest.mark.parametrize("folder", ["custom", "mini", "voxceleb"])
def test_options_that_the_pages_of_a_corpus_name_exist(folder):
    """Pages of one recipe name its own options; README.md those of some recipe of the corpus."""
    scripts = {name for script in SCRIPTS if script.name != "corpus.sh" for name in options(script)}
    for page in [*ROOT.glob(f"egs/{folder}/README.md"), *ROOT.glob(f"egs/{folder}/v*/RESULTS.md")]:
        recipes = [relative(page.parent)] if page.name == "RESULTS.md" else RECIPES
        known = set().union(*(of_recipe(r) for r in recipes if f"/{folder}/" in r)) | FRONT_DOOR
        known |= {"max-jobs"} | (scripts if page.name == "RESULTS.md" else set())
        named = re.findall(r"`--([a-z][a-z-]*)[ `]", page.read_text())
        assert [name for name in named if name not in known] == [], relative(page)


def test_the_table_of_options_in_the_readme_names_options_of_all_recipes():
    section = (ROOT / "README.md").read_text().split("\n## Options\n")[1].split("\n## ")[0]
    named = [re.findall(r"--([a-z-]+)", line.split(" | ")[0]) for line in section.splitlines()]
    named = [
        name
        for line, names in zip(section.splitlines(), named, strict=True)
        if line.startswith("| `--")
        for name in names
    ]
    assert {"data", "stage", "set", "force"} <= set(named)
    for recipe in RECIPES:
        # The first recipe of a corpus takes a file of settings, the others a method.
        alone = {"config"} if not recipe.endswith("v1") else set()
        assert set(named) - alone - of_recipe(recipe) - FRONT_DOOR == set(), recipe


def test_results_stand_beside_the_commands_that_made_them():
    for recipe in RECIPES:
        text = (ROOT / recipe / "run.sh").read_text()
        assert text.endswith("\n# results: RESULTS.md\n")
        page = ROOT / recipe / "RESULTS.md"
        assert any(recipe_of(words, page)[0] == recipe for words in commands(page.read_text()))


def assigned(script):
    """Return the variables of a script that are options."""
    head = script.read_text().partition('/utils/parse_options.sh"')[0]
    return dict(re.findall(r"^([a-z]\w*)=(.*?)(?:\s+#.*)?$", head, re.M))


@pytest.mark.parametrize("script", SCRIPTS, ids=relative)
def test_defaults_of_programs_stand_in_the_programs_alone(script):
    text = script.read_text()
    programs = re.findall(r"-m \"?sv\.bin\.(\w+)|\$here/(\w+)\.py", text)
    sources = [ROOT / "sv" / "bin" / f"{name}.py" for name, _ in programs if name[-1:] not in "_"]
    for name, _ in programs:
        if name.endswith("_"):  # prepare_$name
            sources += (ROOT / "sv" / "bin").glob(f"{name}*.py")
    sources += [script.parent / f"{name}.py" for _, name in programs if name]
    known = set(re.findall(r'"--([a-z][a-z0-9-]*)"', "".join(p.read_text() for p in sources)))
    for name, default in assigned(script).items():
        if name.replace("_", "-") in known - OF_THE_SHELL and not default.startswith("${"):
            assert default == "", f"{name} has a default in the program, too"
    marked = re.findall(r"^(\w+)=(\S*)[ \t]+# (?:[A-Za-z|]*\|)?program: ", text, re.M)
    assert [name for name, default in marked if default] == []


@pytest.mark.parametrize("corpus", ["custom", "mini", "voxceleb"])
def test_options_of_a_corpus_repeat_no_default_of_a_program(corpus):
    """The recipes of VoxCeleb take fewer rooms than the program."""
    file = ROOT / "egs" / corpus / "local" / "corpus.sh"
    marked = set()
    for script in [*ROOT.glob("local/*.sh"), *file.parent.glob("*.sh")]:
        found = re.findall(r"^(\w+)=[ \t]+# (?:[A-Za-z|]*\|)?program: ", script.read_text(), re.M)
        marked |= set(found) if script != file else set()
    wrong = {name for name, value in assigned(file).items() if name in marked and value}
    assert wrong - OF_THE_SHELL <= {"max_rooms"}


@pytest.mark.parametrize(
    "script", [*SCRIPTS, *(ROOT / recipe / "run.sh" for recipe in RECIPES)], ids=relative
)
def test_every_option_is_read(script):
    text = script.read_text()
    if script.name == "corpus.sh":
        text += "".join(p.read_text() for p in script.parent.parent.glob("v*/run.sh"))
    elif script.name == "run.sh":
        text += (script.parent.parent / "local" / "corpus.sh").read_text()
    if ". in_processes.sh" in text:
        text += (ROOT / "utils" / "in_processes.sh").read_text()
    for name in assigned(script):
        read = re.search(rf"\$\{{?!?{name}\b(?!:-\d|:-false)|(?:hand_on|export) .*\b{name}\b", text)
        assert read, name


def test_a_setting_that_was_not_given_is_not_handed_on(tmp_path):
    script = tmp_path / "demo.sh"
    script.write_text(
        "#!/usr/bin/env bash\n# Usage: demo.sh\nset -euo pipefail\n"
        "lda_dim=    # program: dimensions\niterations= # program: rounds\n"
        f'. "{ROOT}/utils/parse_options.sh"\nwords=(plda)\nhand_on words lda_dim iterations\n'
        'printf "%s\\n" "${words[*]}" "$given_options"\n'
    )

    def run(*words):
        done = subprocess.run(["bash", script, *words], capture_output=True, text=True, check=True)
        return done.stdout.splitlines()

    assert run() == ["plda", " "]
    assert run("--iterations", "3") == ["plda --iterations 3", " iterations "]
    assert "dimensions (default: that of the program)" in "\n".join(run("--help"))


def test_a_script_takes_options_and_their_texts_from_files_that_it_sources(tmp_path):
    (tmp_path / "common.sh").write_text(
        'option_files+=("${BASH_SOURCE[0]}")\nlast=10 # epochs to average\nseed=0 # of all\n'
    )
    script = tmp_path / "demo.sh"
    script.write_text(
        "#!/usr/bin/env bash\n# Usage: demo.sh\nset -euo pipefail\n"
        f'. "{tmp_path}/common.sh"\nlast=5\nname=x # of it\n. "{ROOT}/utils/parse_options.sh"\n'
        'echo "$last $seed $name"\n'
    )

    def run(*words):
        return subprocess.run(["bash", script, *words], capture_output=True, text=True)

    assert run("--seed", "2").stdout == "5 2 x\n"
    lines = [" ".join(line.split()) for line in run("--help").stdout.splitlines()]
    assert lines[-4:-1] == [
        "--last epochs to average (default: 5)",
        "--name of it (default: x)",
        "--seed of all (default: 0)",
    ]
    assert "nearest: --seed" in run("--sed", "1").stderr
    assert "--seed takes a whole number" in run("--seed", "x").stderr


def test_the_environment_of_a_recipe_is_the_default_of_a_script(tmp_path):
    environment = {"PATH": "/usr/bin:/bin", "nj": "7", "force": "true"}
    for script in ("embed.sh", "extract_features.sh", "train.sh"):
        words = ["bash", ROOT / "local" / script, "--help"]
        printed = subprocess.run(words, env=environment, capture_output=True, text=True).stdout
        assert "(default: true)" in printed.split("\n  --force ")[1]
        assert (
            script == "train.sh" or "(default: 7)" in printed.split("\n  --nj ")[1].splitlines()[0]
        )
