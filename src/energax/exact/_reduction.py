"""Smaller enumerations of the same sum: blocks of conditionally independent sites are summed in closed form."""

from __future__ import annotations

import math

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from energax._errors import NotTractable
from energax._typing import Scalar
from energax.energies import AbstractEnergy, Marginal, blocks, conditional_logits, latent
from energax.exact._states import leaf_spaces
from energax.spaces import AbstractDiscreteSpace, AbstractSpace, Product


class WithoutBlock(AbstractEnergy):
    """An energy with a block of conditionally independent sites of its plain space summed out.

    F(y) = E(x⁰) − Σ_{i in block} log Σ_value exp(l_i,value), where x⁰ has the sites y outside the block and the first
    value inside it, and l are the conditional logits against that first value.
    """

    energy: AbstractEnergy
    summed: Int[Array, " num_summed"]
    kept: Int[Array, " num_kept"]

    @property
    def _inner(self) -> AbstractDiscreteSpace:
        assert isinstance(self.energy.space, AbstractDiscreteSpace)
        return self.energy.space

    @property
    def space(self) -> AbstractSpace:
        return self._inner.with_shape(self.kept.shape)

    def __call__(self, x: Array) -> Scalar:
        space = self._inner
        flat = jnp.full(space.num_sites, space.values[0], space.struct.dtype).at[self.kept].set(x)
        whole = flat.reshape(space.shape)
        logits = conditional_logits(self.energy, whole)
        per_site = logits.reshape(-1, *logits.shape[len(space.shape) :])[self.summed]
        return self.energy(whole) - space.total_log_partition(per_site)


def num_states_or_inf(space: AbstractSpace) -> float:
    """Number of configurations, infinite for continuous spaces."""
    leaves = leaf_spaces(space)
    return math.prod(s.num_configurations if isinstance(s, AbstractDiscreteSpace) else math.inf for s in leaves)


def num_terms(energy: AbstractEnergy) -> int:
    """Number of evaluations of the energy before a reduction behind one of the reduced one."""
    return int(energy.num_terms) if isinstance(energy, Marginal) else 1


def reductions(energy: AbstractEnergy) -> list[AbstractEnergy]:
    """Energies with the same log Z, the given one among them."""
    found = [energy]
    space = energy.space
    if latent(energy) is not None and isinstance(space, Product):
        for name in space.parts:
            try:
                found.append(Marginal(energy, keep=name))
            except NotTractable:
                continue
    if isinstance(space, AbstractDiscreteSpace) and space.allowed is None:
        for block in blocks(energy):
            mask = np.ones(space.shape, bool) if block.mask is None else np.asarray(block.mask)
            summed, kept = np.flatnonzero(mask), np.flatnonzero(~mask)
            found.append(WithoutBlock(energy, jnp.asarray(summed), jnp.asarray(kept)))
    return found


def cheapest(energy: AbstractEnergy) -> AbstractEnergy:
    """The reduction with the fewest evaluations."""
    return min(reductions(energy), key=lambda e: num_terms(e) * num_states_or_inf(e.space))
