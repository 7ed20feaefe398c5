"""The Ising model on a periodic lattice of any dimension."""

from __future__ import annotations

import functools

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from energax._errors import ArgumentError
from energax._typing import Scalar
from energax.energies._base import AbstractEnergy
from energax.energies._capabilities import (
    Block,
    UniformLattice,
    blocks,
    conditional_logits,
    conditional_logits_at,
    uniform_lattice,
)
from energax.spaces import Spins


class Ising(AbstractEnergy):
    """Ising ferromagnet on a periodic hypercubic lattice, E(s) = −J Σ_<ij> s_i s_j − H Σ_i s_i, s_i ∈ {−1, +1}.

    J > 0 is ferromagnetic. The energy is dimensionless; a temperature is `Tempered(Ising(shape), beta)`. The sum has
    one term per site and direction, so that on an axis of length 2 each pair counts twice.

    Args:
        shape: Lengths of the axes, each at least 2; an integer L means an L × L lattice.
        coupling: J.
        field: H, a number or an array of `shape`.

    Example:
        >>> import jax.numpy as jnp
        >>> from energax import energies
        >>> float(energies.Ising((4, 4))(jnp.ones((4, 4), jnp.int8)))
        -32.0

    References:
        [onsager1944]
    """

    coupling: Scalar
    field: Float[Array, "..."]
    space: Spins = eqx.field(static=True)

    def __init__(
        self, shape: int | tuple[int, ...], *, coupling: Scalar | float = 1.0, field: Array | float = 0.0
    ) -> None:
        shape = (shape, shape) if isinstance(shape, int) else tuple(shape)
        if not shape or min(shape) < 2:
            raise ArgumentError(f"Ising needs a lattice with axes of length 2 or more, got shape={shape}.")
        if jnp.ndim(field) and jnp.shape(field) != shape:
            raise ArgumentError(f"`field` must be a number or an array of shape {shape}, got {jnp.shape(field)}.")
        self.space = Spins(shape)
        self.coupling = jnp.asarray(coupling, jnp.result_type(float))
        self.field = jnp.asarray(field, jnp.result_type(float))

    def __call__(self, x: Array) -> Scalar:
        s = x.astype(self.coupling.dtype)
        bonds = sum(jnp.sum(s * jnp.roll(s, 1, axis)) for axis in range(s.ndim))
        return -self.coupling * bonds - jnp.sum(self.field * s)


@conditional_logits.register
def _(energy: Ising, x: Array, part: str | None = None) -> Float[Array, "..."]:
    del part
    s = x.astype(energy.coupling.dtype)
    neighbours = sum(jnp.roll(s, 1, axis) + jnp.roll(s, -1, axis) for axis in range(s.ndim))
    return 2 * (energy.coupling * neighbours + energy.field)


@conditional_logits_at.register
def _(energy: Ising, x: Array, site: Array) -> Float[Array, ""]:
    index = jnp.unravel_index(site, x.shape)
    total = jnp.zeros((), energy.coupling.dtype)
    for axis, length in enumerate(x.shape):
        for shift in (1, -1):
            moved = tuple((i + shift) % length if a == axis else i for a, i in enumerate(index))
            total = total + x[moved].astype(total.dtype)
    field = energy.field[index] if energy.field.ndim else energy.field
    return 2 * (energy.coupling * total + field)


@uniform_lattice.register
def _(energy: Ising) -> UniformLattice | None:
    if energy.coupling.ndim or energy.field.ndim:
        return None
    return UniformLattice(energy.coupling, energy.field, energy.space.shape)


@blocks.register
def _(energy: Ising) -> tuple[Block, ...]:
    return tuple(Block(mask=mask) for mask in _colouring(energy.space.shape))


@functools.cache
def _colouring(shape: tuple[int, ...]) -> tuple[np.ndarray, "..."]:
    """Masks of sites without a common bond: two colours if all axes are even, three otherwise.

    Along each axis a site has the class i mod 2, and 2 at the last site of an odd axis, so that neighbours always
    differ; the colour is the sum of the classes, modulo 2 or 3.
    """
    grids = np.indices(shape)
    odd = any(length % 2 for length in shape)
    classes = [
        np.where((grid == length - 1) & (length % 2 == 1), 2, grid % 2)
        for grid, length in zip(grids, shape, strict=True)
    ]
    colour = np.sum(classes, axis=0) % (3 if odd else 2)
    return tuple(colour == c for c in range(3 if odd else 2))
