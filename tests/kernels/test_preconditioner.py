"""A preconditioner L is a change of coordinates x = L z: identities of preconditioned Langevin kernels."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax import energies, spaces, testing
from energax.kernels import HMC, MALA, ULA, UnderdampedLangevin
from energax.testing import references

MATRIX = [[0.9, 0.0], [-0.4, 0.6]]


def _rough(params, x):
    weights, factor = params
    return jnp.sum(jnp.cos(weights @ factor @ x)) + 0.5 * jnp.sum((factor @ x) ** 2)


@pytest.mark.parametrize(
    "make", [references.skewed_mixture, references.tilted_box], ids=["matrix", "diagonal on a box"]
)
def test_detailed_balance(make, key):
    energy = make().energy
    factor = MATRIX if isinstance(energy.space, spaces.Euclidean) else [0.5, 1.4]
    x, y = 1.5 * jax.random.normal(key, (2, 200, 2))
    assert testing.assert_detailed_balance(MALA(0.3, preconditioner=factor), energy, x, y) <= 1e-12


@pytest.mark.parametrize("kernel", [ULA, MALA])
@pytest.mark.parametrize("factor", [MATRIX, [0.9, 0.6]], ids=["matrix", "diagonal"])
def test_the_proposal_is_that_of_the_other_coordinates(kernel, factor, key):
    """N(x + h P s(x), 2h P) at x = L z is the image under L of the proposal for E(L z) at z."""
    with jax.enable_x64(True):
        weights, z, w = jnp.sin(jnp.arange(6.0)).reshape(3, 2), *jax.random.normal(key, (2, 2))
        matrix = jnp.asarray(factor) if np.ndim(factor) == 2 else jnp.diag(jnp.asarray(factor))
        plain = energies.energy(_rough, (weights, jnp.eye(2)), space=spaces.Euclidean(2))
        turned = energies.energy(_rough, (weights, matrix), space=spaces.Euclidean(2))
        here, there = kernel(0.3, preconditioner=factor), kernel(0.3)
        law = here.proposal(here.init(plain, matrix @ z, key=key))
        image = there.proposal(there.init(turned, z, key=key))
        np.testing.assert_allclose(law.mean, matrix @ image.mean, rtol=1e-13)
        np.testing.assert_allclose(law.draw(key=key), matrix @ image.draw(key=key), rtol=1e-13)
        np.testing.assert_allclose(law.log_prob(matrix @ w), image.log_prob(w), rtol=1e-13)


@pytest.mark.parametrize("factor", [MATRIX, [0.9, 0.6]], ids=["matrix", "diagonal"])
def test_the_trajectory_is_that_of_the_other_coordinates(factor, key):
    """HMC with L from x = L z and momentum p ends at the image under L of plain HMC for E(L z) from z and p."""
    with jax.enable_x64(True):
        weights, (z, p) = jnp.sin(jnp.arange(6.0)).reshape(3, 2), jax.random.normal(key, (2, 2))
        matrix = jnp.asarray(factor) if np.ndim(factor) == 2 else jnp.diag(jnp.asarray(factor))
        plain = energies.energy(_rough, (weights, jnp.eye(2)), space=spaces.Euclidean(2))
        turned = energies.energy(_rough, (weights, matrix), space=spaces.Euclidean(2))
        here, there = HMC(0.3, 4, factor), HMC(0.3, 4)
        end, p_end = here.trajectory(plain, here.init(plain, matrix @ z, key=key), p)
        image, p_image = there.trajectory(turned, there.init(turned, z, key=key), p)
        assert float(jnp.max(jnp.abs(image.x - z))) > 0.1
        np.testing.assert_allclose(end.x, matrix @ image.x, rtol=1e-12)
        np.testing.assert_allclose(p_end, p_image, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("kernel", [ULA(0.1, preconditioner=MATRIX), UnderdampedLangevin(0.1, preconditioner=MATRIX)])
def test_a_matrix_is_refused_where_walls_reflect(kernel, key):
    with pytest.raises(ValueError, match=r"needs shape \(d, d\) on Euclidean"):
        kernel.init(references.tilted_box().energy, jnp.zeros(2), key=key)


def test_a_diagonal_of_another_shape_is_refused(key):
    with pytest.raises(ValueError, match="preconditioner has shape"):
        MALA(0.1, preconditioner=[1.0, 2.0, 3.0]).init(references.tilted_box().energy, jnp.zeros(2), key=key)
