"""How an energy falls far outside the data: whether it is bounded below at all."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from energax._errors import NotTractable
from energax._typing import Configuration, Scalar
from energax.energies import AbstractEnergy, is_confined, marginal, observed_space, value_and_score
from energax.spaces import Euclidean

_NUM_RAYS = 16
_DISTANCE = 1e4
"""Radius of the sphere that is looked at, in units of the length of rows: far beyond what a model of them can have."""
_TURNS = tuple(0.8 * 0.7**i for i in range(8))
"""Angles, in radians, by which rays turn towards lower energies: half a circle together, the last one small."""


def outward_fall(model: Any, rows: Configuration) -> dict[str, float]:
    """By how much an energy far outside the data is below that of all of them, along its steepest ray.

    Rays start in the directions of some rows and turn downhill on a sphere of 10⁴ times the root mean square length of
    the rows. Where E(far) < E(a tenth as far) < min E(rows) along one of them, exp(−E) has more mass out
    there than where the data are, and more of it at every further distance: the energy is unbounded below. The fall is
    min(min E(rows), E(a tenth as far)) − E(far), largest over rays; positive values, in nats, say so.

    Exactness: an energy with a law is not found, unless its wells are 10⁴ times as far away as the data reach. One
    without a law is found if E goes to −∞ in a cone of directions that turning downhill reaches from 16 rows; one that
    stays level, or falls like less than a nat over that distance, is not.

    Cost: 8 scores and 2 energies on each of 16 rays, and an energy for each row, once a line of the log; nothing for
    energies that are known to be confined or have no known marginal, and on other spaces than Euclidean ones.

    Args:
        model: What is trained.
        rows: Data, (row, *event).

    Returns:
        ``outward_fall``, or nothing where that is not asked.
    """
    if not isinstance(model, AbstractEnergy) or not isinstance(observed_space(model), Euclidean):
        return {}
    if is_confined(model):
        return {}
    try:
        return {"outward_fall": float(_fall(marginal(model), rows))}
    except NotTractable:
        return {}


@eqx.filter_jit
def _fall(energy: AbstractEnergy, rows: Float[Array, "row *event"]) -> Scalar:
    rows = jnp.asarray(rows, jnp.promote_types(jnp.result_type(rows), jnp.float32))
    far = _DISTANCE * jnp.sqrt(jnp.mean(rows**2) * rows[0].size)
    least = jnp.min(jax.vmap(energy)(rows))

    def turned(ray: Array, angle: Array) -> tuple[Array, None]:
        downhill = value_and_score(energy, far * ray)[1]
        across = downhill - jnp.sum(downhill * ray) * ray
        return _unit(ray + jnp.tan(angle) * _unit(across, jnp.zeros_like(ray)), ray), None

    def along(row: Array) -> Scalar:
        ray = jax.lax.scan(turned, _unit(row - jnp.mean(rows, axis=0), row), jnp.asarray(_TURNS, rows.dtype))[0]
        near, end = energy(0.1 * far * ray), energy(far * ray)
        return jnp.minimum(least, near) - end

    falls = jax.vmap(along)(rows[:_NUM_RAYS])
    # Energies of −∞ are the deepest fall; where E is not a number nothing is known.
    return jnp.max(jnp.nan_to_num(falls, nan=-jnp.inf))


def _unit(x: Array, otherwise: Array) -> Array:
    """X/‖x‖, or `otherwise` where that is no direction."""
    size = jnp.max(jnp.abs(x))
    scaled = x / jnp.where(size > 0, size, 1.0)
    length = jnp.sqrt(jnp.sum(scaled**2))
    good = (length > 0) & jnp.isfinite(length)
    return jnp.where(good, scaled / jnp.where(good, length, 1.0), otherwise)
