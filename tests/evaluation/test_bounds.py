"""The bound on a mean weight: closed forms, symmetries, and how often it fails for laws with heavy tails."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import logsumexp

from energax._errors import ArgumentError
from energax.evaluation import mean_lower_bound
from energax.evaluation._bounds import _LOG_SHARES, _STAKES

REPLICATES, DELTA = 400, 0.1


def log_normal(rng, shape, spread):
    return rng.normal(-(spread**2) / 2, spread, size=shape)


def two_point(rng, shape, large):
    """Weights 0 or `large` with mean one."""
    return np.where(rng.random(shape) < 1.0 / large, math.log(large), -np.inf)


def pareto(rng, shape, index):
    """Mean one and infinite variance (index between 1 and 2)."""
    return np.log(rng.pareto(index, size=shape) + 1.0) + math.log((index - 1.0) / index)


LAWS = {
    "narrow": lambda rng, shape: log_normal(rng, shape, 0.05),
    "wide": lambda rng, shape: log_normal(rng, shape, 2.0),
    "infinite variance": lambda rng, shape: pareto(rng, shape, 1.2),
    "hardly ever high": lambda rng, shape: two_point(rng, shape, 100.0),
    "nearly always a little high": lambda rng, shape: two_point(rng, shape, 1.02),
    "one in three": lambda rng, shape: two_point(rng, shape, 3.0),
}


def check_fails_rarely(bound, rng, rate_at_most, num=24):
    """Smallest defect seen: a failure probability of 0.19 instead of 0.1."""
    for law in LAWS.values():
        failures = sum(bound(weights, DELTA) > 0.0 for weights in law(rng, (REPLICATES, num)))
        rate_at_most(int(failures), REPLICATES, DELTA)


def test_fails_no_more_often_than_delta(rng, rate_at_most):
    check_fails_rarely(mean_lower_bound, rng, rate_at_most)


MUTANTS = {
    "no confidence": lambda x, d: logsumexp(x) - math.log(len(x)),
    "a normal interval": lambda x, d: math.log(max(np.exp(x).mean() - 1.28 * np.exp(x).std() / len(x) ** 0.5, 1e-9)),
}


@pytest.mark.parametrize("mutant", MUTANTS.values(), ids=MUTANTS.keys())
def test_mutants_fail_too_often(mutant, rng, rate_at_most):
    with pytest.raises(AssertionError, match="at most a share"):
        check_fails_rarely(mutant, rng, rate_at_most)


@pytest.mark.parametrize("delta", [0.5, 0.025, 1e-4])
def test_one_weight_in_closed_form(delta):
    """One round: 1 + L (X/z − 1) = 1/δ with the mean stake L."""
    stake = float(_STAKES @ np.exp(_LOG_SHARES))
    assert mean_lower_bound([1.7], delta) == pytest.approx(1.7 - math.log1p((1 / delta - 1) / stake), abs=1e-9)


def test_equal_weights_in_closed_form():
    """Equal weights X: Σ_k s_k (1 + λ_k (X/z − 1))^m = 1/δ at the bound."""
    bound = mean_lower_bound(np.full(50, -2.0), 0.05)
    fortunes = 50 * np.log1p(_STAKES * math.expm1(-2.0 - bound)) + _LOG_SHARES
    assert float(logsumexp(fortunes)) == pytest.approx(math.log(20.0), abs=1e-6)
    # The stake of one alone, Markov's inequality for the product, with its share of a quarter is no better.
    assert 0.9 * math.log(20.0 / 0.25) / 50 < -2.0 - bound <= math.log(20.0 / 0.25) / 50


def test_moves_with_its_weights(rng):
    x = rng.normal(size=40)
    bound = mean_lower_bound(x, 0.05)
    assert bound < logsumexp(x) - math.log(40)
    assert mean_lower_bound(x[::-1] + 300.0, 0.05) == pytest.approx(bound + 300.0, abs=1e-9)
    assert mean_lower_bound(x, 0.01) < bound < mean_lower_bound(x, 0.2)
    assert mean_lower_bound(np.where(np.arange(40) == 7, x + 1.0, x), 0.05) > bound
    assert mean_lower_bound(np.r_[x, np.full(10, -np.inf)], 0.05) < bound


def test_as_narrow_as_promised(rng):
    """About √(2 ln(K'/δ)/m) relative standard deviations below the mean, K' about 5, up to a tenth."""
    x = log_normal(rng, 512, 0.3)
    weights = np.exp(x)
    promised = math.sqrt(2 * math.log(5 / 0.025) / 512) * weights.std() / weights.mean()
    assert math.log(weights.mean()) - mean_lower_bound(x, 0.025) < 1.1 * promised


def test_nothing_to_refute_with():
    assert mean_lower_bound([-np.inf, -np.inf], 0.1) == -math.inf
    assert math.isfinite(mean_lower_bound([-np.inf, 0.0], 0.1))
    assert math.isfinite(mean_lower_bound([0.0, -5000.0], 0.1))


@pytest.mark.parametrize("weights", [[], [[0.0]], [0.0, np.nan], [np.inf]])
def test_refuses_what_is_no_weight(weights):
    with pytest.raises(ArgumentError, match="vector of log weights"):
        mean_lower_bound(weights, 0.1)


@pytest.mark.parametrize("delta", [0.0, 1.0, -0.1, math.nan])
def test_refuses_what_is_no_probability(delta):
    with pytest.raises(ArgumentError, match="delta"):
        mean_lower_bound([0.0], delta)
