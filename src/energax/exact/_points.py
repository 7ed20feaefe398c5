"""Energies at many points of a space with one or two continuous coordinates."""

from __future__ import annotations

import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree

from energax.energies import AbstractEnergy
from energax.exact._evaluate import to_float64
from energax.exact._states import assemble
from energax.spaces import AbstractSpace

_CHUNK = 4096


def num_coordinates(space: AbstractSpace) -> int:
    """Number of real numbers in one configuration."""
    return sum(math.prod(struct.shape) for struct in jax.tree.leaves(space.struct))


def midpoints(lo: float, hi: float, count: int) -> np.ndarray:
    """Centres of equal cells."""
    return lo + (hi - lo) * (np.arange(count) + 0.5) / count


def mesh(axes: tuple[np.ndarray, ...]) -> np.ndarray:
    """All points of a product grid, the last coordinate varying fastest."""
    return np.stack([g.reshape(-1) for g in np.meshgrid(*axes, indexing="ij")], axis=1)


@eqx.filter_jit
def _evaluate(energy: AbstractEnergy, points: Array) -> Array:
    return jax.vmap(lambda row: energy(assemble(energy.space, row)))(points)


@eqx.filter_jit
def apply_at(fn: Any, space: AbstractSpace, points: Array) -> PyTree[Array]:
    """A function of one configuration at stacked points."""
    return jax.vmap(lambda row: fn(assemble(space, row)))(points)


def is_single(energy: AbstractEnergy) -> bool:
    """Whether the energy returns less than float64."""
    point = jax.ShapeDtypeStruct((1, num_coordinates(energy.space)), jnp.result_type(float))
    return eqx.filter_eval_shape(_evaluate, energy, point).dtype != jnp.float64


def chunks(points: np.ndarray) -> list[np.ndarray]:
    """The points in pieces that are evaluated together."""
    return [points[start : start + _CHUNK] for start in range(0, len(points), _CHUNK)]


def padded(chunk: np.ndarray) -> np.ndarray:
    """One shape for all chunks, so that refinement never compiles again."""
    return np.pad(chunk, ((0, _CHUNK - len(chunk)), (0, 0)), mode="edge")


def energies_at(energy: AbstractEnergy, points: np.ndarray) -> np.ndarray:
    """Energies at the points, float64 on the host."""
    parts = [np.asarray(_evaluate(energy, jnp.asarray(padded(c))))[: len(c)] for c in chunks(points)]
    return to_float64(np.concatenate(parts), "points")
