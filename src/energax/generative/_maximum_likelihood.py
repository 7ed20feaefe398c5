"""Maximum likelihood for models whose likelihood can be evaluated."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from energax._errors import KernelMismatch
from energax._typing import Configuration, PRNGKey, Scalar
from energax.densities import AbstractGenerator
from energax.objectives import AbstractStatelessObjective, Metrics, apart


class MaximumLikelihood(AbstractStatelessObjective):
    """loss = −mean log p(x), for a generator whose likelihood can be evaluated: flows, and any density.

    Its minimum over all laws is the entropy of the data; what is left above it is KL(data ‖ model).

    Exactness: the gradient of the likelihood where it is exact, of a lower bound where it is a bound. An estimate is
    trained too: whatever its mean is.

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
