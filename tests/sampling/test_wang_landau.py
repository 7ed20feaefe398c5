"""Wang–Landau and multicanonical walks: matrices of the chain, exact starts, exact numbers of states, refusals."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import chi2, t

from energax._errors import ArgumentError, Diverged, ShapeError
from energax.densities import Gaussian
from energax.energies import RBM, EnergyBins, FactorGraph, Ising, Marginal, Multicanonical, Potts, Tempered, energy
from energax.exact import ising_density_of_states, states
from energax.kernels import HeatBath
from energax.sampling import _flat_walk as flat
from energax.sampling import energy_bins, multicanonical, wang_landau
from energax.spaces import Spins
from energax.testing import assert_invariant

FALSE_ALARM = 1e-6
KEY = jax.random.key(0)


def weights(num_bins):
    return jnp.asarray(2.0 * np.sin(np.arange(1.0, num_bins + 1) ** 2), float)


def machine():
    return RBM.from_parameters(
        np.sin(np.arange(12.0)).reshape(4, 3), np.linspace(-0.5, 0.5, 4), np.array([0.2, 0.5, -0.3])
    )


FLAT = {
    "ising": lambda: Multicanonical(
        Ising((2, 3), field=np.cos(np.arange(6.0)).reshape(2, 3)), EnergyBins(-9.03, 2.1, 8), weights(8)
    ),
    "potts": lambda: Multicanonical(Potts((2, 2), 3, field=[0.3, 0.0, -0.4]), EnergyBins(-7.01, 0.9, 7), weights(7)),
    "free energy of a machine": lambda: Multicanonical(machine(), EnergyBins(-4.1, 0.4, 6), weights(6)),
}


@pytest.mark.parametrize("name", FLAT)
def test_the_chain_leaves_its_law_invariant(name):
    assert_invariant(HeatBath(), FLAT[name]())


def check_site_laws(model):
    """The law that the compiled walk draws from is that of the heat bath whose matrix is checked above."""
    with jax.enable_x64(True):
        model = jax.tree.map(lambda leaf: leaf.astype(float), model)
        values = jnp.asarray(model.space.values, jnp.int8)

        def both(x, site):
            law, energies = flat.site_law(model.energy, model.bins, model.look, x, model.energy(x), site)
            other = HeatBath().proposal(model, x, site)
            changed = jax.vmap(lambda v: model.energy(x.reshape(-1).at[site].set(v).reshape(x.shape)))(values)
            return jax.vmap(law.log_prob)(values), jax.vmap(other.log_prob)(values), energies, changed

        table, sites = jnp.asarray(states(model.space)), jnp.arange(model.space.num_sites)
        own, other, energies, changed = jax.jit(jax.vmap(jax.vmap(both, (None, 0)), (0, None)))(table, sites)
        assert np.abs(np.exp(own) - np.exp(other)).max() <= 1e-14
        assert np.abs(energies - changed).max() <= 1e-12


@pytest.mark.parametrize("name", FLAT)
def test_the_walk_draws_from_the_same_laws(name):
    check_site_laws(FLAT[name]())


def check_exact_start(key):
    """20,480 walkers that begin at exact draws are exact draws after five sweeps: χ² of the energy levels.

    Smallest defect seen: an energy level with 6 % more or less than its share.
    """
    model = FLAT["ising"]()
    table = states(model.space)
    levels, index = np.unique(np.asarray(jax.vmap(model.energy)(table)).round(4), return_inverse=True)
    law = np.exp(-np.asarray(jax.vmap(model)(table), np.float64))
    law /= law.sum()
    start = jax.random.choice(key, jnp.asarray(table), (16, 1280), p=jnp.asarray(law, float))
    run = multicanonical(model, start, key=jax.random.fold_in(key, 1), num_sweeps=5)
    last = np.asarray(jax.vmap(jax.vmap(model.energy))(run.x)).round(4).reshape(-1)
    np.testing.assert_allclose(run.energies[:, :, -1].reshape(-1), last, atol=1e-4)
    seen = np.bincount(np.searchsorted(levels, last), minlength=levels.size)
    expected = last.size * np.bincount(index, law)
    assert expected.min() > 5
    assert ((seen - expected) ** 2 / expected).sum() <= chi2.isf(FALSE_ALARM, levels.size - 1)
    np.testing.assert_allclose(run.visits.sum(), 5 * 6 * last.size)


@pytest.mark.slow
def test_walkers_that_start_exact_stay_exact(key):
    check_exact_start(key)


def next_bin(bins, look, energy):
    return RIGHT_FLAT(bins, look, energy + bins.width)


def energies_stand_still(space, energy, logits, old):
    found = RIGHT_ENERGIES(space, energy, logits, old)
    return energy + 0.9 * (found - energy)


RIGHT_FLAT, RIGHT_ENERGIES = flat.flat_energy, flat.energies_of_values


@pytest.mark.slow
@pytest.mark.parametrize("name", ["flat_energy", "energies_of_values"])
def test_mutants_are_caught(name, key, monkeypatch):
    jax.clear_caches()
    monkeypatch.setattr(flat, name, next_bin if name == "flat_energy" else energies_stand_still)
    with pytest.raises(AssertionError):
        check_exact_start(key) if name == "flat_energy" else check_site_laws(FLAT["ising"]())
    monkeypatch.undo()
    jax.clear_caches()


@functools.cache
def potts_states():
    """The levels of nine sites with three values each, and the numbers of their states."""
    values = np.asarray(jax.vmap(Potts((3, 3), 3))(states(Potts((3, 3), 3).space)), np.float64)
    levels, counts = np.unique(values, return_counts=True)
    return levels, np.log(counts)


@pytest.mark.parametrize("name", ["ising", pytest.param("potts", marks=pytest.mark.slow)])
def test_numbers_of_states_against_exact_ones(name, key):
    """The spread of the repeats tells how far their mean may be from the truth."""
    if name == "ising":
        model, exact = Ising((4, 4)), ising_density_of_states((4, 4))
        levels, logs = exact.energies, exact.log_counts
    else:
        model, (levels, logs) = Potts((3, 3), 3), potts_states()
    found = wang_landau(model, key=key, num_sweeps=1024)
    assert found.converging.all()
    index = np.asarray(found.bins(jnp.asarray(levels, float)))
    assert len(set(index.tolist())) == levels.size, "every level has a bin"
    own = found.log_states[:, index]
    assert np.isfinite(own).all()
    empty = np.setdiff1d(np.arange(found.bins.num_bins), index)
    assert not found.visits[:, empty].any()
    np.testing.assert_allclose(logsumexp(found.log_states, axis=1), model.space.log_volume)
    z = (own.mean(0) - logs) / (own.std(0, ddof=1) / np.sqrt(len(own)))
    assert np.abs(z).max() <= t.isf(FALSE_ALARM / 2 / levels.size, len(own) - 1)
    # Another call goes on: ln f is half as large after twice as many sweeps.
    more = wang_landau(model, found, key=jax.random.fold_in(key, 1), num_sweeps=1024)
    np.testing.assert_allclose(more.factor, 0.5 * found.factor, rtol=1e-3)


def test_ln_f_follows_its_schedule():
    """Halved where flat, then 1/t; small additions to a large log g are not lost."""
    start = flat.first_weights(2, 4)
    start = flat.Weights(
        jnp.full((2, 4), 3e4), start.low, start.seen + 5, start.total + 5, jnp.asarray([1e-3, 1e-6]), start.late,
        jnp.asarray(999), start.stage + 20,
    )  # fmt: skip
    visits = jnp.asarray([[10, 10, 10, 10], [7, 10, 13, 10]], jnp.int32)
    after = flat._learned(start, visits, 40, jnp.asarray(0.8))
    np.testing.assert_allclose(after.factor, [5e-4, 4 / (1000 * 40)], rtol=1e-6)
    assert after.late.tolist() == [False, True]
    assert after.seen.tolist()[0] == [0, 0, 0, 0]
    assert after.stage.tolist()[0] == 0
    gained = np.asarray(after.high, np.float64) + np.asarray(after.low, np.float64)
    np.testing.assert_allclose(gained[1] - gained[1, 0], 1e-6 * np.asarray([0, 3, 6, 3]), rtol=1e-3)


def test_bins_are_found(key):
    lattice = energy_bins(Tempered(Ising((3, 4)), 0.25), key=key)
    # Sums over rings of three have spacing 4 too; the levels lie in the middle of their bins.
    assert float(lattice.width) == pytest.approx(1.0, rel=1e-4)
    assert float(lattice.low) == pytest.approx(-6.5, rel=1e-4)
    half = energy_bins(Ising((4, 4)), side="low", key=key)
    assert (float(half.low), float(half.width)) == (-34.0, 4.0)
    assert 8 <= half.num_bins <= 10
    real = energy_bins(Marginal(machine()), key=key)
    values = np.asarray(jax.vmap(Marginal(machine()))(states(Marginal(machine()).space)))
    assert real.num_bins == 100
    assert float(real.low) == pytest.approx(values.min(), abs=1e-5)
    assert int(real(jnp.asarray(values.max() + 1))) == 99


def constant(params, x):
    return params + 0.0 * jnp.sum(x)


def forbidding(params, x):
    return jnp.where(jnp.all(x == 1), jnp.inf, params * jnp.sum(x))


@pytest.mark.parametrize(
    ("model", "options", "error", "message"),
    [
        (Gaussian(jnp.zeros(2)), {}, ArgumentError, "single discrete sites"),
        (energy(constant, jnp.asarray(1.0), space=Spins(4)), {}, ArgumentError, "change|one level"),
        (energy(forbidding, jnp.asarray(1.0), space=Spins(2)), {}, Diverged, "finite"),
        (Ising(3), {"low": 5.0, "high": -5.0}, ArgumentError, "low must be below high"),
        (Ising(3), {"width": 0.0}, ArgumentError, "positive number"),
        (Ising(3), {"side": "left"}, ArgumentError, '"low" or "high"'),
    ],
)
def test_ranges_that_are_refused(model, options, error, message):
    with pytest.raises(error, match=message):
        energy_bins(model, **options, key=KEY)


def test_an_energy_that_is_infinite_somewhere_is_refused_on_the_way():
    model = energy(forbidding, jnp.asarray(1.0), space=Spins(6))
    with pytest.raises(Diverged, match="not finite"):
        multicanonical(Multicanonical(model, EnergyBins(-7.0, 2.0, 7), jnp.zeros(7)), key=KEY, num_sweeps=40)


def test_sites_with_different_numbers_of_values(key):
    """Values that a site has not are no energies that are not finite, and are never drawn."""
    rng = np.random.default_rng(4)
    model = FactorGraph((3, 2, 1), [((0, 1), rng.normal(size=(3, 2))), ((1, 2), rng.normal(size=(2, 1)))])
    weights = Multicanonical(model, EnergyBins(-3.0, 1.0, 6), jnp.zeros(6))
    run = multicanonical(weights, key=key, num_sweeps=64)
    x = np.asarray(run.x).reshape(-1, 3)
    assert x.max(axis=0).tolist() == [2, 1, 0]
    assert np.isfinite(run.energies).all()


def test_numbers_that_make_no_sense():
    bins = EnergyBins(-34.0, 4.0, 17)
    with pytest.raises(ArgumentError, match="flatness"):
        wang_landau(Ising(4), bins, key=KEY, num_sweeps=8, flatness=1.0)
    with pytest.raises(ArgumentError, match="two repeats"):
        wang_landau(Ising(4), bins, key=KEY, num_sweeps=8, num_repeats=1)
    with pytest.raises(ArgumentError, match="single discrete sites"):
        wang_landau(Gaussian(jnp.zeros(2)), key=KEY, num_sweeps=8)
    with pytest.raises(ArgumentError, match="at least 2 bins"):
        EnergyBins(0.0, 1.0, 1)
    with pytest.raises(ShapeError, match="one number for each of 17 bins"):
        Multicanonical(Ising(4), bins, jnp.zeros(3))
