"""A generator and the energy that calibrated it."""

from __future__ import annotations

from typing import Any

import equinox as eqx
from jaxtyping import Array

from energax._errors import ArgumentError
from energax._typing import PRNGKey, Scalar
from energax.densities import AbstractLatentGenerator, LikelihoodKind
from energax.spaces import AbstractArraySpace, Euclidean


class Calibrated(AbstractLatentGenerator):
    """A generator x = G(z), z from its prior, with the energy that its draws were calibrated by.

    A draw is one evaluation of G: the energy has no part in it, it only taught G. The likelihood is that of the
    generator, untouched: exact for a flow, which draws by what it decodes to; for a VAE whose draws are the decoder's
    means it is a bound for the law that has the decoder's noise, which the draws lack, so that its kind is
    ``"estimate"``, and ``"bound"`` with `noise`.

    Args:
        generator: G, a generator of real numbers with a latent: a `VAE`, a `Flow`, a `PushForward`.
        energy: E, any pytree that maps a configuration to a number; low where data are.
        noise: Draws have the generator's own noise, if it has any, as `generator.draw` has.

    Raises:
        ArgumentError: The generator has no latent, or makes no real numbers.

    Example:
        >>> import jax
        >>> from energax import generative, systems
        >>> vae = generative.VAE(2, latent_dim=1, hidden=(4,), key=jax.random.key(0))
        >>> model = systems.Calibrated(vae, generative.critic((2,), hidden=(4,), key=jax.random.key(1)))
        >>> model.draw(key=jax.random.key(2)).shape, model.draw_evaluations, model.likelihood
        ((2,), 1, 'estimate')

    References:
        [luo2024]
    """

    generator: Any
    energy: Any
    noise: bool = eqx.field(static=True, default=False, kw_only=True)

    def __check_init__(self) -> None:
        if not isinstance(self.generator, AbstractLatentGenerator):
            raise ArgumentError(
                f"A generator with a latent is calibrated, got {type(self.generator).__name__}. Wrap a function of "
                "your own: generative.PushForward(shape, latent_dim=..., network=function, key=...)."
            )
        if not isinstance(self.generator.space, Euclidean):
            raise ArgumentError(
                f"Only draws of real numbers can be moved by Langevin steps, got {self.generator.space}."
            )

    @property
    def space(self) -> AbstractArraySpace:
        return self.generator.space

    @property
    def likelihood(self) -> LikelihoodKind:
        kind = self.generator.likelihood
        return "estimate" if kind == "bound" and not self.noise else kind

    @property
    def draw_evaluations(self) -> int | None:
        return self.generator.draw_evaluations

    def draw_latent(self, *, key: PRNGKey) -> Array:
        return self.generator.draw_latent(key=key)

    def decode(self, z: Array) -> Array:
        return self.generator.decode(z)

    def draw(self, *, key: PRNGKey) -> Array:
        if self.noise:
            return self.generator.draw(key=key)
        return self.decode(self.draw_latent(key=key))

    def log_likelihood(self, x: Array, *, key: PRNGKey) -> Scalar:
        return self.generator.log_likelihood(x, key=key)
