"""How a model learns: an objective whose gradient is the estimator."""

from __future__ import annotations

import abc
import functools
from typing import Any, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, ArrayLike, Float, Int

from energax._errors import KernelMismatch, NotTractable, SpaceError
from energax._typing import Configuration, PRNGKey, Scalar
from energax.energies import AbstractEnergy, is_confined, observed_space
from energax.random import normal, unwrap_keys, wrap_keys
from energax.spaces import AbstractArraySpace

Energy = TypeVar("Energy", bound=AbstractEnergy)

Metrics = dict[str, Array]
"""Scalars by name, measured on the way; only `pace`, a factor on the update, is fed back."""


class AbstractObjective(eqx.Module):
    """A training objective: the gradient of `loss` with respect to the energy IS the estimator of the update.

    The state of an objective holds positions of chains, weights, and values that belong by definition to a past
    energy; it never holds a cache of the current one, because the energy changes between any two calls.
    """

    @abc.abstractmethod
    def check(self, energy: AbstractEnergy) -> None:
        """Raise `KernelMismatch` or `SpaceError` if the objective cannot train this energy."""

    @abc.abstractmethod
    def init(self, energy: AbstractEnergy, batch: Configuration, *, key: PRNGKey) -> Any:
        """State before the first update, from a first batch of data with a leading axis."""

    @abc.abstractmethod
    def loss(
        self, energy: AbstractEnergy, batch: Configuration, state: Any, *, key: PRNGKey
    ) -> tuple[Scalar, tuple[Any, Metrics]]:
        """The number to differentiate, the next state, and metrics."""


class AbstractStatelessObjective(AbstractObjective):
    """An objective that carries nothing from one update to the next."""

    @abc.abstractmethod
    def measure(self, energy: AbstractEnergy, batch: Configuration, *, key: PRNGKey) -> tuple[Scalar, Metrics]:
        """The number to differentiate, and metrics."""

    def init(self, energy: AbstractEnergy, batch: Configuration, *, key: PRNGKey) -> None:
        del energy, batch, key

    def loss(
        self, energy: AbstractEnergy, batch: Configuration, state: None, *, key: PRNGKey
    ) -> tuple[Scalar, tuple[None, Metrics]]:
        loss, metrics = self.measure(energy, batch, key=key)
        return loss, (state, metrics)


@functools.singledispatch
def needs_law(objective: AbstractObjective) -> bool:
    """Whether what is learned is the law of the energy, which then has to be bounded below; True unless it says so.

    False for objectives whose model is another one than exp(−E)/Z, such as the chains of `ShortRun`.
    """
    del objective
    return True


def frozen(energy: Energy) -> Energy:
    """The same energy, or density, without gradients: what chains move in."""
    return jax.tree.map(lambda leaf: jax.lax.stop_gradient(leaf) if eqx.is_array(leaf) else leaf, energy)


def real_arrays(energy: AbstractEnergy) -> Any:
    """The real parameters of a model, to be kept when it changes: without gradients, and of a definite type each.

    A stored state would not go on with what was compiled if they were of a weak type.
    """
    params = eqx.filter(frozen(energy), eqx.is_inexact_array)
    return jax.tree.map(lambda leaf: jax.lax.convert_element_type(leaf, leaf.dtype), params)


def as_positions(energy: AbstractEnergy, batch: Configuration) -> Configuration:
    """The rows of a batch in the type of the space: sites with few values as whole numbers."""
    struct = observed_space(energy).struct
    return jax.tree.map(
        lambda leaf, s: leaf.astype(s.dtype) if jnp.issubdtype(s.dtype, jnp.integer) else leaf, batch, struct
    )


def apart(key: PRNGKey) -> PRNGKey:
    """The same key, kept apart from what it was folded from.

    Fused with the update of a run, the folding of the key would be computed, and compiled, once for each of the many
    uses of what is drawn with it: minutes instead of seconds.
    """
    return wrap_keys(jax.lax.optimization_barrier(unwrap_keys(key)), key)


def normal_apart(shape: tuple[int, ...], dtype: DTypeLike, *, key: PRNGKey) -> Array:
    """Standard normal numbers, drawn at once and kept apart from the network that sees them (see `apart`)."""
    return jax.lax.optimization_barrier(normal(shape, dtype, key=apart(key)))


def levels_in_turn(num_rows: int, num_levels: int, *, key: PRNGKey) -> Int[Array, " row"]:
    """A level for each row of a batch, in turn from a random one: rows are in random order, so that all is spread."""
    return (jnp.arange(num_rows) + jax.random.randint(key, (), 0, num_levels)) % num_levels


def as_number(value: ArrayLike) -> Float[Array, ""]:
    """A number as an array of the default precision, which training may move."""
    return jnp.asarray(value, jnp.result_type(float))


def require_score(name: str, energy: AbstractEnergy) -> None:
    """Raise unless the energy has a score over one array of real numbers, and what is learned of it has a law.

    Args:
        name: What the message calls the objective.
        energy: The energy.

    Raises:
        KernelMismatch: The configurations are discrete.
        SpaceError: They are not one array.
        NotTractable: The energy is known not to be confined.
    """
    space = observed_space(energy)
    if space.is_discrete:
        raise KernelMismatch(f"{name} needs a score, but space={space} is discrete. Try PersistentCD.")
    if not isinstance(space, AbstractArraySpace):
        raise SpaceError(f"{name} needs configurations that are one array, got space={space}.")
    require_confined(energy)


def require_confined(energy: AbstractEnergy) -> None:
    """Raise `NotTractable` if the energy is known to have no law."""
    if is_confined(energy) is False:
        raise NotTractable(
            f"{type(energy).__name__} has no confining base measure, so what is learned has no law. Give it one, "
            'for instance confinement="default".'
        )
