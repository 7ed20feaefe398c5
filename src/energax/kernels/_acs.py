"""Automatic cyclical sampling: discrete Langevin moves from large steps to small ones, over and over."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float

from energax._errors import ArgumentError
from energax._typing import Configuration, PRNGKey
from energax.energies import AbstractEnergy
from energax.kernels._base import AbstractKernel, StepInfo, as_step_size
from energax.kernels._discrete_langevin import DMALA
from energax.kernels._informed import InformedState, check_differences, informed_state, needs_of


class ACS(AbstractKernel):
    """Leaves exp(−E) invariant: one step is a cycle of `DMALA` moves, from large steps that explore to small ones.

    Move k has the step size α_k and the balance b_k: large steps with a balance near 1 jump between modes, small ones
    with balance ½ refine. `sampling.tune_cycle` finds both for an energy.

    Exactness: invariant, each move being so; a cycle is not reversible.

    Cost: as many moves of `DMALA` as there are step sizes.

    Args:
        step_sizes: α_k > 0, shape (moves,); by default eight, on a cosine from 5 to 0.2.
        balances: b_k, shape (moves,), ½ to 1; by default on a cosine from 0.95 to ½.
        differences: ``"exact"``, or ``"gradient"`` for two-valued sites and an energy that can be differentiated.

    Example:
        >>> import jax
        >>> from energax import energies, kernels, sampling
        >>> run = sampling.sample(energies.Ising(4), kernels.ACS(), num_steps=10, key=jax.random.key(0))
        >>> run.x.shape
        (4, 10, 4, 4)

    References:
        [pynadath2024]; there a step is one move, and its place in the cycle depends on the number of the step.
    """

    step_sizes: Float[Array, " moves"]
    balances: Float[Array, " moves"]
    differences: str = eqx.field(static=True)

    def __init__(self, step_sizes: Any = None, balances: Any = None, differences: str = "exact") -> None:
        self.step_sizes = as_step_size(cosine(5.0, 0.2, 8) if step_sizes is None else step_sizes)
        num_moves = self.step_sizes.shape[0] if self.step_sizes.ndim else 1
        self.balances = as_step_size(cosine(0.95, 0.5, num_moves) if balances is None else balances)
        self.differences = differences

    def __check_init__(self) -> None:
        check_differences("ACS", self.differences)
        if self.step_sizes.ndim != 1 or self.step_sizes.shape != self.balances.shape:
            raise ArgumentError(
                f"ACS needs as many balances as step_sizes, got {self.balances.shape} and {self.step_sizes.shape}."
            )
        if not isinstance(self.step_sizes, Tracer) and not np.all(np.asarray(self.step_sizes) > 0):
            raise ArgumentError(f"ACS needs positive step_sizes, got {self.step_sizes}.")

    @property
    def exact(self) -> bool:
        return True

    @property
    def needs(self) -> frozenset[str]:
        return needs_of(self.differences)

    def init(self, energy: AbstractEnergy, x: Configuration, *, key: PRNGKey) -> InformedState:
        del key
        return informed_state(energy, x, self.differences)

    def refresh(self, energy: AbstractEnergy, state: InformedState) -> InformedState:
        return informed_state(energy, state.x, self.differences)

    def move(self, step_size: Array, balance: Array) -> DMALA:
        """The kernel of one move."""
        return DMALA(step_size, self.differences, balance)

    def step(self, energy: AbstractEnergy, state: InformedState, *, key: PRNGKey) -> tuple[InformedState, StepInfo]:
        def one(state: InformedState, of_move: tuple[Array, Array, PRNGKey]) -> tuple[InformedState, StepInfo]:
            step_size, balance, move_key = of_move
            return self.move(step_size, balance).step(energy, state, key=move_key)

        keys = jax.random.split(key, len(self.step_sizes))
        state, info = jax.lax.scan(one, state, (self.step_sizes, self.balances, keys))
        return state, StepInfo(jnp.mean(info.accept_prob), jnp.any(info.accepted), jnp.all(info.is_finite))


def cosine(first: float, last: float, num: int) -> np.ndarray:
    """Half a cosine from `first` to `last`, `num` numbers."""
    return last + (first - last) * 0.5 * (1 + np.cos(np.pi * np.linspace(0, 1, num)))
