"""Spins, binary units and categorical sites."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from energax._errors import ArgumentError, SpaceError
from energax._typing import PRNGKey, Scalar
from energax.spaces._base import AbstractDiscreteSpace
from energax.spaces._continuous import _as_shape

_FACTORS = 16
"""Factors between 1 and 2 whose logarithm is taken together."""


@jax.custom_jvp
def total_softplus(x: Float[Array, "..."]) -> Scalar:
    """Σ log(1 + exp(x_i)): one logarithm for 16 terms, because logarithms are what the sum costs.

    The free energy of a machine, and each flip of a hidden unit with the others summed out, is such a sum.
    """
    flat = x.reshape(-1)
    factors, num_products = 1.0 + jnp.exp(-jnp.abs(flat)), flat.size // _FACTORS
    together, alone = jnp.split(factors, [num_products * _FACTORS])
    products = jnp.prod(together.reshape(_FACTORS, num_products), axis=0)
    return jnp.sum(jnp.maximum(flat, 0.0)) + jnp.sum(jnp.log(products)) + jnp.sum(jnp.log(alone))


@total_softplus.defjvp
def _(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Scalar, Scalar]:
    return total_softplus(*primals), jnp.sum(jax.nn.sigmoid(primals[0]) * tangents[0])


class AbstractTwoValuedSpace(AbstractDiscreteSpace):
    """Sites with two values; logits are log-odds of the second value against the first."""

    @property
    def allowed(self) -> None:
        """None: both values, everywhere."""

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

    def total_log_partition(self, logits: Float[Array, "..."]) -> Scalar:
        return total_softplus(logits)

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
    """Arrays of sites with the values 0, 1, ..., num_categories − 1, counting measure.

    Args:
        shape: Shape of one configuration.
        num_categories: The number of categories, of the site with the most if they differ.
        counts: The number of categories of each site in flat order, if they differ.
    """

    shape: tuple[int, ...] = eqx.field(static=True, converter=_as_shape)
    num_categories: int = eqx.field(static=True, kw_only=True)
    counts: tuple[int, ...] | None = eqx.field(static=True, kw_only=True, default=None)

    def __check_init__(self) -> None:
        if self.num_categories < 2:
            raise ArgumentError(f"Categorical needs at least two categories, got {self.num_categories}.")
        counts, most = self.counts, self.num_categories
        if counts is not None and (len(counts) != self.num_sites or not 1 <= min(counts) <= max(counts) <= most):
            raise ArgumentError(
                f"`counts` must be a number from 1 to num_categories={most} for each of {self.num_sites} sites, got "
                f"{len(counts)} numbers from {min(counts, default=0)} to {max(counts, default=0)}."
            )

    @property
    def values(self) -> tuple[int, ...]:
        return tuple(range(self.num_categories))

    @property
    def allowed(self) -> Bool[np.ndarray, "*shape k"] | None:
        if self.counts is None:
            return None
        return (np.arange(self.num_categories) < np.asarray(self.counts)[:, None]).reshape(self.logits_shape)

    @property
    def logits_shape(self) -> tuple[int, ...]:
        return (*self.shape, self.num_categories)

    def _possible(self, logits: Float[Array, "..."]) -> Float[Array, "..."]:
        """Logits of all sites without those of values that are not allowed; others, of one site, as they are."""
        return self.masked(logits) if logits.shape[-len(self.logits_shape) :] == self.logits_shape else logits

    def draw_sites(self, logits: Float[Array, "..."], *, key: PRNGKey) -> Array:
        return jax.random.categorical(key, self._possible(logits), axis=-1).astype(self.struct.dtype)

    def site_log_probs(self, logits: Float[Array, "..."], x: Array) -> Float[Array, "..."]:
        index = jnp.asarray(x, jnp.int32)[..., None]
        return jnp.take_along_axis(jax.nn.log_softmax(self._possible(logits), axis=-1), index, axis=-1)[..., 0]

    def log_partition(self, logits: Float[Array, "..."]) -> Float[Array, "..."]:
        return jax.nn.logsumexp(self._possible(logits), axis=-1) - logits[..., 0]

    def with_shape(self, shape: tuple[int, ...]) -> Categorical:
        if self.counts is not None:
            raise SpaceError("Sites with different numbers of categories cannot be put into another shape.")
        return Categorical(shape, num_categories=self.num_categories)
