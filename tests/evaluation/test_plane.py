"""Divergences and mode masses on a grid against closed forms."""

from __future__ import annotations

import json
import math

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import norm

from energax._errors import NotTractable
from energax.densities import Gaussian, GaussianMixture
from energax.energies import energy
from energax.evaluation import kl_on_grid, mode_masses
from energax.spaces import Euclidean

CENTRES = jnp.asarray([[-3.0, 0.0], [3.0, 0.0]])


def mixture(mass):
    return GaussianMixture(CENTRES, 0.5, jnp.asarray([mass, 1.0 - mass]))


def closed_form(mean, covariance):
    """KL(N(0, 1)‖N(mean, covariance)) in two dimensions."""
    inverse = np.linalg.inv(covariance)
    return 0.5 * (np.trace(inverse) + mean @ inverse @ mean - 2 + math.log(np.linalg.det(covariance)))


def test_kl_of_normal_laws():
    truth = Gaussian(jnp.zeros(2), jnp.ones(2))
    for mean, covariance in ((np.array([0.5, -0.2]), np.array([[1.3, 0.4], [0.4, 0.8]])), (np.zeros(2), np.eye(2))):
        found = kl_on_grid(truth, Gaussian(jnp.asarray(mean), jnp.asarray(covariance)), num_cells=200)
        assert found.value == pytest.approx(closed_form(mean, covariance), abs=1e-4)
        assert found.error < 1e-3
        assert found.outside < 1e-3
        assert not found.warnings
        assert set(json.loads(json.dumps(found.to_json()))) == {"value", "grid_error", "model_mass_outside"}
        assert "KL(truth‖model)" in str(found)


def test_a_model_outside_the_grid_is_told():
    """Half of the model's mass lies where the truth has none: KL = ln 2."""
    truth = Gaussian(jnp.zeros(2), 0.25)
    model = GaussianMixture(jnp.asarray([[0.0, 0.0], [40.0, 0.0]]), 0.5, jnp.asarray([0.5, 0.5]))
    found = kl_on_grid(truth, model, num_cells=100)
    assert found.outside == pytest.approx(0.5, abs=1e-3)
    assert found.value == pytest.approx(math.log(2.0), abs=1e-3)


def test_a_model_with_a_hole_is_infinitely_far():
    hole = energy(lambda x: jnp.where(x[0] > 0.0, 0.5 * jnp.sum(x**2), jnp.inf), space=Euclidean(2))
    found = kl_on_grid(Gaussian(jnp.zeros(2), jnp.ones(2)), hole, num_cells=60)
    assert found.value == math.inf
    assert "infinite" in found.warnings[0]


def test_three_dimensions_are_refused():
    law = Gaussian(jnp.zeros(3), jnp.ones(3))
    with pytest.raises(NotTractable):
        kl_on_grid(law, law)


def test_masses_of_two_modes(rng):
    """The cells between belong to the nearer mode: here the two halves of the plane."""
    draws = np.where(rng.random((1000, 1)) < 0.7, CENTRES[0], CENTRES[1]) + 0.1 * rng.normal(size=(1000, 2))
    found = mode_masses(mixture(0.3), mixture(0.6), draws, num_cells=120)
    assert found is not None
    left = norm.cdf(6.0)
    assert found.truth == pytest.approx([0.3 * left + 0.7 * (1 - left), 0.7], abs=1e-3)
    assert found.model == pytest.approx([0.6, 0.4], abs=1e-3)
    assert found.chains == pytest.approx([np.mean(draws[:, 0] < 0), np.mean(draws[:, 0] > 0)])
    assert "0.60 where the truth has 0.30" in found.warnings[0] or "0.40 where the truth has 0.70" in found.warnings[0]
    assert "Chains visit" in found.warnings[1]
    assert [row["mode"] for row in json.loads(json.dumps(found.to_json()))] == [1, 2]


def test_right_masses_are_no_warning():
    found = mode_masses(mixture(0.3), mixture(0.31), num_cells=120)
    assert found is not None
    assert not found.warnings
    assert np.isnan(found.chains).all()
    assert found.to_json()[0]["chains"] is None


def test_wrong_masses_where_chains_agree_with_the_model():
    draws = np.repeat(np.asarray(CENTRES), [60, 40], axis=0)
    found = mode_masses(mixture(0.3), mixture(0.6), draws, num_cells=120)
    assert found is not None
    assert len(found.warnings) == 1


def test_one_region_has_no_modes():
    assert mode_masses(Gaussian(jnp.zeros(2), jnp.ones(2)), mixture(0.5), num_cells=60) is None
