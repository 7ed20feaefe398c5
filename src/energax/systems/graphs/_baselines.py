"""Scores that GEBM is compared with: from logits, from embeddings, from distances to labelled nodes."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from scipy.special import log_softmax, logsumexp

from energax.systems.graphs._diffusion import diffuse
from energax.systems.graphs._graph import Graph, Mask
from energax.systems.graphs._outputs import Floats


def max_softmax(logits: Floats) -> Floats:
    """−max_c p_c, (n,): how little is put on the likeliest class.

    References: [hendrycks2017].
    """
    return -np.exp(log_softmax(logits, axis=-1)).max(-1)


def entropy(logits: Floats) -> Floats:
    """−Σ_c p_c log p_c, nats, (n,); of the last axis."""
    log_p = log_softmax(logits, axis=-1)
    return -(np.exp(log_p) * log_p).sum(-1)


def logit_energy(logits: Floats) -> Floats:
    """−log Σ_c exp o_c, (n,): the energy that a classifier's logits define.

    References: [liu2020].
    """
    return -np.asarray(logsumexp(logits, axis=-1))


def gnnsafe(logits: Floats, graph: Graph, *, num_steps: int = 2, alpha: float = 0.5) -> Floats:
    """The energy of the logits, diffused along the edges, (n,).

    References: [wu2023].
    """
    return diffuse(logit_energy(logits), graph, alpha=alpha, num_steps=num_steps, loops=False)


def mutual_information(logits: Floats) -> Floats:
    """Entropy of the mean prediction less the mean entropy, nats, (n,), from several predictions (draws, n, c).

    References: [gal2016].
    """
    log_mean = logsumexp(log_softmax(logits, axis=-1), axis=0) - np.log(logits.shape[0])
    return entropy(log_mean) - entropy(logits).mean(0)


def graph_kernel_density(graph: Graph, labelled: Mask, *, width: float = 1.0, farthest: int = 10) -> Floats:
    """Minus the logarithm of the evidence that labelled nodes give through their distance along the graph, (n,).

    The evidence at v is Σ_u exp(−d(v, u)² / 2σ²) over the labelled u at most `farthest` edges away; the vacuity
    c / (c + evidence) of the Dirichlet law falls with it. Nodes that no labelled one reaches count as one edge farther.

    Cost: a search from all labelled nodes at once, O(farthest · labelled · edges) and labelled · n numbers.

    Args:
        graph: The graph that is asked about.
        labelled: Its labelled nodes, (n,).
        width: σ, edges.
        farthest: Most edges.

    References: [zhao2020].
    """
    starts = np.flatnonzero(labelled)
    seen = np.zeros((graph.num_nodes, starts.size), bool)
    seen[starts, np.arange(starts.size)] = True
    frontier, log_evidence = seen, np.full(graph.num_nodes, -np.inf)
    steps = sp.csr_matrix(graph.adjacency, dtype=np.float32)
    for distance in range(farthest + 1):
        with np.errstate(divide="ignore"):
            here = np.log(frontier.sum(1)) - 0.5 * (distance / width) ** 2
        log_evidence = np.logaddexp(log_evidence, here)
        frontier = (steps @ frontier.astype(np.float32) > 0) & ~seen
        seen = seen | frontier
        if not frontier.any():
            break
    return np.minimum(-log_evidence, 0.5 * ((farthest + 1) / width) ** 2)
