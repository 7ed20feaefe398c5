"""The Müller–Brown surface."""

from __future__ import annotations

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from energax._typing import Scalar
from energax.energies._base import AbstractEnergy
from energax.energies._capabilities import is_confined
from energax.spaces import Euclidean

# Rows: A, a, b, c, x₀, y₀ of each of the four terms.
_TERMS = (
    (-200.0, -1.0, 0.0, -10.0, 1.0, 0.0),
    (-100.0, -1.0, 0.0, -10.0, 0.0, 0.5),
    (-170.0, -6.5, 11.0, -6.5, -0.5, 1.5),
    (15.0, 0.7, 0.6, 0.7, -1.0, 1.0),
)


class MuellerBrown(AbstractEnergy):
    """E(x, y) = Σ_k A_k exp[a_k (x − x_k)² + b_k (x − x_k)(y − y_k) + c_k (y − y_k)²]: three wells on a bent valley.

    Minima −146.70 at (−0.558, 1.442), −108.17 at (0.623, 0.028) and −80.77 at (−0.050, 0.467); saddles −40.66 and
    −72.25. The usual law is that at kT = 15 to 40, that is ``Tempered(MuellerBrown(), 1 / 15)``.

    Example:
        >>> import jax.numpy as jnp
        >>> from energax import energies
        >>> round(float(energies.MuellerBrown()(jnp.array([-0.558, 1.442]))), 1)
        -146.7

    References:
        [mueller1979]
    """

    terms: Float[Array, "4 6"]
    space: Euclidean = eqx.field(static=True)

    def __init__(self) -> None:
        self.terms = jnp.asarray(_TERMS, jnp.result_type(float))
        self.space = Euclidean(2, initial_scale=1.0)

    def __call__(self, x: Float[Array, "2"]) -> Scalar:
        height, a, b, c, first, second = self.terms.T
        u, v = x[0] - first, x[1] - second
        return jnp.sum(height * jnp.exp(a * u**2 + b * u * v + c * v**2))


@is_confined.register
def _(energy: MuellerBrown) -> bool:
    # The last term has a positive exponent in all directions and a positive height.
    return True
