"""Annealing in batches of one shape."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int, PyTree

from energax._errors import Diverged
from energax._typing import Configuration, PRNGKey
from energax.estimators import group_log_z
from energax.evaluation._journal import kept
from energax.evaluation._path_curve import PathCurve, path_curve
from energax.evaluation._pilot import Pilot
from energax.kernels import AbstractKernel
from energax.paths import AbstractPath
from energax.sampling import anneal

BATCH = 128
"""Particles of one call of `anneal`; all calls have this shape, so that they share one compilation."""
UNIT = 32
"""The number of steps along the path is a multiple of this, which `anneal` makes in one compiled call."""


@dataclasses.dataclass(frozen=True)
class Weights:
    """Annealing weights of one direction.

    Attributes:
        log_weights: (particle,); log mean weight of a group is that of its particles.
        groups: Independent group of each particle, 0 ... m − 1.
        x: Final configurations, (particle, *event).
        resampled: Whether any group was resampled.
        curve: Log Z along the path, from the weights at every level.
    """

    log_weights: Float[np.ndarray, " particle"]
    groups: Int[np.ndarray, " particle"]
    x: PyTree[np.ndarray]
    resampled: bool
    curve: PathCurve | None = None

    @property
    def log_means(self) -> Float[np.ndarray, " group"]:
        """Log mean weight of each independent group."""
        return group_log_z(self.log_weights, self.groups)


def annealed(
    path: AbstractPath,
    kernel: AbstractKernel,
    pilot: Pilot,
    num_steps: int,
    num_particles: int,
    group_size: int,
    *,
    x0: Configuration | None = None,
    groups: Int[np.ndarray, " particle"] | None = None,
    tell: Callable[[int], None],
    key: PRNGKey,
) -> Weights:
    """Anneal a multiple of `BATCH` particles, from the base to the model or back.

    Args:
        path: The path.
        kernel: The kernel.
        pilot: Where levels and step sizes come from.
        num_steps: Steps along the path.
        num_particles: Number of particles.
        group_size: Particles that are resampled together, 1 for none.
        x0: Starts at the model, (particle, *event): then the path is run backwards.
        groups: Which starts depend on each other; by default those that are resampled together.
        tell: Called with the number of transitions made.
        key: Random key.

    Raises:
        Diverged: A weight is not a number.
    """
    ts = pilot.levels(num_steps + 1)
    ts = ts if x0 is None else ts[::-1]
    step_sizes = pilot.step_sizes_at(ts)
    shape = (1, BATCH) if group_size == 1 else (BATCH // group_size, group_size)
    weights, ends, runs, resampled = [], [], [], False
    for batch in range(num_particles // BATCH):
        begin = batch * BATCH
        x = None if x0 is None else jax.tree.map(lambda a, b=begin: a[b : b + BATCH].reshape(*shape, *a.shape[1:]), x0)
        run = kept(
            lambda x=x, batch=batch: anneal(
                path,
                kernel,
                ts,
                key=jax.random.fold_in(key, batch),
                num_groups=shape[0],
                num_particles=shape[1],
                x0=x,
                resample=None if group_size == 1 else "systematic",
                step_sizes=None if step_sizes is None else jnp.asarray(step_sizes),
            )
        )
        weights.append(run.log_weights.reshape(-1))
        runs.append(run)
        ends.append(jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), run.x))
        resampled |= bool(run.num_resamplings.any())
        tell(BATCH * num_steps)
    log_weights = np.concatenate(weights)
    bad = np.isnan(log_weights) | np.isposinf(log_weights)
    if bad.any():
        raise Diverged(
            f"{int(bad.sum())} of {num_particles} annealing weights are not numbers: the energy is NaN or -inf on the "
            "way between the base and the model. Look at the energy at draws of the base law."
        )
    own = np.arange(num_particles) // group_size
    return Weights(
        log_weights,
        own if groups is None else groups,
        jax.tree.map(lambda *leaves: np.concatenate(leaves), *ends),
        resampled,
        path_curve(runs),
    )


def log_spread(log_weights: Float[np.ndarray, " particle"]) -> float:
    """Half the distance of the 16 % and the 84 % quantile: the standard deviation of normal log weights."""
    finite = log_weights[np.isfinite(log_weights)]
    return float(np.subtract(*np.quantile(finite, [0.8413, 0.1587]))) / 2 if finite.size > 1 else math.inf
