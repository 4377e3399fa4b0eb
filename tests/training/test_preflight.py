"""Limits of the system that are looked at before training."""

import resource

import pytest

from sv.errors import InputError
from sv.training import preflight


@pytest.fixture
def limits(monkeypatch):
    """A function that pretends limits of open files and returns those that get set."""

    def pretend(soft, hard):
        changed = []
        monkeypatch.setattr(preflight.os, "listdir", lambda path: ["fd"] * 10)
        monkeypatch.setattr(resource, "getrlimit", lambda kind: (soft, hard))
        monkeypatch.setattr(resource, "setrlimit", lambda kind, both: changed.append(both))
        return changed

    return pretend


NEED = 10 + preflight.SPARE_DESCRIPTORS + 2 * 4 + 5 + preflight.MOST_OPEN


@pytest.mark.parametrize("soft", [NEED, 10 * NEED, resource.RLIM_INFINITY])
def test_enough_open_files_are_left_as_they_are(limits, soft):
    changed = limits(soft, resource.RLIM_INFINITY)
    preflight.check_descriptors(4, [5, 100_000])
    assert changed == []


@pytest.mark.parametrize("hard", [NEED, 10 * NEED, resource.RLIM_INFINITY])
def test_a_limit_that_may_be_raised_is_raised(limits, hard):
    changed = limits(NEED - 1, hard)
    preflight.check_descriptors(4, [5, 100_000])
    assert changed == [(NEED, hard)]


def test_too_few_open_files_are_said_with_need_have_and_remedy(limits):
    limits(64, NEED - 1)
    with pytest.raises(InputError) as caught:
        preflight.check_descriptors(4, [5, 100_000])
    told = str(caught.value)
    assert f"needs {NEED} open files" in told and f"may have {NEED - 1}" in told
    assert "ulimit -n 1024" in told and "train.workers" in told
