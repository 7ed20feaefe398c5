"""Shifts: which nodes are out of distribution, and what happens to their features."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

from energax._errors import ArgumentError, DataError, nearest
from energax.systems.graphs._graph import Graph, Mask
from energax.systems.graphs._perturbations import PERTURBATIONS, perturbed, unit_rows

_PAGE_RANK_STEPS, _TELEPORT = 10, 0.2


@dataclasses.dataclass(frozen=True, eq=False)
class ShiftedGraph:
    """A graph before and after a shift; features have rows of norm 1, but for those drawn far away.

    Attributes:
        before: The graph that is trained on: nodes in distribution, with the edges among them.
        after: The whole graph, all nodes and edges back in place, features of shifted nodes replaced.
        ood: Nodes out of distribution, (n,).
    """

    before: Graph
    after: Graph
    ood: Mask


@dataclasses.dataclass(frozen=True)
class Shift:
    """A named way to make some nodes of a graph unlike the others.

    Attributes:
        name: Its name.
        summary: One line about it.
        nodes: From a graph, a number of classes to leave out and a seed to the nodes out of distribution.
        features: Name of what their features are replaced by, None if nothing.
    """

    name: str
    summary: str
    nodes: Callable[[Graph, int | None, int], Mask]
    features: str | None = None

    def __call__(self, graph: Graph, *, seed: int = 0, num_left_out: int | None = None) -> ShiftedGraph:
        """Shift a graph.

        Args:
            graph: The graph with its features as they are; those with only zeros and ones are recognised.
            seed: Of the choice of nodes and of the new features.
            num_left_out: Classes that ``leave-out-class`` leaves out, about two fifths by default.

        Raises:
            ArgumentError: Too few classes to leave some out.
            DataError: The graph has no features, or one class.
        """
        if graph.features is None:
            raise DataError("The graph has no features: shifts need them for networks to be trained.")
        if graph.num_classes < 2:
            raise DataError("All nodes of the graph are of one class: there is nothing to predict.")
        ood = self.nodes(graph, num_left_out, seed)
        before = dataclasses.replace(graph.subgraph(~ood), features=unit_rows(graph.features[np.flatnonzero(~ood)]))
        if self.features is None:
            return ShiftedGraph(before, dataclasses.replace(graph, features=unit_rows(graph.features)), ood)
        features = perturbed(graph, ood, self.features, seed)
        return ShiftedGraph(before, dataclasses.replace(graph, features=features), ood)


def leave_out_classes(graph: Graph, num: int | None = None) -> Mask:
    """Nodes of the last classes, by default two fifths of the classes rounded down, (n,).

    Raises:
        ArgumentError: Fewer than one class is left out, or fewer than two are left.
    """
    num = max(2 * graph.num_classes // 5, 1) if num is None else num
    if graph.num_classes < 3:
        raise ArgumentError(f"A graph of {graph.num_classes} classes has none to leave out: ask for other shifts.")
    if not 1 <= num <= graph.num_classes - 2:
        raise ArgumentError(
            f"Of {graph.num_classes} classes between 1 and {graph.num_classes - 2} can be left out, so that two "
            f"remain; asked for {num}."
        )
    return graph.labels >= graph.num_classes - num


def low_homophily(graph: Graph) -> Mask:
    """In each class the half of the nodes that has the smaller share of neighbours of its own class, (n,).

    Isolated nodes have no share, and belong to the upper half.
    """
    same = (graph.labels[graph.edges[0]] == graph.labels[graph.edges[1]]).astype(float)
    share = np.bincount(graph.edges[0], same, minlength=graph.num_nodes)
    with np.errstate(invalid="ignore"):
        return _lower_half(share / graph.degrees, graph.labels)


def low_page_rank(graph: Graph) -> Mask:
    """In each class the half of the nodes with the lower PageRank, (n,).

    r ← 0.2 / n + 0.8 Pᵀ r, ten times from the uniform r, with P = D⁻¹(A + I) of row sums 1.
    """
    rank = np.full(graph.num_nodes, 1.0 / graph.num_nodes)
    for _ in range(_PAGE_RANK_STEPS):
        spread = rank / (graph.degrees + 1.0)
        rank = _TELEPORT / graph.num_nodes + (1.0 - _TELEPORT) * (graph.adjacency @ spread + spread)
    return _lower_half(rank, graph.labels)


def random_half(graph: Graph, seed: int) -> Mask:
    """Half of every class at random, (n,)."""
    draws = np.random.default_rng([seed, 0xA1F]).random(graph.num_nodes)
    return _lower_half(draws, graph.labels)


def _lower_half(values: np.ndarray, labels: np.ndarray) -> Mask:
    chosen = np.zeros(labels.size, bool)
    for k in range(int(labels.max()) + 1):
        nodes = np.flatnonzero(labels == k)
        # NaN sorts last
        chosen[nodes[np.argsort(values[nodes], kind="stable")[: nodes.size // 2]]] = True
    return chosen


_STRUCTURAL = (
    Shift("leave-out-class", "the last classes were never seen", lambda g, num, seed: leave_out_classes(g, num)),
    Shift("homophily", "nodes with neighbours of other classes", lambda g, num, seed: low_homophily(g)),
    Shift("page-rank", "nodes of low PageRank, far from the centre", lambda g, num, seed: low_page_rank(g)),
)

SHIFTS: Mapping[str, Shift] = MappingProxyType(
    {shift.name: shift for shift in _STRUCTURAL}
    | {
        name: Shift(name, f"features of half of the nodes: {summary}", lambda g, num, seed: random_half(g, seed), name)
        for name, summary in PERTURBATIONS.items()
    }
)


def shift(name: str) -> Shift:
    """The shift of a name.

    Raises:
        ArgumentError: There is none.
    """
    if name not in SHIFTS:
        raise ArgumentError(f"There is no shift {name!r}. {nearest(name, SHIFTS)}")
    return SHIFTS[name]
