"""Laws to begin with: exactly known and easy to draw from, on any space and for any energy."""

from __future__ import annotations

import functools

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from energax._errors import ArgumentError
from energax._typing import Configuration, PRNGKey, Scalar
from energax.densities._base import AbstractDensity
from energax.densities._gaussian import Gaussian
from energax.densities._independent import IndependentSites, Uniform
from energax.energies import (
    MLP,
    RBM,
    AbstractEnergy,
    Block,
    Confinement,
    ConvNet,
    Normals,
    blocks,
    conditional_normals,
    observed_space,
)
from energax.spaces import AbstractDiscreteSpace, AbstractSpace, Binary, Euclidean


class ShapedGaussian(AbstractDensity):
    """A normal law on Euclidean space of any shape: that of its flattened entries.

    Args:
        inner: The law of the flattened configuration.
        space: The space.
    """

    inner: Gaussian
    space: Euclidean = eqx.field(static=True)

    def log_prob(self, x: Configuration) -> Scalar:
        return self.inner.log_prob(x.reshape(-1))

    def draw(self, *, key: PRNGKey) -> Configuration:
        return self.inner.draw(key=key).reshape(self.space.shape)


@blocks.register
def _(density: ShapedGaussian) -> tuple[Block, ...]:
    return blocks(density.inner)


@conditional_normals.register
def _(density: ShapedGaussian, x: Configuration, part: str | None = None) -> Normals:
    law = conditional_normals(density.inner, x.reshape(-1), part)
    return Normals(*(leaf.reshape(density.space.shape) for leaf in law))


def default_base(space: AbstractSpace) -> AbstractDensity:
    """The base law on `space` when nothing is known of the model: uniform, or the space's own normal law.

    Raises:
        ArgumentError: An unbounded space without an initial scale.
    """
    if isinstance(space, AbstractDiscreteSpace):
        return IndependentSites(space)
    if np.isfinite(space.log_volume):
        return Uniform(space)
    if isinstance(space, Euclidean) and space.initial_scale is not None:
        return ShapedGaussian(Gaussian(jnp.zeros(space.num_sites), space.initial_scale**2), space)
    raise ArgumentError(
        f"log Z needs a base law on {space}, which is unbounded and declares no initial scale: pass `data`, a `base` "
        "density, or give the space a scale with Euclidean(shape, initial_scale=...)."
    )


@functools.singledispatch
def starting_law(energy: AbstractEnergy) -> AbstractDensity:
    """A law on the observed space that is near that of an energy which has learned nothing yet.

    A density is its own; networks have their confinement, restricted Boltzmann machines their visible biases; any
    other energy `default_base` of its space. It is where weighted walkers start from: weights correct what differs.

    Raises:
        ArgumentError: As in `default_base`.
    """
    return energy if isinstance(energy, AbstractDensity) else default_base(observed_space(energy))


@starting_law.register
def _(energy: RBM) -> AbstractDensity:
    return IndependentSites(Binary(energy.visible_bias.shape), energy.visible_bias)


@starting_law.register(MLP)
@starting_law.register(ConvNet)
def _(energy: MLP | ConvNet) -> AbstractDensity:
    space, confinement = energy.space, energy.confinement
    if confinement is None or not isinstance(space, Euclidean):
        return default_base(space)
    return _confined(space, confinement)


def _confined(space: Euclidean, confinement: Confinement) -> AbstractDensity:
    mean, scale = (jnp.broadcast_to(leaf, space.shape).reshape(-1) for leaf in (confinement.mean, confinement.scale))
    return ShapedGaussian(Gaussian(mean, scale**2), space)
