"""Relatives of energies with one planted defect each, caught by the identities that their tests use."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax import exact, testing
from energax.densities import Gaussian, SiteMixture, _site_mixture
from energax.generative import (
    VAE,
    Adversarial,
    ContinuousFlow,
    FlowMatching,
    PushForward,
    VariancePreserving,
    WithPrior,
)
from energax.generative._ddim import reverse_step
from energax.spaces import Binary


class NoJacobian(VAE):
    """Forgets that the posterior's density falls as its width grows."""

    def log_weight(self, x, noise):
        return VAE.log_weight(self, x, noise) - jnp.sum(self.posterior(x)[1])


@pytest.mark.parametrize("kind", [VAE, NoJacobian])
def test_weights_of_an_autoencoder(kind, key):
    """A decoder that ignores z: every weight has the mean p(x)."""
    model = kind(2, latent_dim=1, hidden=(), key=jax.random.key(3))
    model = eqx.tree_at(lambda m: m.decoder, model, jax.tree.map(jnp.zeros_like, model.decoder))
    weights = jax.jit(jax.vmap(lambda e: model.log_weight(jnp.zeros(2), e)))(jax.random.normal(key, (20_000, 1)))
    check(kind is VAE, lambda: testing.assert_mean(np.exp(weights) * 2 * np.pi, 1.0))


class StillNoise(FlowMatching):
    """Moves the interpolant by γ(t) ε, and forgets that γ'(t) ε is part of its velocity."""

    def measure(self, energy, batch, *, key):
        loss, metrics = FlowMatching.measure(self, _WithoutGrowth(energy, self.noise), batch, key=key)
        return loss, metrics


class _WithoutGrowth(eqx.Module):
    flow: ContinuousFlow
    noise: float

    def velocity(self, x, t):
        gamma, growth = self.noise * jnp.sin(jnp.pi * t) ** 2, self.noise * jnp.pi * jnp.sin(2 * jnp.pi * t)
        variance = (1 - t) ** 2 + t**2 + gamma**2
        return self.flow.velocity(x, t) + gamma * growth / variance * x


class Between(eqx.Module):
    """The velocity between N(0, 1) and N(0, 1), and an error."""

    error: jax.Array
    noise: float = eqx.field(static=True)

    def __call__(self, x, t):
        gamma, growth = self.noise * jnp.sin(jnp.pi * t) ** 2, self.noise * jnp.pi * jnp.sin(2 * jnp.pi * t)
        slope = (t - (1 - t) + gamma * growth) / ((1 - t) ** 2 + t**2 + gamma**2)
        return slope * x + self.error * t * x


@pytest.mark.parametrize("kind", [FlowMatching, StillNoise])
def test_the_velocity_of_an_interpolant(kind, key):
    objective = kind(noise=0.7)

    def slope(k):
        rows, draw = jax.random.split(k)
        x = jax.random.normal(rows, (16, 1))
        flow = lambda e: ContinuousFlow(1, velocity=Between(e, 0.7), key=jax.random.key(0))  # noqa: E731
        return jax.grad(lambda e: objective.measure(flow(e), x, key=draw)[0])(jnp.zeros(()))

    slopes = jax.jit(lambda keys: jax.lax.map(slope, keys))(jax.random.split(key, 2000))
    check(kind is FlowMatching, lambda: testing.assert_mean(slopes, 0.0))


@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_a_step_that_keeps_all_noise_and_adds_more(eta):
    """Right without fresh noise, too wide with it."""
    noising, t, s = VariancePreserving(), jnp.asarray(0.6), jnp.asarray(0.4)

    def broken(e, z):
        fresh = reverse_step(noising, 0.0, 0.0, z, t, s, eta)
        return reverse_step(noising, noising.sigma(t) * e, jnp.asarray(e), 0.0, t, s, 0.0) + fresh

    squares = float(broken(1.0, 0.0) ** 2 + broken(0.0, 1.0) ** 2)
    check(eta == 0, lambda: np.testing.assert_allclose(squares, noising.sigma(s) ** 2, rtol=1e-4))


class PriorTwice(WithPrior):
    """Multiplies by the prior, and leaves the normal law in that the VAE had in its place."""

    def log_weight(self, x, noise, *, key):
        z = self.generator.latent_at(x, noise)
        return WithPrior.log_weight(self, x, noise, key=key) - 0.5 * jnp.sum(z**2) - 0.5 * jnp.log(2 * jnp.pi)


@pytest.mark.parametrize("kind", [WithPrior, PriorTwice])
def test_weights_with_another_prior(kind, key):
    """A decoder that ignores z, so that every weight has the mean p(x) with any prior that the encoder covers."""
    vae = VAE(2, latent_dim=1, hidden=(), key=jax.random.key(3))
    vae = eqx.tree_at(lambda m: (m.decoder, m.encoder), vae, jax.tree.map(jnp.zeros_like, (vae.decoder, vae.encoder)))
    model = kind(vae, Gaussian(jnp.array([0.5]), 0.4))
    ask = jax.jit(jax.vmap(lambda e: model.log_weight(jnp.zeros(2), e, key=key)))
    weights = ask(jax.random.normal(key, (20_000, 1)))
    check(kind is WithPrior, lambda: testing.assert_mean(np.exp(weights) * 2 * np.pi, 1.0))


class SeenByBoth(Adversarial):
    """The critic's loss is not hidden from the generator."""

    def measure(self, energy, batch, *, key):
        loss, metrics = Adversarial.measure(self, energy, batch, key=key)
        drawn = energy.decode(jnp.zeros(1))
        return loss + 0.1 * self.critic(drawn), metrics


@pytest.mark.parametrize("kind", [Adversarial, SeenByBoth])
def test_the_players_are_apart(kind, key):
    model = PushForward(1, latent_dim=1, hidden=(), key=jax.random.key(0))
    objective = kind(Line(jnp.ones(())), "hinge")
    whole = eqx.filter_grad(lambda m: objective.measure(m, jnp.ones((4, 1)), key=key)[0])(model)
    own = eqx.filter_grad(lambda m: objective.measure(m, jnp.ones((4, 1)), key=key)[1]["generator_loss"])(model)
    bias = [g.network.layers[0].bias for g in (whole, own)]
    check(kind is Adversarial, lambda: np.testing.assert_allclose(*bias, rtol=1e-5))


class Line(eqx.Module):
    slope: jax.Array

    def __call__(self, x):
        return self.slope * x[0]


def check(sound, identity):
    """The identity holds for the sound one and fails for the defect."""
    if sound:
        identity()
        return
    with pytest.raises(AssertionError):
        identity()


def the_nearest_component_has_the_row(law, blocks, counted, mean, pseudo_count):
    """k-means: a row counts for its likeliest component alone."""
    joint = jax.vmap(jax.vmap(law.component_log_probs))(blocks)
    shares = jax.nn.one_hot(jnp.argmax(joint, axis=-1), joint.shape[-1]) * counted[..., None]
    counts, sums = jnp.sum(shares, (0, 1)), jnp.einsum("bnk,bni->ki", shares, blocks.astype(float))
    logits = jax.scipy.special.logit((sums + pseudo_count * mean) / (counts + pseudo_count)[:, None])
    found = jnp.sum(jax.nn.logsumexp(joint, axis=-1) * counted) / counted.sum()
    return SiteMixture(logits, jnp.log(counts + pseudo_count), law.space), found


@pytest.mark.parametrize("rounds", [_site_mixture._round, the_nearest_component_has_the_row])
def test_a_fit_is_more_likely_than_the_truth(rounds, key, monkeypatch):
    monkeypatch.setattr(_site_mixture, "_round", rounds)
    monkeypatch.setattr(_site_mixture, "_maximised", _site_mixture._maximised.__wrapped__)
    truth = SiteMixture(jnp.asarray([[2.0, -1.0, 2.5], [-2.0, 1.5, -1.0]]), jnp.log(jnp.asarray([0.7, 0.3])), Binary(3))
    rows = exact.draw(truth, key=key, num=5_000)
    fit = _site_mixture.site_mixture(Binary(3), rows, 2, key=key, num_rounds=200, tolerance=1e-6, pseudo_count=1e-3)
    gain = float(jnp.sum(jax.vmap(fit.log_prob)(rows)) - jnp.sum(jax.vmap(truth.log_prob)(rows)))
    assert (gain > 0) == (rounds is not the_nearest_component_has_the_row), gain
