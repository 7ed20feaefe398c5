"""Factor graphs: tables over any few categorical variables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Int

from energax._errors import ArgumentError, ShapeError
from energax._typing import Scalar
from energax.energies._base import AbstractEnergy, as_parameter
from energax.energies._capabilities import Block, blocks, conditional_logits, conditional_logits_at
from energax.energies.graphs._scopes import Scopes
from energax.spaces import AbstractTwoValuedSpace, Binary, Categorical


class FactorGraph(AbstractEnergy):
    """Categorical variables with tables over few of them each, E(x) = −c − Σ_f θ_f(x_scope(f)), so p ∝ Π_f exp(θ_f).

    θ = log φ of a factor φ; −∞ forbids a combination, which has infinite energy then. Variables may have different
    numbers of categories. Variables that share no table are independent given the others: `BlockGibbs` finds sets of
    them by itself. Tables of one shape are evaluated together, so that thousands of them compile as fast as one.

    Args:
        counts: Number of categories of each variable, 1 or more; a configuration is an array of integers from 0 on.
            With two categories everywhere the space is `Binary`.
        factors: Pairs (scope, θ): the variables, and a table with one axis for each of them. Many of one shape at once:
            scopes of shape (tables, a) and tables of shape (tables, *shape).
        constant: c.

    Raises:
        ArgumentError: There is no variable or no table, a variable is unknown, or twice in one scope.
        ShapeError: A table does not have the numbers of categories of its scope as its shape.

    Example:
        >>> import numpy as np
        >>> from energax import energies, exact
        >>> pair, alone = np.log([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]), np.log([1.0, 0.5])
        >>> graph = energies.FactorGraph([2, 3], [((0, 1), pair), ((0,), alone)])
        >>> round(np.exp(exact.log_z(graph)), 4)
        13.5

    References:
        [kschischang2001]
    """

    tables: tuple[Float[Array, "tables ..."], ...]
    constant: Scalar
    scopes: Scopes = eqx.field(static=True)
    space: Binary | Categorical = eqx.field(static=True)

    def __init__(
        self,
        counts: Sequence[int] | Int[np.ndarray, " variables"],
        factors: Iterable[tuple[Any, ArrayLike]],
        *,
        constant: ArrayLike = 0.0,
    ) -> None:
        numbers = np.asarray(counts)
        if numbers.ndim != 1 or not numbers.size or numbers.min() < 1 or not np.issubdtype(numbers.dtype, np.integer):
            raise ArgumentError("A factor graph needs variables with one category or more: `counts` is a list of them.")
        groups: dict[tuple[int, ...], list[tuple[np.ndarray, Array]]] = {}
        for scope, table in factors:
            rows, stacked = _checked(scope, table, numbers)
            groups.setdefault(stacked.shape[1:], []).append((rows, stacked))
        if not groups:
            raise ArgumentError("A factor graph needs at least one table.")
        self.scopes = Scopes(numbers, tuple(np.concatenate([rows for rows, _ in group]) for group in groups.values()))
        self.tables = tuple(jnp.concatenate([stacked for _, stacked in group]) for group in groups.values())
        self.constant = as_parameter(constant)
        self.space = _space(tuple(numbers.tolist()))

    def given(self, evidence: Mapping[int, int]) -> FactorGraph:
        """The energy over the other variables, in their order, with the named ones held at values.

        Its log Z is log Σ exp(−E) over the configurations that agree with the evidence. Outside of `jax.jit` only.

        Raises:
            ArgumentError: A variable or a value is unknown, or no variable is left.
        """
        counts = self.scopes.counts
        for variable, value in evidence.items():
            if not (0 <= variable < len(counts) and 0 <= value < counts[variable]):
                raise ArgumentError(f"The evidence x_{variable} = {value} is no variable and value of {self.scopes}.")
        left = np.setdiff1d(np.arange(len(counts)), list(evidence))
        if not left.size:
            raise ArgumentError("The evidence leaves no variable.")
        number = {int(variable): i for i, variable in enumerate(left)}
        constant, factors = self.constant, []
        for scopes, tables in zip(self.scopes.groups, self.tables, strict=True):
            for scope, table in zip(scopes.tolist(), np.asarray(tables), strict=True):
                rest = table[tuple(evidence.get(variable, slice(None)) for variable in scope)]
                kept = tuple(number[variable] for variable in scope if variable in number)
                if kept:
                    factors.append((kept, rest))
                else:
                    constant = constant + rest
        unary = [((0,), np.zeros(counts[left[0]], self.constant.dtype))]
        return FactorGraph(counts[left], factors or unary, constant=constant)

    def __call__(self, x: Int[Array, " variables"]) -> Scalar:
        total = self.constant
        for group, (scopes, tables) in enumerate(zip(self.scopes.groups, self.tables, strict=True)):
            chosen = jnp.take_along_axis(tables.reshape(len(scopes), -1), self._index(group, x)[:, None], axis=1)
            total = total + jnp.sum(chosen)
        return -total

    def _index(self, group: int, x: Int[Array, " variables"]) -> Int[Array, " tables"]:
        """Where the flattened tables of a group are read. Values that a variable cannot have stand for its last one."""
        inside = jnp.minimum(x.astype(jnp.int32), self.scopes.counts - 1)
        return inside[self.scopes.groups[group]] @ self.scopes.strides(group)

    def _read(
        self, group: int, table: Array, start: Array, stride: Array, counts: Array | np.ndarray
    ) -> Float[Array, "... values"]:
        """θ of tables with one variable at each value; tables with a number out of range are zero."""
        values = jnp.minimum(jnp.arange(len(self.space.values)), counts[..., None] - 1)
        flat = self.tables[group].reshape(len(self.tables[group]), -1)
        where = start[..., None] + stride[..., None] * values
        return flat.at[table[..., None], where].get(mode="fill", fill_value=0.0)


def _checked(scope: Any, table: ArrayLike, counts: np.ndarray) -> tuple[np.ndarray, Array]:
    """Scopes (tables, arity) and tables (tables, *shape) of one entry of `factors`."""
    rows, array = np.asarray(scope), as_parameter(table)
    if rows.ndim not in (1, 2) or not rows.size or not np.issubdtype(rows.dtype, np.integer):
        raise ArgumentError(f"A scope is a list of variables, numbers from 0 on, got {scope!r}.")
    rows, array = (rows[None], array[None]) if rows.ndim == 1 else (rows, array)
    if rows.min() < 0 or rows.max() >= len(counts):
        bad = int(rows[(rows < 0) | (rows >= len(counts))][0])
        raise ArgumentError(f"A table names the variable {bad}, but there are the variables 0 to {len(counts) - 1}.")
    if rows.shape[1] > 1 and (np.diff(np.sort(rows, axis=1), axis=1) == 0).any():
        raise ArgumentError("A table names one variable twice in its scope.")
    shapes = np.unique(counts[rows], axis=0)
    if len(shapes) > 1 or array.shape != (len(rows), *shapes[0].tolist()):
        wanted = " or ".join(str(tuple(shape)) for shape in shapes.tolist())
        raise ShapeError(f"The table of variables {tuple(rows[0].tolist())} has shape {array.shape[1:]}, not {wanted}.")
    return rows, array


def _space(counts: tuple[int, ...]) -> Binary | Categorical:
    most = max(2, *counts)
    if set(counts) == {2}:
        return Binary(len(counts))
    return Categorical(len(counts), num_categories=most, counts=None if set(counts) == {most} else counts)


def _as_logits(energy: FactorGraph, theta: Float[Array, "... values"]) -> Float[Array, "..."]:
    return theta[..., 1] - theta[..., 0] if isinstance(energy.space, AbstractTwoValuedSpace) else theta


@conditional_logits.register
def _(energy: FactorGraph, x: Int[Array, " variables"], part: str | None = None) -> Float[Array, "..."]:
    del part
    counts = energy.scopes.counts
    theta = jnp.zeros((len(counts), len(energy.space.values)), energy.constant.dtype)
    here = jnp.minimum(x.astype(jnp.int32), counts - 1)
    for group, scopes in enumerate(energy.scopes.groups):
        index, strides = energy._index(group, x), energy.scopes.strides(group)
        for variables, stride in zip(scopes.T, strides, strict=True):
            start = index - stride * here[variables]
            rows = energy._read(group, jnp.arange(len(scopes)), start, jnp.full_like(start, stride), counts[variables])
            theta = theta.at[variables].add(rows)
    return _as_logits(energy, theta)


@conditional_logits_at.register
def _(energy: FactorGraph, x: Int[Array, " variables"], site: Int[Array, ""]) -> Float[Array, "..."]:
    counts = energy.scopes.counts
    theta = jnp.zeros(len(energy.space.values), energy.constant.dtype)
    inside = jnp.minimum(x.astype(jnp.int32), counts - 1)
    for group, slots in enumerate(energy.scopes.slots):
        table, stride = jnp.asarray(slots.table)[site], jnp.asarray(slots.stride)[site]
        scope = jnp.asarray(energy.scopes.groups[group]).at[table].get(mode="fill", fill_value=0)
        start = inside[scope] @ energy.scopes.strides(group) - stride * inside[site]
        count = jnp.broadcast_to(jnp.asarray(counts)[site], start.shape)
        theta = theta + jnp.sum(energy._read(group, table, start, stride, count), axis=0)
    return _as_logits(energy, theta)


@blocks.register
def _(energy: FactorGraph) -> tuple[Block, ...]:
    return tuple(Block(mask=mask) for mask in energy.scopes.colour_masks)
