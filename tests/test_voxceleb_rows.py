"""Rows of egs/voxceleb against what their authors ran, and the list of the README."""

import importlib.util
import shlex
import sys
from pathlib import Path

import pytest
import test_recipe_options

from sv.training.experiment import Experiment

ROOT = Path(__file__).resolve().parent.parent
CORPUS = ROOT / "egs" / "voxceleb"


@pytest.fixture(scope="module")
def module():
    path = CORPUS / "local" / "differences.py"
    spec = importlib.util.spec_from_file_location("differences", path)
    loaded = importlib.util.module_from_spec(spec)
    before = list(sys.path)
    spec.loader.exec_module(loaded)
    sys.path[:] = before
    return loaded


def row_of(module, config):
    return next(row for row in module.ROWS if row.config == config)


def test_the_readme_holds_what_the_program_prints(module, capsys):
    module.main([])
    printed = capsys.readouterr().out
    page = (CORPUS / "README.md").read_text()
    assert page.split(module.BEGIN)[1].split(module.END)[0] == printed, (
        "run python egs/voxceleb/local/differences.py --write true"
    )


def test_every_file_of_settings_is_a_row(module):
    files = {
        str(path.relative_to(CORPUS))
        for version in ("v1", "v2", "v3")
        for path in (CORPUS / version / "conf").glob("*.yaml")
    }
    assert sorted(row.config for row in module.ROWS) == sorted(files)


def test_a_changed_setting_is_listed(module):
    row = row_of(module, "v1/conf/simclr_am_0.1.yaml")
    before = module.differences(row)
    changed = row._replace(settings=row.settings | {"optim.lr": 0.002, "data.crops": "around"})
    found = [text for text in module.differences(changed) if text not in before]
    assert sorted(found) == [
        "`data.crops` is apart, theirs around.",
        "`optim.lr` is 0.001, theirs 0.002.",
    ]
    swav = row_of(module, "v2/conf/swav.yaml")
    assert any("3,000 as in the paper" in text for text in module.differences(swav))
    other = row._replace(more="--max-rooms 500")
    assert "`max_rooms` is 500, theirs 0." in module.differences(other)


def test_rows_as_published_differ_in_no_setting_and_no_option(module):
    rows = [row for row in module.ROWS if "as_published" in row.config]
    assert {row.config[:2] for row in rows} == {"v1", "v2"}
    for row in rows:
        assert row.more
        ours = Experiment.load(CORPUS / row.config).to_dict()
        assert module.differences(row) == module.of_the_code(row, ours)
        # Stages 1 and 2 make what the settings want.
        given = module.options_of(row.more)
        assert given["preset"] == ours["data"]["preset"] != "kaldi"
        assert (given["wave"] == "true") == (ours["data"]["domain"] == "wave")
        words = shlex.split(module.command(row))
        known = test_recipe_options.of_recipe(f"egs/voxceleb/{row.config[:2]}")
        assert [word for word in words if word[:2] == "--" and word[2:] not in known] == []


def test_all_rows_but_ours_name_the_settings_of_their_authors(module):
    assert [row.config for row in module.ROWS if not row.settings] == [
        "v1/conf/angular.yaml",
        "v1/conf/simclr_small_gpu.yaml",
        "v2/conf/rdino.yaml",
        "v2/conf/sdpn.yaml",
    ]
    for row in module.ROWS:
        known = Experiment.load(CORPUS / row.config).to_dict()
        for key in row.settings:
            part, name = key.split(".")
            assert name in known[part], f"{row.config}: {key}"
        assert set(row.options) <= set(module.defaults(row.config[:2]))
