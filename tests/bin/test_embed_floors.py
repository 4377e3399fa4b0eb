"""Systems without a network: files in, files out, and one sentence for what is wrong."""

import numpy as np
import pytest

from sv.bin import embed_ivectors, embed_mean
from sv.errors import InputError
from sv.kaldi.arks import ArkWriter, load_vectors


@pytest.fixture
def sets(tmp_path):
    rng = np.random.default_rng(0)
    for name, count in (("train", 12), ("test", 4)):
        folder = tmp_path / name
        with ArkWriter(folder / "f.ark", folder / "feats.scp", compression=None) as writer:
            for number in range(count):
                writer.write(f"u{number}", rng.standard_normal((60, 24)).astype(np.float32))
    return tmp_path


def test_ivectors_of_both_sets_are_written(sets):
    given = ["--train", str(sets / "train"), "--data", str(sets / "test"), "--gaussians", "4"]
    embed_ivectors.main([*given, "--rank", "5", "--out", str(sets / "out")])
    for name, count in (("train", 12), ("test", 4)):
        ids, vectors = load_vectors(sets / "out" / f"{name}.scp")
        assert len(ids) == count and vectors.shape == (count, 5) and np.isfinite(vectors).all()
    embed_ivectors.main([*given, "--rank", "5", "--out", str(sets / "again")])
    assert (sets / "out/test.ark").read_bytes() == (sets / "again/test.ark").read_bytes()
    with pytest.raises(InputError, match="12 training utterances"):
        embed_ivectors.main([*given, "--rank", "13", "--out", str(sets / "out")])


def test_means_of_cepstra_and_their_deviations(sets):
    given = ["--data", str(sets / "test"), "--center-on", str(sets / "train"), "--cepstra", "10"]
    embed_mean.main([*given, "--out", str(sets / "m/test")])
    embed_mean.main([*given, "--deviation", "true", "--out", str(sets / "d/test")])
    _, means = load_vectors(sets / "m/test.scp")
    _, both = load_vectors(sets / "d/test.scp")
    assert means.shape == (4, 10) and both.shape == (4, 20)
    np.testing.assert_allclose(both[:, :10], means, atol=1e-6)
