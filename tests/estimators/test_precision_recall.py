"""Precision, recall, density and coverage where they are known: by their definition, for equal laws, and on atoms."""

from __future__ import annotations

import json

import numpy as np
import pytest

from energax._errors import ArgumentError, ShapeError
from energax.estimators import precision_recall


def by_loops(draws, rows, k):
    """All four numbers from their definitions."""

    def radius(points, i):
        return np.sort(np.delete(np.linalg.norm(points - points[i], axis=1), i))[k - 1]

    of_rows, of_draws = (np.array([radius(a, i) for i in range(len(a))]) for a in (rows, draws))
    apart = np.linalg.norm(draws[:, None] - rows[None], axis=2)
    near_rows, near_draws = apart <= of_rows, apart <= of_draws[:, None]
    return near_rows.any(1).mean(), near_draws.any(0).mean(), near_rows.sum(1).mean() / k, near_rows.any(0).mean()


def values(found):
    return found.precision.value, found.recall.value, found.density.value, found.coverage.value


@pytest.mark.parametrize("k", [1, 3])
def test_the_numbers_are_their_definitions(k, rng):
    draws, rows = rng.normal(size=(23, 3)), 1.5 * rng.normal(size=(31, 3))
    np.testing.assert_allclose(
        values(precision_recall(draws, rows, num_neighbours=k)), by_loops(draws, rows, k), rtol=1e-12
    )


def test_what_they_ignore(rng):
    draws, rows = rng.normal(size=(40, 2)), rng.normal(size=(60, 2)) + 0.5
    reference = values(precision_recall(draws, rows))
    rotation = np.array([[0.6, -0.8], [0.8, 0.6]])
    np.testing.assert_allclose(values(precision_recall(7.0 * draws @ rotation, 7.0 * rows @ rotation)), reference)
    np.testing.assert_allclose(values(precision_recall(draws + 1e4, rows + 1e4)), reference)
    swapped = precision_recall(rows, draws)
    assert (swapped.precision.value, swapped.recall.value) == (reference[1], reference[0])


def check_equal_laws(estimator, rng, check):
    """Density 1 and coverage 1 − Π (n − j)/(m + n − j), whatever the law; 200 pairs. Seen: k off by one."""
    found = [estimator(rng.normal(size=(60, 2)), rng.normal(size=(80, 2))) for _ in range(200)]
    check.calibrated([f.density for f in found], 1.0)
    check.calibrated([f.coverage for f in found], 1.0 - (79 * 78 * 77) / (139 * 138 * 137))


def test_equal_laws(rng, check):
    found = precision_recall(rng.normal(size=(60, 2)), rng.normal(size=(80, 2)), num_neighbours=3)
    assert found.coverage.diagnostics["equal_laws"] == pytest.approx(1.0 - (79 * 78 * 77) / (139 * 138 * 137))
    check_equal_laws(lambda x, y: precision_recall(x, y, num_neighbours=3, num_splits=10), rng, check)


EQUAL_MUTANTS = {
    "a row is its own neighbour": lambda x, y: precision_recall(x, y, num_neighbours=2, num_splits=10),
    "roles changed": lambda x, y: precision_recall(y, x, num_neighbours=3, num_splits=10),
}


@pytest.mark.slow
@pytest.mark.parametrize("mutant", EQUAL_MUTANTS.values(), ids=EQUAL_MUTANTS.keys())
def test_mutants_are_caught(mutant, rng, check):
    with pytest.raises(AssertionError):
        check_equal_laws(mutant, rng, check)


def test_atoms(rng, check):
    """Rows at 0, 1 and 2, draws at 0, 1 and 9 with probabilities 0.3, 0.5, 0.2; every ball is a point."""
    found = []
    for _ in range(200):
        draws = rng.choice([0.0, 1.0, 9.0], p=[0.3, 0.5, 0.2], size=(100, 1))
        rows = rng.choice([0.0, 1.0, 2.0], p=[0.4, 0.35, 0.25], size=(120, 1))
        found.append(precision_recall(draws, rows, num_neighbours=4, num_splits=10))
    check.calibrated([f.precision for f in found], 0.8)
    check.calibrated([f.recall for f in found], 0.75)
    check.calibrated([f.coverage for f in found], 0.75)
    # A draw meets all rows at its atom: 120 · (0.3 · 0.4 + 0.5 · 0.35) of them, over k = 4.
    check.mean([f.density.value for f in found], 120 * (0.3 * 0.4 + 0.5 * 0.35) / 4)


def test_collapse_and_repetition(rng):
    rows = rng.normal(size=(200, 3))
    collapsed = precision_recall(0.05 * rng.normal(size=(200, 3)), rows)
    assert collapsed.precision.value > 0.95 > 0.2 > collapsed.coverage.value
    copied = precision_recall(rows + 1e-9, rows)
    assert values(copied)[0] == values(copied)[1] == values(copied)[3] == 1.0
    assert json.dumps(copied.to_json())
    assert "coverage 1.000" in str(copied)


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        ((np.zeros((9, 2)), np.zeros((9, 3))), {}, ShapeError, "equally long"),
        ((np.zeros((9, 2)), np.zeros((5, 2))), {}, ShapeError, "halves must have more than 5"),
        ((np.zeros((9, 2)), np.zeros((9, 2))), {"num_neighbours": 0}, ArgumentError, "at least 1"),
        ((np.zeros((9, 2)), np.zeros((9, 2))), {"num_splits": 0}, ArgumentError, "at least 1"),
        ((np.zeros((9, 2)), np.full((9, 2), np.inf)), {}, ArgumentError, "NaN or infinite"),
    ],
)
def test_refuses(arguments, options, error, message):
    with pytest.raises(error, match=message):
        precision_recall(*arguments, **options)
