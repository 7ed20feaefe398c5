"""Denoising score matching."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from energax._errors import ArgumentError
from energax._typing import Configuration, PRNGKey, Scalar
from energax.energies import AbstractEnergy, marginal, value_and_score
from energax.objectives._base import AbstractObjective, Metrics, frozen, require_score
from energax.random import normal


class DenoisingScoreMatching(AbstractObjective):
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
        num_pairs: Antithetic pairs x ± σξ for each row, which cancel the leading noise of the estimate.

    References:
        [vincent2011]
    """

    noise_scale: float = eqx.field(static=True)
    num_pairs: int = eqx.field(static=True, default=1)

    def __check_init__(self) -> None:
        if not self.noise_scale > 0 or self.num_pairs < 1:
            raise ArgumentError(
                f"DenoisingScoreMatching needs noise_scale > 0 and num_pairs >= 1, got {self.noise_scale} and "
                f"{self.num_pairs}."
            )

    def check(self, energy: AbstractEnergy) -> None:
        require_score(type(self).__name__, energy)

    def init(self, energy: AbstractEnergy, batch: Configuration, *, key: PRNGKey) -> None:
        del energy, batch, key

    def loss(
        self, energy: AbstractEnergy, batch: Configuration, state: None, *, key: PRNGKey
    ) -> tuple[Scalar, tuple[None, Metrics]]:
        observed = marginal(energy)
        sigma = self.noise_scale

        # Drawn at once, and kept apart from the network: fused into it the generator would be computed, and compiled,
        # once for each of its many uses.
        shape = (self.num_pairs, *batch.shape)
        noise = jax.lax.optimization_barrier(normal(shape, batch.dtype, key=key))

        def one(x: Configuration, noise: Array) -> Scalar:
            score = value_and_score(observed, x + sigma * noise)[1]
            return 0.5 * jnp.sum((sigma * score + noise) ** 2)

        pairs = jnp.concatenate([noise, -noise])
        losses = jax.vmap(jax.vmap(one), in_axes=(None, 0))(batch, pairs)
        return jnp.mean(losses), (state, self._metrics(frozen(observed), batch, noise[0]))

    def _metrics(self, energy: AbstractEnergy, batch: Configuration, noise: Array) -> Metrics:
        """Energies of the data and of data smeared ten times as much: their gap grows as the energy forms."""
        noisy = batch + 10 * self.noise_scale * noise
        at_data, at_noise = (jnp.mean(jax.vmap(energy)(rows)) for rows in (batch, noisy))
        return {"energy_data": at_data, "energy_noise": at_noise}
