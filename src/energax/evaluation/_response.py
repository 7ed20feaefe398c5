"""How a law answers to its parameters: linear response of observables, and the Fisher information."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, PyTree

from energax._errors import ArgumentError
from energax._typing import Configuration, Scalar
from energax.energies import AbstractEnergy, marginal, observed_space
from energax.estimators import covariance
from energax.spaces import check_structure

_MOST_PARAMETERS = 100


@dataclasses.dataclass(frozen=True, repr=False)
class FisherInformation:
    """I = Cov(∂_θ E) over the parameters of an energy, in the order of its leaves.

    Attributes:
        matrix: I, (parameter, parameter), nats for each unit of the parameters squared.
        stderr: Standard error of each entry.
        names: What each parameter is called.
    """

    matrix: Float[np.ndarray, "k k"]
    stderr: Float[np.ndarray, "k k"]
    names: tuple[str, ...]

    def __repr__(self) -> str:
        return f"FisherInformation({len(self.names)} parameters, trace {np.trace(self.matrix):.4g})"


def fisher_information(energy: AbstractEnergy, x: Configuration) -> FisherInformation:
    """Estimate the Fisher information of an energy's parameters, the covariance of ∂_θ E under its own law.

    It is −E ∂²_θ log p, and ∂²_θ log Z where E is linear in θ. KL between the laws of θ and θ + dθ is ½ dθᵀ I dθ.

    Exactness: consistent for draws of exp(−E).
    Cost: a gradient for each draw, and a covariance for each pair of parameters.

    Args:
        energy: The energy; its floating-point arrays are θ, at most 100 numbers. Hidden units are summed out.
        x: Draws of its observed law, (chain, draw, *event), such as ``samples.x``.

    Returns:
        `FisherInformation`.

    Raises:
        ArgumentError: More than 100 parameters; use `linear_response` for some of them.
        SpaceError: Draws of another space.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from energax import densities, evaluation
        >>> law = densities.Gaussian(jnp.zeros(1))
        >>> x = jax.vmap(lambda k: law.draw(key=k))(jax.random.split(jax.random.key(0), 4000)).reshape(4, 1000, 1)
        >>> found = evaluation.fisher_information(law, x)
        >>> found.names, [round(float(v)) for v in found.matrix.diagonal()]
        (('.mean[0]', '.cholesky[0]'), [1, 2])

    References: [amari1998].
    """
    features, names, _ = _features(energy, x)
    k = len(names)
    if k > _MOST_PARAMETERS:
        raise ArgumentError(
            f"{type(energy).__name__} has {k} parameters, too many for a matrix with error bars (at most "
            f"{_MOST_PARAMETERS}). Ask `linear_response` about the observables that matter."
        )
    matrix, stderr = np.zeros((k, k)), np.zeros((k, k))
    for i in range(k):
        for j in range(i, k):
            found = covariance(features[..., i], features[..., j])
            matrix[i, j] = matrix[j, i] = found.value
            stderr[i, j] = stderr[j, i] = found.stderr
    return FisherInformation(matrix, stderr, names)


@dataclasses.dataclass(frozen=True)
class LinearResponse:
    """d⟨A⟩/dθ for all parameters of an energy.

    Attributes:
        value: The derivatives, in the place of the parameters: ``value.field`` is d⟨A⟩/d(field).
        stderr: Their standard errors, likewise.
    """

    value: PyTree[np.ndarray]
    stderr: PyTree[np.ndarray]


def linear_response(
    energy: AbstractEnergy, x: Configuration, observable: Callable[[Configuration], Scalar]
) -> LinearResponse:
    """Estimate how the mean of an observable answers to every parameter: d⟨A⟩/dθ = −Cov(A, ∂_θ E).

    Nothing is run again at another parameter: fluctuations tell the response. The susceptibility of a magnet is that of
    its magnetisation to its field.

    Exactness: consistent for draws of exp(−E).
    Cost: a gradient for each draw, and a covariance for each parameter.

    Args:
        energy: The energy; its floating-point arrays are θ. Hidden units are summed out.
        x: Draws of its observed law, (chain, draw, *event), such as ``samples.x``.
        observable: A, a function of one configuration.

    Returns:
        `LinearResponse`.

    Raises:
        SpaceError: Draws of another space.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from energax import densities, evaluation
        >>> law = densities.Gaussian(jnp.zeros(1))
        >>> x = jax.vmap(lambda k: law.draw(key=k))(jax.random.split(jax.random.key(0), 4000)).reshape(4, 1000, 1)
        >>> round(float(evaluation.linear_response(law, x, lambda x: x[0]).value.mean[0]))
        1

    References: [kubo1966].
    """
    features, _, unravel = _features(energy, x)
    values = np.asarray(jax.jit(jax.vmap(jax.vmap(observable)))(x), np.float64)
    found = [covariance(values, -features[..., i]) for i in range(features.shape[-1])]
    parts = np.asarray([[e.value, e.stderr] for e in found]).T
    value, stderr = (jax.tree.map(np.asarray, unravel(jnp.asarray(part, jnp.result_type(float)))) for part in parts)
    return LinearResponse(value, stderr)


def _features(
    energy: AbstractEnergy, x: Configuration
) -> tuple[Float[np.ndarray, "chain draw k"], tuple[str, ...], Callable[[Array], Any]]:
    """∂_θ E at each draw, the names of the parameters, and the way from a vector back to them."""
    check_structure(observed_space(energy), x, name="x", batch_dims=2)
    params, rest = eqx.partition(energy, eqx.is_inexact_array)
    flat, unravel = ravel_pytree(params)
    slope = _slopes(flat, rest, unravel, jax.tree.map(jnp.asarray, x))
    names = [
        f"{jax.tree_util.keystr(place)}{[int(i) for i in index] if index else ''}"
        for place, leaf in jax.tree_util.tree_leaves_with_path(params)
        for index in np.ndindex(leaf.shape)
    ]
    return np.asarray(slope, np.float64), tuple(names), unravel


@eqx.filter_jit
def _slopes(flat: Array, rest: AbstractEnergy, unravel: Callable[[Array], Any], x: Configuration) -> Array:
    slope = jax.grad(lambda theta, x: marginal(eqx.combine(unravel(theta), rest))(x))
    return jax.vmap(jax.vmap(lambda x: slope(flat, x)))(x)
