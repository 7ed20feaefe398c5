"""How diffusion turns data into noise: signal and noise at every time."""

from __future__ import annotations

import abc
import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from energax._errors import ArgumentError
from energax._typing import Scalar


class AbstractNoising(eqx.Module):
    """x_t = α(t) x + σ(t) ε with ε ~ N(0, I), for t from 0 (the data) to 1 (noise).

    It is the law of dx = f x dt + g dw with f = d log α/dt and g² = dσ²/dt − 2 f σ².
    """

    @abc.abstractmethod
    def log_alpha(self, t: Array) -> Scalar:
        """Log α(t)."""

    @abc.abstractmethod
    def sigma(self, t: Array) -> Scalar:
        """σ(t)."""

    def alpha(self, t: Array) -> Scalar:
        """α(t)."""
        return jnp.exp(self.log_alpha(t))

    def drift(self, t: Array) -> Scalar:
        """f(t)."""
        return jax.grad(self.log_alpha)(t)

    def squared_diffusion(self, t: Array) -> Scalar:
        """g(t)²."""
        variance, growth = jax.value_and_grad(lambda t: self.sigma(t) ** 2)(t)
        return growth - 2 * self.drift(t) * variance


class VariancePreserving(AbstractNoising):
    """DDPM's noise in continuous time: log α = −½ (β₀ t + ½ (β₁ − β₀) t²), σ² = 1 − α².

    Data of variance 1 keep it at all times. g² = β(t) = β₀ + (β₁ − β₀) t.

    Args:
        beta_min: β₀ > 0.
        beta_max: β₁ ≥ β₀; what is left of the data at the end is α(1) = exp(−(β₀ + β₁)/4).

    Raises:
        ArgumentError: The two are not positive or out of order.

    References:
        [ho2020], [song2021]
    """

    beta_min: float = eqx.field(static=True, default=0.1)
    beta_max: float = eqx.field(static=True, default=20.0)

    def __check_init__(self) -> None:
        if not 0 < self.beta_min <= self.beta_max:
            raise ArgumentError(f"VariancePreserving needs 0 < beta_min <= beta_max, got {self}.")

    def log_alpha(self, t: Array) -> Scalar:
        return -0.5 * (self.beta_min * t + 0.5 * (self.beta_max - self.beta_min) * t**2)

    def sigma(self, t: Array) -> Scalar:
        return jnp.sqrt(-jnp.expm1(2 * self.log_alpha(t)))


class VarianceExploding(AbstractNoising):
    """Noise on top of the data: α = 1 and σ = σ₀ (σ₁/σ₀)^t.

    Args:
        sigma_min: σ₀ > 0, small against the details of the data.
        sigma_max: σ₁ > σ₀, large against their spread.

    Raises:
        ArgumentError: The two are not positive or out of order.

    References:
        [song2019], [song2021]
    """

    sigma_min: float = eqx.field(static=True, default=0.01)
    sigma_max: float = eqx.field(static=True, default=20.0)

    def __check_init__(self) -> None:
        if not 0 < self.sigma_min < self.sigma_max:
            raise ArgumentError(f"VarianceExploding needs 0 < sigma_min < sigma_max, got {self}.")

    def log_alpha(self, t: Array) -> Scalar:
        return jnp.zeros_like(t)

    def sigma(self, t: Array) -> Scalar:
        return self.sigma_min * jnp.exp(t * math.log(self.sigma_max / self.sigma_min))
