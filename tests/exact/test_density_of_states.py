"""The counted states of Ising tori against enumeration, Kaufman's sum and the published integers."""

from __future__ import annotations

import gzip
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax import energies, exact
from energax._errors import ArgumentError, NotTractable
from energax.exact._density_of_states import _is_prime


def check(counted):
    """Against all 4096 states of a rectangle with an odd side."""
    table = exact.states(energies.Ising((3, 4)).space).astype(np.int64)
    energy = -(table * np.roll(table, 1, 1)).sum((1, 2)) - (table * np.roll(table, 1, 2)).sum((1, 2))
    wanted, counts = np.unique(energy, return_counts=True)
    found = counted((3, 4))
    assert found.energies.tolist() == wanted.tolist()
    assert list(found.counts) == counts.tolist()


def test_a_rectangle_is_enumerated():
    check(exact.ising_density_of_states)


def test_a_lost_product_is_seen():
    def mutant(shape):
        right = exact.ising_density_of_states(shape)
        return exact.DensityOfStates(right.energies, (right.counts[0] - 1, *right.counts[1:]))

    with pytest.raises(AssertionError):
        check(mutant)


@pytest.mark.parametrize("shape", [(2, 2), (2, 5), (5, 2), (7, 4), (12, 12)])
def test_counts_and_averages_are_right(shape):
    found, torus = exact.ising_density_of_states(shape), exact.ising_torus(shape, 0.37)
    sites = shape[0] * shape[1]
    assert sum(found.counts) == 2**sites
    assert found.counts[0] == 2
    assert found.log_z(0.37) == pytest.approx(torus.log_z, rel=1e-13)
    assert found.energy(0.37) == pytest.approx(sites * torus.energy_per_site, rel=1e-12)
    assert found.heat_capacity(0.37) == pytest.approx(sites * torus.heat_capacity_per_site, rel=1e-9)
    assert found.log_z(0.0) == pytest.approx(sites * np.log(2.0), rel=1e-14)


@pytest.mark.needs_data
def test_the_published_integers(data_folder):
    with gzip.open(data_folder / "statphys" / "ising2d_torus_dos.json.gz") as file:
        sizes = json.load(file)["sizes"]
    for length in ("2", "3", "4", "6", "7", "8", "16", "32"):
        found = exact.ising_density_of_states((int(length), int(length)))
        wanted = {e: int(g) for e, g in zip(sizes[length]["E"], sizes[length]["g"], strict=True) if int(g)}
        assert dict(zip(found.energies.tolist(), found.counts, strict=True)) == wanted


@pytest.mark.parametrize(("shape", "num_states"), [((2, 3), 3), ((4, 2), 3), ((3, 4), 2), ((3, 3), 3)])
def test_potts_states_are_enumerated(shape, num_states):
    energy = energies.Potts(shape, num_states)
    with jax.enable_x64(True):
        every = np.asarray(jax.vmap(energy)(jnp.asarray(exact.states(energy.space))))
    wanted, counts = np.unique(np.rint(every).astype(int), return_counts=True)
    found = exact.potts_density_of_states(shape, num_states)
    assert found.energies.tolist() == wanted.tolist()
    assert list(found.counts) == counts.tolist()


@pytest.mark.needs_data
def test_the_published_potts_states(data_folder):
    with gzip.open(data_folder / "statphys" / "potts2d_torus_dos.json.gz") as file:
        sizes = json.load(file)["sizes"].values()
    for known in sizes:
        found = exact.potts_density_of_states((known["L"],) * 2, known["q"])
        wanted = {e: int(g) for e, g in zip(known["E"], known["g"], strict=True) if int(g)}
        assert dict(zip(found.energies.tolist(), found.counts, strict=True)) == wanted


def test_primes_are_primes():
    sieve = np.ones(5000, bool)
    sieve[:2] = False
    for n in range(2, 71):
        sieve[2 * n :: n] = False
    assert [n for n in range(11, 5000) if _is_prime(n)] == np.flatnonzero(sieve)[4:].tolist()
    assert not _is_prime(46_337 * 46_327)


def test_nonsense_is_refused():
    with pytest.raises(ArgumentError, match="length 2"):
        exact.ising_density_of_states((1, 4))
    with pytest.raises(ArgumentError, match="q of 2"):
        exact.potts_density_of_states((3, 3), 1)
    with pytest.raises(NotTractable, match="too large to be counted"):
        exact.potts_density_of_states((8, 8), 3)
    with pytest.raises(NotTractable, match="4096"):
        exact.ising_density_of_states((100, 100))
