"""Euclidean space, boxes and tori."""

from __future__ import annotations

import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from energax._errors import ArgumentError, SpaceError
from energax._typing import BoolScalar, PRNGKey
from energax.spaces._base import AbstractArraySpace


def _as_shape(shape: int | tuple[int, ...]) -> tuple[int, ...]:
    return (shape,) if isinstance(shape, int) else tuple(shape)


class Euclidean(AbstractArraySpace):
    """Arrays of real numbers, with Lebesgue measure.

    Args:
        shape: Shape of one configuration; an integer d means ``(d,)``.
        initial_scale: Standard deviation of the normal law from which chains start when no start is given;
            without it `initial` refuses, because an unbounded space has no natural starting law.
    """

    shape: tuple[int, ...] = eqx.field(static=True, converter=_as_shape)
    initial_scale: float | None = eqx.field(static=True, default=None)

    @property
    def is_discrete(self) -> bool:
        return False

    @property
    def measure(self) -> str:
        return "Lebesgue"

    @property
    def struct(self) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(self.shape, jnp.result_type(float))

    @property
    def log_volume(self) -> float:
        return math.inf

    def contains(self, x: Array) -> BoolScalar:
        return jnp.all(jnp.isfinite(x))

    def fold(self, x: Array) -> Array:
        return x

    def initial(self, *, key: PRNGKey) -> Array:
        if self.initial_scale is None:
            raise SpaceError(
                f"{self} declares no initial law, so a chain needs a start: pass `x0`, "
                "or give the space one with Euclidean(shape, initial_scale=1.0)."
            )
        return self.initial_scale * jax.random.normal(key, self.shape)

    def with_shape(self, shape: tuple[int, ...]) -> Euclidean:
        return Euclidean(shape, self.initial_scale)


class Box(AbstractArraySpace):
    """Arrays whose entries lie in [lower, upper], with Lebesgue measure and reflecting walls.

    Args:
        shape: Shape of one configuration.
        lower: Lower wall, the same for every entry.
        upper: Upper wall.
    """

    shape: tuple[int, ...] = eqx.field(static=True, converter=_as_shape)
    lower: float = eqx.field(static=True, default=0.0)
    upper: float = eqx.field(static=True, default=1.0)

    def __check_init__(self) -> None:
        if not self.lower < self.upper:
            raise ArgumentError(f"Box needs lower < upper, got lower={self.lower}, upper={self.upper}.")

    @property
    def is_discrete(self) -> bool:
        return False

    @property
    def measure(self) -> str:
        return "Lebesgue"

    @property
    def struct(self) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(self.shape, jnp.result_type(float))

    @property
    def log_volume(self) -> float:
        return self.num_sites * math.log(self.upper - self.lower)

    def contains(self, x: Array) -> BoolScalar:
        return jnp.all((x >= self.lower) & (x <= self.upper))

    def fold(self, x: Array) -> Array:
        width = self.upper - self.lower
        phase = jnp.mod(x - self.lower, 2 * width)
        folded = self.lower + jnp.where(phase > width, 2 * width - phase, phase)
        # Points inside keep every bit; elsewhere the sum may round past the wall.
        inside = (x >= self.lower) & (x <= self.upper)
        return jnp.where(inside, x, jnp.minimum(folded, self.upper))

    def initial(self, *, key: PRNGKey) -> Array:
        return jax.random.uniform(key, self.shape, minval=self.lower, maxval=self.upper)

    def with_shape(self, shape: tuple[int, ...]) -> Box:
        return Box(shape, self.lower, self.upper)


class Torus(AbstractArraySpace):
    """Arrays of angles in [0, period), with Haar measure scaled to the total mass ``period`` per entry.

    Args:
        shape: Shape of one configuration.
        period: Length of one turn.
    """

    shape: tuple[int, ...] = eqx.field(static=True, converter=_as_shape)
    period: float = eqx.field(static=True, default=2 * math.pi)

    def __check_init__(self) -> None:
        if not self.period > 0:
            raise ArgumentError(f"Torus needs a positive period, got {self.period}.")

    @property
    def is_discrete(self) -> bool:
        return False

    @property
    def measure(self) -> str:
        return "Haar"

    @property
    def struct(self) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(self.shape, jnp.result_type(float))

    @property
    def log_volume(self) -> float:
        return self.num_sites * math.log(self.period)

    def contains(self, x: Array) -> BoolScalar:
        return jnp.all((x >= 0) & (x < self.period))

    def fold(self, x: Array) -> Array:
        angle = jnp.mod(x, self.period)
        # A tiny negative number plus the period rounds to the period, which is the angle 0.
        return jnp.where(angle < self.period, angle, angle - self.period)

    def initial(self, *, key: PRNGKey) -> Array:
        return jax.random.uniform(key, self.shape, minval=0.0, maxval=self.period)

    def with_shape(self, shape: tuple[int, ...]) -> Torus:
        return Torus(shape, self.period)
