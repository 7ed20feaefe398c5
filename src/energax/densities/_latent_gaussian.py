"""A network of latent normal numbers, seen through normal noise."""

from __future__ import annotations

import math
from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from energax._errors import ArgumentError
from energax._typing import PRNGKey, Scalar
from energax.densities._base import AbstractDensity
from energax.energies import ACTIVATIONS, Latent, check_activation, latent
from energax.spaces import Euclidean, Product


class LatentGaussian(AbstractDensity):
    """The joint law of z ~ N(0, I) and x | z ~ N(f(z), σ²I) with a network f, over the space {"x", "z"}; x is data.

    E(x, z) = ½ ‖z‖² + ½ ‖x − f(z)‖²/σ² + D log σ + ½ (k + D) log 2π for k latent and D observed numbers. Without hidden
    layers f(z) = Wz + b and x ~ N(b, WWᵀ + σ²I): probabilistic PCA. Its marginal is not known otherwise; it learns by
    `objectives.ParticleGradientDescent`, and HMC in "z" given x draws codes.

    Exactness: normalised, with exact draws.

    Cost: a network.

    Args:
        space: Euclidean space of x, or a shape for it.
        latent_dim: k.
        hidden: Widths of the hidden layers of f.
        activation: A name of `energies.ACTIVATIONS`.
        scale: σ before training.
        key: Random key of the initial weights.

    Example:
        >>> import jax
        >>> from energax import densities
        >>> model = densities.LatentGaussian(5, latent_dim=2, hidden=(8,), key=jax.random.key(0))
        >>> model.draw(key=jax.random.key(1))["x"].shape
        (5,)

    References:
        [tipping1999], [rezende2014]
    """

    layers: tuple[eqx.nn.Linear, ...]
    log_scale: Float[Array, ""]
    space: Product = eqx.field(static=True)
    activation: str = eqx.field(static=True)

    def __init__(
        self,
        space: Euclidean | int | tuple[int, ...],
        *,
        latent_dim: int,
        hidden: Sequence[int] = (128, 128),
        activation: str = "silu",
        scale: float = 1.0,
        key: PRNGKey,
    ) -> None:
        check_activation(activation)
        if latent_dim < 1 or not scale > 0:
            raise ArgumentError(f"LatentGaussian needs latent_dim >= 1 and scale > 0, got {latent_dim} and {scale}.")
        observed = space if isinstance(space, Euclidean) else Euclidean(space, initial_scale=1.0)
        self.space = Product({"x": observed, "z": Euclidean(latent_dim, initial_scale=1.0)})
        widths = (latent_dim, *hidden, observed.num_sites)
        keys = jax.random.split(key, len(widths) - 1)
        self.layers = tuple(eqx.nn.Linear(m, n, key=k) for m, n, k in zip(widths, widths[1:], keys, strict=False))
        self.log_scale = jnp.asarray(np.log(scale), jnp.result_type(float))
        self.activation = activation

    def decode(self, z: Float[Array, " k"]) -> Float[Array, "..."]:
        """f(z), the mean of x given z."""
        y = z
        for layer in self.layers[:-1]:
            y = ACTIVATIONS[self.activation](layer(y))
        return self.layers[-1](y).reshape(self.space.parts["x"].struct.shape)

    def log_prob(self, x: dict[str, Array]) -> Scalar:
        z, log_scale = x["z"], self.log_scale
        white = (x["x"] - self.decode(z)) * jnp.exp(-log_scale)
        size = white.size
        return -0.5 * (jnp.sum(z**2) + jnp.sum(white**2) + (z.size + size) * math.log(2 * math.pi)) - size * log_scale

    def draw(self, *, key: PRNGKey) -> dict[str, Array]:
        latent_key, noise_key = jax.random.split(key)
        parts = self.space.struct
        z = jax.random.normal(latent_key, parts["z"].shape, parts["z"].dtype)
        noise = jax.random.normal(noise_key, parts["x"].shape, parts["x"].dtype)
        return {"x": self.decode(z) + jnp.exp(self.log_scale) * noise, "z": z}


@latent.register
def _(energy: LatentGaussian) -> Latent:
    del energy
    return Latent("x", ("z",))
