"""One-sided bounds on the logarithm of a mean weight that hold at any sample size and for any law of the weights."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from energax._errors import ArgumentError

# From Markov's inequality for the product of all weights (1) down to the stake that is best for relative errors below a
# hundredth; neighbours differ by √2, which loses a per cent of the width. The first is best where weights hardly
# differ, the common case after fine annealing, so it gets a share of its own.
_STAKES = 2.0 ** (-0.5 * np.arange(16))
_LOG_SHARES = np.log(np.r_[0.25, np.full(15, 0.05)])


def mean_lower_bound(log_means: ArrayLike, delta: float) -> float:
    """Number that lies above log E X with probability at most δ, from independent X_1 ... X_m >= 0 of equal mean.

    A bet against the claim E X <= z: a player who stakes the share λ in [0, 1] of the fortune on every round has
    Π_i (1 + λ (X_i/z − 1)) at the end, which is never negative and has mean at most one if the claim is true. So has
    the average over fixed stakes λ_k with shares s_k, and by Markov's inequality

        P(Σ_k s_k Π_i (1 + λ_k (X_i/z − 1)) >= 1/δ) <= δ    for every z >= E X.

    The left side falls in z, and the bound is the largest z whose claim is refuted. The stake λ = 1 alone gives
    mean_i log X_i − ln(1/δ)/m. Small stakes make the distance about √(2 ln(K'/δ)/m) relative standard deviations, with
    K' about 5: hardly more than a normal interval would take, without its assumption.

    Exactness: holds for every m and any law of the X_i, whatever their tails; the X_i must be independent.
    Cost: O(m K) for each of about 60 bisections.

    Args:
        log_means: log X_i, shape (m,); −inf where X_i is zero. A group of dependent particles enters once, as the log
            of its mean weight.
        delta: Probability δ in (0, 1) with which the bound may fail.

    Returns:
        The bound; −inf when the weights are too few to refute anything.

    References:
        [waudbysmith2024]
    """
    log_x = np.asarray(log_means, np.float64)
    if log_x.ndim != 1 or not log_x.size or np.isnan(log_x).any() or (log_x == np.inf).any():
        raise ArgumentError(f"mean_lower_bound needs a vector of log weights, numbers or -inf; got {log_x!r}.")
    if not 0.0 < delta < 1.0:
        raise ArgumentError(f"`delta` must lie strictly between 0 and 1; given {delta}.")
    if log_x.max() == -np.inf:
        return -math.inf

    def refuted(log_z: float) -> bool:
        with np.errstate(over="ignore", divide="ignore"):
            excess = np.expm1(np.minimum(log_x - log_z, 700.0))
            fortunes = np.log1p(_STAKES[:, None] * excess).sum(axis=1)
        return float(np.logaddexp.reduce(fortunes + _LOG_SHARES)) >= -math.log(delta)

    # No claim at the largest weight or above can be refuted; far below, the smallest stake refutes any.
    high = float(log_x.max())
    low = high - 1.0
    while not refuted(low):
        low = high - 2.0 * (high - low)
        if high - low > 1e4:
            return -math.inf
    for _ in range(60):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if refuted(middle) else (low, middle)
    return low
