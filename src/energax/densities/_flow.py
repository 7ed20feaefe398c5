"""Normalising flows of FlowJAX as densities. This file is the only one that knows FlowJAX."""

from __future__ import annotations

import importlib
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import ArrayLike

from energax._errors import ArgumentError, MissingExtra
from energax._typing import PRNGKey, Scalar
from energax.densities._base import AbstractDensity, has_smooth_draws
from energax.spaces import Euclidean


class Flow(AbstractDensity):
    """A distribution of FlowJAX: log p(x) = log p_0(f⁻¹(x)) + log |det ∂f⁻¹/∂x|, drawn as f(z) with z ~ p_0.

    As the proposal of `kernels.IndependenceMetropolis` it gives flow-assisted sampling, as the base of a path a better
    start than a normal law. Its arrays are leaves, so that it trains like any energy; what FlowJAX marks as not
    trainable has no gradient.

    Args:
        distribution: An unconditional `flowjax.distributions.AbstractDistribution`.

    Raises:
        ArgumentError: The object is no such distribution, or a conditional one.
        MissingExtra: FlowJAX is not installed.

    References:
        [papamakarios2021]
    """

    arrays: Any
    structure: Any = eqx.field(static=True)
    space: Euclidean = eqx.field(static=True)

    def __init__(self, distribution: Any) -> None:
        if not isinstance(distribution, _flowjax("distributions").AbstractDistribution) or distribution.cond_shape:
            raise ArgumentError(
                f"Flow needs an unconditional distribution of FlowJAX, got {type(distribution).__name__}; see "
                "`autoregressive_flow` for one that is ready."
            )
        # FlowJAX keeps shapes and functions among the leaves; here a leaf is an array.
        self.arrays, self.structure = eqx.partition(distribution, eqx.is_array)
        self.space = Euclidean(tuple(distribution.shape), initial_scale=1.0)

    @property
    def distribution(self) -> Any:
        """The distribution of FlowJAX."""
        return eqx.combine(self.arrays, self.structure)

    def log_prob(self, x: Any) -> Scalar:
        # Constants inside FlowJAX have the default precision, whatever that of its parameters.
        return self.distribution.log_prob(x).astype(jnp.result_type(x, *self._parameters()))

    def draw(self, *, key: PRNGKey) -> Any:
        return self.distribution.sample(key).astype(jnp.result_type(*self._parameters()))

    def _parameters(self) -> list[Any]:
        return [leaf for leaf in jax.tree.leaves(self.arrays) if eqx.is_inexact_array(leaf)]


@has_smooth_draws.register
def _(density: Flow) -> bool:
    del density
    return True


def autoregressive_flow(
    dim: int,
    *,
    num_layers: int = 4,
    width: int = 32,
    depth: int = 1,
    mean: ArrayLike = 0.0,
    scale: ArrayLike = 1.0,
    key: PRNGKey,
) -> Flow:
    """An untrained masked autoregressive flow with affine layers over N(0, I), whose draws take one pass.

    The flow is followed by x ↦ mean + scale · x, trained like the rest, so that it begins near data of any size.

    Args:
        dim: Number of coordinates.
        num_layers: Number of layers, each after a permutation of the coordinates.
        width: Units in the hidden layers of each conditioner.
        depth: Number of hidden layers.
        mean: A number, or one for each coordinate.
        scale: The same, positive.
        key: Random key of the weights.

    Raises:
        MissingExtra: FlowJAX is not installed.
    """
    base = _flowjax("distributions").StandardNormal((dim,))
    made = _flowjax("flows").masked_autoregressive_flow(
        key, base_dist=base, flow_layers=num_layers, nn_width=width, nn_depth=depth, invert=False
    )
    if np.any(mean) or np.any(np.asarray(scale) != 1):
        loc, width_of = (jnp.broadcast_to(jnp.asarray(v, jnp.result_type(float)), (dim,)) for v in (mean, scale))
        made = _flowjax("distributions").Transformed(made, _flowjax("bijections").Affine(loc, width_of))
    return Flow(made)


def _flowjax(module: str) -> Any:
    try:
        return importlib.import_module(f"flowjax.{module}")
    except ImportError as error:
        raise MissingExtra('Flows need flowjax: pip install "energax[flows]".') from error
