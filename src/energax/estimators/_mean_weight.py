"""The logarithm of a mean weight with its error bar and its warnings: what log Z, FEP and Jarzynski have in common."""

from __future__ import annotations

import math

import numpy as np

from energax._errors import ArgumentError, Unreliable
from energax.estimators._arrays import Floats
from energax.estimators._estimate import Estimate
from energax.estimators._weights import ess_from_log_weights, log_mean_exp, max_weight_share

# Measured on log-normal, exponential and chi-squared weights, 50 to 4000 draws: inside these limits the 50, 90 and 99 %
# normal intervals cover within two points of their level wherever the limits pass most replicates.
GOOD_ESS = 30.0
GOOD_SHARE = 0.2
GOOD_SKEWNESS = 0.6
# Weighted means of other quantities, which may grow where the weights do, want more: 200 to 5000 draws of normal laws.
GOOD_SKEWNESS_OF_MEANS = 0.1
GOOD_SEEN_SKEWNESS = 0.2
HOPELESS_ESS = 5.0
HARDLY_MORE_THAN_ONE = 2.0


def weight_estimate(a: Floats, labels: np.ndarray, *, sign: float, method: str, inflation: float = 1.0) -> Estimate:
    """Sign · log mean exp(a) with the cluster delta-method error times `inflation`: every one-sided estimator."""
    ess, share = ess_from_log_weights(a), max_weight_share(a)
    num_groups = np.unique(labels).size
    if num_groups < 2:
        raise ArgumentError("one group alone has no spread, hence no error bar; give at least two independent groups.")
    stderr = math.nan if is_hopeless(ess, a.size) else inflation * _cluster_stderr(a, labels)
    skewness = foreseen_skewness(a)
    diagnostics = {
        "ess": ess,
        "ess_share": ess / a.size,
        "max_share": share,
        "skewness": skewness,
        "num_particles": a.size,
        "num_groups": num_groups,
    }
    warnings = weight_warnings(ess, share, skewness, a.size, num_groups)
    return Estimate(sign * log_mean_exp(a), stderr, ess, method, diagnostics, warnings)


def require_more_than_one_draw(estimate: Estimate, remedy: str) -> Estimate:
    """The estimate, refused where one draw alone carries it."""
    ess = estimate.diagnostics["ess"]
    num = next(estimate.diagnostics[name] for name in ("num_particles", "num_draws") if name in estimate.diagnostics)
    if ess < HARDLY_MORE_THAN_ONE and ess < num / 2:
        share = 100 * estimate.diagnostics["max_share"]
        raise Unreliable(
            f"no overlap: one draw of {num} holds {share:.4g} % of the weight, so {estimate.value:.6g} says nothing "
            f"about the others. {remedy}",
            estimate,
        )
    return estimate


def _cluster_stderr(a: Floats, labels: np.ndarray) -> float:
    """Relative standard error of the mean weight when only whole groups are independent."""
    if np.max(a) == -np.inf:
        return math.nan
    w = np.exp(a - np.max(a))
    deviations = w / w.mean() - 1.0
    _, index = np.unique(labels, return_inverse=True)
    sums = np.bincount(index, weights=deviations) / a.size
    return math.sqrt(sums.size / (sums.size - 1) * float(np.sum(sums**2)))


def foreseen_skewness(a: Floats) -> float:
    """Skewness of the mean weight if the log weights were normal with the spread s of the upper half of the bulk.

    For log-normal weights it is (e^{s²} + 2) √((e^{s²} − 1) / n). The bulk is asked, not the largest weights, because
    these decide the value itself: a diagnostic that reads them passes just the replicates that missed the tail.
    """
    finite = a[np.isfinite(a)]
    if finite.size == 0:
        return math.nan
    variance = float(np.quantile(finite, 0.841345) - np.median(finite)) ** 2
    if variance > 100.0:
        return math.inf
    return (math.exp(variance) + 2.0) * math.sqrt(math.expm1(variance) / finite.size)


def is_hopeless(ess: float, num: int) -> bool:
    """Whether so few draws carry the weight that no error bar can be given."""
    return ess < HOPELESS_ESS and ess < num / 2


def seen_skewness(w: Floats) -> float:
    """As `foreseen_skewness`, for draws of several laws, most of which may not matter to the one that is asked for.

    The bulk is that of the weighted draws: the spread s of the log weights between the weighted median and one normal
    deviation below, n = ESS e^{s²}, as it is for log-normal weights.
    """
    order = np.argsort(w)
    log_w, cumulative = np.log(np.maximum(w[order], 1e-300)), np.cumsum(w[order])
    median, low = (log_w[np.searchsorted(cumulative, q * cumulative[-1])] for q in (0.5, 0.158655))
    variance = float(median - low) ** 2
    if variance > 100.0:
        return math.inf
    num = math.exp(variance) * cumulative[-1] ** 2 / float(np.sum(w**2))
    return (math.exp(variance) + 2.0) * math.sqrt(math.expm1(variance) / num)


def weight_warnings(
    ess: float, share: float, skewness: float, num: int, num_groups: int, limit: float = GOOD_SKEWNESS
) -> tuple[str, ...]:
    """What is wrong with a sum of `num` weights, in sentences."""
    found: list[str] = []
    if ess == 0.0:
        found.append("zero_weights: every weight is zero; the two ends share no region that was sampled.")
    elif is_hopeless(ess, num):
        found.append(
            f"low_overlap: {ess:.1f} effective draws of {num}: too few for an error bar, and the value can be off "
            "by many nats. Use more intermediate steps, or more particles."
        )
    elif share > GOOD_SHARE or (ess < GOOD_ESS and ess < num / 2):
        found.append(
            f"low_ess: {ess:.1f} effective draws of {num}, the largest weight holds {100 * share:.2g} % of the sum: "
            "the error bar is probably too small. Use more intermediate steps, or more particles."
        )
    elif skewness > limit:
        found.append(
            f"heavy_tail: log weights as wide as these make the mean of {num} weights skewed ({skewness:.2g}; "
            f"{limit:g} at most for a normal error bar): rare large weights may be missing, and the value "
            "with them. Use more intermediate steps, or more particles."
        )
    if num_groups < 10:
        found.append(f"few_groups: the error bar rests on {num_groups} groups only; use 10 or more.")
    return tuple(found)
