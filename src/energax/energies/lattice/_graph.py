"""Undirected graphs: the static structure of sparse models, with neighbour lists and a colouring."""

from __future__ import annotations

import functools
import heapq
from collections.abc import Sequence

import numpy as np
from jaxtyping import ArrayLike, Bool, Int

from energax._errors import ArgumentError, ShapeError


class Graph:
    """A simple undirected graph, compared and hashed by its content, so that equal graphs share compiled code.

    Args:
        edges: Pairs of site numbers, shape (num_edges, 2); no loops, no pair twice.
        num_sites: Number of sites; by default one more than the largest site number.

    Raises:
        ShapeError: `edges` is not a list of pairs of integers.
        ArgumentError: There is no edge, a site is out of range, an edge is a loop, or a pair is there twice.
    """

    def __init__(self, edges: ArrayLike | Sequence[tuple[int, int]], num_sites: int | None = None) -> None:
        pairs = np.asarray(edges)
        if pairs.size == 0:
            raise ArgumentError("The graph is empty: it needs at least one edge (i, j).")
        if pairs.ndim != 2 or pairs.shape[1] != 2 or not np.issubdtype(pairs.dtype, np.integer):
            raise ShapeError(
                f"`edges` must be pairs of integers, shape (num_edges, 2), got {pairs.dtype}{pairs.shape}."
            )
        self.edges: Int[np.ndarray, "edges 2"] = np.ascontiguousarray(pairs, np.int32)
        self.num_sites = int(pairs.max()) + 1 if num_sites is None else int(num_sites)
        _check(self.edges, self.num_sites)
        self._content = (self.num_sites, self.edges.tobytes())
        self._hash = hash(self._content)

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Graph) and self._content == other._content)

    def __hash__(self) -> int:
        return self._hash

    def __repr__(self) -> str:
        return f"Graph(num_sites={self.num_sites}, num_edges={len(self.edges)})"

    @functools.cached_property
    def neighbours(self) -> tuple[Int[np.ndarray, "sites degree"], Int[np.ndarray, "sites degree"]]:
        """The neighbours of every site and the numbers of the edges to them, padded to the largest degree.

        Padding has neighbour 0 and the edge number num_edges, which is out of range.
        """
        sites = self.edges.T.reshape(-1)
        others = self.edges[:, ::-1].T.reshape(-1)
        numbers = np.tile(np.arange(len(self.edges), dtype=np.int32), 2)
        order = np.argsort(sites, kind="stable")
        degree = np.bincount(sites, minlength=self.num_sites)
        rank = np.arange(len(sites)) - np.repeat(np.cumsum(degree) - degree, degree)
        ids = np.zeros((self.num_sites, degree.max()), np.int32)
        edge_ids = np.full_like(ids, len(self.edges))
        ids[sites[order], rank] = others[order]
        edge_ids[sites[order], rank] = numbers[order]
        return ids, edge_ids

    @functools.cached_property
    def colours(self) -> Int[np.ndarray, " sites"]:
        """A colour for each site such that neighbours differ, by the greedy rule of greatest saturation [brelaz1979].

        The next site is one that sees the most colours already, the one of highest degree among those. Two colours
        for every bipartite graph, and never more than the largest degree plus one.
        """
        ids, edge_ids = self.neighbours
        adjacent = [row[row_edges < len(self.edges)].tolist() for row, row_edges in zip(ids, edge_ids, strict=True)]
        seen: list[set[int]] = [set() for _ in adjacent]
        colour = np.full(self.num_sites, -1)
        # A site is pushed again whenever it sees one colour more; entries of coloured sites are skipped.
        queue = [(0, -len(others), site) for site, others in enumerate(adjacent)]
        heapq.heapify(queue)
        while queue:
            _, _, site = heapq.heappop(queue)
            if colour[site] >= 0:
                continue
            colour[site] = next(c for c in range(self.num_sites) if c not in seen[site])
            for other in adjacent[site]:
                if colour[other] < 0 and colour[site] not in seen[other]:
                    seen[other].add(int(colour[site]))
                    heapq.heappush(queue, (-len(seen[other]), -len(adjacent[other]), other))
        return colour

    @functools.cached_property
    def colour_masks(self) -> tuple[Bool[np.ndarray, " sites"], ...]:
        """The sites of each colour."""
        return tuple(self.colours == c for c in range(int(self.colours.max()) + 1))


def _check(edges: Int[np.ndarray, "edges 2"], num_sites: int) -> None:
    outside = (edges < 0) | (edges >= num_sites)
    if outside.any():
        raise ArgumentError(
            f"An edge names the site {edges[outside][0]}, but there are the sites 0 to {num_sites - 1}."
        )
    loops = edges[:, 0] == edges[:, 1]
    if loops.any():
        raise ArgumentError(f"The edge {tuple(edges[loops][0].tolist())} is a loop: a site has no coupling to itself.")
    ordered = np.sort(edges, axis=1)
    distinct, counts = np.unique(ordered, axis=0, return_counts=True)
    if (counts > 1).any():
        raise ArgumentError(
            f"The pair {tuple(distinct[counts > 1][0].tolist())} is there {counts.max()} times: add up its couplings "
            "and name it once."
        )
