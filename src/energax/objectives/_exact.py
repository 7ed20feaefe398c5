"""Maximum likelihood with the exact log Z: the oracle of all other objectives."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp

from energax._errors import NotTractable
from energax._typing import Configuration, PRNGKey, Scalar
from energax.energies import AbstractEnergy, log_normalizer, marginal
from energax.exact import differentiable_log_z
from energax.objectives._base import AbstractStatelessObjective, Metrics


class ExactLikelihood(AbstractStatelessObjective):
    """Exact maximum likelihood: loss = mean F(data) + log Z, the mean of −log p.

    Log Z in closed form where there is one, else by enumeration, or by quadrature for one or two real coordinates; its
    gradient is that of the sum. What other objectives approach on models that are small enough.

    Exactness: of discrete models to rounding; quadrature as far as its fixed rule resolves the density.

    Cost: an energy, and its gradient, for each configuration (after the largest block of independent sites was summed
    out) or node: 2^20 configurations or 1000² nodes take seconds an update.

    Args:
        bounds: Box that real coordinates are integrated over, ((lower, upper), ...); needed where the space has no
            ends. Wide enough to hold the model's mass throughout training.
        num_points: Nodes along each real axis: some for each width of a mode.

    References:
        [hinton2002]
    """

    bounds: tuple[tuple[float, float], ...] | None = eqx.field(static=True, default=None)
    num_points: int = eqx.field(static=True, default=256)

    def check(self, energy: AbstractEnergy) -> None:
        eqx.filter_eval_shape(self._log_z, energy)

    def measure(self, energy: AbstractEnergy, batch: Configuration, *, key: PRNGKey) -> tuple[Scalar, Metrics]:
        del key
        at_data, log_z = jnp.mean(jax.vmap(marginal(energy))(batch)), self._log_z(energy)
        loss = at_data + log_z
        return loss, {"energy_data": at_data, "log_z": log_z, "log_likelihood": -loss}

    def _log_z(self, energy: AbstractEnergy) -> Scalar:
        try:
            return log_normalizer(energy)
        except NotTractable:
            return differentiable_log_z(energy, bounds=self.bounds, num_points=self.num_points)
