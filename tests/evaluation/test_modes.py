"""The search for modes, the laws around what it finds, and the mixtures that take them into the base."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import zoo
from scipy.special import logsumexp

from energax import exact
from energax._errors import ArgumentError
from energax.densities import IndependentSites, SiteMixture
from energax.energies import energy
from energax.evaluation._hunt import _far_apart, _hidden_starts, hunt
from energax.evaluation._mixture import LabelledPath, LabelledSites, Mixture
from energax.evaluation._places import Places, examine, missed_modes
from energax.kernels import BlockGibbs
from energax.spaces import Binary, Spins

SPACE = Binary(zoo.NUM_VISIBLE)


def near_off(strength=4.0):
    return IndependentSites(SPACE, jnp.full(zoo.NUM_VISIBLE, -strength))


@pytest.mark.slow
def test_a_mode_that_one_hidden_unit_guards_is_found(key):
    """No visible start leads to it: the base is near all off, where the gradient points back."""
    pattern = np.arange(zoo.NUM_VISIBLE)[None] % 3 == 0
    machine = zoo.planted(pattern.astype(int), np.zeros(1), 5.0)
    found = hunt(machine.energy, BlockGibbs(), near_off(), num=64, num_sweeps=48, key=key)
    distance = np.abs(found - pattern).sum(axis=1)
    assert found.shape == (64, zoo.NUM_VISIBLE)
    # Among the first, from which the smallest family of ladders starts.
    assert distance[:16].min() <= 1
    assert found[:16].sum(axis=1).min() <= 1


def test_a_shallow_mode_is_not_crowded_out_by_a_deep_one(rng):
    """500 configurations of a mode that is deeper throughout, and one of a shallow mode far away."""
    deep = (rng.random((500, 40)) < 0.1).astype(np.int8)
    x = np.concatenate([deep, np.ones((1, 40), np.int8)])
    values = np.r_[-50.0 - deep.sum(axis=1), -40.0]
    chosen = _far_apart(values, x, 16)
    assert chosen[0] == np.argmin(values)
    assert 500 in chosen[:12]
    assert len(np.unique(chosen)) == 16


def test_equal_configurations_come_last_and_broken_ones_latest():
    x = np.array([[0.0], [0.0], [5.0], [9.0]])
    assert _far_apart(np.array([1.0, 2.0, 3.0, np.nan]), x, 4).tolist() == [0, 2, 1, 3]
    assert _far_apart(np.array([1.0, 2.0, 3.0]), np.array([[0.0], [np.inf], [5.0]]), 3).tolist() == [0, 2, 1]
    assert _far_apart(np.full(2, np.nan), np.zeros((2, 1)), 2).tolist() == [0, 1]
    assert _far_apart(np.array([1.0, 2.0, 3.0]), np.zeros((3, 1)), 3).tolist() == [0, 1, 2]


def test_models_without_hidden_units_have_no_hidden_starts(key):
    plain = energy(lambda x: jnp.sum(x), space=Spins(3))
    keys = jax.random.split(key, (2, 4))
    assert _hidden_starts(plain, keys[0], keys[1]) is None


def test_masses_of_places(key):
    """E_g[−E − log g] is at most log Z, and near the log mass of a mode that one law fits."""
    machine = zoo.planted(np.ones((1, zoo.NUM_VISIBLE), int), np.array([1.5]), 4.0)
    starts = np.repeat(np.array([[0], [1]], np.int8), zoo.NUM_VISIBLE, axis=1)
    places = examine(machine.energy, BlockGibbs(), starts, key=key)
    off = zoo.NUM_VISIBLE * np.log1p(np.exp(-4.0))
    # A law of 96 draws is off by about sites / (2 · 96) nats.
    assert places.log_masses == pytest.approx([off, off + 1.5], abs=0.4)
    assert places.ends.shape == (2, zoo.NUM_VISIBLE)
    assert np.abs(places.ends - starts).sum(axis=1).max() <= 3
    excess = np.array([0.0, 9.0])
    ((law, mass),) = missed_modes(places, near_off(), excess, key=key)
    assert np.all(np.asarray(law.logits) > 0)
    # A mode is taken in with its mass relative to what annealing reaches, within bounds.
    assert mass == pytest.approx(2.0)
    assert missed_modes(places, near_off(), np.zeros(2), key=key) == []


def test_what_matters():
    """Relative to the heavier of the places that annealing reaches."""
    places = Places(np.zeros((4, 1)), None, np.array([0.0, -6.9, -7.1, np.inf]))
    assert places.matters(np.zeros(4)).tolist() == [True, True, True, True]
    assert places.matters(np.array([0.0, 5.0, 5.0, 5.0])).tolist() == [True, True, False, True]
    nowhere = Places(np.zeros((2, 1)), None, np.full(2, np.inf))
    assert nowhere.matters(np.zeros(2)).all()


# -- mixtures ---------------------------------------------------------------------------------------------------------

SMALL = Binary(5)
LOG_WEIGHTS = jnp.log(jnp.asarray([0.6, 0.3, 0.1]))


@pytest.fixture
def mixture(rng):
    return SiteMixture(jnp.asarray(2.0 * rng.normal(size=(3, 5)), jnp.float32), LOG_WEIGHTS, SMALL)


def test_a_mixture_of_sites_is_a_mixture(mixture, key):
    parts = tuple(IndependentSites(SMALL, logits) for logits in mixture.logits)
    x = jnp.asarray(zoo.all_states(5), jnp.int8)
    one, other = (np.asarray(jax.vmap(law.log_prob)(x)) for law in (mixture, Mixture(parts, LOG_WEIGHTS)))
    assert one == pytest.approx(other, abs=1e-5)
    assert logsumexp(one) == pytest.approx(0.0, abs=1e-5)
    draws = np.asarray(jax.vmap(lambda k: mixture.draw(key=k))(jax.random.split(key, 4000)))
    p = np.exp(one) @ zoo.all_states(5)
    z = (draws.mean(0) - p) / np.sqrt(p * (1 - p) / 4000)
    assert np.abs(z).max() < 5.2


def test_components_on_two_spaces_are_refused():
    with pytest.raises(ArgumentError, match="one space"):
        Mixture((IndependentSites(Binary(2)), IndependentSites(Binary(3))), jnp.zeros(2))


def test_labels_are_hidden_units_of_the_mixture(mixture):
    """Summing the component out leaves the mixture; both conditionals are those of the joint energy."""
    joint = LabelledSites(mixture)
    x = jnp.asarray([0, 1, 1, 0, 1], jnp.int8)
    each = [float(-joint({"component": jnp.asarray(k), "sites": x})) for k in range(3)]
    assert logsumexp(each) == pytest.approx(float(mixture.log_prob(x)), abs=1e-5)
    assert exact.log_z(joint) == pytest.approx(0.0, abs=1e-5)


def test_both_ends_of_a_labelled_path(mixture, rng):
    machine = zoo.Machine(rng.normal(size=(5, 3)), rng.normal(size=5), rng.normal(size=3))
    path = LabelledPath(mixture, machine.energy)
    assert exact.log_z(path.at(jnp.zeros(()))) == pytest.approx(0.0, abs=1e-5)
    assert exact.log_z(path.at(jnp.ones(()))) == pytest.approx(zoo.exact_log_z(machine), abs=1e-5)
    x = jnp.asarray([0, 1, 1, 0, 1], jnp.int8)
    w, b, c = machine
    free = -(x @ b + np.logaddexp(0.0, c + np.asarray(x) @ w).sum())
    assert float(path.value(jnp.zeros(()), x)) == pytest.approx(float(-mixture.log_prob(x)), abs=1e-5)
    assert float(path.value(jnp.ones(()), x)) == pytest.approx(float(free), abs=1e-5)
