"""Chains that swap with those of the model's past: what is stored, and that they travel where single chains do not."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import logit

from energax import testing
from energax._errors import ArgumentError, KernelMismatch
from energax.densities import Gaussian
from energax.energies import energy
from energax.kernels import MALA, ULA
from energax.objectives import PersistentCD, TrajectoryPCD, TrajectoryState
from energax.objectives._trajectory import remember
from energax.spaces import Euclidean


def _state(rejection):
    """Three stored models 0, 1, 2; one chain whose replica at level k is at k."""
    zero = jnp.zeros((), jnp.int32)
    return TrajectoryState(jnp.arange(5.0)[None, :, None], jnp.arange(3.0), jnp.asarray(rejection), zero, zero, None)


def test_what_is_stored_and_what_goes():
    """By hand, for pairs start-0, 0-1, 1-2, 2-present; the present model is 9."""
    kept = remember(_state([0.1, 0.2, 0.3, 0.5]), jnp.asarray(9.0))
    assert eqx.tree_equal(kept, _state([0.1, 0.2, 0.3, 0.5]))
    for rejection, past, levels, after in (
        ([0.9, 0.1, 0.2, 0.6], [0, 2, 9], [0, 1, 3, 4, 4], [0.9, 0.3, 0.6, 0.0]),
        ([0.0, 0.8, 0.1, 0.7], [0, 1, 9], [0, 1, 2, 4, 4], [0.0, 0.8, 0.8, 0.0]),
        ([0.0, 0.7, 0.6, 0.9], [0, 2, 9], [0, 1, 3, 4, 4], [0.0, 1.0, 0.9, 0.0]),
    ):
        new = remember(_state(rejection), jnp.asarray(9.0))
        assert new.past.tolist() == past
        assert new.x[0, :, 0].tolist() == levels
        np.testing.assert_allclose(new.rejection, after, atol=1e-6)
        assert int(new.stored) == 1


def _two_modes(params, x):
    """Modes −6a and 4.5a of unit width, with the mass σ(s) in the first; for a = 0 a standard normal law."""
    apart, s = params
    logs = [
        jax.nn.log_sigmoid(s) - 0.5 * (x[0] + 6 * apart) ** 2,
        jax.nn.log_sigmoid(-s) - 0.5 * (x[0] - 4.5 * apart) ** 2,
    ]
    return -jax.nn.logsumexp(jnp.stack(logs))


@eqx.filter_jit
def followed(objective, num_updates, key):
    """The state after updates in which the modes part, with half of the mass each, and then the first one gets 0.8."""
    batch = jnp.zeros((2, 1))

    def model(k):
        done = k / num_updates
        apart, s = jnp.minimum(3 * done, 1.0), logit(0.8) * jnp.clip(6 * done - 2, 0.0, 1.0)
        return energy(_two_modes, (apart, s), space=Euclidean(1))

    def step(state, k):
        return objective.loss(model(k), batch, state, key=jax.random.fold_in(key, k))[1][0], None

    return jax.lax.scan(step, objective.init(model(0), batch, key=key), jnp.arange(num_updates))[0]


def test_chains_follow_the_masses_of_modes_that_have_parted(key):
    """1,000 ladders, 400 updates: the share of the first mode is that of the model. Single chains keep the old one."""
    state = followed(TrajectoryPCD(MALA(1.0), 1_000, 6, start=Gaussian(jnp.zeros(1))), 400, key)
    testing.assert_mean(np.asarray(state.x[:, -1, 0] < 0, np.float64), 0.8, name="mass of the first mode")
    oldest, *_, youngest = np.asarray(state.past.params[0]).tolist()
    assert int(state.stored) >= 3
    assert oldest == 0.0
    assert youngest > 0.6
    single = followed(PersistentCD(MALA(1.0), 1_000), 400, key)
    with pytest.raises(AssertionError, match="smallest visible"):
        testing.assert_mean(np.asarray(single.x[:, 0] < 0, np.float64), 0.8)


def test_refusals():
    with pytest.raises(ArgumentError, match="at least two models"):
        TrajectoryPCD(MALA(0.1), num_models=1)
    with pytest.raises(KernelMismatch, match="which ULA does not"):
        TrajectoryPCD(ULA(0.1))
