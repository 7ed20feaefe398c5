"""Calibration with one planted defect each, caught by the identities that its tests use."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax import generative, spaces, systems, testing

PLANE = spaces.Euclidean(2)


class InertTether(systems.Refinement):
    """A tether of order 1, which does nothing over steps that are small."""

    @property
    def stiffness(self):
        return 1.0


class OneTemperature(systems.Refinement):
    """Noise of √h instead of √(2h) in what the floor is taken to be."""

    @property
    def variance(self):
        return systems.Refinement.variance.fget(self) / 2


@pytest.mark.parametrize("kind", [systems.Refinement, InertTether, OneTemperature])
def test_the_floor_of_noise(kind, key):
    move = kind(num_steps=4, step_size=1e-3, tether=2.0)
    starts = jnp.zeros((20_000, 2))
    moved = jax.jit(lambda k: move.move(lambda x: 0.0 * jnp.sum(x), starts, PLANE, key=k)[0])(key)
    squares = np.sum(np.asarray(moved) ** 2, axis=1)
    if kind is systems.Refinement:
        testing.assert_mean(squares, 2 * move.variance)
        return
    with pytest.raises(AssertionError):
        testing.assert_mean(squares, 2 * move.variance)


class NoPrior(generative.VAE):
    """Refines latents by log p(x|z), and forgets that they have a prior."""

    def log_decoder(self, x, z):
        return generative.VAE.log_decoder(self, x, z) + 0.5 * jnp.sum(z**2)


@pytest.mark.parametrize("kind", [generative.VAE, NoPrior])
def test_the_law_of_refined_latents(kind, key):
    """A decoder that ignores z, and an encoder that is right to say N(0, 1): K steps widen it as their size says."""
    model = kind(2, latent_dim=1, hidden=(), key=jax.random.key(3))
    blind = jax.tree.map(jnp.zeros_like, (model.encoder, model.decoder))
    model = eqx.tree_at(lambda m: (m.encoder, m.decoder), model, blind)
    move = systems.Refinement(num_steps=4, step_size=0.2, temperature=1.0, tether=0.0)
    rule = systems.PosteriorCalibration(move)
    ends = jax.jit(lambda k: rule.refine(model, jnp.zeros((20_000, 2)), key=k)[1])(key)
    variance = 0.8**8 + 2 * 0.2 * sum(0.8 ** (2 * k) for k in range(4))
    squares = np.asarray(ends, np.float64)[:, 0] ** 2
    if kind is generative.VAE:
        testing.assert_mean(squares, variance)
        return
    with pytest.raises(AssertionError):
        testing.assert_mean(squares, variance)
