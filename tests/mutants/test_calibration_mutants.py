"""Calibration with one planted defect each, caught by the identities that its tests use."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax import spaces, systems, testing

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
