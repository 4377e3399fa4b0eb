"""Every row of egs/voxceleb against its record: settings, schedules, and a step in miniature."""

import json

import pytest
from published_rows import RECORD, ROWS, describe, settings, write_features


@pytest.fixture(scope="module")
def features(tmp_path_factory):
    folder = tmp_path_factory.mktemp("features")
    return {bands: write_features(folder / str(bands), bands) for bands in (40, 80)}


@pytest.fixture(scope="module")
def record():
    return json.loads(RECORD.read_text())


def test_every_row_has_a_record(record):
    assert sorted(record) == ROWS


@pytest.mark.parametrize("row", ROWS)
def test_a_row_is_what_it_was(row, record, features):
    found = describe(row, features[settings(row).model.mel_bins])
    found = json.loads(json.dumps(found))
    changed = [
        f"{part}.{name} was {value!r} and is {found[part].get(name)!r}"
        for part, values in record[row].items()
        for name, value in values.items()
        if found[part].get(name) != value
    ]
    assert not changed, "see tests/published_rows.py for what to do"
