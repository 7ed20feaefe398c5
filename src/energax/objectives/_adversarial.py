"""Games between an energy and a law that can be drawn from: flow-contrastive estimation, and adversarial likelihood."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from energax._errors import ArgumentError
from energax._typing import Configuration, PRNGKey, Scalar
from energax.densities import AbstractDensity, has_smooth_draws
from energax.energies import AbstractEnergy, marginal
from energax.objectives._base import AbstractStatelessObjective, Metrics, as_number, require_score
from energax.objectives._companions import companion
from energax.objectives._noise_contrastive import classify, require_same_space


class FlowContrastive(AbstractStatelessObjective):
    """Flow-contrastive estimation: noise-contrastive estimation against a flow that learns to look like the data.

    The loss is that of `NoiseContrastive` with ν = 1 and q the flow. Energy and log Z go down, the flow goes up, by the
    density of q as by the places of its draws: it makes the task hard, so that the classifier goes on learning where
    fixed noise would long be told apart. For the best energy the loss is 2 log 2 − 2 JS(p_data, q), so that the flow
    approaches the data in the Jensen–Shannon divergence. At the end E is the energy of the data, q the data's law as
    well as the flow can be, and the loss 2 log 2.

    Exactness: the fixed point is the data's law whatever the flow; that the game comes to rest there is not guaranteed.

    Cost: the gradient of 2 energies and 2 log-densities of the flow for each row, and of a draw.

    Args:
        flow: q before the first update, on the space of the data, with draws that are smooth functions of its
            parameters (`densities.has_smooth_draws`): a `Flow`, or a `Gaussian`. Trained, upwards; a companion.
        log_z: c before the first update; a companion too.

    References:
        [gao2020]; energy and flow move in the same update, not in turns.
    """

    flow: AbstractDensity = eqx.field(metadata=companion(ascends=True))
    log_z: Float[Array, ""] = eqx.field(
        default=0.0, converter=as_number, metadata=companion(learning_rate=1e-2), kw_only=True
    )

    def __check_init__(self) -> None:
        _require_smooth(type(self).__name__, self.flow)

    def check(self, energy: AbstractEnergy) -> None:
        require_score(type(self).__name__, energy)
        require_same_space(type(self).__name__, energy, self.flow)

    def measure(self, energy: AbstractEnergy, batch: Configuration, *, key: PRNGKey) -> tuple[Scalar, Metrics]:
        noise = jax.vmap(lambda k: self.flow.draw(key=k))(jax.random.split(key, batch.shape[0]))
        loss, metrics = classify(energy, self.flow, self.log_z, batch, noise, 0.0)
        return loss, {**metrics, "flow_log_likelihood": jnp.mean(jax.vmap(self.flow.log_prob)(batch))}


class AdversarialLikelihood(AbstractStatelessObjective):
    """Maximum likelihood with a generator in the place of the chains: min over E, max over q.

    loss = E_data[E] − E_q[E + log q]. Since E_q[E] − S(q) ≥ −log Z, with equality where q is the law of the energy, it
    is the negative log-likelihood of the model minus KL(q ‖ model): the energy goes down the likelihood as the
    generator knows it, and the generator goes up, towards the model. Its entropy S(q) = −E_q[log q] is exact, so that
    it does not collapse onto the lowest energies.

    Exactness: exact gradient of the likelihood where the generator is the law of the energy. Elsewhere biased, and the
    loss is an optimistic likelihood: `log_z` among the metrics is a lower end. A generator that cannot follow the model
    lets the energy fall where it does not draw.

    Cost: the gradient of one energy for each row, and of an energy, a draw and a log-density for each draw.

    Args:
        generator: q before the first update, on the space of the data, with draws that are smooth functions of its
            parameters (`densities.has_smooth_draws`): a `Flow`, or a `Gaussian`. Trained, upwards; a companion.
        num_draws: Draws at each update.

    Example:
        >>> import jax
        >>> from energax import densities, objectives
        >>> law = densities.Gaussian(jax.numpy.zeros(2))
        >>> objective = objectives.AdversarialLikelihood(law, num_draws=4)
        >>> _, (_, metrics) = objective.loss(law, jax.numpy.ones((1, 2)), None, key=jax.random.key(0))
        >>> abs(float(metrics["log_z"])) < 1e-6
        True

    References:
        [kim2016], [dai2019]
    """

    generator: AbstractDensity = eqx.field(metadata=companion(ascends=True))
    num_draws: int = eqx.field(static=True, default=128, kw_only=True)

    def __check_init__(self) -> None:
        _require_smooth(type(self).__name__, self.generator)
        if self.num_draws < 1:
            raise ArgumentError(f"AdversarialLikelihood needs num_draws >= 1, got {self.num_draws}.")

    def check(self, energy: AbstractEnergy) -> None:
        require_score(type(self).__name__, energy)
        require_same_space(type(self).__name__, energy, self.generator)

    def measure(self, energy: AbstractEnergy, batch: Configuration, *, key: PRNGKey) -> tuple[Scalar, Metrics]:
        observed = marginal(energy)
        drawn = jax.vmap(lambda k: self.generator.draw(key=k))(jax.random.split(key, self.num_draws))
        at_data, at_model = jnp.mean(jax.vmap(observed)(batch)), jnp.mean(jax.vmap(observed)(drawn))
        entropy = -jnp.mean(jax.vmap(self.generator.log_prob)(drawn))
        log_z = entropy - at_model
        metrics = {
            "energy_data": at_data,
            "energy_model": at_model,
            "energy_gap": at_model - at_data,
            "entropy": entropy,
            "log_z": log_z,
        }
        return at_data + log_z, metrics


def _require_smooth(name: str, law: AbstractDensity) -> None:
    if not isinstance(law, AbstractDensity) or not has_smooth_draws(law):
        raise ArgumentError(
            f"{name} trains a law through its draws, so they must be smooth functions of its parameters: a Flow or a "
            f"Gaussian, or a density of your own that is registered with densities.has_smooth_draws; got "
            f"{type(law).__name__}."
        )
