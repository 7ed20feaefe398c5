"""Noise-contrastive estimation: log Z in closed form, and identities where the noise is the data's law."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from energax import training
from energax._errors import ArgumentError, NotTractable, SpaceError
from energax.densities import Gaussian, IndependentSites
from energax.energies import MLP, RBM, energy
from energax.objectives import ConditionalNoiseContrastive, NoiseContrastive, RankingNCE
from energax.spaces import Binary, Euclidean
from energax.testing import references

LOG_Z = 0.5 * math.log(2 * math.pi)
NORMAL = Gaussian(jnp.zeros(1))


def _half_square(w, x):
    return 0.5 * jnp.sum(x**2) + 0.0 * w


HALF_SQUARE = energy(_half_square, jnp.zeros(()), space=Euclidean(1))


@pytest.mark.parametrize("num_noise", [1, pytest.param(3, marks=pytest.mark.slow)])
def test_noise_that_is_the_law_of_the_data_cannot_be_told_apart(num_noise, key):
    """At c = ½ log 2π every logit is −log ν: the loss is log(1 + ν) + ν log(1 + 1/ν) for any rows at all."""
    batch = jax.random.normal(key, (5, 1))
    objective = NoiseContrastive(NORMAL, log_z=LOG_Z, num_noise=num_noise)
    loss, (_, metrics) = objective.loss(HALF_SQUARE, batch, None, key=key)
    assert float(loss) == pytest.approx(math.log1p(num_noise) + num_noise * math.log1p(1 / num_noise), rel=1e-6)
    assert 0 <= float(metrics["accuracy"]) <= 1
    ranking, _ = RankingNCE(NORMAL, num_noise=num_noise).loss(HALF_SQUARE, batch, None, key=key)
    assert float(ranking) == pytest.approx(math.log1p(num_noise), rel=1e-6)


def test_log_z_is_learned(key):
    """E = x²/2 on data N(0, 1): c goes to ½ log 2π, where with this noise the gradient has no variance left."""
    objective = NoiseContrastive(NORMAL)
    learner = training.Learner(HALF_SQUARE, objective, companion_optimizers={"log_z": optax.adam(0.03)})
    data = np.random.default_rng(0).normal(size=(500, 1)).astype(np.float32)
    run = training.fit(learner, data, key=key, num_steps=800, batch_size=100)
    assert float(run.state.companions["log_z"]) == pytest.approx(LOG_Z, abs=1e-3)
    assert run.history[-1]["log_z"] == pytest.approx(LOG_Z, abs=1e-2)


def test_pairs_of_a_row_and_its_copy(key):
    """2 log(1 + exp(E(x) − E(y))): with a constant energy 2 log 2, and to first order 2 log 2 − (E(y) − E(x))."""
    flat = energy(_constant, jnp.ones(()), space=Euclidean(2))
    loss, _ = ConditionalNoiseContrastive(0.5).loss(flat, jnp.ones((4, 2)), None, key=key)
    assert float(loss) == pytest.approx(2 * math.log(2), rel=1e-6)
    well, batch = references.skewed_mixture().energy, jnp.array([[0.3, 0.1]])
    loss, (_, metrics) = ConditionalNoiseContrastive(1e-3, 64).loss(well, batch, None, key=key)
    rise = float(metrics["energy_noise"]) - float(metrics["energy_data"])
    assert float(loss) == pytest.approx(2 * math.log(2) - rise, abs=1e-5)


def _constant(w, x):
    return w + 0.0 * jnp.sum(x)


def test_discrete_data_need_noise_on_their_space():
    rbm, noise = RBM(4, 3, key=jax.random.key(0)), IndependentSites(Binary(4))
    for objective in (NoiseContrastive(noise), RankingNCE(noise)):
        objective.check(rbm)
        with pytest.raises(SpaceError, match=r"needs a law on the space of the model.*IndependentSites is on"):
            objective.check(HALF_SQUARE)
    batch = jnp.array([[0, 1, 1, 0], [1, 1, 0, 0]], jnp.int8)
    loss, _ = NoiseContrastive(noise, num_noise=2).loss(rbm, batch, None, key=jax.random.key(1))
    assert math.isfinite(float(loss))


def test_what_is_refused():
    with pytest.raises(ArgumentError, match="NoiseContrastive needs noise with draws and a density"):
        NoiseContrastive(HALF_SQUARE)
    with pytest.raises(ArgumentError, match=r"RankingNCE needs noise.*num_noise >= 1; got Gaussian and 0"):
        RankingNCE(NORMAL, num_noise=0)
    with pytest.raises(ArgumentError, match="noise_scale > 0 and num_noise >= 1"):
        ConditionalNoiseContrastive(-1.0)
    with pytest.raises(NotTractable, match="no confining base measure"):
        NoiseContrastive(NORMAL).check(MLP(1, confinement=None, key=jax.random.key(0)))
