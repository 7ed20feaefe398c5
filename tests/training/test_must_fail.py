"""Runs that must fail are stopped, with a sentence that says why; learning rates are in `test_recovery.py`."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import energax as ex
from energax._errors import DataError, Diverged

ROWS = np.random.default_rng(0).normal(size=(300, 2)).astype(np.float32)


def trained(energy: ex.energies.AbstractEnergy, rows: np.ndarray) -> ex.FitResult:
    chains = ex.objectives.PersistentCD(ex.kernels.ULA(0.05), num_chains=16)
    learner = ex.Learner(energy, chains)
    return ex.fit(learner, rows, key=jax.random.key(0), num_steps=400, batch_size=16, log_every=15)


def test_an_energy_that_is_unbounded_below() -> None:
    """E(x) = −a ‖x‖² has no law; the chains run away, and the advice is a confining measure."""
    energy = ex.energy(
        lambda params, x: -jnp.exp(params) * jnp.sum(x**2),
        jnp.zeros(()),
        space=ex.spaces.Euclidean(2, initial_scale=1.0),
    )
    with pytest.raises(Diverged, match=r"energy gap exploded.*3 recoveries did not help.*a confining base measure"):
        trained(energy, ROWS)


def test_rows_that_are_all_equal() -> None:
    """No density has them; energies would fall without end at one point."""
    with pytest.raises(DataError, match=r"All 300 rows are equal.*nothing to learn"):
        trained(ex.energies.MLP(2, hidden=(8,), key=jax.random.key(1)), np.ones_like(ROWS))
