"""The Fréchet distance of normal laws, whose closed form is that of the estimator."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg

from energax._errors import ArgumentError, ShapeError
from energax.estimators import Estimate, frechet_distance

A = np.array([[1.5, 0.0, 0.0], [0.4, 0.8, 0.0], [-0.3, 0.2, 0.5]])
B = np.array([[0.7, 0.0, 0.0], [-0.2, 1.2, 0.0], [0.5, 0.1, 0.9]])
SHIFT = np.array([0.5, -1.0, 0.3])


def exact(mean_x, cov_x, mean_y, cov_y):
    root = scipy.linalg.sqrtm(cov_x @ cov_y)
    return float(np.sum((mean_x - mean_y) ** 2) + np.trace(cov_x + cov_y - 2 * root.real))


def test_it_is_the_formula_of_the_moments(rng):
    x, y = rng.normal(size=(50, 3)) @ A.T, rng.normal(size=(40, 3)) @ B.T + SHIFT
    found = frechet_distance(x, y).diagnostics["uncorrected"]
    assert found == pytest.approx(exact(x.mean(0), np.cov(x.T), y.mean(0), np.cov(y.T)), rel=1e-10)


def test_a_line_and_a_shift(rng):
    """On a line it is the squared difference of means plus that of standard deviations; a shift is a shift."""
    x, y = rng.normal(size=(30, 1)), 2.0 * rng.normal(size=(25, 1)) + 1.0
    wanted = (x.mean() - y.mean()) ** 2 + (x.std(ddof=1) - y.std(ddof=1)) ** 2
    assert frechet_distance(x, y).diagnostics["uncorrected"] == pytest.approx(wanted, rel=1e-10)
    rows = rng.normal(size=(60, 4))
    shifted = frechet_distance(rows, rows + np.array([1.0, 2.0, -2.0, 0.0]))
    assert shifted.value == pytest.approx(9.0, rel=1e-9)
    assert shifted.stderr == pytest.approx(0.0, abs=1e-9)
    assert frechet_distance(rows, rows).value == pytest.approx(0.0, abs=1e-12)
    wide = 2.0 * rows[:50]
    moved = frechet_distance(rows + 1e4, wide + 1e4).value
    assert moved == pytest.approx(frechet_distance(rows, wide).value, rel=1e-6)


def test_degenerate_features_are_no_trouble(rng):
    """A feature that never fires, and one that is the copy of another: roots of zero eigenvalues."""
    x, y = rng.normal(size=(60, 2)), rng.normal(size=(60, 2)) * 1.5
    wide = lambda a: np.column_stack([a, np.zeros(60), a[:, 0]])  # noqa: E731
    plain = frechet_distance(np.column_stack([x, x[:, 0]]), np.column_stack([y, y[:, 0]]))
    assert frechet_distance(wide(x), wide(y)).value == pytest.approx(plain.value, rel=1e-7)


def check_extrapolation(estimator, rng, check):
    """100 and 80 rows of six numbers each: 400 pairs of two laws.

    Smallest defect seen: an error bar 30 % off, the bias of the plain number.
    """
    scales = np.array([0.5, 1.0, 1.5, 2.0, 1.0, 0.8])
    wanted = exact(np.zeros(6), np.eye(6), 0.5 * np.ones(6), np.diag(scales**2))
    pairs = ((rng.normal(size=(100, 6)), scales * rng.normal(size=(80, 6)) + 0.5) for _ in range(400))
    check.calibrated([estimator(x, y) for x, y in pairs], wanted)


def test_the_extrapolation_is_calibrated(rng, check):
    check_extrapolation(frechet_distance, rng, check)


def plain(x, y):
    found = frechet_distance(x, y)
    return Estimate(found.diagnostics["uncorrected"], found.stderr, 1, "mutant")


def narrow(x, y):
    found = frechet_distance(x, y)
    return Estimate(found.value, 0.7 * found.stderr, 1, "mutant")


@pytest.mark.slow
@pytest.mark.parametrize("mutant", [plain, narrow])
def test_mutants_are_caught(mutant, rng, check):
    with pytest.raises(AssertionError):
        check_extrapolation(mutant, rng, check)


def test_bias_is_told(rng):
    equal = frechet_distance(rng.normal(size=(100, 8)), rng.normal(size=(100, 8)))
    assert "bias" in equal.warnings[0]
    assert frechet_distance(rng.normal(size=(100, 8)), rng.normal(size=(100, 8)) + 3.0).warnings == ()


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        ((np.zeros((9, 2)), np.zeros((9, 3))), {}, ShapeError, "equally long"),
        ((np.zeros((90, 20)), np.zeros((20, 20))), {}, ShapeError, "`y` has 20 rows of 20 numbers"),
        ((np.zeros((21, 20)), np.zeros((90, 20))), {}, ShapeError, "18 are too few"),
        ((np.zeros((9, 2)), np.zeros((9, 2))), {"num_groups": 1}, ArgumentError, "at least 5"),
        ((np.zeros((9, 2)), np.full((9, 2), np.nan)), {}, ArgumentError, "NaN or infinite"),
    ],
)
def test_refuses(arguments, options, error, message):
    with pytest.raises(error, match=message):
        frechet_distance(*arguments, **options)
