"""Laws that are hard for samplers and can yet be drawn from exactly: a bent valley, a funnel, heavy tails."""

from __future__ import annotations

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from energax._errors import ArgumentError
from energax._typing import PRNGKey, Scalar
from energax.densities._base import AbstractDensity
from energax.densities._gaussian import Gaussian, GaussianMixture
from energax.spaces import Euclidean

_LOG_2PI = math.log(2 * math.pi)


class Rosenbrock(AbstractDensity):
    """Independent bent valleys: u ~ N(1, 1) and v | u ~ N(u², q), E = Σ ½(u − 1)² + (v − u²)²/(2q) + const.

    The first half of x are the u, the second the v. E u² = 2 and E v² = 10 + q.

    Args:
        dim: Number of coordinates, even.
        width: q > 0, the variance across the valley.

    References:
        [rosenbrock1960]; the form of [grumitt2022].
    """

    width: Scalar
    space: Euclidean = eqx.field(static=True)

    def __init__(self, dim: int = 36, width: Scalar | float = 0.1) -> None:
        if dim < 2 or dim % 2:
            raise ArgumentError(f"Rosenbrock needs an even number of coordinates, got dim={dim}.")
        self.space = Euclidean(dim, initial_scale=1.0)
        self.width = jnp.asarray(width, jnp.result_type(float))

    def log_prob(self, x: Float[Array, " dim"]) -> Scalar:
        u, v = jnp.split(x, 2)
        terms = (u - 1) ** 2 + (v - u**2) ** 2 / self.width + jnp.log(self.width) + 2 * _LOG_2PI
        return -0.5 * jnp.sum(terms)

    def draw(self, *, key: PRNGKey) -> Float[Array, " dim"]:
        first, second = jax.random.normal(key, (2, self.space.num_sites // 2), self.width.dtype)
        u = 1 + first
        return jnp.concatenate([u, u**2 + jnp.sqrt(self.width) * second])


class Funnel(AbstractDensity):
    """Neal's funnel: x_0 ~ N(0, σ²) and x_i | x_0 ~ N(0, exp(x_0)): the neck is narrow and holds much of the mass.

    Args:
        dim: Number of coordinates, 2 or more.
        scale: σ > 0.

    References:
        [neal2003]
    """

    scale: Scalar
    space: Euclidean = eqx.field(static=True)

    def __init__(self, dim: int = 10, scale: Scalar | float = 3.0) -> None:
        if dim < 2:
            raise ArgumentError(f"A funnel needs two coordinates or more, got dim={dim}.")
        self.space = Euclidean(dim, initial_scale=1.0)
        self.scale = jnp.asarray(scale, jnp.result_type(float))

    def log_prob(self, x: Float[Array, " dim"]) -> Scalar:
        neck, rest = x[0], x[1:]
        log_neck = -0.5 * (neck / self.scale) ** 2 - jnp.log(jnp.abs(self.scale)) - 0.5 * _LOG_2PI
        return log_neck - 0.5 * jnp.sum(rest**2) * jnp.exp(-neck) - 0.5 * rest.size * (neck + _LOG_2PI)

    def draw(self, *, key: PRNGKey) -> Float[Array, " dim"]:
        noise = jax.random.normal(key, self.space.shape, self.scale.dtype)
        neck = self.scale * noise[0]
        return jnp.concatenate([neck[None], jnp.exp(0.5 * neck) * noise[1:]])


class Cauchy(AbstractDensity):
    """Independent Cauchy coordinates: log p(x) = −Σ log[π s (1 + ((x − m)/s)²)]; no moments, entropy d log(4πs).

    Args:
        dim: Number of coordinates.
        location: m.
        scale: s > 0.

    References:
        [devroye1986]
    """

    location: Scalar
    scale: Scalar
    space: Euclidean = eqx.field(static=True)

    def __init__(self, dim: int = 100, location: Scalar | float = 0.0, scale: Scalar | float = 1.0) -> None:
        self.space = Euclidean(dim, initial_scale=1.0)
        self.location, self.scale = (jnp.asarray(value, jnp.result_type(float)) for value in (location, scale))

    def log_prob(self, x: Float[Array, " dim"]) -> Scalar:
        white = (x - self.location) / self.scale
        return -jnp.sum(jnp.log1p(white**2)) - x.size * (jnp.log(jnp.abs(self.scale)) + math.log(math.pi))

    def draw(self, *, key: PRNGKey) -> Float[Array, " dim"]:
        return self.location + self.scale * jax.random.cauchy(key, self.space.shape, self.scale.dtype)


def ill_conditioned(dim: int = 100, condition: float = 1e4, *, key: PRNGKey | None = None) -> Gaussian:
    """A normal law with mean zero and variances spaced evenly in the logarithm from 1/√κ to √κ.

    Args:
        dim: Number of coordinates, 2 or more.
        condition: κ ≥ 1, the ratio of the largest to the smallest variance.
        key: Rotates the law at random; without it the axes are those of the coordinates.

    Raises:
        ArgumentError: `dim` or `condition` is too small.
    """
    if dim < 2 or not condition >= 1:
        raise ArgumentError(
            f"ill_conditioned needs dim of at least 2 and condition of at least 1, got {dim}, {condition}."
        )
    variances = np.geomspace(condition**-0.5, condition**0.5, dim)
    if key is None:
        return Gaussian(jnp.zeros(dim), jnp.asarray(variances))
    rotation = np.linalg.qr(np.asarray(jax.random.normal(key, (dim, dim)), np.float64))[0]
    return Gaussian(jnp.zeros(dim), jnp.asarray((rotation * variances) @ rotation.T))


def gmm40() -> GaussianMixture:
    """Forty equal normal laws in the plane, scale log(1 + e) = 1.3133, means uniform on [−40, 40]².

    The means are those of the public benchmark: 24-bit fractions from the Mersenne twister with seed 0.

    References:
        [midgley2023]
    """
    words = np.frombuffer(np.random.RandomState(0).bytes(320), "<u4")
    means = ((words & 0xFFFFFF) / 2**24 - 0.5) * 80
    return GaussianMixture(jnp.asarray(means.reshape(40, 2), jnp.result_type(float)), math.log1p(math.e))
