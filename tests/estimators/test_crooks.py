"""Crooks' theorem on Gaussian work and on instantaneous switches of harmonic wells."""

from __future__ import annotations

import math

import numpy as np
import pytest

from energax._errors import ArgumentError, Unreliable
from energax.estimators import Estimate, bar, crooks, crooks_ratio, dissipated_work

DELTA_F = -0.8


def gaussian(rng, num_forward, num_reverse, variance):
    half, spread = variance / 2, math.sqrt(variance)
    return rng.normal(half + DELTA_F, spread, num_forward), rng.normal(half - DELTA_F, spread, num_reverse)


def switched(rng, num_forward, num_reverse):
    """Works of the sudden switch of stiffness from 1 to 3 and back."""
    return rng.normal(0.0, 1.0, num_forward) ** 2, -(rng.normal(0.0, 3.0**-0.5, num_reverse) ** 2)


def check_calibrated(estimator, rng, check, num=400):
    """Smallest defect seen: an error bar wrong by 25 %."""
    check.calibrated([estimator(*gaussian(rng, 500, 300, 2.0)) for _ in range(num)], DELTA_F)
    check.calibrated([estimator(*switched(rng, 400, 400)) for _ in range(num)], 0.5 * math.log(3.0))


def test_the_crossing_is_calibrated(rng, check):
    check_calibrated(crooks, rng, check)


MUTANTS = {
    "the mirror forgotten": lambda f, r: crooks(f, -r),
    "the error bar of bar": lambda f, r: Estimate(crooks(f, r).value, 0.6 * crooks(f, r).stderr, 1, "mutant"),
    "counts forgotten": lambda f, r: crooks(f, r).shifted(math.log(f.size / r.size)),
}


@pytest.mark.parametrize("mutant", MUTANTS.values(), ids=MUTANTS.keys())
def test_mutants_are_caught(mutant, rng, check):
    with pytest.raises((AssertionError, Unreliable)):
        check_calibrated(mutant, rng, check, 200)


def test_the_slope_is_one_and_its_error_bar_calibrated(rng, check):
    found = [crooks(*gaussian(rng, 400, 200, 1.5)).diagnostics for _ in range(400)]
    check.calibrated([Estimate(d["slope"], d["slope_stderr"], 1, "slope") for d in found], 1.0)


def test_shifts_and_directions(rng):
    forward, reverse = gaussian(rng, 300, 200, 1.0)
    found, back, far = crooks(forward, reverse), crooks(reverse, forward), crooks(forward + 5e3, reverse - 5e3)
    assert back.value == pytest.approx(-found.value, abs=1e-9)
    assert back.stderr == pytest.approx(found.stderr, rel=1e-8)
    assert far.value == pytest.approx(found.value + 5e3, abs=1e-7)
    assert found.diagnostics["bar"] == bar(forward, reverse).value
    assert crooks(forward, reverse, tau_forward=4.0, tau_reverse=4.0).stderr == pytest.approx(2 * found.stderr)


def test_works_that_break_the_theorem_are_named(rng):
    """Work at twice the temperature of the exponent: the log ratio has the slope one half."""
    forward, reverse = rng.normal(1.0, 2.0, 3000), rng.normal(1.0, 2.0, 3000)
    found = crooks(forward, reverse)
    assert "not_crooks" in found.warnings[-1]
    assert abs(found.diagnostics["slope"] - 0.5) <= 4.9 * found.diagnostics["slope_stderr"]
    assert crooks(*gaussian(rng, 3000, 3000, 2.0)).warnings == ()


def test_bins_follow_the_line(rng):
    """Narrow bins of Gaussian work, whose log ratio is the line itself."""
    ratio = crooks_ratio(*gaussian(rng, 40_000, 20_000, 2.0), num_bins=60)
    z = (ratio.log_ratio - (ratio.work - DELTA_F)) / ratio.stderr
    assert ratio.work.size > 30
    assert np.max(np.abs(z[ratio.stderr < 0.2])) <= 4.9
    assert 0.5 < min(ratio.shared) <= max(ratio.shared) <= 1.0


def test_no_overlap_is_refused(rng):
    forward, reverse = rng.normal(100.0, 1.0, 50), rng.normal(100.0, 1.0, 50)
    with pytest.raises(Unreliable, match="no overlap"):
        crooks(forward, reverse)
    with pytest.raises(Unreliable, match="no overlap"):
        crooks_ratio(forward, reverse)
    with pytest.raises(Unreliable, match="has 5 draws"):
        crooks_ratio([0.0, 1.0, 2.0], [0.0, -1.0, -2.0])
    with pytest.raises(ArgumentError, match="infinite"):
        crooks([0.0, np.inf], [0.0, 1.0])


def check_dissipation(estimator, rng, check, num=600):
    """Half the variance both ways for Gaussian work; 1 − ½ log 3 and ½ log 3 − 1/3 for the switch, one way each.

    Smallest defect seen: an error bar wrong by 20 %.
    """
    gaussians = [estimator(*gaussian(rng, 500, 300, 2.0)) for _ in range(num)]
    switches = [estimator(*switched(rng, 400, 400)) for _ in range(num)]
    half = 0.5 * math.log(3.0)
    for found, exact in ((gaussians, (1.0, 1.0)), (switches, (1.0 - half, half - 1.0 / 3.0))):
        for direction in (0, 1):
            check.calibrated([pair[direction] for pair in found], exact[direction])


def test_dissipated_work_is_calibrated(rng, check):
    check_dissipation(dissipated_work, rng, check)


def independent_errors(forward, reverse):
    """As if ΔF and the mean works were independent."""
    both = bar(forward, reverse)
    found = []
    for work, pair in zip((forward, reverse), dissipated_work(forward, reverse), strict=True):
        stderr = math.hypot(both.stderr, work.std() / math.sqrt(work.size))
        found.append(Estimate(pair.value, stderr, 1, "mutant"))
    return found


DISSIPATION_MUTANTS = {
    "independent error bars": independent_errors,
    "directions exchanged": lambda f, r: dissipated_work(f, r)[::-1],
    "sign of the reverse work": lambda f, r: dissipated_work(f, -r),
}


@pytest.mark.parametrize("mutant", DISSIPATION_MUTANTS.values(), ids=DISSIPATION_MUTANTS.keys())
def test_mutants_of_dissipation_are_caught(mutant, rng, check):
    with pytest.raises((AssertionError, Unreliable)):
        check_dissipation(mutant, rng, check, 300)


def test_dissipation_shifts_and_warns(rng):
    forward, reverse = gaussian(rng, 300, 200, 1.0)
    there, back = dissipated_work(forward, reverse)
    far, _ = dissipated_work(forward + 5e3, reverse - 5e3)
    assert far.value == pytest.approx(there.value, abs=1e-7)
    assert far.stderr == pytest.approx(there.stderr, rel=1e-6)
    assert back.value == pytest.approx(reverse.mean() + bar(forward, reverse).value)
    assert there.diagnostics["free_energy"] == bar(forward, reverse).value
    assert dissipated_work(forward, reverse, tau_forward=4.0, tau_reverse=4.0)[0].stderr == pytest.approx(
        2.0 * there.stderr
    )
    # Works of which the likely ones were left out: less work than free energy.
    wrong, _ = dissipated_work(rng.normal(-0.5, 1.0, 400), rng.normal(0.0, 1.0, 400))
    assert "second_law" in wrong.warnings[-1]
