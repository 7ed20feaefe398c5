"""Planar rotors: the XY model."""

from __future__ import annotations

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from energax._typing import Scalar
from energax.energies._base import AbstractEnergy
from energax.energies._capabilities import value_and_score
from energax.energies.lattice._couplings import AbstractCouplings, as_couplings, as_field
from energax.spaces import Torus


class XY(AbstractEnergy):
    """Planar rotors, E(θ) = −Σ_{i<j} J_ij cos(θ_i − θ_j) − Σ_i H_i cos θ_i, θ_i ∈ [0, 2π).

    J > 0 is ferromagnetic; the reference measure is dθ with total mass 2π for each site. On the square lattice
    vortices unbind at β J ≈ 1.12 (Kosterlitz–Thouless). A ring of N sites has Z = (2π)^N Σ_k I_k(βJ)^N.

    Args:
        sites: Lengths of the axes of a periodic lattice, an integer L for L × L, or couplings, as for `Ising`.
        coupling: J of a lattice that is given by its lengths, 1 by default.
        field: H, a number or one for each site, along the angle 0.

    Raises:
        ArgumentError: The lattice is too small, or `coupling` is given beside couplings.
        ShapeError: `coupling` or `field` has the wrong shape.

    Example:
        >>> import jax.numpy as jnp
        >>> from energax import energies
        >>> float(energies.XY(4)(jnp.full((4, 4), 0.5)))
        -32.0

    References:
        [kosterlitz1973]
    """

    couplings: AbstractCouplings
    field: Float[Array, "..."]
    space: Torus = eqx.field(static=True)

    def __init__(
        self,
        sites: int | tuple[int, ...] | AbstractCouplings,
        *,
        coupling: ArrayLike | None = None,
        field: ArrayLike = 0.0,
    ) -> None:
        self.couplings = as_couplings(sites, coupling)
        self.space = Torus(self.couplings.shape)
        self.field = as_field(field, self.space.shape)

    def __call__(self, x: Array) -> Scalar:
        return -self.couplings.pair_sum(_arrows(x)) - jnp.sum(self.field * jnp.cos(x))


def _arrows(x: Array) -> Float[Array, "... 2"]:
    return jnp.stack([jnp.cos(x), jnp.sin(x)], axis=-1)


@value_and_score.register
def _(energy: XY, x: Array) -> tuple[Scalar, Array]:
    """−∂E/∂θ_i = cos θ_i (J sin θ)_i − sin θ_i (J cos θ + H)_i, with one product by J for value and score."""
    arrows = _arrows(x)
    cos, sin = arrows[..., 0], arrows[..., 1]
    pull = energy.couplings.times(arrows)
    value = -0.5 * jnp.sum(arrows * pull) - jnp.sum(energy.field * cos)
    return value, cos * pull[..., 1] - sin * (pull[..., 0] + energy.field)
