"""Which nodes are trained on, which decide when to stop, and which are looked at in the end."""

from __future__ import annotations

import dataclasses

import numpy as np

from energax._errors import ArgumentError, DataError
from energax.systems.graphs._graph import Graph, Mask


@dataclasses.dataclass(frozen=True, eq=False)
class NodeSplit:
    """Masks over the nodes of a graph, (n,) each.

    Attributes:
        train: As many nodes of every in-distribution class as were asked for, or half of a small one.
        valid: All other in-distribution nodes that are not tested.
        test: The same share of every class, in- and out-of-distribution.
    """

    train: Mask
    valid: Mask
    test: Mask

    def within(self, nodes: Mask) -> NodeSplit:
        """The split of the graph of the nodes of a mask."""
        return NodeSplit(self.train[nodes], self.valid[nodes], self.test[nodes])


def split_nodes(
    graph: Graph,
    *,
    seed: int,
    ood: Mask | None = None,
    test_seed: int = 0,
    num_per_class: int = 20,
    test_share: float = 0.2,
) -> NodeSplit:
    """Split nodes as the published comparisons do: few labels to train on, all others to decide when to stop.

    The test nodes are `test_share` of every class, and depend on `test_seed` alone, so that all splits share them.
    Of a class with few nodes at most half of those that are left are trained on, so that some remain to validate on.

    Args:
        graph: The graph.
        seed: Of the training nodes.
        ood: Nodes out of distribution, (n,); none are trained on. All are in distribution without it.
        test_seed: Of the test nodes.
        num_per_class: Training nodes of each class, if twice as many are left.
        test_share: Share of each class that is tested, in (0, 1).

    Raises:
        ArgumentError: Numbers that make no sense.
        DataError: A class has no node left to train on.

    References: [fuchsgruber2024], [shchur2018].
    """
    if not (0.0 < test_share < 1.0 and num_per_class >= 1):
        raise ArgumentError(
            f"`test_share` must lie between 0 and 1 and `num_per_class` be at least 1; got {test_share} and "
            f"{num_per_class}."
        )
    inside = np.ones(graph.num_nodes, bool) if ood is None else ~ood
    test = np.zeros(graph.num_nodes, bool)
    train = np.zeros(graph.num_nodes, bool)
    rng = np.random.default_rng([test_seed, 0x7E57])
    for nodes in _by_class(graph.labels):
        test[rng.permutation(nodes)[: round(test_share * nodes.size)]] = True
    rng = np.random.default_rng([seed, 0x7124])
    for k, nodes in enumerate(_by_class(graph.labels)):
        free = nodes[inside[nodes] & ~test[nodes]]
        if inside[nodes].any() and not free.size:
            raise DataError(
                f"Class {k} has no training node: {nodes.size} nodes, of which {int(inside[nodes].sum())} are in "
                "distribution and all of these are tested."
            )
        train[rng.permutation(free)[: min(num_per_class, (free.size + 1) // 2)]] = True
    return NodeSplit(train, inside & ~test & ~train, test)


def _by_class(labels: np.ndarray) -> list[np.ndarray]:
    return [np.flatnonzero(labels == k) for k in range(int(labels.max()) + 1)]
