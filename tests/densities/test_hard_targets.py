"""Hard laws that can be drawn from: normalised, and drawn as they say."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax import testing
from energax.densities import Cauchy, Funnel, Rosenbrock, gmm40, ill_conditioned


def draws(density, key, num=20_000):
    return np.asarray(jax.jit(jax.vmap(lambda k: density.draw(key=k)))(jax.random.split(key, num)), np.float64)


def test_rosenbrock_has_its_moments(key):
    """E u = 1, E u² = 2, E v = 2, E v² = 10 + q, E uv = 4; 20,000 draws see a shift of each by 0.06 σ."""
    x = draws(Rosenbrock(4, 0.3), key)
    u, v = x[:, :2], x[:, 2:]
    features = np.stack([u, u**2, v, v**2, u * v, (v - u**2) ** 2], axis=1)
    want = np.broadcast_to([[1.0], [2.0], [2.0], [10.3], [4.0], [0.3]], (6, 2))
    testing.assert_mean(features, want, name="moments of Rosenbrock")


def test_funnel_has_its_conditional_law(key):
    x = draws(Funnel(4, 1.5), key)
    features = np.concatenate([x[:, :1] ** 2 / 1.5**2, x[:, 1:] ** 2 * np.exp(-x[:, :1])], axis=1)
    testing.assert_mean(features, np.ones(4), name="variances of the funnel")


def test_cauchy_has_its_quantiles_and_its_entropy(key):
    density = Cauchy(3, 0.5, 2.0)
    x = draws(density, key)
    for i in range(3):
        testing.assert_distribution(x[:, i], lambda t: 0.5 + np.arctan((t - 0.5) / 2) / np.pi, name=f"coordinate {i}")
    energy = jax.vmap(density)(jnp.asarray(x, jnp.float32))
    testing.assert_mean(energy, 3 * np.log(4 * np.pi * 2.0), name="entropy")


@pytest.mark.parametrize("rotated", [False, True])
def test_ill_conditioned_has_its_spectrum(rotated, key):
    with jax.enable_x64(True):
        law = ill_conditioned(6, 1e4, key=key if rotated else None)
        covariance = np.asarray(law.covariance)
    np.testing.assert_allclose(np.linalg.eigvalsh(covariance), np.geomspace(1e-2, 1e2, 6), rtol=1e-7)
    assert rotated == bool(np.any(covariance != np.diag(np.diag(covariance))))


def test_gmm40_is_the_public_benchmark():
    """Its first and last means; all of them in the data folder, if there is one."""
    law = gmm40()
    assert law.means.shape == (40, 2)
    np.testing.assert_allclose(law.means[0], [-0.29947281, 21.457744598], rtol=1e-6)
    np.testing.assert_allclose(law.means[-1], [3.6796998978, -25.024213791], rtol=1e-6)
    np.testing.assert_allclose(law.scales, 1.3132616875, rtol=1e-6)


@pytest.mark.needs_data
def test_gmm40_of_the_data_folder(data_folder):
    known, law = np.load(data_folder / "particles" / "gmm40.npz"), gmm40()
    np.testing.assert_allclose(law.means, known["loc"], rtol=1e-6, atol=2e-6)
    np.testing.assert_allclose(law.scales, known["scale"], rtol=1e-6)
    np.testing.assert_allclose(np.exp(law.log_weights), known["weights"], rtol=1e-6)


@pytest.mark.parametrize("make", [lambda: Rosenbrock(3), lambda: Funnel(1), lambda: ill_conditioned(3, 0.5)])
def test_refuses_shapes_that_make_no_sense(make):
    with pytest.raises(ValueError, match=r"even number|two coordinates|of at least"):
        make()
