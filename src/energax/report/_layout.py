"""Places of the nodes of a graph on a page."""

from __future__ import annotations

import numpy as np

from energax.report._summary import Floats

_STEPS = 150


def around(edges: np.ndarray, num_nodes: int, start: int, most: int) -> np.ndarray:
    """Up to `most` nodes that lie nearest to `start` along the edges, all of them if the graph is small, sorted.

    Args:
        edges: Pairs of nodes in both directions, (2, edge), sorted by the first.
        num_nodes: Number of nodes.
        start: Where to begin.
        most: Most nodes.
    """
    if num_nodes <= most:
        return np.arange(num_nodes)
    first = np.searchsorted(edges[0], np.arange(num_nodes + 1))
    found, seen = [start], {start}
    for node in found:
        for other in edges[1, first[node] : first[node + 1]]:
            if len(found) < most and int(other) not in seen:
                seen.add(int(other))
                found.append(int(other))
    return np.sort(np.asarray(found))


def spring_layout(edges: np.ndarray, num_nodes: int) -> Floats:
    """Places where edges pull and all pairs push (Fruchterman and Reingold), always the same ones, (node, 2).

    Cost: O(n²) a step; for some hundred nodes.

    References: [fruchterman1991].
    """
    rng = np.random.default_rng(0)
    places = rng.normal(size=(num_nodes, 2))
    joined = np.zeros((num_nodes, num_nodes), bool)
    joined[edges[0], edges[1]] = True
    length = 1.0 / np.sqrt(num_nodes)
    for step in range(_STEPS):
        apart = places[:, None] - places[None]
        distance = np.maximum(np.linalg.norm(apart, axis=-1), 1e-3)
        force = (length / distance) ** 2 - np.where(joined, distance / length, 0.0)
        move = (apart * force[..., None]).sum(1) - 0.5 * places
        size = np.maximum(np.linalg.norm(move, axis=1, keepdims=True), 1e-12)
        places = places + move / size * np.minimum(size, 0.2 * (1.0 - step / _STEPS) + 1e-3)
    return places
