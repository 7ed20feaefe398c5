"""Members of a conditional family as energies: what trains or samples at one level, and knows the others."""

from __future__ import annotations

import functools

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import ArrayLike

from energax._errors import KernelMismatch
from energax._typing import Configuration, Scalar
from energax.energies._base import AbstractConditionalEnergy, AbstractEnergy
from energax.energies._capabilities import is_confined, value_and_score
from energax.energies._wrappers import Shifted, Tempered
from energax.spaces import AbstractSpace


class AtLevel(AbstractEnergy):
    """One member of a family whose condition is a number, such as the noise level σ: E(x) = model.given(level)(x).

    It is what a learner of the whole family trains (`objectives.MultiScaleDenoising`) and what is used afterwards; the
    family is its `model`. The level itself is not trained.

    Args:
        model: The family.
        level: The condition: of a family of smoothed laws the least noisy one.

    Example:
        >>> import jax
        >>> from energax import energies
        >>> family = energies.NoiseConditionalMLP(2, hidden=(8,), key=jax.random.key(0))
        >>> energies.AtLevel(family, 0.1)(jax.numpy.zeros(2)).shape
        ()
    """

    model: AbstractConditionalEnergy
    level: float = eqx.field(static=True)

    @property
    def _energy(self) -> AbstractEnergy:
        return self.model.given(jnp.asarray(self.level, jnp.result_type(float)))

    @property
    def space(self) -> AbstractSpace:
        return self._energy.space

    def __call__(self, x: Configuration) -> Scalar:
        return self._energy(x)


@functools.singledispatch
def at_level(energy: AbstractEnergy, level: ArrayLike) -> AbstractEnergy:
    """The member at another level of the family that an energy comes from.

    Raises:
        KernelMismatch: It comes from no family.
    """
    del level
    raise KernelMismatch(
        f"{type(energy).__name__} is one energy, and a family with a level is needed: energies.AtLevel(model, level), "
        "with a model whose `given(level)` is an energy, such as NoiseConditionalMLP."
    )


@at_level.register
def _(energy: AtLevel, level: ArrayLike) -> AbstractEnergy:
    return energy.model.given(level)


@at_level.register
def _(energy: Tempered, level: ArrayLike) -> AbstractEnergy:
    return Tempered(at_level(energy.energy, level), energy.beta)


@at_level.register
def _(energy: Shifted, level: ArrayLike) -> AbstractEnergy:
    return Shifted(at_level(energy.energy, level), energy.offset)


@value_and_score.register
def _(energy: AtLevel, x: Configuration) -> tuple[Scalar, Configuration]:
    return value_and_score(energy._energy, x)


@is_confined.register
def _(energy: AtLevel) -> bool | None:
    return is_confined(energy._energy)
