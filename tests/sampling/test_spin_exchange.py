"""Ladders of lattices with 32 of them in a word: bits against configurations, energies against enumeration, traffic."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import t

from energax._errors import ArgumentError
from energax.energies import Ising, LatticeCouplings, Potts, Sum, Tempered, edwards_anderson, uniform_lattice
from energax.exact import states
from energax.sampling import _spin_exchange as packed
from energax.sampling import exchange_spins, packable

FALSE_ALARM = 1e-6
BETAS = np.array([0.0, 0.4, 0.9])
LATTICES = {
    "glass": edwards_anderson((4, 4), key=jax.random.key(3)),
    "antiferromagnet in three dimensions": Ising((2, 2, 4), coupling=-0.4),
    "ferromagnet and a constant": Sum((Ising((2, 6), coupling=0.8), Tempered(Ising((2, 6)), 0.1))),
}


@pytest.mark.slow
@pytest.mark.parametrize("energy", LATTICES.values(), ids=LATTICES.keys())
def test_energies_of_the_bits_are_those_of_the_configurations(energy, key):
    run = exchange_spins(energy, BETAS, key=key, num_sweeps=64)
    lattice = uniform_lattice(energy)
    words = np.asarray(run.last.words)
    colour = np.indices(lattice.shape).sum(0).reshape(-1) % 2
    x = np.zeros((32, len(BETAS), colour.size), np.int8)
    for ladder in range(32):
        for c in (0, 1):
            x[ladder][:, colour == c] = np.where(words[c] >> ladder & 1, 1, -1).T
    bonds = packed._both_colours(lattice)
    unsatisfied = np.asarray(packed._unsatisfied(bonds[0], jnp.asarray(words)))
    levels = run.levels if float(lattice.coupling) > 0 else run.levels[::-1]
    want = jax.vmap(jax.vmap(energy))(jnp.asarray(x.reshape(32, len(BETAS), *lattice.shape)))
    np.testing.assert_allclose(levels[unsatisfied].T, want, atol=1e-5)


def agree(per_ladder, exact, where):
    z = (per_ladder.mean() - exact) / (per_ladder.std(ddof=1) / np.sqrt(32))
    assert abs(z) <= t.isf(FALSE_ALARM / 2, 31), f"{where}: {per_ladder.mean():.4g}, exact {exact:.4g}, z = {z:.1f}"


def check_means(energy, key):
    """Mean energies of 32 ladders at each level, and of all levels and sweeps together.

    Smallest defect seen: swaps with the wrong sign, which the next heat bath nearly mends, or half of the field.
    """
    values = np.asarray(jax.vmap(energy)(states(energy.space)), np.float64)
    start = exchange_spins(energy, BETAS, key=key, num_sweeps=128)
    run = exchange_spins(energy, BETAS, start.last, key=jax.random.fold_in(key, 1), num_sweeps=2048)
    laws = [np.exp(-beta * (values - values.min())) for beta in BETAS]
    exact = [p @ values / p.sum() for p in laws]
    for k in range(len(BETAS)):
        agree(run.energies[:, :, k].mean(axis=1), exact[k], f"level {k}")
    agree(run.seen @ run.levels / run.seen.sum(1), np.mean(exact), "all levels")
    return run


@pytest.mark.parametrize("energy", LATTICES.values(), ids=LATTICES.keys())
def test_means_against_enumeration(energy, key):
    run = check_means(energy, key)
    assert run.seen.sum() == 32 * 2048 * 3
    assert np.all(np.diff(run.levels) > 0)
    # Trips that were under way when counting began may end.
    assert 0 < run.num_arrivals <= run.num_round_trips + 32 * 3
    assert 0 < run.num_round_trips <= run.num_arrivals + 32 * 3
    assert np.all((run.swap_rate > 0.05) & (run.swap_rate <= 1.0))


def half_the_field(reduced, degree):
    return RIGHT_MASKS(0.5 * reduced, degree)


def swaps_upside_down(words, origin, unsatisfied, reduced, parity, *, key):
    return RIGHT_SWAP(words, origin, unsatisfied, -reduced, parity, key=key)


RIGHT_MASKS, RIGHT_SWAP = packed._threshold_masks, packed._swap


@pytest.mark.slow
@pytest.mark.parametrize(("name", "mutant"), [("_threshold_masks", half_the_field), ("_swap", swaps_upside_down)])
def test_mutants_are_caught(name, mutant, key, monkeypatch):
    jax.clear_caches()
    monkeypatch.setattr(packed, name, mutant)
    with pytest.raises(AssertionError):
        check_means(LATTICES["glass"], key)
    monkeypatch.undo()
    jax.clear_caches()


def test_counting_planes_count():
    rng = np.random.default_rng(0)
    words = [jnp.asarray(rng.integers(0, 2**32, 5, dtype=np.uint32)) for _ in range(6)]
    planes = packed.count_planes(list(words))
    for bit in range(32):
        want = sum(np.asarray(w) >> bit & 1 for w in words)
        found = sum((np.asarray(p) >> bit & 1) << place for place, p in enumerate(planes))
        np.testing.assert_array_equal(found, want)


@pytest.mark.parametrize(
    "energy",
    [
        Ising((3, 4)), Ising(4, field=0.1), Ising(4, coupling=0.0), Potts((4, 4), 3),
        Ising(LatticeCouplings((4, 4), boundary="open")),
    ],
    ids=["odd", "field", "no bonds", "potts", "open"],
)  # fmt: skip
def test_what_is_not_packable(energy, key):
    assert not packable(energy)
    with pytest.raises(ArgumentError, match="use replica_exchange"):
        exchange_spins(energy, BETAS, key=key, num_sweeps=64)


@pytest.mark.parametrize(
    ("betas", "num_sweeps", "message"),
    [([0.0], 64, "in order"), ([0.0, 0.2, 0.1], 64, "in order"), ([0.0, 0.1], 100, "multiple of 64")],
)
def test_numbers_that_make_no_sense(betas, num_sweeps, message, key):
    with pytest.raises(ArgumentError, match=message):
        exchange_spins(Ising(4), betas, key=key, num_sweeps=num_sweeps)
