"""Online accumulators: expectations without storing the draws."""

from __future__ import annotations

import abc
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree

from energax._typing import Configuration


class AbstractAccumulator(eqx.Module):
    """A running summary of one chain: `init`, `update` at every kept draw, `finalize` at the end."""

    @abc.abstractmethod
    def init(self, x: Configuration) -> PyTree[Array]:
        """The empty summary."""

    @abc.abstractmethod
    def update(self, total: PyTree[Array], x: Configuration) -> PyTree[Array]:
        """The summary with one more draw."""

    @abc.abstractmethod
    def finalize(self, total: PyTree[Array]) -> PyTree[Array]:
        """The result, for one chain."""


class Mean(AbstractAccumulator):
    """The mean of fn(x) over the draws of a chain, in compensated arithmetic.

    Args:
        fn: Function of one configuration, static; the identity by default.
    """

    fn: Callable[[Any], Any] = eqx.field(static=True, default=lambda x: x)

    def init(self, x: Configuration) -> PyTree[Array]:
        zero = jax.tree.map(lambda leaf: jnp.zeros(jnp.shape(leaf), jnp.result_type(float)), self.fn(x))
        return zero, zero, jnp.zeros((), jnp.int32)

    def update(self, total: PyTree[Array], x: Configuration) -> PyTree[Array]:
        high, low, count = total
        pairs = jax.tree.map(lambda h, e, v: add_compensated(h, e, v.astype(h.dtype)), high, low, self.fn(x))
        return *_unzip(high, pairs), count + 1

    def finalize(self, total: PyTree[Array]) -> PyTree[Array]:
        high, low, count = total
        return jax.tree.map(lambda h, e: (h + e) / count, high, low)


def add_compensated(high: Array, low: Array, value: Array) -> tuple[Array, Array]:
    """(high, low) + value without loss: the rounding error of the sum is carried in `low`."""
    total = high + value
    shadow = total - high
    error = (high - (total - shadow)) + (value - shadow)
    # An infinite sum has no rounding error, and inf − inf is none.
    return total, low + jnp.where(jnp.isfinite(total), error, 0.0)


def _unzip(like: PyTree[Array], pairs: PyTree[tuple[Array, Array]]) -> tuple[PyTree[Array], PyTree[Array]]:
    outer = jax.tree.structure(like)
    return tuple(jax.tree.transpose(outer, jax.tree.structure((0, 0)), pairs))  # pyright: ignore[reportReturnType]
