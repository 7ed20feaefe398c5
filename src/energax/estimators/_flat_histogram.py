"""Functions of β from draws that each stand for a number of states: multicanonical runs and Wang–Landau."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from energax._errors import ArgumentError, ShapeError
from energax.estimators._arrays import Floats, as_finite
from energax.estimators._ladders import LadderHistogram

_MOST_GROUPS = 16
_MOST_LEVELS = 20_000


def weighted_histogram(
    energies: ArrayLike, log_states: ArrayLike, *, beta: float, method: str = "multicanonical"
) -> LadderHistogram:
    """Functions of β from independent groups of draws, each draw with the number of states that it stands for.

    A draw from a law ∝ exp(−A(x)) stands for exp(A) states, up to a constant that all groups share; log Z is counted
    from β = 0, where every state has the same weight. Leaving out one group after the other gives the error bar.

    Exactness: unbiased to O(1/draws). More than 20,000 different energies are put into as many narrow cells, each with
    its mean energy: at β an error of (β × range / 20,000)² / 24 in log Z.
    Cost: O(draws log draws).

    Args:
        energies: E at the draws, shape (group, draw), at least two groups.
        log_states: A at the draws, the same shape.
        beta: How far the functions are asked for, not 0.
        method: Name of the method in the results.

    Returns:
        `LadderHistogram`, with log Z relative to that of β = 0.

    Raises:
        ArgumentError: Numbers that are not finite.
        ShapeError: Shapes that do not fit.

    Example:
        >>> import numpy as np
        >>> found = weighted_histogram(np.tile([0.0, 1.0], (2, 50)), np.tile(np.log([3.0, 1.0]), (2, 50)), beta=1.0)
        >>> bool(abs(found.energy(0.5).value - np.exp(-0.5) / (3 + np.exp(-0.5))) < 1e-12)
        True

    References: [berg1992], [efron1981].
    """
    x, a = as_finite("energies", energies, ndim=2, min_rows=2), as_finite("log_states", log_states, ndim=2, min_rows=2)
    if x.shape != a.shape:
        raise ShapeError(f"`log_states` needs one number for each of {x.shape} energies; given shape {a.shape}.")
    if not (math.isfinite(beta) and beta != 0):
        raise ArgumentError(f"`beta` must be a number other than 0, got {beta}.")
    num_groups = min(len(x), _MOST_GROUPS)
    group = np.repeat(np.arange(len(x)) * num_groups // len(x), x.shape[1])
    levels, index = _levels(x.reshape(-1))
    logs = a.reshape(-1)
    top = np.full(levels.size, -np.inf)
    np.maximum.at(top, index, logs)
    sums = np.bincount(group * levels.size + index, np.exp(logs - top[index]), num_groups * levels.size)
    sums = sums.reshape(num_groups, levels.size)
    rows = np.stack([sums.sum(0), *(np.delete(sums, g, axis=0).sum(0) for g in range(num_groups))])
    with np.errstate(divide="ignore"):
        table = np.log(rows) + top
    most = table.max(axis=1, keepdims=True)
    table = table - most - np.log(np.exp(table - most).sum(axis=1, keepdims=True))
    return LadderHistogram(np.asarray([0.0, beta]), levels, table, math.inf, method)


def _levels(values: Floats) -> tuple[Floats, np.ndarray]:
    """The different energies, or cells of them, and which of them each draw has."""
    levels, index = np.unique(values, return_inverse=True)
    if levels.size <= _MOST_LEVELS:
        return levels, index
    width = np.ptp(levels) / _MOST_LEVELS
    cell = np.minimum((values - levels[0]) / width, _MOST_LEVELS - 1).astype(np.int64)
    _, index = np.unique(cell, return_inverse=True)
    return np.bincount(index, values) / np.bincount(index), index
