"""All configurations of a discrete space, in lexicographic order of the flattened sites."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
from jaxtyping import PyTree

from energax._errors import NotTractable
from energax._typing import Configuration
from energax.spaces import AbstractDiscreteSpace, AbstractSpace, Product

MAX_STACKED = 2**20
"""The most configurations that are put into one array."""


def leaf_spaces(space: AbstractSpace) -> list[AbstractSpace]:
    """The array spaces that a space is made of, in the order of the leaves of its `struct`."""
    if isinstance(space, Product):
        return [leaf for _, part in space.items for leaf in leaf_spaces(part)]
    return [space]


def discrete_leaves(space: AbstractSpace) -> list[AbstractDiscreteSpace]:
    """The leaves of a discrete space.

    Raises:
        NotTractable: A part is continuous.
    """
    leaves = leaf_spaces(space)
    for leaf in leaves:
        if not isinstance(leaf, AbstractDiscreteSpace):
            raise NotTractable(f"Enumeration needs discrete sites, but {leaf} has infinitely many configurations.")
    return leaves  # pyright: ignore[reportReturnType]


def num_states(space: AbstractSpace) -> int:
    """Number of configurations of a discrete space, an exact integer."""
    return math.prod(leaf.num_configurations for leaf in discrete_leaves(space))


class StateTable:
    """The configurations of a space as (fixed leading sites) × (all values of the trailing sites).

    The trailing sites have few enough values to be one array, `rows`; the leading sites are given chunk by chunk, so
    that no index overflows however large the space is.

    Args:
        space: A discrete space.
        chunk_size: The most rows of a chunk (more if a single site has more values).
    """

    def __init__(self, space: AbstractSpace, chunk_size: int) -> None:
        values = [values for leaf in discrete_leaves(space) for values in _site_values(leaf)]
        split, size = len(values), 1
        while split > 0 and (size == 1 or size * len(values[split - 1]) <= chunk_size):
            split -= 1
            size *= len(values[split])
        dtype = np.int32
        self.space = space
        self._leading = values[:split]
        grids = np.meshgrid(*values[split:], indexing="ij") if split < len(values) else []
        flat = [np.asarray(g, dtype).reshape(-1) for g in grids]
        self.rows = np.stack(flat, axis=1) if flat else np.zeros((1, 0), dtype)

    def heads(self) -> Iterator[np.ndarray]:
        """The values of the leading sites, one array for each chunk."""
        for head in itertools.product(*self._leading):
            yield np.asarray(head, np.int32)


def _site_values(space: AbstractDiscreteSpace) -> list[tuple[int, ...]]:
    """The values that each site may have."""
    if space.allowed is None:
        return [space.values] * space.num_sites
    rows = space.allowed.reshape(-1, len(space.values))
    return [tuple(itertools.compress(space.values, row)) for row in rows]


def assemble(space: AbstractSpace, flat: Any, leading: tuple[int, ...] = ()) -> Configuration:
    """Configurations from the values of all sites along the last axis of `flat` (NumPy or JAX)."""
    structs, treedef = jax.tree.flatten(space.struct)
    leaves, start = [], 0
    for struct in structs:
        stop = start + math.prod(struct.shape)
        leaves.append(flat[..., start:stop].reshape((*leading, *struct.shape)).astype(struct.dtype))
        start = stop
    return jax.tree.unflatten(treedef, leaves)


def state_chunks(space: AbstractSpace, *, chunk_size: int = 2**14) -> Iterator[PyTree[np.ndarray]]:
    """All configurations, as stacked NumPy arrays of at most `chunk_size` configurations each.

    Args:
        space: A discrete space, or a product of discrete spaces.
        chunk_size: The most configurations in one chunk.

    Yields:
        Configurations with one leading axis. The last site varies fastest.
    """
    table = StateTable(space, chunk_size)
    for head in table.heads():
        rows = np.broadcast_to(head, (len(table.rows), head.size))
        yield assemble(space, np.concatenate([rows, table.rows], axis=1), (len(table.rows),))


def states(space: AbstractSpace) -> PyTree[np.ndarray]:
    """All configurations of a discrete space, stacked along a leading axis; the last site varies fastest.

    Args:
        space: A discrete space, or a product of discrete spaces.

    Returns:
        NumPy arrays of shape ``(num_states(space), *shape)`` in the space's own dtype.

    Raises:
        NotTractable: A part is continuous, or there are more than 2^20 configurations; `state_chunks` has no limit.

    Example:
        >>> from energax import exact, spaces
        >>> exact.states(spaces.Spins(2)).tolist()
        [[-1, -1], [-1, 1], [1, -1], [1, 1]]
    """
    count = num_states(space)
    if count > MAX_STACKED:
        raise NotTractable(
            f"{space} has {describe_count(count)} configurations, too many for one array (at most "
            f"{describe_count(MAX_STACKED)}). Go through them with `exact.state_chunks`."
        )
    chunks = list(state_chunks(space, chunk_size=MAX_STACKED))
    return jax.tree.map(lambda *leaves: np.concatenate(leaves), *chunks)


def describe_count(count: int) -> str:
    """A count such as ``1024`` or ``about 1.8e+19``."""
    return str(count) if count <= 10**6 else f"about 10^{math.log10(count):.1f}"
