"""Free-energy differences from both directions: Bennett's acceptance ratio."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import root_scalar

from energax._errors import Unreliable
from energax.estimators._arrays import Floats, as_tau, as_work
from energax.estimators._estimate import Estimate
from energax.estimators._weights import log_mean_exp, log_sum_exp

GOOD_OVERLAP = 50.0


def bar(forward: ArrayLike, reverse: ArrayLike, *, tau_forward: float = 1.0, tau_reverse: float = 1.0) -> Estimate:
    """Estimate ΔF from both directions with the least variance of all such estimators (Bennett's acceptance ratio).

    With the Fermi function f(x) = 1 / (1 + e^x) and M = log(n_F / n_R), ΔF is the root of

        Σ_F f(M + W_F − ΔF) = Σ_R f(−M + W_R + ΔF),

    whose two sides are compared as logarithms, where the difference grows without bound in both directions and has one
    root. stderr² is the sum of the relative variances of the two means of f at the root. The overlap is

        (n_F + n_R) / (n_F n_R) Σ_all a (1 − a),   a = f(M + ΔU − ΔF) (the probability that a draw came from state 1),

    between 0 (disjoint states) and 1 (one and the same).

    Exactness: consistent as both counts grow; the maximum-likelihood estimator of ΔF from these works.
    Cost: O(n_F + n_R) a step of the root search, about 15 steps.

    Args:
        forward: W_F: U_1 − U_0 at draws of state 0, or the work from 0 to 1, nats, shape (n_F,).
        reverse: W_R: U_0 − U_1 at draws of state 1, or the work from 1 to 0, nats, shape (n_R,).
        tau_forward: Integrated autocorrelation time of the forward draws, >= 0; 1 for independent ones.
        tau_reverse: The same of the reverse draws.

    Returns:
        `Estimate` of ΔF in nats; `num_effective` is overlap · (n_F + n_R); diagnostics `overlap`, `fep_forward`,
        `fep_reverse` (the one-sided values, whose disagreement shows poor overlap), `num_forward`, `num_reverse`.

    Raises:
        ArgumentError: NaN or -inf among the works.
        Unreliable: Less than one draw lies in the overlap, Σ a (1 − a) < 1; `.estimate` holds the refused number.

    Example:
        >>> print(bar([0.4, 0.6] * 50, [-0.6, -0.4] * 50))
        0.5000 ± 0.0071

    References: [bennett1976], [shirts2003].
    """
    w_f, w_r = as_work("forward", forward), as_work("reverse", reverse)
    tau_forward, tau_reverse = as_tau("tau_forward", tau_forward), as_tau("tau_reverse", tau_reverse)
    m = math.log(w_f.size / w_r.size)
    root = _bar_root(w_f, w_r, m)
    # The probability, for each draw, that it belongs to the other end: what both sides of the equation sum.
    log_f, log_r = -np.logaddexp(0.0, m + w_f - root), -np.logaddexp(0.0, -m + w_r + root)
    f_f, f_r = np.exp(log_f), np.exp(log_r)
    in_overlap = float(np.sum(f_f * (1.0 - f_f)) + np.sum(f_r * (1.0 - f_r)))
    total = w_f.size + w_r.size
    overlap = total / (w_f.size * w_r.size) * in_overlap
    variance = tau_forward * _relative_variance(log_f) + tau_reverse * _relative_variance(log_r)
    diagnostics = {
        "overlap": overlap,
        "fep_forward": -log_mean_exp(-w_f),
        "fep_reverse": log_mean_exp(-w_r),
        "num_forward": w_f.size,
        "num_reverse": w_r.size,
    }
    warnings = _bar_warnings(in_overlap, max(tau_forward, tau_reverse))
    estimate = Estimate(root, math.sqrt(variance), overlap * total, "bar", diagnostics, warnings)
    if in_overlap < 1.0:
        raise Unreliable(
            f"no overlap: {in_overlap:.2g} draws in effect lie where both states have weight (at least 1 needed, "
            f"{GOOD_OVERLAP:g} wanted; overlap {overlap:.2g}), so ΔF between {diagnostics['fep_reverse']:.6g} and "
            f"{diagnostics['fep_forward']:.6g} is undetermined. Put intermediate states between the two, or drive "
            "more slowly.",
            estimate,
        )
    return estimate


def _bar_root(w_f: Floats, w_r: Floats, m: float) -> float:
    def difference(delta: float) -> float:
        left = log_sum_exp(-np.logaddexp(0.0, m + w_f - delta))
        return left - log_sum_exp(-np.logaddexp(0.0, -m + w_r + delta))

    # Seen from its median every work sits within its own spread, so the bracket opens from the data's own scale.
    centre = 0.5 * (_finite_median(w_f) - _finite_median(w_r))
    reach = 1.0 + abs(m)
    while difference(centre - reach) > 0.0 or difference(centre + reach) < 0.0:
        reach *= 2.0
    bracket = (centre - reach, centre + reach)
    return float(root_scalar(difference, bracket=bracket, method="brentq", xtol=1e-12, rtol=1e-14).root)


def _finite_median(work: Floats) -> float:
    return float(np.median(work[np.isfinite(work)]))


def _relative_variance(log_f: Floats) -> float:
    """Var f / (n mean(f)²), from logarithms, because without overlap every f underflows."""
    f = np.exp(log_f - np.max(log_f))
    return float(np.var(f, ddof=1) / (f.size * np.mean(f) ** 2))


def _bar_warnings(in_overlap: float, tau: float) -> tuple[str, ...]:
    if in_overlap / max(tau, 1.0) >= GOOD_OVERLAP:
        return ()
    return (
        f"low_overlap: {in_overlap / max(tau, 1.0):.1f} independent draws in effect lie where both states have "
        "weight: the error bar is rough. Put an intermediate state between the two, or draw more.",
    )
