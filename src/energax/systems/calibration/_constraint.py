"""The constraint that a calibrated model is trained under, and how its weight moves."""

from __future__ import annotations

import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from energax._errors import ArgumentError
from energax._typing import PRNGKey, Scalar
from energax.objectives import normal_apart
from energax.systems.calibration._distances import AbstractDistance, SquaredError
from energax.systems.calibration._refinement import Refinement


class AbstractConstraint(eqx.Module):
    """Trained under r ≤ slack: the weight λ of the constraint in the loss rises while it is broken, and falls when not.

    λ ← min(max(λ + η (r − slack), 0), max_multiplier) after every update.

    Args:
        slack: The largest r that is allowed, in units in which the best that can be is about 1.
        multiplier: λ before the first update.
        dual_rate: η ≥ 0; 0 keeps λ.
        max_multiplier: The largest λ.

    Raises:
        ArgumentError: A number is out of range.
    """

    slack: float = eqx.field(static=True, default=1.1, kw_only=True)
    multiplier: float = eqx.field(static=True, default=1.0, kw_only=True)
    dual_rate: float = eqx.field(static=True, default=0.01, kw_only=True)
    max_multiplier: float = eqx.field(static=True, default=1.0, kw_only=True)

    def __check_init__(self) -> None:
        name = type(self).__name__
        if not self.slack > 0 or self.dual_rate < 0:
            raise ArgumentError(f"{name} needs slack > 0 and dual_rate >= 0, got {self.slack}, {self.dual_rate}.")
        if not 0 <= self.multiplier <= self.max_multiplier:
            raise ArgumentError(
                f"{name} needs 0 <= multiplier <= max_multiplier, got {self.multiplier}, {self.max_multiplier}."
            )

    def dual_step(self, multiplier: Scalar, ratio: Scalar, scale: Scalar) -> Scalar:
        """λ after an update in which the constraint had the value r; `scale` slows it down."""
        return jnp.clip(multiplier + scale * self.dual_rate * (ratio - self.slack), 0.0, self.max_multiplier)


class Calibration(AbstractConstraint):
    """How a generator is calibrated: what is constrained, and how the weight of the constraint moves.

        minimise the generator's own loss   subject to   r = E d(x̂, x̃) / floor ≤ slack,

    with draws x̂ = G(z), copies x̃ that K Langevin steps moved (`Refinement`; no gradient goes through them), and the
    floor that noise alone would give d: D v for squared errors, measured on copies moved by noise for other distances.
    Dividing by it makes the constraint the same for any size, K and step. The Lagrangian adds λ r to the loss, with the
    λ of `AbstractConstraint`: it grows while draws are still moved by more than noise, and fades when they are not. The
    energy descends E_data[E] − E_x̃'[E] + α (E_data[E²] + E_x̃'[E²]), with copies x̃' of the new generator's draws. α
    keeps energies within ±1/(2α), so that the temperature has a scale.

    Args:
        refinement: How draws are moved.
        distance: d; None is the squared error.
        slack: How many times the floor the copies may be away.
        multiplier: λ before the first update.
        dual_rate: η ≥ 0; 0 keeps λ.
        max_multiplier: The largest λ. Where the slack is never reached λ ends here. It is weighed against a loss that
            grows with D: with 20 draws of the plane come to crowd in some of the modes, with 1 pictures hardly change.
        energy_l2: α > 0.
        pretrain: Updates of the generator's own loss alone before the calibration begins. An integer array in the
            place of the number makes learners with different ones share their compilation.

    Raises:
        ArgumentError: A number is out of range.

    References:
        [luo2024]
    """

    refinement: Refinement = Refinement()
    distance: AbstractDistance | None = None
    energy_l2: float = eqx.field(static=True, default=0.1, kw_only=True)
    pretrain: int | Int[Array, ""] = eqx.field(default=0, kw_only=True)

    def __check_init__(self) -> None:
        if not self.energy_l2 > 0 or self.pretrain < 0:
            raise ArgumentError(
                f"Calibration needs energy_l2 > 0 and pretrain >= 0, got {self.energy_l2}, {self.pretrain}."
            )

    @staticmethod
    def scaled(
        spread: float,
        num_entries: int,
        *,
        num_steps: int = 5,
        noise: float = 0.05,
        temperature: float = 4e-3,
        tether: float = 1.0,
        max_multiplier: float | None = None,
        distance: AbstractDistance | None = None,
        **options: Any,
    ) -> Calibration:
        """A calibration for data of a given spread and size.

        Args:
            spread: Standard deviation of an entry of the data.
            num_entries: D.
            num_steps: K.
            noise: That of all moves of an entry, without a tether, over `spread`.
            temperature: τ √D: slopes of a network add up over the entries.
            tether: t of the `Refinement`.
            max_multiplier: The largest λ; None is D/25, and 1 at least.
            distance: d; None is the squared error.
            **options: Of `Calibration`.
        """
        each = temperature / num_entries**0.5
        move = Refinement.scaled(spread, num_steps=num_steps, noise=noise, temperature=each, tether=tether)
        most = max(1.0, num_entries / 25) if max_multiplier is None else max_multiplier
        return Calibration(move, distance, max_multiplier=most, **options)

    def ratio(self, draws: Array, copies: Array, *, key: PRNGKey) -> Scalar:
        """r, the mean distance between draws and copies in units of what noise alone would give."""
        distance = SquaredError() if self.distance is None else self.distance
        between = jnp.mean(jax.vmap(distance)(draws, copies))
        if isinstance(distance, SquaredError):
            return between / (self.refinement.variance * math.prod(draws.shape[1:]))
        still = jax.lax.stop_gradient(draws)
        noise = math.sqrt(self.refinement.variance) * normal_apart(draws.shape, draws.dtype, key=key)
        return between / jnp.mean(jax.vmap(distance)(still, still + noise))
