"""The curl test: zero for gradients, the known share for linear fields, with an error bar that holds."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax import evaluation

M = np.array([[1.0, 0.8, -0.2], [-0.4, 2.0, 0.5], [0.3, 0.1, -0.7]])
EXACT = np.sum(((M - M.T) / 2) ** 2) / np.sum(M**2)


def test_a_linear_field_has_the_known_share(key):
    """4000 vectors see it to a tenth."""
    exact = evaluation.score_asymmetry(lambda x: M @ x, jnp.zeros((4000, 3)), key=key)
    assert abs(exact.value - EXACT) < 4.9 * exact.stderr < 0.1 * EXACT
    # A symmetric part that is forgotten, as in ‖(J − Jᵀ)/2‖²/‖J + Jᵀ‖², would be far outside.
    assert abs(exact.value - np.sum((M - M.T) ** 2) / np.sum((M + M.T) ** 2)) > 10 * exact.stderr


def test_gradients_have_none(key):
    """Of an energy whose second derivatives change from place to place."""
    energy = lambda x: jnp.sum(x**4) + x[0] * x[1] ** 2 * x[2]  # noqa: E731
    found = evaluation.score_asymmetry(jax.grad(energy), jax.random.normal(key, (30, 3)), key=key)
    assert found.value < 1e-10


def test_refuses(key):
    with pytest.raises(ValueError, match="needs points and probes"):
        evaluation.score_asymmetry(lambda x: x, jnp.zeros((1, 2)), key=key)
