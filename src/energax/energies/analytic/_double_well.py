"""Independent tilted double wells."""

from __future__ import annotations

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from energax._typing import Scalar
from energax.energies._base import AbstractEnergy, as_parameter
from energax.energies._capabilities import is_confined
from energax.spaces import Euclidean


class DoubleWell(AbstractEnergy):
    """Independent tilted double wells, E(x) = Σ_i [a (x_i² − 1)² + b x_i].

    Minima near ±1, a barrier of height a between them; the tilt b > 0 favours the left well.

    Args:
        dim: Number of coordinates.
        barrier: a > 0.
        tilt: b.

    Example:
        >>> import jax.numpy as jnp
        >>> from energax import energies
        >>> float(energies.DoubleWell(1, barrier=8.0)(jnp.zeros(1)))
        8.0
    """

    barrier: Scalar
    tilt: Scalar
    space: Euclidean = eqx.field(static=True)

    def __init__(self, dim: int = 1, *, barrier: Scalar | float = 1.0, tilt: Scalar | float = 0.0) -> None:
        self.space = Euclidean(dim, initial_scale=0.5)
        self.barrier = as_parameter(barrier)
        self.tilt = as_parameter(tilt)

    def __call__(self, x: Float[Array, " dim"]) -> Scalar:
        return jnp.sum(self.barrier * (x**2 - 1) ** 2 + self.tilt * x)


@is_confined.register
def _(energy: DoubleWell) -> bool:
    return True
