"""Parallel tempering of a ±J glass of 10³ spins, T from 3 to 0.8: round trips as a share of the optimum 1/(2 + 2Λ)."""

from __future__ import annotations

import time

import jax
import jax.numpy as jnp

import energax as ex

NAME = "round-trips"
LENGTH, HOT, COLD = 10, 3.0, 0.8
ROUNDS, TUNING_ROUNDS, CHAINS = 10_000, 256, 2
SWEEPS_BETWEEN_SWAPS, SWAP_RATE = 20, 0.8


def run() -> list[dict]:
    glass = ex.energies.edwards_anderson((LENGTH,) * 3, key=jax.random.key(7))
    cold = ex.energies.Tempered(glass, 1.0 / COLD)
    path = ex.paths.Geometric(ex.densities.Uniform(glass.space), cold)
    how: dict = {"num_chains": CHAINS, "swap_every": SWEEPS_BETWEEN_SWAPS}
    start = time.perf_counter()
    ladder = ex.sampling.tune_ladder(
        path, ex.kernels.BlockGibbs(), start=COLD / HOT, num_sweeps=TUNING_ROUNDS, swap_rate=SWAP_RATE,
        key=jax.random.key(1), **how,
    )  # fmt: skip
    tuned = time.perf_counter()
    run = ex.sampling.replica_exchange(
        path, ladder.kernel, jnp.asarray(ladder.ts), num_sweeps=ROUNDS, num_warmup=ROUNDS // 4, save=None,
        key=jax.random.key(2), **how,
    )  # fmt: skip
    return [
        {
            "system": f"±J glass, {LENGTH}³ spins",
            "levels": len(ladder.ts),
            "barrier Λ": run.barrier.value,
            "sweeps between swaps": SWEEPS_BETWEEN_SWAPS,
            "swap rounds": ROUNDS,
            "round trips a ladder": float(run.num_round_trips.mean()),
            "share of the optimum": run.round_trip_efficiency,
            "seconds of tuning": tuned - start,
            "seconds of the run": time.perf_counter() - tuned,
        }
    ]
