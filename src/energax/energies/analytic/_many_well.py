"""Pairs of a skewed double well and a harmonic coordinate, whose modes multiply."""

from __future__ import annotations

import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from energax._errors import ArgumentError
from energax._typing import Scalar
from energax.energies._base import AbstractEnergy, as_parameter
from energax.energies._capabilities import is_confined, log_normalizer
from energax.spaces import Euclidean

_NODES, _HALF_WIDTH = 1024, 8.0


class ManyWell(AbstractEnergy):
    """E(x) = Σ_k [a u_k⁴ − b u_k² − c u_k + ½ v_k²] over pairs (u_k, v_k) = (x_2k, x_2k+1): 2^(d/2) modes.

    With the defaults the right well of each pair has the mass 0.8443070962 and log Z = 10.2934797071 a pair,
    164.6956753132 at d = 32. `log_normalizer` is a trapezoid sum over u, which converges faster than any power of the
    spacing, for quartic wells that lie within |u| < 8.

    Args:
        dim: Number of coordinates d, even.
        quartic: a > 0.
        quadratic: b.
        tilt: c.

    Example:
        >>> from energax import energies
        >>> round(float(energies.log_normalizer(energies.ManyWell(32))), 2)
        164.7

    References:
        [noe2019], [midgley2023]
    """

    quartic: Scalar
    quadratic: Scalar
    tilt: Scalar
    space: Euclidean = eqx.field(static=True)

    def __init__(
        self,
        dim: int = 32,
        *,
        quartic: Scalar | float = 1.0,
        quadratic: Scalar | float = 6.0,
        tilt: Scalar | float = 0.5,
    ) -> None:
        if dim < 2 or dim % 2:
            raise ArgumentError(f"ManyWell needs an even number of coordinates, got dim={dim}.")
        self.space = Euclidean(dim, initial_scale=1.5)
        self.quartic, self.quadratic, self.tilt = as_parameter(quartic), as_parameter(quadratic), as_parameter(tilt)

    def __call__(self, x: Float[Array, " dim"]) -> Scalar:
        u, v = x[0::2], x[1::2]
        return jnp.sum(self._well(u)) + 0.5 * jnp.sum(v**2)

    def _well(self, u: Float[Array, "..."]) -> Float[Array, "..."]:
        return self.quartic * u**4 - self.quadratic * u**2 - self.tilt * u


@log_normalizer.register
def _(energy: ManyWell) -> Scalar:
    nodes = jnp.linspace(-_HALF_WIDTH, _HALF_WIDTH, _NODES, dtype=energy.quartic.dtype)
    log_well = jax.nn.logsumexp(-energy._well(nodes)) + math.log(2 * _HALF_WIDTH / (_NODES - 1))
    return energy.space.num_sites // 2 * (log_well + 0.5 * math.log(2 * math.pi))


@is_confined.register
def _(energy: ManyWell) -> bool:
    return True
