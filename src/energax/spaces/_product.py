"""Products of named spaces."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import PyTree

from energax._errors import ArgumentError
from energax._typing import BoolScalar, PRNGKey
from energax.spaces._base import AbstractSpace
from energax.spaces._continuous import Euclidean


def _as_items(parts: Mapping[str, AbstractSpace]) -> tuple[tuple[str, AbstractSpace], ...]:
    return tuple(sorted(parts.items()))


class Product(AbstractSpace):
    """Configurations that are dictionaries with one entry for each named part.

    The reference measure is the product of those of the parts.

    Args:
        parts: The named spaces.
    """

    items: tuple[tuple[str, AbstractSpace], ...] = eqx.field(static=True, converter=_as_items)

    def __check_init__(self) -> None:
        if not self.items:
            raise ArgumentError("Product needs at least one part.")

    @property
    def parts(self) -> dict[str, AbstractSpace]:
        """The parts by name."""
        return dict(self.items)

    @property
    def is_discrete(self) -> bool:
        return all(space.is_discrete for _, space in self.items)

    @property
    def measure(self) -> str:
        return " × ".join(dict.fromkeys(space.measure for _, space in self.items))

    @property
    def struct(self) -> dict[str, PyTree[jax.ShapeDtypeStruct]]:
        return {name: space.struct for name, space in self.items}

    @property
    def log_volume(self) -> float:
        return sum(space.log_volume for _, space in self.items)

    def contains(self, x: Mapping[str, Any]) -> BoolScalar:
        return jnp.all(jnp.stack([space.contains(x[name]) for name, space in self.items]))

    def fold(self, x: Mapping[str, Any]) -> dict[str, Any]:
        return {name: space.fold(x[name]) for name, space in self.items}

    def initial(self, *, key: PRNGKey) -> dict[str, Any]:
        keys = jax.random.split(key, len(self.items))
        return {name: space.initial(key=k) for (name, space), k in zip(self.items, keys, strict=True)}


def same_configurations(a: AbstractSpace, b: AbstractSpace) -> bool:
    """Whether two spaces hold the same configurations with the same measure.

    They may declare different laws from which chains start: N(0, 1) and a mixture live on one Euclidean space.
    """
    return _without_start(a) == _without_start(b)


def _without_start(space: AbstractSpace) -> AbstractSpace:
    if isinstance(space, Product):
        return Product({name: _without_start(part) for name, part in space.items})
    return Euclidean(space.shape) if isinstance(space, Euclidean) else space
