"""Annealed Langevin: its recursion on a normal law in closed form, and masses that a single level would never find."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax import sampling, testing
from energax.densities import Gaussian, GaussianMixture
from energax.energies import AbstractConditionalEnergy
from energax.kernels import ULA


class SmoothedNormal(AbstractConditionalEnergy):
    scale: jax.Array

    def given(self, c):
        return Gaussian(jnp.zeros(2), self.scale**2 + c**2)


class SmoothedMixture(AbstractConditionalEnergy):
    means: jax.Array
    weights: jax.Array

    def given(self, c):
        return GaussianMixture(self.means, jnp.sqrt(0.25 + c**2), self.weights)


def variance_after(sigmas, step_size, num_steps, scale, start, power=2):
    """The variance of the linear recursion x ← (1 − α/(s² + σ²)) x + √(2α) ξ through all levels."""
    variance = start
    for sigma in sigmas:
        alpha = step_size * (sigma / sigmas[-1]) ** power
        for _ in range(num_steps):
            variance = (1 - alpha / (scale**2 + sigma**2)) ** 2 * variance + 2 * alpha
    return variance


def test_the_variance_of_a_normal_law_follows_the_levels(key):
    """20,000 chains × 2 coordinates see a change of the variance by 0.056 of it; α ∝ σ instead of σ² is three times
    as far off."""
    sigmas, options = [2.0, 1.0, 0.5], {"step_size": 0.05, "num_steps": 3}
    x0 = 3.0 * jax.random.normal(key, (20_000, 2))
    run = sampling.annealed_langevin(SmoothedNormal(jnp.asarray(0.7)), sigmas, x0, **options, key=key)
    squares = np.asarray(run.last, np.float64) ** 2
    want = variance_after(sigmas, 0.05, 3, 0.7, 9.0)
    testing.assert_mean(squares, [want, want], name="variance")
    wrong = variance_after(sigmas, 0.05, 3, 0.7, 9.0, power=1)
    with pytest.raises(AssertionError, match="smallest visible shift"):
        testing.assert_mean(squares, [wrong, wrong], name="variance")


def test_finds_the_masses_of_far_modes(key):
    """Modes 10 apart with masses 0.2 and 0.8, all chains in the lighter one: 2,000 chains see a shift by 0.08.

    Levels from 8 down to 0.5, where overlap ends near σ = 3; Langevin at the last level alone leaves no mode.
    """
    model = SmoothedMixture(jnp.array([[-5.0, 0.0], [5.0, 0.0]]), jnp.array([0.2, 0.8]))
    sigmas, x0 = np.geomspace(8.0, 0.5, 24), jnp.zeros((2_000, 2)) + jnp.array([-5.0, 0.0])
    run = sampling.annealed_langevin(model, sigmas, x0, step_size=0.01, num_steps=60, key=key)
    right = int((np.asarray(run.last)[:, 0] > 0).sum())
    testing.assert_counts([2_000 - right, right], [0.2, 0.8], name="masses")
    alone = sampling.sample(
        model.given(jnp.asarray(0.5)), ULA(0.01), x0, num_steps=1_440, thin=1_440, save=None, key=key
    )
    assert (np.asarray(alone.last)[:, 0] < 0).mean() > 0.99


@pytest.mark.parametrize("sigmas", [[1.0, 2.0], [1.0, 0.0], []])
def test_refuses_levels_that_do_not_fall(sigmas, key):
    with pytest.raises(ValueError, match="must fall"):
        sampling.annealed_langevin(SmoothedNormal(jnp.asarray(1.0)), sigmas, step_size=0.1, num_steps=1, key=key)
