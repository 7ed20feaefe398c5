"""Free-energy differences between two states from one direction: perturbation (FEP) and Jarzynski's equality.

Energies, work and free energies are dimensionless (nats), F = −log Z, and ΔF = F_1 − F_0 = −log(Z_1 / Z_0).
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from energax._errors import ArgumentError
from energax.estimators._arrays import Floats, as_tau, as_work
from energax.estimators._estimate import Estimate
from energax.estimators._mean_weight import require_more_than_one_draw, weight_estimate

_REMEDY = "Put intermediate states between the two, or use both directions with `bar`."


def fep(
    energy_differences: ArrayLike, *, direction: Literal["forward", "reverse"] = "forward", tau: float = 1.0
) -> Estimate:
    """Estimate ΔF from draws of one end only (Zwanzig): ΔF = −log E_0 exp(−ΔU), or log E_1 exp(ΔU).

    Exactness: e^{−ΔF} is unbiased for independent or stationary draws of state 0, so ΔF is high by about stderr² / 2,
    and low by as much from draws of state 1; the error bar needs a finite variance of the exponential (harmonic wells
    k_0 → k_1: only for k_1 > k_0 / 2).
    Cost: O(n).

    Args:
        energy_differences: ΔU = U_1(x) − U_0(x), nats, shape (n,), whatever the direction; infinite where the other
            state forbids x: +inf forward, -inf in reverse.
        direction: ``"forward"``: the draws x are of state 0; ``"reverse"``: of state 1.
        tau: Integrated autocorrelation time of the draws, >= 0; 1 for independent ones.

    Returns:
        `Estimate` of ΔF in nats; the diagnostics are those of `log_z_from_work`, and `mean_work`, the mean of ΔU.

    Raises:
        ArgumentError: NaN among the differences, or an infinity of the wrong sign.
        Unreliable: One draw alone carries the weight: the two states do not overlap.

    Example:
        >>> print(fep([0.5, 0.5, 0.5]), fep([0.5, 0.5, 0.5], direction="reverse"))
        0.5 (exact) 0.5 (exact)

    References: [zwanzig1954].
    """
    if direction == "forward":
        return _one_sided("energy_differences", energy_differences, tau, "fep")
    if direction != "reverse":
        raise ArgumentError(f'`direction` is "forward" (draws of state 0) or "reverse" (state 1); given {direction!r}.')
    estimate = _one_sided("energy_differences", np.negative(energy_differences), tau, "fep").negated()
    estimate.diagnostics["mean_work"] *= -1.0
    return estimate


def jarzynski(work: ArrayLike, *, tau: float = 1.0) -> Estimate:
    """Estimate ΔF from the work of driven trajectories: ΔF = −log E exp(−W).

    The trajectories start in equilibrium at state 0. The second law, E W >= ΔF, shows as `dissipated` = mean(W) − ΔF.
    The first cumulants give ΔF in other ways, κ_1 − κ_2 / 2 (exact for Gaussian work) and + κ_3 / 6 (`cumulant_2`,
    `cumulant_3`): far from the value they say that few trajectories carry it, or that the work is not Gaussian.

    Exactness: e^{−ΔF} is unbiased at any speed of driving, so ΔF is high by about stderr² / 2, shown as `bias`.
    Gaussian work of variance v has ESS about n e^{−v}: past v of 4 or so, drive more slowly, or measure both
    directions and use `bar`.
    Cost: O(n).

    Args:
        work: W in nats, shape (n,); +inf for a trajectory that reached a forbidden configuration.
        tau: Integrated autocorrelation time of the starting points, >= 0; 1 for independent ones.

    Returns:
        `Estimate` of ΔF in nats; diagnostics as `log_z_from_work`, and `mean_work`, `dissipated`, `cumulant_2`,
        `cumulant_3` and `bias`, which is not subtracted.

    Raises:
        ArgumentError: NaN or -inf among the works.
        Unreliable: One trajectory alone carries the weight.

    Example:
        >>> print(jarzynski([0.5, 0.5, 0.5]))
        0.5 (exact)

    References: [jarzynski1997], [gore2003].
    """
    estimate = _one_sided("work", work, tau, "jarzynski")
    w = np.asarray(work, np.float64)
    estimate.diagnostics["dissipated"] = estimate.diagnostics["mean_work"] - estimate.value
    estimate.diagnostics.update(_cumulants(w), bias=0.5 * estimate.stderr**2)
    return estimate


def _cumulants(w: Floats) -> dict[str, float]:
    """ΔF by the expansion in cumulants of the work; NaN where some work is infinite."""
    if not np.all(np.isfinite(w)):
        return {"cumulant_2": math.nan, "cumulant_3": math.nan}
    deviation = w - w.mean()
    second = float(w.mean() - 0.5 * w.var(ddof=1))
    return {"cumulant_2": second, "cumulant_3": second + float(np.mean(deviation**3)) / 6.0}


def _one_sided(name: str, values: ArrayLike, tau: float, method: str) -> Estimate:
    work, inflation = as_work(name, values), math.sqrt(as_tau("tau", tau))
    estimate = weight_estimate(-work, np.arange(work.size), sign=-1.0, method=method, inflation=inflation)
    estimate.diagnostics["mean_work"] = float(np.mean(work))
    return require_more_than_one_draw(estimate, _REMEDY)
