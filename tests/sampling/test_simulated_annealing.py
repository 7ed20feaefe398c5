"""Simulated annealing meets ground states that are known: by enumeration, and planted."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax import energies, exact, kernels, sampling, spaces
from energax._errors import ArgumentError


def _pairs(couplings, s):
    s = s.astype(couplings.dtype)
    return -0.5 * s @ couplings @ s


def _random_glass(num, key):
    """Couplings of all pairs, ±1: frustrated, with many local minima."""
    signs = jnp.triu(jax.random.rademacher(key, (num, num), float), 1)
    return energies.energy(_pairs, signs + signs.T, space=spaces.Spins(num))


def _misses(found, energy):
    """How many chains missed the lowest energy of all configurations."""
    lowest = float(np.min(np.asarray(jax.vmap(energy)(jnp.asarray(exact.states(energy.space))))))
    assert found.energy.min() >= lowest - 1e-4
    np.testing.assert_allclose(jax.vmap(energy)(jnp.asarray(found.x)), found.energy, rtol=1e-6)
    return int(np.sum(found.energy > lowest + 1e-4))


def test_the_ground_state_of_a_small_glass(key):
    """Fourteen spins: every one of 32 chains, where a quench leaves some chains in local minima."""
    energy = _random_glass(14, jax.random.key(3))
    slow = sampling.simulated_annealing(energy, kernels.HeatBath(), key=key, num_chains=32, num_levels=128)
    assert _misses(slow, energy) == 0
    assert slow.num_agree == 32
    assert slow.mean_energy[-1] < slow.mean_energy[0]
    quench = sampling.simulated_annealing(energy, kernels.HeatBath(), jnp.full(128, 100.0), key=key, num_chains=32)
    assert _misses(quench, energy) > 0
    hot = sampling.simulated_annealing(energy, kernels.HeatBath(), slow.betas[::-1][-2:], key=key, num_chains=32)
    assert _misses(hot, energy) > 0


def _planted(length, *, key):
    """E = −Σ σ_i σ_j s_i s_j over the bonds of a lattice, and σ, which has the lowest energy: −1 for each bond."""
    planted = jax.random.rademacher(key, (length, length), jnp.int8)
    coupling = jnp.stack([planted * jnp.roll(planted, -1, axis) for axis in (0, 1)])
    return energies.Ising(energies.LatticeCouplings(planted.shape, coupling)), planted


@pytest.mark.slow
def test_a_planted_ground_state_is_found(key):
    glass, planted = _planted(8, key=jax.random.key(5))
    found = sampling.simulated_annealing(glass, kernels.BlockGibbs(), key=key, num_chains=8, num_levels=256)
    assert found.best_energy == -2 * 64
    assert abs(int(np.sum(found.best * np.asarray(planted)))) == 64
    assert found.x.shape == (8, 8, 8)
    assert "met by" in repr(found)


def test_a_kernel_with_caches_follows_the_temperature(key):
    """The deeper well of a tilted double well is at x = −1.008; the energy that a random walk carries is β E."""
    well = energies.DoubleWell(1, barrier=8.0, tilt=0.5)
    betas = jnp.geomspace(0.01, 200.0, 400)
    found = sampling.simulated_annealing(well, kernels.RandomWalk(0.3), betas, jnp.ones((8, 1)), key=key)
    assert (found.x < 0).mean() > 0.5
    grid = np.linspace(-2, 2, 100_001)
    assert found.best_energy == pytest.approx(np.min(8 * (grid**2 - 1) ** 2 + 0.5 * grid), abs=1e-3)
    assert found.accept_prob[0] > 0.9
    assert found.accept_prob[-1] < 0.6


def test_nonsense_is_refused(key):
    well = energies.DoubleWell(1)
    with pytest.raises(ArgumentError, match="give `betas`"):
        sampling.simulated_annealing(well, kernels.HMC(0.1), key=key)
    with pytest.raises(ArgumentError, match="at least 0"):
        sampling.simulated_annealing(well, kernels.HMC(0.1), jnp.array([1.0, -1.0]), jnp.ones((2, 1)), key=key)
    with pytest.raises(ArgumentError, match="at least two levels"):
        sampling.simulated_annealing(energies.Ising(2), kernels.HeatBath(), key=key, num_levels=1)
    flat = energies.energy(_pairs, jnp.zeros((3, 3)), space=spaces.Spins(3))
    with pytest.raises(ArgumentError, match="nothing to minimise"):
        sampling.simulated_annealing(flat, kernels.HeatBath(), key=key)
