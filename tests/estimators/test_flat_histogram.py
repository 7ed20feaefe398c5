"""Draws that stand for numbers of states: exact sums, cells, and the calibration of the error bars."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import binom, t

from energax._errors import ArgumentError, ShapeError
from energax.estimators import weighted_histogram

FALSE_ALARM = 1e-6
LEVELS, STATES = np.array([-3.0, -1.0, 0.0, 2.0]), np.array([1.0, 6.0, 20.0, 5.0])
BETA = 0.8


def exact(beta):
    """log Z over its value at β = 0, and the mean energy."""
    logs = np.log(STATES) - beta * LEVELS
    return logsumexp(logs) - np.log(STATES.sum()), np.exp(logs - logsumexp(logs)) @ LEVELS


def test_draws_in_exact_proportion_give_exact_functions():
    """Two bins of weights: draws are as frequent as states are, over the weight of their bin."""
    log_states = np.log([2.0, 2.0, 25.0, 25.0])
    times = (STATES / np.exp(log_states) * 350).round().astype(int)
    assert np.allclose(times, STATES / np.exp(log_states) * 350)
    index = np.tile(np.repeat(np.arange(4), times), (3, 1))
    found = weighted_histogram(LEVELS[index], log_states[index], beta=BETA)
    for beta in (0.0, 0.3, BETA):
        log_z, mean = exact(beta)
        assert found.log_z(beta).value == pytest.approx(log_z, abs=1e-12)
        assert found.energy(beta).value == pytest.approx(mean, abs=1e-12)
        assert found.log_z(beta).stderr == pytest.approx(0.0, abs=1e-12)
    assert found.log_z(0.0).method == "multicanonical"
    # A constant in all weights does not matter.
    other = weighted_histogram(LEVELS[index], log_states[index] + 700.0, beta=BETA)
    assert other.log_z(BETA).value == pytest.approx(found.log_z(BETA).value, abs=1e-12)


def test_a_bias_that_is_shared_has_the_spread_of_one_repeat():
    rng = np.random.default_rng(2)
    index = rng.integers(0, 4, (9, 50))
    found = weighted_histogram(LEVELS[index], np.zeros(index.shape), beta=BETA)
    wider = dataclasses.replace(found, inflation=3.0)
    assert wider.log_z(BETA).stderr == pytest.approx(3.0 * found.log_z(BETA).stderr)
    own = [weighted_histogram(LEVELS[[i, i]], np.zeros((2, 50)), beta=BETA).energy(0.0).value for i in index]
    assert wider.energy(0.0).stderr == pytest.approx(np.std(own, ddof=1))
    assert wider.mean_energies([0.0])[1][0, 0] == pytest.approx(np.var(own, ddof=1))


def test_many_energies_are_put_into_cells():
    rng = np.random.default_rng(0)
    energies = rng.normal(size=(4, 10_000))
    found = weighted_histogram(energies, np.zeros(energies.shape), beta=1.0)
    assert found.levels.size <= 20_000
    assert found.log_z(1.0).value == pytest.approx(logsumexp(-energies) - np.log(energies.size), abs=1e-6)


def intervals_hold(num_repeats=400, scale=1.0):
    """Share of intervals that hold, of independent draws. Smallest defect seen: bars too small by 15 %."""
    rng = np.random.default_rng(1)
    log_states = np.log([1.5, 4.0, 25.0, 5.0])
    p = STATES / np.exp(log_states)
    index = rng.choice(4, (num_repeats, 16, 200), p=p / p.sum())
    log_z, mean = exact(BETA)
    for quantity, truth in (("log_z", log_z), ("energy", mean)):
        found = [getattr(weighted_histogram(LEVELS[i], log_states[i], beta=BETA), quantity)(BETA) for i in index]
        z = np.array([(e.value - truth) / (scale * e.stderr) for e in found])
        for level in (0.5, 0.9, 0.99):
            inside = int((np.abs(z) <= t.ppf(0.5 + level / 2, 15)).sum())
            tails = binom.cdf(inside, num_repeats, level), binom.sf(inside - 1, num_repeats, level)
            assert 2 * min(tails) >= FALSE_ALARM, f"{quantity}: {inside} of {num_repeats} at {level}"


def test_error_bars_are_calibrated():
    intervals_hold()


def test_error_bars_that_are_too_small_are_seen():
    with pytest.raises(AssertionError):
        intervals_hold(scale=0.6)


def test_what_is_refused():
    energies = np.zeros((2, 3))
    with pytest.raises(ShapeError, match="one number for each"):
        weighted_histogram(energies, np.zeros((2, 2)), beta=1.0)
    with pytest.raises(ArgumentError, match="other than 0"):
        weighted_histogram(energies, energies, beta=0.0)
    with pytest.raises(ArgumentError, match="infinite"):
        weighted_histogram(energies + np.inf, energies, beta=1.0)
    with pytest.raises(ShapeError, match="at least 2 rows"):
        weighted_histogram(energies[:1], energies[:1], beta=1.0)
