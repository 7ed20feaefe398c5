"""Autocorrelation time, effective sample size and R-hat on chains whose answers are known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.signal import lfilter

from energax._errors import ArgumentError, ShapeError, Unreliable
from energax.estimators import Estimate, chain_mean, ess, r_hat, tau


def ar1(rng, phi, num_chains, num_draws):
    """Stationary chains x_t = phi x_{t-1} + noise: variance 1 / (1 - phi²), tau = (1 + phi) / (1 - phi)."""
    noise = rng.normal(size=(num_chains, num_draws))
    noise[:, 0] /= math.sqrt(1.0 - phi**2)
    return lfilter([1.0], [1.0, -phi], noise, axis=1)


def check_tau_of_ar1(estimator, rng):
    """Mean over replicates within 4 % of the truth, each within its error bar. Smallest defect seen: 10 % of tau."""
    for phi in (0.0, 0.5, 0.9, -0.5):
        exact = (1.0 + phi) / (1.0 - phi)
        estimates = [estimator(ar1(rng, phi, 1, 20_000)) for _ in range(60)]
        values = np.asarray([e.value for e in estimates])
        spread = values.std(ddof=1) / math.sqrt(values.size)
        assert abs(values.mean() - exact) <= 0.02 * exact + 4.9 * spread
        assert all(abs(e.value - exact) <= 4.9 * e.stderr for e in estimates)


TAU_MUTANTS = {
    "without the factor two": lambda x: Estimate(0.5 * (tau(x).value + 1.0), tau(x).stderr, 1, "mutant"),
    "time from lag one": lambda x: Estimate(tau(x).value + 1.0, tau(x).stderr, 1, "mutant"),
    "half of it": lambda x: Estimate(0.5 * tau(x).value, tau(x).stderr, 1, "mutant"),
    "draws shuffled": lambda x: tau(np.sort(x.reshape(100, -1), axis=0).reshape(1, -1), min_length=0.0),
}


def test_tau_of_ar1(rng):
    check_tau_of_ar1(tau, rng)


@pytest.mark.parametrize("mutant", TAU_MUTANTS.values(), ids=TAU_MUTANTS.keys())
def test_tau_mutants_are_caught(mutant, rng):
    with pytest.raises(AssertionError):
        check_tau_of_ar1(mutant, rng)


def test_tau_does_not_depend_on_origin_and_unit(rng):
    x = ar1(rng, 0.8, 3, 4000)
    reference = tau(x)
    assert tau(1e3 + 5.0 * x).value == pytest.approx(reference.value, rel=1e-8)
    assert tau(x[0]).value == pytest.approx(tau(x[:1]).value, rel=1e-14)
    assert reference.num_effective == pytest.approx(x.size / reference.value)


def test_tau_refuses_short_chains_and_says_how_long(rng):
    with pytest.raises(Unreliable, match=r"too short.*50 tau wanted.*Run \d+ draws") as caught:
        tau(ar1(rng, 0.99, 1, 2000))
    assert isinstance(caught.value.estimate, Estimate)
    assert caught.value.estimate.value > 2000 / 50
    assert tau(ar1(rng, 0.9, 1, 2000), min_length=0.0).value > 1.0
    with pytest.raises(Unreliable, match="stuck"):
        tau(np.ones(100))


def test_tau_sees_chains_that_disagree(rng):
    """Four chains a standard deviation apart: each alone is white noise, together they never mix."""
    x = ar1(rng, 0.0, 4, 2000) + np.arange(4)[:, None]
    with pytest.raises(Unreliable, match="too short"):
        tau(x)


def test_tau_of_antithetic_chains_has_a_floor(rng):
    estimate = tau(np.tile([-1.0, 1.0], 500) + 1e-3 * rng.normal(size=1000))
    assert estimate.value == pytest.approx(1.0 / 3.0)
    assert "antithetic" in estimate.warnings[0]


@pytest.mark.parametrize("shape", [(4, 1000), (1, 501), (3, 57), (16, 40)])
@pytest.mark.parametrize("phi", [0.0, 0.9, -0.9])
def test_ess_and_r_hat_equal_those_of_arviz(shape, phi, rng):
    stats = pytest.importorskip("arviz_stats.base").array_stats
    x = ar1(rng, phi, *shape) + 0.3 * np.arange(shape[0])[:, None]
    axes = {"chain_axis": 0, "draw_axis": 1}
    for kind, options in (("bulk", {}), ("mean", {}), ("tail", {"prob": (0.05, 0.95)})):
        theirs = float(stats.ess(x, method=kind, **axes, **options))
        assert ess(x, kind=kind) == pytest.approx(theirs, rel=1e-9)
    if shape[0] > 1:
        assert r_hat(x) == pytest.approx(float(stats.rhat(x, **axes)), rel=1e-9)


def test_r_hat_tells_agreement_from_disagreement(rng):
    assert r_hat(ar1(rng, 0.0, 4, 2000)) < 1.01
    assert r_hat(ar1(rng, 0.0, 4, 500) + 3.0 * np.arange(4)[:, None]) > 1.5
    # Equal means and different widths: only the folded half sees it.
    assert r_hat(ar1(rng, 0.0, 4, 1000) * np.array([[1.0], [1.0], [1.0], [5.0]])) > 1.1
    # One chain that drifts disagrees with itself.
    assert r_hat(np.linspace(0.0, 5.0, 1000) + ar1(rng, 0.0, 1, 1000)) > 1.5
    # Tails without a mean: the ranks do not care.
    assert r_hat(rng.standard_cauchy(size=(4, 2000))) < 1.01


def test_constant_chains_are_nan_and_say_so():
    for function in (r_hat, ess):
        with pytest.warns(RuntimeWarning, match="constant draws"):
            assert math.isnan(function(np.full((4, 100), 2.5)))
    estimate = chain_mean(np.full((4, 100), 2.5))
    assert estimate.value == 2.5
    assert math.isnan(estimate.stderr)
    assert "constant" in estimate.warnings[0]


def test_chains_stuck_at_different_places():
    stuck = np.repeat([[0.0], [1.0], [2.0], [3.0]], 100, axis=1)
    assert r_hat(stuck) == math.inf
    assert ess(stuck) < 20
    assert "not_mixed" in chain_mean(stuck).warnings[0]


def test_one_stuck_chain_among_moving_ones(rng):
    x = ar1(rng, 0.0, 4, 500)
    x[0] = 4.0
    assert r_hat(x) > 1.2


def test_two_valued_draws(rng):
    """Spins: folding about the median merges the two values, and the bulk decides."""
    x = rng.choice([-1.0, 1.0], size=(4, 1000))
    assert 0.99 < r_hat(x) < 1.02
    assert ess(x) > 2000
    rare = np.zeros((2, 100))
    rare[0, 3] = 1.0
    assert ess(rare, kind="tail") > 50


def check_chain_mean_is_calibrated(estimator, rng, check):
    """Four correlated chains, tau = 9. Smallest defect seen: an error bar 25 % off."""
    check.calibrated([estimator(ar1(rng, 0.8, 4, 1000)) for _ in range(500)], 0.0)


def uncorrected(x):
    return Estimate(float(x.mean()), float(x.std()) / math.sqrt(x.size), x.size, "mutant")


def half_tau(x):
    estimate = chain_mean(x)
    return Estimate(estimate.value, estimate.stderr / math.sqrt(2.0), 1, "mutant")


def test_chain_mean_is_calibrated(rng, check):
    check_chain_mean_is_calibrated(chain_mean, rng, check)


@pytest.mark.parametrize("mutant", [uncorrected, half_tau])
def test_chain_mean_mutants_are_caught(mutant, rng, check):
    with pytest.raises(AssertionError):
        check_chain_mean_is_calibrated(mutant, rng, check)


def test_chain_mean_reports_what_makes_it_believable(rng):
    good = chain_mean(ar1(rng, 0.0, 4, 1000))
    assert good.warnings == ()
    assert {"r_hat", "ess_bulk", "ess_tail", "tau", "num_chains", "num_draws"} == set(good.diagnostics)
    assert good.diagnostics["tau"] == pytest.approx(1.0, abs=0.3)
    assert any("low_ess" in w for w in chain_mean(ar1(rng, 0.0, 2, 50)).warnings)
    assert any("not_mixed" in w for w in chain_mean(ar1(rng, 0.0, 2, 500) + np.array([[0.0], [9.0]])).warnings)


def test_many_chains_are_chunked(rng, monkeypatch):
    x = ar1(rng, 0.5, 37, 60)
    whole = ess(x)
    monkeypatch.setattr("energax.estimators._autocorrelation.CHUNK", 300)
    assert ess(x) == pytest.approx(whole, rel=1e-12)


def test_bad_chains_are_refused():
    with pytest.raises(ArgumentError, match="1 of 8 values"):
        r_hat([[0.0, 1.0, 2.0, np.nan, 0.0, 1.0, 0.0, 1.0]])
    with pytest.raises(ShapeError, match="at least 4 draws"):
        ess([[0.0, 1.0, 2.0]])
    with pytest.raises(ShapeError, match="chains"):
        ess(np.zeros((2, 3, 4)))
    with pytest.raises(ArgumentError, match="kind"):
        ess(np.zeros((2, 8)), kind="median")
