"""Baselines are their closed forms, in the user's units, and exist for singular data."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from scipy.stats import bernoulli, multivariate_normal

from energax.evaluation import baselines
from energax.spaces import Binary, Euclidean, Spins


class Doubled:
    """x ↦ 2x: the density in the user's units has the log-determinant of it."""

    def log_det(self, rows):
        return np.full(len(rows), rows.shape[1] * math.log(2.0))


def test_binary_rows(rng):
    train, test = (rng.random((n, 2, 3)) < 0.3 for n in (50, 20))
    best, second = sorted(baselines(train, test, Binary((2, 3))), key=lambda b: b.name)
    p = (train.reshape(50, 6).sum(0) + 1.0) / 52.0
    each = bernoulli.logpmf(test.reshape(20, 6), p).sum(axis=1)
    assert best.name == "independent Bernoulli"
    assert best.test_log_likelihood == pytest.approx(each.mean(), rel=1e-5)
    assert best.stderr_test == pytest.approx(each.std(ddof=1) / math.sqrt(20), rel=1e-5)
    assert (second.name, second.test_log_likelihood) == ("uniform", pytest.approx(-6 * math.log(2)))
    assert second.stderr_test == pytest.approx(0.0, abs=1e-12)


def test_best_comes_first(rng):
    """Rows that the training rows have nothing to do with are better off with the uniform law."""
    found = baselines(np.zeros((100, 4)), np.ones((10, 4)), Binary(4))
    assert [b.name for b in found] == ["uniform", "independent Bernoulli"]


def test_real_rows(rng):
    mix = rng.normal(size=(3, 3))
    train, test = (rng.normal(size=(n, 3)) @ mix + 2.0 for n in (60, 20))
    (found,) = baselines(train, test, Euclidean(3), Doubled())
    each = multivariate_normal(train.mean(0), np.cov(train.T)).logpdf(test) + 3 * math.log(2)
    assert found.test_log_likelihood == pytest.approx(each.mean(), rel=1e-10)
    assert found.stderr_test == pytest.approx(each.std(ddof=1) / math.sqrt(20), rel=1e-10)
    assert found.note == ""
    assert json.loads(json.dumps(found.to_json()))["name"] == "full Gaussian"
    assert "full Gaussian" in str(found)


def test_a_singular_covariance_is_shrunk_and_said(rng):
    train = np.repeat(rng.normal(size=(40, 1)), 2, axis=1)
    (found,) = baselines(train, train, Euclidean(2))
    covariance = 0.99 * np.cov(train.T) + 0.01 * np.trace(np.cov(train.T)) / 2 * np.eye(2)
    each = multivariate_normal(train.mean(0), covariance).logpdf(train)
    assert "shrunk by 1%" in found.note
    assert found.test_log_likelihood == pytest.approx(each.mean(), rel=1e-10)


def test_one_row_has_no_spread_and_other_spaces_no_baseline(rng):
    (found, _) = baselines(np.zeros((9, 2)), np.zeros((1, 2)), Binary(2))
    assert math.isnan(found.stderr_test)
    assert baselines(np.ones((9, 2)), np.ones((3, 2)), Spins(2)) == []
