"""Expectations under laws that were not drawn from: one run reweighted, or many temperatures together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from energax._errors import ArgumentError, ShapeError
from energax.estimators._arrays import Floats, as_finite, as_log_weights
from energax.estimators._estimate import Estimate
from energax.estimators._mbar import Mbar, mbar
from energax.estimators._mean_weight import (
    GOOD_SKEWNESS_OF_MEANS,
    foreseen_skewness,
    is_hopeless,
    require_more_than_one_draw,
    weight_warnings,
)
from energax.estimators._weights import ess_from_log_weights, max_weight_share, normalized_weights


def reweight(values: ArrayLike, log_weights: ArrayLike, *, tau: float = 1.0) -> Estimate:
    """Estimate E_1 f from draws of another law 0 (single-histogram reweighting): Σ w f / Σ w, w ∝ p_1 / p_0.

    From inverse temperature β to β' the log weights are −(β' − β) E(x). The error bar is that of a ratio,
    stderr² = τ n / (n − 1) Σ W² (f − mean)² with normalised weights W.

    Exactness: consistent; the bias is O(1/n).
    Cost: O(n).

    Args:
        values: f at the draws, shape (n,).
        log_weights: log w, shape (n,), up to a common constant; -inf where law 1 forbids the draw.
        tau: Integrated autocorrelation time of the draws, >= 0; 1 for independent ones.

    Returns:
        `Estimate`; the diagnostics are those of `log_z_from_work`. No error bar (NaN) below 5 effective draws.

    Raises:
        Unreliable: One draw alone carries the weight.

    Example:
        >>> reweight([0.0, 1.0, 2.0, 3.0], [0.0, 0.0, 0.0, 0.0]).value
        1.5

    References: [ferrenberg1988].
    """
    f, a = as_finite("values", values, ndim=1, min_rows=2), as_log_weights("log_weights", log_weights, min_rows=2)
    if f.size != a.size:
        raise ShapeError(f"`values` and `log_weights` must be equally long; given {f.size} and {a.size}.")
    if not 0.0 <= tau < math.inf:
        raise ArgumentError(f"`tau` must be >= 0 and finite; given {tau}.")
    w = normalized_weights(a)
    mean = float(w @ f)
    ess, share, skewness = ess_from_log_weights(a), max_weight_share(a), foreseen_skewness(a)
    variance = tau * f.size / (f.size - 1) * float(np.sum((w * (f - mean)) ** 2))
    stderr = math.nan if is_hopeless(ess, f.size) else math.sqrt(variance)
    diagnostics = {"ess": ess, "ess_share": ess / f.size, "max_share": share, "skewness": skewness, "num_draws": f.size}
    warnings = weight_warnings(ess, share, skewness, f.size, f.size, GOOD_SKEWNESS_OF_MEANS)
    estimate = Estimate(mean, stderr, ess / max(tau, 1.0), "reweighting", diagnostics, warnings)
    return require_more_than_one_draw(estimate, "Draw from a law nearer to the one that is asked for.")


@dataclass(frozen=True, repr=False)
class MultiHistogram:
    """Functions of β from draws at several β together.

    Attributes:
        betas: Inverse temperatures that were drawn at, shape (K,).
        mbar: The solved equations; state k is ``betas[k]``.
        energies: Energies of the pooled draws, shape (N,).
    """

    betas: Floats
    mbar: Mbar
    energies: Floats

    def log_z(self, beta: float) -> Estimate:
        """Estimate of log Z(β) − log Z(betas[0]); exact 0 where β is ``betas[0]``."""
        if beta == self.betas[0]:
            return self.mbar.difference(0, 0)
        return self.mbar.free_energy(beta * self.energies).negated()

    def energy(self, beta: float) -> Estimate:
        """Estimate of the mean of E at β."""
        return self.mbar.expectation(self.energies, beta * self.energies)

    def heat_capacity(self, beta: float) -> Estimate:
        """Estimate of β² Var E at β."""
        variance = self.mbar.variance(self.energies, beta * self.energies)
        return replace(variance, value=beta**2 * variance.value, stderr=beta**2 * variance.stderr)

    def expectation(self, values: ArrayLike, beta: float) -> Estimate:
        """Estimate of the mean of f at β, from its values at the pooled draws, shape (N,), ordered as `energies`."""
        return self.mbar.expectation(values, beta * self.energies)

    def __repr__(self) -> str:
        return f"MultiHistogram(betas={self.betas.tolist()}, {self.mbar!r})"


def multi_histogram(energies: Sequence[ArrayLike], betas: ArrayLike, *, taus: ArrayLike = 1.0) -> MultiHistogram:
    """Combine draws at several inverse temperatures into functions of β, without binning: `mbar` with u_k = β_k E.

    Exactness, cost: as `mbar`. Between the temperatures, and a little beyond them, the answers are as good as at them.

    Args:
        energies: E at the draws of each temperature, one sequence for each.
        betas: β_k, shape (K,), any order, finite.
        taus: Integrated autocorrelation time of the draws, a number or one for each temperature.

    Returns:
        `MultiHistogram`, whose `log_z`, `energy`, `heat_capacity` and `expectation` are `Estimate`s at any β.

    Raises:
        Unreliable: Two groups of temperatures share less than one draw.

    Example:
        >>> import numpy as np
        >>> levels = np.array([0.0, 1.0])
        >>> found = multi_histogram([np.repeat(levels, 50), np.repeat(levels, [73, 27])], [0.0, 1.0])
        >>> round(found.energy(0.5).value - float(1 / (1 + np.exp(0.5))), 2)
        0.0

    References: [ferrenberg1989], [shirts2008].
    """
    points = as_finite("betas", betas, ndim=1)
    rows = [as_finite(f"energies[{k}]", row, ndim=1) for k, row in enumerate(energies)]
    if len(rows) != points.size:
        raise ShapeError(f"`energies` must have one sequence for each of {points.size} betas; given {len(rows)}.")
    pooled = np.concatenate(rows)
    return MultiHistogram(points, mbar(points[:, None] * pooled, [len(row) for row in rows], taus=taus), pooled)
