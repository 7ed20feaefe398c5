"""Spins of cubic lattices and ±J glasses in words: every bit is what the plain path would do with the same number."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax import densities, exact, paths, sampling, testing
from energax.energies import (
    Interpolated,
    Ising,
    LatticeCouplings,
    Sum,
    Tempered,
    conditional_logits,
    edwards_anderson,
    uniform_lattice,
)
from energax.kernels import BlockGibbs, HeatBath, Metropolis, Mixture
from energax.kernels import _multispin as multispin
from energax.kernels import _multispin_ring as ring

SHAPES = {"10x4x6": (10, 4, 6), "2x8": (2, 8)}


def signed(shape, *, coupling=0.7, field=0.25):
    """A lattice whose bonds have random signs."""
    signs = jax.random.rademacher(jax.random.key(2), (len(shape), *shape))
    return Ising(LatticeCouplings(shape, coupling, signs=signs), field=field)


def _spins(shape, seed=0):
    return jax.random.rademacher(jax.random.key(seed), shape, jnp.int8)


@pytest.mark.parametrize("name", SHAPES)
def test_neighbours_behind_signs_are_those_of_the_plain_path(name):
    """A configuration comes back from words; Σ σ_ij s_j by counting bits is what the plain path's logits tell."""
    assert_plain_counts(SHAPES[name])


def assert_plain_counts(shape):
    energy, x = signed(shape, coupling=0.5, field=0.0), _spins(shape, 1)
    layout = ring.ring_layout_of(shape, 8)

    @jax.jit
    def facts(energy, x):
        signs = ring.packed_signs(uniform_lattice(energy).negative, layout)
        words = layout.pack(x)
        counts = []
        for colour in (0, 1):
            classes = ring.ring_classes(words[1 - colour], colour, layout, signs[colour])
            bits = [layout.unpack(jnp.stack([c, c]) & layout.mask) for c in classes]
            counts.append(sum(jnp.where(b, 2 * k - 2 * len(shape), 0) for k, b in enumerate(bits)))
        return layout.unpack(words), jnp.stack(counts), conditional_logits(energy, x)

    up, counts, sums = map(np.asarray, facts(energy, x))
    np.testing.assert_array_equal(up, np.asarray(x) > 0)
    np.testing.assert_array_equal(np.where(np.indices(shape).sum(0) % 2 == 0, counts[0], counts[1]), sums)


def _never_odd(shape):
    """All pairs begin with the same colour."""
    return np.zeros(np.prod(shape) // 2, bool)


@pytest.mark.parametrize(("part", "defect"), [("_starts_odd", _never_odd), ("_behind", ring._ahead)])
def test_a_wrong_neighbour_is_seen(part, defect, monkeypatch):
    monkeypatch.setattr(ring, part, defect)
    with pytest.raises(AssertionError, match="not equal"):
        assert_plain_counts((2, 4, 2))


def test_which_energies_are_packed():
    glass = edwards_anderson((4, 4, 4), key=jax.random.key(0))
    free = densities.Uniform(glass.space)
    for energy in (glass, Tempered(glass, 0.5), Interpolated(free, glass, 0.5), Ising((4, 4, 4)), Sum((glass, free))):
        assert multispin.packing(energy) is not None
    assert multispin.packing(paths.tempering(glass).at(jnp.asarray(0.3))) is not None
    bond_by_bond = Ising(LatticeCouplings((4, 4, 4), np.ones((3, 4, 4, 4))))
    for energy in (signed((3, 4, 4)), Sum((glass, Ising((4, 4, 4)))), free, bond_by_bond):
        assert multispin.packing(energy) is None


@pytest.mark.slow
def test_contract(key):
    """Beside a plain kernel, so that configurations come back into words; signs are a cache, which is refreshed."""
    energy = Tempered(signed((2, 2, 4)), 0.8)
    checked = testing.check_kernel(Mixture((Metropolis("blocks"), HeatBath("random"))), energy, key=key)
    assert {"jit", "vmap", "one_trace", "refresh", "nonfinite", "stored"} <= set(checked)


def test_signs_follow_the_energy():
    """A state of one glass that meets another one: the caches of both are those of a fresh state."""
    one = signed((4, 2, 8))
    other = Ising(LatticeCouplings((4, 2, 8), signs=-np.where(one.couplings.negative, -1, 1)))
    state, fresh = (BlockGibbs().init(e, _spins((4, 2, 8)), key=jax.random.key(0)) for e in (one, other))
    assert (state.signs != fresh.signs).any()
    np.testing.assert_array_equal(BlockGibbs().refresh(other, state).signs, fresh.signs)


@pytest.mark.slow
@pytest.mark.parametrize(
    "kernel",
    [Metropolis("blocks"), pytest.param(BlockGibbs(), marks=pytest.mark.slow)],
    ids=["metropolis", "heat bath"],
)
def test_the_law_of_a_small_glass(kernel, key):
    """Sixteen spins with a field, exact draws, then 10 steps: 20,000 chains see a change of the law by about 4 %."""
    assert_law(kernel, 20_000, key)


def assert_law(kernel, num, key):
    energy = signed((2, 2, 4), coupling=0.35)
    draw_key, run_key = jax.random.split(key)
    x0 = exact.draw(energy, key=draw_key, num=num)
    run = sampling.sample(energy, kernel, x0, num_steps=10, thin=10, save=None, key=run_key)
    states, log_p = exact.log_probs(energy)
    energies = np.round(np.asarray(jax.vmap(energy)(jnp.asarray(states)), np.float64), 3)
    values, index = np.unique(energies, return_inverse=True)
    law = np.bincount(index, np.exp(log_p))
    counts = np.bincount(np.abs(run.energy[:, -1:] - values).argmin(1), minlength=len(values))
    testing.assert_counts(counts, law, name="energies")
    ups = np.asarray(run.last).reshape(num, -1) > 0
    testing.assert_mean(ups.astype(float), np.exp(log_p) @ (np.asarray(states).reshape(-1, 16) > 0), name="spins")
