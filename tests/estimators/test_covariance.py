"""Covariances along chains with known answers: two autoregressive observables."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.signal import lfilter

from energax._errors import ArgumentError, ShapeError
from energax.estimators import Estimate, chain_mean, covariance

PHI = 0.6


def chains(rng, num_chains=4, num_draws=500):
    """A of variance 1 and B = A/2 + noise of its own, both with correlations PHI^t, and mean far from zero."""
    noise = rng.normal(size=(2, num_chains, num_draws + 50)) * math.sqrt(1.0 - PHI**2)
    a, own = lfilter([1.0], [1.0, -PHI], noise)[..., 50:]
    return a + 7.0, 0.5 * a + own - 3.0


def check_covariance(estimator, rng, check, num=400):
    """Smallest defect seen: an error bar wrong by 25 %."""
    draws = [chains(rng) for _ in range(num)]
    check.calibrated([estimator(a, b) for a, b in draws], 0.5)


def test_covariances_are_calibrated(rng, check):
    check_covariance(covariance, rng, check)


MUTANTS = {
    "not centred": lambda a, b: chain_mean(a * b),
    "as if draws were independent": lambda a, b: Estimate(
        covariance(a, b).value, np.std((a - a.mean()) * (b - b.mean())) / math.sqrt(a.size), 1, "mutant"
    ),
}


@pytest.mark.parametrize("mutant", MUTANTS.values(), ids=MUTANTS.keys())
def test_mutants_are_caught(mutant, rng, check):
    with pytest.raises(AssertionError):
        check_covariance(mutant, rng, check, 200)


def test_identities_and_refusals(rng):
    a, b = chains(rng)
    found = covariance(a, b)
    assert found.value == covariance(b, a).value == pytest.approx(np.cov(a.ravel(), b.ravel(), ddof=0)[0, 1])
    assert covariance(a).value == pytest.approx(a.var())
    assert covariance(a + 5.0, -2.0 * b).value == pytest.approx(-2.0 * found.value)
    assert covariance(a + 5.0, -2.0 * b).stderr == pytest.approx(2.0 * found.stderr, rel=1e-9)
    with pytest.raises(ShapeError, match="same draws"):
        covariance(a, b[:, :-1])
    with pytest.raises(ArgumentError, match="`b` has 1 of"):
        covariance([0.0, 1.0, 2.0, 3.0], [0.0, np.nan, 1.0, 2.0])
