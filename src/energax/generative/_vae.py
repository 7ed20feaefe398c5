"""Variational autoencoders."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from energax._errors import ArgumentError, KernelMismatch, SpaceError
from energax._typing import PRNGKey, Scalar
from energax.densities import AbstractAutoencoder, LikelihoodKind
from energax.generative._networks import ConvDecoder, ConvEncoder, Dense
from energax.objectives import AbstractStatelessObjective, Metrics, normal_apart
from energax.spaces import Binary, Euclidean


class VAE(AbstractAutoencoder):
    """A variational autoencoder: p(x) = ∫ N(z; 0, I) p(x|z) dz, with a posterior q(z|x) = N(m(x), diag s(x)²).

    On 0/1 data p(x|z) has independent bits whose log-odds are the decoder's output; on real data it is N(f(z), σ²I)
    with one trained σ, or one for each entry. Without hidden layers and on real data it is probabilistic PCA, which
    it then reaches exactly.

    Its `log_likelihood` is the importance-weighted bound, log (1/K) Σ_k p(x, z_k)/q(z_k|x) with z_k ~ q(·|x): below
    log p(x) in the mean, rising with K to log p(x), and equal to the evidence lower bound for K = 1. Train with `ELBO`;
    `MaximumLikelihood` climbs the importance-weighted bound instead, at K times the cost.

    On data that lie on a surface σ falls without end and the bound rises without end; add noise to the rows
    (`objectives.DataNoise`).

    Cost: a draw is one decoder; a log-likelihood one encoder and K decoders; encoding one encoder.

    Args:
        space: `Binary` or `Euclidean`, or a shape for Euclidean space.
        latent_dim: Length of z.
        hidden: Widths of the hidden layers of the encoder; those of the decoder are in reverse order.
        channels: Filters of the convolutional layers instead, for images; each halves the resolution.
        activation: A name of `energies.ACTIVATIONS`.
        scale: σ before training.
        scale_per_entry: One σ for each entry.
        num_samples: K of `log_likelihood`.
        key: Random key of the initial weights.

    Raises:
        SpaceError: The space is neither of 0/1 nor of real numbers.
        ArgumentError: A number is out of range, or channels are given for data that are no images.

    Example:
        >>> import jax
        >>> from energax import generative, spaces
        >>> model = generative.VAE(spaces.Binary((8, 8)), latent_dim=2, hidden=(16,), key=jax.random.key(0))
        >>> model.draw(key=jax.random.key(1)).shape, model.likelihood
        ((8, 8), 'bound')

    References:
        [kingma2014], [burda2016], [tipping1999]
    """

    encoder: Any
    decoder: Any
    log_scale: Float[Array, "..."] | None
    space: Binary | Euclidean = eqx.field(static=True)
    latent_dim: int = eqx.field(static=True)
    num_samples: int = eqx.field(static=True)

    def __init__(
        self,
        space: Binary | Euclidean | int | tuple[int, ...],
        *,
        latent_dim: int,
        hidden: Sequence[int] = (128, 128),
        channels: Sequence[int] | None = None,
        activation: str = "silu",
        scale: float = 1.0,
        scale_per_entry: bool = False,
        num_samples: int = 64,
        key: PRNGKey,
    ) -> None:
        self.space = Euclidean(space, initial_scale=1.0) if isinstance(space, int | tuple) else space
        if not isinstance(self.space, Binary | Euclidean):
            raise SpaceError(f"A VAE needs 0/1 data or real numbers, got {space}.")
        if latent_dim < 1 or num_samples < 1 or not scale > 0:
            raise ArgumentError(
                f"A VAE needs latent_dim >= 1, num_samples >= 1, scale > 0; got {latent_dim}, {num_samples}, {scale}."
            )
        shape, into, out = self.space.shape, *jax.random.split(key)
        if channels is None:
            self.encoder = Dense(shape, (2 * latent_dim,), hidden=hidden, activation=activation, key=into)
            self.decoder = Dense((latent_dim,), shape, hidden=hidden[::-1], activation=activation, key=out)
        else:
            self.encoder = ConvEncoder(shape, 2 * latent_dim, channels=channels, activation=activation, key=into)
            self.decoder = ConvDecoder(latent_dim, shape, channels=channels[::-1], activation=activation, key=out)
        start = jnp.full(shape if scale_per_entry else (), math.log(scale), jnp.result_type(float))
        self.log_scale = None if isinstance(self.space, Binary) else start
        self.latent_dim = latent_dim
        self.num_samples = num_samples

    @property
    def likelihood(self) -> LikelihoodKind:
        return "bound"

    @property
    def draw_evaluations(self) -> int:
        return 1

    def draw_latent(self, *, key: PRNGKey) -> Float[Array, " k"]:
        return jax.random.normal(key, (self.latent_dim,))

    def draw(self, *, key: PRNGKey) -> Array:
        of_latent, of_data = jax.random.split(key)
        return self.draw_given(self.draw_latent(key=of_latent), key=of_data)

    def draw_given(self, z: Float[Array, " k"], *, key: PRNGKey) -> Array:
        """One draw of p(x|z)."""
        out = self.decoder(z)
        if isinstance(self.space, Binary):
            return self.space.draw_sites(out, key=key)
        return out + jnp.exp(self._log_scale) * jax.random.normal(key, out.shape, out.dtype)

    def decode(self, z: Float[Array, " k"]) -> Array:
        """E[x | z]: probabilities of ones, or the mean."""
        return jax.nn.sigmoid(self.decoder(z)) if isinstance(self.space, Binary) else self.decoder(z)

    def encode(self, x: Array, *, key: PRNGKey) -> Float[Array, " k"]:
        return self.latent_at(x, jax.random.normal(key, (self.latent_dim,)))

    def log_likelihood(self, x: Array, *, key: PRNGKey) -> Scalar:
        noise = jax.random.normal(key, (self.num_samples, self.latent_dim))
        weights = jax.vmap(lambda eps: self.log_weight(x, eps))(noise)
        return jax.nn.logsumexp(weights) - math.log(self.num_samples)

    def posterior(self, x: Array) -> tuple[Float[Array, " k"], Float[Array, " k"]]:
        """m(x) and log s(x)."""
        mean, log_std = jnp.split(self.encoder(x), 2)
        return mean, log_std

    def latent_at(self, x: Array, noise: Float[Array, " k"]) -> Float[Array, " k"]:
        """Z = m(x) + s(x) · noise."""
        mean, log_std = self.posterior(x)
        return mean + jnp.exp(log_std) * noise

    def log_decoder(self, x: Array, z: Float[Array, " k"]) -> Scalar:
        """Log p(x|z)."""
        out = self.decoder(z)
        if isinstance(self.space, Binary):
            return jnp.sum(self.space.site_log_probs(out, x))
        return _normal_log_prob(x, out, self._log_scale)

    def log_encoder(self, x: Array, z: Float[Array, " k"]) -> Scalar:
        """Log q(z|x)."""
        return _normal_log_prob(z, *self.posterior(x))

    def log_weight(self, x: Array, noise: Float[Array, " k"]) -> Scalar:
        """Log p(x, z) − log q(z|x) at z = m(x) + s(x) · noise."""
        mean, log_std = self.posterior(x)
        z = mean + jnp.exp(log_std) * noise
        return self.log_decoder(x, z) - 0.5 * jnp.sum(z**2) + 0.5 * jnp.sum(noise**2) + jnp.sum(log_std)

    @property
    def _log_scale(self) -> Float[Array, "..."]:
        assert self.log_scale is not None
        return self.log_scale


def _normal_log_prob(x: Array, mean: Array, log_scale: Array) -> Scalar:
    white = (x - mean) * jnp.exp(-log_scale)
    return -jnp.sum(0.5 * white**2 + log_scale + 0.5 * math.log(2 * math.pi))


class ELBO(AbstractStatelessObjective):
    """The evidence lower bound of a VAE: loss = −E_q log p(x|z) + β KL(q(z|x) ‖ N(0, I)), one draw of z a row.

    The divergence is in closed form, ½ Σ (m² + s² − 1 − 2 log s). With β = 1 the loss is a bound of −log p(x), tight
    where q is the posterior. With β > 1 latents are simpler and reconstructions worse; with β < 1 the other way round,
    and the loss is no bound.

    Exactness: unbiased gradient of the bound.

    Cost: one encoder and one decoder for each row, and their gradient.

    Args:
        beta: β > 0.

    Raises:
        ArgumentError: β is not positive.

    Example:
        >>> import jax
        >>> from energax import generative
        >>> model = generative.VAE(3, latent_dim=1, hidden=(), key=jax.random.key(0))
        >>> loss, metrics = generative.ELBO().measure(model, jax.numpy.ones((2, 3)), key=jax.random.key(1))
        >>> sorted(metrics)
        ['divergence', 'reconstruction']

    References:
        [kingma2014], [higgins2017]
    """

    beta: float = eqx.field(static=True, default=1.0)

    def __check_init__(self) -> None:
        if not self.beta > 0:
            raise ArgumentError(f"ELBO needs beta > 0, got {self.beta}.")

    def check(self, energy: Any) -> None:
        if not isinstance(energy, VAE):
            raise KernelMismatch(f"ELBO trains a VAE, got {type(energy).__name__}.")

    def measure(self, energy: VAE, batch: Array, *, key: PRNGKey) -> tuple[Scalar, Metrics]:
        noise = normal_apart((len(batch), energy.latent_dim), jnp.result_type(float), key=key)

        def of_row(x: Array, eps: Array) -> tuple[Scalar, Scalar]:
            mean, log_std = energy.posterior(x)
            z = mean + jnp.exp(log_std) * eps
            divergence = 0.5 * jnp.sum(mean**2 + jnp.exp(2 * log_std) - 1 - 2 * log_std)
            return -energy.log_decoder(x, z), divergence

        reconstruction, divergence = (jnp.mean(part) for part in jax.vmap(of_row)(batch, noise))
        return reconstruction + self.beta * divergence, {"reconstruction": reconstruction, "divergence": divergence}
