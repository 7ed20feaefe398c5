"""Multilayer perceptrons as energies."""

from __future__ import annotations

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from energax._typing import PRNGKey, Scalar
from energax.energies._base import AbstractEnergy
from energax.energies._capabilities import is_confined, score_and_curvature, slope_and_curvature
from energax.energies.neural._activations import ACTIVATIONS, check_activation
from energax.energies.neural._confinement import Confinement
from energax.energies.neural._features import FourierFeatures, PeriodicFeatures
from energax.spaces import AbstractArraySpace, Euclidean


class MLP(AbstractEnergy):
    """A fully connected network f plus a confining base measure, E(x) = f(x) + ½ Σ ((x − m)/s)².

    Args:
        space: Space of x, or a shape for Euclidean space of that shape. Discrete configurations are fed as numbers.
        hidden: Widths of the hidden layers.
        activation: A name of `ACTIVATIONS`.
        confinement: The base measure; by default N(0, 1) on Euclidean space and none on bounded spaces. With None
            on Euclidean space log Z is refused.
        features: What the network sees of x instead of the bare coordinates; angles need `PeriodicFeatures`, without
            which the energy jumps where they come round.
        key: Random key of the initial weights.

    Example:
        >>> import jax
        >>> from energax import energies
        >>> energy = energies.MLP(2, hidden=(128, 128), key=jax.random.key(0))
        >>> energy(jax.numpy.zeros(2)).shape
        ()
    """

    layers: tuple[eqx.nn.Linear, ...]
    confinement: Confinement | None
    features: FourierFeatures | PeriodicFeatures | None
    space: AbstractArraySpace = eqx.field(static=True)
    activation: str = eqx.field(static=True)

    def __init__(
        self,
        space: AbstractArraySpace | int | tuple[int, ...],
        *,
        hidden: Sequence[int] = (128, 128),
        activation: str = "silu",
        confinement: Confinement | str | None = "default",
        features: FourierFeatures | PeriodicFeatures | None = None,
        key: PRNGKey,
    ) -> None:
        check_activation(activation)
        self.space = space if isinstance(space, AbstractArraySpace) else Euclidean(space, initial_scale=1.0)
        self.confinement = default_confinement(self.space) if isinstance(confinement, str) else confinement
        self.activation = activation
        self.features = features
        widths = (self.space.num_sites if features is None else features.size, *hidden)
        keys = jax.random.split(key, len(widths))
        inner = tuple(eqx.nn.Linear(m, n, key=k) for m, n, k in zip(widths, widths[1:], keys, strict=False))
        self.layers = (*inner, eqx.nn.Linear(widths[-1], "scalar", key=keys[-1]))

    def __call__(self, x: Array) -> Scalar:
        y = self._seen(x)
        for layer in self.layers[:-1]:
            y = ACTIVATIONS[self.activation](layer(y))
        return self.layers[-1](y) + self._confining(x)

    def _seen(self, x: Array) -> Array:
        """What the first layer sees of a configuration."""
        y = x.astype(jnp.promote_types(x.dtype, self.layers[0].weight.dtype))
        return y.reshape(-1) if self.features is None else self.features(y)

    def _confining(self, x: Array) -> Scalar:
        return jnp.zeros((), x.dtype) if self.confinement is None else self.confinement(x)


def default_confinement(space: AbstractArraySpace) -> Confinement | None:
    """N(0, scale²) with the initial scale of a Euclidean space; nothing on spaces of finite volume."""
    if np.isfinite(space.log_volume):
        return None
    scale = space.initial_scale if isinstance(space, Euclidean) and space.initial_scale is not None else 1.0
    return Confinement(jnp.zeros(()), jnp.asarray(scale, jnp.result_type(float)))


@score_and_curvature.register
def _(energy: MLP, x: Float[Array, "..."], directions: Float[Array, "k ..."]) -> tuple[Float[Array, "..."], Scalar]:
    """Σ_v vᵀ∇²f v = Σ_l Σ_j g_lj φ''(a_lj) Σ_v t_lvj²: g what f gains from unit j of layer l, t the change of its a."""
    activation, space = ACTIVATIONS[energy.activation], energy.space
    first, second = jax.vmap(jax.grad(activation)), jax.vmap(jax.grad(jax.grad(activation)))
    y, push = jax.linearize(lambda x: energy._seen(space.fold(x)), x)
    moved, slopes, bends = jax.vmap(push)(directions), [], []
    for layer in energy.layers[:-1]:
        a, t = layer(y), moved @ layer.weight.T
        slopes.append(first(a))
        bends.append(second(a) * jnp.sum(t**2, axis=0))
        y, moved = activation(a), slopes[-1] * t
    gain, curvature = energy.layers[-1].weight.reshape(-1), 0.0
    for layer, slope, bend in zip(energy.layers[-2::-1], slopes[::-1], bends[::-1], strict=True):
        curvature, gain = curvature + jnp.sum(gain * bend), (slope * gain) @ layer.weight
    # What is left is a function of x that the features and the confinement bend.
    outer = jax.grad(lambda x: energy._confining(space.fold(x)) + jnp.sum(gain * energy._seen(space.fold(x))))
    slope, bent = slope_and_curvature(outer, x, directions)
    return -slope, curvature + bent


@is_confined.register
def _(energy: MLP) -> bool:
    return energy.confinement is not None or bool(np.isfinite(energy.space.log_volume))
