"""Explains why torch sees no GPU on a machine that has one; reads files and does not load torch.

The usual reason is an old driver. torch's packages on PyPI are built for a CUDA version that needs
a recent driver. Without it torch works on the CPU and gives no message.
"""

import importlib.util
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

OLDEST_DRIVER = {11: 450, 12: 525, 13: 580}
"""First driver for which each major version of CUDA works (NVIDIA's table of compatibility)."""

INDEX = "https://download.pytorch.org/whl/"
OLDER_BUILD = (12, "cu126")
"""CUDA version and name of a build for drivers that are too old for the packages on PyPI."""


@dataclass(frozen=True)
class Machine:
    """NVIDIA's driver and GPUs of a machine.

    driver: version of the driver, such as ``535.104.05``; "" if it is unknown.
    present: whether there is any sign of a GPU.
    """

    present: bool
    driver: str = ""

    @classmethod
    def look(
        cls,
        driver: Path = Path("/proc/driver/nvidia/version"),
        device: Path = Path("/dev/nvidia0"),
        program: str = "nvidia-smi",
    ) -> "Machine":
        """Look at the driver's file and the first device; if the file is missing, ask the program.

        In a container, the program and the driver may exist without a device.
        """
        try:
            text = driver.read_text(errors="replace")
        except OSError:
            text = ""
        found = re.search(r"Kernel Module.*?\s(\d+(?:\.\d+)+)", text)
        if found:
            return cls(True, found[1])
        version = _ask(program)
        return cls(device.exists() or bool(version), version)


def _ask(program: str) -> str:
    """Return the driver's version that nvidia-smi gives, or "" if there is no answer."""
    path = shutil.which(program)
    if path is None:
        return ""
    words = [path, "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(words, capture_output=True, text=True, errors="replace", timeout=20)
    except (OSError, subprocess.SubprocessError):
        return ""
    found = re.match(r"\d+(?:\.\d+)+", done.stdout) if done.returncode == 0 else None
    return found[0] if found else ""


@dataclass(frozen=True)
class Build:
    """The version of torch, and the version of CUDA for which it was built ("": none).

    other: torch was built for GPUs of another maker.
    """

    version: str
    cuda: str
    other: bool = False

    @classmethod
    def installed(cls, folder: Path | None = None) -> "Build | None":
        """Return the build from ``version.py`` in torch's folder; None if it cannot be read."""
        if folder is None:
            spec = importlib.util.find_spec("torch")
            if spec is None or spec.origin is None:
                return None
            folder = Path(spec.origin).parent
        try:
            text = (folder / "version.py").read_text()
        except OSError:
            return None
        version = re.search(r"^__version__\b.*?=\s*'([^']+)'", text, re.MULTILINE)
        cuda = re.search(r"^cuda\b.*?=\s*'([^']+)'", text, re.MULTILINE)
        other = re.search(r"^(?:hip|xpu)\b.*?=\s*'[^']+'", text, re.MULTILINE) is not None
        return cls(version[1], cuda[1] if cuda else "", other) if version else None


def why_none(machine: Machine, build: Build | None, hidden: str | None = None) -> str:
    """Return a sentence with the reason why torch sees no GPU, and the remedy.

    hidden: the value of CUDA_VISIBLE_DEVICES, None if it is not set.
    """
    if build is None:
        return "torch sees no GPU here"
    torch, driver = f"torch {build.version}", f"driver {machine.driver or 'of unknown version'}"
    oldest, (older_cuda, index) = max(OLDEST_DRIVER.values()), OLDER_BUILD
    older = f"pip install --force-reinstall torch torchaudio --index-url {INDEX}{index}"
    if concealed(hidden):
        return (
            f"{torch} sees no GPU, because CUDA_VISIBLE_DEVICES is '{hidden}': unset it, or name "
            "the GPUs in it"
        )
    if build.other:
        return f"{torch} is built for other GPUs than NVIDIA's, and sees none of those either"
    if not build.cuda:
        return (
            f"{torch} is built for processors alone and sees no GPU ({driver}): install a build "
            f"for CUDA ({older}; from driver {oldest} on, without --index-url)"
        )
    if not machine.present:
        return (
            f"{torch} sees no GPU here, and there is no NVIDIA driver: choose a machine that has "
            "one; in a container, start it with --gpus all (docker) or --nv (apptainer)"
        )
    major, have = int(build.cuda.split(".")[0]), int(machine.driver.split(".")[0] or 0)
    need = OLDEST_DRIVER.get(major, oldest)
    if have and have < need:
        remedy = f"install a driver from {need} on"
        if have >= OLDEST_DRIVER[older_cuda] and major > older_cuda:
            remedy += f", or a build of torch for an older CUDA ({older})"
        return (
            f"{torch} sees no GPU: it is built for CUDA {build.cuda}, which needs driver {need} or "
            f"newer, and this machine has {driver}: {remedy}"
        )
    return (
        f"{torch}, built for CUDA {build.cuda}, sees no GPU, though this machine has {driver}: "
        "does nvidia-smi list a GPU, does the queue give one to this job (--gpu), does the "
        "container have it (--gpus all)? If the driver is too old for this build, an older one "
        f"helps: {older}"
    )


def concealed(hidden: str | None) -> bool:
    """Return whether a value of CUDA_VISIBLE_DEVICES hides all GPUs on purpose."""
    return hidden is not None and hidden.split(",")[0].strip() in ("", "-1")


def explain(*, asked: bool) -> str | None:
    """Return `why_none` for this machine and this environment; call it if torch sees no GPU.

    asked: the user asked for a GPU. If not, the result is None unless the machine has a GPU that
    torch should see.
    """
    machine, hidden = Machine.look(), os.environ.get("CUDA_VISIBLE_DEVICES")
    if not asked and (concealed(hidden) or not machine.present):
        return None
    return why_none(machine, Build.installed(), hidden)
