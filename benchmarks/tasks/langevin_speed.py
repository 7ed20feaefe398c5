"""Langevin dynamics and HMC on a double well beside `torchebm`: its own sampler benchmark, in its own three sizes."""

from __future__ import annotations

import statistics
import time

import jax
import jax.numpy as jnp
import numpy as np
from peers import ask

import energax as ex

NAME = "langevin-speed"
SIZES = {"small": (64, 8, 50), "medium": (256, 32, 100), "large": (1024, 128, 200)}
STEP_SIZE, BARRIER = 1e-3, 2.0
PEER = "torchebm 0.8.9"
REPEATS = {"langevin": {"small": 40, "medium": 20, "large": 5}, "hmc": {"small": 10, "medium": 4, "large": 1}}
ROUNDS = 3


def run() -> list[dict]:
    gate()
    return [row for sampler in ("langevin", "hmc") for size in SIZES for row in compare(sampler, size)]


def compare(sampler: str, size: str) -> list[dict]:
    """The rows of one sampler in one size; programs take turns, and ratios are of the same round."""
    rounds: dict[str, list[dict[str, float]]] = {PEER: [], "energax, fast keys": [], "energax, threefry": []}
    chains, dim, steps = SIZES[size]
    for _ in range(ROUNDS):
        rounds[PEER].append(
            ask(
                "torchebm", "torchebm_speed.py", threads=2, sampler=sampler, chains=chains, dim=dim, steps=steps,
                step_size=STEP_SIZE, barrier=BARRIER, repeats=REPEATS[sampler][size],
            )
        )  # fmt: skip
        rounds["energax, fast keys"].append(ours(sampler, size, "fast"))
        rounds["energax, threefry"].append(ours(sampler, size, "as-given"))
    agree({who: [t["second_moment"] for t in times] for who, times in rounds.items()}, chains * dim)
    rows, theirs = [], rounds[PEER]
    for who, times in rounds.items():
        rows.append(
            {
                "sampler": sampler,
                "size": f"{size}: {chains} chains x {dim} x {steps} steps",
                "program": who,
                "milliseconds": 1e3 * statistics.median(t["seconds"] for t in times),
                "ratio": statistics.median(p["seconds"] / t["seconds"] for t, p in zip(times, theirs, strict=True)),
                "compile seconds": times[0].get("compile_seconds", 0.0),
            }
        )
    return rows


def gate() -> None:
    """No timing counts unless both kernels draw the right law: exact starts from N(0, 1) in the known way."""
    law = ex.densities.Gaussian(jnp.zeros(4))
    for kernel, variance in ((ex.kernels.ULA(0.2), 1 / (1 - 0.1)), (ex.kernels.HMC(0.3, 10), 1.0)):
        run = ex.sample(law, kernel, num_chains=5_000, num_steps=60, thin=60, key=jax.random.key(1))
        x = np.asarray(run.last, np.float64)
        z = (np.mean(x**2) - variance) / (variance * np.sqrt(2 / x.size))
        assert abs(z) < 4.9, f"{type(kernel).__name__} is wrong: z = {z}"


def agree(moments: dict[str, list[float]], count: int) -> None:
    """All programs end with the same mean of x², within its error bar: they did the same work."""
    scale = 4.9 * np.sqrt(2 * 3.0 / count)  # var x² is below 3 on the way from N(0, 1) to the wells
    for who, values in moments.items():
        assert abs(values[0] - moments[PEER][0]) < scale, f"{who} ends at {values[0]}, {PEER} at {moments[PEER][0]}"


def ours(sampler: str, size: str, generator: str) -> dict[str, float]:
    chains, dim, steps = SIZES[size]
    well = ex.energies.DoubleWell(dim, barrier=BARRIER)
    kernel = ex.kernels.ULA(STEP_SIZE) if sampler == "langevin" else ex.kernels.HMC(STEP_SIZE, num_leapfrog=10)
    x = jax.random.normal(jax.random.key(0), (chains, dim))
    times = []
    for i in range(REPEATS[sampler][size] + 1):
        key = jax.random.key(i)
        begin = time.perf_counter()
        run = ex.sample(
            well, kernel, x, num_steps=steps, thin=steps, save=None, key=key, generator=generator
        )  # fmt: skip
        times.append(time.perf_counter() - begin)
    return {
        "seconds": statistics.median(times[1:]),
        "compile_seconds": times[0] - statistics.median(times[1:]),
        "second_moment": float(np.mean(np.asarray(run.last, np.float64) ** 2)),
    }
