"""Persistent chains that travel through the past of the model: trajectory tempering inside the training loop."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from energax._errors import ArgumentError
from energax._typing import Configuration, PRNGKey, Scalar
from energax.densities import AbstractDensity, starting_law
from energax.energies import AbstractEnergy, Interpolated
from energax.kernels import AbstractKernel, target
from energax.objectives._base import AbstractObjective, Metrics, as_positions, frozen, real_arrays
from energax.objectives._contrastive import StepSizes, check_steps, contrast, watch
from energax.objectives._tempered import move_ladders, refusals, require_exact, travel
from energax.paths import AbstractPath

_MEMORY = 0.8


class TrajectoryState(eqx.Module):
    """Ladders of configurations, and the models of the past that they stand on.

    Attributes:
        x: Observed configurations, (chain, level, *event): draws of the start, of stored models, of the present one.
        past: Parameters of stored models, oldest first, each with a leading axis (model,).
        rejection: Moving mean of the share of swaps that each pair of neighbours refuses, (level - 1,).
        count: Updates so far.
        stored: How many models were stored so far.
        log_step_size: Logarithm of the kernel's step size, None for kernels without one.
    """

    x: Configuration
    past: Any
    rejection: Float[Array, " pair"]
    count: Int[Array, ""]
    stored: Int[Array, ""]
    log_step_size: Float[Array, ""] | None


class _Past(AbstractPath):
    """A start, and models one after the other at equally spaced t; it is asked for nothing in between."""

    law: AbstractDensity
    models: AbstractEnergy
    num_models: int = eqx.field(static=True)

    @property
    def start(self) -> AbstractDensity:
        return self.law

    def at(self, t: Scalar) -> AbstractEnergy:
        level = jnp.round(t * self.num_models).astype(int)
        model = _taken(self.models, jnp.maximum(level - 1, 0))
        return Interpolated(self.law, model, jnp.minimum(level, 1).astype(jnp.result_type(float)))


class TrajectoryPCD(AbstractObjective):
    """Persistent contrastive divergence with the past of the model as its ladder: trajectory tempering.

    Each chain is a ladder of replicas: a draw of the start, afresh at every update, one for each stored model of the
    past, oldest first, and one at the present model; neighbours swap. Training has let the modes part one after the
    other, so that each model is close to the next, where raising an inverse temperature may meet a first-order
    transition. The replica at the present enters the gradient as a chain of `PersistentCD` does:
    loss = mean F(data) − mean F(chains). Once the present has gone so far that it refuses more than half of the swaps
    with the youngest stored model, it is stored, in the place of the one whose neighbours are nearest to each other.

    Exactness: consistent if replicas travel faster than the parameters change. `round_trip`, the rate 1/(2 + 2Λ) with Λ
    the sum of refusals, tells how often one arrives; near 0 the way has more steps than `num_models`.

    Cost: (num_models + 1) × num_steps transitions of `num_chains` chains, two energies for each replica, the gradient
    of two batches, and the memory of `num_models` models.

    Args:
        kernel: An exact kernel.
        num_chains: Number of ladders.
        num_models: Stored models, 2 or more.
        num_steps: Transitions of each replica at each update.
        start: Law below the oldest model, any density close to it; None takes `densities.starting_law` of the oldest.
            Training should begin with a model that is close to this law, as one with small weights is.
        adapt_step_size: Let the step size, one for all levels, follow the kernel's target acceptance at the model from
            update to update. Kernels that are exact at any step size stay so.

    References:
        [bereux2025], where models are stored on the way and the exchange is run between updates as here.
    """

    kernel: AbstractKernel
    num_chains: int = eqx.field(static=True, default=64)
    num_models: int = eqx.field(static=True, default=8)
    num_steps: int = eqx.field(static=True, default=1)
    start: AbstractDensity | None = eqx.field(kw_only=True, default=None)
    adapt_step_size: bool = eqx.field(static=True, kw_only=True, default=False)

    def __check_init__(self) -> None:
        check_steps(self.num_steps, self.num_chains)
        if self.num_models < 2:
            raise ArgumentError(f"TrajectoryPCD stores at least two models, got num_models={self.num_models}.")
        require_exact(self.kernel)
        self._steps.check()

    @property
    def _steps(self) -> StepSizes:
        return StepSizes(self.kernel, self.adapt_step_size)

    @property
    def _num_levels(self) -> int:
        return self.num_models + 2

    def check(self, energy: AbstractEnergy) -> None:
        target(self._path(energy, self._copies(energy)).at(jnp.ones(())), self.kernel)

    def _copies(self, energy: AbstractEnergy) -> Any:
        return jax.tree.map(lambda leaf: jnp.stack([leaf] * self.num_models), real_arrays(energy))

    def _path(self, energy: AbstractEnergy, past: Any) -> _Past:
        """From the start through the stored models to the present one, through which no gradient passes."""
        still = frozen(energy)
        models = jax.tree.map(lambda old, new: jnp.concatenate([old, new[None]]), past, real_arrays(energy))
        models = eqx.combine(models, still)
        law = starting_law(_taken(models, 0)) if self.start is None else self.start
        return _Past(law, models, self.num_models + 1)

    def init(self, energy: AbstractEnergy, batch: Configuration, *, key: PRNGKey) -> TrajectoryState:
        del batch
        past = self._copies(energy)
        law = self._path(energy, past).start
        keys = jax.random.split(key, (self.num_chains, self._num_levels))
        x = as_positions(energy, jax.vmap(jax.vmap(lambda k: law.draw(key=k)))(keys))
        zero = jnp.zeros((), jnp.int32)
        return TrajectoryState(x, past, jnp.zeros(self.num_models + 1), zero, zero, self._steps.first())

    def loss(
        self, energy: AbstractEnergy, batch: Configuration, state: TrajectoryState, *, key: PRNGKey
    ) -> tuple[Scalar, tuple[TrajectoryState, Metrics]]:
        path = self._path(energy, state.past)
        ts = jnp.linspace(0.0, 1.0, self._num_levels)
        kernel = self._steps.at(state.log_step_size)
        x, swaps, told = move_ladders(path, kernel, ts, state.x, state.count, num_steps=self.num_steps, key=key)
        before, after = (jax.tree.map(lambda leaf: leaf[:, -1], tree) for tree in (state.x, x))
        loss, metrics = contrast(energy, batch, after)
        rejection = refusals(state.rejection, swaps, state.count, memory=_MEMORY)
        log_step = self._steps.after(state.log_step_size, told["accept_prob"])
        new = TrajectoryState(x, state.past, rejection, state.count + 1, state.stored, log_step)
        new = remember(new, real_arrays(energy))
        health = watch(energy, as_positions(energy, batch), before, after)
        stored = new.stored.astype(rejection.dtype)
        return loss, (new, {**metrics, **health, **told, **travel(new.rejection), "models_stored": stored})


def remember(state: TrajectoryState, present: Any) -> TrajectoryState:
    """The state with the present model among the stored ones if it refuses more than half of the swaps with them.

    The oldest model stays. Of the others that one goes whose two pairs refuse least: copies of the first model, as long
    as there are any. What its neighbours will refuse is at most the sum. The present's replica stands at both at first.
    """
    pairs = state.rejection[:-1] + state.rejection[1:]
    num, out = len(pairs), 1 + jnp.argmin(pairs[1:])
    merged = state.rejection.at[out + 1].set(jnp.minimum(pairs[out], 1.0))
    rejection = merged[_without(out, num + 1)].at[-1].set(0.0)
    everyone = jax.tree.map(lambda old, new: jnp.concatenate([old, new[None]]), state.past, present)
    x = jax.tree.map(lambda leaf: leaf[:, _without(out + 1, num + 2)], state.x)
    far = state.rejection[-1] > 0.5

    def chosen(new: Any, old: Any) -> Any:
        return jax.tree.map(lambda a, b: jnp.where(far, a, b), new, old)

    return TrajectoryState(
        chosen(x, state.x),
        chosen(jax.tree.map(lambda leaf: leaf[_without(out, num + 1)[:num]], everyone), state.past),
        chosen(rejection, state.rejection),
        state.count,
        state.stored + far.astype(jnp.int32),
        state.log_step_size,
    )


def _without(out: Array, num: int) -> Int[Array, " num"]:
    """0, 1 ... num − 1 without one of them, and the last one twice."""
    order = jnp.arange(num)
    return jnp.minimum(order + (order >= out), num - 1)


def _taken(models: Any, index: Array | int) -> Any:
    """One of several stacked models; what is no real number has no such axis."""
    return jax.tree.map(lambda leaf: leaf[index] if eqx.is_inexact_array(leaf) else leaf, models)
