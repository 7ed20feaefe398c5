"""What moves draws towards the data while a generator is calibrated: short Langevin runs of a tethered energy."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from energax._errors import ArgumentError
from energax._typing import PRNGKey, Scalar
from energax.energies import AbstractConditionalEnergy, AbstractEnergy
from energax.kernels import ULA
from energax.objectives import apart
from energax.spaces import AbstractArraySpace


class TetheredEnergy(AbstractConditionalEnergy):
    """p(x̃ | x̂) ∝ exp(−E(x̃)/τ − ½ κ ‖x̃ − x̂‖²): an energy that holds on to where a chain began.

    Args:
        energy: E, any pytree that maps a configuration to a number.
        temperature: τ.
        stiffness: κ.
        space: Of x̃.
    """

    energy: Any
    temperature: float = eqx.field(static=True)
    stiffness: float = eqx.field(static=True)
    space: AbstractArraySpace = eqx.field(static=True)

    def given(self, c: Array) -> AbstractEnergy:
        return _Tethered(self, c)


class _Tethered(AbstractEnergy):
    family: TetheredEnergy
    anchor: Array

    @property
    def space(self) -> AbstractArraySpace:
        return self.family.space

    def __call__(self, x: Array) -> Scalar:
        pull = 0.5 * self.family.stiffness * jnp.sum((x - self.anchor) ** 2)
        return self.family.energy(x) / self.family.temperature + pull


class Refinement(eqx.Module):
    """K Langevin steps from a draw x̂ under exp(−E(x)/τ − ½ κ ‖x − x̂‖²): x ← x − h (∇E/τ + κ (x − x̂)) + √(2h) ξ.

    A step goes h/τ times the slope of E; that quotient, and not h or τ alone, says how far a draw is moved. The tether
    takes back the share hκ of the way at each step: with a stiffness of order 1 it would do nothing at all, since h is
    small, so it is given as t = K h κ and κ follows. Where E is flat, K steps move a draw by noise alone, with the
    variance of an entry

        v = 2h Σ_{k<K} (1 − t/K)^{2k},

    which is 2hK without a tether. D v for D entries is the floor under every measured squared move.

    Cost: K gradients of the energy.

    Args:
        num_steps: K.
        step_size: h > 0, in squared units of the data; √(2hK) is the noise that a copy may have.
        temperature: τ > 0.
        tether: t from 0, no tether, to below K.

    Raises:
        ArgumentError: A number is out of its range.

    Example:
        >>> from energax import systems
        >>> move = systems.Refinement(num_steps=10, step_size=1e-4, temperature=0.1, tether=0.0)
        >>> round(move.variance, 12)
        0.002

    References:
        [luo2024]
    """

    num_steps: int = eqx.field(static=True, default=10)
    step_size: float = eqx.field(static=True, default=1e-4)
    temperature: float = eqx.field(static=True, default=1e-2)
    tether: float = eqx.field(static=True, default=1.0)

    def __check_init__(self) -> None:
        if self.num_steps < 1 or not self.step_size > 0 or not self.temperature > 0:
            raise ArgumentError(
                "Refinement needs num_steps >= 1, step_size > 0 and temperature > 0, got "
                f"{self.num_steps}, {self.step_size}, {self.temperature}."
            )
        if not 0 <= self.tether < self.num_steps:
            raise ArgumentError(
                f"Refinement needs 0 <= tether < num_steps, the share that {self.num_steps} steps take back, got "
                f"{self.tether}."
            )

    @staticmethod
    def scaled(
        spread: float, *, num_steps: int = 5, noise: float = 0.05, temperature: float = 3e-3, tether: float = 1.0
    ) -> Refinement:
        """Steps for data of a given spread: without a tether, the noise of all moves an entry by `noise` · spread.

        K steps then go noise²/(2τ) · spread² times the slope of E, so that τ alone says how far, in any units.

        Args:
            spread: Standard deviation of an entry of the data.
            num_steps: K.
            noise: As above.
            temperature: τ.
            tether: t.
        """
        return Refinement(num_steps, (noise * spread) ** 2 / (2 * num_steps), temperature, tether)

    @property
    def stiffness(self) -> float:
        """κ = t/(K h)."""
        return self.tether / (self.num_steps * self.step_size)

    @property
    def variance(self) -> float:
        """v, the variance that the noise of K steps leaves in an entry."""
        kept = 1 - self.tether / self.num_steps
        return 2 * self.step_size * sum(kept ** (2 * k) for k in range(self.num_steps))

    def move(self, energy: Any, starts: Array, space: AbstractArraySpace, *, key: PRNGKey) -> tuple[Array, Scalar]:
        """Copies of draws after K steps, and the share of the steps that met a number that is not finite.

        Args:
            energy: E, from one configuration to a number.
            starts: x̂, (row, *event).
            space: Of a row.
            key: Random key.
        """
        moved, refused = jax.vmap(lambda x, k: self.chain(energy, x, space, key=k))(
            starts, jax.random.split(apart(key), len(starts))
        )
        return moved, jnp.mean(refused)

    def chain(self, energy: Any, start: Array, space: AbstractArraySpace, *, key: PRNGKey) -> tuple[Array, Scalar]:
        """`move` of one draw, for energies that are not the same for all."""
        kernel = ULA(self.step_size)
        conditional = TetheredEnergy(energy, self.temperature, self.stiffness, space).given(start)

        def step(state: Any, k: PRNGKey) -> tuple[Any, Array]:
            state, info = kernel.step(conditional, state, key=k)
            return state, info.is_finite

        state, fine = jax.lax.scan(
            step, kernel.init(conditional, start, key=key), jax.random.split(key, self.num_steps)
        )
        return state.x, 1 - jnp.mean(fine)
