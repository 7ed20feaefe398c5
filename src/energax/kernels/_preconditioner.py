"""Linear maps L that make the directions of a target alike: kernels move in z, with x = L z, and P = L Lᵀ.

None is the identity. A tree like the configuration holds the diagonal of L; for configurations of shape (d,) a lower
triangular matrix (d, d) is allowed too.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from energax._errors import ArgumentError
from energax._typing import Configuration
from energax.energies import AbstractEnergy
from energax.kernels._metropolis import combine
from energax.spaces import Euclidean, Torus


def check_preconditioner(energy: AbstractEnergy, factor: Configuration, x: Configuration) -> None:
    """Raise ArgumentError unless L acts on configurations like `x`, and in a way that their boundary allows.

    A matrix mixes directions, which a reflecting wall does not: the folded moves would not keep the law.
    """
    if factor is None:
        return
    if is_matrix(factor, x):
        if isinstance(energy.space, Euclidean | Torus) and jnp.shape(factor) == jnp.shape(x) * 2:
            return
        raise ArgumentError(
            f"A matrix as preconditioner needs shape (d, d) on Euclidean(d) or Torus(d), got shape {jnp.shape(factor)} "
            f"on {energy.space}. Pass a diagonal, with the shape of a configuration."
        )
    same = jax.tree.structure(factor) == jax.tree.structure(x)
    if not same or jax.tree.map(jnp.shape, factor) != jax.tree.map(jnp.shape, x):
        shapes = jax.tree.map(jnp.shape, factor)
        raise ArgumentError(f"The preconditioner has shape {shapes}, configurations {jax.tree.map(jnp.shape, x)}.")


def is_matrix(factor: Configuration, x: Configuration) -> bool:
    """Whether L is a matrix that acts on arrays of shape (d,)."""
    leaves = jax.tree.leaves(factor), jax.tree.leaves(x)
    return [len(part) for part in leaves] == [1, 1] and jnp.ndim(leaves[0][0]) == 2 and jnp.ndim(leaves[1][0]) == 1


def scaled(factor: Configuration, v: Configuration) -> Configuration:
    """L v."""
    return v if factor is None else _apply(factor, v, lambda matrix, v: matrix @ v, jnp.multiply)


def transposed(factor: Configuration, v: Configuration) -> Configuration:
    """Lᵀ v."""
    return v if factor is None else _apply(factor, v, lambda matrix, v: matrix.T @ v, jnp.multiply)


def unscaled(factor: Configuration, v: Configuration) -> Configuration:
    """L⁻¹ v."""

    def solve(matrix: jax.Array, v: jax.Array) -> jax.Array:
        return jax.scipy.linalg.solve_triangular(matrix, v, lower=True)

    return v if factor is None else _apply(factor, v, solve, lambda diagonal, v: v / diagonal)


def _apply(factor: Configuration, v: Configuration, dense: Any, diagonal: Any) -> Configuration:
    fn = dense if is_matrix(factor, v) else diagonal
    return combine(lambda f, v: fn(f.astype(v.dtype), v), factor, v)


def as_factor(value: Any) -> Configuration:
    """Arrays, numbers and nested lists of them as leaves with a definite floating-point dtype."""

    def leaf(value: Any) -> jax.Array:
        array = jnp.asarray(value)
        return jnp.asarray(array, array.dtype if jnp.issubdtype(array.dtype, jnp.inexact) else jnp.result_type(float))

    return jax.tree.map(leaf, value, is_leaf=lambda v: isinstance(v, list | tuple))
