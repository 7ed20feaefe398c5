"""Shares of modes: right masses pass, missing and wrong ones are named."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from energax._errors import ArgumentError, ShapeError
from energax.estimators import Estimate, mode_shares, nearest_centre

MASSES = np.array([0.4, 0.3, 0.2, 0.1])


def test_the_nearest_centre(rng):
    points, centres = rng.normal(size=(40, 3)), rng.normal(size=(5, 3))
    apart = np.linalg.norm(points[:, None] - centres, axis=2)
    wanted = np.where(apart.min(1) <= 1.0, apart.argmin(1), -1)
    assert nearest_centre(points, centres, within=1.0).tolist() == wanted.tolist()
    assert nearest_centre(points, centres).tolist() == apart.argmin(1).tolist()


def test_shares_by_hand():
    found = mode_shares([0, 0, 1, -1, 0, 1, 3, 0, 0, 1], MASSES)
    np.testing.assert_allclose(found.shares, [0.5, 0.3, 0.0, 0.1])
    assert found.num_covered == 3
    assert found.outside.value == pytest.approx(0.1)
    assert found.distance.value == pytest.approx(0.5 * (0.1 + 0.0 + 0.2 + 0.0 + 0.1))
    assert "1 of 4 modes have less than 0.2 of their mass (2)" in found.warnings[0]
    assert math.isnan(found.p_value)
    assert json.dumps(found.to_json())


def test_p_values_are_uniform(rng, check):
    """Right masses, 2000 times: P(p <= u) = u at u = 0.1 and 0.5. Seen: a degree of freedom too many."""
    found = np.array([mode_shares(rng.choice(4, p=MASSES, size=400), MASSES).p_value for _ in range(2000)])
    for level in (0.1, 0.5):
        check.rate(int(np.count_nonzero(found <= level)), found.size, level, alarm=1e-7)


def distance_of_two(x, factor=1.0):
    found = mode_shares(x, np.array([0.5, 0.5])).distance
    return Estimate(found.value, factor * found.stderr, 1, "of two")


@pytest.mark.parametrize("factor", [1.0, 0.7, 1.5])
def test_the_error_bar_of_the_total_variation(factor, rng, check):
    """Masses 0.6 and 0.3 and 0.1 outside, where 0.5 and 0.5 are expected: ½ (0.1 + 0.2 + 0.1)."""
    draws = [distance_of_two(rng.choice([0, 1, -1], p=[0.6, 0.3, 0.1], size=400), factor) for _ in range(800)]
    if factor == 1.0:
        check.calibrated(draws, 0.2)
    else:
        with pytest.raises(AssertionError):
            check.calibrated(draws, 0.2)


def test_wrong_masses_are_named(rng):
    found = mode_shares(rng.choice(4, p=[0.2, 0.3, 0.4, 0.1], size=2000), MASSES)
    assert found.num_covered == 4
    assert found.p_value < 1e-6
    assert "those of the modes are not the expected ones" in found.warnings[0]
    right = mode_shares(rng.choice(4, p=MASSES, size=2000), MASSES * 7.0)
    assert right.distance.value < 4 * right.distance.diagnostics["null_mean"]


def test_refuses():
    with pytest.raises(ArgumentError, match="positive for each mode"):
        mode_shares([0, 1], [1.0, 0.0])
    with pytest.raises(ArgumentError, match="from 0 to 1"):
        mode_shares([0, 2], [1.0, 1.0])
    with pytest.raises(ArgumentError, match="whole numbers"):
        mode_shares([0.5, 1.0], [1.0, 1.0])
    with pytest.raises(ArgumentError, match="fraction"):
        mode_shares([0, 1], [1.0, 1.0], fraction=0.0)
    with pytest.raises(ShapeError, match="equally long"):
        nearest_centre([[0.0]], [[0.0, 1.0]])
    with pytest.raises(ArgumentError, match="within"):
        nearest_centre([[0.0]], [[0.0]], within=0.0)
