"""Product laws: every entry independent of all others."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from energax._errors import ArgumentError, KernelMismatch, SpaceError
from energax._typing import Configuration, PRNGKey, Scalar
from energax.densities._base import AbstractDensity
from energax.energies import (
    FREE,
    Block,
    Bonds,
    UniformLattice,
    blocks,
    bonds,
    conditional_logits,
    conditional_logits_at,
    uniform_lattice,
)
from energax.spaces import AbstractDiscreteSpace, AbstractSpace, Binary, Product, Spins


class IndependentSites(AbstractDensity):
    """Independent sites of a discrete space, p(x) = Π_i p_i(x_i) with given logits.

    Args:
        space: A discrete space.
        logits: Log-odds (two values) or unnormalised log-probabilities of every site; zero means uniform.
    """

    logits: Float[Array, "..."]
    space: AbstractDiscreteSpace = eqx.field(static=True)

    def __init__(self, space: AbstractDiscreteSpace, logits: Float[Array, "..."] | None = None) -> None:
        if not isinstance(space, AbstractDiscreteSpace):
            raise SpaceError(f"IndependentSites needs a discrete space, got {space}.")
        self.space = space
        self.logits = jnp.zeros(space.logits_shape) if logits is None else jnp.asarray(logits)
        if self.logits.shape != space.logits_shape:
            raise ArgumentError(f"`logits` must have shape {space.logits_shape}, got {self.logits.shape}.")

    def log_prob(self, x: Configuration) -> Scalar:
        return jnp.sum(self.space.site_log_probs(self.logits, x))

    def draw(self, *, key: PRNGKey) -> Configuration:
        return self.space.draw_sites(self.logits, key=key)


def bernoulli_fit(data: ArrayLike, *, pseudo_count: float = 1.0) -> IndependentSites:
    """Independent Bernoulli units with the means of 0/1 data, the honest baseline of binary models.

    Each mean is (Σ x + c)/(N + 2c) with the pseudo-count c, so that no unit is certain.

    Args:
        data: Shape (N, *shape), values 0 and 1.
        pseudo_count: c > 0.
    """
    rows = np.asarray(data)
    mean = (rows.sum(0) + pseudo_count) / (len(rows) + 2 * pseudo_count)
    return IndependentSites(Binary(rows.shape[1:]), jnp.asarray(np.log(mean) - np.log1p(-mean), jnp.result_type(float)))


class Uniform(AbstractDensity):
    """The uniform law on a space of finite volume."""

    space: AbstractSpace = eqx.field(static=True)

    def __check_init__(self) -> None:
        if not np.isfinite(self.space.log_volume):
            raise SpaceError(f"There is no uniform law on {self.space}: its volume is infinite.")

    def log_prob(self, x: Configuration) -> Scalar:
        reals = [leaf for leaf in jax.tree.leaves(x) if jnp.issubdtype(jnp.result_type(leaf), jnp.floating)]
        dtype = jnp.result_type(*reals) if reals else jnp.result_type(float)
        return jnp.where(self.space.contains(x), -self.space.log_volume, -jnp.inf).astype(dtype)

    def draw(self, *, key: PRNGKey) -> Configuration:
        return self.space.initial(key=key)


@conditional_logits.register
def _(energy: IndependentSites, x: Configuration, part: str | None = None) -> Float[Array, "..."]:
    del x, part
    return energy.logits


@conditional_logits_at.register
def _(energy: IndependentSites, x: Array, site: Array) -> Float[Array, "..."]:
    return energy.logits.reshape(-1, *energy.logits.shape[x.ndim :])[site]


@bonds.register
def _(energy: IndependentSites) -> Bonds | None:
    if energy.space.allowed is not None:
        return None
    logits = energy.logits.reshape(energy.space.num_sites, -1)
    two_valued = logits.shape[1] == 1
    fields = jnp.concatenate([jnp.zeros_like(logits), logits], axis=1) if two_valued else logits
    return Bonds(np.zeros((0, 2), np.int32), jnp.zeros(0, logits.dtype), fields)


@blocks.register
def _(energy: IndependentSites) -> tuple[Block, ...]:
    del energy
    return FREE


@conditional_logits.register
def _(energy: Uniform, x: Configuration, part: str | None = None) -> Float[Array, "..."]:
    del x
    space = energy.space.parts[part] if isinstance(energy.space, Product) and part is not None else energy.space
    if not isinstance(space, AbstractDiscreteSpace):
        raise KernelMismatch(f"Conditional logits need discrete sites, but space={space}.")
    return jnp.zeros(space.logits_shape)


@blocks.register
def _(energy: Uniform) -> tuple[Block, ...]:
    return FREE if energy.space.is_discrete else ()


@bonds.register
def _(energy: Uniform) -> Bonds | None:
    space = energy.space
    if not isinstance(space, AbstractDiscreteSpace):
        return None
    return Bonds(np.zeros((0, 2), np.int32), jnp.zeros(0), jnp.zeros((space.num_sites, len(space.values))))


@uniform_lattice.register
def _(energy: Uniform) -> UniformLattice | None:
    space = energy.space
    return UniformLattice(None, jnp.zeros(()), space.shape) if isinstance(space, Spins) else None
