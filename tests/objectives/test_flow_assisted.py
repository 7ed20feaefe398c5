"""Chains that a trained law carries between far modes, against closed forms for mixtures of normal laws."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import logit

from energax import testing
from energax._errors import ArgumentError, KernelMismatch, SpaceError
from energax.densities import Gaussian, GaussianMixture
from energax.energies import RBM, energy
from energax.kernels import MALA
from energax.objectives import FlowAssisted, PersistentCD, companions, with_companions
from energax.spaces import Euclidean

MODES = jnp.array([[-12.0], [9.0]])
LAW = GaussianMixture(MODES)


def _two_modes(s, x):
    """Modes −12 and 9 of unit width, with the mass σ(s) in the first."""
    logs = jnp.stack([jax.nn.log_sigmoid(s) - 0.5 * (x[0] + 12) ** 2, jax.nn.log_sigmoid(-s) - 0.5 * (x[0] - 9) ** 2])
    return -jax.nn.logsumexp(logs)


def test_jumps_bring_the_masses_of_the_model(key):
    """4,000 chains that all start in one mode: after 12 updates the shares are 0.8 and 0.2; local steps alone stay."""
    model, rows = energy(_two_modes, jnp.asarray(logit(0.8), float), space=Euclidean(1)), jnp.full((4, 1), 9.0)

    def share(objective):
        def update(state, k):
            return objective.loss(model, rows, state, key=jax.random.fold_in(key, k))[1][0], None

        state = jax.jit(lambda s: jax.lax.scan(update, s, jnp.arange(12))[0])(objective.init(model, rows, key=key))
        return np.asarray(state.x[:, 0] < 0, np.float64)

    testing.assert_mean(share(FlowAssisted(MALA(1.0), LAW, num_chains=4_000)), 0.8, name="mass of the first mode")
    with pytest.raises(AssertionError, match="smallest visible"):
        testing.assert_mean(share(PersistentCD(MALA(1.0), 4_000)), 0.8)


def test_the_gradients_of_energy_and_law_do_not_mix(key):
    """The energy's is that of contrastive divergence at the same ends; the law's minus that of their likelihood."""
    model, law = Gaussian(jnp.zeros(1), 2.0), Gaussian(jnp.array([0.3]), 1.5)
    rows = jax.random.normal(key, (6, 1))
    objective = FlowAssisted(MALA(0.5), law, num_chains=6)
    state = objective.init(model, rows, key=key)
    assert not companions(objective)["flow"].ascends

    def loss(model, law):
        value, (after, _) = with_companions(objective, {"flow": law}).loss(model, rows, state, key=key)
        return value, after.x

    def separate(model, law):
        contrast = jnp.mean(jax.vmap(model)(rows)) - jnp.mean(jax.vmap(model)(ends))
        return contrast - jnp.mean(jax.vmap(law.log_prob)(ends))

    found, ends = jax.jit(jax.grad(loss, argnums=(0, 1), has_aux=True))(model, law)
    want = jax.jit(jax.grad(separate, argnums=(0, 1)))(model, law)
    for have, right in zip(jax.tree.leaves(found), jax.tree.leaves(want), strict=True):
        np.testing.assert_allclose(have, right, rtol=1e-4, atol=1e-6)
        assert np.any(np.asarray(have) != 0)


def test_what_is_refused():
    with pytest.raises(ArgumentError, match="num_jumps >= 1, got 0"):
        FlowAssisted(MALA(0.1), LAW, num_jumps=0)
    with pytest.raises(ArgumentError, match="needs a density that proposes jumps, got MALA"):
        FlowAssisted(MALA(0.1), MALA(0.1))
    with pytest.raises(SpaceError, match="needs a law on the space of the model"):
        FlowAssisted(MALA(0.1), LAW).check(Gaussian(jnp.zeros(2)))
    with pytest.raises(KernelMismatch, match=r"needs a score, but space=Binary"):
        FlowAssisted(MALA(0.1), LAW).check(RBM(4, 3, key=jax.random.key(0)))
