"""Free-energy differences between two states: one-sided (FEP, Jarzynski), two-sided (BAR), along a path (TI).

Energies, work and free energies are dimensionless (nats), F = −log Z, and ΔF = F_1 − F_0 = −log(Z_1 / Z_0).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy.integrate import simpson
from scipy.optimize import root_scalar
from scipy.special import expit

from energax._errors import ArgumentError, ShapeError, Unreliable
from energax.estimators._arrays import Floats, as_finite, as_floats
from energax.estimators._estimate import Estimate
from energax.estimators._mean_weight import weight_estimate
from energax.estimators._weights import log_sum_exp

GOOD_OVERLAP = 50.0


def fep(energy_differences: ArrayLike, *, tau: float = 1.0) -> Estimate:
    """Estimate ΔF from draws of one end only (Zwanzig): ΔF = −log E_0 exp(−ΔU).

    Exactness: e^{−ΔF} is unbiased for independent or stationary draws of state 0, so ΔF is high by about stderr² / 2;
    the error bar needs a finite variance of e^{−ΔU} (harmonic wells k_0 → k_1: only for k_1 > k_0 / 2).
    Cost: O(n).

    Args:
        energy_differences: ΔU = U_1(x) − U_0(x) at draws x of state 0, nats, shape (n,); +inf where state 1 forbids x.
        tau: Integrated autocorrelation time of the draws, >= 0; 1 for independent ones.

    Returns:
        `Estimate` of ΔF in nats; the diagnostics are those of `log_z_from_work`, and `mean_work`.

    Raises:
        ArgumentError: NaN or -inf among the differences.

    Example:
        >>> print(fep([0.5, 0.5, 0.5]))
        0.5 (exact)

    References: [zwanzig1954].
    """
    return _one_sided("energy_differences", energy_differences, tau, "fep")


def jarzynski(work: ArrayLike, *, tau: float = 1.0) -> Estimate:
    """Estimate ΔF from the work of driven trajectories: ΔF = −log E exp(−W).

    The trajectories start in equilibrium at state 0. The second law, E W >= ΔF, shows as `dissipated` = mean(W) − ΔF.

    Exactness: e^{−ΔF} is unbiased at any speed of driving, so ΔF is high by about stderr² / 2. Gaussian work of
    variance v has ESS about n e^{−v}: past v of 4 or so, drive more slowly, or measure both directions and use `bar`.
    Cost: O(n).

    Args:
        work: W in nats, shape (n,); +inf for a trajectory that reached a forbidden configuration.
        tau: Integrated autocorrelation time of the starting points, >= 0; 1 for independent ones.

    Returns:
        `Estimate` of ΔF in nats; diagnostics as `log_z_from_work`, and `mean_work`, `dissipated`.

    Raises:
        ArgumentError: NaN or -inf among the works.

    Example:
        >>> print(jarzynski([0.5, 0.5, 0.5]))
        0.5 (exact)

    References: [jarzynski1997].
    """
    estimate = _one_sided("work", work, tau, "jarzynski")
    estimate.diagnostics["dissipated"] = estimate.diagnostics["mean_work"] - estimate.value
    return estimate


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
    w_f, w_r = _work("forward", forward), _work("reverse", reverse)
    _check_tau("tau_forward", tau_forward)
    _check_tau("tau_reverse", tau_reverse)
    m = math.log(w_f.size / w_r.size)
    root = _bar_root(w_f, w_r, m)
    # The probability, for each draw, that it belongs to the other end: what both sides of the equation sum.
    f_f, f_r = expit(-(m + w_f - root)), expit(-(-m + w_r + root))
    in_overlap = float(np.sum(f_f * (1.0 - f_f)) + np.sum(f_r * (1.0 - f_r)))
    total = w_f.size + w_r.size
    overlap = total / (w_f.size * w_r.size) * in_overlap
    variance = tau_forward * _relative_variance(f_f) + tau_reverse * _relative_variance(f_r)
    diagnostics = {
        "overlap": overlap,
        "fep_forward": fep(w_f).value,
        "fep_reverse": -fep(w_r).value,
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


def thermodynamic_integration(ts: ArrayLike, means: ArrayLike, stderrs: ArrayLike) -> Estimate:
    """Estimate ΔF = ∫ E_t[∂_t U_t] dt along a path by the trapezoid rule, with the error bar of the averages.

    Exactness: the error bar covers the sampling of the averages only. The error of the rule, O(spacing²), is shown as
    `discretisation`, the difference to Simpson's rule, and warned of where it exceeds the error bar.
    Cost: O(number of points).

    Args:
        ts: Points of the path, strictly increasing, shape (k,), k >= 2.
        means: E_t[∂_t U_t] at each point, nats per unit of t, shape (k,).
        stderrs: Standard errors of the means, from independent runs, >= 0, shape (k,).

    Returns:
        `Estimate` of F(ts[-1]) − F(ts[0]) in nats; `num_effective` is NaN (unknown).

    Raises:
        ArgumentError: Points that do not increase, or a negative standard error.
        ShapeError: Lengths that differ.

    Example:
        >>> print(thermodynamic_integration([0.0, 0.5, 1.0], [0.0, 1.0, 2.0], [0.02, 0.02, 0.02]))
        1.000 ± 0.012

    References: [kirkwood1935].
    """
    t, y = as_finite("ts", ts, ndim=1, min_rows=2), as_finite("means", means, ndim=1, min_rows=2)
    s = as_finite("stderrs", stderrs, ndim=1, min_rows=2)
    if not t.shape == y.shape == s.shape:
        raise ShapeError(f"`ts`, `means` and `stderrs` must be equally long; given {t.size}, {y.size} and {s.size}.")
    gaps = np.diff(t)
    if np.any(gaps <= 0) or np.any(s < 0):
        raise ArgumentError("`ts` must increase strictly and `stderrs` must not be negative; sort the points by t.")
    coefficients = 0.5 * (np.append(gaps, 0.0) + np.append(0.0, gaps))
    value, stderr = float(coefficients @ y), float(np.linalg.norm(coefficients * s))
    rule_error = abs(value - float(simpson(y, x=t))) if t.size > 2 else math.nan
    warnings: tuple[str, ...] = ()
    if t.size == 2:
        warnings = ("two_points: the error of the trapezoid rule is unknown with two points; add points between.",)
    elif rule_error > stderr:
        warnings = (
            f"coarse_path: the rule's own error is about {rule_error:.2g}, above the error bar {stderr:.2g}; "
            "add points where the means change fastest.",
        )
    diagnostics = {"discretisation": rule_error, "num_points": t.size}
    return Estimate(value, stderr, math.nan, "thermodynamic-integration", diagnostics, warnings)


def _work(name: str, values: ArrayLike) -> Floats:
    """Work or energy differences: +inf is a forbidden end, NaN and -inf are refused; nothing but +inf is no overlap."""
    work = as_floats(name, values, ndim=1, min_rows=2)
    bad = int(np.count_nonzero(np.isnan(work) | (work == -np.inf)))
    if bad:
        raise ArgumentError(
            f"`{name}` has {bad} of {work.size} values that are NaN or -inf; each must be a number, or +inf where "
            "the other state forbids the configuration. Check the energies that it was computed from."
        )
    if np.min(work) == np.inf:
        raise Unreliable(f"no overlap: every value of `{name}` is +inf. Put intermediate states between the two.")
    return work


def _check_tau(name: str, tau: float) -> None:
    if not 0.0 <= tau < math.inf:
        raise ArgumentError(f"`{name}` must be >= 0 and finite; given {tau}.")


def _one_sided(name: str, values: ArrayLike, tau: float, method: str) -> Estimate:
    work = _work(name, values)
    _check_tau("tau", tau)
    estimate = weight_estimate(-work, np.arange(work.size), sign=-1.0, method=method, inflation=math.sqrt(tau))
    estimate.diagnostics["mean_work"] = float(np.mean(work))
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


def _relative_variance(f: Floats) -> float:
    return float(np.var(f, ddof=1) / (f.size * np.mean(f) ** 2))


def _bar_warnings(in_overlap: float, tau: float) -> tuple[str, ...]:
    if in_overlap / max(tau, 1.0) >= GOOD_OVERLAP:
        return ()
    return (
        f"low_overlap: {in_overlap / max(tau, 1.0):.1f} independent draws in effect lie where both states have "
        "weight: the error bar is rough. Put an intermediate state between the two, or draw more.",
    )
