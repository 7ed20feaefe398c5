"""Rows of data, whatever they come in."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol, runtime_checkable

import jax
import numpy as np
from jaxtyping import PyTree

from energax._errors import ArgumentError
from energax.spaces import AbstractSpace, check_structure

_BLOCK = 4096


@runtime_checkable
class TakesRows(Protocol):
    """What streams: a length, and rows by index."""

    def __len__(self) -> int: ...

    def take(self, indices: np.ndarray) -> np.ndarray:
        """The rows with these indices."""
        ...


def num_rows(rows: Any) -> int:
    """Number of rows of an array, a pytree of arrays or anything with `take`."""
    return len(rows) if _streams(rows) else len(jax.tree.leaves(rows)[0])


def some_rows(rows: Any, space: AbstractSpace, *, most: int, name: str) -> PyTree[np.ndarray]:
    """At most `most` rows, evenly spaced, checked against the space.

    Raises:
        SpaceError: Rows of another shape.
        ArgumentError: No rows at all, or values outside the space.
    """
    count = num_rows(rows)
    if not count:
        raise ArgumentError(f"`{name}` has no rows.")
    indices = np.unique(np.linspace(0, count - 1, min(count, most)).astype(np.int64))
    return _checked(take(rows, indices), space, name)


def all_rows(rows: Any, space: AbstractSpace, *, name: str) -> Iterator[PyTree[np.ndarray]]:
    """All rows in blocks, each checked against the space.

    Raises:
        SpaceError: Rows of another shape.
        ArgumentError: No rows at all, or values outside the space.
    """
    count = num_rows(rows)
    if not count:
        raise ArgumentError(f"`{name}` has no rows.")
    for start in range(0, count, _BLOCK):
        yield _checked(take(rows, np.arange(start, min(start + _BLOCK, count))), space, name)


def take(rows: Any, indices: np.ndarray) -> PyTree[np.ndarray]:
    """Rows by index."""
    if _streams(rows):
        return np.asarray(rows.take(indices))
    return jax.tree.map(lambda leaf: np.asarray(leaf)[indices], rows)


def _streams(rows: Any) -> bool:
    # Arrays have a `take` too, along the flattened array.
    return not isinstance(rows, np.ndarray | jax.Array) and isinstance(rows, TakesRows)


def _checked(rows: PyTree[np.ndarray], space: AbstractSpace, name: str) -> PyTree[np.ndarray]:
    check_structure(space, rows, name=name, batch_dims=1)
    inside = np.asarray(jax.vmap(space.contains)(rows))
    if not inside.all():
        raise ArgumentError(
            f"{int((~inside).sum())} of {len(inside)} rows of `{name}` lie outside {space} (the first is row "
            f"{int(np.argmin(inside))} of the block). Were they transformed as the training data were?"
        )
    return jax.tree.map(lambda leaf, struct: np.asarray(leaf, struct.dtype), rows, space.struct)
