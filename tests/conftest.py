"""What several tests share."""

import contextlib
import os
import signal
from collections import Counter
from pathlib import Path

import pytest

# Two OpenMP threads that wait for each other in loops of tiny operations are slower than one by
# far as soon as anything else runs. Set before torch is imported; subprocesses inherit it.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A shell that puts the tests into the background lets them ignore SIGINT, and so the programs
# that are tested for obeying it.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    with contextlib.suppress(ValueError):  # not in the main thread
        signal.signal(signal.SIGINT, signal.default_int_handler)

with contextlib.suppress(ImportError):  # not all tests need it
    from hypothesis import settings

    # Examples are not timed: a machine that is busy with something else is no defect of ours.
    settings.register_profile("untimed", deadline=None)
    settings.load_profile("untimed")

ROOT = Path(__file__).resolve().parent.parent


def pytest_addoption(parser):
    parser.addoption("--slow", action="store_true", help="also run the tests that take minutes")
    parser.addoption("--thorough", action="store_true", help="also run those of half a minute each")
    parser.addoption("--fuzz", type=int, default=1, help="times as many examples of bad input")


def pytest_collection_modifyitems(config, items):
    # The longest first: at the end, short tests keep all processes busy.
    items.sort(key=lambda item: 0 if "recipe" in item.keywords else 2 - ("whole" in item.keywords))
    slow = config.getoption("--slow")
    left_out = {} if slow else {"slow": "takes minutes: --slow runs it"}
    if not slow and not config.getoption("--thorough"):
        left_out["thorough"] = "takes half a minute: --thorough runs it, and CI does"
    for item in items:
        for name, reason in left_out.items():
            if name in item.keywords:
                item.add_marker(pytest.mark.skip(reason=reason))


def pytest_terminal_summary(terminalreporter):
    """Count the skipped tests by reason, a line each: a skipped test that nobody sees is lost."""
    reasons = Counter()
    for report in terminalreporter.stats.get("skipped", []):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        reasons[str(reason).removeprefix("Skipped: ")] += 1
    terminalreporter.section(f"{sum(reasons.values())} skipped")
    for reason, count in reasons.most_common():
        terminalreporter.write_line(f"{count:5d}  {reason}")


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return ROOT


@pytest.fixture(scope="session")
def reference_folder() -> Path:
    """Values of independent implementations.

    They are kept outside the repository: ``SV_REFERENCE`` names their folder.
    """
    folder = Path(os.environ.get("SV_REFERENCE", ROOT.parent / "shared" / "reference"))
    if not (folder / "losses.npz").exists():
        pytest.skip("no reference/losses.npz here: set SV_REFERENCE to the folder that has it")
    return folder


@pytest.fixture(scope="session")
def reference_losses(reference_folder):
    """Loss values of independent implementations, as an npz archive."""
    np = pytest.importorskip("numpy")
    return np.load(reference_folder / "losses.npz")


@pytest.fixture(scope="session")
def write_features():
    """A function that writes a small directory of features and returns its path."""
    np = pytest.importorskip("numpy")

    def write(folder: Path, lengths: list[int], dim: int = 8, seed: int = 0) -> Path:
        from sv.kaldi.arks import ArkWriter

        folder.mkdir(parents=True, exist_ok=True)
        rng = np.random.default_rng(seed)
        counts = []
        with ArkWriter(folder / "feats.ark", folder / "feats.scp") as writer:
            for number, frames in enumerate(lengths):
                voice = rng.standard_normal(dim)  # what the crops of an utterance share
                features = voice + 0.5 * rng.standard_normal((frames, dim))
                writer.write(f"utt{number:03d}", features.astype(np.float32))
                counts.append(f"utt{number:03d} {frames}\n")
        (folder / "utt2num_frames").write_text("".join(counts))
        return folder

    return write


@pytest.fixture(scope="session")
def write_waves():
    """A function that writes a small directory of waveforms and returns its path."""
    np = pytest.importorskip("numpy")

    def write(folder: Path, lengths: list[int], seed: int = 0) -> Path:
        from sv.kaldi.arks import ArkWriter

        folder.mkdir(parents=True, exist_ok=True)
        rng = np.random.default_rng(seed)
        counts = []
        with ArkWriter(folder / "wav.ark", folder / "wav_ark.scp") as writer:
            for number, samples in enumerate(lengths):
                voice = 2 * np.pi * rng.uniform(0.05, 0.4) * np.arange(samples)
                waveform = 0.1 * np.sin(voice) + 0.05 * rng.standard_normal(samples)
                writer.write_waveform(f"utt{number:03d}", waveform, 16000)
                counts.append(f"utt{number:03d} {samples}\n")
        (folder / "utt2num_samples").write_text("".join(counts))
        return folder

    return write


@pytest.fixture
def stopped_after(monkeypatch):
    """A context in which training ends once (epoch, step) are done, as a signal ends it."""
    pytest.importorskip("torch")

    @contextlib.contextmanager
    def stopped(epoch: int, step: int):
        from sv.training.stopping import Interrupted
        from sv.training.trainer import Trainer

        with monkeypatch.context() as patch, pytest.raises(Interrupted):
            patch.setattr(Trainer, "stop_at", (epoch, step))
            yield

    return stopped


@pytest.fixture(scope="session")
def write_model():
    """A function that writes a ``final.pt`` of a tiny encoder with random weights."""
    torch = pytest.importorskip("torch")

    def write(path: Path, name: str = "ecapa", mel_bins: int = 8) -> Path:
        from sv import checkpoint
        from sv.encoders import ENCODERS, build_encoder

        sizes = {
            "ecapa": {"channels": 16, "pooled_channels": 48, "res2net_scale": 2},
            "fast_resnet34": {"channels": [16, 16, 16, 16]},
        }
        torch.manual_seed(1)
        config = ENCODERS[name][1](mel_bins=mel_bins, embedding_dim=12, **sizes[name])
        encoder = build_encoder(config)
        for module in encoder.modules():  # running statistics that are not trivial
            if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
                module.running_mean.normal_(0, 0.1)
                module.running_var.uniform_(0.5, 2)
        model = {"encoder": encoder.state_dict(), "model": vars(config), "normalise": "mean"}
        checkpoint.save(path, {**model, "epochs": [0]})
        return path

    return write
