"""An energy on top of an autoencoder: linear ones, whose product is a normal law."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax import energies, generative, kernels, spaces, systems, testing
from energax._errors import ArgumentError, KernelMismatch, NotTractable

PLANE = spaces.Euclidean(2)


def parabola(params, x):
    return 0.5 * params * jnp.sum(x**2)


def linear(curvature=1.5, num_steps=150):
    vae = generative.VAE(2, latent_dim=1, hidden=(), scale=0.6, key=jax.random.key(3))
    tilt = energies.energy(parabola, jnp.asarray(curvature), space=PLANE)
    return systems.VAEBM(vae, tilt, num_steps=num_steps, kernel=kernels.MALA(0.3))


def test_draws_follow_the_product_of_both_laws(key):
    """p_VAE = N(b, WWᵀ + σ²) times exp(−½ a ‖x‖²): mean and second moments; without the energy they are far off."""
    model = linear()
    layer = model.vae.decoder.layers[0]
    weight, bias = np.asarray(layer.weight, np.float64), np.asarray(layer.bias, np.float64)
    precision = np.linalg.inv(weight @ weight.T + 0.36 * np.eye(2))
    covariance = np.linalg.inv(precision + 1.5 * np.eye(2))
    mean = covariance @ precision @ bias
    draws = np.asarray(jax.jit(jax.vmap(lambda k: model.draw(key=k)))(jax.random.split(key, 4_000)))
    testing.assert_mean(draws, mean, name="mean")
    testing.assert_mean(draws**2, np.diag(covariance) + mean**2, name="second moment")


def test_the_joint_is_that_of_the_noise():
    model = linear()
    u = jnp.array([0.3, -1.0, 0.7])
    x = model.vae.decode(u[:1]) + 0.6 * u[1:]
    np.testing.assert_allclose(model.joint.configuration(u), x, rtol=1e-6)
    assert float(model.joint(u)) == pytest.approx(float(0.5 * jnp.sum(u**2) + 0.75 * jnp.sum(x**2)), rel=1e-5)


def test_only_the_energy_learns(key):
    model, batch = linear(num_steps=2), jnp.ones((4, 2))
    slopes = eqx.filter_jit(eqx.filter_grad(lambda m: systems.VAEBMLikelihood().measure(m, batch, key=key)[0]))(model)
    assert all(float(jnp.abs(leaf).max()) == 0 for leaf in jax.tree.leaves(slopes.vae))
    assert float(slopes.energy.params) != 0


def test_what_does_not_fit_is_refused(key):
    bits = generative.VAE(spaces.Binary(3), latent_dim=1, hidden=(), key=jax.random.key(0))
    with pytest.raises(ArgumentError, match="VAEBM needs a VAE of real numbers"):
        systems.VAEBM(bits, parabola)
    with pytest.raises(KernelMismatch, match="VAEBMLikelihood trains a VAEBM, got VAE"):
        systems.VAEBMLikelihood().check(linear().vae)
    with pytest.raises(ArgumentError, match="energy_l2 >= 0"):
        systems.VAEBMLikelihood(-1.0)
    with pytest.raises(NotTractable, match="up to log Z"):
        linear().log_likelihood(jnp.zeros(2), key=key)
