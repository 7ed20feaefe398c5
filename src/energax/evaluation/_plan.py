"""How many levels and how many particles: decided by pilots whose numbers enter no estimate."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, PyTree

from energax._errors import Diverged
from energax._typing import Configuration, PRNGKey
from energax.estimators import ess_from_log_weights
from energax.evaluation._pilot import Pilot
from energax.kernels import AbstractKernel
from energax.paths import AbstractPath
from energax.sampling import anneal

BATCH = 128
"""Particles of one call of `anneal`; all calls have this shape, so that they share one compilation."""
LEVELS = 32
"""The number of steps between levels is a multiple of this, the number that `anneal` compiles at once."""
_MAX_LEVELS = 2**15
_REACH = 3.3
"""Distance of a certified end from the value, in standard errors: √(2 ln(K'/δ)) of `mean_lower_bound`, δ = 0.025."""


@dataclasses.dataclass(frozen=True)
class Plan:
    """The size of a run.

    Attributes:
        num_levels: Steps along the path, one less than the number of levels.
        num_particles: Particles in each direction, a multiple of `BATCH`.
        spent: Transitions that the pilots took.
        truncated: Whether the budget kept the plan below what the wanted width needs.
    """

    num_levels: int
    num_particles: int
    spent: int
    truncated: bool


def annealed(
    path: AbstractPath,
    kernel: AbstractKernel,
    ts: np.ndarray,
    step_sizes: np.ndarray | None,
    num_particles: int,
    *,
    x0: Configuration | None = None,
    tell: Callable[[int], None],
    key: PRNGKey,
) -> tuple[Float[np.ndarray, " particle"], PyTree[np.ndarray]]:
    """Annealed importance sampling of a multiple of `BATCH` independent particles.

    Args:
        path: The path.
        kernel: The kernel.
        ts: Levels, in the order in which they are visited.
        step_sizes: A step size for each level.
        num_particles: Number of particles.
        x0: Starts, (particle, *event), when the path is not begun at its own start.
        tell: Called with the number of transitions made.
        key: Random key.

    Returns:
        Log weights and final configurations, (particle, *event).
    """
    weights, ends = [], []
    for batch in range(num_particles // BATCH):
        begin = batch * BATCH
        x = None if x0 is None else jax.tree.map(lambda leaf, b=begin: leaf[None, b : b + BATCH], x0)
        run = anneal(
            path,
            kernel,
            jnp.asarray(ts),
            key=jax.random.fold_in(key, batch),
            num_particles=BATCH,
            x0=x,
            step_sizes=None if step_sizes is None else jnp.asarray(step_sizes),
        )
        weights.append(run.log_weights.reshape(-1))
        ends.append(jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), run.x))
        tell(BATCH * (len(ts) - 1))
    log_weights = np.concatenate(weights)
    if np.isnan(log_weights).any() or np.isposinf(log_weights).any():
        raise Diverged(
            f"{int((~np.isfinite(log_weights)).sum())} of {num_particles} annealing weights are not numbers: the energy "
            "is NaN or -inf on the way from the base to the model. Look at the energy at draws of the base law."
        )
    return log_weights, jax.tree.map(lambda *leaves: np.concatenate(leaves), *ends)


def make_plan(
    path: AbstractPath,
    kernel: AbstractKernel,
    pilot: Pilot,
    *,
    width: float,
    budget: int,
    num_levels: int | None,
    num_particles: int | None,
    tell: Callable[[int], None],
    key: PRNGKey,
) -> Plan:
    """Double the levels until more particles would be the cheaper way to a narrower interval.

    Each pilot anneals one batch. For weights of relative variance v the two ends lie about 2 · 3.3 √(v/n) apart, and
    the cost is levels · n.

    Args:
        path: The path.
        kernel: The kernel.
        pilot: The pilot run along the path.
        width: Wanted width of the interval in nats.
        budget: The most transitions of one direction.
        num_levels: Fixes the number of levels.
        num_particles: Fixes the number of particles.
        tell: Called with the number of transitions made.
        key: Random key.
    """
    if num_levels is not None and num_particles is not None:
        return Plan(num_levels - 1, num_particles, 0, False)
    spent, index = 0, 0
    steps = max(LEVELS, _multiple(1.0 * pilot.length**2, LEVELS)) if num_levels is None else num_levels - 1
    steps = min(steps, _MAX_LEVELS, max(LEVELS, budget // BATCH // LEVELS * LEVELS))
    tried: list[tuple[float, int, int]] = []
    while True:
        ts = pilot.levels(steps + 1)
        log_w, _ = annealed(
            path, kernel, ts, pilot.step_sizes_at(ts), BATCH, tell=tell, key=jax.random.fold_in(key, index)
        )
        spent, index = spent + BATCH * steps, index + 1
        needed = _particles_for(log_w, width)
        tried.append((float(needed) * steps, steps, needed))
        if num_levels is not None or needed <= 3 * BATCH or 2 * steps > min(_MAX_LEVELS, budget // (2 * BATCH)):
            break
        if len(tried) > 1 and tried[-1][0] > 0.9 * tried[-2][0]:
            break
        steps *= 2
    _, steps, needed = min(tried)
    wanted = needed if num_particles is None else _multiple(num_particles, BATCH)
    affordable = max(BATCH, budget // steps // BATCH * BATCH)
    return Plan(steps, min(wanted, affordable), spent, wanted > affordable)


def _particles_for(log_weights: np.ndarray, width: float) -> int:
    """Particles with which both ends together are `width` apart; a fifth is kept in reserve."""
    variance = len(log_weights) / ess_from_log_weights(log_weights) - 1.0
    # A pilot of one batch cannot see a large variance: weights with a spread of s have at least e^{s²} − 1 of it.
    core = float(np.subtract(*np.quantile(log_weights, [0.841, 0.159]))) / 2
    variance = max(variance, math.expm1(min(core**2, 50.0)))
    half = 0.4 * width
    return max(2 * BATCH, _multiple((_REACH / half) ** 2 * variance + 4.0 / half, BATCH))


def _multiple(number: float, unit: int) -> int:
    return int(min(math.ceil(number / unit), 2**20)) * unit
