"""A graph whose nodes have features and classes."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any, TypeAlias

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from energax._errors import DataError, ShapeError
from energax.systems.graphs._arrays import as_numpy

Mask: TypeAlias = NDArray[np.bool_]
Features: TypeAlias = Any
"""A `csr_matrix` or an array, (n, d), float32; SciPy's matrices have no types."""


@dataclasses.dataclass(frozen=True, eq=False)
class Graph:
    """An undirected graph with a class, and mostly features, at every node; checked when it is made.

    Edges are stored in both directions, once each, sorted and without loops, whatever was given.

    Args:
        edges: Pairs of nodes, (2, e), whole numbers from 0; one direction of an edge is enough.
        labels: Classes, (n,), whole numbers from 0.
        features: Finite numbers, (n, d), dense or of SciPy's sparse matrices; None where networks are not needed.
        name: What it is called.
        class_names: Names of the classes, empty where unknown.

    Raises:
        ShapeError: Arrays that do not fit together.
        DataError: Values that make no graph; one sentence says which.

    Example:
        >>> Graph([[0, 1], [1, 2]], [0, 0, 1])
        Graph(graph: 3 nodes, 2 edges, 2 classes)
    """

    edges: NDArray[np.int64]
    labels: NDArray[np.int64]
    features: Features | None = None
    name: str = "graph"
    class_names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        labels = _whole("labels", self.labels, 1)
        object.__setattr__(self, "labels", _checked_labels(labels))
        edges = _whole("edges", self.edges, 2)
        object.__setattr__(self, "edges", _both_ways(_checked_edges(edges, labels.size), labels.size))
        if self.features is not None:
            object.__setattr__(self, "features", _checked_features(self.features, labels.size))

    @property
    def num_nodes(self) -> int:
        """Number of nodes n."""
        return self.labels.size

    @property
    def num_edges(self) -> int:
        """Number of undirected edges."""
        return self.edges.shape[1] // 2

    @property
    def num_classes(self) -> int:
        """One more than the largest class."""
        return int(self.labels.max()) + 1

    @property
    def num_features(self) -> int:
        """Number of features d, 0 without."""
        return 0 if self.features is None else int(self.features.shape[1])

    @functools.cached_property
    def adjacency(self) -> sp.csr_matrix:
        """A, symmetric, entries 1, no diagonal."""
        ones = np.ones(self.edges.shape[1])
        return sp.csr_matrix((ones, tuple(self.edges)), (self.num_nodes, self.num_nodes))

    @functools.cached_property
    def degrees(self) -> NDArray[np.int64]:
        """Number of neighbours of each node."""
        return np.bincount(self.edges[0], minlength=self.num_nodes)

    @functools.cached_property
    def notes(self) -> tuple[str, ...]:
        """What a reader should know: nodes without a neighbour, parts without a path between them."""
        told = []
        if alone := int((self.degrees == 0).sum()):
            told.append(f"{alone} of {self.num_nodes} nodes are isolated: nothing is diffused to or from them.")
        parts, _ = sp.csgraph.connected_components(self.adjacency, directed=False)
        if parts - alone > 1:
            told.append(f"The graph is disconnected: it has {parts - alone} parts besides isolated nodes.")
        return tuple(told)

    def subgraph(self, nodes: Mask) -> Graph:
        """The graph of the nodes of a mask, in their order, with the edges among them."""
        place = np.cumsum(nodes) - 1
        kept = nodes[self.edges].all(0)
        features = None if self.features is None else self.features[np.flatnonzero(nodes)]
        return dataclasses.replace(self, edges=place[self.edges[:, kept]], labels=self.labels[nodes], features=features)

    def __repr__(self) -> str:
        features = f", {self.num_features} features" if self.num_features else ""
        return (
            f"Graph({self.name}: {self.num_nodes} nodes, {self.num_edges} edges, {self.num_classes} classes{features})"
        )


def _whole(name: str, values: Any, ndim: int) -> NDArray[np.int64]:
    array = as_numpy(values)
    if array.ndim != ndim or (ndim == 2 and array.shape[0] != 2):
        raise ShapeError(
            f"`{name}` must have the shape {'(2, edges)' if ndim == 2 else '(nodes,)'}; got {array.shape}."
        )
    floating = np.issubdtype(array.dtype, np.floating) and np.array_equal(array, np.round(array))
    if array.size and not (floating or np.issubdtype(array.dtype, np.integer)):
        raise DataError(f"`{name}` must hold whole numbers; got {array.dtype} with others in it.")
    return array.astype(np.int64)


def _checked_labels(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    if labels.size == 0:
        raise DataError("The graph has no nodes.")
    bad = np.flatnonzero(labels < 0)
    if bad.size:
        raise DataError(
            f"Labels are out of range: node {bad[0]} has the label {labels[bad[0]]} ({bad.size} such nodes); "
            "classes are whole numbers from 0, and nodes without one must be left out."
        )
    empty = np.flatnonzero(np.bincount(labels, minlength=1) == 0) if labels.max() < 100_000 else [0]
    if len(empty):
        raise DataError(
            f"Labels are out of range: they go up to {labels.max()}, but no node has the label {empty[0]}; "
            "number the classes from 0 without gaps."
        )
    return labels


def _checked_edges(edges: NDArray[np.int64], num_nodes: int) -> NDArray[np.int64]:
    bad = np.flatnonzero(((edges < 0) | (edges >= num_nodes)).any(0))
    if bad.size:
        pair = " – ".join(str(node) for node in edges[:, bad[0]])
        raise DataError(
            f"Edge {bad[0]} joins {pair}, but nodes are numbered from 0 to {num_nodes - 1} ({bad.size} such edges)."
        )
    return edges


def _both_ways(edges: NDArray[np.int64], num_nodes: int) -> NDArray[np.int64]:
    low, high = edges.min(0), edges.max(0)
    codes = np.unique((low * num_nodes + high)[low != high])
    low, high = codes // num_nodes, codes % num_nodes
    both = np.concatenate([low, high]), np.concatenate([high, low])
    order = np.lexsort(both[::-1])
    return np.stack([both[0][order], both[1][order]])


def _checked_features(features: Any, num_nodes: int) -> Features:
    if sp.issparse(features):
        matrix: Any = sp.csr_matrix(features, dtype=np.float32)
        matrix.sum_duplicates()
        values = matrix.data
    else:
        matrix = as_numpy(features)
        if matrix.ndim != 2 or matrix.dtype.kind not in "fiub":
            raise ShapeError(
                f"`features` must be a matrix of numbers (nodes, features); got {matrix.dtype} of {matrix.shape}."
            )
        with np.errstate(over="ignore"):
            matrix = values = np.ascontiguousarray(matrix, np.float32)
    if matrix.shape[0] != num_nodes:
        raise ShapeError(f"`features` has {matrix.shape[0]} rows, but `labels` has {num_nodes} nodes.")
    if matrix.shape[1] == 0:
        raise ShapeError("`features` has no columns.")
    bad = ~np.isfinite(values)
    if bad.any():
        where = sp.csr_matrix(matrix).tocoo().row[bad][0] if sp.issparse(features) else np.argwhere(bad)[0][0]
        raise DataError(
            f"Features hold {int(bad.sum())} numbers that are NaN or infinite in single precision, the first at node "
            f"{where}."
        )
    return matrix
