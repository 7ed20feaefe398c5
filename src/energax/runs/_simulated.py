"""The systems that ``energax simulate`` knows by name."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jaxtyping import Array

from energax import densities, energies
from energax._errors import NotTractable
from energax._typing import PRNGKey
from energax.energies import AbstractEnergy, observed_space
from energax.exact import DensityOfStates, ising_torus, potts_density_of_states
from energax.runs._clusters import compact_clusters
from energax.runs._observables import CLUSTER, ENERGY, GLASS, MAGNET, ROTORS, Observable
from energax.runs._series import ClusterSeries, PottsOrder, magnetization, nothing, packed_spins, rotors


@dataclasses.dataclass(frozen=True)
class SimulatedModel:
    """A model that ``energax simulate`` knows by name.

    Attributes:
        summary: One line for the help.
        build: Size → energy at temperature one.
        size: The usual size, None where the model has only one.
        smallest: The smallest size.
        observables: What is measured.
        save: Function of one configuration: series that observables use beside the energy.
        kernel: Name of the usual kernel.
        exact: (size, temperature) → exact values by observable, none for sizes at which they are not known.
        log_z: (size, temperature) → exact log Z, None for sizes at which it is not known.
        values: The smallest and the largest value of a picture; None where a picture says nothing.
        shown: Configuration → picture.
        start: (energy, number of chains, key) → starts; the initial law of the space where it is None.
        renew: Last configurations at one temperature → starts at the next; themselves where it is None.
        exchange: Chains at one temperature alone do not get around: temperatures swap where there are several.
        fewest_chains: The smallest number of chains.
        critical: The temperature of the transition in the infinite system, where it is known.
        crosses: Binder cumulants of different sizes cross at the transition.
        correction: θ, by which the crossings of L and 2L approach the transition as L^−θ, where it is known: the
            thermal exponent plus that of the leading correction to scaling.
        critical_kernel: Name of the usual kernel where several sizes are compared, which is done at a transition.
    """

    summary: str
    build: Callable[[int | None], AbstractEnergy]
    size: int | None
    smallest: int
    observables: tuple[Observable, ...]
    save: Callable[[Any], dict[str, Array]]
    kernel: str
    exact: Callable[[int, float], dict[str, float]] | None = None
    values: tuple[float, float] | None = None
    shown: Callable[[np.ndarray], np.ndarray] = lambda x: x
    start: Callable[[Any, int, PRNGKey], Array] | None = None
    renew: Callable[[Array], Array] | None = None
    exchange: bool = False
    fewest_chains: int = 1
    critical: float | None = None
    crosses: bool = False
    correction: float | None = None
    critical_kernel: str | None = None
    log_z: Callable[[int, float], float | None] | None = None


_POTTS = {2: 2.75, 3: 2.0}
"""θ of Potts models: 1 + 7/4, where the regular part of the susceptibility leads, and 6/5 + 4/5."""


def _torus(size: int, temperature: float) -> dict[str, float]:
    found = ising_torus((size, size), 1.0 / temperature)
    return {"energy_per_site": found.energy_per_site, "heat_capacity": found.heat_capacity_per_site}


def _torus_log_z(size: int, temperature: float) -> float:
    return ising_torus((size, size), 1.0 / temperature).log_z


def potts(num_states: int) -> SimulatedModel:
    """The Potts ferromagnet on a periodic square lattice, E = −Σ δ(s_i, s_j).

    Two values are Ising's model at half the coupling, E = ½ E_Ising − N, whose torus is exact; the states of small tori
    with more values are counted. With more than four values the transition is of first order: half of the chains begin
    in order at every temperature, so that what hysteresis there is sets them apart from the others, which are cooled.
    """

    def torus(size: int, temperature: float) -> dict[str, float]:
        if num_states == 2:
            found = _torus(size, 2.0 * temperature)
            return {**found, "energy_per_site": 0.5 * found["energy_per_site"] - 1.0}
        states, beta, num_sites = _counted(size, num_states), 1.0 / temperature, size**2
        if states is None:
            return {}
        means = {"energy_per_site": states.energy(beta), "heat_capacity": states.heat_capacity(beta)}
        return {name: mean / num_sites for name, mean in means.items()}

    def log_z(size: int, temperature: float) -> float | None:
        if num_states == 2:
            return _torus_log_z(size, 2.0 * temperature) + size**2 / temperature
        states = _counted(size, num_states)
        return None if states is None else states.log_z(1.0 / temperature)

    first_order = num_states > 4
    return SimulatedModel(
        "Potts ferromagnet on a periodic square lattice, J = 1; --q values",
        lambda n: energies.Potts((n or 32,) * 2, num_states), 32, 2, MAGNET, PottsOrder(num_states), "swendsen-wang",
        torus, (0.0, num_states - 1.0), start=_initial if first_order else None,
        renew=_half_ordered if first_order else None,
        critical=1.0 / math.log1p(math.sqrt(num_states)), crosses=not first_order, correction=_POTTS.get(num_states),
        critical_kernel="swendsen-wang", log_z=log_z,
    )  # fmt: skip


@functools.cache
def _counted(size: int, num_states: int) -> DensityOfStates | None:
    """The states of a Potts torus, None where there are too many of them."""
    try:
        return potts_density_of_states((size, size), num_states)
    except NotTractable:
        return None


def _initial(energy: AbstractEnergy, num_chains: int, key: PRNGKey) -> Array:
    return jax.vmap(lambda key: observed_space(energy).initial(key=key))(jax.random.split(key, num_chains))


def _half_ordered(x: Array) -> Array:
    """Every other chain with all sites at one value."""
    return x.at[::2].set(0)


def spin_glass(instance: int = 0) -> SimulatedModel:
    """The ±J Edwards–Anderson glass on a periodic cubic lattice, one instance of its couplings."""
    return SimulatedModel(
        "±J spin glass on a periodic cubic lattice; --instance chooses the couplings, temperatures swap",
        lambda n: energies.edwards_anderson((n or 6,) * 3, key=jax.random.key(instance)), 6, 3, GLASS, packed_spins,
        "block-gibbs", None, (-1.0, 1.0), lambda x: x[0], exchange=True, fewest_chains=2,
    )  # fmt: skip


def _lj13(x: Array) -> dict[str, Array]:
    return ClusterSeries(energies.LennardJonesCluster(13))(x)


SIMULATED: dict[str, SimulatedModel] = {
    "ising": SimulatedModel(
        "Ising ferromagnet on a periodic square lattice, J = 1",
        lambda n: energies.Ising(n or 32), 32, 2, MAGNET, magnetization, "block-gibbs", _torus, (-1.0, 1.0),
        critical=2.0 / math.log1p(math.sqrt(2.0)), crosses=True, correction=_POTTS[2], critical_kernel="swendsen-wang",
        log_z=_torus_log_z,
    ),
    "potts": potts(3),
    "spin-glass": spin_glass(),
    "xy": SimulatedModel(
        "planar rotors on a periodic square lattice, J = 1; pictures show the cosine",
        lambda n: energies.XY((n or 32,) * 2), 32, 3, ROTORS, rotors, "nuts", None, (-1.0, 1.0), np.cos,
        critical=0.8929,  # Kosterlitz and Thouless, to one in the last digit [hasenbusch2005]
    ),
    "phi4": SimulatedModel(
        "scalar φ⁴ field on a periodic square lattice, m² = −4, λ = 4.5",
        lambda n: energies.Phi4((n or 32,) * 2, quartic=4.5, mass_squared=-4.0), 32, 3, MAGNET, magnetization, "nuts",
        None, (-1.5, 1.5),
    ),
    "lj13": SimulatedModel(
        "thirteen Lennard-Jones particles, ε = 2, in a trap for their centre of mass",
        lambda n: energies.LennardJonesCluster(13), None, 1, CLUSTER, _lj13, "nuts",
        start=lambda energy, num, key: compact_clusters(energy, num, key=key),
    ),
    "double-well": SimulatedModel(
        "tilted double well in one dimension, 8 (x² − 1)² + x / 2",
        lambda n: energies.DoubleWell(n or 1, barrier=8.0, tilt=0.5), 1, 1, ENERGY, nothing, "nuts",
    ),
    "many-well": SimulatedModel(
        "sixteen double wells in 32 dimensions: 65,536 modes",
        lambda n: energies.ManyWell(n or 32), 32, 2, ENERGY, nothing, "nuts",
    ),
    "gmm40": SimulatedModel(
        "forty normal laws in the plane", lambda n: densities.gmm40(), None, 1, ENERGY, nothing, "nuts"
    ),
}  # fmt: skip
