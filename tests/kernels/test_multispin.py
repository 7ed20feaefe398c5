"""Spins in words: every bit is what the plain path would do with the same random number; the law of a large lattice."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

import energax as ex
from energax import testing
from energax.energies import Interpolated, Ising, Sum, Tempered, conditional_logits, uniform_lattice
from energax.kernels import BlockGibbs, Cycle, HeatBath, Metropolis
from energax.kernels import _multispin as multispin
from energax.kernels._block_gibbs import BlockGibbsState
from energax.kernels._multispin import PackedSpins, layout_of

SHAPES = {"64x64": (64, 64), "4x4": (4, 4), "2x16": (2, 16), "16x6": (16, 6), "12x40": (12, 40), "2x2": (2, 2)}


def _lattice(shape):
    return Tempered(Sum((Ising(shape, coupling=0.7, field=0.2), Ising(shape, coupling=-0.1, field=-0.35))), 0.9)


def _spins(shape, seed=0):
    return jax.random.rademacher(jax.random.key(seed), shape, jnp.int8)


@pytest.mark.parametrize("name", SHAPES)
def test_a_configuration_comes_back_from_words(name):
    shape = SHAPES[name]
    layout = layout_of(shape, fewest_spins=1)
    x = jnp.stack([_spins(shape, seed) for seed in range(3)])
    states = jax.vmap(lambda one: PackedSpins.pack(one, layout))(x)
    np.testing.assert_array_equal(states.x, x)
    np.testing.assert_array_equal(jax.vmap(lambda state: state.x)(states), x)


TABLES = {"heat bath": multispin.heat_bath_table, "metropolis": multispin.metropolis_table}


def up_probability(logits, x, rule):
    """The plain path: probability that a site is +1 after its update."""
    rise, fall = np.exp(np.minimum(0, logits)), np.exp(np.minimum(0, -logits))
    return 1 / (1 + np.exp(-logits)) if rule == "heat bath" else np.where(x > 0, 1 - fall, rise)


@jax.jit
def _draw_both_colours(energy, x, keys):
    """Per rule and colour: lattice before, logits before, the 24 random bits of every site, lattice after."""
    lattice, layout = uniform_lattice(energy), layout_of(x.shape, fewest_spins=1)
    planes = jax.vmap(lambda k: jax.random.bits(k, (layout.num_rows, layout.num_columns), jnp.uint32) & layout.mask)
    bits = jax.vmap(lambda half: PackedSpins(jnp.stack([half, half]), layout, "int8").x > 0)(planes(keys))
    found = {}
    for rule, table in TABLES.items():
        thresholds, before = multispin.as_thresholds(table(lattice)), x
        for colour in (0, 1):
            state = PackedSpins.pack(before, layout)
            halves = state.words[colour], state.words[1 - colour]
            new = multispin.update_colour(*halves, colour, layout, thresholds, keys)
            after = PackedSpins(state.words.at[colour].set(new), layout, "int8").x
            found[rule, colour] = before, conditional_logits(energy, before), bits, after
            before = after
    return found


@pytest.mark.parametrize("name", ["4x4", "2x16", "64x64"])
def test_each_bit_is_the_decision_of_the_plain_path(name):
    assert_plain_decisions(SHAPES[name])


def assert_plain_decisions(shape):
    """A site of 24 random bits r is +1 where r < 2^24 p, with p of the plain path; other sites stay."""
    keys = jax.random.split(jax.random.key(7), multispin.NUM_BITS)
    for (rule, colour), facts in _draw_both_colours(_lattice(shape), _spins(shape, 1), keys).items():
        before, logits, bits, after = map(np.asarray, facts)
        numbers = np.einsum("b...,b->...", bits.astype(np.int64), 2 ** np.arange(multispin.NUM_BITS))
        wanted = up_probability(logits.astype(np.float64), before, rule) * 2**multispin.NUM_BITS
        mine = np.indices(shape).sum(0) % 2 == colour
        # No number is so near a threshold that rounding in float32 decides (8 of 2^24 for each of 4096 sites: 0.4 %).
        assert np.abs(numbers - wanted)[mine].min() > 8
        np.testing.assert_array_equal(after, np.where(mine, np.where(numbers < wanted, 1, -1), before))


@pytest.mark.parametrize("rule", TABLES)
def test_thresholds_are_the_probabilities_of_the_plain_path(rule):
    """In float64 the table is the plain law; in float32 each threshold is within 2^-24 and rounding of it."""
    for coupling, field in ((0.42, 0.0), (-0.3, 0.7), (9.0, 0.1), (0.0, 0.0)):
        table = np.asarray(TABLES[rule](uniform_lattice(Ising(4, coupling=coupling, field=field))))
        logits = 2 * (coupling * np.arange(-4, 5, 2) + field)
        want = [1 / (1 + np.exp(-logits))]
        if rule == "metropolis":
            want = [np.exp(np.minimum(0, logits)), 1 - np.exp(np.minimum(0, -logits))]
        thresholds = np.asarray(multispin.as_thresholds(jnp.asarray(table)), np.float64)
        assert np.abs(thresholds / 2**24 - np.stack(want)).max() <= 3 * 2.0**-24
        assert thresholds.max() <= 2**24


def test_certain_and_impossible_values_are_certain_and_impossible():
    keys = jax.random.split(jax.random.key(3), multispin.NUM_BITS)
    below = jax.jit(multispin.below)
    everywhere = [jnp.full((8, 64), 0xFFFFFFFF, jnp.uint32)]
    for threshold, word in ((0, 0), (2**24, 0xFFFFFFFF)):
        bits = below(jnp.asarray([threshold], jnp.uint32), everywhere, keys)
        assert (np.asarray(bits) == word).all()


def test_which_energies_are_packed():
    def packed(energy):
        return multispin.packing(energy) is not None

    for energy in (Ising(64), _lattice((12, 32)), Interpolated(Ising(32), Ising(32), 0.3)):
        assert packed(energy)
    for energy in (Ising(63), Ising(10), Ising((15, 16, 16)), Ising(32, field=jnp.zeros((32, 32)))):
        assert not packed(energy)
    assert isinstance(Metropolis().init(Ising(64), _spins((64, 64)), key=jax.random.key(0)), BlockGibbsState)


def test_contract(key):
    """As part of a cycle, so that configurations come back into words from another kernel as well."""
    energy = Tempered(Ising((16, 6), coupling=0.5, field=0.1), 0.8)
    checked = testing.check_kernel(Cycle((Metropolis("blocks"), HeatBath("random"))), energy, key=key)
    assert {"jit", "vmap", "one_trace", "refresh", "nonfinite", "stored"} <= set(checked)


@pytest.mark.slow
@pytest.mark.parametrize("kernel", [BlockGibbs(), Metropolis("blocks")], ids=["heat bath", "metropolis"])
def test_energy_of_a_large_lattice(kernel, key):
    """64 × 64 at β = 0.42, E/N = −1.226637 on the torus: 4.9 standard errors are 0.0025 or so, 0.2 % of the energy.

    256 independent chains from all spins up, 2400 sweeps of warm-up (over ten autocorrelation times of the
    magnetisation) and 160 draws; Student's t of the means of the chains, false alarm 1e-6.
    """
    assert isinstance(kernel.init(Ising(64), _spins((64, 64)), key=key), PackedSpins)
    energy, x0 = Tempered(Ising(64), 0.42), jnp.ones((256, 64, 64), jnp.int8)
    run = ex.sample(energy, kernel, x0, num_steps=1600, thin=10, num_warmup=2400, save=None, key=key)
    means = run.energy.astype(np.float64).mean(1) / (0.42 * 64 * 64)
    t = (means.mean() - torus_energy_per_site(64, 0.42)) / (means.std(ddof=1) / 16)
    assert 2 * scipy.stats.t.sf(abs(t), 255) > testing.FALSE_ALARM, t


def test_reference_energy_of_the_torus():
    assert torus_energy_per_site(2, 0.2) == pytest.approx(-0.85184512262479771, abs=1e-7)


def torus_energy_per_site(length, beta):
    """−∂ log Z/∂β / L² of Kaufman's sum of four products, by central differences; β below the critical point."""

    def log_z(b):
        gamma = np.arccosh(np.cosh(2 * b) / np.tanh(2 * b) - np.cos(np.pi * np.arange(2 * length) / length))
        gamma[0] = 2 * b + np.log(np.tanh(b))  # negative here, which makes the last product negative
        odd, even = length * gamma[1::2] / 2, length * gamma[0::2] / 2
        terms = [np.sum(np.log(2 * np.abs(f(g)))) for g in (odd, even) for f in (np.cosh, np.sinh)]
        total = np.sum(np.exp(np.asarray(terms) - max(terms)) * [1, 1, 1, -1])
        return -np.log(2) + 0.5 * length**2 * np.log(2 * np.sinh(2 * b)) + max(terms) + np.log(total)

    return -(log_z(beta + 1e-4) - log_z(beta - 1e-4)) / 2e-4 / length**2
