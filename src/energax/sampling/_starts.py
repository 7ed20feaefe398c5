"""Where chains start, how many there are, and on which devices."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec
from jaxtyping import Array

from energax._errors import ArgumentError, SpaceError
from energax._typing import Configuration, PRNGKey
from energax.densities import AbstractDensity
from energax.energies import AbstractEnergy, Batched
from energax.spaces import AbstractSpace, check_structure


def starts(space: AbstractSpace, x0: Configuration | None, num_chains: int | None, *, key: PRNGKey) -> Configuration:
    """Starting configurations with a chain axis, in the dtype of the space.

    Raises:
        SpaceError: `x0` has the wrong shape, or some of it lies outside the space.
        ArgumentError: `x0` has another number of chains than `num_chains`.
    """
    if x0 is None:
        num_chains = 4 if num_chains is None else num_chains
        return jax.vmap(lambda k: space.initial(key=k))(jax.random.split(key, num_chains))
    check_structure(space, x0, name="x0", batch_dims=1)
    given = jax.tree.leaves(x0)[0].shape[0]
    if num_chains is not None and num_chains != given:
        raise ArgumentError(f"`x0` has {given} chains, but num_chains={num_chains}; leave num_chains out.")
    x0 = jax.tree.map(jnp.asarray, x0)
    inside = np.asarray(_contains(space, x0))
    if not inside.all():
        raise SpaceError(
            f"{int((~inside).sum())} of {given} starts in `x0` (the first is chain {int(np.argmin(inside))}) lie "
            f"outside {space}, or are not finite."
        )
    return jax.tree.map(lambda leaf, struct: _cast(leaf, struct.dtype), x0, space.struct)


@eqx.filter_jit
def draws(density: AbstractDensity, keys: Array) -> Configuration:
    """One draw for each key of an array of any shape."""
    draw = lambda key: density.draw(key=key)  # noqa: E731
    for _ in range(keys.ndim):
        draw = jax.vmap(draw)
    return draw(keys)


@eqx.filter_jit
def _contains(space: AbstractSpace, x: Configuration) -> Array:
    return jax.vmap(space.contains)(x)


def _cast(leaf: Any, dtype: Any) -> Array:
    leaf = jnp.asarray(leaf)
    keep = jnp.issubdtype(leaf.dtype, jnp.floating) and jnp.issubdtype(dtype, jnp.floating)
    return leaf if keep else leaf.astype(dtype)


def count_chains(energy: AbstractEnergy | Batched, x0: Configuration | None, num_chains: int | None) -> int | None:
    """The number of chains that was asked for, after comparing it with the number of energies of a batch."""
    if num_chains is not None and num_chains < 1:
        raise ArgumentError(f"num_chains must be positive, got {num_chains}.")
    if not isinstance(energy, Batched):
        return num_chains
    sizes: set[int] = set()

    def visit(axis: int | None, part: Any) -> None:
        if axis is not None:
            sizes.update(leaf.shape[axis] for leaf in jax.tree.leaves(part) if eqx.is_array(leaf))

    jax.tree.map(visit, energy.axes, energy.energy, is_leaf=lambda axis: axis is None)
    wanted = num_chains if x0 is None else jnp.shape(jax.tree.leaves(x0)[0])[0]
    if len(sizes) > 1 or (sizes and wanted is not None and wanted not in sizes):
        raise ArgumentError(
            f"A batch of energies gives one to each chain, but its leaves have chain axes of {sorted(sizes)}"
            f"{'' if wanted is None else f' and there are {wanted} chains'}."
        )
    return next(iter(sizes)) if num_chains is None and sizes else num_chains


def placed_like(keys: Array, x: Configuration) -> Array:
    """The keys of the chains on the devices that hold the chains."""
    sharding = jax.tree.leaves(x)[0].sharding
    if isinstance(sharding, NamedSharding) and sharding.spec:
        return jax.device_put(keys, NamedSharding(sharding.mesh, PartitionSpec(sharding.spec[0])))
    return keys
