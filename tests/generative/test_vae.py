"""Variational autoencoders: probabilistic PCA where they are linear, quadrature where the latent is one number."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from energax import spaces, testing, training
from energax.densities import Gaussian
from energax.generative import ELBO, VAE

DATA = np.random.default_rng(1).normal(size=(400, 4)) @ np.diag([2.0, 1.3, 0.5, 0.4]) @ np.linalg.qr(
    np.random.default_rng(2).normal(size=(4, 4))
)[0] + np.array([1.0, 0.0, -2.0, 0.5])


def principal(latent_dim=2):
    """Maximum-likelihood probabilistic PCA: mean, loadings, variance of the noise, kept variances, law of the rows."""
    mean, covariance = DATA.mean(0), np.cov(DATA.T, bias=True)
    values, vectors = np.linalg.eigh(covariance)
    kept, variance = values[-latent_dim:], values[:-latent_dim].mean()
    loadings = vectors[:, -latent_dim:] * np.sqrt(kept - variance)
    law = scipy.stats.multivariate_normal(mean, loadings @ loadings.T + variance * np.eye(4))
    return mean, loadings, variance, kept, law


def linear_vae(**options):
    return VAE(4, latent_dim=2, hidden=(), key=jax.random.key(0), **options)


def at_the_optimum(model):
    """The VAE whose decoder is that of probabilistic PCA and whose posterior is exact."""
    mean, loadings, variance, kept, _ = principal()
    back = loadings.T / kept[:, None]
    weight = np.concatenate([back, np.zeros_like(back)])
    bias = np.concatenate([-back @ mean, 0.5 * np.log(variance / kept)])
    return jax.tree.map(jnp.asarray, _with(model, weight, bias, loadings, mean, 0.5 * np.log(variance)))


def _with(model, *values):
    return eqx.tree_at(
        lambda m: (
            m.encoder.layers[0].weight,
            m.encoder.layers[0].bias,
            m.decoder.layers[0].weight,
            m.decoder.layers[0].bias,
            m.log_scale,
        ),
        model,
        values,
    )


def test_the_linear_one_is_probabilistic_pca(key):
    """With the exact posterior every draw of the bound is log p(x) itself, to rounding."""
    with jax.enable_x64(True):
        model = at_the_optimum(linear_vae(num_samples=3))
        found = jax.jit(jax.vmap(model.log_likelihood))(jnp.asarray(DATA[:20]), key=jax.random.split(key, 20))
    np.testing.assert_allclose(found, principal()[4].logpdf(DATA[:20]), atol=1e-6)


def test_a_weight_is_the_joint_over_the_encoder(key):
    """Log p(x|z) + log p(z) − log q(z|x), the last two by SciPy and by the encoder's own density."""
    with jax.enable_x64(True):
        model, x, noise = at_the_optimum(linear_vae()), jnp.asarray(DATA[0]), jax.random.normal(key, (2,))
        z = model.latent_at(x, noise)
        joint = model.log_decoder(x, z) + scipy.stats.norm.logpdf(z).sum()
        np.testing.assert_allclose(model.log_weight(x, noise), joint - model.log_encoder(x, z), atol=1e-10)


def test_the_loss_is_the_evidence_lower_bound(key):
    """Mean over 40,000 draws of the latent: a wrong factor of the divergence, about 1.5 nats, or of the noise."""
    model = at_the_optimum(linear_vae())
    x = jnp.asarray(DATA[:1], jnp.float32)
    losses = jax.jit(jax.vmap(lambda k: ELBO().measure(model, x, key=k)[0]))(jax.random.split(key, 40_000))
    testing.assert_mean(losses, -principal()[4].logpdf(DATA[0]), name="loss")
    doubled, once, divergence = jax.jit(
        lambda k: (
            ELBO(2.0).measure(model, x, key=k)[0],
            ELBO().measure(model, x, key=k)[0],
            ELBO().measure(model, x, key=k)[1]["divergence"],
        )
    )(key)
    np.testing.assert_allclose(doubled - once, divergence, rtol=1e-4)


def test_the_bound_rises_with_the_number_of_draws(key):
    """From an encoder that is wrong: K = 1 < 8 < 128 < log p(x), each step seen with 4000 draws."""
    model = at_the_optimum(linear_vae())
    wrong = _with(
        model,
        *(
            1.0 * a
            for a in (
                0.7 * model.encoder.layers[0].weight,
                model.encoder.layers[0].bias + 0.4,
                model.decoder.layers[0].weight,
                model.decoder.layers[0].bias,
                model.log_scale,
            )
        ),
    )
    x = jnp.asarray(DATA[0], jnp.float32)
    noise = jax.random.normal(key, (4000, 128, 2))
    weights = jax.jit(jax.vmap(jax.vmap(lambda eps: wrong.log_weight(x, eps))))(noise)
    bounds = [np.mean(jax.nn.logsumexp(weights[:, :k], axis=1) - np.log(k)) for k in (1, 8, 128)]
    exact_value = principal()[4].logpdf(DATA[0])
    assert bounds[0] < bounds[1] < bounds[2] < exact_value + 1e-3
    assert bounds[0] < exact_value - 0.1
    testing.assert_mean(np.exp(weights[:, 0] - exact_value), 1.0, name="weight")


def test_training_reaches_probabilistic_pca():
    """The bound of the trained one is within 0.01 nat of the best likelihood that there is."""
    learner = training.Learner(linear_vae(), ELBO(), optimizer=training.default_optimizer(0.02, num_constant=300))
    run = training.fit(learner, DATA.astype(np.float32), key=jax.random.key(0), num_steps=1000, batch_size=200)
    best = principal()[4].logpdf(DATA).mean()
    keys = jax.random.split(jax.random.key(1), len(DATA))
    bound = jnp.mean(jax.jit(jax.vmap(run.energy.log_likelihood))(jnp.asarray(DATA, jnp.float32), key=keys))
    assert best - 0.01 < float(bound) < best + 0.005


@pytest.fixture(scope="module")
def bits():
    """A VAE of three bits and one latent number, with all probabilities by quadrature."""
    model = VAE(spaces.Binary(3), latent_dim=1, hidden=(4,), key=jax.random.key(5))
    model = jax.tree.map(lambda leaf: 2 * leaf, model)
    states = jnp.array([[i >> 2 & 1, i >> 1 & 1, i & 1] for i in range(8)], jnp.int8)
    z = jnp.linspace(-8, 8, 2001)
    given = jax.vmap(lambda x: jax.vmap(lambda u: model.log_decoder(x, u[None]))(z))(states)
    probabilities = jnp.sum(jnp.exp(given - 0.5 * z**2), axis=1) * (z[1] - z[0]) / jnp.sqrt(2 * jnp.pi)
    return model, states, np.asarray(probabilities, np.float64)


def test_the_weights_of_bits_have_the_right_mean(bits, key):
    """20,000 draws for each of 8 configurations: an error of p(x) by a few per cent is seen."""
    model, states, probabilities = bits
    np.testing.assert_allclose(probabilities.sum(), 1, rtol=1e-4)
    noise = jax.random.normal(key, (20_000, 1))
    weights = jax.jit(jax.vmap(lambda e: jax.vmap(lambda x: model.log_weight(x, e))(states)))(noise)
    testing.assert_mean(np.exp(weights) / probabilities, np.ones(8), name="weight")


def test_draws_of_bits(bits, key):
    """20,000 draws: a probability that is off by 0.02 is seen."""
    model, _, probabilities = bits
    draws = jax.jit(jax.vmap(lambda k: model.draw(key=k)))(jax.random.split(key, 20_000))
    codes = np.asarray(draws).astype(int) @ [4, 2, 1]
    testing.assert_counts(np.bincount(codes, minlength=8), probabilities / probabilities.sum())


def test_draws_of_real_numbers(key):
    """The law of draws is that of probabilistic PCA: means and second moments of 20,000."""
    model, law = at_the_optimum(linear_vae()), principal()[4]
    draws = np.asarray(jax.jit(jax.vmap(lambda k: model.draw(key=k)))(jax.random.split(key, 20_000)), np.float64)
    centred = draws - principal()[0]
    products = centred[:, :, None] * centred[:, None, :]
    testing.assert_mean(
        np.concatenate([centred, products.reshape(-1, 16)], axis=1),
        np.concatenate([np.zeros(4), law.cov.reshape(-1)]),
        name="moments",
    )


@pytest.mark.parametrize("shape", [(32, 32, 3), (7, 9)])
def test_images(shape):
    """Shapes only; nothing is compiled."""

    def made():
        model = VAE(spaces.Binary(shape), latent_dim=8, channels=(4, 8), key=jax.random.key(0))
        x = jnp.zeros(shape, jnp.int8)
        loss = ELBO().measure(model, x[None], key=jax.random.key(0))[0]
        z = model.encode(x, key=jax.random.key(1))
        return loss, z, model.draw(key=jax.random.key(2)), model.decode(z)

    assert [leaf.shape for leaf in jax.eval_shape(made)] == [(), (8,), shape, shape]


def test_refuses():
    with pytest.raises(ValueError, match="0/1 data or real numbers, got Spins"):
        VAE(spaces.Spins(4), latent_dim=1, key=jax.random.key(0))
    with pytest.raises(ValueError, match="latent_dim >= 1"):
        VAE(4, latent_dim=0, key=jax.random.key(0))
    with pytest.raises(ValueError, match=r"images of shape \(h, w\)"):
        VAE(4, latent_dim=1, channels=(4,), key=jax.random.key(0))
    with pytest.raises(ValueError, match="Unknown activation 'swish'"):
        VAE(4, latent_dim=1, activation="swish", key=jax.random.key(0))
    with pytest.raises(ValueError, match="beta > 0"):
        ELBO(0.0)
    with pytest.raises(TypeError, match="ELBO trains a VAE, got Gaussian"):
        training.Learner(Gaussian(jnp.zeros(2)), ELBO())
