"""The law of one or the other: energies whose Boltzmann weights add."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from energax._errors import ArgumentError, SpaceError
from energax._typing import Configuration, Scalar
from energax.energies._base import AbstractEnergy
from energax.energies._capabilities import is_confined, latent, log_normalizer
from energax.spaces import AbstractSpace, same_configurations


class Mixed(AbstractEnergy):
    """−log Σ_k a_k exp(−E_k(x)): the mixture of the laws of several energies, "one or the other".

    The mass of law k is proportional to a_k Z_k. For given masses w_k take log a_k = log w_k − log Z_k, with log Z_k
    exact or from `evaluation.log_z`; with densities Z_k is 1. Beside it stand the product, "one and the other", which
    is `Sum`, and the quotient, "one and not the other", which is ``Sum((E_1, Tempered(E_2, -strength)))`` and is a law
    only where E_1 grows faster.

    Cost: that of all terms.

    Args:
        energies: E_k, all over one space, without hidden parts.
        log_weights: log a_k, traced numbers, shape (k,); zero by default.

    Raises:
        ArgumentError: No energies, weights of another number, or energies with hidden parts (wrap those in `marginal`).
        SpaceError: The energies live on different spaces.

    Example:
        >>> import jax.numpy as jnp
        >>> from energax import energies
        >>> low, high = energies.DoubleWell(1, barrier=1.0), energies.DoubleWell(1, barrier=8.0)
        >>> either = energies.Mixed((low, high), jnp.array([-0.68, 0.44]))
        >>> either(jnp.ones(1)).shape
        ()

    References:
        [du2020]
    """

    energies: tuple[AbstractEnergy, ...] = eqx.field(converter=tuple)
    log_weights: Float[Array, " k"]

    def __init__(self, energies: tuple[AbstractEnergy, ...], log_weights: Float[Array, " k"] | None = None) -> None:
        self.energies = tuple(energies)
        given = jnp.zeros(len(self.energies)) if log_weights is None else jnp.asarray(log_weights)
        self.log_weights = given.astype(jnp.promote_types(given.dtype, jnp.float32))
        if not self.energies or self.log_weights.shape != (len(self.energies),):
            raise ArgumentError(
                f"Mixed needs energies and a weight for each; got {len(self.energies)} and weights of shape "
                f"{self.log_weights.shape}."
            )
        for energy in self.energies:
            if not same_configurations(self.energies[0].space, energy.space):
                raise SpaceError(
                    f"Energies that are mixed need one space, got {self.energies[0].space} and {energy.space}."
                )
            if latent(energy) is not None:
                raise ArgumentError(f"Mixed sees {type(energy).__name__} with its hidden parts; wrap it in marginal.")

    @property
    def space(self) -> AbstractSpace:
        return self.energies[0].space

    def __call__(self, x: Configuration) -> Scalar:
        values = jnp.stack([energy(x) for energy in self.energies])
        return -jax.nn.logsumexp(self.log_weights.astype(values.dtype) - values)


@is_confined.register
def _(energy: Mixed) -> bool | None:
    answers = [is_confined(term) for term in energy.energies]
    if any(a is False for a in answers):
        return False
    return None if any(a is None for a in answers) else True


@log_normalizer.register
def _(energy: Mixed) -> Scalar:
    return jax.nn.logsumexp(energy.log_weights + jnp.stack([log_normalizer(term) for term in energy.energies]))
