"""Energy matching: one potential that carries noise to the data, and is their energy where they are."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from energax._errors import ArgumentError, SpaceError
from energax._typing import Configuration, PRNGKey, Scalar
from energax.densities import AbstractDensity
from energax.energies import AbstractEnergy, marginal, observed_space, score
from energax.objectives._base import AbstractObjective, Metrics, apart, frozen, normal_apart, require_score
from energax.objectives._contrastive import check_steps, contrast
from energax.objectives._pairing import partners, spread_times
from energax.spaces import Euclidean, check_structure


class EnergyMatchingState(eqx.Module):
    """How far training is.

    Attributes:
        count: Updates so far.
    """

    count: Int[Array, ""]


class EnergyMatching(AbstractObjective):
    """Energy matching: the flow of −ε∇E carries noise to the data in unit time, and exp(−E) is their law there.

    With V = εE two losses share one energy. *Flow*: for a draw z of the noise, its partner x among the rows by optimal
    transport within the batch, t uniform on [0, τ] and y = (1 − t) z + t x, E ‖∇V(y) + x − z‖²: where paths of optimal
    transport run, −∇V is their velocity. *Contrast*, after the first `num_warm_up` updates: with the weight λ,
    mean E(rows) − mean E(chains), the gradient of the likelihood as far as the chains know the model. Chains follow
    dx = −∇V dt + √(2ε(t)) dW in steps of `time_step`; those from noise, every second one, first flow, ε(t) = 0 up to
    t = τ, and are then heated linearly up to ε(1) = ε; those from the rows have ε throughout. `generate` runs chains
    from noise.

    Exactness: biased. While warming up, E is the potential that fits the velocities best; then it is that of
    contrastive divergence, pulled by the flow where the paths run, all the less the larger λ is. Only exp(−E) near the
    data is meant as their law.

    Cost: one gradient of a score for each row; Sinkhorn's 50 passes over n² numbers for a batch of n; after the
    warm-up `num_steps` scores for each row and the gradient of two batches of energies.

    Args:
        temperature: ε > 0, in units of x² over time: small against the square of the distance that noise has to go.
        num_warm_up: Updates with the flow alone: most of the training.
        num_steps: Steps of each chain.
        time_step: Time of a step; chains end at num_steps × time_step, which is at least 1.
        flow_end: τ in (0, 1], at which the flow ends.
        weight: λ ≥ 0.
        start: Law of the noise; None takes the initial law of the space.
        regularisation: Strength of the entropy of the plan, in units of the mean squared distance of the batch.

    Example:
        >>> import jax
        >>> from energax import energies, objectives
        >>> model = energies.MLP(2, hidden=(8,), key=jax.random.key(0))
        >>> objective = objectives.EnergyMatching(0.1, num_warm_up=100)
        >>> objective.generate(model, 5, key=jax.random.key(1)).shape
        (5, 2)

    References:
        [balcerak2025]; entropic instead of exact plans, and the contrast is not divided by the temperature.
    """

    temperature: float = eqx.field(static=True, default=0.1)
    num_warm_up: int = eqx.field(static=True, default=2_000)
    num_steps: int = eqx.field(static=True, default=40)
    time_step: float = eqx.field(static=True, default=0.05)
    flow_end: float = eqx.field(static=True, default=0.9, kw_only=True)
    weight: float = eqx.field(static=True, default=1.0, kw_only=True)
    start: AbstractDensity | None = eqx.field(kw_only=True, default=None)
    regularisation: float = eqx.field(static=True, default=0.02, kw_only=True)

    def __check_init__(self) -> None:
        check_steps(self.num_steps)
        if not (self.temperature > 0 and self.regularisation > 0 and self.weight >= 0 and self.num_warm_up >= 0):
            raise ArgumentError(
                "EnergyMatching needs temperature > 0, regularisation > 0, weight >= 0 and num_warm_up >= 0, got "
                f"{self.temperature}, {self.regularisation}, {self.weight} and {self.num_warm_up}."
            )
        if not 0 < self.flow_end <= 1 or self.num_steps * self.time_step < 1 - 1e-9:
            raise ArgumentError(
                f"EnergyMatching needs flow_end in (0, 1] and chains that reach time 1, got {self.flow_end} and "
                f"{self.num_steps} steps of {self.time_step}."
            )

    def check(self, energy: AbstractEnergy) -> None:
        require_score(type(self).__name__, energy)
        space = observed_space(energy)
        if not isinstance(space, Euclidean):
            raise SpaceError(f"EnergyMatching joins points by straight lines, and space={space} is not Euclidean.")
        noise = eqx.filter_eval_shape(lambda key: self._noise(energy, 1, key=key), jax.random.key(0))
        check_structure(space, noise, name="start", batch_dims=1)

    def init(self, energy: AbstractEnergy, batch: Configuration, *, key: PRNGKey) -> EnergyMatchingState:
        del energy, batch, key
        return EnergyMatchingState(jnp.zeros((), jnp.int32))

    def loss(
        self, energy: AbstractEnergy, batch: Array, state: EnergyMatchingState, *, key: PRNGKey
    ) -> tuple[Scalar, tuple[EnergyMatchingState, Metrics]]:
        flow_key, chain_key = jax.random.split(apart(key))
        batch = batch.astype(jnp.promote_types(batch.dtype, jnp.float32))
        flow = self._flow(energy, batch, key=flow_key)

        def contrasted() -> tuple[Scalar, Metrics]:
            return contrast(energy, batch, self._negatives(frozen(energy), batch, key=chain_key))

        def not_yet() -> tuple[Scalar, Metrics]:
            shapes = eqx.filter_eval_shape(contrasted)
            return jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)

        value, metrics = jax.lax.cond(state.count < self.num_warm_up, not_yet, contrasted)
        metrics = {**metrics, "flow_loss": flow}
        return flow + self.weight * value.astype(flow.dtype), (EnergyMatchingState(state.count + 1), metrics)

    def generate(self, energy: AbstractEnergy, num: int, *, key: PRNGKey) -> Float[Array, "num *event"]:
        """`num` draws, (num, *event): chains from noise as those of training."""
        noise_key, move_key = jax.random.split(key)
        noise = self._noise(energy, num, key=noise_key)
        return self._moved(marginal(energy), noise, jnp.ones(num, bool), key=move_key)

    def _flow(self, energy: AbstractEnergy, batch: Array, *, key: PRNGKey) -> Scalar:
        of_noise, of_pairs, of_t = jax.random.split(key, 3)
        noise = jax.lax.optimization_barrier(self._noise(energy, len(batch), key=of_noise)).astype(batch.dtype)
        noise = noise[partners(batch, noise, self.regularisation, key=of_pairs)]
        t = self.flow_end * spread_times(len(batch), batch.dtype, key=of_t)
        t = t.reshape(-1, *[1] * (batch.ndim - 1))
        velocity = self.temperature * jax.vmap(lambda y: score(marginal(energy), y))((1 - t) * noise + t * batch)
        return jnp.mean(jnp.sum((velocity - (batch - noise)) ** 2, axis=tuple(range(1, batch.ndim))))

    def _negatives(self, energy: AbstractEnergy, batch: Array, *, key: PRNGKey) -> Array:
        """The ends of a chain for each row, every second one from noise."""
        noise_key, move_key = jax.random.split(key)
        noise = self._noise(energy, len(batch), key=noise_key).astype(batch.dtype)
        from_noise = jnp.arange(len(batch)) % 2 == 1
        start = jnp.where(from_noise.reshape(-1, *[1] * (batch.ndim - 1)), noise, batch)
        return self._moved(marginal(energy), start, from_noise, key=move_key)

    def _moved(self, energy: AbstractEnergy, x: Array, from_noise: Array, *, key: PRNGKey) -> Array:
        """Ends of chains; nothing is differentiated."""
        step, hottest = self.time_step, self.temperature
        heats = jnp.clip((self._times - self.flow_end) / max(1 - self.flow_end, 1e-6), 0.0, 1.0)

        def one(x: Array, i_heat: tuple[Array, Array]) -> tuple[Array, None]:
            i, heat = i_heat
            noise = normal_apart(x.shape, x.dtype, key=jax.random.fold_in(key, i))
            heat = jnp.where(from_noise, heat, 1.0).reshape(-1, *[1] * (x.ndim - 1)).astype(x.dtype)
            drift = hottest * jax.vmap(lambda y: score(energy, y))(x)
            return x + step * drift + jnp.sqrt(2 * step * hottest * heat) * noise, None

        return jax.lax.stop_gradient(jax.lax.scan(one, x, (jnp.arange(self.num_steps), heats))[0])

    @property
    def _times(self) -> Float[Array, " step"]:
        """The time at the middle of each step."""
        return self.time_step * (jnp.arange(self.num_steps) + 0.5)

    def _noise(self, energy: AbstractEnergy, num: int, *, key: PRNGKey) -> Array:
        keys = jax.random.split(key, num)
        draw = observed_space(energy).initial if self.start is None else self.start.draw
        return jax.vmap(lambda k: draw(key=k))(keys)
