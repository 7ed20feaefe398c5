"""The scalar field with a quartic term on a lattice."""

from __future__ import annotations

import equinox as eqx
import jax.numpy as jnp
from jax.core import Tracer
from jaxtyping import Array, ArrayLike

from energax._errors import ArgumentError
from energax._typing import Scalar
from energax.energies._base import AbstractEnergy, as_parameter
from energax.energies._capabilities import is_confined, value_and_score
from energax.energies.lattice._couplings import LatticeCouplings
from energax.spaces import Euclidean


class Phi4(AbstractEnergy):
    """Scalar φ⁴ theory on a periodic lattice, E(φ) = Σ_<xy> (φ_x − φ_y)² + Σ_x (m² φ_x² + λ φ_x⁴), φ_x real.

    The first sum has one term for each site and axis, so that in d dimensions E = Σ_x ((2d + m²) φ_x² + λ φ_x⁴) −
    2 Σ_<xy> φ_x φ_y. There is no factor ½ before the kinetic term: the convention of [albergo2019] and of the
    sampler-benchmarks repository, which fixes m² = −4 on the square lattice, where the term in φ² vanishes and
    E = λ Σ φ⁴ − 2 Σ_<xy> φ_x φ_y. There the field is critical at λ ≈ 4.25 in an infinite lattice; that benchmark takes
    λ = 4.25 (1 + 4/L): 4.515625 for L = 64, 4.31640625 for L = 256, 4.2666015625 for L = 1024. Smaller λ is the
    ordered phase with two modes.

    Args:
        shape: Lengths of the axes, each at least 2; an integer L means L × L.
        quartic: λ > 0; 0 is the free field, with m² > 0.
        mass_squared: m², often negative.

    Raises:
        ArgumentError: An axis is too short, or exp(−E) is not integrable.

    Example:
        >>> import jax.numpy as jnp
        >>> from energax import energies
        >>> float(energies.Phi4(4, quartic=4.5)(jnp.full((4, 4), 0.5)))
        -11.5

    References:
        [albergo2019]
    """

    quartic: Scalar
    mass_squared: Scalar
    space: Euclidean = eqx.field(static=True)

    def __init__(
        self, shape: int | tuple[int, ...], *, quartic: ArrayLike = 4.515625, mass_squared: ArrayLike = -4.0
    ) -> None:
        lengths = (shape, shape) if isinstance(shape, int) else tuple(shape)
        self.space = Euclidean(LatticeCouplings(lengths).shape, initial_scale=1.0)
        self.quartic = as_parameter(quartic)
        self.mass_squared = as_parameter(mass_squared)
        given = (self.quartic, self.mass_squared)
        if not any(isinstance(number, Tracer) for number in given):
            strength, square = map(float, given)
            if not (strength > 0 or (strength == 0 and square > 0)):
                raise ArgumentError(
                    f"exp(−E) of Phi4 is integrable for quartic > 0, or quartic = 0 with mass_squared > 0, got "
                    f"quartic={strength:g}, mass_squared={square:g}."
                )

    @property
    def _square(self) -> Scalar:
        """The coefficient of φ², 2d + m²."""
        return 2 * len(self.space.shape) + self.mass_squared

    def __call__(self, x: Array) -> Scalar:
        neighbours = sum(jnp.roll(x, -1, axis) for axis in range(x.ndim))
        return jnp.sum(x * ((self._square + self.quartic * x**2) * x - 2 * neighbours))


@value_and_score.register
def _(energy: Phi4, x: Array) -> tuple[Scalar, Array]:
    """−∂E/∂φ_x = 2 Σ_{y ~ x} φ_y − 2 (2d + m²) φ_x − 4 λ φ_x³, with the rolls shared by value and score."""
    neighbours = sum(jnp.roll(x, 1, axis) + jnp.roll(x, -1, axis) for axis in range(x.ndim))
    square = x**2
    value = jnp.sum(x * ((energy._square + energy.quartic * square) * x - neighbours))
    return value, 2 * neighbours - (2 * energy._square + 4 * energy.quartic * square) * x


@is_confined.register
def _(energy: Phi4) -> bool:
    return True
