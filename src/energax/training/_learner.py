"""What `fit` drives: a model, what it learns from, and how it is updated."""

from __future__ import annotations

import abc
import math
from collections.abc import Mapping
from typing import Any, cast

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, PyTree

from energax._errors import ArgumentError, SpaceError
from energax._typing import Configuration, PRNGKey, Scalar
from energax.densities import AbstractGenerator
from energax.energies import AbstractEnergy, observed_space
from energax.objectives import (
    AbstractObjective,
    Metrics,
    companion_values,
    companions,
    needs_law,
    needs_rows,
    rows_of,
    with_companions,
)
from energax.spaces import AbstractSpace, check_structure
from energax.training._optimizer import default_optimizer
from energax.training._outside import outward_fall
from energax.training._state import TrainState


class AbstractLearner(eqx.Module):
    """One model, or several that are trained together, and the rule of their update.

    `fit` knows nothing else of what is trained. A metric that is not finite counts as a failure of the run.
    """

    @property
    @abc.abstractmethod
    def space(self) -> AbstractSpace:
        """What one row of the data is."""

    @property
    @abc.abstractmethod
    def natural_scale(self) -> float:
        """Size of an energy difference that is large but not absurd; the thermometer measures in this unit."""

    @property
    @abc.abstractmethod
    def numbered(self) -> bool:
        """Whether batches are `objectives.NumberedRows`, because something is remembered of each row."""

    @abc.abstractmethod
    def check(self, batch: Configuration) -> None:
        """Raise before anything is compiled if rows of data do not fit the model, or the parts each other."""

    @abc.abstractmethod
    def init(self, batch: Configuration, *, key: PRNGKey) -> TrainState:
        """The state before the first update."""

    @abc.abstractmethod
    def update(self, state: TrainState, batch: Configuration, *, key: PRNGKey) -> tuple[TrainState, Metrics]:
        """One update; pure, called under `jax.jit`."""

    @abc.abstractmethod
    def look(self, state: TrainState, batch: Configuration) -> dict[str, float]:
        """Metrics that are too dear for every update: measured once a line of the log, at the first batch."""

    @abc.abstractmethod
    def result(self, state: TrainState) -> Any:
        """The model to use: the averaged one if an average is kept."""


class Learner(AbstractLearner):
    """Trains one energy, or another generator, with one objective: θ ← θ − s · optimiser(∇_θ loss).

    Every array of real numbers in the energy is trained; what a user's function closes over, and integers, are not.
    The state's `learning_rate_scale` s multiplies the optimiser's update, so that a recovery can slow down any
    optimiser, whatever its schedule; and so does the metric `pace` of an objective that has one. What the objective
    trains beside the energy (`objectives.companions`) moves in the same update by the gradient of the same loss, each
    with its own optimiser, down or up as it declares.

    Args:
        energy: The model, an energy or a generator of `generative`; a user's own function or module through
            `energax.energy(...)`.
        objective: What the loss is.
        optimizer: Any Optax transformation; `default_optimizer()` if None. Gradients are clipped only if it says so.
        ema_decay: Keep a moving average of the parameters with decay min(ema_decay, (1 + t)/(10 + t)) at update t;
            it becomes the result. None keeps none. 0.999 averages over the last thousand updates.
        companion_optimizers: Optax transformations of companions by name; those that are not named have
            `default_optimizer` with the learning rate that the objective declares.

    Example:
        >>> import jax
        >>> from energax import energies, kernels, objectives, training
        >>> energy = energies.RBM(num_visible=4, num_hidden=3, key=jax.random.key(0))
        >>> learner = training.Learner(energy, objectives.PersistentCD(kernels.BlockGibbs(), num_chains=16))
        >>> state = learner.init(jax.numpy.ones((8, 4)), key=jax.random.key(1))
        >>> int(state.step)
        0
    """

    energy: Any
    objective: AbstractObjective
    optimizer: optax.GradientTransformation = eqx.field(static=True)
    ema_decay: float | None = eqx.field(static=True)
    companion_optimizers: tuple[tuple[str, optax.GradientTransformation], ...] = eqx.field(static=True)

    def __init__(
        self,
        energy: Any,
        objective: AbstractObjective,
        *,
        optimizer: optax.GradientTransformation | None = None,
        ema_decay: float | None = None,
        companion_optimizers: Mapping[str, optax.GradientTransformation] | None = None,
    ) -> None:
        if not isinstance(energy, AbstractEnergy | AbstractGenerator):
            raise ArgumentError(
                f"A Learner trains an energy or a generator, got {type(energy).__name__}. Wrap a function or module of "
                "your own: energax.energy(fn, params, space=...)."
            )
        if not isinstance(objective, AbstractObjective):
            raise ArgumentError(f"`objective` must be one of energax.objectives, got {type(objective).__name__}.")
        if ema_decay is not None and not 0 < ema_decay < 1:
            raise ArgumentError(f"`ema_decay` must lie between 0 and 1, got {ema_decay}; None keeps no average.")
        if not jax.tree.leaves(eqx.filter(energy, eqx.is_inexact_array)):
            raise ArgumentError(
                f"{type(energy).__name__} has no arrays of real numbers, so there is nothing to train. Arrays that a "
                "function closes over are frozen: pass them as `params` to energax.energy(fn, params, space=...)."
            )
        # What an objective can train is its own affair: it says so here.
        objective.check(cast(Any, energy))
        self.energy = energy
        self.objective = objective
        self.optimizer = default_optimizer() if optimizer is None else optimizer
        self.ema_decay = ema_decay
        self.companion_optimizers = _optimizers_of_companions(objective, companion_optimizers or {})

    @property
    def space(self) -> AbstractSpace:
        return observed_space(self.energy)

    @property
    def natural_scale(self) -> float:
        return float(sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(self.space.struct)))

    @property
    def numbered(self) -> bool:
        return needs_rows(self.objective)

    def check(self, batch: Configuration) -> None:
        self.objective.check(self.energy)
        check_structure(self.space, batch, name="data", batch_dims=1)
        check_values(self.space, batch)

    def init(self, batch: Configuration, *, key: PRNGKey) -> TrainState:
        check_structure(self.space, rows_of(batch), name="batch", batch_dims=1)
        energy, beside = own_copy((self.energy, companion_values(self.objective)))
        params, free = eqx.filter((energy, beside), eqx.is_inexact_array)
        return TrainState(
            energy=energy,
            opt_state=self.optimizer.init(params),
            ema=None if self.ema_decay is None else jax.tree.map(jnp.array, params),
            objective_state=self.objective.init(energy, batch, key=key),
            step=jnp.zeros((), jnp.int32),
            learning_rate_scale=jnp.ones((), jnp.float32),
            num_recoveries=jnp.zeros((), jnp.int32),
            companions=beside,
            companion_opt_states={name: how.init(free[name]) for name, how in self.companion_optimizers},
        )

    def update(self, state: TrainState, batch: Configuration, *, key: PRNGKey) -> tuple[TrainState, Metrics]:
        trained, frozen = eqx.partition((state.energy, state.companions), eqx.is_inexact_array)

        def loss_fn(trained: PyTree[Array]) -> tuple[Scalar, tuple[Any, Metrics]]:
            energy, beside = eqx.combine(trained, frozen)
            objective = with_companions(self.objective, beside)
            return objective.loss(energy, batch, state.objective_state, key=key)

        (loss, (objective_state, metrics)), slopes = jax.value_and_grad(loss_fn, has_aux=True)(trained)
        (params, free), (gradient, slopes) = trained, slopes
        scale = state.learning_rate_scale * metrics.get("pace", 1.0)
        params, opt_state = optimizer_step(self.optimizer, gradient, state.opt_state, params, scale)
        ascends = {name: how.ascends for name, how in companions(self.objective).items()}
        moved = {
            name: optimizer_step(
                optimizer,
                jax.tree.map(jnp.negative, slopes[name]) if ascends[name] else slopes[name],
                state.companion_opt_states[name],
                free[name],
                scale,
            )
            for name, optimizer in self.companion_optimizers
        }
        metrics = {
            **metrics,
            "loss": loss,
            "gradient_norm": optax.tree.norm(gradient),
            "parameter_norm": optax.tree.norm(params),
        }
        new = TrainState(
            energy=eqx.combine(params, frozen[0]),
            opt_state=opt_state,
            ema=moving_average(state, params, self.ema_decay),
            objective_state=objective_state,
            step=state.step + 1,
            learning_rate_scale=state.learning_rate_scale,
            num_recoveries=state.num_recoveries,
            companions=eqx.combine({name: value for name, (value, _) in moved.items()}, frozen[1]),
            companion_opt_states={name: memory for name, (_, memory) in moved.items()},
        )
        return new, metrics

    def look(self, state: TrainState, batch: Configuration) -> dict[str, float]:
        return outward_fall(state.energy, rows_of(batch)) if needs_law(self.objective) else {}

    def result(self, state: TrainState) -> Any:
        return state.energy if state.ema is None else eqx.combine(state.ema, state.energy)


def own_copy(tree: PyTree[Any]) -> PyTree[Any]:
    """The tree with arrays of its own: training overwrites those of its state in place."""
    return jax.tree.map(lambda leaf: jnp.array(leaf) if isinstance(leaf, jax.Array | np.ndarray) else leaf, tree)


def optimizer_step(
    optimizer: optax.GradientTransformation, gradient: PyTree[Array], memory: Any, values: PyTree[Array], scale: Scalar
) -> tuple[PyTree[Array], Any]:
    """Values after one step of an optimiser, scaled, and the optimiser's memory after it."""
    updates, memory = optimizer.update(gradient, memory, values)
    updates = jax.tree.map(lambda u: scale.astype(u.dtype) * u, updates)
    return optax.apply_updates(values, updates), memory


def moving_average(state: TrainState, params: PyTree[Array], decay: float | None) -> PyTree[Array]:
    """The average of the parameters after one more update, with decay min(`decay`, (1 + t)/(10 + t)) at update t."""
    if decay is None:
        return None
    t = state.step.astype(jnp.float32)
    weight = 1 - jnp.minimum(decay, (1 + t) / (10 + t))
    return jax.tree.map(lambda mean, new: mean + weight.astype(new.dtype) * (new - mean), state.ema, params)


def _optimizers_of_companions(
    objective: AbstractObjective, given: Mapping[str, optax.GradientTransformation]
) -> tuple[tuple[str, optax.GradientTransformation], ...]:
    declared = companions(objective)
    unknown = sorted(set(given) - set(declared))
    if unknown:
        raise ArgumentError(
            f"{type(objective).__name__} trains no companion {unknown[0]!r}. It has: {', '.join(declared) or 'none'}."
        )
    return tuple((name, given.get(name) or default_optimizer(how.learning_rate)) for name, how in declared.items())


def check_values(space: AbstractSpace, batch: Configuration) -> None:
    """Raise `SpaceError`, naming the first row, unless every row lies in the space."""
    inside = np.asarray(jax.vmap(space.contains)(jax.tree.map(jnp.asarray, batch)))
    if inside.all():
        return
    row = int(np.argmin(inside))
    values = np.concatenate([np.asarray(leaf[row], np.float64).reshape(-1) for leaf in jax.tree.leaves(batch)])
    raise SpaceError(
        f"{int((~inside).sum())} of {inside.size} rows of the data are not in {space}; the first is row {row} with "
        f"values from {values.min():.4g} to {values.max():.4g}"
        f"{', some of them not finite' if not np.isfinite(values).all() else ''}. Transform the data (0/1 data need a "
        "binarised view, real numbers a continuous model) or choose another space."
    )
