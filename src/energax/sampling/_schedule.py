"""Where to put the levels of an annealing run."""

from __future__ import annotations

import math
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from energax._errors import ArgumentError, Diverged
from energax._typing import Configuration, PRNGKey
from energax.kernels import AbstractKernel, target
from energax.paths import AbstractPath
from energax.random import choose
from energax.sampling._resampling import RESAMPLERS, relative_ess
from energax.sampling._starts import draws
from energax.sampling._steps import run_steps, with_step_size


def schedule(
    path: AbstractPath,
    kernel: AbstractKernel,
    *,
    key: PRNGKey,
    num_levels: int | None = None,
    num_particles: int = 256,
    num_steps: int = 1,
    conditional_ess: float = 0.95,
    step_sizes: Callable[[float], float] | None = None,
) -> np.ndarray:
    """Levels at constant speed in the thermodynamic metric, found by a pilot run of SMC.

    The pilot places each level where the conditional ESS of the particles is `conditional_ess` and resamples; its
    levels are then equally spaced in thermodynamic length, and `num_levels` of them are interpolated.

    Args:
        path: The path.
        kernel: The kernel that will be used.
        key: Typed random key; use another one than for the run itself, which then stays unbiased.
        num_levels: Number of levels of the result; those of the pilot by default.
        num_particles: Particles of the pilot.
        num_steps: Transitions at each pilot level.
        conditional_ess: Relative conditional ESS between neighbouring pilot levels, in (0, 1).
        step_sizes: Step size as a function of t.

    Returns:
        Increasing levels from 0 to 1.

    Raises:
        Diverged: The energy of a particle is NaN or −inf, or that of all particles infinite.

    References:
        [zhou2016]
    """
    key = choose(key, "auto")
    start_key, loop_key = jax.random.split(key)
    x = draws(path.start, jax.random.split(start_key, num_particles))
    if not 0 < conditional_ess < 1 or num_particles < 2 or (num_levels is not None and num_levels < 2):
        raise ArgumentError(
            f"schedule needs conditional_ess in (0, 1), at least two particles and at least two levels, got "
            f"conditional_ess={conditional_ess}, num_particles={num_particles}, num_levels={num_levels}."
        )
    ts = [0.0]
    while ts[-1] < 1.0:
        t = float(_next_level(path, x, jnp.asarray(ts[-1]), jnp.asarray(conditional_ess)))
        if math.isnan(t):
            raise Diverged(
                f"After t = {ts[-1]:.4g} the energy of a pilot particle is NaN or −inf, or infinite for all of them. "
                "Look at the energy at draws of the path's start."
            )
        # A path that cannot be crossed in small steps is crossed in the smallest one; the run's ESS will tell.
        t = min(max(t, ts[-1] + 1e-5), 1.0)
        mover = kernel if step_sizes is None else with_step_size(kernel, jnp.asarray(step_sizes(t)))
        index = len(ts)
        x = _pilot_move(
            path, mover, x, jnp.asarray(ts[-1]), jnp.asarray(t), jax.random.fold_in(loop_key, index), num_steps
        )
        ts.append(t)
    pilot = np.asarray(ts)
    if num_levels is None:
        return pilot
    return np.interp(np.linspace(0, 1, num_levels), np.linspace(0, 1, len(pilot)), pilot)


@eqx.filter_jit
def _next_level(path: AbstractPath, x: Configuration, t0: Array, wanted: Array) -> Array:
    value0 = jax.vmap(lambda x: path.value(t0, x))(x)

    def conditional(t: Array) -> Array:
        return relative_ess(value0 - jax.vmap(lambda x: path.value(t, x))(x))

    def halve(_: int, bracket: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = bracket
        middle = 0.5 * (low + high)
        good = conditional(middle) > wanted
        return jnp.where(good, middle, low), jnp.where(good, high, middle)

    low, _ = jax.lax.fori_loop(0, 20, halve, (t0, jnp.ones_like(t0)))
    at_end = conditional(jnp.ones_like(t0))
    return jnp.where(jnp.isnan(at_end), jnp.nan, jnp.where(at_end > wanted, 1.0, low))


@eqx.filter_jit
def _pilot_move(
    path: AbstractPath, kernel: AbstractKernel, x: Configuration, t0: Array, t1: Array, key: PRNGKey, num_steps: int
) -> Configuration:
    log_w = jax.vmap(lambda x: path.value(t0, x) - path.value(t1, x))(x)
    resample_key, move_key = jax.random.split(key)
    ancestors = RESAMPLERS["systematic"](log_w, key=resample_key)
    x = jax.tree.map(lambda leaf: leaf[ancestors], x)
    energy = target(path.at(t1), kernel)

    move = jax.vmap(lambda x, key: run_steps(energy, kernel, x, num_steps, key=key)[0])
    return move(x, jax.random.split(move_key, log_w.size))
