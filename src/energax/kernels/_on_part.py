"""A kernel that moves one part of a product space and holds the others."""

from __future__ import annotations

from typing import Any

import equinox as eqx

from energax._errors import ArgumentError
from energax._typing import Configuration, PRNGKey
from energax.energies import AbstractEnergy, given_others
from energax.kernels._base import AbstractKernel, AbstractState, StepInfo, with_x


class PartState(AbstractState):
    """The whole configuration, and the kernel's state on its part."""

    x: Configuration
    part: Any


class OnPart(AbstractKernel):
    """Leaves exp(−E) invariant: one step of a kernel in the named part of a product space, the others held.

    The kernel sees the conditional energy x_part ↦ E(x_part, rest). In a `Cycle` with a kernel for each part it samples
    spaces that are partly discrete and partly continuous.

    Exactness: that of the kernel.

    Cost: that of the kernel on the part, each energy being one of the whole.

    Args:
        kernel: A kernel that fits the part.
        part: Name of the part.

    Example:
        >>> from energax.kernels import MALA, Cycle, HeatBath, OnPart
        >>> sorted(Cycle((OnPart(MALA(0.1), "angle"), OnPart(HeatBath(), "spin"))).needs)
        ['angle.score', 'spin.conditional_logits']

    References:
        [tierney1994]
    """

    kernel: AbstractKernel
    part: str = eqx.field(static=True)

    def __check_init__(self) -> None:
        if not isinstance(self.kernel, AbstractKernel) or not isinstance(self.part, str):
            raise ArgumentError(f"OnPart is made of a kernel and a part's name, got {self.kernel!r}, {self.part!r}.")

    @property
    def exact(self) -> bool:
        return self.kernel.exact

    @property
    def needs(self) -> frozenset[str]:
        return frozenset(f"{self.part}.{need}" for need in self.kernel.needs or {"energy"})

    def init(self, energy: AbstractEnergy, x: Configuration, *, key: PRNGKey) -> PartState:
        return PartState(x, self.kernel.init(given_others(energy, self.part, x), x[self.part], key=key))

    def refresh(self, energy: AbstractEnergy, state: PartState) -> PartState:
        here = with_x(state.part, state.x[self.part])
        return PartState(state.x, self.kernel.refresh(given_others(energy, self.part, state.x), here))

    def step(self, energy: AbstractEnergy, state: PartState, *, key: PRNGKey) -> tuple[PartState, StepInfo]:
        new, info = self.kernel.step(given_others(energy, self.part, state.x), state.part, key=key)
        return PartState({**state.x, self.part: new.x}, new), info
