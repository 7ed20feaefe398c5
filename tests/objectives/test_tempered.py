"""Chains with replica exchange learn the masses of modes that single chains do not travel between."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy.special import logit

from energax import testing
from energax._errors import ArgumentError, KernelMismatch
from energax.densities import Gaussian
from energax.energies import energy
from energax.kernels import MALA, ULA
from energax.objectives import TemperedPCD
from energax.spaces import Euclidean
from energax.training import Learner

WIDE = Gaussian(jnp.zeros(1), jnp.array([100.0]))


def _two_modes(s, x):
    """Modes −12 and 9 of unit width, with the mass σ(s) in the first."""
    logs = jnp.stack([jax.nn.log_sigmoid(s) - 0.5 * (x[0] + 12) ** 2, jax.nn.log_sigmoid(-s) - 0.5 * (x[0] - 9) ** 2])
    return -jax.nn.logsumexp(logs)


@eqx.filter_jit
def learned(objective, num_updates, keys):
    """The mean of s over the last half of training, and the last state, of independent runs."""
    batch = jnp.where(jnp.arange(10) < 8, -12.0, 9.0)[:, None]
    model = energy(_two_modes, jnp.asarray(logit(0.8), float), space=Euclidean(1))
    learner = Learner(model, objective, optimizer=optax.sgd(0.05))

    def run(key):
        def step(state, k):
            state, _ = learner.update(state, batch, key=jax.random.fold_in(key, k))
            return state, jax.nn.sigmoid(state.energy.params)

        state, masses = jax.lax.scan(step, learner.init(batch, key=key), jnp.arange(num_updates))
        return jnp.mean(masses[num_updates // 2 :]), state.objective_state

    return jax.vmap(run)(keys)


@pytest.mark.slow
def test_masses_of_far_modes_are_learned(key):
    """1,000 runs of 240 updates from the truth: the mean mass stays that of the data; levels refuse equally often."""
    masses, states = learned(TemperedPCD(MALA(1.0), 4, 6, start=WIDE), 240, jax.random.split(key, 1_000))
    masses = np.asarray(masses, np.float64)
    testing.assert_mean(masses, 0.8, name="mass of the first mode")
    with pytest.raises(AssertionError, match="smallest visible"):
        testing.assert_mean(masses, 0.79)
    refusals = np.asarray(states.rejection, np.float64).mean(axis=0)
    assert refusals.max() - refusals.min() < 0.05
    assert np.all(np.diff(np.asarray(states.ts), axis=1) > 0)


@pytest.mark.slow
def test_single_chains_run_away(key):
    """The mutant with two levels that never swap: shares of chains stay those of their starts, and s runs away."""
    narrow = Gaussian(jnp.array([1e3]), jnp.array([1e-4]))
    masses, states = learned(TemperedPCD(MALA(1.0), 4, 2, start=narrow), 240, jax.random.split(key, 1_000))
    assert np.all(np.asarray(states.rejection) > 0.9)
    with pytest.raises(AssertionError, match="smallest visible"):
        testing.assert_mean(np.asarray(masses, np.float64), 0.8)


def test_refusals():
    with pytest.raises(ArgumentError, match="at least one chain and two levels"):
        TemperedPCD(MALA(0.1), num_levels=1)
    with pytest.raises(KernelMismatch, match="which ULA does not"):
        TemperedPCD(ULA(0.1))
