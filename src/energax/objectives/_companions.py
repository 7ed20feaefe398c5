"""Companions: what an objective trains beside the energy, such as a learned log Z, a flow, or a generator."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any, TypeVar

import equinox as eqx

from energax._errors import ArgumentError
from energax.objectives._base import AbstractObjective

Objective = TypeVar("Objective", bound=AbstractObjective)

_KEY = "companion"


@dataclasses.dataclass(frozen=True)
class Companion:
    """How a field of an objective is trained.

    Attributes:
        ascends: Whether it climbs the loss that the energy descends (a minimax) or descends it too.
        learning_rate: Of its default optimiser; `training.Learner` takes another one by the field's name.
    """

    ascends: bool
    learning_rate: float


def companion(*, ascends: bool = False, learning_rate: float = 1e-3) -> dict[str, Any]:
    """The metadata of a field that is trained with the energy: ``eqx.field(metadata=companion(...))``.

    The field holds the companion's first value: an array, a density, any pytree. The learner keeps the current value
    in its state and calls `loss` on the objective that holds it, so that the gradient of one loss serves all. A part
    of the loss that only one of them may see is hidden from the others by `jax.lax.stop_gradient`.

    Args:
        ascends: Whether it climbs the loss.
        learning_rate: Of its default optimiser.
    """
    return {_KEY: Companion(ascends, learning_rate)}


def companions(objective: AbstractObjective) -> dict[str, Companion]:
    """The companions of an objective by name, those of an objective that it wraps included.

    Example:
        >>> import jax
        >>> from energax import densities, objectives
        >>> objective = objectives.NoiseContrastive(densities.Gaussian(jax.numpy.zeros(2)))
        >>> objectives.companions(objective)["log_z"].ascends
        False
    """
    return {path[-1]: how for path, how in _declared(objective).items()}


def companion_values(objective: AbstractObjective) -> dict[str, Any]:
    """What the companions of an objective are at present, by name."""
    return {path[-1]: _at(objective, path) for path in _declared(objective)}


def with_companions(objective: Objective, values: Mapping[str, Any]) -> Objective:
    """The objective with other companions; `values` has one for each name."""
    paths = list(_declared(objective))
    if not paths:
        return objective
    return eqx.tree_at(lambda o: [_at(o, path) for path in paths], objective, [values[path[-1]] for path in paths])


def _at(objective: AbstractObjective, path: tuple[str, ...]) -> Any:
    return functools.reduce(getattr, path, objective)


def _declared(objective: AbstractObjective) -> dict[tuple[str, ...], Companion]:
    found: dict[tuple[str, ...], Companion] = {}
    for field in dataclasses.fields(objective):
        value = getattr(objective, field.name)
        if _KEY in field.metadata:
            found[(field.name,)] = field.metadata[_KEY]
        elif isinstance(value, AbstractObjective):
            found |= {(field.name, *path): how for path, how in _declared(value).items()}
    names = [path[-1] for path in found]
    if len(set(names)) < len(names):
        raise ArgumentError(f"Two companions of {type(objective).__name__} have one name: {', '.join(sorted(names))}.")
    return found
