"""A network for the energies of a law at all noise levels."""

from __future__ import annotations

import math
from collections.abc import Sequence

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike

from energax._typing import PRNGKey, Scalar
from energax.energies._base import AbstractConditionalEnergy, AbstractEnergy
from energax.energies._capabilities import is_confined
from energax.energies.neural._confinement import Confinement
from energax.energies.neural._mlp import MLP
from energax.spaces import Euclidean


class NoiseConditionalMLP(AbstractConditionalEnergy):
    """Energies of data smoothed with N(0, σ²) for every σ: E(x; σ) = ½ ‖y‖² + f(y, log σ), y = (x − m)/√(s² + σ²).

    Without the network f it is the energy of smoothed N(m, s²) data at every level, and f sees numbers of order 1
    whatever σ. `given(sigma)` is the energy at one level; `AtLevel(model, sigma)` is what is trained.

    Args:
        space: Euclidean space of x, or a shape for it.
        hidden: Widths of the hidden layers of f.
        activation: As in `MLP`.
        scale: s, about the standard deviation of the data.
        key: Random key of the initial weights.

    Example:
        >>> import jax
        >>> from energax import energies
        >>> family = energies.NoiseConditionalMLP(2, hidden=(16,), key=jax.random.key(0))
        >>> family.given(0.5)(jax.numpy.zeros(2)).shape
        ()
    """

    network: MLP
    base: Confinement
    space: Euclidean = eqx.field(static=True)

    def __init__(
        self,
        space: Euclidean | int | tuple[int, ...],
        *,
        hidden: Sequence[int] = (128, 128),
        activation: str = "silu",
        scale: ArrayLike = 1.0,
        key: PRNGKey,
    ) -> None:
        self.space = space if isinstance(space, Euclidean) else Euclidean(space, initial_scale=1.0)
        self.network = MLP(
            math.prod(self.space.shape) + 1, hidden=hidden, activation=activation, confinement=None, key=key
        )
        self.base = Confinement(jnp.zeros(()), jnp.asarray(scale, jnp.result_type(float)))

    def given(self, c: ArrayLike) -> AbstractEnergy:
        """The energy of the law smoothed with the noise level `c`."""
        return MLPAtNoise(self, jnp.asarray(c))


class MLPAtNoise(AbstractEnergy):
    """A `NoiseConditionalMLP` at one noise level."""

    model: NoiseConditionalMLP
    sigma: Scalar

    @property
    def space(self) -> Euclidean:
        return self.model.space

    def __call__(self, x: Array) -> Scalar:
        base = self.model.base
        y = x - base.mean
        sigma = self.sigma.astype(y.dtype)
        y = y / jnp.sqrt(base.scale**2 + sigma**2)
        return 0.5 * jnp.sum(y**2) + self.model.network(jnp.append(y.reshape(-1), jnp.log(sigma)))


@is_confined.register
def _(energy: MLPAtNoise) -> bool:
    del energy
    return True
