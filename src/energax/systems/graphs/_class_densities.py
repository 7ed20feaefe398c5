"""A normal law for the embeddings of each class, and the distance of a node from it."""

from __future__ import annotations

import dataclasses

import numpy as np

from energax._errors import ShapeError
from energax.systems.graphs._graph import Graph, Mask
from energax.systems.graphs._outputs import Floats, NodeOutputs
from energax.systems.graphs._training import check_masks

_SMALLEST_VARIANCE = 1e-6
_FIRST_LOADING = 1e-8


@dataclasses.dataclass(frozen=True, eq=False)
class ClassDensities:
    """One normal law with a diagonal covariance for the embeddings of each class.

    Attributes:
        mean: μ_c, (c, d).
        variance: Diagonals, (c, d), all above 1e-6: where one of a class is not, 1e-8, 1e-7, ... are added to all of
            that class, one after the other, until it is.
    """

    mean: Floats
    variance: Floats

    @staticmethod
    def fit(outputs: NodeOutputs, graph: Graph, train: Mask) -> ClassDensities:
        """Means and biased variances of the embeddings with messages of the training nodes of each class.

        Raises:
            DataError: A class has no training node.
            ShapeError: Arrays of other numbers of nodes or classes.
        """
        check_fit(outputs, graph, train)
        rows = [outputs.embeddings[train & (graph.labels == k)] for k in range(graph.num_classes)]
        mean = np.stack([r.mean(0) for r in rows])
        return ClassDensities(mean, np.stack([_loaded(r.var(0)) for r in rows]))

    def distances(self, embeddings: Floats) -> Floats:
        """Squared Mahalanobis distances d_c(h) = Σ_j (h_j − μ_cj)² / σ²_cj, (n, c)."""
        pairs = zip(self.mean, self.variance, strict=True)
        return np.stack([((embeddings - m) ** 2) @ (1.0 / v) for m, v in pairs], axis=1)


def check_fit(outputs: NodeOutputs, graph: Graph, train: Mask) -> None:
    """Outputs, graph and mask belong together, and every class is trained on.

    Raises:
        DataError: A class has no training node.
        ShapeError: Arrays of other numbers of nodes or classes.
    """
    check_nodes(outputs, graph)
    check_masks(graph, train)
    if outputs.num_classes != graph.num_classes:
        raise ShapeError(
            f"There are {outputs.num_classes} logits, but the graph that is fitted on has {graph.num_classes} classes."
        )


def check_nodes(outputs: NodeOutputs, graph: Graph) -> None:
    """There is a row of outputs for every node.

    Raises:
        ShapeError: There is not.
    """
    if outputs.num_nodes != graph.num_nodes:
        raise ShapeError(f"There are outputs of {outputs.num_nodes} nodes, but the graph has {graph.num_nodes}.")


def _loaded(variance: Floats) -> Floats:
    loading = _FIRST_LOADING
    while variance.min() <= _SMALLEST_VARIANCE:
        variance = variance + loading
        loading *= 10.0
    return variance
