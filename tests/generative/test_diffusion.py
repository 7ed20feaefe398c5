"""Diffusion: everything that can be said of a mixture of normal laws, whose noisy scores are known."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from energax import testing, training
from energax.densities import Gaussian, GaussianMixture
from energax.generative import (
    DDIM,
    Diffusion,
    NoisePrediction,
    RungeKutta,
    VarianceExploding,
    VariancePreserving,
)
from energax.generative._ddim import reverse_step

MEANS, SCALES, WEIGHTS = np.array([-1.2, 0.9]), np.array([0.5, 0.3]), np.array([0.3, 0.7])
SCALE = 1.1
CLEAN = VariancePreserving(beta_max=40.0)
WIDE = VarianceExploding(sigma_min=0.005, sigma_max=3000.0)
"""So wide that nothing is left of the means of the data, which a mixture that is not centred needs."""


def noisy(noising, t, dim=1):
    """The mixture at time t."""
    alpha, sigma = noising.alpha(t), noising.sigma(t)
    means = alpha * jnp.asarray(MEANS)[:, None] * jnp.ones(dim)
    return GaussianMixture(means, jnp.sqrt((alpha * SCALES) ** 2 + sigma**2), jnp.asarray(WEIGHTS))


class ExactNoise(eqx.Module):
    """F with which the estimate of the noise is that of the mixture, and an error that training has to remove."""

    noising: VariancePreserving | VarianceExploding
    error: jax.Array

    def __call__(self, y, t):
        alpha, sigma = self.noising.alpha(t), self.noising.sigma(t)
        r = jnp.sqrt((alpha * SCALE) ** 2 + sigma**2)
        noise = -sigma * jax.grad(noisy(self.noising, t, len(y)).log_prob)(r * y)
        return (r * noise - sigma * y) / (alpha * SCALE) + self.error[0] + self.error[1] * y


class ExactEnergy(eqx.Module):
    noising: VariancePreserving

    def __call__(self, y, t):
        alpha, sigma = self.noising.alpha(t), self.noising.sigma(t)
        r = jnp.sqrt((alpha * SCALE) ** 2 + sigma**2)
        return -noisy(self.noising, t, len(y)).log_prob(r * y) - 0.5 * jnp.sum(y**2)


def exact_model(noising=CLEAN, dim=1, **options):
    network = ExactNoise(noising, jnp.zeros(2))
    options = {"min_time": 1e-4, **options}
    return Diffusion(dim, network=network, noising=noising, data_scale=SCALE, key=jax.random.key(0), **options)


@pytest.mark.parametrize("noising", [CLEAN, WIDE], ids=["preserving", "exploding"])
def test_the_likelihood_of_a_mixture(noising, key):
    """The probability flow tells log p(x) of two modes to 1e-3 nat, in every place."""
    with jax.enable_x64(True):
        model = exact_model(noising, sampler=RungeKutta(128))
        x = jnp.linspace(-2.0, 2.0, 9)[:, None]
        found = jax.jit(jax.vmap(lambda x: model.log_likelihood(x, key=key)))(x)
        wanted = jax.vmap(noisy(noising, jnp.zeros(())).log_prob)(x)
    assert model.likelihood == "exact"
    np.testing.assert_allclose(found, wanted, atol=1e-3)


def test_the_scores_are_exact_and_an_energy_has_the_same(key):
    with jax.enable_x64(True):
        t, x = jnp.asarray(0.3), jnp.array([0.4, -0.8])
        wanted = jax.grad(noisy(CLEAN, t, 2).log_prob)(x)
        np.testing.assert_allclose(exact_model(dim=2).score(x, t), wanted, atol=1e-10)
        model = Diffusion(
            2, network=ExactEnergy(CLEAN), energy=True, noising=CLEAN, data_scale=SCALE, key=jax.random.key(0)
        )
        np.testing.assert_allclose(model.score(x, t), wanted, atol=1e-10)
        np.testing.assert_allclose(-jax.grad(model.given(0.3))(x), wanted, atol=1e-10)
        difference = model.given(0.3)(x) - model.given(0.3)(jnp.zeros(2))
        law = noisy(CLEAN, t, 2)
        np.testing.assert_allclose(difference, law.log_prob(jnp.zeros(2)) - law.log_prob(x), atol=1e-10)


def test_the_rates_are_those_of_the_process():
    with jax.enable_x64(True):
        t = jnp.asarray(0.37)
        preserving = VariancePreserving(0.2, 15.0)
        beta = 0.2 + 14.8 * 0.37
        np.testing.assert_allclose(preserving.squared_diffusion(t), beta, rtol=1e-10)
        np.testing.assert_allclose(preserving.drift(t), -beta / 2, rtol=1e-10)
        np.testing.assert_allclose(preserving.alpha(t) ** 2 + preserving.sigma(t) ** 2, 1.0, rtol=1e-12)
        wide = VarianceExploding(0.1, 10.0)
        np.testing.assert_allclose(wide.squared_diffusion(t), 2 * np.log(100) * wide.sigma(t) ** 2, rtol=1e-10)
        np.testing.assert_allclose(wide.drift(t), 0.0, atol=1e-15)


@pytest.mark.parametrize("eta", [0.0, 0.6, 1.0])
def test_steps_keep_the_law_of_one_row(eta):
    """From N(α_t m, σ_t²) to N(α_s m, σ_s²) whatever η is; η = 1 has the variance of DDPM's posterior."""
    with jax.enable_x64(True):
        noising, t, s, m = CLEAN, jnp.asarray(0.6), jnp.asarray(0.4), 1.3

        def moved(e, z):
            x = noising.alpha(t) * m + noising.sigma(t) * e
            return float(reverse_step(noising, x, jnp.asarray(e), jnp.asarray(z), t, s, eta))

        centre = moved(0.0, 0.0)
        kept, fresh = moved(1.0, 0.0) - centre, moved(0.0, 1.0) - centre
        np.testing.assert_allclose(centre, noising.alpha(s) * m, rtol=1e-12)
        np.testing.assert_allclose(kept**2 + fresh**2, noising.sigma(s) ** 2, rtol=1e-12)
        between = noising.sigma(t) ** 2 - (noising.alpha(t) / noising.alpha(s) * noising.sigma(s)) ** 2
        np.testing.assert_allclose(
            fresh**2, eta**2 * between * noising.sigma(s) ** 2 / noising.sigma(t) ** 2, rtol=1e-9
        )


@pytest.mark.parametrize(
    "sampler",
    [DDIM(100), DDIM(200, eta=1.0), pytest.param(RungeKutta(32), marks=pytest.mark.slow)],
    ids=["ddim", "ancestral", "flow"],
)
def test_draws_follow_the_mixture(sampler, key):
    """4000 draws: an error of the distribution by 0.04 anywhere is seen."""
    model = exact_model(sampler=sampler, min_time=1e-3)
    draws = jax.jit(jax.vmap(lambda k: model.draw(key=k)))(jax.random.split(key, 4000))[:, 0]
    testing.assert_distribution(
        draws, lambda x: scipy.stats.norm.cdf(np.asarray(x)[..., None], MEANS, SCALES) @ WEIGHTS
    )


def test_the_exact_noise_is_the_minimum(key):
    """The gradient has mean 0 along both errors: 2000 batches of 16 rows."""
    model = exact_model(VariancePreserving(), min_time=1e-3)
    law = noisy(CLEAN, jnp.zeros(()))

    def slope(k):
        rows, draw = jax.random.split(k)
        x = jax.vmap(lambda k: law.draw(key=k))(jax.random.split(rows, 16))
        put = lambda e: eqx.tree_at(lambda m: m.network.error, model, e)  # noqa: E731
        return jax.grad(lambda e: NoisePrediction().measure(put(e), x, key=draw)[0])(jnp.zeros(2))

    slopes = jax.jit(lambda keys: jax.lax.map(slope, keys))(jax.random.split(key, 2000))
    testing.assert_mean(slopes, np.zeros(2), name="gradient")


@pytest.mark.slow
def test_there_and_back(key):
    with jax.enable_x64(True):
        model = exact_model(min_time=1e-3, solver=RungeKutta(128))
        x = jnp.array([0.7])
        np.testing.assert_allclose(model.decode(model.encode(x, key=key)), x, atol=1e-5)


def test_what_is_told_depends_on_the_draws():
    kinds = {
        "estimate": (exact_model(), exact_model(sampler=RungeKutta(4), trace="hutchinson")),
        "exact": (exact_model(sampler=RungeKutta(4)),),
    }
    for kind, models in kinds.items():
        assert all(model.likelihood == kind for model in models)
    assert (exact_model().draw_evaluations, exact_model(sampler=RungeKutta(4)).draw_evaluations) == (100, 16)


@pytest.mark.parametrize("options", [{"channels": (2, 4)}, {"energy": True}, {"channels": (2, 4), "energy": True}])
def test_images(options):
    """Shapes only; nothing is compiled."""

    def made():
        model = Diffusion((8, 8, 3), key=jax.random.key(0), **options)
        loss = NoisePrediction().measure(model, jnp.ones((3, 8, 8, 3)), key=jax.random.key(0))[0]
        return loss, model.draw(key=jax.random.key(1))

    assert [leaf.shape for leaf in jax.eval_shape(made)] == [(), (8, 8, 3)]


def test_refuses():
    with pytest.raises(TypeError, match="no gradients; make it with energy=True"):
        exact_model().given(0.5)
    with pytest.raises(ValueError, match="min_time between 0 and 1"):
        exact_model(min_time=0.0)
    with pytest.raises(ValueError, match="eta in"):
        DDIM(10, eta=2.0)
    with pytest.raises(ValueError, match="beta_min <= beta_max"):
        VariancePreserving(3.0, 2.0)
    with pytest.raises(ValueError, match="sigma_min < sigma_max"):
        VarianceExploding(3.0, 2.0)
    with pytest.raises(TypeError, match="trains a Diffusion, got Gaussian"):
        training.Learner(Gaussian(jnp.zeros(1)), NoisePrediction())


@pytest.mark.slow
@pytest.mark.parametrize("energy", [False, True])
def test_training_learns_a_ring_of_modes(energy):
    """KL(truth ‖ probability flow) of eight modes is at most 0.1 nat, 0.4 with an energy, after 10,000 updates."""
    from energax.densities import planar

    law = planar("8gaussians")
    rows = np.asarray(jax.vmap(lambda k: law.draw(key=k))(jax.random.split(jax.random.key(0), 20_000)))
    scale = rows.std()
    model = Diffusion(2, energy=energy, sampler=RungeKutta(64), key=jax.random.key(1))
    learner = training.Learner(model, NoisePrediction(), optimizer=training.default_optimizer(2e-3), ema_decay=0.999)
    run = training.fit(learner, rows / scale, key=jax.random.key(2), num_steps=10_000, batch_size=256)
    fresh = jax.vmap(lambda k: law.draw(key=k))(jax.random.split(jax.random.key(3), 2000))
    told = jax.vmap(lambda x: run.energy.log_likelihood(x / scale, key=jax.random.key(0)) - 2 * jnp.log(scale))(fresh)
    assert float(jnp.mean(jax.vmap(law.log_prob)(fresh) - told)) < (0.4 if energy else 0.1)
