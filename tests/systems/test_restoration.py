"""Linear measurements with their exact pseudo-inverses, and restoration where the answer is known."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax import energies, generative, systems, testing
from energax._errors import ArgumentError

GREY, COLOUR = (8, 4), (4, 4, 3)
MASK = np.arange(32).reshape(GREY) % 3 == 0
OPERATORS = {
    "inpaint": lambda: systems.Inpaint(MASK),
    "inpaint colour": lambda: systems.Inpaint(np.eye(4), COLOUR),
    "super-resolution": lambda: systems.SuperResolution(GREY, 2),
    "super-resolution colour": lambda: systems.SuperResolution(COLOUR, 4),
    "colourise": lambda: systems.Colourise(COLOUR),
    "compressed-sensing": lambda: systems.CompressedSensing(GREY, 0.3, key=jax.random.key(0)),
    "denoise": lambda: systems.Denoise(GREY),
}


def matrix(fn, size):
    """The matrix of a linear map of flattened arguments."""
    return np.asarray(jax.jit(jax.vmap(lambda e: jnp.ravel(fn(e))))(jnp.eye(size))).T


@pytest.mark.parametrize("name", OPERATORS)
def test_the_pseudo_inverse_is_exact(name):
    """A Aᵀ = c I, A⁺ is that of linear algebra, A⁺A is a projection, and a consistent image meets y to rounding."""
    with jax.enable_x64(True):
        operator = OPERATORS[name]()
        size = int(np.prod(operator.shape))
        a = matrix(lambda x: operator(x.reshape(operator.shape)), size)
        measured = operator(jnp.zeros(operator.shape)).shape
        back = matrix(lambda y: operator.back(y.reshape(measured)), len(a))
        np.testing.assert_allclose(a @ a.T, operator.gain * np.eye(len(a)), atol=1e-13)
        np.testing.assert_allclose(back, np.linalg.pinv(a), atol=1e-12)
        projection = back @ a
        np.testing.assert_allclose(projection @ projection, projection, atol=1e-13)
        x, y = (jnp.asarray(np.random.default_rng(s).normal(size=n)) for s, n in ((0, operator.shape), (1, measured)))
        met = operator.consistent(x, y)
        np.testing.assert_allclose(operator(met), y, atol=1e-14)
        np.testing.assert_allclose((np.eye(size) - projection) @ np.ravel(met - x), 0.0, atol=1e-13)


def test_noise_damps_the_correction():
    """With x ~ N(m, r² I) and y = A x + s ξ the corrected image is the mean of x given y, from the normal equations."""
    with jax.enable_x64(True):
        operator = systems.SuperResolution(GREY, 2)
        a = matrix(lambda x: operator(x.reshape(GREY)), 32)
        rng = np.random.default_rng(3)
        mean, y, r, s = rng.normal(size=GREY), rng.normal(size=(4, 2)), 0.7, 0.3
        weight = r**2 * a.T @ np.linalg.inv(r**2 * a @ a.T + s**2 * np.eye(8))
        expected = mean + (weight @ (np.ravel(y) - a @ np.ravel(mean))).reshape(GREY)
        found = operator.consistent(jnp.asarray(mean), jnp.asarray(y), operator.share(r, s))
        np.testing.assert_allclose(found, expected, atol=1e-13)
        assert float(operator.share(r, 0.0)) == 1.0


def linear_vae(size=1.0):
    """A linear decoder, whose posterior is known."""
    vae = generative.VAE(GREY, latent_dim=2, hidden=(), scale=0.5, key=jax.random.key(0))
    return eqx.tree_at(lambda m: m.decoder.layers[0].weight, vae, replace_fn=lambda w: size * w)


@pytest.mark.slow
def test_the_posterior_of_a_linear_decoder(key):
    """Mean of the latents of 1000 chains beside the normal equations: chains that ignore y are many errors away."""
    vae, operator = linear_vae(4.0), OPERATORS["inpaint"]()
    weight, bias = (np.asarray(v, np.float64) for v in (vae.decoder.layers[0].weight, vae.decoder.layers[0].bias))
    a = matrix(lambda x: operator(x.reshape(GREY)), 32)
    y = a @ (weight @ np.array([1.5, -1.0]) + bias)
    w = a @ weight
    expected = np.linalg.solve(np.eye(2) + w.T @ w / 0.25, w.T @ (y - a @ bias) / 0.25)
    found = systems.restore(vae, operator, jnp.asarray(y, jnp.float32), key=key, num_chains=1000, num_steps=60)
    testing.assert_mean(np.asarray(found.samples.x).mean(axis=1), expected, name="latent")
    assert found.misfit < 1e-6
    assert found.spread[~MASK].min() > 0.01
    assert found.spread[MASK].max() < 1e-6


def test_the_energy_sees_the_image_that_meets_the_measurement():
    vae, operator = linear_vae(), OPERATORS["inpaint"]()
    seen = energies.energy(lambda x: jnp.sum(x**2), space=vae.space)
    y, z = jnp.ones(11), jnp.array([0.3, -0.2])
    quiet, clean = jnp.asarray(0.5), jnp.asarray(0.0)
    law = [systems.LatentPosterior(vae, operator, y, quiet, clean, energy, 2.0) for energy in (seen, None)]
    image = operator.consistent(vae.decode(z), y)
    assert float(law[0](z) - law[1](z)) == pytest.approx(float(jnp.sum(image**2) / 2), rel=1e-4)


def restored(shape, measured, **options):
    return systems.restore(linear_vae(), systems.Denoise(shape), jnp.zeros(measured), key=jax.random.key(0), **options)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: systems.Inpaint(np.ones(GREY)), "keeps all pixels"),
        (lambda: systems.Inpaint(np.zeros(GREY)), "keeps no pixel"),
        (lambda: systems.Inpaint(MASK, COLOUR), "The mask has the shape"),
        (lambda: systems.SuperResolution(GREY, 3), "divides both sides of the image, which is 8 × 4"),
        (lambda: systems.Colourise(GREY), "needs a model of colour images"),
        (lambda: systems.CompressedSensing(GREY, 1.0, key=jax.random.key(0)), "ratio between 0 and 1"),
        (lambda: restored(COLOUR, COLOUR), "the generator makes"),
        (lambda: restored(GREY, COLOUR), "but denoise gives"),
        (lambda: restored(GREY, GREY, noise=-1.0), "noise >= 0"),
    ],
)
def test_what_does_not_fit_is_refused(make, message):
    with pytest.raises(ArgumentError, match=message):
        make()
