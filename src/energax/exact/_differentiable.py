"""Log Z of small systems inside compiled code, with a gradient."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from energax._errors import ArgumentError
from energax._typing import Scalar
from energax.energies import AbstractEnergy, marginal
from energax.exact._box import box_of
from energax.exact._points import mesh
from energax.exact._quadrature import rule
from energax.exact._reduction import cheapest
from energax.exact._states import assemble, states

_CHUNK = 4096


def differentiable_log_z(
    energy: AbstractEnergy, *, bounds: Sequence[tuple[float, float]] | None = None, num_points: int = 256
) -> Scalar:
    """Log Z by one sum over all configurations, or by one fixed quadrature rule: a function for compiled code.

    Discrete energies: over what is left when the largest block of conditionally independent sites is summed in closed
    form, at most 2^20 configurations. One or two real coordinates: `num_points` nodes along each, composite
    Gauss–Legendre or, on tori, the periodic trapezoid. Nothing is refined: `log_z` and `quadrature_log_z` tell
    what is lost.

    Cost: an energy for each configuration or node, and its gradient; memory for 4096 of them at a time.

    Args:
        energy: The energy; of hidden variables it has the same log Z when they are summed out.
        bounds: (lower, upper) for each real coordinate. Needed on unbounded axes, where nothing is searched for.
        num_points: Nodes along an axis.

    Returns:
        log Z, a traced number.

    Raises:
        NotTractable: Too many configurations, or coordinates that are neither discrete nor one or two real ones.
        ArgumentError: An unbounded axis without bounds.
    """
    if energy.space.is_discrete:
        small = cheapest(energy)
        leaves = [np.asarray(leaf).reshape(len(leaf), -1) for leaf in jax.tree.leaves(states(small.space))]
        points = np.concatenate(leaves, axis=1)
        return _log_sum(small, points, np.zeros(len(points)))
    observed = marginal(energy)
    if bounds is None and not np.isfinite(observed.space.log_volume):
        raise ArgumentError(f"{observed.space} has no ends: give `bounds`, (lower, upper) for each coordinate.")
    box, periodic = box_of(observed, bounds)
    rules = [rule(lo, hi, num_points, wrap) for (lo, hi), wrap in zip(box, periodic, strict=True)]
    points = mesh(tuple(nodes for nodes, _ in rules))
    return _log_sum(observed, points, mesh(tuple(np.log(weights) for _, weights in rules)).sum(axis=1))


def _log_sum(energy: AbstractEnergy, points: np.ndarray, log_weights: np.ndarray) -> Scalar:
    extra = -len(points) % _CHUNK if len(points) > _CHUNK else 0
    points = np.pad(points, ((0, extra), (0, 0)), mode="edge")
    log_weights = np.pad(log_weights, (0, extra), constant_values=-np.inf)
    size = min(len(points), _CHUNK)

    @jax.checkpoint
    def chunk(part: tuple[Float[Array, "n coordinates"], Float[Array, " n"]]) -> Float[Array, " n"]:
        return part[1] - jax.vmap(lambda row: energy(assemble(energy.space, row)))(part[0])

    dtype = jnp.result_type(float)
    stacked = points.reshape(-1, size, points.shape[1]), jnp.asarray(log_weights.reshape(-1, size), dtype)
    values = jax.lax.map(chunk, (jnp.asarray(stacked[0]), stacked[1]))
    return jax.nn.logsumexp(values)
