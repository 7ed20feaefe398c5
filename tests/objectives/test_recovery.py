"""Recovery likelihood against the closed form of its chains for smeared normal laws."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax import testing
from energax._errors import ArgumentError, KernelMismatch, SpaceError
from energax.densities import Gaussian
from energax.energies import AbstractConditionalEnergy, AtLevel
from energax.kernels import ULA
from energax.objectives import RecoveryLikelihood

VARIANCE, STEP, LEVELS = 0.7, 0.15, (0.4, 0.8, 1.5)


class SmearedNormal(AbstractConditionalEnergy):
    """N(0, v + σ²): the energy of smeared N(0, v) data."""

    variance: jax.Array

    def given(self, c):
        return Gaussian(jnp.zeros(1), self.variance + c**2)


FAMILY = AtLevel(SmearedNormal(jnp.asarray([VARIANCE])), LEVELS[0])


def variance_after(noisy, level, num_steps):
    """Of the ends of chains of ULA from ỹ ~ N(0, noisy): their law given ỹ is normal, with mean (1 − gain) ỹ."""
    k, gap = 1 / (VARIANCE + LEVELS[level] ** 2), LEVELS[level + 1] ** 2 - LEVELS[level] ** 2
    stiff = 1 + gap * k
    decay = (1 - STEP * stiff) ** num_steps
    gain = gap * k / stiff * (1 - decay)
    return (1 - gain) ** 2 * noisy + gap * 2 * STEP * (1 - decay**2) / (1 - (1 - STEP * stiff) ** 2)


def slope_of(data_variance, level, num_steps):
    """∂_v of the loss at one level, for rows of N(0, data_variance)."""
    sigma, following = LEVELS[level], LEVELS[level + 1]
    ends = variance_after(data_variance + following**2, level, num_steps)
    return -0.5 * (data_variance + sigma**2 - ends) / (VARIANCE + sigma**2) ** 2


def test_the_gradient_is_that_of_the_chains_in_the_law_of_one_step_back(key):
    """20,000 updates of two rows, one for each level: rows of variance 1.3, four steps; three are excluded."""
    objective = RecoveryLikelihood(LEVELS, ULA(STEP), 4)

    def slope(key):
        row_key, key = jax.random.split(key)
        rows = 1.3**0.5 * jax.random.normal(row_key, (2, 1))
        return jax.grad(lambda e: objective.loss(e, rows, None, key=key)[0])(FAMILY).model.variance[0]

    found = np.asarray(jax.jit(jax.vmap(slope))(jax.random.split(key, 20_000)), np.float64)
    testing.assert_mean(found, np.mean([slope_of(1.3, level, 4) for level in (0, 1)]), name="slope of v")
    with pytest.raises(AssertionError, match="smallest visible"):
        testing.assert_mean(found, np.mean([slope_of(1.3, level, 3) for level in (0, 1)]))


def test_generation_goes_down_all_levels(key):
    """40,000 rows from the widest noise: the variance is that of one chain after the other, from above."""
    objective = RecoveryLikelihood(LEVELS, ULA(STEP), 3)
    rows = LEVELS[-1] * jax.random.normal(key, (40_000, 1))
    found = np.asarray(jax.jit(lambda x: objective.generate(FAMILY, x, key=jax.random.key(1)))(rows), np.float64)
    want = variance_after(variance_after(LEVELS[-1] ** 2, 1, 3), 0, 3)
    testing.assert_mean(found[:, 0] ** 2, want, name="variance")
    with pytest.raises(AssertionError, match="smallest visible"):
        testing.assert_mean(found[:, 0] ** 2, variance_after(LEVELS[-1] ** 2, 0, 3))


def test_what_is_refused():
    with pytest.raises(ArgumentError, match="two or more noise_scales that increase"):
        RecoveryLikelihood((0.5, 0.2), ULA(0.1))
    with pytest.raises(ArgumentError, match="'elsewhere'"):
        RecoveryLikelihood((0.2, 0.5), ULA(0.1), start="elsewhere")
    with pytest.raises(KernelMismatch, match="a family with a level is needed"):
        RecoveryLikelihood((0.2, 0.5), ULA(0.1)).check(Gaussian(jnp.zeros(1)))
    with pytest.raises(SpaceError, match="without bounds"):
        RecoveryLikelihood((0.2, 0.5), ULA(0.1)).check(testing.references.tilted_box().energy)
