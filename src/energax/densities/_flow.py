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
from energax.densities._generator import AbstractAutoencoder
from energax.spaces import Euclidean

_INTERVAL = 5.0


class Flow(AbstractDensity, AbstractAutoencoder):
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

    def draw_latent(self, *, key: PRNGKey) -> Any:
        return self._flattened()[0].sample(key).astype(jnp.result_type(*self._parameters()))

    def decode(self, z: Any) -> Any:
        return self._flattened()[1].transform(z).astype(jnp.result_type(z, *self._parameters()))

    def encode(self, x: Any, *, key: PRNGKey) -> Any:
        del key
        return self._flattened()[1].inverse(x).astype(jnp.result_type(x, *self._parameters()))

    def _flattened(self) -> tuple[Any, Any]:
        """The base distribution, and the one bijection from it to the data."""
        made = self.distribution
        if not isinstance(made, _flowjax("distributions").AbstractTransformed):
            return made, _flowjax("bijections").Identity(made.shape)
        if isinstance(made.base_dist, _flowjax("distributions").AbstractTransformed):
            made = made.merge_transforms()
        return made.base_dist, made.bijection

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
    knots: int = 0,
    mean: ArrayLike = 0.0,
    scale: ArrayLike = 1.0,
    key: PRNGKey,
) -> Flow:
    """An untrained masked autoregressive flow over N(0, I), whose draws take one pass and whose densities take d.

    The flow is followed by x ↦ mean + scale · x, trained like the rest, so that it begins near data of any size.

    Args:
        dim: d, number of coordinates.
        num_layers: Number of layers, each after a permutation of the coordinates.
        width: Units in the hidden layers of each conditioner.
        depth: Number of hidden layers.
        knots: Each layer is a rational-quadratic spline with so many knots inside [−5, 5], the identity outside; 0 is
            an affine layer.
        mean: A number, or one for each coordinate.
        scale: The same, positive.
        key: Random key of the weights.

    Raises:
        ArgumentError: A negative number of knots.
        MissingExtra: FlowJAX is not installed.

    References:
        [papamakarios2017], [durkan2019]
    """
    made = _flowjax("flows").masked_autoregressive_flow(
        key,
        base_dist=_flowjax("distributions").StandardNormal((dim,)),
        transformer=_transformer(knots),
        flow_layers=num_layers,
        nn_width=width,
        nn_depth=depth,
        invert=False,
    )
    return Flow(_placed(made, dim, mean, scale))


def coupling_flow(
    dim: int,
    *,
    num_layers: int = 8,
    width: int = 32,
    depth: int = 1,
    knots: int = 8,
    mean: ArrayLike = 0.0,
    scale: ArrayLike = 1.0,
    key: PRNGKey,
) -> Flow:
    """An untrained flow of coupling layers over N(0, I): draws and densities both take one pass.

    Each layer moves half of the coordinates by a function whose parameters the other half sets, after a permutation.

    Args:
        dim: Number of coordinates, at least 2.
        num_layers: Number of layers.
        width: Units in the hidden layers of each conditioner.
        depth: Number of hidden layers.
        knots: As in `autoregressive_flow`; 0 makes affine layers, those of RealNVP.
        mean: A number, or one for each coordinate.
        scale: The same, positive.
        key: Random key of the weights.

    Raises:
        ArgumentError: Fewer than two coordinates, or a negative number of knots.
        MissingExtra: FlowJAX is not installed.

    References:
        [dinh2017], [durkan2019]
    """
    if dim < 2:
        raise ArgumentError(f"A coupling flow needs at least 2 coordinates, got {dim}. Take autoregressive_flow.")
    made = _flowjax("flows").coupling_flow(
        key,
        base_dist=_flowjax("distributions").StandardNormal((dim,)),
        transformer=_transformer(knots),
        flow_layers=num_layers,
        nn_width=width,
        nn_depth=depth,
        # FlowJAX inverts by default, to make densities the cheap direction; here both are the same.
        invert=False,
    )
    return Flow(_placed(made, dim, mean, scale))


def _transformer(knots: int) -> Any:
    if knots < 0:
        raise ArgumentError(f"A flow needs `knots` >= 0, got {knots}.")
    return _flowjax("bijections").RationalQuadraticSpline(knots=knots, interval=_INTERVAL) if knots else None


def _placed(made: Any, dim: int, mean: ArrayLike, scale: ArrayLike) -> Any:
    """The distribution, moved to where the data are."""
    if not np.any(mean) and not np.any(np.asarray(scale) != 1):
        return made
    loc, width_of = (jnp.broadcast_to(jnp.asarray(v, jnp.result_type(float)), (dim,)) for v in (mean, scale))
    return _flowjax("distributions").Transformed(made, _flowjax("bijections").Affine(loc, width_of))


def _flowjax(module: str) -> Any:
    try:
        return importlib.import_module(f"flowjax.{module}")
    except ImportError as error:
        raise MissingExtra('Flows need flowjax: pip install "energax[flows]".') from error
