"""What the tests of SSPS in training share."""

import pytest


@pytest.fixture(scope="session")
def ssps_data(tmp_path_factory, write_features):
    """Features of 26 utterances."""
    return write_features(tmp_path_factory.mktemp("data"), [50 + n for n in range(26)])


@pytest.fixture(scope="session")
def ssps_base(ssps_data, tmp_path_factory):
    """A training of two epochs on ``ssps_data``, from which SSPS goes on."""
    from tiny_training import SSPS_BASE, run

    return run(ssps_data, tmp_path_factory.mktemp("base"), [*SSPS_BASE, "train.epochs=2"])
