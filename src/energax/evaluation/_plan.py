"""How many levels and how many particles a run takes: decided by pilots whose numbers enter no estimate."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from energax._typing import PRNGKey
from energax.estimators import ess_from_log_weights
from energax.evaluation._annealed import BATCH, UNIT, annealed, log_spread
from energax.evaluation._path import Prepared

GROUP = 32
"""Particles that are resampled together where independent ones would have too uneven weights."""
_MAX_STEPS = 2**15
_REACH = 3.3
"""Distance of a certified end from the value in standard errors, √(2 ln(K'/δ)) of `mean_lower_bound` at δ = 0.025."""
_UNEVEN = 1.5
"""Variance of log weights above which particles are resampled in groups: e^1.5 of them do the work of one."""
_HARD_PARTICLES = 1024


@dataclasses.dataclass(frozen=True)
class Plan:
    """The size of a run.

    Attributes:
        num_steps: Steps along the path, one less than the number of levels.
        num_particles: Particles in each direction, a multiple of `BATCH`.
        group_size: 1 for independent particles (AIS); `GROUP` for groups that are resampled (SMC).
        spread: Standard deviation of log weights of independent particles, from a pilot.
        truncated: Whether the budget kept the plan below what the wanted width needs.
    """

    num_steps: int
    num_particles: int
    group_size: int
    spread: float
    truncated: bool


def make_plan(
    prepared: Prepared,
    *,
    width: float,
    budget: int,
    num_steps: int | None,
    num_particles: int | None,
    resample: bool | None = None,
    tell: Callable[[int], None],
    key: PRNGKey,
) -> Plan:
    """Double the levels until more particles are the cheaper way to a narrower interval.

    Each pilot anneals one batch. With weights of relative variance v the two ends of the interval lie about
    2 · 3.3 √(v/n) apart, and the cost is steps · n. Where finer levels do not even out the weights, because particles
    remember where they came from, they are resampled in groups instead.

    Args:
        prepared: The path with its pilot.
        width: Wanted width of the interval in nats.
        budget: The most transitions of one direction.
        num_steps: Fixes the number of steps.
        num_particles: Fixes the number of particles.
        resample: Whether particles are resampled in groups; None for a choice.
        tell: Called with the number of transitions made.
        key: Random key.
    """
    most = max(UNIT, min(_MAX_STEPS, budget // (2 * BATCH)) // UNIT * UNIT)
    steps = min(_multiple(prepared.pilot.length**2, UNIT), most) if num_steps is None else num_steps
    tried: list[tuple[float, int, int, float]] = []
    while True:
        run = annealed(
            prepared.path,
            prepared.kernel,
            prepared.pilot,
            steps,
            BATCH,
            1,
            tell=tell,
            key=jax.random.fold_in(key, len(tried)),
        )
        spread = log_spread(run.log_weights)
        needed = _particles_for(run.log_weights, spread, width)
        tried.append((float(needed) * steps, steps, needed, spread))
        worse = len(tried) > 1 and tried[-1][0] > 0.9 * tried[-2][0]
        if num_steps is not None or needed <= 3 * BATCH or 2 * steps > most or worse:
            break
        steps *= 2
    _, steps, needed, spread = min(tried)
    group_size = 1
    uneven = spread**2 > _UNEVEN and num_particles is None
    if uneven if resample is None else resample:
        # Resampling needs time between levels for the survivors to part; particles come after that.
        group_size, needed = GROUP, _HARD_PARTICLES
        finest = _multiple(10 * prepared.pilot.length**2, UNIT)
        steps = num_steps or max(UNIT, min(finest, _MAX_STEPS, budget // needed // UNIT * UNIT))
    wanted = needed if num_particles is None else _multiple(num_particles, BATCH)
    affordable = max(BATCH, budget // steps // BATCH * BATCH)
    return Plan(steps, min(wanted, affordable), group_size, spread, wanted > affordable)


def _particles_for(log_weights: np.ndarray, spread: float, width: float) -> int:
    """Particles with which both ends together are `width` apart; a fifth is kept in reserve."""
    # One batch cannot see a large variance, which the spread of log weights foretells.
    seen: Any = len(log_weights) / ess_from_log_weights(log_weights) - 1.0
    variance = max(seen, math.expm1(min(spread**2, 50.0)))
    half = 0.4 * width
    return max(2 * BATCH, _multiple((_REACH / half) ** 2 * variance + 4.0 / half, BATCH))


def _multiple(number: float, unit: int) -> int:
    return int(min(max(math.ceil(number / unit), 1), 2**20)) * unit
