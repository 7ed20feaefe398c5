"""Parallel tempering on a self-tuned ladder: round trips as a share of the optimum 1/(2 + 2Λ) per round of swaps.

The glass goes from T = 3 to 0.8. The field, in the convention of `energies.Phi4`, begins as a free field, which is
drawn exactly, and follows the geometric path. Both ends are written in the coordinates in which the free field is
standard normal, so that one step size fits all wave lengths.

A replica of the field needs some 3,500 rounds for a round trip, and counts only once it has been at both ends: a run
that is not several times as long understates the rate.
"""

from __future__ import annotations

import math
import time

import jax
import jax.numpy as jnp

import energax as ex

NAME = "round-trips"
SPINS, HOT, COLD = 10, 3.0, 0.8
SITES, QUARTIC, MASS_SQUARED, FREE_MASS_SQUARED = 64, 4.515625, -4.0, 0.3
TUNING_ROUNDS = 256


def run() -> list[dict]:
    return [glass(), field()]


def glass() -> dict:
    law = ex.energies.edwards_anderson((SPINS,) * 3, key=jax.random.key(7))
    path = ex.paths.Geometric(ex.densities.Uniform(law.space), ex.energies.Tempered(law, 1.0 / COLD))
    made = travel(
        path, ex.kernels.BlockGibbs(), start=COLD / HOT, swap_rate=0.8, num_chains=2, swap_every=20, num_rounds=10_000,
        num_warmup=2_500,
    )  # fmt: skip
    return {"system": f"±J glass, {SPINS}³ spins", "start": f"T = {HOT:g}", "sweep": "block Gibbs"} | made


def field() -> dict:
    kernel = ex.kernels.HMC(0.3, num_leapfrog=8)
    made = travel(
        field_path(), kernel, start=0.0, swap_rate=0.7, num_chains=1, swap_every=2, num_rounds=12_000, num_warmup=3_000
    )
    about = f"φ⁴, {SITES}² sites, λ = {QUARTIC:g}, m² = {MASS_SQUARED:g}"
    return {"system": about, "start": f"free field, m² = {FREE_MASS_SQUARED:g}", "sweep": "HMC, 8 leapfrogs"} | made


def field_path() -> ex.paths.Geometric:
    """From the free field to φ⁴, in the coordinates z ~ N(0, I) of the free field: φ = C (z/√(2(k² + m²))) C.

    C is the Hartley transform, real, symmetric and orthogonal, which makes the Laplacian diagonal.
    """
    angle = 2 * math.pi * jnp.outer(jnp.arange(SITES), jnp.arange(SITES)) / SITES
    hartley = (jnp.cos(angle) + jnp.sin(angle)) / math.sqrt(SITES)
    momentum = 2 - 2 * jnp.cos(2 * math.pi * jnp.arange(SITES) / SITES)
    scales = 1 / jnp.sqrt(2 * (momentum[:, None] + momentum + FREE_MASS_SQUARED))
    phi4 = ex.energies.Phi4(SITES, quartic=QUARTIC, mass_squared=MASS_SQUARED)

    def of_modes(params: tuple, z: jax.Array) -> jax.Array:
        law, c, scales = params
        return law(c @ (scales * z.reshape(scales.shape)) @ c)

    target = ex.energies.energy(of_modes, (phi4, hartley, scales), space=ex.spaces.Euclidean(SITES**2))
    return ex.paths.Geometric(ex.densities.Gaussian(jnp.zeros(SITES**2)), target)


def travel(
    path: ex.paths.AbstractPath, kernel: ex.kernels.AbstractKernel, *, start: float, swap_rate: float, num_chains: int,
    swap_every: int, num_rounds: int, num_warmup: int,
) -> dict:  # fmt: skip
    began = time.perf_counter()
    ladder = ex.sampling.tune_ladder(
        path, kernel, start=start, num_sweeps=TUNING_ROUNDS, swap_rate=swap_rate, num_chains=num_chains,
        swap_every=swap_every, key=jax.random.key(1),
    )  # fmt: skip
    tuned = time.perf_counter()
    run = ex.sampling.replica_exchange(
        path, ladder.kernel, jnp.asarray(ladder.ts), ladder.last, num_sweeps=num_rounds, num_warmup=num_warmup,
        swap_every=swap_every, save=None, key=jax.random.key(2),
    )  # fmt: skip
    rejection = 1.0 - run.swap_rate
    trips = int(run.num_round_trips.sum())
    return {
        "levels": len(ladder.ts),
        "barrier Λ": run.barrier.value,
        "sweeps between swaps": swap_every,
        "swap rounds": num_rounds,
        "round trips": trips,
        "share of the optimum": run.round_trip_efficiency,
        "its error, at most": run.round_trip_efficiency / math.sqrt(max(trips, 1)),
        "possible with these levels": float((2 + 2 * rejection.sum()) / (2 + 2 * (rejection / (1 - rejection)).sum())),
        "seconds of tuning": tuned - began,
        "seconds of the run": time.perf_counter() - tuned,
    }
