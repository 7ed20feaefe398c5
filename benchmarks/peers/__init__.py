"""Peers in environments of their own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ENVS = Path(__file__).parent.parent / ".envs"
REQUIREMENTS = {"rbms": ["torch==2.13.0", "rbms==0.5.0"]}


def python(peer: str) -> Path:
    """The interpreter of a peer's environment, which is made when first asked for."""
    folder = ENVS / peer
    if not (folder / "bin" / "python").exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        for requirement in REQUIREMENTS[peer]:
            subprocess.run([folder / "bin" / "python", "-m", "pip", "install", "-q", requirement], check=True)
    return folder / "bin" / "python"


def ask(peer: str, script: str, **arguments: object) -> dict:
    """Run a script of this folder in the peer's environment with JSON arguments; its JSON answer."""
    command = [python(peer), Path(__file__).parent / script, json.dumps(arguments)]
    done = subprocess.run([str(c) for c in command], check=True, capture_output=True, text=True)
    return json.loads(done.stdout.strip().splitlines()[-1])
