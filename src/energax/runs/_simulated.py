"""The systems that ``energax simulate`` knows by name."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array

from energax import densities, energies
from energax.energies import AbstractEnergy
from energax.exact import ising_torus
from energax.runs._observables import ENERGY, MAGNET, Observable


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
        exact: (size, temperature) → exact values by observable, where they are known.
        values: The smallest and the largest value of a site, for pictures; None where a picture says nothing.
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


def magnetization(x: Array) -> dict[str, Array]:
    """The mean of the sites, one number a configuration."""
    return {"magnetization": jnp.mean(x.astype(jnp.result_type(float)))}


def nothing(x: Any) -> dict[str, Array]:
    """No series beside the energy."""
    del x
    return {}


def _torus(size: int, temperature: float) -> dict[str, float]:
    found = ising_torus((size, size), 1.0 / temperature)
    return {"energy_per_site": found.energy_per_site, "heat_capacity": found.heat_capacity_per_site}


SIMULATED: dict[str, SimulatedModel] = {
    "ising": SimulatedModel(
        "Ising ferromagnet on a periodic square lattice, J = 1",
        lambda n: energies.Ising(n or 32), 32, 2, MAGNET, magnetization, "block-gibbs", _torus, (-1.0, 1.0),
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
