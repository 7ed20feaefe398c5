"""Numbers of nodes, spread along the edges."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from energax._errors import ArgumentError
from energax.systems.graphs._graph import Graph
from energax.systems.graphs._outputs import Floats


def diffuse(values: Floats, graph: Graph, *, alpha: float = 0.5, num_steps: int = 10, loops: bool = True) -> Floats:
    """Diffuse along the edges: s ← α s + (1 − α) D⁻¹ A s, `num_steps` times; what is constant stays as it is.

    Cost: O(edges · columns) a step.

    Args:
        values: s, (n,) or (n, columns).
        graph: The graph.
        alpha: Share that stays, in [0, 1].
        num_steps: Number of steps.
        loops: Whether each node is its own neighbour too. Without, an isolated node keeps its value.

    Raises:
        ArgumentError: Numbers out of range.
    """
    if not (0.0 <= alpha <= 1.0 and num_steps >= 0):
        raise ArgumentError(f"`alpha` must lie in [0, 1] and `num_steps` not be negative; got {alpha}, {num_steps}.")
    own = np.ones(graph.num_nodes) if loops else (graph.degrees == 0).astype(float)
    walk = sp.diags(1.0 / (graph.degrees + own)) @ sp.csr_matrix(graph.adjacency + sp.diags(own))
    s = np.asarray(values, np.float64)
    for _ in range(num_steps):
        s = alpha * s + (1.0 - alpha) * (walk @ s)
    return s
