"""Families of energies between an exactly known end and a target."""

from __future__ import annotations

import abc

import equinox as eqx
import jax.numpy as jnp

from energax._errors import NotTractable, SpaceError
from energax._typing import Configuration, Scalar
from energax.densities import AbstractDensity, Uniform
from energax.energies import AbstractEnergy, Interpolated, marginal, observed_space
from energax.spaces import same_configurations


class AbstractPath(eqx.Module):
    """A family of energies E_t, t in [0, 1], from a normalised density at t = 0 to a target at t = 1.

    The normaliser at t = 0 is one, so that a ratio of partition functions along the path is log Z of the target.
    """

    @property
    @abc.abstractmethod
    def start(self) -> AbstractDensity:
        """The density over the observed space whose law the path has at t = 0."""

    @abc.abstractmethod
    def at(self, t: Scalar) -> AbstractEnergy:
        """E_t."""

    def value(self, t: Scalar, x: Configuration) -> Scalar:
        """The observed energy E_t(x), hidden parts summed out."""
        value = marginal(self.at(t))(x)
        # At t = 0 the target has no say, not even by an infinite energy (0 · ∞ would be NaN).
        return jnp.where(jnp.asarray(t) == 0, self.start(x).astype(value.dtype), value)


class Geometric(AbstractPath):
    """E_t = (1 − t) (−log p_0) + t E: the geometric mean of a density and a target.

    Hidden parts of a latent target get a normalised uniform law at t = 0, so that the base keeps Z = 1.

    Args:
        base: p_0, a density over the observed space of the target.
        target: E.

    References:
        [neal2001]
    """

    base: AbstractDensity
    target: AbstractEnergy

    def __check_init__(self) -> None:
        if not same_configurations(self.base.space, observed_space(self.target)):
            raise SpaceError(
                f"The base lives on {self.base.space}, the target on {observed_space(self.target)}; they must agree."
            )

    @property
    def start(self) -> AbstractDensity:
        return self.base

    def at(self, t: Scalar) -> AbstractEnergy:
        return Interpolated(self.base, self.target, t)


def tempering(target: AbstractEnergy) -> Geometric:
    """The path t E from the uniform law at t = 0 to the target at t = 1, that is β = t.

    Raises:
        NotTractable: The space has no uniform law; use `Geometric` with a normal base.
    """
    space = observed_space(target)
    if space.log_volume == float("inf"):
        raise NotTractable(
            f"Tempering starts from the uniform law, which {space} does not have. "
            "Use Geometric(base, target) with a normal base."
        )
    return Geometric(Uniform(space), target)
