"""Training of a generator and the energy that calibrates it, under a constraint with an adaptive weight."""

from __future__ import annotations

import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, PyTree

from energax._errors import ArgumentError
from energax._typing import PRNGKey, Scalar
from energax.objectives import AbstractObjective, Metrics, apart, frozen
from energax.spaces import AbstractSpace, check_structure
from energax.systems.calibration._constraint import Calibration
from energax.systems.calibration._model import Calibrated
from energax.training import (
    AbstractLearner,
    TrainState,
    check_values,
    default_optimizer,
    moving_average,
    optimizer_step,
    own_copy,
)


class CalibrationLearner(AbstractLearner):
    """Trains the three parts of a calibrated generator: the generator, the energy, and the weight λ of the constraint.

    One update draws z, makes x̂ = G(z), moves it, and steps G on its own loss + λ r; with the same z and the new G it
    makes and moves draws once more, and steps E; at last λ moves. All parts, both optimisers and the average are in the
    state, so that a run that is interrupted goes on in the same bits.

    Cost: 2K gradients of the energy for each row of the batch, beside the generator's own update.

    Args:
        model: Generator and energy.
        objective: The generator's own loss, such as `generative.ELBO` for a VAE, `generative.MaximumLikelihood` for a
            flow; None for a generator that only follows its calibrated draws.
        calibration: How.
        optimizer: Of the generator; `default_optimizer()` if None.
        energy_optimizer: Of the energy; Adam without momentum at 10⁻³ if None, as the game of two players asks for.
        ema_decay: As in `training.Learner`; generator and energy are averaged.

    Raises:
        KernelMismatch: The objective does not train the generator.

    Example:
        >>> import jax
        >>> from energax import generative, systems
        >>> vae = generative.VAE(2, latent_dim=1, hidden=(4,), key=jax.random.key(0))
        >>> model = systems.Calibrated(vae, generative.critic((2,), hidden=(4,), key=jax.random.key(1)))
        >>> learner = systems.CalibrationLearner(model, generative.ELBO())
        >>> float(learner.init(jax.numpy.ones((8, 2)), key=jax.random.key(2)).companions["multiplier"])
        1.0

    References:
        [luo2024]
    """

    model: Calibrated
    objective: AbstractObjective | None
    calibration: Calibration
    optimizer: optax.GradientTransformation = eqx.field(static=True)
    energy_optimizer: optax.GradientTransformation = eqx.field(static=True)
    ema_decay: float | None = eqx.field(static=True)

    def __init__(
        self,
        model: Calibrated,
        objective: AbstractObjective | None = None,
        calibration: Calibration | None = None,
        *,
        optimizer: optax.GradientTransformation | None = None,
        energy_optimizer: optax.GradientTransformation | None = None,
        ema_decay: float | None = None,
    ) -> None:
        if ema_decay is not None and not 0 < ema_decay < 1:
            raise ArgumentError(f"`ema_decay` must lie between 0 and 1, got {ema_decay}; None keeps no average.")
        self.model = model
        self.objective = objective
        self.calibration = Calibration() if calibration is None else calibration
        self.optimizer = default_optimizer() if optimizer is None else optimizer
        self.energy_optimizer = _GAME if energy_optimizer is None else energy_optimizer
        self.ema_decay = ema_decay
        if objective is not None:
            objective.check(model.generator)

    @property
    def space(self) -> AbstractSpace:
        return self.model.space

    @property
    def natural_scale(self) -> float:
        return float(math.prod(self.model.space.shape))

    @property
    def numbered(self) -> bool:
        return False

    def check(self, batch: Array) -> None:
        check_structure(self.space, batch, name="data", batch_dims=1)
        check_values(self.space, batch)

    def init(self, batch: Array, *, key: PRNGKey) -> TrainState:
        check_structure(self.space, batch, name="batch", batch_dims=1)
        model = own_copy(self.model)
        params = eqx.filter(model, eqx.is_inexact_array)
        return TrainState(
            energy=model,
            opt_state=self.optimizer.init(params.generator),
            ema=None if self.ema_decay is None else jax.tree.map(jnp.array, params),
            objective_state=None if self.objective is None else self.objective.init(model.generator, batch, key=key),
            step=jnp.zeros((), jnp.int32),
            learning_rate_scale=jnp.ones((), jnp.float32),
            num_recoveries=jnp.zeros((), jnp.int32),
            companions={"multiplier": jnp.asarray(self.calibration.multiplier, jnp.float32)},
            companion_opt_states={"energy": self.energy_optimizer.init(params.energy)},
        )

    def update(self, state: TrainState, batch: Array, *, key: PRNGKey) -> tuple[TrainState, Metrics]:
        if isinstance(self.calibration.pretrain, int) and self.calibration.pretrain == 0:
            return self._calibrate(state, batch, key)

        def arrays(rule: Any) -> Any:
            new, metrics = rule(state, batch, key)
            return eqx.filter(new, eqx.is_array), metrics

        early = state.step < self.calibration.pretrain
        new, metrics = jax.lax.cond(early, lambda: arrays(self._pretrain), lambda: arrays(self._calibrate))
        return eqx.combine(new, state), metrics

    def look(self, state: TrainState, batch: Array) -> dict[str, float]:
        del state, batch
        return {}

    def result(self, state: TrainState) -> Calibrated:
        return state.energy if state.ema is None else eqx.combine(state.ema, state.energy)

    def _pretrain(self, state: TrainState, batch: Array, key: PRNGKey) -> tuple[TrainState, Metrics]:
        """One update of the generator's own loss."""
        generator, opt_state, objective_state, metrics = self._follow(state, batch, None, key)
        none = jnp.zeros((), jnp.float32)
        metrics |= dict.fromkeys(("move_over_noise", "energy_data", "energy_model", "refused"), none)
        metrics["multiplier"] = state.companions["multiplier"]
        return self._after(state, generator, state.energy.energy, opt_state, objective_state, {}), metrics

    def _calibrate(self, state: TrainState, batch: Array, key: PRNGKey) -> tuple[TrainState, Metrics]:
        """One update of all three parts."""
        here, draws_key, moves_key = jax.random.split(key, 3)
        generator, opt_state, objective_state, metrics = self._follow(state, batch, (draws_key, moves_key), here)
        draws = self._draws(frozen(eqx.tree_at(lambda m: m.generator, state.energy, generator)), len(batch), draws_key)
        again = jax.random.fold_in(moves_key, 1)
        copies, refused = self._moved(state.energy.energy, draws, again)
        energy, memory, seen = self._contrast(state, batch, copies)
        scale, multiplier = state.learning_rate_scale, state.companions["multiplier"]
        metrics |= {**seen, "multiplier": multiplier, "refused": refused}
        multiplier = self.calibration.dual_step(multiplier, metrics["move_over_noise"], scale)
        new = {"companions": {"multiplier": multiplier}, "companion_opt_states": {"energy": memory}}
        return self._after(state, generator, energy, opt_state, objective_state, new), metrics

    def _follow(
        self, state: TrainState, batch: Array, keys: tuple[PRNGKey, PRNGKey] | None, key: PRNGKey
    ) -> tuple[Any, Any, Any, Metrics]:
        """The generator after a step on its own loss, and with keys on λ r too."""
        trained, fixed = eqx.partition(state.energy.generator, eqx.is_inexact_array)
        multiplier = state.companions["multiplier"]

        def loss_fn(trained: PyTree[Array]) -> tuple[Scalar, tuple[Any, Metrics]]:
            generator = eqx.combine(trained, fixed)
            loss, memory, metrics = jnp.zeros((), jnp.float32), state.objective_state, {}
            if self.objective is not None:
                loss, (memory, metrics) = self.objective.loss(generator, batch, memory, key=key)
            if keys is None:
                return loss, (memory, {**metrics, "loss": loss})
            model = eqx.tree_at(lambda m: m.generator, state.energy, generator)
            draws = self._draws(model, len(batch), keys[0])
            copies, _ = self._moved(state.energy.energy, draws, keys[1])
            ratio = self.calibration.ratio(draws, copies, key=jax.random.fold_in(keys[1], 2))
            return loss + multiplier * ratio, (memory, {**metrics, "loss": loss, "move_over_noise": ratio})

        gradient, (memory, metrics) = jax.grad(loss_fn, has_aux=True)(trained)
        moved, opt_state = optimizer_step(self.optimizer, gradient, state.opt_state, trained, state.learning_rate_scale)
        metrics |= {"gradient_norm": optax.tree.norm(gradient), "parameter_norm": optax.tree.norm(moved)}
        return eqx.combine(moved, fixed), opt_state, memory, metrics

    def _contrast(self, state: TrainState, batch: Array, copies: Array) -> tuple[Any, Any, Metrics]:
        """The energy after a step: down at data, up at the calibrated copies."""
        trained, fixed = eqx.partition(state.energy.energy, eqx.is_inexact_array)

        def loss_fn(trained: PyTree[Array]) -> tuple[Scalar, tuple[Scalar, Scalar]]:
            energy = eqx.combine(trained, fixed)
            at_data, at_copies = jax.vmap(energy)(batch.astype(copies.dtype)), jax.vmap(energy)(copies)
            low, high = jnp.mean(at_data), jnp.mean(at_copies)
            size = jnp.mean(at_data**2) + jnp.mean(at_copies**2)
            return low - high + self.calibration.energy_l2 * size, (low, high)

        gradient, (low, high) = jax.grad(loss_fn, has_aux=True)(trained)
        memory = state.companion_opt_states["energy"]
        moved, memory = optimizer_step(self.energy_optimizer, gradient, memory, trained, state.learning_rate_scale)
        return eqx.combine(moved, fixed), memory, {"energy_data": low, "energy_model": high}

    def _draws(self, model: Calibrated, num: int, key: PRNGKey) -> Array:
        return jax.vmap(lambda k: model.draw(key=k))(jax.random.split(apart(key), num))

    def _moved(self, energy: Any, draws: Array, key: PRNGKey) -> tuple[Array, Scalar]:
        """Calibrated copies of draws; nothing is differentiated on the way."""
        still = jax.lax.stop_gradient(draws)
        copies, refused = self.calibration.refinement.move(frozen(energy), still, self.model.space, key=key)
        return jax.lax.stop_gradient(copies), refused

    def _after(
        self, state: TrainState, generator: Any, energy: Any, opt_state: Any, objective_state: Any, new: dict[str, Any]
    ) -> TrainState:
        model = eqx.tree_at(lambda m: (m.generator, m.energy), state.energy, (generator, energy))
        return TrainState(
            energy=model,
            opt_state=opt_state,
            ema=moving_average(state, eqx.filter(model, eqx.is_inexact_array), self.ema_decay),
            objective_state=objective_state,
            step=state.step + 1,
            learning_rate_scale=state.learning_rate_scale,
            num_recoveries=state.num_recoveries,
            companions=new.get("companions", state.companions),
            companion_opt_states=new.get("companion_opt_states", state.companion_opt_states),
        )


_GAME = optax.adam(1e-3, b1=0.0, b2=0.9)
