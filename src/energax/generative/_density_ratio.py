"""The best critic is a ratio of densities, and a density with a critic is an energy."""

from __future__ import annotations

from typing import Any

import equinox as eqx
from jaxtyping import Array

from energax._typing import Scalar
from energax.densities import AbstractDensity
from energax.energies import AbstractEnergy
from energax.spaces import AbstractSpace


class LogRatio(eqx.Module):
    """The best critic D(x) = log p(x)/q(x) of two laws: the logit of the discriminator p/(p + q).

    A `non-saturating` game between data of law p and draws of law q has it for its critic, and then minus the critic's
    loss is 2 JS(p, q) − log 4. Energies stand for their laws up to a constant, log Z_q − log Z_p, which `offset` adds.

    Cost: both energies.

    Args:
        data: −log p, a density or an energy.
        model: −log q, the same.
        offset: Added to D: log Z of `model` minus that of `data`, 0 for densities.

    Example:
        >>> import jax.numpy as jnp
        >>> from energax import densities, generative
        >>> critic = generative.LogRatio(densities.Gaussian(jnp.zeros(1)), densities.Gaussian(jnp.ones(1)))
        >>> float(critic(jnp.zeros(1)))
        0.5

    References:
        [goodfellow2014]
    """

    data: AbstractEnergy
    model: AbstractEnergy
    offset: Any = 0.0

    def __call__(self, x: Array) -> Scalar:
        return self.model(x) - self.data(x) + self.offset


class Tilted(AbstractEnergy):
    """E(x) = −log q(x) − D(x): a density, such as a flow, corrected by a critic or by any network of one number.

    With D = log p/q it is −log p: what a discriminator of data against draws of q has learned becomes an energy of the
    data (`objectives.NoiseContrastive` with q as noise trains it, and with it log Z). With q a flow, its draws start
    chains and paths near the law (`paths.Geometric(q, E)`, `kernels.IndependenceMetropolis(q)`).

    Cost: a log-density and a critic.

    Args:
        base: q, any density.
        critic: D, any pytree that maps x to a number.

    Example:
        >>> import jax
        >>> from energax import densities, generative
        >>> base = densities.Gaussian(jax.numpy.zeros(2))
        >>> generative.Tilted(base, generative.critic((2,), key=jax.random.key(0)))(jax.numpy.ones(2)).shape
        ()

    References:
        [gutmann2012]
    """

    base: AbstractDensity
    critic: Any

    @property
    def space(self) -> AbstractSpace:
        return self.base.space

    def __call__(self, x: Array) -> Scalar:
        return self.base(x) - self.critic(x)
