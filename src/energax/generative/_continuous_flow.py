"""Continuous normalizing flows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from energax._typing import PRNGKey, Scalar
from energax.densities import AbstractAutoencoder, LikelihoodKind
from energax.generative._ode import (
    AbstractSolver,
    RungeKutta,
    Trace,
    check_trace,
    probe_for,
    transported,
    transported_with_error,
)
from energax.generative._time_networks import time_network
from energax.spaces import Euclidean


class ContinuousFlow(AbstractAutoencoder):
    """A continuous normalizing flow: x(1) of dx/dt = v(x, t), from x(0) ~ N(0, I) at t = 0.

    log p(x) = log N(z; 0, I) − ∫₀¹ ∇·v(x(t), t) dt along the way of x, with z = x(0) found by going backwards.

    `MaximumLikelihood` trains it through the solver, `FlowMatching` without solving anything. Data should be of order
    1: standardise them.

    Exactness: up to the error of the solver, which doubling its steps shows. With ``trace="hutchinson"`` the
    log-likelihood is random, with the right mean.

    Cost: a draw is `solver.evaluations` of v. A log-likelihood takes as many, each with a derivative along all d
    coordinates, or along one with ``trace="hutchinson"``.

    Args:
        space: Euclidean space, or a shape for it.
        hidden: Widths of the hidden layers of v.
        channels: Filters of a convolutional v instead, for images.
        activation: A name of `energies.ACTIVATIONS`.
        features: Random waves of x that a fully connected v sees beside x, such as 64 for narrow modes of the plane;
            0 for none.
        velocity: Your own v, any pytree that maps (x, t) to an array of the shape of x, in the place of a network.
        solver: How the equation is solved.
        trace: ``"exact"`` or ``"hutchinson"``.
        key: Random key of the initial weights.

    Raises:
        ArgumentError: An unknown trace or activation, or channels for data that are no images.

    Example:
        >>> import jax
        >>> from energax import generative
        >>> model = generative.ContinuousFlow(2, hidden=(16,), key=jax.random.key(0))
        >>> model.draw_evaluations, model.likelihood
        (128, 'exact')

    References:
        [chen2018], [grathwohl2019], [lipman2023]
    """

    velocity: Any
    solver: AbstractSolver
    space: Euclidean = eqx.field(static=True)
    trace: Trace = eqx.field(static=True)

    def __init__(
        self,
        space: Euclidean | int | tuple[int, ...],
        *,
        hidden: Sequence[int] = (128, 128, 128),
        channels: Sequence[int] | None = None,
        activation: str = "silu",
        features: int = 0,
        velocity: Any = None,
        solver: AbstractSolver | None = None,
        trace: Trace = "exact",
        key: PRNGKey,
    ) -> None:
        check_trace("ContinuousFlow", trace)
        self.space = space if isinstance(space, Euclidean) else Euclidean(space, initial_scale=1.0)
        self.velocity = velocity
        if velocity is None:
            self.velocity = time_network(
                self.space.shape, hidden=hidden, channels=channels, activation=activation, features=features, key=key
            )
        self.solver = RungeKutta() if solver is None else solver
        self.trace = trace

    @property
    def likelihood(self) -> LikelihoodKind:
        return "exact" if self.trace == "exact" else "estimate"

    @property
    def draw_evaluations(self) -> int | None:
        return self.solver.evaluations

    def draw_latent(self, *, key: PRNGKey) -> Array:
        return jax.random.normal(key, self.space.shape)

    def draw(self, *, key: PRNGKey) -> Array:
        return self.decode(self.draw_latent(key=key))

    def decode(self, z: Array) -> Array:
        return self.solver.solve(self.velocity, z, 0.0, 1.0)

    def encode(self, x: Array, *, key: PRNGKey) -> Array:
        del key
        return self.solver.solve(self.velocity, x, 1.0, 0.0)

    def log_likelihood(self, x: Array, *, key: PRNGKey) -> Scalar:
        z, log_det = transported(self.solver, self.velocity, x, 1.0, 0.0, probe=probe_for(self.trace, x, key=key))
        return log_det + _log_normal(z)

    def log_likelihood_with_error(self, x: Array, *, key: PRNGKey) -> tuple[Scalar, Scalar]:
        """The log-likelihood, and how far the solver's steps are too long (see `AbstractSolver.solve_with_error`)."""
        probe = probe_for(self.trace, x, key=key)
        (z, log_det), error = transported_with_error(self.solver, self.velocity, x, 1.0, 0.0, probe=probe)
        return log_det + _log_normal(z), error


def _log_normal(z: Array) -> Scalar:
    return -0.5 * jnp.sum(z**2) - 0.5 * z.size * math.log(2 * math.pi)
