"""Peers in environments of their own."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

ENVS = Path(__file__).parent.parent / ".envs"
REQUIREMENTS = {
    "pymbar": ["pymbar==4.0.3"],
    "rbms": ["torch==2.13.0", "rbms==0.5.0"],
    "thrml": ["thrml==0.1.4"],
    "hamon": ["hamon==0.12.0"],
    "skimage": ["scikit-image==0.26.0"],
    "torchebm": ["torch==2.13.0", "torchebm==0.8.9"],
}
OLDEST_PYTHON = {"hamon": (3, 12)}


class Missing(Exception):
    """A peer that cannot run on this machine; the message says why."""


def python(peer: str) -> Path:
    """The interpreter of a peer's environment, which is made when first asked for; our own for energax.

    Raises:
        Missing: No Python on this machine is new enough for the peer.
    """
    if peer == "energax":
        return Path(sys.executable)
    folder = ENVS / peer
    if not (folder / "bin" / "python").exists():
        subprocess.run([interpreter(peer), "-m", "venv", folder], check=True)
        for requirement in REQUIREMENTS[peer]:
            subprocess.run([folder / "bin" / "python", "-m", "pip", "install", "-q", requirement], check=True)
    return folder / "bin" / "python"


def interpreter(peer: str) -> str:
    """A Python that is new enough for a peer: our own, or one that is installed beside it."""
    oldest = OLDEST_PYTHON.get(peer, (3, 10))
    if sys.version_info[:2] >= oldest:
        return sys.executable
    names = [f"python3.{minor}" for minor in range(14, oldest[1] - 1, -1)]
    found = [path for name in names if (path := shutil.which(name))]
    for minor in range(14, oldest[1] - 1, -1):
        found += sorted(map(str, Path.home().glob(f".pyenv/versions/3.{minor}.*/bin/python3")))
    check = f"import sys, venv; sys.exit(not {oldest} <= sys.version_info[:2])"
    for candidate in found:
        # A launcher of a version manager may be on the path and yet refuse to start.
        if subprocess.run([candidate, "-c", check], capture_output=True).returncode == 0:
            return candidate
    raise Missing(f"{peer} needs Python {oldest[0]}.{oldest[1]} or newer, and none was found; its rows are left out.")


def ask(peer: str, script: str, **arguments: object) -> dict:
    """Run a script of this folder in the peer's environment with JSON arguments; its JSON answer."""
    command = [python(peer), Path(__file__).parent / script, json.dumps(arguments)]
    done = subprocess.run([str(c) for c in command], check=True, capture_output=True, text=True)
    sys.stderr.write(done.stderr)
    return json.loads(done.stdout.strip().splitlines()[-1])
