"""Normal laws of any covariance, and their mixtures."""

from __future__ import annotations

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float

from energax._errors import ArgumentError
from energax._typing import PRNGKey, Scalar
from energax.densities._base import AbstractDensity, has_smooth_draws
from energax.energies import FREE, Block, Normals, blocks, conditional_normals
from energax.spaces import Euclidean

_MAX_INVERTED = 16


class Gaussian(AbstractDensity):
    """N(m, Σ) on R^d: log p(x) = −½ (x − m)ᵀΣ⁻¹(x − m) − ½ log det(2πΣ).

    Args:
        mean: m, shape (d,).
        covariance: Σ, shape (d, d), symmetric and positive definite; shape (d,) for a diagonal; a number for a
            multiple of the identity.

    Raises:
        ArgumentError: The shapes do not fit, or Σ is not positive definite (checked outside jit).
    """

    mean: Float[Array, " d"]
    cholesky: Float[Array, "d d"] | Float[Array, " d"]
    space: Euclidean = eqx.field(static=True)

    def __init__(
        self, mean: Float[Array, " d"], covariance: Float[Array, "d d"] | Float[Array, " d"] | float = 1.0
    ) -> None:
        mean, covariance = jnp.asarray(mean, jnp.result_type(float)), jnp.asarray(covariance, jnp.result_type(float))
        if mean.ndim != 1 or covariance.shape not in ((), mean.shape, mean.shape * 2):
            raise ArgumentError(
                f"Gaussian needs a mean of shape (d,) and a covariance of shape (d, d), (d,) or (), got {mean.shape} "
                f"and {covariance.shape}."
            )
        full = covariance.ndim == 2
        factor = jnp.linalg.cholesky(covariance) if full else jnp.sqrt(jnp.broadcast_to(covariance, mean.shape))
        if not isinstance(factor, Tracer) and not bool(jnp.all(jnp.isfinite(factor) & (full | (factor != 0)))):
            raise ArgumentError("The covariance of a Gaussian must be symmetric and positive definite.")
        self.mean = mean
        self.cholesky = factor
        self.space = Euclidean(mean.shape[0], initial_scale=1.0)

    @property
    def covariance(self) -> Float[Array, "d d"]:
        """Σ as a matrix."""
        return self.cholesky @ self.cholesky.T if self.cholesky.ndim == 2 else jnp.diag(self.cholesky**2)

    def log_prob(self, x: Float[Array, " d"]) -> Scalar:
        centred = x - self.mean
        if self.cholesky.ndim == 2:
            white = self._whitened(centred)
            scales = jnp.diagonal(self.cholesky)
        else:
            white, scales = centred / self.cholesky, self.cholesky
        return -0.5 * jnp.sum(white**2) - jnp.sum(jnp.log(jnp.abs(scales))) - 0.5 * white.size * math.log(2 * math.pi)

    def _whitened(self, centred: Float[Array, " d"]) -> Float[Array, " d"]:
        """L⁻¹ (x − m) for Σ = L Lᵀ."""
        dim = self.cholesky.shape[0]
        if dim > _MAX_INVERTED:
            return jax.scipy.linalg.solve_triangular(self.cholesky, centred, lower=True)
        # Solved for every row apart, small systems cost far more than one inverse and a product for all rows.
        identity = jnp.eye(dim, dtype=self.cholesky.dtype)
        return jax.scipy.linalg.solve_triangular(self.cholesky, identity, lower=True) @ centred

    def draw(self, *, key: PRNGKey) -> Float[Array, " d"]:
        noise = jax.random.normal(key, self.mean.shape, self.mean.dtype)
        return self.mean + (self.cholesky @ noise if self.cholesky.ndim == 2 else self.cholesky * noise)


@blocks.register
def _(density: Gaussian) -> tuple[Block, ...]:
    return FREE if density.cholesky.ndim == 1 else ()


@conditional_normals.register
def _(density: Gaussian, x: Float[Array, " d"], part: str | None = None) -> Normals:
    """Of a diagonal covariance; with another one the coordinates are no block."""
    del x, part
    precision = 1 / density.cholesky**2
    return Normals(precision, precision * density.mean)


@has_smooth_draws.register
def _(density: Gaussian) -> bool:
    del density
    return True


class GaussianMixture(AbstractDensity):
    """Σ_k π_k N(m_k, s_k² I) on R^d: log p(x) = log Σ_k π_k N(x; m_k, s_k² I).

    Args:
        means: m_k, shape (k, d).
        scales: Standard deviations s_k, shape (k,) or a number.
        weights: π_k, shape (k,), positive; normalised here. Equal by default.
    """

    means: Float[Array, "k d"]
    scales: Float[Array, " k"]
    log_weights: Float[Array, " k"]
    space: Euclidean = eqx.field(static=True)

    def __init__(
        self,
        means: Float[Array, "k d"],
        scales: Float[Array, " k"] | float = 1.0,
        weights: Float[Array, " k"] | None = None,
    ) -> None:
        self.means = jnp.asarray(means, jnp.result_type(float))
        if self.means.ndim != 2:
            raise ArgumentError(f"GaussianMixture needs means of shape (k, d), got {self.means.shape}.")
        count = self.means.shape[:1]
        given = jnp.ones(count) if weights is None else jnp.asarray(weights, self.means.dtype)
        if given.shape != count or jnp.shape(scales) not in ((), count):
            raise ArgumentError(
                f"GaussianMixture with {count[0]} means needs as many weights and scales, got {given.shape} and "
                f"{jnp.shape(scales)}."
            )
        self.scales = jnp.broadcast_to(jnp.asarray(scales, self.means.dtype), count)
        self.log_weights = jax.nn.log_softmax(jnp.log(given))
        spread = float(np.max(np.abs(self.means))) if not isinstance(self.means, Tracer) else 1.0
        self.space = Euclidean(self.means.shape[1], initial_scale=max(spread, 1.0))

    def component_log_probs(self, x: Float[Array, " d"]) -> Float[Array, " k"]:
        """Log π_k N(x; m_k, s_k² I) of every component."""
        squared = jnp.sum(((x - self.means) / self.scales[:, None]) ** 2, axis=1)
        dim = self.means.shape[1]
        # Normalised here and not only when it is made, because training moves the leaves.
        log_weights = jax.nn.log_softmax(self.log_weights)
        return log_weights - 0.5 * squared - dim * (jnp.log(jnp.abs(self.scales)) + 0.5 * math.log(2 * math.pi))

    def log_prob(self, x: Float[Array, " d"]) -> Scalar:
        return jax.nn.logsumexp(self.component_log_probs(x))

    def draw(self, *, key: PRNGKey) -> Float[Array, " d"]:
        which, noise = jax.random.split(key)
        k = jax.random.categorical(which, self.log_weights)
        return self.means[k] + self.scales[k] * jax.random.normal(noise, self.means.shape[1:], self.means.dtype)
