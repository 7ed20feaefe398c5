"""Spins, binary units and categorical sites."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from energax._errors import ArgumentError
from energax._typing import PRNGKey
from energax.spaces._base import AbstractDiscreteSpace
from energax.spaces._continuous import _as_shape


class AbstractTwoValuedSpace(AbstractDiscreteSpace):
    """Sites with two values; logits are log-odds of the second value against the first."""

    @property
    def logits_shape(self) -> tuple[int, ...]:
        return self.shape

    def draw_sites(self, logits: Float[Array, "..."], *, key: PRNGKey) -> Array:
        first, second = self.values
        up = jax.random.uniform(key, jnp.shape(logits), logits.dtype) < jax.nn.sigmoid(logits)
        dtype = self.struct.dtype
        return jnp.where(up, jnp.asarray(second, dtype), jnp.asarray(first, dtype))

    def site_log_probs(self, logits: Float[Array, "..."], x: Array) -> Float[Array, "..."]:
        return jax.nn.log_sigmoid(jnp.where(x == self.values[1], logits, -logits))

    def log_partition(self, logits: Float[Array, "..."]) -> Float[Array, "..."]:
        return jax.nn.softplus(logits)

    def flip(self, x: Array) -> Array:
        """The other value of every site."""
        first, second = self.values
        return (first + second - x).astype(jnp.asarray(x).dtype)


class Spins(AbstractTwoValuedSpace):
    """Arrays of spins with the values −1 and +1, counting measure."""

    shape: tuple[int, ...] = eqx.field(static=True, converter=_as_shape)

    @property
    def values(self) -> tuple[int, ...]:
        return (-1, 1)

    def with_shape(self, shape: tuple[int, ...]) -> Spins:
        return Spins(shape)


class Binary(AbstractTwoValuedSpace):
    """Arrays of units with the values 0 and 1, counting measure."""

    shape: tuple[int, ...] = eqx.field(static=True, converter=_as_shape)

    @property
    def values(self) -> tuple[int, ...]:
        return (0, 1)

    def with_shape(self, shape: tuple[int, ...]) -> Binary:
        return Binary(shape)


class Categorical(AbstractDiscreteSpace):
    """Arrays of sites with the values 0, 1, ..., num_categories − 1, counting measure."""

    shape: tuple[int, ...] = eqx.field(static=True, converter=_as_shape)
    num_categories: int = eqx.field(static=True, kw_only=True)

    def __check_init__(self) -> None:
        if self.num_categories < 2:
            raise ArgumentError(f"Categorical needs at least two categories, got {self.num_categories}.")

    @property
    def values(self) -> tuple[int, ...]:
        return tuple(range(self.num_categories))

    @property
    def logits_shape(self) -> tuple[int, ...]:
        return (*self.shape, self.num_categories)

    def draw_sites(self, logits: Float[Array, "..."], *, key: PRNGKey) -> Array:
        return jax.random.categorical(key, logits, axis=-1).astype(self.struct.dtype)

    def site_log_probs(self, logits: Float[Array, "..."], x: Array) -> Float[Array, "..."]:
        index = jnp.asarray(x, jnp.int32)[..., None]
        return jnp.take_along_axis(jax.nn.log_softmax(logits, axis=-1), index, axis=-1)[..., 0]

    def log_partition(self, logits: Float[Array, "..."]) -> Float[Array, "..."]:
        return jax.nn.logsumexp(logits, axis=-1) - logits[..., 0]

    def with_shape(self, shape: tuple[int, ...]) -> Categorical:
        return Categorical(shape, num_categories=self.num_categories)
