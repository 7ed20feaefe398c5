"""What the clauses of the objective contract share: compiled updates, and an energy plus a constant."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, PyTree

from energax._typing import Configuration, PRNGKey, Scalar
from energax.densities import AbstractDensity, starting_law
from energax.energies import (
    AbstractEnergy,
    Block,
    Latent,
    at_level,
    blocks,
    conditional_logits,
    conditional_logits_at,
    is_confined,
    latent,
    log_normalizer,
    value_and_score,
)
from energax.objectives import AbstractObjective, NumberedRows, companion_values, needs_rows, with_companions
from energax.spaces import AbstractSpace
from energax.testing._contract import examined

BATCH = 16


@dataclasses.dataclass(frozen=True)
class ObjectiveCase:
    """An objective, an energy, and data. What several clauses need is computed once: compilation is what costs.

    Attributes:
        objective: The objective.
        energy: The energy.
        data: Stacked observed configurations, at least `BATCH` of them.
        exact_draws: Data under which `energy` is the optimum of the objective, or None.
        shift_invariant: Whether a constant in the energy must not change the gradient.
        key: Random key.
        tolerance: Relative rounding between two evaluations in float32.
    """

    objective: AbstractObjective
    energy: AbstractEnergy
    data: PyTree[Array]
    exact_draws: PyTree[Array] | None
    shift_invariant: bool
    key: PRNGKey
    tolerance: float

    @property
    def batch(self) -> PyTree[Array]:
        """The first rows of the data, numbered if the objective needs that."""
        return numbered(self.objective, jax.tree.map(lambda leaf: leaf[:BATCH], self.data))

    @property
    def keys(self) -> Array:
        """Keys of `init` and of updates."""
        return jax.random.split(self.key, 4)

    @property
    def model(self) -> AbstractEnergy:
        """The energy as updates see it: plus a constant, here 0."""
        return Shifted(self.energy, jnp.asarray(0.0))

    @functools.cached_property
    def state(self) -> Any:
        """The first state."""
        return self.objective.init(self.model, self.batch, key=self.keys[0])

    @functools.cached_property
    def traces(self) -> list[int]:
        """Grows by one whenever `update` is traced."""
        return []

    @functools.cached_property
    def update(self) -> Callable[..., Any]:
        """The compiled gradient: (objective, energy, shift, batch, state, key) -> (loss, state, metrics), gradient."""

        @examined
        def update(
            objective: AbstractObjective,
            energy: AbstractEnergy,
            shift: Array,
            batch: PyTree[Array],
            state: Any,
            key: Any,
        ) -> Any:
            self.traces.append(1)
            return gradient(objective, Shifted(energy, shift), batch, state, key=key)

        return update

    def updated(self, state: Any, key: PRNGKey, *, shift: float = 0.0) -> Any:
        """One compiled update of the case's own objective, energy and batch."""
        return self.update(self.objective, self.energy, jnp.asarray(shift), self.batch, state, key)

    @functools.cached_property
    def eager(self) -> Any:
        """The loss of the first update, compiled operation by operation."""
        return self.objective.loss(self.model, self.batch, self.state, key=self.keys[1])

    @functools.cached_property
    def first(self) -> Any:
        """The first update."""
        return self.updated(self.state, self.keys[1])


def numbered(objective: AbstractObjective, rows: PyTree[Array]) -> Any:
    """A batch of all rows of a data set, as the objective wants it."""
    count = len(jax.tree.leaves(rows)[0])
    return NumberedRows(rows, jnp.arange(count), count) if needs_rows(objective) else rows


def gradient(
    objective: AbstractObjective, energy: AbstractEnergy, batch: PyTree[Array], state: Any, *, key: PRNGKey
) -> tuple[tuple[Scalar, Any, dict[str, Array]], AbstractEnergy]:
    """(loss, next state, metrics) and the gradient of the loss with respect to the energy."""
    loss = eqx.filter_value_and_grad(lambda e: objective.loss(e, batch, state, key=key), has_aux=True)
    (value, (after, metrics)), grads = loss(energy)
    return (value, after, metrics), grads


def energy_gradient(
    objective: AbstractObjective, energy: AbstractEnergy, batch: PyTree[Array], state: Any, *, key: PRNGKey
) -> AbstractEnergy:
    """The gradient of the loss with respect to the energy alone."""
    return gradient(objective, energy, batch, state, key=key)[1]


def companion_gradient(
    objective: AbstractObjective, energy: AbstractEnergy, batch: PyTree[Array], state: Any, *, key: PRNGKey
) -> dict[str, Any]:
    """The gradient of the loss with respect to the companions of the objective, by name."""

    def loss(values: dict[str, Any]) -> Scalar:
        return with_companions(objective, values).loss(energy, batch, state, key=key)[0]

    return eqx.filter_grad(loss)(companion_values(objective))


class Shifted(AbstractEnergy):
    """E(x) + c: the same law."""

    energy: AbstractEnergy
    shift: Scalar

    @property
    def space(self) -> AbstractSpace:
        return self.energy.space

    def __call__(self, x: Configuration) -> Scalar:
        value = self.energy(x)
        return value + self.shift.astype(value.dtype)


@value_and_score.register
def _(energy: Shifted, x: Configuration) -> tuple[Scalar, Configuration]:
    value, score = value_and_score(energy.energy, x)
    return value + energy.shift.astype(value.dtype), score


@at_level.register
def _(energy: Shifted, level: ArrayLike) -> AbstractEnergy:
    return Shifted(at_level(energy.energy, level), energy.shift)


@conditional_logits.register
def _(energy: Shifted, x: Configuration, part: str | None = None) -> Float[Array, "..."]:
    return conditional_logits(energy.energy, x, part)


@conditional_logits_at.register
def _(energy: Shifted, x: Array, site: Array) -> Float[Array, "..."]:
    return conditional_logits_at(energy.energy, x, site)


@blocks.register
def _(energy: Shifted) -> tuple[Block, ...]:
    return blocks(energy.energy)


@latent.register
def _(energy: Shifted) -> Latent | None:
    return latent(energy.energy)


@log_normalizer.register
def _(energy: Shifted) -> Scalar:
    value = log_normalizer(energy.energy)
    return value - energy.shift.astype(value.dtype)


@starting_law.register
def _(energy: Shifted) -> AbstractDensity:
    return starting_law(energy.energy)


@is_confined.register
def _(energy: Shifted) -> bool | None:
    return is_confined(energy.energy)
