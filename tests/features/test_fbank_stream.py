import numpy as np
import pytest

from sv.features import fbank
from sv.features.fbank_stream import fbank_of_blocks


@pytest.mark.parametrize("preset", ["kaldi", "sslsv"])
@pytest.mark.parametrize("rate", [8000, 16000])
def test_blocks_of_any_size_give_the_frames_of_the_whole(preset, rate):
    whole = 0.1 * np.random.default_rng(0).standard_normal(12_345).astype(np.float32)
    for samples in (0, 100, 399, 500, 12_345):
        expected = fbank(whole[:samples], rate, 24, preset)
        for size in (97, 1600, 5000, 12_345):
            pieces = (whole[at : min(at + size, samples)] for at in range(0, samples, size))
            found = [np.empty((0, 24), np.float32), *fbank_of_blocks(pieces, rate, 24, preset)]
            np.testing.assert_allclose(np.concatenate(found), expected, atol=1e-4)
