"""Energies that are sums over rows of data, and what stands for them when only some rows are looked at."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, PyTree

from energax._errors import ArgumentError
from energax._typing import Configuration, Scalar
from energax.energies._base import AbstractEnergy, as_parameter
from energax.energies._capabilities import is_confined
from energax.energies._wrappers import Shifted, Sum, Tempered
from energax.spaces import AbstractSpace


class Posterior(AbstractEnergy):
    """E(x) = E_0(x) + w Σ_n ℓ(x, y_n): a prior energy, and a loss (minus a log-likelihood) for each row of data.

    The rows are leaves, so that other data of the same size compile nothing anew. Kernels that can work with part of
    the data ask `subsampled` for it.

    Args:
        prior: E_0, over the parameters x.
        loss: ``loss(x, row) -> scalar``; static, so define it once.
        data: Rows y_n, a pytree of arrays with one leading axis.
        weight: w, 1 for the posterior itself.

    Raises:
        ArgumentError: The arrays have no rows, or not equally many.

    Example:
        >>> import jax.numpy as jnp
        >>> from energax import densities, energies
        >>> prior = densities.Gaussian(jnp.zeros(1), 100.0)
        >>> law = energies.Posterior(prior, lambda x, y: 0.5 * jnp.sum((x - y) ** 2), jnp.array([[1.0], [3.0]]))
        >>> round(float(law(jnp.array([2.0])) - prior(jnp.array([2.0]))), 6)
        1.0
    """

    prior: AbstractEnergy
    loss: Callable[..., Any] = eqx.field(static=True)
    data: PyTree[Array]
    weight: Scalar = eqx.field(converter=as_parameter, default=1.0)

    def __check_init__(self) -> None:
        sizes = {jnp.shape(leaf)[:1] for leaf in jax.tree.leaves(self.data)}
        if len(sizes) != 1 or sizes & {(), (0,)}:
            raise ArgumentError(
                f"Posterior needs data with one leading axis of rows, got leading axes {sorted(sizes)}."
            )

    @property
    def space(self) -> AbstractSpace:
        return self.prior.space

    @property
    def num_rows(self) -> int:
        """Number of rows N."""
        return jax.tree.leaves(self.data)[0].shape[0]

    def __call__(self, x: Configuration) -> Scalar:
        losses = jax.vmap(lambda row: self.loss(x, row))(self.data)
        return self.prior(x) + self.weight.astype(losses.dtype) * jnp.sum(losses)


@is_confined.register
def _(energy: Posterior) -> bool | None:
    return is_confined(energy.prior) and None


@functools.singledispatch
def subsampled(energy: AbstractEnergy, words: Int[Array, " batch"]) -> AbstractEnergy:
    """An energy over some rows of the data whose value and score are unbiased for those of the whole.

    An energy without rows stands for itself, so that every energy offers this.

    Args:
        energy: The energy.
        words: One random non-negative integer for each row to look at; the row is its remainder by N.
    """
    del words
    return energy


@subsampled.register
def _(energy: Posterior, words: Int[Array, " batch"]) -> AbstractEnergy:
    rows = words % energy.num_rows
    data = jax.tree.map(lambda leaf: leaf[rows], energy.data)
    return Posterior(energy.prior, energy.loss, data, energy.weight * (energy.num_rows / words.size))


@subsampled.register
def _(energy: Tempered, words: Int[Array, " batch"]) -> AbstractEnergy:
    return Tempered(subsampled(energy.energy, words), energy.beta)


@subsampled.register
def _(energy: Shifted, words: Int[Array, " batch"]) -> AbstractEnergy:
    return Shifted(subsampled(energy.energy, words), energy.offset)


@subsampled.register
def _(energy: Sum, words: Int[Array, " batch"]) -> AbstractEnergy:
    return Sum(tuple(subsampled(term, words) for term in energy.energies))
