"""Free-energy differences along a path: thermodynamic integration."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.integrate import simpson
from scipy.interpolate import CubicSpline

from energax._errors import ArgumentError, ShapeError, Unreliable
from energax.estimators._arrays import Floats, as_finite
from energax.estimators._estimate import Estimate

_HOPELESS_RULE = 1.0
"""Nats that a rule may be wrong by before its value is refused: a factor of e in Z."""


def thermodynamic_integration(
    ts: ArrayLike, means: ArrayLike, stderrs: ArrayLike, *, rule: Literal["trapezoid", "spline"] = "trapezoid"
) -> Estimate:
    """Estimate ΔF = ∫ E_t[∂_t U_t] dt along a path, with the error bar of the averages.

    Both rules are sums Σ_i c_i y_i of the averages, so that stderr² = cᵀ S c with S their covariance: Σ_i c_i² s_i² for
    independent runs, more where the points share draws (replica exchange, reweighting).

    Exactness: the error bar covers the sampling of the averages only. The error of the rule, O(spacing²) for the
    trapezoid and O(spacing⁴) for the cubic spline where the means are smooth, is shown as `discretisation`, the
    difference to Simpson's rule, which feels the curvature of the means, and warned of where it exceeds the error bar.
    Cost: O(number of points), squared for the spline.

    Args:
        ts: Points of the path, strictly increasing, shape (k,), k >= 2 (spline: 4).
        means: E_t[∂_t U_t] at each point, nats per unit of t, shape (k,).
        stderrs: Standard errors of the means, from independent runs, >= 0, shape (k,); or their covariance matrix.
        rule: ``"trapezoid"``, or ``"spline"``: fewer points on smooth paths, but it overshoots at kinks.

    Returns:
        `Estimate` of F(ts[-1]) − F(ts[0]) in nats; `num_effective` is NaN (unknown).

    Raises:
        ArgumentError: Points that do not increase, a negative standard error, a covariance that is none.
        ShapeError: Lengths that differ.
        Unreliable: The rule is wrong by more than a nat and five error bars: the points do not follow the path.

    Example:
        >>> print(thermodynamic_integration([0.0, 0.5, 1.0], [0.0, 1.0, 2.0], [0.02, 0.02, 0.02]))
        1.000 ± 0.012

    References: [kirkwood1935].
    """
    t, y = as_finite("ts", ts, ndim=1, min_rows=2), as_finite("means", means, ndim=1, min_rows=2)
    covariance = _covariance(stderrs, t, y)
    if np.any(np.diff(t) <= 0):
        raise ArgumentError("`ts` must increase strictly; sort the points by t.")
    coefficients = _coefficients(t, rule)
    value = float(coefficients @ y)
    stderr = math.sqrt(max(float(coefficients @ covariance @ coefficients), 0.0))
    rule_error = abs(value - float(simpson(y, x=t))) if t.size > 2 else math.nan
    diagnostics = {"discretisation": rule_error, "num_points": t.size, "rule": rule}
    warnings = _rule_warnings(rule_error, stderr, t.size)
    estimate = Estimate(value, stderr, math.nan, "thermodynamic-integration", diagnostics, warnings)
    if rule_error > max(_HOPELESS_RULE, 5.0 * stderr):
        raise Unreliable(
            f"no overlap: the means change so fast between the {t.size} points that the rule's own error is about "
            f"{rule_error:.2g} nats. Add points where they change fastest.",
            estimate,
        )
    return estimate


def _coefficients(t: Floats, rule: str) -> Floats:
    if rule == "trapezoid":
        gaps = np.diff(t)
        return 0.5 * (np.append(gaps, 0.0) + np.append(0.0, gaps))
    if rule != "spline":
        raise ArgumentError(f'`rule` is "trapezoid" or "spline"; given {rule!r}.')
    if t.size < 4:
        raise ShapeError(f'rule="spline" needs four points or more; given {t.size}. Use the trapezoid.')
    return np.asarray(CubicSpline(t, np.eye(t.size)).integrate(t[0], t[-1]))


def _covariance(stderrs: ArrayLike, t: Floats, y: Floats) -> Floats:
    if np.ndim(stderrs) == 2:
        s = as_finite("stderrs", stderrs, ndim=2)
        matches = s.shape == (t.size, t.size)
        if matches and not np.allclose(s, s.T):
            raise ArgumentError("a covariance given as `stderrs` must be symmetric.")
    else:
        s = as_finite("stderrs", stderrs, ndim=1, min_rows=2)
        matches = s.shape == t.shape
    if not (matches and t.shape == y.shape):
        raise ShapeError(
            f"`ts`, `means` and `stderrs` must be equally long; given {t.size}, {y.size} and shape {s.shape}."
        )
    if np.any(np.diag(s) < 0 if s.ndim == 2 else s < 0):
        raise ArgumentError("`stderrs` must not be negative.")
    return s if s.ndim == 2 else np.diag(s**2)


def _rule_warnings(rule_error: float, stderr: float, num: int) -> tuple[str, ...]:
    if num == 2:
        return ("two_points: the error of the trapezoid rule is unknown with two points; add points between.",)
    if rule_error > stderr:
        return (
            f"coarse_path: the rule's own error is about {rule_error:.2g}, above the error bar {stderr:.2g}; "
            "add points where the means change fastest.",
        )
    return ()
