"""Bridges between energies and their relatives, each in a case that is known."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
import scipy.stats

from energax import energies, estimators, generative, kernels, sampling, spaces, testing
from energax.densities import Gaussian, GaussianMixture
from energax.energies import Mixed, Shifted, Sum, Tempered, log_normalizer
from energax.generative import (
    VAE,
    CriticEnergy,
    Diffusion,
    LogRatio,
    NoisePath,
    PushForward,
    SampledEnergy,
    Tilted,
    VariancePreserving,
    WithPrior,
    guided,
    interpolant_score,
)

P, Q = Gaussian(jnp.zeros(1)), Gaussian(jnp.ones(1))


# -- the best discriminator is a ratio of densities -------------------------------------------------------------------


def test_the_best_discriminator_is_worth_the_divergence():
    """N(0, 1) and N(1, 1): JS = 0.1114214822, the value of the game −1.1634513968, by quadrature."""

    @jax.jit
    def values(x):
        p, q = Gaussian(jnp.zeros(1)), Gaussian(jnp.ones(1))
        return jax.vmap(lambda x: (p.log_prob(x), q.log_prob(x), LogRatio(p, q)(x), Tilted(q, LogRatio(p, q))(x)))(x)

    with jax.enable_x64(True):
        x = jnp.linspace(-12.0, 13.0, 20_001)[:, None]
        log_p, log_q, d, tilted = values(x)
    value = scipy.integrate.trapezoid(
        -np.exp(log_p) * np.logaddexp(0, -d) - np.exp(log_q) * np.logaddexp(0, d), x[:, 0]
    )
    np.testing.assert_allclose(value, -1.1634513968, atol=1e-9)
    np.testing.assert_allclose(0.5 * (value + np.log(4)), 0.1114214822, atol=1e-9)
    np.testing.assert_allclose(tilted, -log_p, atol=1e-10)


def test_a_critic_of_energies_knows_their_normalisers():
    """An energy with log Z = −1.7 beside a density: q tilted by their critic is normalised."""

    @jax.jit
    def value(x):
        mine, theirs = Shifted(Gaussian(jnp.zeros(1), 0.5), 1.7), Gaussian(jnp.ones(1))
        return Tilted(theirs, LogRatio(mine, theirs, offset=1.7))(x)

    wanted = -scipy.stats.norm(0, np.sqrt(0.5)).logpdf(0.7)
    np.testing.assert_allclose(value(jnp.array([0.7])), wanted, rtol=1e-5)


# -- a GAN and a VAE with an energy in the latent ---------------------------------------------------------------------


class Line(eqx.Module):
    weight: jax.Array
    shift: jax.Array

    def __call__(self, z):
        return self.weight @ z + self.shift


def shifted(by):
    network = Line(jnp.ones((1, 1)), jnp.array([by]))
    return PushForward(1, latent_dim=1, network=network, key=jax.random.key(0))


@pytest.mark.slow
def test_latent_sampling_of_a_gan_reaches_the_data(key):
    """Generator N(1, 1), data N(0, 1), the best critic: 4000 chains of 30 MALA steps; without it the mean is 1 off."""
    generator = shifted(1.0)
    energy = CriticEnergy(generator, LogRatio(P, Q))
    model = WithPrior(generator, SampledEnergy(energy, kernels.MALA(0.8), num_steps=30))
    draws = jax.jit(jax.vmap(lambda k: model.draw(key=k)))(jax.random.split(key, 4000))
    testing.assert_distribution(draws[:, 0], scipy.stats.norm.cdf)
    assert (model.likelihood, model.draw_evaluations) == ("none", 31)


W, NOISE, MEAN = np.array([[1.0, 0.5], [-0.3, 0.8], [0.6, -0.9]]), 0.6, np.array([0.5, 0.0, -1.0])
PRIOR = np.array([0.4, -0.2]), np.array([[0.5, 0.2], [0.2, 0.8]])


@pytest.fixture(scope="module")
def linear():
    """A linear VAE with the decoder N(W z + m, σ²I) and an encoder that is good for no prior in particular."""
    vae = eqx.filter_jit(lambda: VAE(3, latent_dim=2, hidden=(), key=jax.random.key(0)))()
    back = np.linalg.pinv(W) * 0.8
    values = (
        np.concatenate([back, np.zeros_like(back)]),
        np.concatenate([-back @ MEAN, [-0.4, -0.3]]),
        W,
        MEAN,
        np.log(NOISE),
    )
    return eqx.tree_at(
        lambda m: (
            m.encoder.layers[0].weight,
            m.encoder.layers[0].bias,
            m.decoder.layers[0].weight,
            m.decoder.layers[0].bias,
            m.log_scale,
        ),
        vae,
        tuple(jnp.asarray(v, jnp.result_type(float)) for v in values),
    )


X = np.array([1.0, 0.3, -0.5])
MARGINAL = scipy.stats.multivariate_normal(W @ PRIOR[0] + MEAN, W @ PRIOR[1] @ W.T + NOISE**2 * np.eye(3))


def test_the_likelihood_with_a_normal_prior_in_the_latent(linear, key):
    """p(x) = N(W μ + m, W Σ Wᵀ + σ²I): the mean of 20,000 weights; with N(0, I) those of the VAE."""
    model = WithPrior(linear, Gaussian(*map(jnp.asarray, PRIOR)))
    plain = WithPrior(model.generator, Gaussian(jnp.zeros(2)))
    x = jnp.asarray(X, jnp.float32)
    ask = lambda e: (model.log_weight(x, e, key=key), plain.log_weight(x, e, key=key), plain.generator.log_weight(x, e))  # noqa: E731
    weights, of_plain, of_vae = jax.jit(jax.vmap(ask))(jax.random.normal(key, (20_000, 2)))
    testing.assert_mean(np.exp(weights - MARGINAL.logpdf(X)), 1.0, name="weight")
    np.testing.assert_allclose(of_plain, of_vae, atol=1e-4)
    assert model.likelihood == "bound"


def test_the_posterior_of_the_latent_is_normal(linear):
    """Up to log p(x), which is its log Z: precision Σ⁻¹ + WᵀW/σ²."""
    precision = np.linalg.inv(PRIOR[1]) + W.T @ W / NOISE**2
    mean = np.linalg.solve(precision, np.linalg.solve(PRIOR[1], PRIOR[0]) + W.T @ (X - MEAN) / NOISE**2)
    z = np.array([[0.2, 0.9], [-1.0, 0.4]])
    model = WithPrior(linear, Gaussian(*map(jnp.asarray, PRIOR)))
    found = jax.jit(jax.vmap(lambda z: model.posterior(jnp.asarray(X, z.dtype))(z)))(jnp.asarray(z))
    wanted = -scipy.stats.multivariate_normal(mean, np.linalg.inv(precision)).logpdf(z) - MARGINAL.logpdf(X)
    np.testing.assert_allclose(found, wanted, rtol=1e-4)


@pytest.mark.slow
def test_draws_with_a_prior_have_the_decoders_noise(linear, key):
    draws = jax.jit(jax.vmap(lambda k: WithPrior(linear, Gaussian(*map(jnp.asarray, PRIOR))).draw(key=k)))
    rows = np.asarray(draws(jax.random.split(key, 20_000)), np.float64) - MARGINAL.mean
    products = (rows[:, :, None] * rows[:, None]).reshape(-1, 9)
    testing.assert_mean(products, MARGINAL.cov.reshape(-1), name="second moments")


# -- energies of a diffusion: guidance, composition, paths ------------------------------------------------------------

MEANS, SCALES, WEIGHTS = np.array([-1.2, 0.9]), np.array([0.5, 0.3]), np.array([0.3, 0.7])
CLEAN = VariancePreserving(beta_max=40.0)
SCALE = 1.1


def noisy(t, which=slice(None)):
    alpha, sigma = CLEAN.alpha(t), CLEAN.sigma(t)
    means = alpha * jnp.asarray(MEANS)[which, None]
    return GaussianMixture(means, jnp.sqrt((alpha * SCALES[which]) ** 2 + sigma**2), jnp.asarray(WEIGHTS[which]))


class ExactEnergy(eqx.Module):
    """F with which the energy of a `Diffusion` is that of the noisy mixture."""

    def __call__(self, y, t):
        r = jnp.sqrt((CLEAN.alpha(t) * SCALE) ** 2 + CLEAN.sigma(t) ** 2)
        return -noisy(t).log_prob(r * y) - 0.5 * jnp.sum(y**2)


class ExactNoise(eqx.Module):
    def __call__(self, y, t):
        alpha, sigma = CLEAN.alpha(t), CLEAN.sigma(t)
        r = jnp.sqrt((alpha * SCALE) ** 2 + sigma**2)
        return (-r * sigma * jax.grad(noisy(t).log_prob)(r * y) - sigma * y) / (alpha * SCALE)


def exact_model(*, energy):
    network = ExactEnergy() if energy else ExactNoise()
    return Diffusion(1, network=network, energy=energy, noising=CLEAN, data_scale=SCALE, key=jax.random.key(0))


def of_second(x, t):
    """−log p(second mode | x_t)."""
    return noisy(t).log_prob(x) - noisy(t, slice(1, 2)).log_prob(x)


@pytest.mark.parametrize("energy", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_guidance_by_a_classifier_of_noisy_rows_is_conditioning(energy):
    """The scores, and the energies, are those of one mode alone, at all times."""
    model = guided(exact_model(energy=energy), of_second)

    @jax.jit
    @jax.vmap
    def both(x, t):
        law = noisy(t, slice(1, 2))
        rise = (model.given(t)(x) - model.given(t)(x + 0.3)) - (law(x) - law(x + 0.3)) if energy else 0.0
        gap = model.denoised(x, t) - (x - CLEAN.sigma(t) * model.noise(x, t)) / CLEAN.alpha(t)
        return model.score(x, t), jax.grad(law.log_prob)(x), rise, gap

    with jax.enable_x64(True):
        found, wanted, rise, gap = both(jnp.array([[0.3], [-1.0], [0.3]]), jnp.array([0.05, 0.4, 0.9]))
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    np.testing.assert_allclose(rise, 0.0, atol=1e-5)
    np.testing.assert_allclose(gap, 0.0, atol=1e-5)


class Slope(eqx.Module):
    """The network of N(0, SCALE²) data, F = 0."""

    def __call__(self, y, t):
        return 0.0 * y


def test_guidance_by_a_linear_energy_shifts_a_normal_law():
    """N(0, s²) times exp(λ x) is N(λ s², s²), whose noisy scores are known at all times."""
    model = Diffusion(1, network=Slope(), noising=CLEAN, data_scale=SCALE, key=jax.random.key(0))
    tilted = guided(model, energies.energy(_push, jnp.asarray(1.5), space=spaces.Euclidean(1)), strength=0.6)
    t, x = jnp.array([0.05, 0.3, 0.9]), jnp.array([[0.4], [-1.0], [0.0]])
    variance = (CLEAN.alpha(t) * SCALE) ** 2 + CLEAN.sigma(t) ** 2
    found = jax.jit(jax.vmap(tilted.score))(x, t)
    np.testing.assert_allclose(found[:, 0], (CLEAN.alpha(t) * 0.9 * SCALE**2 - x[:, 0]) / variance, atol=1e-5)


def _push(strength, x):
    return -strength * jnp.sum(x)


@pytest.mark.slow
def test_work_along_the_interpolants_own_energies(key):
    """Exact energies of two modes, whose log Z is 0: 4000 walkers see an error of 0.05, and hardly lose weight."""
    path = NoisePath(exact_model(energy=True))
    work = sampling.anneal(path, kernels.MALA(0.05), jnp.linspace(0.0, 1.0, 41), key=key, num_particles=4000)
    weights = np.asarray(work.log_weights).reshape(-1)
    testing.assert_mean(np.exp(weights), 1.0, name="weight")
    assert estimators.ess_from_log_weights(weights) > 0.5 * weights.size
    assert path.start.space == path.model.space


def test_the_path_begins_with_its_base():
    path = NoisePath(exact_model(energy=True))

    @jax.jit
    def ends(x):
        at_start, at_end = (path.value(jnp.asarray(t), x) for t in (0.0, 1.0))
        return at_start - path.start(x), at_end - path.model.given(path.model.min_time)(x)

    np.testing.assert_allclose(ends(jnp.array([0.6])), 0.0, atol=1e-5)
    with pytest.raises(TypeError, match="no gradients"):
        NoisePath(exact_model(energy=False))


class MixtureVelocity(eqx.Module):
    """E[x_1 − z | I] for the mixture of `noisy` at its clean end: a mean over modes of linear functions."""

    def __call__(self, x, t):
        means, scales, masses = (jnp.asarray(a, x.dtype) for a in (MEANS, SCALES, WEIGHTS))
        variance = (1 - t) ** 2 + (t * scales) ** 2
        weights = jax.nn.softmax(jnp.log(masses) - 0.5 * (x[0] - t * means) ** 2 / variance - 0.5 * jnp.log(variance))
        slopes = (t * scales**2 - (1 - t)) / variance
        return jnp.sum(weights * (means + slopes * (x[0] - t * means)))[None]


def test_the_velocity_of_an_interpolant_tells_its_score():
    flow = generative.ContinuousFlow(1, velocity=MixtureVelocity(), key=jax.random.key(0))

    @jax.jit
    @jax.vmap
    def both(t):
        x = jnp.array([0.4], t.dtype)
        means, scales, masses = (jnp.asarray(a, t.dtype) for a in (MEANS, SCALES, WEIGHTS))
        law = GaussianMixture(t * means[:, None], jnp.sqrt((1 - t) ** 2 + (t * scales) ** 2), masses)
        return interpolant_score(flow, x, t), jax.grad(law.log_prob)(x)

    with jax.enable_x64(True):
        found, wanted = both(jnp.array([0.0, 0.3, 0.8]))
    np.testing.assert_allclose(found, wanted, atol=1e-10)


# -- composition ------------------------------------------------------------------------------------------------------


def test_product_mixture_and_quotient_of_energies():
    """Of normal laws in the plane, in closed form, with energies that are not normalised; and of a diffusion's."""
    mean_a, var_a = np.array([1.0, 0.0]), np.array([1.0, 0.8])
    mean_b, var_b = np.array([-1.0, 2.0]), np.array([2.5, 3.0])
    masses, shift = np.array([0.3, 0.7]), np.array([2.0, -1.0])

    @jax.jit
    @jax.vmap
    def gaps(x):
        a, b = Gaussian(mean_a, var_a), Gaussian(mean_b, var_b)
        found = []
        for energy, gamma in ((Sum((a, b)), 1.0), (Sum((a, Tempered(b, -0.5))), -0.5)):
            variance = 1 / (1 / var_a + gamma / var_b)
            found.append(energy(x) - Gaussian(variance * (mean_a / var_a + gamma * mean_b / var_b), variance)(x))
        either = Mixed((Shifted(a, shift[0]), Shifted(b, shift[1])), jnp.log(masses) + shift)
        density = jnp.sum(masses * jnp.exp(jnp.stack([a.log_prob(x), b.log_prob(x)])))
        time = jnp.asarray(0.4)
        of_diffusion = Sum((exact_model(energy=True).given(time), Gaussian(jnp.zeros(1), 4.0)))
        known = noisy(time)(x[:1]) + 0.5 * x[0] ** 2 / 4 + 0.5 * jnp.log(8 * jnp.pi)
        return (*found, either(x) + jnp.log(density), of_diffusion(x[:1]) - known, log_normalizer(either))

    with jax.enable_x64(True):
        product, quotient, mixture, with_diffusion, log_z = gaps(jnp.array([[0.3, -0.4], [1.2, 2.0], [-2.0, 0.1]]))
    np.testing.assert_allclose(product, product[0], atol=1e-9)
    np.testing.assert_allclose(quotient, quotient[0], atol=1e-9)
    for zero in (mixture, with_diffusion, log_z):
        np.testing.assert_allclose(zero, 0.0, atol=1e-6)


def test_refuses(key):
    with pytest.raises(ValueError, match="weight for each"):
        Mixed((P, Q), jnp.zeros(3))
    with pytest.raises(ValueError, match="need one space"):
        Mixed((P, Gaussian(jnp.zeros(2))))
    with pytest.raises(ValueError, match="must agree"):
        guided(exact_model(energy=True), Gaussian(jnp.zeros(2)))
    with pytest.raises(TypeError, match="a generator with a latent"):
        WithPrior(P, Q)
    with pytest.raises(ValueError, match="only with a VAE"):
        WithPrior(shifted(0.0), Q).log_likelihood(jnp.zeros(1), key=key)
    with pytest.raises(ValueError, match="needs a VAE"):
        WithPrior(shifted(0.0), Q).posterior(jnp.zeros(1))
