"""MBAR on harmonic oscillators, free energies and their error bars, beside pymbar with its NumPy back end.

Every fourth state is not drawn from. Both have the same reduced energies and must agree to 1e-8 in every free energy
and error bar before a time counts. Medians over rounds that take turns, of three repeats each.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
from peers import ask

from energax.estimators import mbar

NAME = "mbar-speed"
SIZES = ((8, 2_000), (32, 1_000), (64, 250))
ROUNDS, REPEATS = 3, 3
AGREEMENT = 1e-8


def run() -> list[dict]:
    rows = []
    for num_states, num_draws in SIZES:
        energies, counts = oscillators(num_states, num_draws)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "oscillators.npz"
            np.savez(path, energies=energies, counts=counts)
            rounds = [(ours(energies, counts), theirs(path)) for _ in range(ROUNDS)]
        peer = rounds[0][1]
        gap = difference(energies, counts, peer)
        assert gap <= AGREEMENT, f"the two differ by {gap:.2g}"
        size = f"{num_states} states, {counts.sum()} draws"
        ratio = statistics.median(other["seconds"] / mine for mine, other in rounds)
        shared = {"size": size, "largest difference": gap}
        mine, other = statistics.median(m for m, _ in rounds), statistics.median(o["seconds"] for _, o in rounds)
        rows.append(
            {**shared, "program": f"pymbar {peer['version']}, NumPy", "milliseconds": 1e3 * other, "ratio": 1.0}
        )
        rows.append({**shared, "program": "energax", "milliseconds": 1e3 * mine, "ratio": ratio})
    return rows


def oscillators(num_states: int, num_draws: int) -> tuple[np.ndarray, np.ndarray]:
    """Reduced energies k (x − c)² / 2 of all states at the draws of three in four of them."""
    rng = np.random.default_rng(0)
    stiffness = np.linspace(1.0, 4.0, num_states)
    centres = np.linspace(0.0, 0.25 * num_states, num_states)
    counts = np.where(np.arange(num_states) % 4 == 2, 0, num_draws)
    x = np.concatenate([rng.normal(c, k**-0.5, n) for c, k, n in zip(centres, stiffness, counts, strict=True)])
    return 0.5 * stiffness[:, None] * (x - centres[:, None]) ** 2, counts


def ours(energies: np.ndarray, counts: np.ndarray) -> float:
    seconds = []
    for _ in range(REPEATS):
        begin = time.perf_counter()
        mbar(energies, counts)
        seconds.append(time.perf_counter() - begin)
    return statistics.median(seconds)


def theirs(path: Path) -> dict:
    return ask("pymbar", "pymbar_speed.py", path=str(path), repeats=REPEATS)


def difference(energies: np.ndarray, counts: np.ndarray, peer: dict) -> float:
    """The largest one of free energies and error bars against state 0."""
    found = mbar(energies, counts)
    bars = [0.0, *(found.difference(0, j).stderr for j in range(1, len(counts)))]
    return float(
        max(np.abs(found.free_energies - peer["free_energies"]).max(), np.abs(bars - np.array(peer["stderr"])).max())
    )
