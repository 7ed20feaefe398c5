"""Independent tilted double wells."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from energax._typing import Scalar
from energax.energies._base import AbstractEnergy, as_parameter
from energax.energies._capabilities import is_confined, log_normalizer
from energax.spaces import Euclidean

_NODES = 2048


class DoubleWell(AbstractEnergy):
    """Independent tilted double wells, E(x) = Σ_i [a (x_i² − 1)² + b x_i].

    Minima near ±1, a barrier of height a between them; the tilt b > 0 favours the left well. `log_normalizer` is a
    trapezoid sum over one coordinate, to rounding for barriers up to 10⁴; without a tilt it is
    log (π/2) e^{−a/2} (I_{1/4}(a/2) + I_{−1/4}(a/2)) in modified Bessel functions.

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


@log_normalizer.register
def _(energy: DoubleWell) -> Scalar:
    # Beyond this |x| the quartic exceeds what the tilt can give back by 45 nats: a (x² − 1)² >= 45 + 2 |b| |x|.
    tilt, barrier = jnp.abs(energy.tilt), energy.barrier
    # The integral does not hang on the nodes, and the derivative of |b| would be infinite at b = 0.
    reach = jax.lax.stop_gradient(1.0 + (45.0 / barrier) ** 0.25 + jnp.cbrt(2.0 * tilt / barrier))
    nodes = reach * jnp.linspace(-1.0, 1.0, _NODES, dtype=energy.barrier.dtype)
    well = energy.barrier * (nodes**2 - 1) ** 2 + energy.tilt * nodes
    one = jax.nn.logsumexp(-well) + jnp.log(2.0 * reach / (_NODES - 1))
    return energy.space.num_sites * one


@is_confined.register
def _(energy: DoubleWell) -> bool:
    return True
