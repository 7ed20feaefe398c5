"""Batches as a pure function of the step."""

from __future__ import annotations

import inspect
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Int64, PyTree

from energax._errors import ArgumentError, DataError, SpaceError
from energax._typing import Configuration
from energax.data import batch_indices
from energax.objectives import NumberedRows
from energax.spaces import AbstractSpace


class Rows(Protocol):
    """Data that can be asked for rows: what `energax.data` splits are, and what a user may write."""

    def __len__(self) -> int:
        """Number of rows."""
        ...

    def take(self, indices: np.ndarray) -> Any:
        """The rows at `indices`, with a leading axis; may also accept ``draw=`` for noise that depends on it."""
        ...


class ArrayRows:
    """Rows of one array, or of a pytree of arrays with the same leading axis."""

    def __init__(self, arrays: PyTree[Any]) -> None:
        self.arrays = jax.tree.map(np.asarray, arrays)
        lengths = {leaf.shape[0] if leaf.ndim else -1 for leaf in jax.tree.leaves(self.arrays)}
        if len(lengths) != 1 or -1 in lengths:
            raise DataError("Data must be an array whose first axis counts the rows (all arrays with the same number).")
        self._length = lengths.pop()

    def __len__(self) -> int:
        return self._length

    def take(self, indices: np.ndarray) -> Any:
        """The rows at `indices`."""
        return jax.tree.map(lambda leaf: leaf[indices], self.arrays)

    def first(self, max_bytes: int) -> Any:
        """As many of the first rows as fit into `max_bytes`; the arrays may be memory maps of large files."""
        row = sum(leaf.nbytes // len(leaf) for leaf in jax.tree.leaves(self.arrays) if len(leaf))
        return jax.tree.map(lambda leaf: leaf[: max(1, max_bytes // max(row, 1))], self.arrays)


class Batches:
    """Batch number s of a data set: a function of s, so that the position in the data is the step.

    Args:
        data: An array (row, *event), a pytree of such, or anything with `len` and `take(indices)`.
        batch_size: Rows of a batch.
        seed: Seed of the order of the rows.
        space: What one row is; batches come in its dtype.
        numbered: Whether they come as `NumberedRows`.
    """

    def __init__(self, data: Any, *, batch_size: int, seed: int, space: AbstractSpace, numbered: bool = False) -> None:
        self.rows: Rows = as_rows(data)
        self._takes_draw = "draw" in inspect.signature(self.rows.take).parameters
        if batch_size < 1:
            raise ArgumentError(f"batch_size must be at least 1, got {batch_size}.")
        if len(self.rows) < 1:
            raise DataError("The data have no rows.")
        self._batch_size = batch_size
        self._seed = seed
        self._struct = space.struct
        self._numbered = numbered

    @property
    def num_rows(self) -> int:
        """Rows of the data set."""
        return len(self.rows)

    def at(self, step: int) -> Any:
        """The batch of update `step`, counted from 0."""
        rows = self._cast(self.raw(step))
        return NumberedRows(rows, self._indices(step).astype(np.int32), self.num_rows) if self._numbered else rows

    def raw(self, step: int) -> PyTree[Any]:
        """The rows of that batch as the data have them."""
        extra: dict[str, Any] = {"draw": step} if self._takes_draw else {}
        return self.rows.take(self._indices(step), **extra)

    def _indices(self, step: int) -> Int64[np.ndarray, " batch"]:
        return batch_indices(self.num_rows, self._batch_size, step, self._seed)

    def _cast(self, rows: PyTree[Any]) -> Configuration:
        """Rows in the dtype of the space; real numbers keep their precision where JAX can hold it."""
        if jax.tree.structure(rows) != jax.tree.structure(self._struct):
            return rows  # the check of the structure says it better than a failed map
        return jax.tree.map(lambda leaf, struct: _cast(np.asarray(leaf), struct.dtype), rows, self._struct)


def as_rows(data: Any) -> Rows:
    """`data` as something that can be asked for rows.

    Raises:
        DataError: It is neither arrays nor an object with `len` and `take`.
    """
    is_array = isinstance(data, np.ndarray | jax.Array)
    if not is_array and callable(getattr(data, "take", None)) and callable(getattr(data, "__len__", None)):
        return data
    leaves = jax.tree.leaves(data)
    if leaves and all(isinstance(leaf, np.ndarray | jax.Array) for leaf in leaves):
        return ArrayRows(data)
    raise DataError(
        f"Data must be an array with rows along its first axis, a split of energax.data, or an object with `len` and "
        f"`take(indices)`; got {type(data).__name__}."
    )


def _cast(leaf: np.ndarray, dtype: Any) -> np.ndarray:
    if jnp.issubdtype(dtype, jnp.floating):
        # Narrower real numbers stay as they are; wider ones than JAX holds at present would be cut down by it anyway.
        keeps = jnp.issubdtype(leaf.dtype, jnp.floating) and leaf.itemsize <= jnp.result_type(float).itemsize
        return leaf.astype(leaf.dtype if keeps else jnp.result_type(float), copy=False)
    out = leaf.astype(dtype, copy=False)
    if leaf.dtype.kind == "f" and not np.array_equal(out, leaf):
        raise SpaceError(
            f"The data are not whole numbers, but the model's sites are discrete ({dtype}). Binarise them."
        )
    return out
