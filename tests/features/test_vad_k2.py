"""k2 finds the same paths as our own search, in an environment of its own."""

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from sv.features.vad_automaton import best_labels, speech_automaton

pytestmark = pytest.mark.whole

ROOT = Path(__file__).resolve().parents[2]
DECODE = """
import importlib.util, sys
import numpy as np

spec = importlib.util.spec_from_file_location("vad_k2", sys.argv[1])
vad_k2 = importlib.util.module_from_spec(spec)
spec.loader.exec_module(vad_k2)
for path in sys.argv[2:]:
    given = np.load(path)
    arcs = [(int(a), int(b), int(c), float(d)) for a, b, c, d in given["arcs"]]
    decoder = vad_k2.K2Decoder.of(arcs)
    assert vad_k2.K2Decoder.of(arcs) is decoder
    paths = decoder(given["scores"], given["lengths"])
    np.savez(path + ".found.npz", *paths)
"""


@pytest.fixture(scope="module")
def python_with_k2():
    """The interpreter of an environment that has k2: see utils/make_k2_env."""
    place = os.environ.get("SV_K2_PYTHON", str(ROOT / ".venv-k2" / "bin" / "python"))
    if not Path(place).exists():
        pytest.skip("no environment with k2: utils/make_k2_env makes it (or set SV_K2_PYTHON)")
    return place


@pytest.mark.parametrize("seed", range(3))
def test_k2_and_our_own_search_find_the_same_paths(python_with_k2, tmp_path, seed):
    rng = np.random.default_rng(seed)
    paths, wanted = [], []
    for silence, speech, cost, rows, frames in ((1, 1, 0.0, 9, 400), (30, 20, 3.5, 4, 900)):
        automaton = speech_automaton(silence, speech, cost / 2, cost)
        scores = rng.normal(0, 2, (rows, frames, 2)).astype(np.float32)
        lengths = np.concatenate([[frames, 1], rng.integers(1, frames + 1, rows - 2)])
        paths.append(str(tmp_path / f"{silence}.npz"))
        np.savez(paths[-1], arcs=np.array(automaton.arcs), scores=scores, lengths=lengths)
        wanted.append(best_labels(automaton, scores, lengths))
    module = ROOT / "sv" / "features" / "vad_k2.py"
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [python_with_k2, "-c", DECODE, module, *paths]
    done = subprocess.run(command, capture_output=True, text=True, env=clean)
    assert done.returncode == 0, done.stderr
    for path, ours in zip(paths, wanted, strict=True):
        with np.load(f"{path}.found.npz") as found:
            k2s = [found[f"arr_{number}"] for number in range(len(ours))]
        assert all(np.array_equal(a, b) for a, b in zip(ours, k2s, strict=True))


def test_a_missing_k2_is_named_with_the_remedy():
    from sv.errors import InputError
    from sv.features.vad_automaton import choose_decoder

    try:
        import k2  # noqa: F401
    except ImportError:
        with pytest.raises(InputError, match="take --decoder viterbi, which gives the same paths"):
            choose_decoder("k2")
        assert choose_decoder("auto") is best_labels
