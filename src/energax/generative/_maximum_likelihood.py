"""Maximum likelihood for models whose likelihood can be evaluated."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from energax._errors import ArgumentError, KernelMismatch
from energax._typing import Configuration, PRNGKey, Scalar
from energax.densities import AbstractGenerator
from energax.generative._continuous_flow import ContinuousFlow
from energax.generative._diffusion import Diffusion
from energax.objectives import AbstractStatelessObjective, Metrics, apart


class MaximumLikelihood(AbstractStatelessObjective):
    """loss = −mean log p(x), for a generator whose likelihood can be evaluated: flows, and any density.

    Its minimum over all laws is the entropy of the data; what is left above it is KL(data ‖ model).

    Exactness: the gradient of the likelihood where it is exact, of a lower bound where it is a bound. An estimate is
    trained too: whatever its mean is.

    The likelihood of a `ContinuousFlow` or a `Diffusion` is right up to the error of its solver, and its maximum over
    velocities lies where equal steps cannot follow them: the loss would fall far below the entropy of the data. A
    measure of how far the steps are too long is therefore added to the loss, with the weight `solver_penalty`. It is
    of fifth order in the length of a step: nothing where the steps are short enough, some nats where they are not.

    Cost: one log-likelihood of the model for each row, and its gradient.

    Args:
        solver_penalty: Weight of the errors of equal steps (`AbstractSolver.solve_with_error`), at least 0; models
            that solve no equation do not use it.

    Raises:
        ArgumentError: The penalty is negative.

    Example:
        >>> import jax
        >>> from energax import densities, generative
        >>> law = densities.Gaussian(jax.numpy.zeros(2))
        >>> loss, _ = generative.MaximumLikelihood().measure(law, jax.numpy.zeros((1, 2)), key=jax.random.key(0))
        >>> round(float(loss), 4)
        1.8379

    References:
        [papamakarios2021]; [pal2021] for the error of the solver in the loss.
    """

    solver_penalty: float = eqx.field(static=True, default=10.0)

    def __check_init__(self) -> None:
        if not self.solver_penalty >= 0:
            raise ArgumentError(f"`solver_penalty` must be at least 0, got {self.solver_penalty}.")

    def check(self, energy: Any) -> None:
        if not isinstance(energy, AbstractGenerator) or energy.likelihood == "none":
            raise KernelMismatch(
                f"MaximumLikelihood needs a model that knows its log-likelihood, got {type(energy).__name__}. Energies "
                "learn by objectives such as PersistentCD."
            )

    def measure(self, energy: Any, batch: Configuration, *, key: PRNGKey) -> tuple[Scalar, Metrics]:
        keys = jax.random.split(apart(key), jax.tree.leaves(batch)[0].shape[0])
        if not isinstance(energy, ContinuousFlow | Diffusion):
            return -jnp.mean(jax.vmap(lambda x, k: energy.log_likelihood(x, key=k))(batch, keys)), {}
        found = jax.vmap(lambda x, k: energy.log_likelihood_with_error(x, key=k))(batch, keys)
        log_likelihood, error = (jnp.mean(part) for part in found)
        loss = self.solver_penalty * error - log_likelihood
        return loss, {"log_likelihood": log_likelihood, "solver_error": error}
