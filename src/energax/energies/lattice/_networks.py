"""Couplings without a lattice: on sparse graphs, between all pairs, and made of stored patterns."""

from __future__ import annotations

from collections.abc import Sequence

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, ArrayLike, Bool, Float, Int

from energax._errors import ArgumentError, ShapeError
from energax._typing import Scalar
from energax.energies._base import as_parameter
from energax.energies.lattice._couplings import AbstractCouplings
from energax.energies.lattice._graph import Graph


class GraphCouplings(AbstractCouplings):
    """Couplings on the edges of a sparse graph.

    Products gather over neighbour lists that are padded to the largest degree D: time and memory N D. The sites are
    coloured greedily, so that `BlockGibbs` is chromatic Gibbs: two colours on bipartite graphs, D + 1 at most.

    Args:
        edges: Pairs of sites, shape (num_edges, 2), integers; no loops, no pair twice. Or a `Graph`.
        coupling: J of each edge, shape (num_edges,), or a number for all of them.
        num_sites: Number of sites; by default one more than the largest that an edge names.

    Raises:
        ArgumentError: The graph is empty, has a loop, a double edge or a site out of range.
        ShapeError: `edges` or `coupling` has the wrong shape.

    Example:
        >>> from energax import energies
        >>> triangle = energies.GraphCouplings([(0, 1), (1, 2), (0, 2)], [1.0, -1.0, 0.5])
        >>> len(triangle.colour_masks)
        3
    """

    coupling: Float[Array, " edges"]
    graph: Graph = eqx.field(static=True)

    def __init__(
        self,
        edges: Graph | ArrayLike | Sequence[tuple[int, int]],
        coupling: ArrayLike | Sequence[float] = 1.0,
        *,
        num_sites: int | None = None,
    ) -> None:
        self.graph = edges if isinstance(edges, Graph) else Graph(edges, num_sites)
        given, count = as_parameter(coupling), len(self.graph.edges)
        if given.shape not in ((), (count,)):
            raise ShapeError(f"`coupling` must be a number or one for each of {count} edges, got shape {given.shape}.")
        self.coupling = jnp.broadcast_to(given, (count,))

    @staticmethod
    def from_matrix(matrix: ArrayLike) -> GraphCouplings:
        """The couplings of a symmetric matrix with an empty diagonal; zero entries are no edges.

        Raises:
            ShapeError: The matrix is not square and symmetric with a diagonal of zeros.
            ArgumentError: All entries are zero.
        """
        dense = _as_symmetric(matrix)
        rows, columns = np.nonzero(np.triu(dense))
        edges = np.stack([rows, columns], axis=1)
        return GraphCouplings(Graph(edges, len(dense)), dense[rows, columns])

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.graph.num_sites,)

    @property
    def dtype(self) -> np.dtype:
        return self.coupling.dtype

    def times(self, values: Float[Array, "..."]) -> Float[Array, "..."]:
        neighbours, edges = self.graph.neighbours
        weights = self.coupling.at[edges].get(mode="fill", fill_value=0.0)
        return jnp.einsum("nd,nd...->n...", weights, values[neighbours])

    def times_at(self, values: Float[Array, "..."], site: Int[Array, ""]) -> Float[Array, "..."]:
        neighbours, edges = (jnp.asarray(table)[site] for table in self.graph.neighbours)
        weights = self.coupling.at[edges].get(mode="fill", fill_value=0.0)
        return jnp.einsum("d,d...->...", weights, values[neighbours])

    def pair_sum(self, values: Float[Array, "..."]) -> Scalar:
        i, j = self.graph.edges.T
        return jnp.einsum("e,e...,e...->", self.coupling, values[i], values[j])

    @property
    def colour_masks(self) -> tuple[Bool[np.ndarray, "..."], ...]:
        return self.graph.colour_masks

    def bonds(self) -> tuple[Int[np.ndarray, "bonds 2"], Float[Array, " bonds"]]:
        return self.graph.edges, self.coupling


class DenseCouplings(AbstractCouplings):
    """Couplings between all pairs of N sites: the symmetric part of a matrix, its diagonal left out.

    J_ij = ½ (M_ij + M_ji) for i ≠ j, so that a matrix that is trained stays a valid one. A product costs N², one site
    costs N. No two sites are independent, so that there are no colours.

    Args:
        matrix: M, shape (N, N), symmetric with a diagonal of zeros.

    Raises:
        ShapeError: The matrix is not square and symmetric with a diagonal of zeros.
    """

    matrix: Float[Array, "sites sites"]

    def __init__(self, matrix: ArrayLike) -> None:
        self.matrix = as_parameter(matrix if isinstance(matrix, Tracer) else _as_symmetric(matrix))

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.matrix.shape[0],)

    @property
    def dtype(self) -> np.dtype:
        return self.matrix.dtype

    def times(self, values: Float[Array, "..."]) -> Float[Array, "..."]:
        both = jnp.tensordot(self.matrix, values, 1) + jnp.tensordot(self.matrix.T, values, 1)
        diagonal = jnp.diagonal(self.matrix).reshape(-1, *[1] * (values.ndim - 1))
        return 0.5 * both - diagonal * values

    def times_at(self, values: Float[Array, "..."], site: Int[Array, ""]) -> Float[Array, "..."]:
        row = 0.5 * (self.matrix[site] + self.matrix[:, site])
        return jnp.tensordot(row, values, 1) - self.matrix[site, site] * values[site]

    def pair_sum(self, values: Float[Array, "..."]) -> Scalar:
        return 0.5 * jnp.sum(values * self.times(values))

    @property
    def colour_masks(self) -> tuple[Bool[np.ndarray, "..."], ...]:
        return ()

    def bonds(self) -> tuple[Int[np.ndarray, "bonds 2"], Float[Array, " bonds"]]:
        rows, columns = np.triu_indices(self.num_sites, 1)
        symmetric = 0.5 * (self.matrix + self.matrix.T)
        return np.stack([rows, columns], axis=1).astype(np.int32), symmetric[rows, columns]


class PatternCouplings(AbstractCouplings):
    """Couplings of Hebb's rule, J_ij = (1/N) Σ_μ a_μ ξ^μ_i ξ^μ_j for i ≠ j, without a matrix of N² numbers.

    Patterns of ±1 with strengths 1 are Hopfield's memory; one pattern of ones with the strength J is the Curie–Weiss
    ferromagnet. A product costs P N, one site P N as well.

    Args:
        patterns: ξ, shape (P, N).
        strengths: a, shape (P,), or a number for all patterns.

    Raises:
        ShapeError: `patterns` is no matrix, or the strengths do not fit.
        ArgumentError: There are fewer than two sites.
    """

    patterns: Float[Array, "patterns sites"]
    strengths: Float[Array, " patterns"]

    def __init__(self, patterns: ArrayLike, strengths: ArrayLike = 1.0) -> None:
        self.patterns = as_parameter(patterns)
        if self.patterns.ndim != 2:
            raise ShapeError(f"`patterns` must have the shape (num_patterns, num_sites), got {self.patterns.shape}.")
        if self.patterns.shape[0] < 1 or self.patterns.shape[1] < 2:
            raise ArgumentError(f"PatternCouplings needs patterns of two or more sites, got {self.patterns.shape}.")
        given = as_parameter(strengths)
        if given.shape not in ((), self.patterns.shape[:1]):
            raise ShapeError(
                f"`strengths` must be a number or one for each of {len(self.patterns)} patterns, got {given.shape}."
            )
        self.strengths = jnp.broadcast_to(given, self.patterns.shape[:1])

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.patterns.shape[1],)

    @property
    def dtype(self) -> np.dtype:
        return self.patterns.dtype

    def _overlaps(self, values: Float[Array, "..."]) -> Float[Array, "patterns ..."]:
        """(a_μ/N) Σ_j ξ^μ_j v_j for each pattern."""
        weights = self.strengths / self.num_sites
        return weights.reshape(-1, *[1] * (values.ndim - 1)) * jnp.tensordot(self.patterns, values, 1)

    def times(self, values: Float[Array, "..."]) -> Float[Array, "..."]:
        diagonal = (self.strengths @ self.patterns**2 / self.num_sites).reshape(-1, *[1] * (values.ndim - 1))
        return jnp.tensordot(self.patterns.T, self._overlaps(values), 1) - diagonal * values

    def times_at(self, values: Float[Array, "..."], site: Int[Array, ""]) -> Float[Array, "..."]:
        own = self.patterns[:, site]
        diagonal = self.strengths @ own**2 / self.num_sites
        return jnp.tensordot(own, self._overlaps(values), 1) - diagonal * values[site]

    def pair_sum(self, values: Float[Array, "..."]) -> Scalar:
        return 0.5 * jnp.sum(values * self.times(values))

    @property
    def colour_masks(self) -> tuple[Bool[np.ndarray, "..."], ...]:
        return ()

    def bonds(self) -> None:
        """None: a list of all pairs is what this form avoids."""


def _as_symmetric(matrix: ArrayLike) -> Float[np.ndarray, "sites sites"]:
    dense = np.asarray(matrix)
    if dense.ndim != 2 or dense.shape[0] != dense.shape[1] or len(dense) < 2:
        raise ShapeError(f"A matrix of couplings must have the shape (N, N) with N ≥ 2, got {dense.shape}.")
    if not np.allclose(dense, dense.T) or np.diagonal(dense).any():
        raise ShapeError("A matrix of couplings must be symmetric with a diagonal of zeros.")
    return dense
