"""From noise to data along the energies of a diffusion model: work, weights and log Z on the way."""

from __future__ import annotations

import math

import jax.numpy as jnp
from jaxtyping import Array

from energax._errors import KernelMismatch
from energax._typing import Scalar
from energax.densities import Gaussian, ShapedGaussian
from energax.energies import AbstractEnergy, Interpolated
from energax.generative._continuous_flow import ContinuousFlow
from energax.generative._diffusion import Diffusion
from energax.paths import AbstractPath

_BLEND = 0.1
"""Share of the path in which the normal law becomes the model's own."""


class NoisePath(AbstractPath):
    """The energies of a `Diffusion` with ``energy=True`` from its noise to its data: modes part one after the other.

    In the first tenth of the path N(0, r(1)²) turns into the model's energy at time 1, which training has made nearly
    the same; then time goes down to the least one, √time evenly. Annealing along it (Jarzynski's equality with the
    interpolant's own family of laws) weighs the draws and tells log Z of the energy at the least time, whatever the
    network is; a network that is exact loses little work.

    Args:
        model: The model.

    Raises:
        KernelMismatch: Its scores are no gradients.

    Example:
        >>> import jax
        >>> from energax import generative
        >>> model = generative.Diffusion(2, hidden=(8,), energy=True, key=jax.random.key(0))
        >>> generative.NoisePath(model).at(jax.numpy.ones(()))(jax.numpy.zeros(2)).shape
        ()

    References:
        [carbone2023], [albergo2023]
    """

    model: Diffusion

    def __check_init__(self) -> None:
        if not self.model.energy:
            raise KernelMismatch("The scores of this Diffusion are no gradients; make it with energy=True.")

    @property
    def start(self) -> ShapedGaussian:
        size = math.prod(self.model.space.shape)
        variance = self.model.spread(jnp.ones(())) ** 2
        return ShapedGaussian(Gaussian(jnp.zeros(size), jnp.broadcast_to(variance, (size,))), self.model.space)

    def at(self, t: Scalar) -> AbstractEnergy:
        share = jnp.clip((jnp.asarray(t) - _BLEND) / (1 - _BLEND), 0.0, 1.0)
        time = (1 - share * (1 - math.sqrt(self.model.min_time))) ** 2
        return Interpolated(self.start, self.model.given(time), jnp.minimum(t / _BLEND, 1.0))


def interpolant_score(flow: ContinuousFlow, x: Array, t: Array) -> Array:
    """The score of the law that a matched flow has at time t in [0, 1): (t v(x, t) − x)/(1 − t).

    Between I = (1 − t) z + t x_1 and its velocity E[x_1 − z | I] stands E[z | I] = I − t v, and the score of a law that
    contains noise of size 1 − t is −E[z | I]/(1 − t).

    Exactness: for the minimum of `FlowMatching` with independent coupling and without noise of its own; a velocity that
    was trained otherwise, or not enough, gives no score.

    Args:
        flow: The flow, with z ~ N(0, I) at time 0.
        x: One configuration.
        t: Its time; at 1 there is no noise left, and no score.

    References:
        [albergo2023]
    """
    return (t * flow.velocity(x, t) - x) / (1 - t)
