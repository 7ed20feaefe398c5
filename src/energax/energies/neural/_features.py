"""Waves of the coordinates, which let a small network see fine detail."""

from __future__ import annotations

import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from energax._errors import ArgumentError
from energax._typing import PRNGKey
from energax.energies._base import as_parameter
from energax.spaces import Torus


class FourierFeatures(eqx.Module):
    """Fourier features of a configuration: x ↦ (y, sin By, cos By) with y = (x − m)/s, flattened.

    A network of the bare coordinates learns smooth functions first and sharp ones last: many narrow modes, or edges,
    take it very long. Of waves with random frequencies B_kj ~ N(0, ω²) it learns detail down to about s/ω as fast as
    the rest. The features are Lipschitz, so that a confined network stays integrable. B, m and s are leaves.

    Cost: a product with a matrix, and `num_features` sines and cosines.

    Args:
        num_sites: Number of coordinates d.
        num_features: Number of frequencies, each of which gives a sine and a cosine.
        frequency: ω > 0, in radians for each unit of y. Large ones let the network see noise of the data as detail.
        mean: m, a number or an array that is broadcast to the coordinates.
        scale: s > 0, the same; about the standard deviation of the data.
        key: Random key of the frequencies.

    Example:
        >>> import jax
        >>> from energax import energies
        >>> features = energies.FourierFeatures(2, num_features=16, key=jax.random.key(0))
        >>> energies.MLP(2, hidden=(8,), features=features, key=jax.random.key(1)).layers[0].weight.shape
        (8, 34)

    References:
        [tancik2020]
    """

    frequencies: Float[Array, "k d"]
    mean: Float[Array, "..."] = eqx.field(converter=as_parameter)
    scale: Float[Array, "..."] = eqx.field(converter=as_parameter)

    def __init__(
        self,
        num_sites: int,
        *,
        num_features: int = 64,
        frequency: float = 3.0,
        mean: ArrayLike = 0.0,
        scale: ArrayLike = 1.0,
        key: PRNGKey,
    ) -> None:
        if num_sites < 1 or num_features < 1 or not frequency > 0:
            raise ArgumentError(
                f"FourierFeatures needs coordinates, features and a positive frequency, got {num_sites}, "
                f"{num_features} and {frequency}."
            )
        self.frequencies = frequency * jax.random.normal(key, (num_features, num_sites))
        self.mean, self.scale = as_parameter(mean), as_parameter(scale)

    @property
    def size(self) -> int:
        """Numbers that come out."""
        return self.frequencies.shape[1] + 2 * self.frequencies.shape[0]

    def __call__(self, x: Float[Array, "..."]) -> Float[Array, " out"]:
        y = ((x - self.mean) / self.scale).reshape(-1)
        waves = self.frequencies @ y
        return jnp.concatenate([y, jnp.sin(waves), jnp.cos(waves)])


class PeriodicFeatures(eqx.Module):
    """Fourier features of angles: x ↦ (cos k a, sin k a) for k = 1 ... K, with a = 2π x/period, flattened.

    A network of bare angles has a jump where they come round; one of these waves does not know where that is. K = 1
    suffices for smooth energies of few angles: products and powers are left to the network. The features are bounded.

    Cost: 2K sines and cosines for each angle.

    Args:
        space: The torus.
        num_harmonics: K.

    Example:
        >>> import jax
        >>> from energax import energies, spaces
        >>> torus = spaces.Torus(2)
        >>> features = energies.PeriodicFeatures(torus, num_harmonics=3)
        >>> energies.MLP(torus, hidden=(8,), features=features, key=jax.random.key(0)).layers[0].weight.shape
        (8, 12)
    """

    space: Torus = eqx.field(static=True)
    num_harmonics: int = eqx.field(static=True, default=1)

    def __check_init__(self) -> None:
        if not isinstance(self.space, Torus) or self.num_harmonics < 1:
            raise ArgumentError(
                f"PeriodicFeatures needs a torus and num_harmonics of at least 1, got {self.space} and "
                f"{self.num_harmonics}."
            )

    @property
    def size(self) -> int:
        """Numbers that come out."""
        return 2 * self.num_harmonics * self.space.num_sites

    def __call__(self, x: Float[Array, "..."]) -> Float[Array, " out"]:
        harmonics = jnp.arange(1, self.num_harmonics + 1, dtype=x.dtype)
        waves = (2 * math.pi / self.space.period) * jnp.outer(harmonics, x.reshape(-1))
        return jnp.concatenate([jnp.cos(waves), jnp.sin(waves)]).reshape(-1)
