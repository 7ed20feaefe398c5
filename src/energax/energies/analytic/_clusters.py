"""Clusters of identical particles that interact in pairs."""

from __future__ import annotations

import abc

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from energax._errors import ArgumentError
from energax._typing import Scalar
from energax.energies._base import AbstractEnergy, as_parameter
from energax.energies._capabilities import is_confined
from energax.spaces import Euclidean


class AbstractCluster(AbstractEnergy):
    """E(x) = U(x) + ½ κ n |x̄|², with U a sum over pairs of n particles and x̄ their centre of mass.

    The published energies are U alone, which no translation changes, so that exp(−U) has no integral. The second term
    pins the centre of mass, √n x̄ ~ N(0, 1/κ), independently of everything else: laws of distances, and of U, are those
    of the published definition.
    """

    centre: eqx.AbstractVar[Scalar]

    @abc.abstractmethod
    def internal(self, x: Float[Array, "n d"]) -> Scalar:
        """U(x), the energy of the published definition."""

    def __call__(self, x: Float[Array, "n d"]) -> Scalar:
        return self.internal(x) + 0.5 * self.centre * x.shape[0] * jnp.sum(jnp.mean(x, axis=0) ** 2)


class DoubleWellCluster(AbstractCluster):
    """Particles whose pair distances have two wells: U(x) = Σ_{i<j} [a (r_ij − r₀)⁴ − b (r_ij − r₀)²]; DW-4 by default.

    Args:
        num_particles: n.
        dim: Dimension of the particles' space.
        quartic: a > 0.
        quadratic: b.
        distance: r₀.
        centre: κ > 0, see `AbstractCluster`.

    References:
        [koehler2020]
    """

    quartic: Scalar
    quadratic: Scalar
    distance: Scalar
    centre: Scalar
    space: Euclidean = eqx.field(static=True)

    def __init__(
        self,
        num_particles: int = 4,
        dim: int = 2,
        *,
        quartic: Scalar | float = 0.9,
        quadratic: Scalar | float = 4.0,
        distance: Scalar | float = 4.0,
        centre: Scalar | float = 1.0,
    ) -> None:
        self.space = _space(num_particles, dim, 2.0)
        self.quartic, self.quadratic = as_parameter(quartic), as_parameter(quadratic)
        self.distance, self.centre = as_parameter(distance), as_parameter(centre)

    def internal(self, x: Float[Array, "n d"]) -> Scalar:
        squared, others = _squared_distances(x)
        excess = jnp.sqrt(squared) - self.distance
        pairs = self.quartic * excess**4 - self.quadratic * excess**2
        return 0.5 * jnp.sum(jnp.where(others, pairs, 0.0))


class LennardJonesCluster(AbstractCluster):
    """Lennard-Jones particles in a trap: U(x) = ε Σ_{i<j} [(σ/r_ij)¹² − 2 (σ/r_ij)⁶] + ½ k Σ_i |x_i − x̄|².

    The defaults are LJ-13 of the sampling literature, ε = 2, σ = 1, k = 1; LJ-55 has ``num_particles=55``. The bare
    cluster 4 Σ (r⁻¹² − r⁻⁶) is ``strength=1, radius=2 ** (1 / 6), trap=0``; it evaporates at any temperature, and is
    there for its minima.

    There is no initial law, because independent particles overlap: start from a compact cluster.

    Args:
        num_particles: n.
        dim: Dimension of the particles' space.
        strength: ε > 0.
        radius: σ > 0, the distance at which a pair has its minimum −ε.
        trap: k ≥ 0.
        centre: κ > 0, see `AbstractCluster`.

    References:
        [klein2023], [wales1997]
    """

    strength: Scalar
    radius: Scalar
    trap: Scalar
    centre: Scalar
    space: Euclidean = eqx.field(static=True)

    def __init__(
        self,
        num_particles: int = 13,
        dim: int = 3,
        *,
        strength: Scalar | float = 2.0,
        radius: Scalar | float = 1.0,
        trap: Scalar | float = 1.0,
        centre: Scalar | float = 1.0,
    ) -> None:
        self.space = _space(num_particles, dim, None)
        self.strength, self.radius = as_parameter(strength), as_parameter(radius)
        self.trap, self.centre = as_parameter(trap), as_parameter(centre)

    def internal(self, x: Float[Array, "n d"]) -> Scalar:
        squared, others = _squared_distances(x)
        sixth = (self.radius**2 / squared) ** 3
        pairs = jnp.where(others, sixth * (sixth - 2), 0.0)
        spread = jnp.sum((x - jnp.mean(x, axis=0)) ** 2)
        return 0.5 * self.strength * jnp.sum(pairs) + 0.5 * self.trap * spread


def _space(num_particles: int, dim: int, initial_scale: float | None) -> Euclidean:
    if num_particles < 2 or dim < 1:
        raise ArgumentError(f"A cluster needs two particles or more, got {num_particles} in {dim} dimensions.")
    return Euclidean((num_particles, dim), initial_scale=initial_scale)


def _squared_distances(x: Float[Array, "n d"]) -> tuple[Float[Array, "n n"], Array]:
    """|x_i − x_j|², one on the diagonal so that nothing there divides by zero, and where i ≠ j."""
    others = ~jnp.eye(x.shape[0], dtype=bool)
    squared = jnp.sum((x[:, None] - x[None]) ** 2, axis=-1)
    return jnp.where(others, squared, jnp.ones((), x.dtype)), others


@is_confined.register
def _(energy: DoubleWellCluster) -> bool:
    return True


@is_confined.register
def _(energy: LennardJonesCluster) -> bool | None:
    # Whether there is a trap is known only where its strength is a number.
    return None
