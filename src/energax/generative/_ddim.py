"""Steps back from noise to data: DDIM, and DDPM's ancestral sampling as its other end."""

from __future__ import annotations

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array

from energax._errors import ArgumentError
from energax.generative._noising import AbstractNoising


class DDIM(eqx.Module):
    """Steps that draw: from x_t to x_s, the noise that the network sees is partly kept and partly drawn afresh.

    x_s = α_s x̂ + √(σ_s² − τ²) ε̂ + τ z with x̂ = (x_t − σ_t ε̂)/α_t and τ = η σ_s/σ_t √(σ_t² − (α_t/α_s)² σ_s²). If ε̂
    is the noise of one row, x_s has the law of that row at time s whatever η is.

    Args:
        num_steps: Steps from t = 1 to the least time, of one network each.
        eta: η in [0, 1]. 0 is DDIM, which is deterministic and needs the fewest steps; 1 is the ancestral sampling of
            DDPM.

    Raises:
        ArgumentError: A number is out of range.

    References:
        [song2021b], [ho2020]
    """

    num_steps: int = eqx.field(static=True, default=100)
    eta: float = eqx.field(static=True, default=0.0)

    def __check_init__(self) -> None:
        if self.num_steps < 1 or not 0 <= self.eta <= 1:
            raise ArgumentError(f"DDIM needs num_steps >= 1 and eta in [0, 1], got {self.num_steps} and {self.eta}.")


def reverse_step(noising: AbstractNoising, x: Array, noise: Array, z: Array, t: Array, s: Array, eta: float) -> Array:
    """One step of `DDIM` from time t to s < t, with the estimate `noise` of the noise in x and fresh noise `z`."""
    kept, ratio = noising.sigma(s), noising.alpha(t) / noising.alpha(s)
    fresh = eta * kept / noising.sigma(t) * jnp.sqrt(jnp.maximum(noising.sigma(t) ** 2 - (ratio * kept) ** 2, 0.0))
    clean = (x - noising.sigma(t) * noise) / noising.alpha(t)
    return noising.alpha(s) * clean + jnp.sqrt(jnp.maximum(kept**2 - fresh**2, 0.0)) * noise + fresh * z
