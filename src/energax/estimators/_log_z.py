"""log Z from annealing weights: the estimate, and the two ends of an interval that hold whatever the mixing."""

from __future__ import annotations

import math
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import betaincinv

from energax._errors import ArgumentError, ShapeError, Unreliable
from energax.estimators._arrays import Floats, as_floats, as_log_weights, in_open_unit
from energax.estimators._estimate import Estimate, Interval, IntervalKind
from energax.estimators._mean_weight import weight_estimate
from energax.estimators._weights import log_mean_exp

BoundStatistic: TypeAlias = Literal["min", "mean"] | int


def group_log_z(log_weights: ArrayLike, groups: ArrayLike | int, *, reverse: bool = False) -> Floats:
    """One estimate log Ẑ_j for each independent group of particles.

    Forward: log Ẑ_j = log mean_{i in j} w_i, so that E Ẑ_j = Z. Reverse: log Ẑ_j = −log mean_{i in j} w_i, so that
    E[1 / Ẑ_j] = 1 / Z. Particles of one group may depend on each other (resampling); groups may not.

    Args:
        log_weights: log w, shape (n,); -inf is a weight of zero.
        groups: A label for each particle, shape (n,), or the number m of consecutive blocks of (nearly) equal size.
            Chosen before looking at the weights.
        reverse: The weights come from annealing that starts at the model and ends at the base (E w = 1 / Z).

    Returns:
        log Ẑ, shape (m,), groups in the order of their labels.

    Example:
        >>> group_log_z([0.0, 0.0, 1.0, 1.0], 2).tolist()
        [0.0, 1.0]
    """
    a = as_log_weights("log_weights", log_weights)
    labels = _labels(groups, a.size)
    sign = -1.0 if reverse else 1.0
    return np.asarray([sign * log_mean_exp(a[labels == j]) for j in np.unique(labels)])


def lower_bound(group_log_z: ArrayLike, delta: float = 0.05, *, statistic: BoundStatistic = "min") -> float:
    """Number that lies above log Z with probability at most δ, from m independent unbiased estimates of Z.

    Let Ẑ_1 ... Ẑ_m >= 0 be independent with E Ẑ_j = Z. Markov's inequality gives P(Ẑ_j >= Z e^a) <= e^{−a} for a >= 0.

    * ``"min"``: all m reach Z e^a together with probability at most e^{−ma} = δ at a = ln(1/δ) / m, hence
      P(min_j log Ẑ_j − ln(1/δ) / m >= log Z) <= δ.
    * ``"mean"``: by independence E Π_j Ẑ_j = Z^m, so Markov's inequality for the product gives P(Π_j Ẑ_j >= Z^m / δ)
      <= δ, hence P(mean_j log Ẑ_j − ln(1/δ) / m >= log Z) <= δ. Same price, and a mean is never below a minimum:
      always the sharper.
    * an integer k: the k-th smallest, Ẑ_(k) >= Z e^a, says that at least m − k + 1 of the m reach Z e^a. How many do
      is a sum of independent indicators, each of probability at most q = e^{−a}, hence stochastically smaller than
      Binomial(m, q), and P(Ẑ_(k) >= Z e^a) <= P(Binomial(m, q) >= m − k + 1) = I_q(m − k + 1, k), the regularised
      incomplete beta function. With q such that this is δ the bound is log Ẑ_(k) + log q; k = 1 is the minimum again.
      Up to k − 1 groups that found nothing (−inf) do no harm.

    Exactness: holds for every m and any law of the Ẑ_j, in particular however slowly the chains mix, for a statistic
    chosen before looking; loose by at least ln(1/δ) / m.
    Cost: O(m log m).

    Args:
        group_log_z: log Ẑ_j of independent groups, shape (m,), as `group_log_z` returns them.
        delta: Probability δ in (0, 1) with which the bound may fail.
        statistic: ``"min"``, ``"mean"``, or the order k in 1 ... m.

    Returns:
        The lower end of an interval for log Z; -inf when the statistic is.

    Raises:
        ArgumentError: NaN among the groups, δ outside (0, 1), or an unknown statistic.

    Example:
        >>> round(lower_bound([0.0] * 100, 0.05), 6)
        -0.029957

    References: Bounds of this kind for annealing: [grosse2015], [burda2015].
    """
    log_z, delta = _log_z_groups(group_log_z), in_open_unit("delta", delta)
    if statistic == "min":
        return float(np.min(log_z)) + math.log(delta) / log_z.size
    if statistic == "mean":
        return float(np.mean(log_z)) + math.log(delta) / log_z.size
    if not isinstance(statistic, int) or not 1 <= statistic <= log_z.size:
        raise ArgumentError(
            f"`statistic` must be 'min', 'mean' or 1 ... {log_z.size}, the groups; given {statistic!r}."
        )
    return float(np.sort(log_z)[statistic - 1]) + math.log(betaincinv(log_z.size - statistic + 1, statistic, delta))


def upper_bound(group_log_z: ArrayLike, delta: float = 0.05, *, statistic: BoundStatistic = "min") -> float:
    """Number that lies below log Z with probability at most δ, from m independent unbiased estimates of 1 / Z.

    The twin of `lower_bound`: the inverse estimates 1 / Ẑ_j are non-negative with mean 1 / Z, so that ``"min"``, the
    smallest of them, gives

        P(max_j log Ẑ_j + ln(1/δ) / m <= log Z) <= δ,

    and likewise the mean and the k-th largest.

    Exactness: certified only where the reverse annealing started from exact draws of the model; from equilibrated
    chains it assumes their equilibrium.

    Args:
        group_log_z: log Ẑ_j of independent reverse groups, shape (m,), from ``group_log_z(..., reverse=True)``.
        delta: Probability δ in (0, 1) with which the bound may fail.
        statistic: As in `lower_bound`, of the 1 / Ẑ_j; chosen in advance.

    Returns:
        The upper end of an interval for log Z.

    Example:
        >>> round(upper_bound([0.0] * 100, 0.05), 6)
        0.029957
    """
    return -lower_bound(-_log_z_groups(group_log_z), delta, statistic=statistic)


def log_z_interval(
    forward: ArrayLike,
    reverse: ArrayLike | None = None,
    *,
    upper_kind: IntervalKind = "none",
    level: float = 0.95,
    statistic: BoundStatistic = "min",
) -> Interval:
    """Two-sided interval for log Z from forward groups and, where there are any, reverse groups.

    Each end fails with probability at most (1 − level) / 2, so both hold with probability `level` at least, whatever
    the dependence between the two directions (union bound).

    Args:
        forward: log Ẑ_j of independent forward groups, shape (m,).
        reverse: log Ẑ_j of independent reverse groups; None leaves the upper end open (inf, kind ``"none"``).
        upper_kind: What the reverse starts were: ``"certified"`` (exact draws of the model) or
            ``"assumes-equilibrium"`` (chains); stated by the caller, because the weights cannot tell.
        level: Probability with which the interval holds, in (0, 1).
        statistic: What of the groups both ends rest on, as in `lower_bound`; ``"mean"`` is the narrower.

    Raises:
        ArgumentError: `reverse` and `upper_kind` do not fit together.
        Unreliable: The two ends cross; its `.estimate` holds the pair. One of the assumptions has failed.

    Example:
        >>> print(log_z_interval([0.0] * 100, [0.1] * 100, upper_kind="certified"))
        [-0.037 (certified), 0.137 (certified)] at 95 %
    """
    half = (1.0 - in_open_unit("level", level)) / 2.0
    lower = lower_bound(forward, half, statistic=statistic)
    if (reverse is None) != (upper_kind == "none") or upper_kind == "exact":
        raise ArgumentError(
            f"`upper_kind`={upper_kind!r} with reverse groups {'missing' if reverse is None else 'given'}: say "
            "'certified' or 'assumes-equilibrium' with reverse groups, 'none' without."
        )
    upper = math.inf if reverse is None else upper_bound(reverse, half, statistic=statistic)
    if lower > upper:
        raise Unreliable(
            f"the ends of the interval for log Z cross: lower {lower:.6g}, upper {upper:.6g} ({upper_kind}). Either "
            f"the {1 - level:.2g} chance came true or the reverse starts were not draws of the model. "
            "Run the chains that supply the starts longer, or take exact draws.",
            (lower, upper),
        )
    return Interval(lower, upper, "certified", upper_kind, level)


def log_z_from_work(
    log_weights: ArrayLike, groups: ArrayLike | int | None = None, *, reverse: bool = False
) -> Estimate:
    """Estimate log Z as the log of the mean annealing weight, with its error bar.

    log Ẑ = log (1/n) Σ w_i, stderr by the delta method: independent particles give the relative standard error of the
    mean weight; with `groups` (particles of one group coupled by resampling) it is the cluster form

        stderr² = m / (m − 1) Σ_j u_j²,   u_j = Σ_{i in j} (w_i − w̄) / (n w̄),

    which is the same number when every group has one particle. With `reverse`, E w = 1 / Z and the sign of the value
    turns.

    Exactness: Ẑ is unbiased, log Ẑ low by about stderr² / 2 (reverse: high); the error bar holds as n → ∞ for weights
    of finite variance. It is withheld (NaN) when ESS < 5, where the delta method says nothing.
    Cost: O(n).

    Args:
        log_weights: log w, shape (n,), n >= 2.
        groups: None for independent particles; else labels, shape (n,), or the number of consecutive blocks.
        reverse: The weights come from reverse annealing.

    Returns:
        `Estimate` in nats; `num_effective` is the ESS, diagnostics hold `ess`, `ess_share`, `max_share`,
        `skewness` (foreseen, of the mean weight), `num_particles`, `num_groups`.

    Raises:
        ArgumentError: NaN or +inf among the log weights; fewer than two groups.

    Example:
        >>> print(log_z_from_work([1.0, 1.0, 1.0]))
        1 (exact)

    References: [neal2001], [grosse2015].
    """
    a = as_log_weights("log_weights", log_weights, min_rows=2)
    labels = np.arange(a.size) if groups is None else _labels(groups, a.size)
    return weight_estimate(
        a, labels, sign=-1.0 if reverse else 1.0, method="annealing-reverse" if reverse else "annealing"
    )


def _labels(groups: ArrayLike | int, num: int) -> np.ndarray:
    labels = np.asarray(groups)
    if labels.ndim == 0:
        count = int(labels)
        if not 1 <= count <= num:
            raise ArgumentError(f"`groups` as a number must lie between 1 and the {num} particles; given {count}.")
        return np.arange(num) * count // num
    if labels.shape != (num,):
        raise ShapeError(f"`groups` must be one label a particle, shape ({num},); given shape {labels.shape}.")
    return labels


def _log_z_groups(values: ArrayLike) -> Floats:
    array = as_floats("group_log_z", values, ndim=1)
    if np.isnan(array).any():
        raise ArgumentError(
            f"`group_log_z` has {int(np.isnan(array).sum())} NaN of {array.size}; look where they arose."
        )
    return array
