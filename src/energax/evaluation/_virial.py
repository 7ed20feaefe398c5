"""Whether draws have the virial of their law: a look at tails and narrow places that R-hat does not give."""

from __future__ import annotations

import dataclasses
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from scipy.stats import t as student

from energax.energies import AbstractEnergy
from energax.evaluation._equilibrium import FALSE_ALARM

_MOST_GROUPS = 16


class VirialProbe(eqx.Module):
    """Means of (x_i − c_i) ∂E/∂x_i over groups of coordinates of a Euclidean space; 1 under the law of E, for any c.

    Integration by parts, ∫ ∂_i ((x_i − c_i) exp(−E)) = 0, for every law whose density has no jumps and falls faster
    than 1/|x_i|. R-hat compares ladders with each other and is content where all miss the same part: a normal law
    without the tail beyond 1.5 σ on one side, 7 % of its mass, has a virial of 0.77.

    Exactness: an identity.

    Cost: a score for each configuration.

    Args:
        energy: E.
        centre: c, near the middle of the law, where the noise is least.
    """

    energy: AbstractEnergy
    centre: Float[Array, "..."]
    group: Int[Array, " d"]
    num_groups: int = eqx.field(static=True)

    def __init__(self, energy: AbstractEnergy, centre: Float[Array, "..."]) -> None:
        self.energy, self.centre = energy, centre
        self.num_groups = min(_MOST_GROUPS, centre.size)
        self.group = jnp.arange(centre.size) % self.num_groups

    def __call__(self, x: Float[Array, "..."]) -> Float[Array, " group"]:
        moments = ((x - self.centre) * jax.grad(self.energy)(x)).reshape(-1)
        sums = jax.ops.segment_sum(moments, self.group, self.num_groups)
        return sums / jax.ops.segment_sum(jnp.ones_like(moments), self.group, self.num_groups)


@dataclasses.dataclass(frozen=True)
class Virial:
    """The group of coordinates whose virial lies farthest from 1.

    Attributes:
        group: Its number; with 16 coordinates or fewer that of the coordinate.
        value: The mean over draws of all ladders.
        stderr: Its standard error, from the spread over ladders.
        p_value: Of Student's test of all groups, multiplied by their number (Bonferroni).
    """

    group: int
    value: float
    stderr: float
    p_value: float

    @property
    def objection(self) -> str | None:
        """What it says against equilibrium, None if nothing (false alarm `FALSE_ALARM`)."""
        if not self.p_value < FALSE_ALARM:
            return None
        return (
            f"The mean of (x − c) ∂E/∂x is {self.value:.3g} ± {self.stderr:.2g} in group {self.group} of the "
            f"coordinates, and 1 under every smooth law (p = {self.p_value:.1g} < {FALSE_ALARM:g}): the draws miss a "
            "tail or a narrow place, or the energy has jumps; no error bar can be believed. A larger budget or other "
            "coordinates can help."
        )

    def to_json(self) -> dict[str, Any]:
        """Numbers for the reader."""
        return {"virial": self.value, "virial_stderr": self.stderr, "virial_group": self.group}


def virial_of_ladders(means: Float[np.ndarray, "ladder group"]) -> Virial:
    """Student's test that all means over independent ladders scatter around 1."""
    value, stderr = means.mean(axis=0), means.std(axis=0, ddof=1) / np.sqrt(len(means))
    far = np.abs(value - 1.0) / np.maximum(stderr, np.finfo(np.float64).tiny)
    worst = int(far.argmax())
    p_value = min(1.0, 2.0 * float(student.sf(far[worst], len(means) - 1)) * len(far))
    return Virial(worst, float(value[worst]), float(stderr[worst]), p_value)
