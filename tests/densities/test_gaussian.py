import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from energax import exact
from energax._errors import ArgumentError
from energax.densities import Gaussian, GaussianMixture
from energax.testing import FALSE_ALARM, assert_mean, references

COVARIANCE = np.array([[0.5, 0.3, -0.2], [0.3, 1.0, 0.4], [-0.2, 0.4, 2.0]])
MEAN = np.array([1.0, -0.5, 0.25])
POINTS = np.array([[0.0, 0.0, 0.0], [1.0, 2.0, -3.0], [40.0, -40.0, 3.0]])


@pytest.mark.parametrize(
    ("covariance", "matrix"),
    [(COVARIANCE, COVARIANCE), (np.array([0.5, 1.0, 2.0]), np.diag([0.5, 1.0, 2.0])), (0.3, 0.3 * np.eye(3))],
    ids=["full", "diagonal", "number"],
)
def test_log_density_of_any_covariance(covariance, matrix):
    with jax.enable_x64(True):
        law = Gaussian(jnp.asarray(MEAN), jnp.asarray(covariance))
        have = [float(law.log_prob(jnp.asarray(x))) for x in POINTS]
        np.testing.assert_allclose(law.covariance, matrix, atol=1e-14)
    np.testing.assert_allclose(have, scipy.stats.multivariate_normal(MEAN, matrix).logpdf(POINTS), rtol=1e-12)


def test_draws_of_a_normal_law(key):
    """40,000 draws see a mean that is off by 0.04 σ and a covariance that is off by 6 %."""
    reference = references.correlated_gaussian()
    assert reference.assert_matches(reference.draw(key=key, num=40_000)) >= FALSE_ALARM


def test_log_density_of_a_mixture():
    means, scales, weights = np.array([[0.0, 1.0], [3.0, -1.0]]), np.array([0.5, 2.0]), np.array([2.0, 6.0])
    with jax.enable_x64(True):
        law = GaussianMixture(jnp.asarray(means), jnp.asarray(scales), jnp.asarray(weights))
        have = [float(law.log_prob(jnp.asarray(x))) for x in POINTS[:, :2]]
        assert exact.quadrature_log_z(law).value == pytest.approx(0.0, abs=1e-9)
    parts = [
        scipy.stats.multivariate_normal(m, s**2 * np.eye(2)).logpdf(POINTS[:, :2])
        for m, s in zip(means, scales, strict=True)
    ]
    want = np.logaddexp(parts[0] + np.log(0.25), parts[1] + np.log(0.75))
    np.testing.assert_allclose(have, want, rtol=1e-12)


def test_draws_of_a_mixture(key):
    """40,000 draws see masses that are off by 0.02."""
    reference = references.skewed_mixture()
    draws = reference.draw(key=key, num=40_000)
    assert reference.assert_matches(draws) >= FALSE_ALARM
    far = GaussianMixture(jnp.array([[-20.0], [20.0]]), 1.0, jnp.array([0.3, 0.7]))
    right = exact.draw(far, key=key, num=40_000)[:, 0] > 0
    assert_mean(right, 0.7, name="mass of the right mode")


def test_training_keeps_a_mixture_normalised():
    with jax.enable_x64(True):
        law = GaussianMixture(jnp.asarray(np.array([[0.0], [3.0]])), jnp.asarray(np.array([0.5, 1.0])))
        moved = jax.tree.map(lambda leaf: leaf - 1.7, law)
        assert exact.quadrature_log_z(moved).value == pytest.approx(0.0, abs=1e-9)


def test_the_start_of_a_mixture_covers_its_modes():
    assert GaussianMixture(jnp.array([[-20.0], [4.0]])).space.initial_scale == 20.0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Gaussian(jnp.zeros((2, 2))), r"mean of shape \(d,\)"),
        (lambda: Gaussian(jnp.zeros(2), jnp.zeros((3, 3))), r"\(3, 3\)"),
        (lambda: Gaussian(jnp.zeros(2), -1.0), "positive definite"),
        (lambda: Gaussian(jnp.zeros(2), jnp.array([[1.0, 2.0], [2.0, 1.0]])), "positive definite"),
        (lambda: GaussianMixture(jnp.zeros(3)), r"shape \(k, d\)"),
        (lambda: GaussianMixture(jnp.zeros((3, 1)), 1.0, jnp.ones(2)), "as many weights"),
    ],
)
def test_messages(make, message):
    with pytest.raises(ArgumentError, match=message):
        make()
