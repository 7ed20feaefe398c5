"""Sums of exponentiated log weights, and the numbers that say whether such a sum can be believed."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from energax._errors import ArgumentError
from energax.estimators._arrays import Floats, as_log_weights


def log_mean_exp(log_weights: ArrayLike) -> float:
    """Log of the mean weight, log (1/n) Σ exp(a_i), without overflow.

    Exactness: to rounding. For random weights the mean is unbiased and its logarithm is low by about half the
    squared standard error (Jensen).
    Cost: O(n).

    Args:
        log_weights: Log weights a, shape (n,); -inf is a weight of zero.

    Returns:
        The number, -inf when every weight is zero.

    Raises:
        ArgumentError: NaN or +inf among the log weights.

    Example:
        >>> log_mean_exp([1000.0, 1000.0])
        1000.0
    """
    a = as_log_weights("log_weights", log_weights)
    return float(log_sum_exp(a) - math.log(a.size))


def normalized_weights(log_weights: ArrayLike) -> Floats:
    """Weights exp(a_i) / Σ_j exp(a_j), shape (n,), summing to one.

    Raises:
        ArgumentError: NaN or +inf among the log weights, or all weights zero.

    Example:
        >>> normalized_weights([0.0, 0.0]).tolist()
        [0.5, 0.5]
    """
    a = as_log_weights("log_weights", log_weights)
    total = log_sum_exp(a)
    if total == -math.inf:
        raise ArgumentError("all weights are zero (every log weight is -inf), so they cannot be normalised.")
    return np.exp(a - total)


def ess_from_log_weights(log_weights: ArrayLike) -> float:
    """Effective sample size of weighted draws, (Σ w)² / Σ w² with w_i = exp(a_i).

    The identity ESS / n = 1 / (1 + CV²) holds with CV² = mean(w²) / mean(w)² − 1. It lies between 1 and n; 0 when every
    weight is zero. A large value does not prove that the weights are well behaved: a region that no draw has seen
    has no weight in it.

    References: [kong1992], [liu2001].

    Example:
        >>> ess_from_log_weights([0.0, 0.0, float("-inf")])
        2.0
    """
    a = as_log_weights("log_weights", log_weights)
    total = log_sum_exp(a)
    return 0.0 if total == -math.inf else float(1.0 / np.sum(np.exp(a - total) ** 2))


def max_weight_share(log_weights: ArrayLike) -> float:
    """Share of the largest weight in the sum, max w / Σ w, in [1/n, 1]; NaN when every weight is zero.

    Example:
        >>> max_weight_share([0.0, 0.0])
        0.5
    """
    a = as_log_weights("log_weights", log_weights)
    total = log_sum_exp(a)
    return math.nan if total == -math.inf else float(math.exp(np.max(a) - total))


def log_mean_exp_stderr(log_weights: ArrayLike) -> float:
    """Standard error of `log_mean_exp` for independent draws, by the delta method.

    The relative variance of the mean weight: s² = var(w) / (n mean(w)²) = (n / ESS − 1) / (n − 1), with the unbiased
    variance.

    Exactness: consistent as n → ∞ for weights of finite variance. It can never exceed 1, so where ESS is a handful
    it says nothing; ask `ess_from_log_weights` first.

    Args:
        log_weights: Log weights of independent draws, shape (n,), n >= 2.

    Returns:
        The standard error in nats; NaN when every weight is zero.

    Example:
        >>> log_mean_exp_stderr([0.0, 0.0, 0.0])
        0.0
    """
    a = as_log_weights("log_weights", log_weights, min_rows=2)
    ess = ess_from_log_weights(a)
    return math.nan if ess == 0.0 else math.sqrt(max(a.size / ess - 1.0, 0.0) / (a.size - 1))


def log_sum_exp(a: Floats) -> float:
    """Log Σ exp(a_i); -inf when every a_i is."""
    top = float(np.max(a))
    return top if top == -math.inf else top + math.log(float(np.sum(np.exp(a - top))))
