"""The origin of a result: the commit of the code, and the machine."""

import subprocess
from pathlib import Path


def git_commit() -> str:
    """Return the short commit of this code, with ``-dirty`` for uncommitted changes; or ``-``."""
    root = Path(__file__).resolve().parent
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=10"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "-"
