from __future__ import annotations

import math

import numpy as np
import pytest

from energax._errors import ArgumentError, ShapeError
from energax.estimators import (
    ess_from_log_weights,
    log_mean_exp,
    log_mean_exp_stderr,
    max_weight_share,
    normalized_weights,
    pareto_shape,
)

EXACT = pytest.approx


def test_ess_is_the_coefficient_of_variation(rng):
    a = rng.normal(size=50)
    w = np.exp(a)
    assert ess_from_log_weights(a) / 50 == EXACT(1.0 / (1.0 + np.var(w) / np.mean(w) ** 2), rel=1e-12)


def test_stderr_is_the_relative_error_of_the_mean(rng):
    a = rng.normal(size=50)
    w = np.exp(a)
    assert log_mean_exp_stderr(a) == EXACT(np.std(w, ddof=1) / math.sqrt(50) / np.mean(w), rel=1e-12)


@pytest.mark.parametrize("shift", [-1e4, 0.0, 1e4])
def test_a_constant_shifts_the_mean_and_nothing_else(rng, shift):
    a = rng.normal(size=40)
    assert log_mean_exp(a + shift) == EXACT(np.log(np.mean(np.exp(a))) + shift, rel=1e-12)
    for function in (ess_from_log_weights, max_weight_share, log_mean_exp_stderr):
        assert function(a + shift) == EXACT(function(a), rel=1e-8)
    assert normalized_weights(a + shift) == EXACT(np.exp(a) / np.exp(a).sum(), rel=1e-8)


def test_equal_weights():
    a = np.full(7, -3.0)
    assert log_mean_exp(a) == EXACT(-3.0)
    assert ess_from_log_weights(a) == EXACT(7.0)
    assert log_mean_exp_stderr(a) == EXACT(0.0, abs=1e-7)


def test_zero_weights_count_and_all_zero_is_said():
    a = np.array([0.0, -np.inf])
    assert log_mean_exp(a) == EXACT(-math.log(2.0))
    assert ess_from_log_weights(a) == 1.0
    nothing = np.array([-np.inf, -np.inf])
    assert log_mean_exp(nothing) == -math.inf
    assert ess_from_log_weights(nothing) == 0.0
    assert math.isnan(max_weight_share(nothing))
    assert math.isnan(log_mean_exp_stderr(nothing))
    with pytest.raises(ArgumentError, match="all weights are zero"):
        normalized_weights(nothing)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_non_finite_weights_are_counted_and_refused(bad):
    with pytest.raises(ArgumentError, match="1 of 3 values"):
        log_mean_exp([0.0, bad, 1.0])


@pytest.mark.parametrize("bad", [[], [[0.0, 1.0]], 0.0, ["a", "b"]])
def test_wrong_shapes_are_refused(bad):
    with pytest.raises(ShapeError, match="log_weights"):
        log_mean_exp(bad)


@pytest.mark.parametrize("shape", [0.2, 0.5, 0.8, 1.2])
@pytest.mark.parametrize("n", [100, 2500])
def test_shape_of_the_tail_is_that_of_arviz(rng, shape, n):
    """At numbers of weights whose tail is a whole number; ArviZ smooths exp(−x)."""
    from arviz_stats.base import array_stats

    a = -shape * np.log(rng.random(n)) - 300.0
    assert pareto_shape(a) == EXACT(float(array_stats.psislw(-a)[1]), abs=1e-12)


def test_shape_of_tails_that_are_none():
    assert pareto_shape(np.zeros(100)) == -math.inf
    assert math.isnan(pareto_shape(np.zeros(20)))
    assert math.isnan(pareto_shape(np.where(np.arange(100) < 3, 0.0, -np.inf)))
