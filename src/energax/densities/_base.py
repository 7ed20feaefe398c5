"""Energies that are normalised and can be drawn from."""

from __future__ import annotations

import abc
import functools

import jax.numpy as jnp

from energax._typing import Configuration, PRNGKey, Scalar
from energax.densities._generator import AbstractGenerator, LikelihoodKind
from energax.energies import AbstractEnergy, exact_draw, is_confined, log_normalizer


class AbstractDensity(AbstractEnergy, AbstractGenerator):
    """A normalised energy with exact draws: log Z = 0 and energy(x) = −log p(x).

    Densities are the ends of paths, base measures, noise laws, baselines and flows.
    """

    @abc.abstractmethod
    def draw(self, *, key: PRNGKey) -> Configuration:
        """One exact draw."""

    @abc.abstractmethod
    def log_prob(self, x: Configuration) -> Scalar:
        """Normalised log-density of one configuration, with respect to the measure of `space`."""

    def __call__(self, x: Configuration) -> Scalar:
        return -self.log_prob(x)

    @property
    def likelihood(self) -> LikelihoodKind:
        return "exact"

    @property
    def draw_evaluations(self) -> int:
        return 1

    def log_likelihood(self, x: Configuration, *, key: PRNGKey) -> Scalar:
        del key
        return self.log_prob(x)


@functools.singledispatch
def has_smooth_draws(density: AbstractDensity) -> bool:
    """Whether a draw with a fixed key is a smooth function of the parameters, so that a law can be trained through it.

    False where nothing is known; register a density of your own. A mixture draws a component, which has no slope.
    """
    del density
    return False


@log_normalizer.register
def _(energy: AbstractDensity) -> Scalar:
    del energy
    return jnp.zeros(())


@exact_draw.register
def _(energy: AbstractDensity, *, key: PRNGKey) -> Configuration:
    return energy.draw(key=key)


@is_confined.register
def _(energy: AbstractDensity) -> bool:
    del energy
    return True
