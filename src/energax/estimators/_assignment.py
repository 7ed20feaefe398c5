"""Optimal transport between two samples of equal size in any dimension: the best pairing, and its dual."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from energax.estimators._arrays import Floats
from energax.estimators._pairwise import squared_distances


def costs_of(x: Floats, y: Floats, order: float) -> Floats:
    """‖x_i − y_j‖^p, shape (rows of x, rows of y)."""
    shift = y.mean(axis=0)
    squares = squared_distances(x - shift, y - shift)
    return squares if order == 2.0 else squares ** (0.5 * order)


def best_pairing(costs: Floats) -> tuple[float, NDArray[np.int64]]:
    """The mean cost of the best pairing of n rows with n columns, and the column of each row."""
    rows, columns = linear_sum_assignment(costs)
    return float(costs[rows, columns].mean()), columns.astype(np.int64)


def pairing_potentials(costs: Floats, columns: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """φ and ψ with φ_i + ψ_j <= c_ij, equal along the pairing: midway between the two extreme solutions.

    With w_ki = c_i,σ(k) − c_k,σ(k) the first condition is φ_i <= φ_k + w_ki: distances along a graph that has no cycle
    of negative length, because the pairing is the best.
    """
    paired = costs[np.arange(columns.size), columns]
    lengths = costs[:, columns].T - paired[:, None]
    phi = 0.5 * (_shortest(lengths) - _shortest(lengths.T))
    psi = np.empty_like(phi)
    psi[columns] = paired - phi
    return phi, psi


def _shortest(lengths: Floats) -> Floats:
    """Length of the shortest way to each node from anywhere, 0 at most (Bellman and Ford, whose rounds are few)."""
    found = np.zeros(lengths.shape[0])
    tolerance = 1e-12 * (1.0 + float(np.abs(lengths).max()))
    for _ in range(lengths.shape[0]):
        shorter = np.minimum(found, np.min(found[:, None] + lengths, axis=0))
        if np.max(found - shorter) <= tolerance:
            break
        found = shorter
    return found
