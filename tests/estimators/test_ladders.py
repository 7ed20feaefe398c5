"""Functions of β from ladders of replicas: MBAR's numbers, error bars from whole ladders, refusals."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from scipy.stats import norm, t

from energax._errors import ArgumentError, ShapeError, Unreliable
from energax.estimators import Estimate, ladder_histogram, multi_histogram

NUM_SPINS, FIELD = 12, -1.0
BETAS = np.array([0.0, 0.4, 0.9])
LADDERS, REPEATS = 16, 8


def spins(rng, ladders=LADDERS, draws=60, repeats=1):
    """Energies −Σ s of free spins in a unit field, each draw seen several times in a row: (ladder, draw, level)."""
    up = 1.0 / (1.0 + np.exp(-2.0 * BETAS))
    seen = rng.binomial(NUM_SPINS, up, (ladders, draws, len(BETAS)))
    return np.repeat(NUM_SPINS - 2.0 * seen, repeats, axis=1)


def log_z_ratio(beta):
    return NUM_SPINS * math.log(math.cosh(beta))


def test_the_values_are_those_of_mbar(rng):
    """Counting equal energies and listing them are the same equations."""
    x = spins(rng, ladders=5)
    ours, theirs = ladder_histogram(x, BETAS), multi_histogram([x[:, :, k].reshape(-1) for k in range(3)], BETAS)
    assert len(ours.levels) <= NUM_SPINS + 1
    for beta in (0.0, 0.25, 0.9, 1.1):
        for name in ("log_z", "energy", "heat_capacity"):
            value = getattr(ours, name)(beta).value
            assert value == pytest.approx(getattr(theirs, name)(beta).value, rel=1e-9, abs=1e-9), name
        entropy = ours.log_z(beta).value + beta * ours.energy(beta).value
        assert ours.entropy(beta).value == pytest.approx(entropy, rel=1e-9, abs=1e-9)
    means, covariance = ours.mean_energies(BETAS)
    assert means == pytest.approx([ours.energy(b).value for b in BETAS])
    assert np.sqrt(np.diag(covariance)) == pytest.approx([ours.energy(b).stderr for b in BETAS])


def test_one_ladder_left_out_is_one_ladder_left_out(rng):
    x = spins(rng, ladders=4)
    found = ladder_histogram(x, BETAS)
    without = [ladder_histogram(np.delete(x, r, axis=0), BETAS).log_z(0.9).value for r in range(4)]
    stderr = math.sqrt(3 * np.mean((np.asarray(without) - np.mean(without)) ** 2))
    assert found.log_z(0.9).stderr == pytest.approx(stderr, rel=1e-7)


EXACT = {
    "log_z": log_z_ratio(0.7),
    "energy": -NUM_SPINS * math.tanh(0.7),
    "heat_capacity": 0.49 * NUM_SPINS / math.cosh(0.7) ** 2,
}


def check_error_bars(estimator, rng, check, num=500):
    """Draws that stay eight steps: Student's law of sixteen ladders. Smallest defect seen: a bar wrong by 40 %."""
    z = {name: [] for name in EXACT}
    for _ in range(num):
        found = estimator(spins(rng, repeats=REPEATS))
        for name, exact in EXACT.items():
            estimate = getattr(found, name)(0.7)
            z[name].append((estimate.value - exact) / estimate.stderr)
    for values in z.values():
        normal = norm.ppf(t.cdf(values, LADDERS - 1))
        check.calibrated([Estimate(value, 1.0, 1.0, "z") for value in normal], 0.0)


def histogram(x):
    return ladder_histogram(x, BETAS)


def test_error_bars_of_dependent_draws_are_calibrated(rng, check):
    check_error_bars(histogram, rng, check)


def draws_spread_over_the_ladders(x):
    """As if draws were independent: what stays together in a ladder is torn apart."""
    flat = x.reshape(-1, len(BETAS))
    return histogram(flat[np.random.default_rng(0).permutation(len(flat))].reshape(x.shape))


class TooWide:
    def __init__(self, x):
        self.found = histogram(x)

    def __getattr__(self, name):
        def wide(beta):
            estimate = getattr(self.found, name)(beta)
            return dataclasses.replace(estimate, stderr=1.4 * estimate.stderr)

        return wide


@pytest.mark.parametrize("mutant", [draws_spread_over_the_ladders, TooWide])
def test_mutants_are_caught(mutant, rng, check):
    with pytest.raises(AssertionError):
        check_error_bars(mutant, rng, check)


def test_forbidden_states_weigh_nothing_but_at_infinite_temperature(rng):
    """Half of the states forbidden: Z(β)/Z(0) is half of what it would be, Z at 0 counts all of them."""
    x = spins(rng, draws=4000)
    allowed = ladder_histogram(x, BETAS).log_z(0.9).value
    forbidden = np.where(rng.random(x.shape[:2]) < 0.5, np.inf, x[:, :, 0])
    found = ladder_histogram(np.concatenate([forbidden[:, :, None], x[:, :, 1:]], axis=2), BETAS)
    gap = found.log_z(0.9).value - (allowed - math.log(2.0))
    assert abs(gap) <= t.isf(0.5e-6, LADDERS - 1) * found.log_z(0.9).stderr
    assert math.isfinite(found.energy(0.9).value)
    assert found.energy(0.0).warnings


@pytest.mark.parametrize(
    ("energies", "betas", "error", "message"),
    [
        (np.zeros((2, 3, 2)), [0.0, 1.0, 2.0], ShapeError, "one level for each of 3 betas"),
        (np.zeros((1, 3, 2)), [0.0, 1.0], ShapeError, "at least 2 rows"),
        (np.full((2, 3, 2), np.nan), [0.0, 1.0], ArgumentError, "NaN or an infinity"),
        (np.full((2, 3, 2), np.inf), [0.5, 1.0], ArgumentError, r"\+inf at β = 0"),
        (np.stack([np.zeros((2, 9)), np.full((2, 9), 50.0)], 2), [0.0, 1.0], Unreliable, "no overlap"),
    ],
)
def test_what_is_refused(energies, betas, error, message):
    with pytest.raises(error, match=message):
        ladder_histogram(energies, betas)
