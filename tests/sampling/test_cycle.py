"""Tuned cycles of discrete Langevin moves: what is asked for is reached, and the kernel that comes out is exact."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import energax as ex
from energax import testing
from energax.densities import IndependentSites
from energax.energies import DoubleWell
from energax.kernels import ACS, DMALA
from energax.spaces import Binary
from energax.testing import references


@pytest.fixture(scope="module")
def tuned():
    return ex.sampling.tune_cycle(references.asymmetric_ising().energy, num_moves=4, key=jax.random.key(5))


def test_a_tuned_cycle_goes_from_large_steps_to_small_ones(tuned):
    sizes, balances = np.asarray(tuned.step_sizes), np.asarray(tuned.balances)
    assert (np.diff(sizes) <= 0).all()
    assert sizes[-1] >= 0.02
    assert ((balances >= 0.5) & (balances <= 0.95)).all()


def test_a_tuned_cycle_is_exact(tuned, key):
    testing.assert_exact_start(tuned, references.asymmetric_ising(), key=key)


@pytest.mark.slow
def test_the_step_size_is_where_the_acceptance_was_asked_for(key):
    """40 independent sites at equilibrium: the last move has the acceptance 0.5 at balance ½.

    The mean of twelve trials of 64 chains with 10 moves has a standard error of 0.01, and the search a remainder.
    Independent sites are drawn exactly by large steps with balance 1, so that the first move is a large one.
    """
    energy = IndependentSites(Binary(40), jnp.linspace(-2.0, 3.0, 40))
    cycle = ex.sampling.tune_cycle(energy, num_moves=2, key=key)
    x = jax.vmap(lambda k: energy.draw(key=k))(jax.random.split(key, 512))
    run = ex.sample(energy, DMALA(float(cycle.step_sizes[-1])), x, num_steps=50, save=None, key=key)
    assert abs(run.accept_prob.mean() - 0.5) < 0.15
    assert cycle.step_sizes[0] > 10 * cycle.step_sizes[1]
    assert cycle.balances[0] > 0.8


def test_bad_input(key):
    with pytest.raises(ValueError, match="num_moves >= 2"):
        ex.sampling.tune_cycle(references.asymmetric_ising().energy, num_moves=1, key=key)
    with pytest.raises(TypeError, match="ACS needs"):
        ex.sampling.tune_cycle(DoubleWell(1), key=key)
    with pytest.raises(ValueError, match="as many balances"):
        ACS([1.0, 2.0], [0.5])
    with pytest.raises(ValueError, match="positive step_sizes"):
        ACS([1.0, -2.0])
    with pytest.raises(ValueError, match='differences="exact"'):
        ACS(differences="none")
