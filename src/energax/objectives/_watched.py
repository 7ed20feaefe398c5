"""A thermometer for any objective: walkers that follow the model and know its log Z."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from energax._errors import ArgumentError
from energax._typing import Configuration, PRNGKey, Scalar
from energax.densities import AbstractDensity, starting_law
from energax.energies import AbstractEnergy, marginal, observed_space
from energax.kernels import AbstractKernel, target
from energax.objectives._base import AbstractObjective, Metrics, frozen, needs_law
from energax.objectives._contrastive import check_steps, flat
from energax.objectives._walkers import Following, Walkers, walker_metrics
from energax.spaces import check_structure


class WatchedState(eqx.Module):
    """The state of the objective that is watched, and the walkers.

    Attributes:
        inner: State of the objective.
        walkers: The walkers, at the model of their last move.
        told: What they told then.
        count: Updates so far.
    """

    inner: Any
    walkers: Walkers
    told: Metrics
    count: Int[Array, ""]


class Watched(AbstractObjective):
    """Any objective, watched by weighted walkers that have no part in its gradient.

    The walkers follow the model as those of `Jarzynski` do: after every update they are, with their weights, a sample
    of the present model, even where chains cannot travel, and their mean weight is Z. So the log of the run tells, at
    each window, what objectives that move chains cannot know of themselves: log Z, the likelihood of the data, and
    which part of the model's mass lies where. Contrastive divergence on separated modes is caught in the act: its
    chains agree with the data, and the walkers do not.

    Metrics: `log_z` and `log_z_stderr`; `log_likelihood` of the batch and, if there are held-out rows,
    `validation_log_likelihood`, both with the error of log Z; `walker_ess`, `families`; with landmarks
    `model_mass_k`, `data_mass_k`, the shares that are nearest to landmark k, and `mass_gap`, half the sum of their
    absolute differences.

    Exactness: E e^A = Z after any number of updates, because the model does not look at these walkers. The error bar
    comes from one run: it is the estimate of Lee and Whiteley, and near 1 it means that nothing is known any more.

    Cost: `num_steps` transitions and two energies for each walker, an energy for each held-out row; at every
    `every`-th update only.

    Args:
        objective: What is watched; loss and gradient are its own.
        kernel: An exact kernel, or `ULA`, that moves the walkers.
        num_walkers: Number of walkers.
        num_steps: Transitions at each move.
        every: Updates from move to move. The walkers then follow a larger change at once, which is as exact and costs
            less, and leaves less of their weight.
        start: Law that walkers start from; None takes `densities.starting_law`.
        rows: Held-out data, (row, *event), some hundred of them.
        landmarks: A configuration in each mode of the data, (mode, *event), from a clustering, say.

    References:
        [carbone2023], [lee2018]
    """

    objective: AbstractObjective
    kernel: AbstractKernel
    num_walkers: int = eqx.field(static=True, default=256)
    num_steps: int = eqx.field(static=True, default=1)
    every: int = eqx.field(static=True, kw_only=True, default=1)
    start: AbstractDensity | None = eqx.field(kw_only=True, default=None)
    rows: Configuration = eqx.field(kw_only=True, default=None)
    landmarks: Configuration = eqx.field(kw_only=True, default=None)

    def __check_init__(self) -> None:
        check_steps(self.num_steps)
        if self.num_walkers < 2 or self.every < 1:
            raise ArgumentError(
                "Watched needs at least two walkers and moves them at every first, second ... update, got "
                f"num_walkers={self.num_walkers}, every={self.every}."
            )
        self._following.check(type(self).__name__)

    @property
    def _following(self) -> Following:
        return Following(self.kernel, self.num_steps)

    def check(self, energy: AbstractEnergy) -> None:
        self.objective.check(energy)
        target(energy, self.kernel)
        if self.start is None:
            starting_law(energy)
        for name, value in (("rows", self.rows), ("landmarks", self.landmarks)):
            if value is not None:
                check_structure(observed_space(energy), value, name=name, batch_dims=1)

    def init(self, energy: AbstractEnergy, batch: Configuration, *, key: PRNGKey) -> WatchedState:
        inner_key, walker_key = jax.random.split(key)
        walkers = self._following.start(energy, self.start, self.num_walkers, key=walker_key)
        told = self._judged(frozen(energy), batch, walkers)
        return WatchedState(self.objective.init(energy, batch, key=inner_key), walkers, told, jnp.zeros((), jnp.int32))

    def loss(
        self, energy: AbstractEnergy, batch: Configuration, state: WatchedState, *, key: PRNGKey
    ) -> tuple[Scalar, tuple[WatchedState, Metrics]]:
        inner_key, walker_key = jax.random.split(key)
        loss, (inner, metrics) = self.objective.loss(energy, batch, state.inner, key=inner_key)
        now = frozen(energy)

        def moved() -> tuple[Walkers, Metrics]:
            walkers, _ = self._following.follow(now, state.walkers, key=walker_key)
            return walkers, self._judged(now, batch, walkers)

        if self.every == 1:
            walkers, told = moved()
        else:
            walkers, told = jax.lax.cond(state.count % self.every == 0, moved, lambda: (state.walkers, state.told))
        return loss, (WatchedState(inner, walkers, told, state.count + 1), {**metrics, **told})

    def _judged(self, energy: AbstractEnergy, batch: Configuration, walkers: Walkers) -> Metrics:
        observed = marginal(energy)
        found = {**walker_metrics(walkers), "log_likelihood": -jnp.mean(jax.vmap(observed)(batch)) - walkers.log_z}
        if self.rows is not None:
            found["validation_log_likelihood"] = -jnp.mean(jax.vmap(observed)(self.rows)) - walkers.log_z
        if self.landmarks is None:
            return found
        data = batch if self.rows is None else self.rows
        shares = jax.nn.softmax(walkers.log_weights)
        model = self._masses(walkers.x, shares)
        truth = self._masses(data, jnp.full(len(jax.tree.leaves(data)[0]), 1.0, shares.dtype))
        found["mass_gap"] = 0.5 * jnp.sum(jnp.abs(model - truth))
        for k in range(model.size):
            found[f"model_mass_{k}"], found[f"data_mass_{k}"] = model[k], truth[k]
        return found

    def _masses(self, x: Configuration, shares: Float[Array, " n"]) -> Float[Array, " mode"]:
        """Which part of the weight is nearest to each landmark."""
        rows, marks = (flat(tree) for tree in (x, self.landmarks))
        nearest = jnp.argmin(jnp.sum((rows[:, None] - marks[None]) ** 2, -1), axis=1)
        return jax.ops.segment_sum(shares, nearest, len(marks)) / jnp.sum(shares)


@needs_law.register
def _(objective: Watched) -> bool:
    return needs_law(objective.objective)
