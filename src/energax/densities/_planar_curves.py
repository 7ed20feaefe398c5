"""Planar laws that are a curve seen through Gaussian noise; the integral along the curve is done by quadrature."""

from __future__ import annotations

import abc
import dataclasses
import functools
import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from energax._errors import ArgumentError
from energax._typing import PRNGKey, Scalar
from energax.densities._base import AbstractDensity
from energax.spaces import Euclidean

# 32 Gauss-Legendre nodes on 12.5 standard deviations of arc keep the error of log p below 1e-8 out to 6 standard
# deviations from the curve, also on the convex side of the tightest bend of the named sets.
_NODES_PER_PANEL = 32
_PANEL_WIDTH = 12.5


class AbstractCurve(abc.ABC):
    """One or more smooth arms γ_k(t), each with the same law of the parameter t on [start, stop].

    Curves are hashable and hold no arrays. Formulas take the array namespace `xp`: NumPy in double precision for the
    quadrature, `jax.numpy` for draws.
    """

    @property
    @abc.abstractmethod
    def num_arms(self) -> int:
        """Number of arms, each with the same probability."""

    @property
    @abc.abstractmethod
    def ends(self) -> tuple[float, float]:
        """First and last value of t."""

    @abc.abstractmethod
    def point(self, t: Any, arm: Any, xp: Any) -> Any:
        """γ_arm(t), shape (..., 2)."""

    @abc.abstractmethod
    def density(self, t: Any) -> Any:
        """Density of t on [start, stop]."""

    @abc.abstractmethod
    def quantile(self, u: Any) -> Any:
        """The t below which the probability is u."""


@dataclasses.dataclass(frozen=True)
class Moons(AbstractCurve):
    """Two interleaved half circles of radius 2 around (−1, −0.2) and (1, 0.8), t uniform on [0, π]."""

    @property
    def num_arms(self) -> int:
        return 2

    @property
    def ends(self) -> tuple[float, float]:
        return (0.0, math.pi)

    def point(self, t: Any, arm: Any, xp: Any) -> Any:
        sign = 1.0 - 2.0 * arm
        return xp.stack([2.0 * sign * xp.cos(t) + 2.0 * arm - 1.0, 2.0 * sign * xp.sin(t) + arm - 0.2], -1)

    def density(self, t: Any) -> Any:
        return 0.0 * t + 1 / math.pi

    def quantile(self, u: Any) -> Any:
        return math.pi * u


@dataclasses.dataclass(frozen=True)
class Spiral(AbstractCurve):
    """Arms of an Archimedean spiral, γ_k(t) = pitch · t · (cos φ, sin φ) with φ = turn · t + 2πk/num_arms.

    Args:
        pitch: Radius gained for each radian.
        start: First value of t.
        stop: Last value of t.
        num_arms: Number of arms.
        turn: 1 for counter-clockwise, −1 for clockwise.
        power: The law of t has density ∝ t^(power − 1); 2 spreads points almost evenly along the arm.
    """

    pitch: float
    start: float
    stop: float
    num_arms: int = 1
    turn: int = 1
    power: int = 1

    @property
    def ends(self) -> tuple[float, float]:
        return (self.start, self.stop)

    def point(self, t: Any, arm: Any, xp: Any) -> Any:
        angle = self.turn * t + (2 * math.pi / self.num_arms) * arm
        return (self.pitch * t)[..., None] * xp.stack([xp.cos(angle), xp.sin(angle)], -1)

    def density(self, t: Any) -> Any:
        return self.power * t ** (self.power - 1) / (self.stop**self.power - self.start**self.power)

    def quantile(self, u: Any) -> Any:
        low, high = self.start**self.power, self.stop**self.power
        return (low + u * (high - low)) ** (1 / self.power)


class SmearedCurve(AbstractDensity):
    """Points of a curve seen through isotropic Gaussian noise, p(x) = (1/K) Σ_k ∫ N(x; γ_k(t), σ²I) w(t) dt.

    The integral is a Gauss–Legendre sum over panels of equal arc length, p(x) ≈ Σ_j ω_j N(x; γ(t_j), σ²I).

    Exactness: log p is accurate to 1e-8 within 6σ of the curve (in double precision) for the σ that the density was
    made with and larger ones; draws come from the continuous curve, not from the nodes.

    Cost: one exponential for each node, about 2.6 nodes for each σ of arc.

    The nodes belong to the curve and are no leaves: the only parameter is σ.

    Args:
        curve: The arms and the law of their parameter.
        scale: σ > 0.

    References:
        [davis1984] for the quadrature.
    """

    scale: Scalar
    curve: AbstractCurve = eqx.field(static=True)
    resolution: float = eqx.field(static=True)
    space: Euclidean = eqx.field(static=True)

    def __init__(self, curve: AbstractCurve, scale: float) -> None:
        if not scale > 0:
            raise ArgumentError(f"SmearedCurve needs a positive `scale`, got {scale}.")
        self.scale = jnp.asarray(scale, jnp.result_type(float))
        self.curve = curve
        self.resolution = float(scale)
        self.space = Euclidean(2, initial_scale=float(np.abs(self.nodes[0]).max()))

    @property
    def nodes(self) -> tuple[Float[np.ndarray, "n 2"], Float[np.ndarray, " n"]]:
        """Points γ(t_j) and weights ω_j of the quadrature, in double precision."""
        return _quadrature(self.curve, self.resolution)

    def log_prob(self, x: Float[Array, " 2"]) -> Scalar:
        points, weights = self.nodes
        dtype = jnp.result_type(x, self.scale)
        # two columns instead of one (n, 2) array: seventeen times faster with XLA on a CPU
        across = (x[0] - jnp.asarray(points[:, 0], dtype)) / self.scale
        up = (x[1] - jnp.asarray(points[:, 1], dtype)) / self.scale
        log_sum = jax.nn.logsumexp(jnp.asarray(np.log(weights), dtype) - 0.5 * (across**2 + up**2))
        return log_sum - 2 * jnp.log(jnp.abs(self.scale)) - math.log(2 * math.pi)

    def draw(self, *, key: PRNGKey) -> Float[Array, " 2"]:
        along, which, noise = jax.random.split(key, 3)
        dtype = self.scale.dtype
        t = self.curve.quantile(jax.random.uniform(along, (), dtype))
        arm = jax.random.randint(which, (), 0, self.curve.num_arms).astype(dtype)
        return self.curve.point(t, arm, jnp) + self.scale * jax.random.normal(noise, (2,), dtype)


@functools.lru_cache(maxsize=32)
def _quadrature(curve: AbstractCurve, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights, in double precision, of the mean over arms and parameter."""
    fine = np.linspace(*curve.ends, 20_001)
    steps = np.linalg.norm(np.diff(curve.point(fine, 0, np), axis=0), axis=1)
    arc = np.concatenate([[0.0], np.cumsum(steps)])
    num_panels = math.ceil(arc[-1] / (_PANEL_WIDTH * scale))
    edges = np.interp(np.linspace(0.0, arc[-1], num_panels + 1), arc, fine)
    edges[0], edges[-1] = curve.ends
    nodes, weights = np.polynomial.legendre.leggauss(_NODES_PER_PANEL)
    half = np.diff(edges)[:, None] / 2
    t = (edges[:-1, None] + half * (1 + nodes)).ravel()
    along = (half * weights).ravel() * curve.density(t) / curve.num_arms
    points = np.concatenate([curve.point(t, arm, np) for arm in range(curve.num_arms)])
    return points, np.tile(along, curve.num_arms)
