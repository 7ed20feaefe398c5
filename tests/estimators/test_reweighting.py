"""Reweighting from one law to another, and over many temperatures, on Gaussians and spins in a field."""

from __future__ import annotations

import math

import numpy as np
import pytest

from energax._errors import ArgumentError, ShapeError, Unreliable
from energax.estimators import Estimate, mbar, multi_histogram, reweight

NUM_SPINS = 12


def spin_energies(rng, beta, num):
    """Energies −Σ s of free spins in a unit field at inverse temperature β."""
    up = rng.binomial(NUM_SPINS, 1.0 / (1.0 + math.exp(-2.0 * beta)), num)
    return -(2.0 * up - NUM_SPINS)


def log_z(beta):
    return NUM_SPINS * math.log(2.0 * math.cosh(beta))


def check_reweighting(estimator, rng, check, num=400):
    """N(0, 1) to N(0.5, 1): the mean, and the mean square. Smallest defect seen: an error bar wrong by 25 %."""
    for power, exact in ((1, 0.5), (2, 1.25)):
        estimates = []
        for _ in range(num):
            x = rng.normal(size=800)
            estimates.append(estimator(x**power, 0.5 * x))
        check.calibrated(estimates, exact)


def test_reweighting_is_calibrated(rng, check):
    check_reweighting(reweight, rng, check)


def spread_of_the_values(f, a):
    found = reweight(f, a)
    return Estimate(found.value, float(np.std(f)) / math.sqrt(f.size), 1, "mutant")


MUTANTS = {
    "weights upside down": lambda f, a: reweight(f, -a),
    "weights forgotten in the error bar": spread_of_the_values,
    "not normalised": lambda f, a: Estimate(float(np.mean(np.exp(a) * f)), reweight(f, a).stderr, 1, "mutant"),
}


@pytest.mark.parametrize("mutant", MUTANTS.values(), ids=MUTANTS.keys())
def test_mutants_of_reweighting_are_caught(mutant, rng, check):
    with pytest.raises(AssertionError):
        check_reweighting(mutant, rng, check, 200)


def test_reweighting_is_mbar_of_one_state(rng):
    x = rng.normal(size=300)
    one = reweight(x, 0.4 * x)
    many = mbar(0.5 * x[None] ** 2, [300]).expectation(x, 0.5 * x**2 - 0.4 * x)
    assert one.value == pytest.approx(many.value, rel=1e-11)
    assert one.stderr == pytest.approx(many.stderr * math.sqrt(300 / 299), rel=1e-9)
    assert reweight(x, 0.4 * x + 700.0).value == pytest.approx(one.value, rel=1e-10)
    assert reweight(x, 0.4 * x, tau=4.0).stderr == pytest.approx(2.0 * one.stderr)


def test_reweighting_too_far_is_refused(rng):
    x = rng.normal(size=400)
    with pytest.raises(Unreliable, match=r"no overlap: one draw of 400 .*nearer"):
        reweight(x, 40.0 * x)
    assert "low" in reweight(x, 2.5 * x).warnings[0]
    assert "heavy_tail" in reweight(x, 1.2 * x).warnings[0]
    assert reweight(x, 0.3 * x).warnings == ()
    with pytest.raises(ShapeError, match="equally long"):
        reweight(x, x[1:])
    with pytest.raises(ArgumentError, match="tau"):
        reweight(x, x, tau=-1.0)


BETAS = (0.1, 0.4, 0.8)


def check_histograms(estimator, rng, check, num=300):
    """Free spins at three temperatures, asked for between them. Smallest defect seen: an error bar wrong by 30 %."""
    found = [
        estimator([spin_energies(rng, b, n) for b, n in zip(BETAS, (200, 100, 150), strict=True)], BETAS)
        for _ in range(num)
    ]
    beta, slope = 0.6, math.tanh(0.6)
    check.calibrated([f.log_z(beta) for f in found], log_z(beta) - log_z(BETAS[0]))
    check.calibrated([f.log_z(BETAS[1]) for f in found], log_z(BETAS[1]) - log_z(BETAS[0]))
    check.calibrated([f.energy(beta) for f in found], -NUM_SPINS * slope)
    check.calibrated([f.heat_capacity(beta) for f in found], beta**2 * NUM_SPINS * (1.0 - slope**2))


def test_histograms_are_calibrated(rng, check):
    check_histograms(multi_histogram, rng, check)


HISTOGRAM_MUTANTS = {
    "temperatures exchanged": lambda e, b: multi_histogram(e, b[::-1]),
    "sign of the energy": lambda e, b: multi_histogram([-x for x in e], b),
    "draws counted twice": lambda e, b: multi_histogram(e, b, taus=0.5),
}


@pytest.mark.parametrize("mutant", HISTOGRAM_MUTANTS.values(), ids=HISTOGRAM_MUTANTS.keys())
def test_mutants_of_histograms_are_caught(mutant, rng, check):
    with pytest.raises((AssertionError, Unreliable)):
        check_histograms(mutant, rng, check, 150)


def test_histograms_answer_for_other_observables_and_at_their_own_temperatures(rng):
    energies = [spin_energies(rng, b, 400) for b in BETAS]
    found = multi_histogram(energies, BETAS)
    assert found.expectation(found.energies**2, 0.5).value == pytest.approx(
        found.heat_capacity(0.5).value / 0.25 + found.energy(0.5).value ** 2
    )
    assert found.log_z(BETAS[0]).value == 0.0
    assert found.log_z(BETAS[2]).value == pytest.approx(-found.mbar.free_energies[2], abs=1e-10)
    assert repr(found).startswith("MultiHistogram(betas=[0.1, 0.4, 0.8]")


def test_histograms_without_overlap_are_refused(rng):
    with pytest.raises(Unreliable, match=r"share .* draws in effect"):
        multi_histogram([rng.normal(0.0, 1.0, 50), rng.normal(-500.0, 1.0, 50)], [0.0, 5.0])
    with pytest.raises(ShapeError, match="2 betas"):
        multi_histogram([np.zeros(3)], [0.0, 1.0])
