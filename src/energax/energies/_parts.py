"""Energies over part of a configuration: sites clamped, conditions given; and batches of energies, one per chain."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PyTree

from energax._errors import ArgumentError, ShapeError, SpaceError
from energax._typing import Configuration, Scalar
from energax.energies._base import AbstractConditionalEnergy, AbstractEnergy
from energax.energies._capabilities import (
    Block,
    Latent,
    Normals,
    blocks,
    conditional_logits,
    conditional_logits_at,
    conditional_normals,
    is_confined,
    is_factorised,
    latent,
    observed_space,
    value_and_score,
)
from energax.spaces import AbstractArraySpace, AbstractSpace, Product


class Clamped(AbstractEnergy):
    """E with some sites held fixed, an energy over the free ones: x_free ↦ E(x_free, x_clamped).

    Configurations are flat arrays of the free sites, in the order of the flattened full configuration; `assemble`
    puts a full configuration together. Of a latent energy, sites of the observed part are clamped.

    Args:
        energy: E.
        mask: True where the (observed) configuration is clamped; shape of the observed space.
        values: A full (observed) configuration; only its clamped entries are used. A traced array.
    """

    energy: AbstractEnergy
    values: Array
    free: Int[Array, " num_free"]

    def __init__(self, energy: AbstractEnergy, mask: Bool[np.ndarray, "..."], values: Array) -> None:
        space = observed_space(energy)
        if not isinstance(space, AbstractArraySpace):
            raise SpaceError(f"Clamped needs configurations that are one array, got space={space}.")
        mask = np.asarray(mask)
        if mask.shape != space.shape or mask.dtype != bool or jnp.shape(values) != space.shape:
            raise ShapeError(
                f"Clamped needs a boolean mask and values of shape {space.shape}, got mask {mask.dtype}{mask.shape} "
                f"and values {jnp.shape(values)}."
            )
        if mask.all():
            raise ArgumentError("Clamped got a mask that leaves no site free.")
        self.energy = energy
        self.values = jnp.asarray(values, jnp.result_type(values))
        self.free = jnp.asarray(np.flatnonzero(~mask))

    @property
    def space(self) -> AbstractSpace:
        inner = observed_space(self.energy)
        assert isinstance(inner, AbstractArraySpace)
        free = inner.with_shape(self.free.shape)
        names = latent(self.energy)
        if names is None:
            return free
        assert isinstance(self.energy.space, Product)
        return Product({**self.energy.space.parts, names.observed: free})

    def assemble(self, x: Array) -> Array:
        """The full observed configuration with the free sites at `x`."""
        flat = self.values.reshape(-1).astype(jnp.result_type(x))
        return flat.at[self.free].set(x).reshape(self.values.shape)

    def whole(self, x: Configuration) -> Configuration:
        """The configuration that the wrapped energy sees."""
        names = latent(self.energy)
        return self.assemble(x) if names is None else {**x, names.observed: self.assemble(x[names.observed])}

    def __call__(self, x: Configuration) -> Scalar:
        return self.energy(self.whole(x))


@value_and_score.register
def _(energy: Clamped, x: Array) -> tuple[Scalar, Array]:
    value, whole_score = value_and_score(energy.energy, energy.assemble(x))
    return value, whole_score.reshape(-1)[energy.free]


@conditional_logits.register
def _(energy: Clamped, x: Configuration, part: str | None = None) -> Float[Array, "..."]:
    logits = conditional_logits(energy.energy, energy.whole(x), part)
    names = latent(energy.energy)
    if part is not None and names is not None and part != names.observed:
        return logits
    trailing = logits.shape[energy.values.ndim :]
    return logits.reshape(-1, *trailing)[energy.free]


@conditional_logits_at.register
def _(energy: Clamped, x: Array, site: Array) -> Float[Array, "..."]:
    return conditional_logits_at(energy.energy, energy.assemble(x), energy.free[site])


@conditional_normals.register
def _(energy: Clamped, x: Configuration, part: str | None = None) -> Normals:
    normals = conditional_normals(energy.energy, energy.whole(x), part)
    names = latent(energy.energy)
    if part is not None and names is not None and part != names.observed:
        return normals
    return Normals(*(leaf.reshape(-1)[energy.free] for leaf in normals))


@is_factorised.register
def _(energy: Clamped, parts: tuple[str, ...] | None) -> bool:
    return is_factorised(energy.energy, parts)


@blocks.register
def _(energy: Clamped) -> tuple[Block, ...]:
    names = latent(energy.energy)
    inner = blocks(energy.energy)
    if any(b.mask is not None for b in inner):
        # Which sites are free is a traced array, so masks of sites cannot be cut down to them.
        return ()
    return inner if names is not None or len(inner) <= 1 else ()


@latent.register
def _(energy: Clamped) -> Latent | None:
    return latent(energy.energy)


@is_confined.register
def _(energy: Clamped) -> bool | None:
    return is_confined(energy.energy)


class Conditional(AbstractConditionalEnergy):
    """A conditional family from a joint energy over a product space: `given(c)` fixes the named part.

    p(x | c) ∝ exp(−E(x, c)); the normaliser depends on c.

    Args:
        joint: Energy over `Product({"x": ..., name: ...})`.
        name: The part that is the condition.
    """

    joint: AbstractEnergy
    name: str = eqx.field(static=True)

    def __check_init__(self) -> None:
        if not isinstance(self.joint.space, Product) or self.name not in self.joint.space.parts:
            raise SpaceError(f"Conditional needs a product space with a part {self.name!r}, got {self.joint.space}.")

    def given(self, c: Any) -> AbstractEnergy:
        """The energy over the other part(s) with the condition held at `c`."""
        return Given(self.joint, self.name, c)


class Given(AbstractEnergy):
    """A joint energy with one named part held at a value, a traced leaf: x ↦ E(x, c)."""

    joint: AbstractEnergy
    name: str = eqx.field(static=True)
    c: PyTree[Array]

    @property
    def _rest(self) -> dict[str, AbstractSpace]:
        assert isinstance(self.joint.space, Product)
        return {name: space for name, space in self.joint.space.parts.items() if name != self.name}

    @property
    def space(self) -> AbstractSpace:
        rest = self._rest
        return next(iter(rest.values())) if len(rest) == 1 else Product(rest)

    def whole(self, x: Configuration) -> Configuration:
        """The joint configuration."""
        rest = self._rest
        return {**({next(iter(rest)): x} if len(rest) == 1 else x), self.name: self.c}

    def __call__(self, x: Configuration) -> Scalar:
        return self.joint(self.whole(x))


@conditional_logits.register
def _(energy: Given, x: Configuration, part: str | None = None) -> Float[Array, "..."]:
    rest = energy._rest
    return conditional_logits(energy.joint, energy.whole(x), next(iter(rest)) if part is None else part)


@is_confined.register
def _(energy: Given) -> bool | None:
    if np.isfinite(energy.space.log_volume):
        return True
    assert isinstance(energy.joint.space, Product)
    # Each of countably many conditions has a share of the joint law.
    is_label = energy.joint.space.parts[energy.name].is_discrete
    return True if is_label and is_confined(energy.joint) else None


def given_others(energy: AbstractEnergy, name: str, x: Configuration) -> AbstractEnergy:
    """The energy over one part of a product space, x_name ↦ E(x_name, rest), with the rest of `x` held.

    Raises:
        SpaceError: The energy has no such part.
    """
    if not isinstance(energy.space, Product) or name not in energy.space.parts:
        raise SpaceError(f"There is no part {name!r} in {energy.space}.")
    for other in energy.space.parts:
        if other != name:
            energy = Given(energy, other, x[other])
    return energy


class Batched(eqx.Module):
    """A batch of energies, one for each chain: labels, tethers, temperatures.

    Args:
        energy: An energy some of whose leaves have a leading chain axis.
        axes: A pytree prefix of `energy` with 0 at leaves that carry the chain axis and None elsewhere, as in
            `jax.vmap(in_axes=...)`; a function ``leaf path -> bool`` is not needed for the common case, see `over`.
    """

    energy: AbstractEnergy
    axes: PyTree[int | None] = eqx.field(static=True)

    @staticmethod
    def over(energies: list[AbstractEnergy] | tuple[AbstractEnergy, ...]) -> Batched:
        """Stack energies of one structure; every array leaf gets the chain axis."""
        if not energies:
            raise ArgumentError("Batched.over needs at least one energy.")
        stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *energies)
        return Batched(stacked, 0)

    @property
    def space(self) -> AbstractSpace:
        """The space of one configuration."""
        return self.energy.space
