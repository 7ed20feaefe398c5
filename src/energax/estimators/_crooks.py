"""Crooks' fluctuation theorem: log P_F(W) / P_R(−W) = W − ΔF, as an estimate, a test and a picture."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit

from energax._errors import Unreliable
from energax.estimators._arrays import Floats, as_finite
from energax.estimators._bar import bar
from energax.estimators._estimate import Estimate

_SUSPECT = 4.9
_FEWEST = 5


def crooks(forward: ArrayLike, reverse: ArrayLike, *, tau_forward: float = 1.0, tau_reverse: float = 1.0) -> Estimate:
    """Estimate ΔF as the work at which the forward law P_F(W) and the mirrored reverse law P_R(−W) cross.

    The log ratio of the two is fitted as b (W − ΔF) by logistic regression, which needs no bins. With b held at its
    theoretical value 1 the same fit is `bar`, which has less variance; here b is free, so that it tests the theorem:
    works that do not obey it (starts out of equilibrium, a reverse protocol that is not the mirror image) show as a
    `slope` away from 1.

    Exactness: consistent as both counts grow.
    Cost: O(n_F + n_R) a step, about 6 steps.

    Args:
        forward: Work of the forward process, nats, shape (n_F,).
        reverse: Work of the reverse process, from 1 to 0, nats, shape (n_R,).
        tau_forward: Integrated autocorrelation time of the forward draws, >= 0; 1 for independent ones.
        tau_reverse: The same of the reverse draws.

    Returns:
        `Estimate` of ΔF in nats; diagnostics `slope`, `slope_stderr`, `bar`, `dissipated` (E_F W − ΔF),
        `dissipated_reverse`, and those of `bar`.

    Raises:
        ArgumentError: Works that are not finite.
        Unreliable: Less than one draw lies where the two laws overlap.

    Example:
        >>> print(round(crooks([0.2, 1.0, 1.0] * 40, [-0.8, 0.0, 0.0] * 40).value, 6))
        0.5

    References: [crooks1999], [shirts2003].
    """
    w_f, w_r = (as_finite(n, w, ndim=1, min_rows=2) for n, w in (("forward", forward), ("reverse", reverse)))
    both = bar(w_f, w_r, tau_forward=tau_forward, tau_reverse=tau_reverse)
    x, is_forward = np.concatenate([w_f, -w_r]) - both.value, np.repeat([1.0, 0.0], [w_f.size, w_r.size])
    log_ratio = math.log(w_f.size / w_r.size)
    theta = _fitted(x, is_forward, log_ratio, both)
    covariance = _sandwich(theta, x, is_forward, log_ratio, (tau_forward, tau_reverse))
    slope, crossing = float(theta[0]), float(theta[1] / theta[0])
    gradient = np.array([-crossing, 1.0]) / slope
    value, stderr = both.value + crossing, math.sqrt(max(float(gradient @ covariance @ gradient), 0.0))
    slope_stderr = math.sqrt(covariance[0, 0])
    diagnostics = both.diagnostics | {
        "bar": both.value,
        "slope": slope,
        "slope_stderr": slope_stderr,
        "dissipated": float(w_f.mean()) - value,
        "dissipated_reverse": float(w_r.mean()) + value,
    }
    warnings = both.warnings
    if abs(slope - 1.0) > _SUSPECT * slope_stderr:
        warnings += (
            f"not_crooks: the log ratio of the work laws has the slope {slope:.3g} ± {slope_stderr:.2g} instead of 1: "
            "start both processes in equilibrium, and run the reverse protocol as the exact mirror image.",
        )
    return Estimate(value, stderr, both.num_effective, "crooks", diagnostics, warnings)


def _fitted(x: Floats, is_forward: Floats, log_ratio: float, both: Estimate) -> Floats:
    """(b, c) of P(forward | x) = σ(log_ratio + b x − c) by Newton's method on a convex function."""
    theta = np.array([1.0, 0.0])
    features = np.stack([x, -np.ones_like(x)])
    for _ in range(50):
        p = expit(log_ratio + theta @ features)
        hessian = (features * (p * (1.0 - p))) @ features.T
        step = np.linalg.solve(hessian, features @ (is_forward - p))
        # Half a step at most in slope: the fit must not leap to where every draw is certain.
        step *= min(1.0, 0.5 / max(abs(float(step[0])), 1e-300))
        theta = theta + step
        if np.max(np.abs(step)) < 1e-12:
            return theta
    raise Unreliable("no overlap: the two work laws are separated, so their crossing is undetermined.", both)


def _sandwich(theta: Floats, x: Floats, is_forward: Floats, log_ratio: float, taus: tuple[float, float]) -> Floats:
    """Covariance of (b, c) when the two counts are fixed: the scores vary within each direction only."""
    features = np.stack([x, -np.ones_like(x)])
    p = expit(log_ratio + theta @ features)
    inverse = np.linalg.inv((features * (p * (1.0 - p))) @ features.T)
    scores = features * (is_forward - p)
    meat = np.zeros((2, 2))
    for direction, tau in zip((1.0, 0.0), taus, strict=True):
        own = scores[:, is_forward == direction]
        meat += tau * own.shape[1] * np.cov(own)
    return inverse @ meat @ inverse


@dataclass(frozen=True)
class CrooksRatio:
    """The log ratio of the two work laws in bins, to be drawn against the line W − ΔF.

    Attributes:
        work: Centres of the bins in which both laws were seen, shape (b,).
        log_ratio: log P_F(W) / P_R(−W), shape (b,).
        stderr: Standard error of `log_ratio`, shape (b,).
        shared: Share of draws of the forward and of the reverse process in these bins.
    """

    work: Floats
    log_ratio: Floats
    stderr: Floats
    shared: tuple[float, float]


def crooks_ratio(forward: ArrayLike, reverse: ArrayLike, *, num_bins: int = 20) -> CrooksRatio:
    """Estimate log P_F(W) / P_R(−W) in bins of work; Crooks' theorem makes it the line W − ΔF.

    Exactness: the bins average, so that the line bends by O(width²) where the laws are steep within a bin.
    Cost: O(n).

    Args:
        forward: Work of the forward process, nats, shape (n_F,), independent.
        reverse: Work of the reverse process, nats, shape (n_R,), independent.
        num_bins: Bins between the smallest and the largest work that both laws reach.

    Returns:
        `CrooksRatio`, of the bins with five draws or more of each law.

    Raises:
        Unreliable: No bin has draws of both laws.

    Example:
        >>> crooks_ratio([0.0, 1.0] * 20, [0.0, -1.0] * 20, num_bins=2).log_ratio.tolist()
        [0.0, 0.0]

    References: [crooks1999].
    """
    w_f, w_r = (as_finite(n, w, ndim=1, min_rows=2) for n, w in (("forward", forward), ("reverse", reverse)))
    low, high = max(w_f.min(), (-w_r).min()), min(w_f.max(), (-w_r).max())
    if not low < high:
        raise Unreliable("no overlap: no work was seen by both laws. Drive more slowly, or put states between.")
    edges = np.linspace(low, high, num_bins + 1)
    counts_f, counts_r = np.histogram(w_f, edges)[0], np.histogram(-w_r, edges)[0]
    seen = (counts_f >= _FEWEST) & (counts_r >= _FEWEST)
    if not seen.any():
        raise Unreliable(f"no overlap: no bin of work has {_FEWEST} draws of each law. Use fewer bins, or draw more.")
    share_f, share_r = counts_f[seen] / w_f.size, counts_r[seen] / w_r.size
    variance = (1.0 - share_f) / counts_f[seen] + (1.0 - share_r) / counts_r[seen]
    centres = 0.5 * (edges[1:] + edges[:-1])[seen]
    shared = (float(share_f.sum()), float(share_r.sum()))
    return CrooksRatio(centres, np.log(share_f / share_r), np.sqrt(variance), shared)
