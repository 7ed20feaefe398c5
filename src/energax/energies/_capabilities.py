"""What can be asked of an energy beyond its value: functions with a generic fallback and one rule for each wrapper.

A third party adds a fast path for an energy of its own with ``capability.register(MyEnergy)``; the contract checks
compare every such path with the fallback.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from energax._errors import KernelMismatch, NotTractable, SpaceError
from energax._typing import Configuration, PRNGKey, Scalar
from energax.energies._base import AbstractEnergy
from energax.energies._bonds import bonds
from energax.spaces import AbstractDiscreteSpace, AbstractSpace, AbstractTwoValuedSpace, Product


class Block(eqx.Module):
    """Sites that are conditionally independent given all the others.

    The coordinates of a continuous part are a block if each of them is normal given all the others and they are
    independent of each other: E is a quadratic function of them without products (`conditional_normals`).

    Attributes:
        parts: Names of the parts of a `Product` space that hold the sites, sorted; None for a plain space, or for
            all parts.
        mask: Which sites of a plain space, or of the one part that `parts` names, belong to the block; None for all.
    """

    parts: tuple[str, ...] | None = eqx.field(static=True, default=None)
    mask: np.ndarray | None = None


class UniformLattice(eqx.Module):
    """A periodic lattice of spins with bonds of one strength and one field, E(s) = −J Σ σ_ij s_i s_j − H Σ s_i + const.

    The first sum has one term per site and axis. Kernels that know nothing but this need not ask the energy again.

    Attributes:
        coupling: J; None for spins without bonds, which go with every lattice.
        field: H.
        shape: Lengths of the axes.
        negative: Which bonds have the sign σ = −1, axes (axis, *shape), the bond from x to x + e_a at [a][x]; None
            where all signs are +1.
    """

    coupling: Scalar | None
    field: Scalar
    shape: tuple[int, ...] = eqx.field(static=True)
    negative: Bool[Array, "..."] | None = None


class Normals(NamedTuple):
    """Independent normal laws in natural parameters, E = Σ_i ½ p_i x_i² − l_i x_i + constant: N(l_i/p_i, 1/p_i).

    Attributes:
        precision: p, shape of the part.
        linear: l, shape of the part.
    """

    precision: Float[Array, "..."]
    linear: Float[Array, "..."]


class Latent(NamedTuple):
    """Which part of a latent energy's product space is data, and which parts are not."""

    observed: str
    hidden: tuple[str, ...]


@functools.singledispatch
def value_and_score(energy: AbstractEnergy, x: Configuration) -> tuple[Scalar, Configuration]:
    """E(x) and the score −∇E(x), at a point of the covering space (see `AbstractSpace.fold`)."""
    value, gradient = jax.value_and_grad(lambda y: energy(energy.space.fold(y)))(x)
    return value, jax.tree.map(jnp.negative, gradient)


def score(energy: AbstractEnergy, x: Configuration) -> Configuration:
    """The score −∇E(x)."""
    return value_and_score(energy, x)[1]


@functools.singledispatch
def score_and_curvature(
    energy: AbstractEnergy, x: Float[Array, "..."], directions: Float[Array, "k ..."]
) -> tuple[Float[Array, "..."], Scalar]:
    """The score −∇E(x) and the curvature Σ_v vᵀ∇²E(x)v along several directions, at a point of the covering space.

    With an orthonormal basis the curvature is the Laplacian ΔE(x); with random signs its mean is k times that.

    Cost: one score, and for each direction the derivative of one: two products with every matrix of a network. A rule
    for networks of layers does with one.

    Args:
        energy: An energy over one array of real numbers.
        x: One configuration.
        directions: Vectors v of the shape of x, along the first axis.
    """
    slope, curvature = slope_and_curvature(lambda y: -score(energy, y), x, directions)
    return -slope, curvature


def slope_and_curvature(gradient: Callable[[Array], Array], x: Array, directions: Array) -> tuple[Array, Scalar]:
    """A gradient ∇f at x, and Σ_v vᵀ∇²f(x)v, by the derivative of the gradient along each direction."""
    here, along = jax.linearize(gradient, x)
    return here, jnp.sum(jax.vmap(lambda v: jnp.sum(v * along(v)))(directions))


@functools.singledispatch
def conditional_logits(energy: AbstractEnergy, x: Configuration, part: str | None = None) -> Float[Array, "..."]:
    """Logits of the law of every single site given all the others, at the current configuration.

    For two-valued sites l_i = E(x with the first value at i) − E(x with the second value at i), shape of the part;
    otherwise l_iv = E(x with value 0 at i) − E(x with value v at i), shape ``(*shape, k)``.
    The fallback evaluates the energy k times for each site.

    Args:
        energy: A discrete energy.
        x: One configuration.
        part: Which part of a product space.
    """
    space = discrete_part(energy, part)
    sites = x if part is None else x[part]

    def energy_at(site: Array, value: Array) -> Scalar:
        changed = sites.reshape(-1).at[site].set(value.astype(sites.dtype)).reshape(sites.shape)
        return energy(changed if part is None else {**x, part: changed})

    values = jnp.asarray(space.values)
    at_values = jax.vmap(jax.vmap(energy_at, (None, 0)), (0, None))(jnp.arange(space.num_sites), values)
    return logits_from_energies(space, at_values).reshape(space.logits_shape)


@functools.singledispatch
def conditional_logits_at(energy: AbstractEnergy, x: Array, site: Array) -> Float[Array, "..."]:
    """Logits of one site (index into the flattened configuration) given all the others.

    A scalar for two-valued sites, shape ``(k,)`` otherwise. The fallback evaluates the energy k times.
    """
    space = discrete_part(energy, None)

    def energy_at(value: Array) -> Scalar:
        return energy(x.reshape(-1).at[site].set(value.astype(x.dtype)).reshape(x.shape))

    return logits_from_energies(space, jax.vmap(energy_at)(jnp.asarray(space.values)))


@functools.singledispatch
def conditional_normals(energy: AbstractEnergy, x: Configuration, part: str | None = None) -> Normals:
    """The law of the coordinates of a continuous block (see `Block`) given everything else, at the configuration.

    The fallback takes precisions from the second derivative along (1, ..., 1), two derivatives of the energy.

    Args:
        energy: An energy with a continuous block.
        x: One configuration.
        part: Which part of a product space.
    """

    def energy_at(y: Array) -> Scalar:
        return energy(y if part is None else {**x, part: y})

    here = x if part is None else x[part]
    slope, precision = jax.jvp(jax.grad(energy_at), (here,), (jnp.ones_like(here),))
    return Normals(precision, precision * here - slope)


def flip_deltas(energy: AbstractEnergy, x: Array) -> Float[Array, "..."]:
    """ΔE_i = E(x with site i flipped) − E(x) for every site of a two-valued space."""
    space = discrete_part(energy, None)
    if not isinstance(space, AbstractTwoValuedSpace):
        raise KernelMismatch(f"flip_deltas needs two-valued sites, but space={space}. Use conditional_logits.")
    logits = conditional_logits(energy, x)
    return jnp.where(x == space.values[1], logits, -logits)


@functools.singledispatch
def blocks(energy: AbstractEnergy) -> tuple[Block, ...]:
    """Blocks of conditionally independent sites that together cover all sites; empty where none are known.

    Hidden parts come first, so that a Gibbs sweep that begins at an observed configuration needs no hidden start.
    """
    del energy
    return ()


@functools.singledispatch
def is_factorised(energy: AbstractEnergy, parts: tuple[str, ...] | None) -> bool:
    """Whether all sites of the named parts (None: of a plain space) are known to be one block."""
    whole = [block for block in blocks(energy) if block.mask is None]
    return any(b.parts is None or (parts is not None and set(parts) <= set(b.parts)) for b in whole)


@functools.singledispatch
def uniform_lattice(energy: AbstractEnergy) -> UniformLattice | None:
    """Coupling, field and signs of a uniform periodic lattice of spins; None where the energy is not known as one."""
    del energy
    return None


@functools.singledispatch
def latent(energy: AbstractEnergy) -> Latent | None:
    """Which part of the energy's product space is observed, None for an energy without hidden variables."""
    del energy
    return None


@functools.singledispatch
def log_normalizer(energy: AbstractEnergy) -> Scalar:
    """Log Z = log ∫ exp(−E) in closed form.

    Raises:
        NotTractable: No closed form is known; `energax.exact` enumerates small systems.
    """
    raise NotTractable(f"No closed form of log Z is known for {type(energy).__name__}.")


@functools.singledispatch
def exact_draw(energy: AbstractEnergy, *, key: PRNGKey) -> Configuration:
    """One exact draw from exp(−E)/Z.

    Raises:
        NotTractable: No exact sampler is known; `energax.exact` draws from small systems by enumeration.
    """
    del key
    raise NotTractable(f"No exact sampler is known for {type(energy).__name__}.")


@functools.singledispatch
def is_confined(energy: AbstractEnergy) -> bool | None:
    """Whether exp(−E) is known to be integrable (True), known not to be (False), or unknown (None)."""
    return True if np.isfinite(energy.space.log_volume) else None


def observed_space(energy: AbstractEnergy) -> AbstractSpace:
    """The space of the data: the observed part of a latent energy, the whole space of any other."""
    names = latent(energy)
    if names is None:
        return energy.space
    if not isinstance(energy.space, Product):
        raise SpaceError(f"{type(energy).__name__} declares hidden parts but its space is {energy.space}.")
    return energy.space.parts[names.observed]


def observed(energy: AbstractEnergy, x: Configuration) -> Configuration:
    """The observed part of a configuration of the whole space."""
    names = latent(energy)
    return x if names is None else x[names.observed]


def complete(energy: AbstractEnergy, x: Configuration, *, key: PRNGKey) -> Configuration:
    """A configuration of the whole space with the observed part `x` and the hidden parts at their initial law."""
    names = latent(energy)
    if names is None:
        return x
    parts = energy.space.parts  # pyright: ignore[reportAttributeAccessIssue]
    keys = jax.random.split(key, len(names.hidden))
    hidden = {name: parts[name].initial(key=k) for name, k in zip(names.hidden, keys, strict=True)}
    return {names.observed: x, **hidden}


def capabilities(energy: AbstractEnergy) -> frozenset[str]:
    """The names that kernels use in `needs`: what `energy` offers.

    Over a product space also what it offers as a function of one part with the others held, as ``part.name``.
    """
    space = observed_space(energy)
    offered = _offered_by(space)
    if isinstance(space, Product):
        offered |= {f"{name}.{own}" for name, part in space.items for own in _offered_by(part)}
    if blocks(energy):
        offered.add("blocks")
    if bonds(energy) is not None:
        offered.add("bonds")
    return frozenset(offered)


def _offered_by(space: AbstractSpace) -> set[str]:
    """What every energy over a space offers."""
    offered = {"energy"}
    if _is_continuous(space):
        offered |= {"continuous", "score"}
    if isinstance(space, AbstractDiscreteSpace):
        offered.add("conditional_logits")
    if isinstance(space, AbstractTwoValuedSpace):
        offered.add("flip_deltas")
    return offered


def _is_continuous(space: AbstractSpace) -> bool:
    """Whether no part of the space is discrete."""
    if isinstance(space, Product):
        return all(_is_continuous(part) for _, part in space.items)
    return not space.is_discrete


def discrete_part(energy: AbstractEnergy, part: str | None) -> AbstractDiscreteSpace:
    """The discrete space of a part, or of the whole configuration when `part` is None."""
    space: Any = energy.space
    if part is not None:
        space = space.parts[part]
    if not isinstance(space, AbstractDiscreteSpace):
        raise KernelMismatch(f"Conditional logits need discrete sites, but space={space}.")
    return space


def logits_from_energies(space: AbstractDiscreteSpace, at_values: Float[Array, "*n k"]) -> Float[Array, "..."]:
    """Logits of a site from the energies with each of its values."""
    relative = at_values[..., :1] - at_values
    return relative[..., 1] if isinstance(space, AbstractTwoValuedSpace) else relative
