"""Denoising score matching at one noise level, and at many with one family of energies."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from energax._errors import ArgumentError
from energax._typing import Configuration, PRNGKey, Scalar
from energax.energies import AbstractEnergy, at_level, marginal, value_and_score
from energax.objectives._base import (
    AbstractStatelessObjective,
    Metrics,
    frozen,
    levels_in_turn,
    normal_apart,
    require_score,
)

_NUM_WATCHED = 32


class DenoisingScoreMatching(AbstractStatelessObjective):
    """Denoising score matching at one noise level: the energy of the data law smeared with N(0, σ²).

    With x̃ = x + σξ, ξ ~ N(0, I), loss = ½ E ‖σ ∇E(x̃) − ξ‖², which is σ² times the usual
    ½ E ‖∇E(x̃) − (x̃ − x)/σ²‖². Its minimiser is the energy of p_data ∗ N(0, σ²I): data N(0, s²) give
    ∇E(x̃) = x̃/(s² + σ²). No chain is run, so nothing is learned about the relative mass of modes that are many
    σ apart.

    Exactness: consistent for the smeared law, not for the data law itself.

    Cost: one gradient of the score for each noisy copy of the batch.

    Args:
        noise_scale: σ > 0, in units of x. A fraction of the distance over which the data vary: large σ smears,
            small σ makes the estimate noisy.
        num_copies: Noisy copies of each row. They come in antithetic pairs x ± σξ, which cancel the leading noise of
            the estimate; one copy has half the cost and more noise.

    References:
        [vincent2011]
    """

    noise_scale: float = eqx.field(static=True)
    num_copies: int = eqx.field(static=True, default=2, kw_only=True)

    def __check_init__(self) -> None:
        if not self.noise_scale > 0 or self.num_copies < 1:
            raise ArgumentError(
                f"DenoisingScoreMatching needs noise_scale > 0 and num_copies >= 1, got {self.noise_scale} and "
                f"{self.num_copies}."
            )

    def check(self, energy: AbstractEnergy) -> None:
        require_score(type(self).__name__, energy)

    def measure(self, energy: AbstractEnergy, batch: Configuration, *, key: PRNGKey) -> tuple[Scalar, Metrics]:
        observed = marginal(energy)
        sigma = self.noise_scale

        noise = _noise(self.num_copies, batch, key=key)
        # One batch of all copies: a batch of batches costs half as much again.
        copies, flat = (a.reshape(-1, *batch.shape[1:]) for a in (jnp.broadcast_to(batch, noise.shape), noise))
        losses, at_data = jax.vmap(lambda x, xi: _residual(observed, x, sigma, xi))(copies, flat)
        # The copies are draws of the law that is learned. Smeared ten times as much they are not: the gap between the
        # two energies grows as the energy forms.
        far = batch[:_NUM_WATCHED] + 10 * sigma * noise[0, :_NUM_WATCHED]
        at_noise = jnp.mean(jax.vmap(frozen(observed))(far))
        return jnp.mean(losses), {"energy_data": jnp.mean(at_data), "energy_noise": at_noise}


class MultiScaleDenoising(AbstractStatelessObjective):
    """Denoising score matching at many noise levels: the energies of the data smeared with each of them.

    Trains a family E(x; σ), given as its member `energies.AtLevel(model, sigma)`, with the loss of
    `DenoisingScoreMatching` averaged over the levels. In terms of ½ E ‖∇E(x̃; σ) − (x̃ − x)/σ²‖² that is the weight
    λ(σ) = σ², by which all levels count about the same. Where the noise is wide the modes of the data overlap, so that
    `sampling.annealed_langevin`, which goes down from there, finds their masses; a single level does not.

    Exactness: consistent for the smeared law of every level, not for the data law itself. Levels are independent:
    nothing makes the energies of neighbouring levels those of one law but the network that they share.

    Cost: that of `DenoisingScoreMatching`, whatever the number of levels: every row of a batch takes the next one.

    Args:
        noise_scales: σ_1, σ_2 ..., in units of x: about as far as the data reach at one end, a fraction of their
            finest detail at the other, each a constant factor (0.6 to 0.9) from the next.
        num_copies: Noisy copies of each row, in antithetic pairs x ± σξ.

    References:
        [song2019], [li2019]
    """

    noise_scales: tuple[float, ...] = eqx.field(static=True, converter=lambda scales: tuple(map(float, scales)))
    num_copies: int = eqx.field(static=True, default=2, kw_only=True)

    def __check_init__(self) -> None:
        if not self.noise_scales or not all(s > 0 for s in self.noise_scales) or self.num_copies < 1:
            raise ArgumentError(
                f"MultiScaleDenoising needs positive noise_scales and num_copies >= 1, got {self.noise_scales} and "
                f"{self.num_copies}."
            )

    def check(self, energy: AbstractEnergy) -> None:
        require_score(type(self).__name__, energy)
        at_level(energy, self.noise_scales[0])

    def measure(self, energy: AbstractEnergy, batch: Configuration, *, key: PRNGKey) -> tuple[Scalar, Metrics]:
        noise_key, first_key = jax.random.split(key)
        noise = _noise(self.num_copies, batch, key=noise_key)
        count = len(self.noise_scales)
        turn = levels_in_turn(batch.shape[0], count, key=first_key)
        sigmas = jnp.asarray(self.noise_scales, batch.dtype)[turn]

        def row(x: Array, xi: Array, sigma: Array) -> tuple[Array, Array]:
            observed = marginal(at_level(energy, sigma))
            return jax.vmap(lambda xi: _residual(observed, x, sigma, xi))(xi)

        losses, at_data = jax.vmap(row, in_axes=(0, 1, 0))(batch, noise, sigmas)
        return jnp.mean(losses), {"energy_data": jnp.mean(at_data)}


def _noise(num_copies: int, batch: Array, *, key: PRNGKey) -> Array:
    """ξ for each copy of each row: the second half are the negatives of the first."""
    half = normal_apart((num_copies - num_copies // 2, *batch.shape), batch.dtype, key=key)
    return jnp.concatenate([half, -half[: num_copies // 2]])


def _residual(observed: AbstractEnergy, x: Array, sigma: float | Array, noise: Array) -> tuple[Scalar, Scalar]:
    """½ ‖σ ∇E(x + σξ) − ξ‖² for one row, and E(x + σξ) held constant."""
    value, score = value_and_score(observed, x + sigma * noise)
    return 0.5 * jnp.sum((sigma * score + noise) ** 2), jax.lax.stop_gradient(value)
