"""The Ising model: on lattices, on any graph, between all pairs."""

from __future__ import annotations

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from energax._typing import Scalar
from energax.energies._base import AbstractEnergy
from energax.energies._bonds import Bonds, bonds
from energax.energies._capabilities import (
    Block,
    UniformLattice,
    blocks,
    conditional_logits,
    conditional_logits_at,
    uniform_lattice,
)
from energax.energies.lattice._couplings import AbstractCouplings, LatticeCouplings, as_couplings, as_field
from energax.spaces import Spins


class Ising(AbstractEnergy):
    """Spins with pair couplings, E(s) = −Σ_{i<j} J_ij s_i s_j − Σ_i H_i s_i, s_i ∈ {−1, +1}.

    J > 0 is ferromagnetic. The energy is dimensionless; a temperature is `Tempered(Ising(shape), beta)`. On a periodic
    lattice the sum has one term per site and direction, so that on an axis of length 2 each pair counts twice.

    Args:
        sites: Lengths of the axes of a periodic lattice, each at least 2; an integer L means L × L. Or the couplings
            of any other system: `LatticeCouplings` (open ends, couplings that differ), `GraphCouplings`,
            `DenseCouplings`, `PatternCouplings`.
        coupling: J of a lattice that is given by its lengths, 1 by default: a number, one for each axis, or one for
            each bond (see `LatticeCouplings`).
        field: H, a number or an array with one for each site.

    Raises:
        ArgumentError: The lattice is too small, or `coupling` is given beside couplings.
        ShapeError: `coupling` or `field` has the wrong shape.

    Example:
        >>> import jax.numpy as jnp
        >>> from energax import energies
        >>> float(energies.Ising((4, 4))(jnp.ones((4, 4), jnp.int8)))
        -32.0
        >>> chain = energies.GraphCouplings([(0, 1), (1, 2)], [1.0, -0.5])
        >>> float(energies.Ising(chain, field=0.25)(jnp.array([1, 1, -1])))
        -1.75

    References:
        [onsager1944]
    """

    couplings: AbstractCouplings
    field: Float[Array, "..."]
    space: Spins = eqx.field(static=True)

    def __init__(
        self,
        sites: int | tuple[int, ...] | AbstractCouplings,
        *,
        coupling: ArrayLike | None = None,
        field: ArrayLike = 0.0,
    ) -> None:
        self.couplings = as_couplings(sites, coupling)
        self.space = Spins(self.couplings.shape)
        self.field = as_field(field, self.space.shape)

    def __call__(self, x: Array) -> Scalar:
        s = x.astype(self.couplings.dtype)
        return -self.couplings.pair_sum(s) - jnp.sum(self.field * s)


@conditional_logits.register
def _(energy: Ising, x: Array, part: str | None = None) -> Float[Array, "..."]:
    del part
    return 2 * (energy.couplings.times(x.astype(energy.couplings.dtype)) + energy.field)


@conditional_logits_at.register
def _(energy: Ising, x: Array, site: Array) -> Float[Array, ""]:
    field = energy.field.reshape(-1)[site] if energy.field.ndim else energy.field
    return 2 * (energy.couplings.times_at(x.astype(energy.couplings.dtype), site) + field)


@uniform_lattice.register
def _(energy: Ising) -> UniformLattice | None:
    couplings = energy.couplings
    if not isinstance(couplings, LatticeCouplings) or not all(couplings.periodic):
        return None
    if couplings.coupling.ndim or energy.field.ndim:
        return None
    return UniformLattice(couplings.coupling, energy.field, couplings.shape, couplings.negative)


@bonds.register
def _(energy: Ising) -> Bonds | None:
    listed = energy.couplings.bonds()
    if listed is None:
        return None
    pairs, coupling = listed
    up = jnp.broadcast_to(2 * energy.field, energy.space.shape).reshape(-1)
    return Bonds(pairs, 2 * coupling, jnp.stack([jnp.zeros_like(up), up], axis=1))


@blocks.register
def _(energy: Ising) -> tuple[Block, ...]:
    return tuple(Block(mask=mask) for mask in energy.couplings.colour_masks)
