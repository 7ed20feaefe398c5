"""Generators whose latent has another prior: an energy, a critic's energy, a flow, whatever can be drawn from."""

from __future__ import annotations

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from energax._errors import KernelMismatch, NotTractable
from energax._typing import PRNGKey, Scalar
from energax.densities import AbstractGenerator, AbstractLatentGenerator, LikelihoodKind
from energax.energies import AbstractEnergy
from energax.generative._sampled import SampledEnergy
from energax.generative._vae import VAE
from energax.spaces import AbstractSpace


@functools.singledispatch
def draw_given(generator: AbstractLatentGenerator, z: Array, *, key: PRNGKey) -> Array:
    """One configuration of those that a latent vector stands for: the decoded one, where there is one only."""
    del key
    return generator.decode(z)


@draw_given.register
def _(generator: VAE, z: Array, *, key: PRNGKey) -> Array:
    return generator.draw_given(z, key=key)


class WithPrior(AbstractLatentGenerator):
    """A generator that keeps its decoder and draws its latent from another law.

    * A `SampledEnergy` of `CriticEnergy`: discriminator-driven latent sampling of a GAN.
    * A `SampledEnergy` of any energy E(z), or a flow, fitted to the codes that a VAE gives the data (``vae.encode``):
      the latent EBM prior, p(x) = ∫ p(x|z) exp(−E(z)) dz / Z. With N(0, I) for the prior it is the VAE itself. Codes
      are data like any other; an `energies.MLP` over them is N(0, I) times exp(−f(z)) and takes any objective.

    With a VAE `log_likelihood` is log (1/K) Σ_k p(x|z_k) p(z_k)/q(z_k|x) with z_k ~ q(·|x), the encoder's, a bound of
    log p(x) from below in the mean where the prior's density is exact, an estimate where its log Z is one. Other
    generators have none.

    Cost: a draw of the prior and a decoder; a log-likelihood that of a VAE and K log-densities of the prior.

    Args:
        generator: What decodes.
        prior: The law of the latent.

    Raises:
        KernelMismatch: The generator has no latent.

    Example:
        >>> import jax
        >>> from energax import densities, generative
        >>> vae = generative.VAE(4, latent_dim=2, hidden=(8,), key=jax.random.key(0))
        >>> model = generative.WithPrior(vae, densities.Gaussian(jax.numpy.zeros(2), 0.5))
        >>> model.draw(key=jax.random.key(1)).shape, model.likelihood
        ((4,), 'bound')

    References:
        [pang2020b], [che2020]
    """

    generator: AbstractLatentGenerator
    prior: AbstractGenerator

    def __check_init__(self) -> None:
        if not isinstance(self.generator, AbstractLatentGenerator):
            raise KernelMismatch(f"WithPrior needs a generator with a latent, got {type(self.generator).__name__}.")

    @property
    def space(self) -> AbstractSpace:
        return self.generator.space

    @property
    def likelihood(self) -> LikelihoodKind:
        if not isinstance(self.generator, VAE) or self.prior.likelihood == "none":
            return "none"
        return "bound" if self.prior.likelihood == "exact" else "estimate"

    @property
    def draw_evaluations(self) -> int | None:
        counts = self.generator.draw_evaluations, self.prior.draw_evaluations
        return None if None in counts else sum(counts)  # pyright: ignore[reportArgumentType, reportCallIssue]

    def draw_latent(self, *, key: PRNGKey) -> Array:
        return self.prior.draw(key=key)

    def draw(self, *, key: PRNGKey) -> Array:
        of_latent, of_data = jax.random.split(key)
        return draw_given(self.generator, self.draw_latent(key=of_latent), key=of_data)

    def decode(self, z: Array) -> Array:
        return self.generator.decode(z)

    def posterior(self, x: Array) -> LatentPosterior:
        """The energy of z given a configuration, −log p(x|z) − log p(z), for any kernel with a score.

        Raises:
            NotTractable: The generator has no density of x given z, or the prior no energy.
        """
        prior = self.prior.energy if isinstance(self.prior, SampledEnergy) else self.prior
        if not isinstance(self.generator, VAE) or not isinstance(prior, AbstractEnergy):
            raise NotTractable("A posterior needs a VAE, and a prior that is a density or a SampledEnergy.")
        return LatentPosterior(self.generator, prior, x)

    def log_likelihood(self, x: Array, *, key: PRNGKey) -> Scalar:
        if not isinstance(self.generator, VAE):
            raise NotTractable("WithPrior has a likelihood only with a VAE. Compare draws with the data instead.")
        vae, (of_noise, of_prior) = self.generator, jax.random.split(key)
        noise = jax.random.normal(of_noise, (vae.num_samples, vae.latent_dim))
        keys = jax.random.split(of_prior, vae.num_samples)
        weights = jax.vmap(lambda eps, k: self.log_weight(x, eps, key=k))(noise, keys)
        return jax.nn.logsumexp(weights) - math.log(vae.num_samples)

    def log_weight(self, x: Array, noise: Float[Array, " k"], *, key: PRNGKey) -> Scalar:
        """Log p(x|z) p(z)/q(z|x) at z = m(x) + s(x) · noise, with the prior's log-likelihood."""
        vae: Any = self.generator
        z = vae.latent_at(x, noise)
        normal = -0.5 * jnp.sum(z**2) - 0.5 * z.size * math.log(2 * math.pi)
        return vae.log_weight(x, noise) - normal + self.prior.log_likelihood(z, key=key)


class LatentPosterior(AbstractEnergy):
    """E(z) − log p(x|z): the energy of the latent of a VAE given a configuration, with E the energy of its prior.

    Its log Z is log p(x), if E is normalised: `evaluation.log_z` and `anneal` estimate a likelihood by it that the
    encoder does not limit.

    Args:
        vae: The decoder.
        prior: E.
        x: The configuration.

    References:
        [pang2020b]
    """

    vae: VAE
    prior: AbstractEnergy
    x: Array

    @property
    def space(self) -> AbstractSpace:
        return self.prior.space

    def __call__(self, x: Array) -> Scalar:
        return self.prior(x) - self.vae.log_decoder(self.x, x)
