"""Independence Metropolis: the identities of a proposal that does not look at the current configuration."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax import exact, testing
from energax.densities import Gaussian, GaussianMixture, IndependentSites
from energax.kernels import IndependenceMetropolis
from energax.spaces import Spins
from energax.testing import references

WIDE = Gaussian(jnp.array([0.4, -0.2]), jnp.array([[2.0, 0.3], [0.3, 1.5]]))


def test_detailed_balance(key):
    x, y = 1.5 * jax.random.normal(key, (2, 200, 2))
    mixture = references.skewed_mixture().energy
    assert testing.assert_detailed_balance(IndependenceMetropolis(WIDE), mixture, x, y) <= 1e-12


def test_transition_matrix_keeps_a_discrete_law():
    """On 2⁹ spin configurations: P from the proposal's log_prob and the declared ratio, max|πP − π| ≤ 1e-14."""
    reference = references.asymmetric_ising()
    with jax.enable_x64(True):
        kernel = IndependenceMetropolis(IndependentSites(Spins((3, 3)), jnp.linspace(-0.6, 0.9, 9).reshape(3, 3)))
        energy = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), reference.energy)
        table = jnp.asarray(exact.states(energy.space))
        states = jax.jit(jax.vmap(lambda x: kernel.init(energy, x, key=jax.random.key(0))))(table)

        @jax.jit
        def matrix(states):
            ratio = jax.vmap(lambda a: jax.vmap(lambda b: kernel.log_ratio(a, b))(states))(states)
            return jnp.exp(states.log_prob[None] + jnp.minimum(ratio, 0.0))

        flow = np.array(matrix(states))
        law = np.exp(exact.log_probs(energy, dtype=np.float64)[1])
    np.fill_diagonal(flow, 0.0)
    np.fill_diagonal(flow, 1 - flow.sum(1))
    assert flow.min() >= 0
    assert np.abs(law @ flow - law).max() <= 1e-14


def test_the_law_itself_is_always_accepted(key):
    mixture = references.skewed_mixture().energy
    kernel = IndependenceMetropolis(mixture)
    state = kernel.init(mixture, jnp.array([3.0, -2.0]), key=key)
    infos = jax.jit(jax.vmap(lambda k: kernel.step(mixture, state, key=k)[1]))(jax.random.split(key, 100))
    np.testing.assert_allclose(infos.accept_prob, 1.0, rtol=1e-5)


def test_far_modes_get_their_masses(key):
    """Two modes 12 apart with masses 0.3 and 0.7: 2,000 chains from the wrong mode; a shift by 0.08 would be seen."""
    target = GaussianMixture(jnp.array([[-6.0], [6.0]]), 1.0, jnp.array([0.3, 0.7]))
    kernel = IndependenceMetropolis(Gaussian(jnp.zeros(1), 64.0))

    @jax.jit
    @jax.vmap
    def walk(key):
        state = kernel.init(target, jnp.array([-6.0]), key=key)
        return jax.lax.fori_loop(
            0, 200, lambda i, s: kernel.step(target, s, key=jax.random.fold_in(key, i))[0], state
        ).x

    right = np.asarray(walk(jax.random.split(key, 2_000)))[:, 0] > 0
    testing.assert_counts([(~right).sum(), right.sum()], [0.3, 0.7], name="masses of two far modes")


def test_refuses_a_proposal_on_another_space(key):
    with pytest.raises(ValueError, match=r"proposal lives on Euclidean.*energy on"):
        IndependenceMetropolis(WIDE).init(references.tilted_box().energy, jnp.zeros(2), key=key)
