"""Whether the variance of a sum of weights exists, from the largest of them."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from energax.estimators._arrays import Floats, as_log_weights

_LEAST_TAIL = 5
_PRIOR_DRAWS, _PRIOR_SHAPE = 10, 0.5


def pareto_shape(log_weights: ArrayLike) -> float:
    """Shape k of the generalised Pareto law of the largest weights: moments of order 1/k and above do not exist.

    Below 0.5 the weights have a variance and the mean of n of them an error that falls as 1/√n. From 0.5 to 0.7 it
    falls more slowly, and above 0.7 so slowly that neither mean nor error bar can be believed: the draws miss
    regions that matter. From 1 on there is no mean. The tail is that of min(n/5, 3√n) weights; k is its posterior mean
    over a grid of scales, drawn towards 0.5 as by ten more draws.

    Exactness: consistent as n grows, with an error of about (1 + k)/√tail. A region that no draw has seen has no weight
    in the tail either.
    Cost: O(n log n).

    Args:
        log_weights: Log weights of independent draws, shape (n,); -inf is a weight of zero.

    Returns:
        k; −inf where the largest weights are all alike, NaN where the tail would be of fewer than five.

    Raises:
        ArgumentError: NaN or +inf among the log weights.

    Example:
        >>> import numpy as np
        >>> u = (np.arange(10_000) + 0.5) / 10_000
        >>> round(pareto_shape(-0.8 * np.log(u)), 1)
        0.8

    References: [zhang2009], [vehtari2024].
    """
    a = np.sort(as_log_weights("log_weights", log_weights))
    length = math.ceil(min(0.2 * a.size, 3.0 * math.sqrt(a.size)))
    if length < _LEAST_TAIL or not np.isfinite(a[-length - 1]):
        return math.nan
    weights = np.exp(a[-length - 1 :] - a[-1])
    excess = weights[1:] - weights[0]
    if excess[-1] <= 1e-12:
        return -math.inf
    shape = _fitted_shape(excess)
    return (length * shape + _PRIOR_DRAWS * _PRIOR_SHAPE) / (length + _PRIOR_DRAWS)


def _fitted_shape(excess: Floats) -> float:
    """Posterior mean of k with a prior for the scale that follows the quartile of the data.

    With θ = −k/σ the likelihood is maximal over k at k(θ) = mean log(1 − θ x), where it is n (log(−θ/k) − k − 1).
    """
    count = 30 + math.isqrt(excess.size)
    quartile = excess[int(excess.size / 4 + 0.5) - 1]
    steps = 1.0 - np.sqrt(count / (np.arange(count) + 0.5))
    theta = 1.0 / excess[-1] + steps / (3.0 * max(quartile, np.finfo(float).tiny))
    shapes = np.log1p(-np.outer(theta, excess)).mean(axis=1)
    likelihood = excess.size * (np.log(-theta / shapes) - shapes - 1.0)
    posterior = np.exp(likelihood - likelihood.max())
    mean = float(posterior @ theta / posterior.sum())
    return float(np.log1p(-mean * excess).mean())
