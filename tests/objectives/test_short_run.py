"""Short chains from noise against the closed form of their law in a harmonic well."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax import testing
from energax._errors import ArgumentError, KernelMismatch, SpaceError
from energax.densities import Gaussian
from energax.energies import Ising, energy
from energax.kernels import MALA, ULA
from energax.objectives import ContrastiveDivergence, ShortRun
from energax.spaces import Euclidean

STEP, NUM_STEPS, SPREAD = 0.2, 4, 0.5
OBJECTIVE = ShortRun(ULA(STEP), 16, NUM_STEPS, start=Gaussian(jnp.zeros(1), SPREAD**2))


def _well(params, x):
    return 0.5 * params[0] * (x[0] - params[1]) ** 2


WELL = energy(_well, jnp.array([1.5, 2.0]), space=Euclidean(1))


def closed_form(num_steps):
    """Mean and variance after so many steps of ULA in k(x − m)²/2 from N(0, s²): both forget the start by 1 − hk."""
    k, m = 1.5, 2.0
    decay = (1 - STEP * k) ** num_steps
    fixed = 2 * STEP / (1 - (1 - STEP * k) ** 2)
    return m * (1 - decay), decay**2 * SPREAD**2 + (1 - decay**2) * fixed


def test_the_generator_has_the_law_of_the_chain_of_training(key):
    """40,000 draws: mean and second moment are those of 4 steps, and those of 5 steps and of the well are excluded."""
    draws = np.asarray(OBJECTIVE.generate(WELL, 40_000, key=key), np.float64)[:, 0]
    found = np.stack([draws, draws**2], axis=1)

    def moments(mean, variance):
        return np.array([mean, mean**2 + variance])

    testing.assert_mean(found, moments(*closed_form(NUM_STEPS)), name="moments of the generator")
    for other in (closed_form(NUM_STEPS + 1), (2.0, 1 / 1.5)):
        with pytest.raises(AssertionError, match="smallest visible"):
            testing.assert_mean(found, moments(*other))


def test_training_rests_where_the_chains_match_the_data(key):
    """The gradient of 4,000 updates vanishes on rows with the moments of the chains; chains from the data see one."""
    mean, variance = closed_form(NUM_STEPS)
    rows = jnp.asarray(mean + np.sqrt(variance) * np.array([-1.0, 1.0]), jnp.float32)[:, None]

    def slopes(objective):
        run = jax.jit(jax.vmap(lambda k: jax.grad(lambda e: objective.loss(e, rows, None, key=k)[0])(WELL).params))
        return np.asarray(run(jax.random.split(key, 4_000)), np.float64)

    testing.assert_mean(slopes(OBJECTIVE), np.zeros(2), name="gradient")
    with pytest.raises(AssertionError, match="smallest visible"):
        testing.assert_mean(slopes(ContrastiveDivergence(ULA(STEP), NUM_STEPS)), np.zeros(2))


def test_what_is_refused():
    with pytest.raises(ArgumentError, match="num_steps=0"):
        ShortRun(ULA(0.1), num_steps=0)
    with pytest.raises(ArgumentError, match="num_chains=0"):
        ShortRun(ULA(0.1), 0)
    with pytest.raises(KernelMismatch, match="MALA needs a score"):
        ShortRun(MALA(0.1)).check(Ising(3))
    with pytest.raises(SpaceError, match="start"):
        ShortRun(ULA(0.1), start=Gaussian(jnp.zeros(2))).check(WELL)
