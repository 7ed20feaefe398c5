"""The Potts model: on lattices, on any graph, between all pairs."""

from __future__ import annotations

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from energax._errors import ShapeError
from energax._typing import Scalar
from energax.energies._base import AbstractEnergy, as_parameter
from energax.energies._bonds import Bonds, bonds
from energax.energies._capabilities import Block, blocks, conditional_logits, conditional_logits_at
from energax.energies.lattice._couplings import AbstractCouplings, as_couplings
from energax.spaces import Categorical


class Potts(AbstractEnergy):
    """Sites with q values that gain energy where they agree, E(s) = −Σ_{i<j} J_ij δ(s_i, s_j) − Σ_i H_i(s_i).

    J > 0 is ferromagnetic. With q = 2 and s = (1 + σ)/2 it is the Ising model with half the coupling, up to a
    constant. On the square lattice the transition is at β_c J = log(1 + √q), of first order for q > 4.

    Args:
        sites: Lengths of the axes of a periodic lattice, an integer L for L × L, or couplings, as for `Ising`.
        num_states: q, the number of values of a site, 2 or more.
        coupling: J of a lattice that is given by its lengths, 1 by default.
        field: H(v), shape (q,), or H_i(v), shape (*sites, q).

    Raises:
        ArgumentError: The lattice is too small, `num_states` is below 2, or `coupling` is given beside couplings.
        ShapeError: `coupling` or `field` has the wrong shape.

    Example:
        >>> import jax.numpy as jnp
        >>> from energax import energies
        >>> float(energies.Potts(4, 3)(jnp.zeros((4, 4), jnp.int8)))
        -32.0

    References:
        [wu1982]
    """

    couplings: AbstractCouplings
    field: Float[Array, "... q"]
    space: Categorical = eqx.field(static=True)

    def __init__(
        self,
        sites: int | tuple[int, ...] | AbstractCouplings,
        num_states: int,
        *,
        coupling: ArrayLike | None = None,
        field: ArrayLike | None = None,
    ) -> None:
        self.couplings = as_couplings(sites, coupling)
        self.space = Categorical(self.couplings.shape, num_categories=num_states)
        self.field = jnp.zeros(num_states, self.couplings.dtype) if field is None else as_parameter(field)
        allowed = ((num_states,), self.space.logits_shape)
        if self.field.shape not in allowed:
            raise ShapeError(f"`field` must have the shape {allowed[0]} or {allowed[1]}, got {self.field.shape}.")

    def __call__(self, x: Array) -> Scalar:
        chosen = indicators(x, self.space.num_categories, self.couplings.dtype)
        return -self.couplings.pair_sum(chosen) - jnp.sum(self.field * chosen)


def indicators(x: Array, num_values: int, dtype: jnp.dtype) -> Float[Array, "... q"]:
    """[x_i = v] as numbers, for every value v along a new last axis."""
    return (x[..., None] == jnp.arange(num_values, dtype=x.dtype)).astype(dtype)


@conditional_logits.register
def _(energy: Potts, x: Array, part: str | None = None) -> Float[Array, "..."]:
    del part
    chosen = indicators(x, energy.space.num_categories, energy.couplings.dtype)
    return energy.couplings.times(chosen) + energy.field


@conditional_logits_at.register
def _(energy: Potts, x: Array, site: Array) -> Float[Array, "..."]:
    num_states = energy.space.num_categories
    chosen = indicators(x, num_states, energy.couplings.dtype)
    field = energy.field if energy.field.ndim == 1 else energy.field.reshape(-1, num_states)[site]
    return energy.couplings.times_at(chosen, site) + field


@bonds.register
def _(energy: Potts) -> Bonds | None:
    listed = energy.couplings.bonds()
    if listed is None:
        return None
    num_states = energy.space.num_categories
    fields = jnp.broadcast_to(energy.field, energy.space.logits_shape).reshape(-1, num_states)
    return Bonds(*listed, fields)


@blocks.register
def _(energy: Potts) -> tuple[Block, ...]:
    return tuple(Block(mask=mask) for mask in energy.couplings.colour_masks)
