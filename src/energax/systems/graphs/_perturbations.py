"""What the features of shifted nodes are replaced by."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from energax.systems.graphs._graph import Features, Graph, Mask

_DENSE = 0.1
"""Share of numbers other than zero from which a matrix is stored with its zeros."""
_BLOCK = 1024

PERTURBATIONS: Mapping[str, str] = MappingProxyType(
    {
        "near": "drawn with the mean frequencies of the others",
        "near-per-class": "drawn with the mean frequencies of the others of their class",
        "bernoulli-0": "all zero",
        "bernoulli-0.5": "zeros and ones by a fair coin",
        "bernoulli-1": "all one",
        "far-normal": "standard normal numbers, not normalised",
    }
)
_RATES = {"bernoulli-0": 0.0, "bernoulli-0.5": 0.5, "bernoulli-1": 1.0}


def unit_rows(features: Features) -> Features:
    """Rows divided by their Euclidean norm; rows of zeros stay."""
    if sp.issparse(features):
        wide: Any = sp.csr_matrix(features, dtype=np.float64)
        norms = np.sqrt(np.asarray(wide.multiply(wide).sum(1)).ravel())
        return sp.csr_matrix(sp.diags(1.0 / np.where(norms > 0, norms, 1.0)) @ wide).astype(np.float32)
    norms = np.linalg.norm(np.asarray(features, np.float64), axis=1, keepdims=True)
    return (features / np.where(norms > 0, norms, 1.0)).astype(np.float32)


def is_binary(features: Features) -> bool:
    """Whether all features are zeros and ones."""
    values = features.data if sp.issparse(features) else features
    return bool(np.isin(values, (0.0, 1.0)).all())


def perturbed(graph: Graph, ood: Mask, name: str, seed: int) -> Features:
    """Features with rows of norm 1 in which those of the nodes `ood` are drawn anew.

    Graphs whose features are not zeros and ones have the two near shifts drawn from normal laws with the mean and
    the covariance of the others instead.

    Args:
        graph: The graph with its features as they are.
        ood: Nodes whose features are replaced, (n,).
        name: One of `PERTURBATIONS`.
        seed: Of the draws.
    """
    assert graph.features is not None
    rng = np.random.default_rng([seed, *name.encode()])
    features, others, chosen = graph.features, np.flatnonzero(~ood), np.flatnonzero(ood)
    width = graph.num_features
    if name == "far-normal":
        return _joined(features, others, chosen, rng.standard_normal((chosen.size, width), np.float32))
    if name in _RATES:
        rates = np.full(width, _RATES[name])
        return _joined(features, others, chosen, unit_rows(_bernoulli(rng, rates, chosen.size)))
    draw = _bernoulli_like if is_binary(features) else _normal_like
    if name == "near":
        return _joined(features, others, chosen, unit_rows(draw(rng, features[others], chosen.size)))
    new = [
        (nodes, draw(rng, features[others[graph.labels[others] == k]], nodes.size))
        for k in range(graph.num_classes)
        if (nodes := chosen[graph.labels[chosen] == k]).size
    ]
    order = np.argsort(np.concatenate([nodes for nodes, _ in new]))
    return _joined(features, others, chosen, unit_rows(_stacked([rows for _, rows in new])[order]))


def _bernoulli_like(rng: np.random.Generator, rows: Features, count: int) -> Features:
    return _bernoulli(rng, np.asarray(rows.mean(0)).ravel(), count)


def _bernoulli(rng: np.random.Generator, rates: NDArray[np.float64], count: int) -> Features:
    """Zeros and ones, block by block, so that no matrix of random numbers is ever whole."""
    blocks = []
    for start in range(0, count, _BLOCK):
        hits = rng.random((min(_BLOCK, count - start), rates.size), np.float32) < rates
        blocks.append(sp.csr_matrix(hits, dtype=np.float32) if rates.mean() < _DENSE else hits.astype(np.float32))
    return _stacked(blocks)


def _normal_like(rng: np.random.Generator, rows: Features, count: int) -> Features:
    dense = np.asarray(rows.todense() if sp.issparse(rows) else rows, np.float64)
    mean = dense.mean(0)
    values, vectors = np.linalg.eigh(np.cov(dense.T, bias=True).reshape(mean.size, mean.size))
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    return (mean + rng.standard_normal((count, mean.size)) @ root.T).astype(np.float32)


def _joined(features: Features, others: NDArray[np.int64], chosen: NDArray[np.int64], new: Features) -> Features:
    """All rows in their order: the old ones normalised, the new ones as they are."""
    order = np.argsort(np.concatenate([others, chosen]))
    return _stacked([unit_rows(features[others]), new])[order]


def _stacked(blocks: list[Features]) -> Features:
    if all(sp.issparse(block) for block in blocks):
        return sp.csr_matrix(sp.vstack(blocks, format="csr"))
    return np.concatenate([np.asarray(b.todense() if sp.issparse(b) else b, np.float32) for b in blocks])
