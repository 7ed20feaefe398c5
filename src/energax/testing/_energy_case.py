"""An energy with the points at which it is examined, in single and in double precision."""

from __future__ import annotations

import dataclasses
import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree

from energax._typing import PRNGKey
from energax.energies import AbstractEnergy
from energax.testing._contract import cast_arrays, perturbed


@dataclasses.dataclass(frozen=True)
class EnergyCase:
    """What the clauses of the contract look at.

    Attributes:
        energy: The energy as it was given.
        points: Stacked configurations of its space.
        key: Random key for what a clause draws.
        tolerance: Allowed relative rounding in float32.
        unused: Paths of leaves whose gradient may vanish.
        tables: Whether the leaves belong together and must not be changed independently.
    """

    energy: AbstractEnergy
    points: PyTree[Array]
    key: PRNGKey
    tolerance: float
    unused: tuple[str, ...]
    tables: bool = False

    @functools.cached_property
    def energy64(self) -> AbstractEnergy:
        """The energy with float64 leaves that no float32 could hold."""
        with jax.enable_x64(True):
            double = cast_arrays(self.energy, jnp.float64)
            return double if self.tables else perturbed(double, seed=0)

    @functools.cached_property
    def points64(self) -> PyTree[Array]:
        """The points with float64 entries where they are real numbers."""
        with jax.enable_x64(True):
            return cast_arrays(self.points, jnp.float64)
