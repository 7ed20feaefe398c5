"""How long ladders of replicas run, and the interval that they give."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from scipy.stats import t as student

from energax.estimators import Estimate, Interval, LadderHistogram, thermodynamic_integration
from energax.evaluation._tempered_ladders import AbstractLadders

NUM_LADDERS = 16
_INTEGRATED = 65
"""Points of β for thermodynamic integration, more than there are levels: draws of the levels around tell the means."""
_FIRST_SWEEPS, _LEAST_SWEEPS = 128, 512


def run_rounds(
    ladders: AbstractLadders,
    last: float,
    precision: float,
    budget: int,
    progress: Callable[[int, int], None] | None,
) -> list[str]:
    """Rounds until as many sweeps are made as the wanted error bar needs, or the budget is spent.

    How many that are is decided from less than a quarter of them: an error bar on which the end of a run hung would be
    too small, for runs end where it happens to be small.

    Args:
        ladders: What runs.
        last: β of the last level.
        precision: Wanted error bar of log Z there, nats.
        budget: The most transitions.
        progress: Called with (done, expected) transitions after each round.

    Returns:
        What speaks against equilibrium at the end.
    """
    length, wanted = _FIRST_SWEEPS, math.inf
    while True:
        ladders.run(length)
        if progress is not None:
            progress(min(ladders.spent, budget - 1), budget)
        done = ladders.num_sweeps
        if done >= _LEAST_SWEEPS and 4 * done < wanted:
            wanted = done * max(1.0, (ladders.histogram().log_z(last).stderr / precision) ** 2)
        objections: list[str] | None = None
        if done >= wanted:
            objections = ladders.objections()
            if not objections:
                return objections
            wanted = 2.0 * done
        # Half as long as all before it, in whole pieces of 64 sweeps, but no longer than wanted.
        length = max(64, int(min(done // 2, wanted - done)) // 64 * 64)
        if ladders.spent + ladders.cost(length) > budget:
            return ladders.objections() if objections is None else objections


def reach(level: float, num_groups: int = NUM_LADDERS) -> float:
    """Error bars from the value to an end, by Student's law."""
    return float(student.ppf(0.5 + 0.5 * level, num_groups - 1))


def equilibrium_interval(found: Estimate, warnings: Sequence[str], level: float) -> Interval:
    """Interval for log Z by Student's law of the ladders; it assumes equilibrium, and has no ends if that is in doubt.

    Args:
        found: log Z with the error bar of `LadderHistogram`.
        warnings: What speaks against equilibrium.
        level: Probability with which both ends hold.
    """
    if warnings:
        return Interval(-math.inf, math.inf, "none", "none", level)
    far = reach(level, found.diagnostics["num_groups"]) * found.stderr
    kind = "assumes-equilibrium"
    return Interval(found.value - far, found.value + far, kind, kind, level)


def integrated(histogram: LadderHistogram, last: float) -> Estimate:
    """Log Z(β) − log Z(0) at β = `last` by thermodynamic integration, −∫ ⟨E⟩ dβ, with a spline through 65 means."""
    betas = np.linspace(0.0, last, _INTEGRATED)
    means, covariance = histogram.mean_energies(betas)
    sign = 1.0 if last > 0 else -1.0
    return thermodynamic_integration(sign * betas, sign * means, covariance, rule="spline").negated()
