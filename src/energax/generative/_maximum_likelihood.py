"""Maximum likelihood for models whose likelihood can be evaluated, and for flows whose ways it keeps smooth."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from energax._errors import ArgumentError, KernelMismatch
from energax._typing import Configuration, PRNGKey, Scalar
from energax.densities import AbstractGenerator
from energax.generative._continuous_flow import ContinuousFlow
from energax.objectives import AbstractStatelessObjective, Metrics, apart


class MaximumLikelihood(AbstractStatelessObjective):
    """loss = −mean log p(x), for a generator whose likelihood can be evaluated: flows, and any density.

    Its minimum over all laws is the entropy of the data; what is left above it is KL(data ‖ model).

    Exactness: the gradient of the likelihood where it is exact, of a lower bound where it is a bound. An estimate is
    trained too: whatever its mean is. The likelihood of a `ContinuousFlow` with equal steps is right up to the error of
    the steps, and its maximum is where that error is large: take `TransportLikelihood` for it.

    Cost: one log-likelihood of the model for each row, and its gradient.

    Example:
        >>> import jax
        >>> from energax import densities, generative
        >>> law = densities.Gaussian(jax.numpy.zeros(2))
        >>> loss, _ = generative.MaximumLikelihood().measure(law, jax.numpy.zeros((1, 2)), key=jax.random.key(0))
        >>> round(float(loss), 4)
        1.8379

    References:
        [papamakarios2021]
    """

    def check(self, energy: Any) -> None:
        if not isinstance(energy, AbstractGenerator) or energy.likelihood == "none":
            raise KernelMismatch(
                f"MaximumLikelihood needs a model that knows its log-likelihood, got {type(energy).__name__}. Energies "
                "learn by objectives such as PersistentCD."
            )

    def measure(self, energy: Any, batch: Configuration, *, key: PRNGKey) -> tuple[Scalar, Metrics]:
        keys = jax.random.split(apart(key), jax.tree.leaves(batch)[0].shape[0])
        return -jnp.mean(jax.vmap(lambda x, k: energy.log_likelihood(x, key=k))(batch, keys)), {}


class TransportLikelihood(AbstractStatelessObjective):
    """Maximum likelihood of a continuous flow whose ways are kept short and smooth.

    loss = −mean log p(x) + mean ∫₀¹ (κ ‖v‖² + λ ‖∇v‖²) dt along the way of x, with the Frobenius norm. Many velocities
    carry the base to the same law; this picks one that a few equal steps solve. Without it the network finds
    velocities that the steps cannot follow, for which the likelihood that it is given credit for is not one: the loss
    falls far below the entropy of the data.

    Exactness: biased by the two costs: 10⁻³ of each is some hundredths of a nat on data of order 1. What the solver is
    off by shows when its steps are doubled.

    Cost: that of `MaximumLikelihood`.

    Args:
        kinetic: κ, at least 0.
        jacobian: λ, at least 0.

    Raises:
        ArgumentError: A weight is negative.

    References:
        [finlay2020]
    """

    kinetic: float = eqx.field(static=True, default=1e-3)
    jacobian: float = eqx.field(static=True, default=1e-3)

    def __check_init__(self) -> None:
        if not (self.kinetic >= 0 and self.jacobian >= 0):
            raise ArgumentError(
                f"TransportLikelihood needs weights of at least 0, got kinetic={self.kinetic} and "
                f"jacobian={self.jacobian}."
            )

    def check(self, energy: Any) -> None:
        if not isinstance(energy, ContinuousFlow):
            raise KernelMismatch(
                f"TransportLikelihood trains a ContinuousFlow, got {type(energy).__name__}. Others learn by "
                "MaximumLikelihood."
            )

    def measure(self, energy: Any, batch: Configuration, *, key: PRNGKey) -> tuple[Scalar, Metrics]:
        keys = jax.random.split(apart(key), jax.tree.leaves(batch)[0].shape[0])
        parts = jax.vmap(lambda x, k: energy.log_likelihood_at_cost(x, key=k))(batch, keys)
        log_likelihood, kinetic, jacobian = (jnp.mean(part) for part in parts)
        loss = -log_likelihood + self.kinetic * kinetic + self.jacobian * jacobian
        return loss, {"log_likelihood": log_likelihood, "kinetic": kinetic, "jacobian": jacobian}
