"""Evaluation with one planted defect each, caught by the count of misses that the right one passes."""

from __future__ import annotations

import math
import zlib
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import binom

from energax.evaluation import _both_directions
from energax.evaluation._annealed import Weights
from energax.evaluation._plan import Plan
from energax.evaluation._reverse import Reverse
from energax.spaces import Euclidean

FALSE_ALARM = 1e-6
LOG_Z, SPREAD, REPLICATES, LEVEL = 3.0, 0.7, 100, 0.9


@pytest.fixture
def rng(request):
    return np.random.default_rng(zlib.crc32(request.node.nodeid.encode()))


def weights(log_weights):
    return Weights(log_weights, np.arange(len(log_weights)), np.zeros((len(log_weights), 1)), resampled=False)


def batch(rng, mean, num=128):
    """Log weights of normal work, E w = exp(mean)."""
    return mean - SPREAD**2 / 2 + SPREAD * rng.normal(size=num)


def honest(rng):
    """Forward and reverse runs with keys of their own."""
    return batch(rng, LOG_Z), batch(rng, -LOG_Z)


def check_both_ends(run, rng):
    """Smallest defect seen: an end that misses 0.2 of the time instead of 0.05."""
    prepared = SimpleNamespace(path=SimpleNamespace(start=SimpleNamespace(space=Euclidean(1))))
    plan = Plan(32, 128, 1, SPREAD, truncated=False)
    low = high = 0
    for _ in range(REPLICATES):
        there, back = run(rng)
        reverse = Reverse(weights(back), "assumes-equilibrium", (), {}, [])
        found = _both_directions.assemble(prepared, weights(there), reverse, LEVEL, 1.0, plan, {}).interval
        low, high = low + (found.lower > LOG_Z), high + (found.upper < LOG_Z)
    for misses in (low, high):
        assert binom.sf(misses - 1, REPLICATES, (1 - LEVEL) / 2) >= FALSE_ALARM, f"{low} and {high} misses"


def biased_reverse(rng):
    """Starts that are no draws of the model, and miss the places that annealing under-represents."""
    there, back = honest(rng)
    return there, back + 0.25


def survivors_as_independent(rng):
    """Resampled particles, 32 of one ancestor, each counted as if it were a group of its own."""
    return tuple(np.repeat(batch(rng, mean, 4), 32) for mean in (LOG_Z, -LOG_Z))


def test_the_right_one_passes(rng):
    check_both_ends(honest, rng)


@pytest.mark.parametrize("mutant", [biased_reverse, survivors_as_independent])
def test_defects_of_the_run(mutant, rng):
    with pytest.raises(AssertionError, match="misses"):
        check_both_ends(mutant, rng)


def no_confidence(log_means, delta):
    return float(logsumexp(log_means)) - math.log(len(log_means))


def test_a_bound_without_its_confidence_term(rng, monkeypatch):
    monkeypatch.setattr(_both_directions, "mean_lower_bound", no_confidence)
    with pytest.raises(AssertionError, match="misses"):
        check_both_ends(honest, rng)
