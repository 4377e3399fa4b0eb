import math

import pytest
import torch
import torch.nn.functional as F

from sv.methods.figures import output_use, pair_cosines, unit_spread


def test_cosines_against_a_loop():
    generator = torch.Generator().manual_seed(0)
    z1, z2 = torch.randn(2, 5, 3, generator=generator)
    found = pair_cosines(z1, z2)
    cosine = F.cosine_similarity(z1[:, None], z2[None], dim=2)
    assert float(found["positive_cosine"]) == pytest.approx(float(cosine.diagonal().mean()))
    others = (cosine.sum() - cosine.trace()) / 20
    assert float(found["negative_cosine"]) == pytest.approx(float(others), abs=1e-6)


def test_use_of_outputs():
    one_each = output_use(torch.eye(4))
    assert float(one_each["output_entropy"]) == 0.0
    assert float(one_each["usage_entropy"]) == pytest.approx(math.log(4))
    uniform = output_use(torch.full((3, 4), 0.25))
    assert float(uniform["output_entropy"]) == pytest.approx(math.log(4))
    assert float(uniform["usage_entropy"]) == pytest.approx(uniform["entropy_ceiling"])


def test_unit_spread_is_one_on_the_sphere_and_zero_in_a_point():
    cloud = torch.randn(4000, 16, generator=torch.Generator().manual_seed(0))
    assert unit_spread(3 * cloud) == pytest.approx(1.0, abs=0.01)
    assert unit_spread(torch.ones(10, 16)) == pytest.approx(0.0, abs=1e-6)
