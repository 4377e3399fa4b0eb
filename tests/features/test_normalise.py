import pytest
import torch

from sv.features.normalise import normalise


@pytest.mark.parametrize("kind", ["none", "mean", "mean_var"])
def test_padding_has_no_part_in_it(kind):
    lengths = torch.tensor([7, 12, 1])
    batch = torch.randn(3, 12, 4)
    result = normalise(batch, kind, lengths)
    for row, length in enumerate(lengths):
        alone = normalise(batch[row : row + 1, :length], kind)
        torch.testing.assert_close(result[row, :length], alone[0])


def test_mean_and_deviation_are_gone():
    crops = 3 + 5 * torch.randn(2, 3, 200, 4)
    result = normalise(crops, "mean_var")
    assert result.mean(dim=-2).abs().max() < 1e-5
    assert (result.std(dim=-2, correction=0) - 1).abs().max() < 1e-4


def test_constant_band_stays_finite():
    assert normalise(torch.full((1, 10, 2), 4.0), "mean_var").abs().max() == 0
