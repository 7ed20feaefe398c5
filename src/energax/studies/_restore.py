"""Rows without their noise, as each family of models finds them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from energax.densities import AbstractDensity
from energax.energies import RBM, AbstractEnergy, marginal
from energax.generative import VAE, ContinuousFlow, Diffusion
from energax.systems import Calibrated

NOISE = 0.5
"""Standard deviation of the noise, in the model's units, in which data have about 1."""
_NUM_CLIMBS = 100
_NUM_TIMES = 4096

Restore: TypeAlias = Callable[[Any, Array], Array]
"""From a trained model and noisy rows to rows without noise."""


@eqx.filter_jit
def by_reconstruction(model: VAE | Calibrated, rows: Float[Array, "n ..."]) -> Float[Array, "n ..."]:
    """What the mean of the posterior stands for."""
    vae: VAE = model.generator if isinstance(model, Calibrated) else model
    return jax.vmap(lambda x: vae.decode(vae.posterior(x)[0]))(rows)


@eqx.filter_jit
def by_diffusion(model: Diffusion, rows: Float[Array, "n ..."]) -> Float[Array, "n ..."]:
    """E[x₀ | x_t] at the time t whose noise is that of the rows, by Tweedie's formula."""
    noising, times = model.noising, jnp.linspace(model.min_time, 1.0, _NUM_TIMES)
    levels = jax.vmap(lambda t: noising.sigma(t) / noising.alpha(t))(times)
    t = times[jnp.argmin(jnp.abs(levels - NOISE))]
    return jax.vmap(lambda y: y - noising.sigma(t) / noising.alpha(t) * model.noise(noising.alpha(t) * y, t))(rows)


@eqx.filter_jit
def by_interpolant(model: ContinuousFlow, rows: Float[Array, "n ..."]) -> Float[Array, "n ..."]:
    """E[x | (1 − t) z + t x] = y + (1 − t) v(y, t) at the time t whose noise is that of the rows."""
    t = jnp.asarray(1 / (1 + NOISE))
    return jax.vmap(lambda y: t * y + (1 - t) * model.velocity(t * y, t))(rows)


@eqx.filter_jit
def by_climbing(model: AbstractEnergy, rows: Float[Array, "n ..."]) -> Float[Array, "n ..."]:
    """The most probable clean rows: up the slope of −E(x) − ‖x − y‖²/2σ², in steps of bounded length."""
    observed = model if isinstance(model, AbstractDensity) else marginal(model)

    def climb(y: Array) -> Array:
        slope = jax.grad(lambda x: -observed(x) - jnp.sum((x - y) ** 2) / (2 * NOISE**2))

        def step(x: Array, _: None) -> tuple[Array, None]:
            g = slope(x)
            return x + 0.1 * NOISE**2 * g / jnp.maximum(1.0, NOISE * jnp.linalg.norm(g) / jnp.sqrt(x.size)), None

        return jax.lax.scan(step, y, None, length=_NUM_CLIMBS)[0]

    return jax.vmap(climb)(rows)


@eqx.filter_jit
def by_hidden_units(model: RBM, rows: Array) -> Float[Array, "n visible"]:
    """Probabilities of the visible units after one pass through those of the hidden ones."""
    hidden = jax.nn.sigmoid(rows.astype(model.weights.dtype) @ model.weights + model.hidden_bias)
    return jax.nn.sigmoid(hidden @ model.weights.T + model.visible_bias)
