"""Which variables each table of a factor graph depends on: its static structure."""

from __future__ import annotations

import functools
import itertools
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int

from energax.energies.lattice._graph import Graph


class Slots(NamedTuple):
    """The tables of one shape that each variable is in, padded to the most of any variable.

    Attributes:
        table: Number of the table, shape (variables, D); padding has the number of tables, which is out of range.
        stride: What the index of the flattened table grows by with the variable.
    """

    table: Int[np.ndarray, "variables D"]
    stride: Int[np.ndarray, "variables D"]


class Scopes:
    """The scopes of tables, those of one shape side by side; compared and hashed by content, as a `Graph` is.

    Args:
        counts: Number of categories of each variable.
        groups: For each shape of tables the scopes of all tables of that shape, shape (tables, variables of a table).
    """

    def __init__(self, counts: Int[np.ndarray, " variables"], groups: tuple[Int[np.ndarray, "tables arity"], ...]):
        self.counts = np.ascontiguousarray(counts, np.int32)
        self.groups = tuple(np.ascontiguousarray(group, np.int32) for group in groups)
        self._content = (self.counts.tobytes(), *((group.shape, group.tobytes()) for group in self.groups))
        self._hash = hash(self._content)

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Scopes) and self._content == other._content)

    def __hash__(self) -> int:
        return self._hash

    def __repr__(self) -> str:
        return f"Scopes(num_variables={len(self.counts)}, num_tables={sum(map(len, self.groups))})"

    def strides(self, group: int) -> Int[np.ndarray, " arity"]:
        """What the index of the flattened tables of a group grows by with each variable of the scope."""
        shape = self.counts[self.groups[group][0]]
        return np.append(np.cumprod(shape[::-1])[::-1][1:], 1).astype(np.int32)

    @functools.cached_property
    def slots(self) -> tuple[Slots, ...]:
        """For each group, where the variables are."""
        return tuple(self._slots(group) for group in range(len(self.groups)))

    def _slots(self, group: int) -> Slots:
        scopes = self.groups[group]
        variables = scopes.reshape(-1)
        tables = np.repeat(np.arange(len(scopes), dtype=np.int32), scopes.shape[1])
        strides = np.tile(self.strides(group), len(scopes))
        order = np.argsort(variables, kind="stable")
        degree = np.bincount(variables, minlength=len(self.counts))
        rank = np.arange(len(variables)) - np.repeat(np.cumsum(degree) - degree, degree)
        table = np.full((len(self.counts), degree.max()), len(scopes), np.int32)
        stride = np.zeros_like(table)
        table[variables[order], rank] = tables[order]
        stride[variables[order], rank] = strides[order]
        return Slots(table, stride)

    @functools.cached_property
    def colour_masks(self) -> tuple[Bool[np.ndarray, " variables"], ...]:
        """Sets of variables no two of which share a table."""
        pairs = [
            np.sort(group[:, [a, b]], axis=1)
            for group in self.groups
            for a, b in itertools.combinations(range(group.shape[1]), 2)
        ]
        if not pairs:
            return (np.ones(len(self.counts), bool),)
        return Graph(np.unique(np.concatenate(pairs), axis=0), len(self.counts)).colour_masks
