"""Planar laws with a formula: concentric rings, a checkerboard, a pinwheel."""

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
from energax.spaces import Euclidean

_LAST_TWIST = 8.0


class Rings(AbstractDensity):
    """Concentric circles seen through isotropic Gaussian noise, each circle with the same probability.

    The integral over the angle has a closed form with the modified Bessel function I₀:
    p(x) = (1/K) Σ_k exp(−(|x|² + r_k²)/2σ²) I₀(r_k |x|/σ²) / 2πσ².

    Exactness: exact to rounding. Cost: one Bessel function for each ring.

    Args:
        radii: r_k, shape (k,).
        scale: σ > 0.
    """

    radii: Float[Array, " k"]
    scale: Scalar
    space: Euclidean = eqx.field(static=True)

    def __init__(self, radii: tuple[float, ...] = (0.75, 1.5, 2.25, 3.0), scale: float = 0.08) -> None:
        if not scale > 0 or not radii or min(radii) < 0:
            raise ArgumentError(f"Rings needs radii ≥ 0 and a positive `scale`, got {radii} and {scale}.")
        self.radii = jnp.asarray(radii, jnp.result_type(float))
        self.scale = jnp.asarray(scale, jnp.result_type(float))
        self.space = Euclidean(2, initial_scale=max(radii))

    def log_prob(self, x: Float[Array, " 2"]) -> Scalar:
        radius = _safe_norm(x)
        # i0e holds exp(-z): the squares combine to (|x| - r)², which neither overflows nor cancels
        bessel = jnp.log(jax.scipy.special.i0e(self.radii * radius / self.scale**2))
        terms = bessel - 0.5 * ((radius - self.radii) / self.scale) ** 2
        return jax.nn.logsumexp(terms) - math.log(self.radii.size * 2 * math.pi) - 2 * jnp.log(jnp.abs(self.scale))

    def draw(self, *, key: PRNGKey) -> Float[Array, " 2"]:
        which, turn, noise = jax.random.split(key, 3)
        radius = self.radii[jax.random.randint(which, (), 0, self.radii.size)]
        angle = jax.random.uniform(turn, (), self.radii.dtype, 0.0, 2 * math.pi)
        circle = radius * jnp.stack([jnp.cos(angle), jnp.sin(angle)])
        return circle + self.scale * jax.random.normal(noise, (2,), self.radii.dtype)


class Checkerboard(AbstractDensity):
    """The uniform law on every second square of a board of num_squares × num_squares around the origin.

    log p(x) = −log(num_squares² · side² / 2) on the squares (i, j) with i + j even, counted from the lower left one,
    and −∞ elsewhere: the energy is infinite off the squares and its score is zero on them.

    Exactness: exact; the entropy is log(num_squares² · side² / 2), for the default board log 32.

    Args:
        num_squares: Squares along one edge, even.
        side: Length of the edge of a square.
    """

    num_squares: int = eqx.field(static=True, default=4)
    side: float = eqx.field(static=True, default=2.0)

    def __check_init__(self) -> None:
        if self.num_squares < 2 or self.num_squares % 2 or not self.side > 0:
            raise ArgumentError(
                f"Checkerboard needs an even number of squares and a positive side, got {self.num_squares} "
                f"and {self.side}."
            )

    @property
    def space(self) -> Euclidean:
        """The plane."""
        return Euclidean(2, initial_scale=self.num_squares * self.side / 2)

    def log_prob(self, x: Float[Array, " 2"]) -> Scalar:
        cell = jnp.floor(x / self.side + self.num_squares // 2)
        on_board = jnp.all((cell >= 0) & (cell < self.num_squares))
        inside = on_board & (jnp.mod(cell[0] + cell[1], 2) == 0)
        level = jnp.asarray(-math.log(self.num_squares**2 * self.side**2 / 2), jnp.result_type(x, float))
        return jnp.where(inside, level, -jnp.inf)

    def draw(self, *, key: PRNGKey) -> Float[Array, " 2"]:
        which, where = jax.random.split(key)
        half = self.num_squares // 2
        index = jax.random.randint(which, (2,), 0, jnp.array([self.num_squares, half]))
        column = index[0]
        row = 2 * index[1] + jnp.mod(column, 2)
        corner = jnp.stack([column, row]) - half
        x = self.side * (corner + jax.random.uniform(where, (2,), jnp.result_type(float)))
        # in float32 the sum can round up to the edge, which belongs to the next square
        return jnp.minimum(x, jnp.nextafter(jnp.asarray(self.side * (corner + 1), x.dtype), -jnp.inf))


class Pinwheel(AbstractDensity):
    """Arms of a pinwheel: Gaussian blobs in (radial, tangential) coordinates, twisted by an angle that grows outwards.

    A draw is x = size · R(2πk/K + rate · e^ρ) (1 + s_r z₁, s_t z₂) with k uniform, z standard normal, R a rotation and
    ρ the distance of the point from the centre before scaling. A rotation by an angle that depends on the distance
    alone keeps areas, so p(x) = size⁻² (1/K) Σ_k N(R(−2πk/K − rate · e^ρ) x/size; (1, 0), diag(s_r², s_t²)) with
    ρ = |x|/size.

    Exactness: exact. The usual generator twists by e^(1 + s_r z₁) in place of e^ρ, for which x ↦ (z₁, z₂) has several
    branches; the two laws differ by about s_t²/2 in the argument of the exponential.

    Args:
        num_arms: K.
        radial_scale: s_r.
        tangential_scale: s_t.
        rate: Twist in radians for each unit of e^ρ.
        size: Overall scale.
    """

    radial_scale: Scalar
    tangential_scale: Scalar
    rate: Scalar
    size: Scalar
    num_arms: int = eqx.field(static=True)
    space: Euclidean = eqx.field(static=True)

    def __init__(
        self,
        num_arms: int = 5,
        *,
        radial_scale: float = 0.3,
        tangential_scale: float = 0.1,
        rate: float = 0.25,
        size: float = 2.0,
    ) -> None:
        if num_arms < 1 or not min(radial_scale, tangential_scale, size) > 0:
            raise ArgumentError(
                f"Pinwheel needs at least one arm and positive scales, got num_arms={num_arms}, radial_scale="
                f"{radial_scale}, tangential_scale={tangential_scale}, size={size}."
            )
        dtype = jnp.result_type(float)
        self.radial_scale = jnp.asarray(radial_scale, dtype)
        self.tangential_scale = jnp.asarray(tangential_scale, dtype)
        self.rate = jnp.asarray(rate, dtype)
        self.size = jnp.asarray(size, dtype)
        self.num_arms = num_arms
        self.space = Euclidean(2, initial_scale=2 * size)

    def log_prob(self, x: Float[Array, " 2"]) -> Scalar:
        y = x / self.size
        angles = self._spokes() + self._twist(y)
        radial = jnp.cos(angles) * y[0] + jnp.sin(angles) * y[1]
        tangential = jnp.cos(angles) * y[1] - jnp.sin(angles) * y[0]
        squared = ((radial - 1) / self.radial_scale) ** 2 + (tangential / self.tangential_scale) ** 2
        volume = jnp.log(jnp.abs(self.radial_scale * self.tangential_scale) * self.size**2)
        return jax.nn.logsumexp(-0.5 * squared) - volume - math.log(2 * math.pi * self.num_arms)

    def draw(self, *, key: PRNGKey) -> Float[Array, " 2"]:
        which, noise = jax.random.split(key)
        z = jax.random.normal(noise, (2,), self.size.dtype)
        blob = jnp.stack([1 + self.radial_scale * z[0], self.tangential_scale * z[1]])
        spoke = self._spokes()[jax.random.randint(which, (), 0, self.num_arms)]
        angle = spoke + self._twist(blob)
        cos, sin = jnp.cos(angle), jnp.sin(angle)
        return self.size * jnp.stack([cos * blob[0] - sin * blob[1], sin * blob[0] + cos * blob[1]])

    def _twist(self, y: Float[Array, " 2"]) -> Scalar:
        # far out the exponential would overflow; a twist that stops growing is as exact, for draws and density share it
        return self.rate * jnp.exp(jnp.minimum(_safe_norm(y), _LAST_TWIST))

    def _spokes(self) -> Float[Array, " k"]:
        return jnp.asarray(2 * np.pi * np.arange(self.num_arms) / self.num_arms, self.size.dtype)


def _safe_norm(x: Float[Array, " 2"]) -> Scalar:
    """|x|, with the derivative 0 at the origin in place of NaN."""
    squared = jnp.sum(x**2)
    return jnp.sqrt(jnp.maximum(squared, jnp.finfo(squared.dtype).tiny))
