"""The hidden side of a latent machine: the same log Z, and when it is taken."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import zoo

from energax import exact
from energax.energies import RBM, GaussianRBM, Interpolated, energy
from energax.evaluation._side import MOST_SITES, hidden_rows, hidden_side
from energax.spaces import Binary
from energax.testing import assert_mean

MACHINE = zoo.small(np.random.default_rng(0))


def test_the_hidden_side_has_the_log_z_and_the_masses_of_the_machine():
    side = hidden_side(MACHINE.energy)
    assert side is not None
    assert exact.log_z(side) == pytest.approx(zoo.exact_log_z(MACHINE), abs=1e-4)
    h = zoo.all_states(zoo.NUM_HIDDEN).astype(np.int8)
    np.testing.assert_allclose(-jax.vmap(side)(jnp.asarray(h)), zoo.log_masses(MACHINE), rtol=1e-5)


def test_real_visible_units_are_integrated_out():
    model = GaussianRBM(5, 3, key=jax.random.key(3))
    side = hidden_side(model)
    assert side is not None
    assert exact.log_z(side) == pytest.approx(exact.log_z(model), abs=1e-4)


def test_rows_come_over_by_the_law_of_the_hidden_units():
    side = hidden_side(MACHINE.energy)
    assert side is not None
    row = zoo.exact_rows(MACHINE, np.random.default_rng(1), 1)
    h = np.asarray(hidden_rows(side, np.repeat(row, 4000, axis=0), key=jax.random.key(2)), np.float64)
    p = zoo.on(np.asarray(MACHINE.hidden_bias + row[0] @ MACHINE.weights))
    assert_mean(h, p)


@pytest.mark.parametrize(
    "model",
    [
        energy(lambda x: jnp.sum(x * 1.0), space=Binary(4)),
        RBM(8, 8, key=jax.random.key(0)),
        RBM(4 * MOST_SITES, MOST_SITES + 1, key=jax.random.key(0)),
        Interpolated(energy(lambda x: jnp.sum(x) ** 2.0, space=Binary(8)), RBM(8, 4, key=jax.random.key(0)), 0.5),
    ],
)
def test_what_has_no_smaller_hidden_side(model):
    assert hidden_side(model) is None
