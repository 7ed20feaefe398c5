"""Thermodynamic length: how far apart the ends of a path are, and what crossing it must cost."""

from __future__ import annotations

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from energax._errors import ArgumentError
from energax._typing import PRNGKey
from energax.estimators import Estimate
from energax.evaluation._pilot import Pilot, run_pilot
from energax.kernels import AbstractKernel, target
from energax.paths import AbstractPath
from energax.random import choose


@dataclasses.dataclass(frozen=True, repr=False)
class ThermodynamicLength:
    """The length of a path in the metric of its Fisher information, and the schedule of constant speed.

    Attributes:
        length: L = ∫ √I(t) dt with the Fisher information I(t) = Var_t(∂_t E_t), nats^½.
        ts: Places on the path, from 0 to 1.
        shares: Share of the length until each of them, from 0 to 1.
    """

    length: Estimate
    ts: Float[np.ndarray, " place"]
    shares: Float[np.ndarray, " place"]

    def levels(self, num: int) -> Float[np.ndarray, " num"]:
        """`num` levels of constant thermodynamic speed: with perfect moves the protocol that dissipates least."""
        if num < 2:
            raise ArgumentError(f"A schedule has at least two levels; given {num}.")
        return np.interp(np.linspace(0.0, 1.0, num), self.shares, self.ts)

    def excess_work(self, num_levels: int) -> Estimate:
        """Dissipated work of K = num_levels − 1 jumps at constant speed with perfect moves, L²/(2K), up to O(K⁻²).

        It is the least of all schedules, and half of the variance of the work.
        """
        if num_levels < 2:
            raise ArgumentError(f"A schedule has at least two levels; given {num_levels}.")
        jumps, length = num_levels - 1, self.length
        value, stderr = 0.5 * length.value**2 / jumps, length.value * length.stderr / jumps
        return dataclasses.replace(length, value=value, stderr=stderr, method="excess-work")

    def __repr__(self) -> str:
        return f"ThermodynamicLength({self.length})"


def thermodynamic_length(
    path: AbstractPath,
    kernel: AbstractKernel,
    *,
    num_particles: int = 512,
    num_repeats: int = 8,
    num_moves: int = 2,
    stride: float = 0.15,
    generator: str = "auto",
    key: PRNGKey,
) -> ThermodynamicLength:
    """Estimate the thermodynamic length of a path, and with it the schedule that dissipates least.

    Populations of particles follow the path by sequential Monte Carlo in steps of `stride`; at both ends of each step
    the standard deviation of ∂_t E_t over the particles is the speed, and the length is their sum by the trapezoid.

    Exactness: consistent as particles and moves grow and the stride shrinks; the error of the trapezoid is
    O(stride²). The error bar is that of independent repeats: Student's law with num_repeats − 1 degrees of freedom.
    Cost: repeats × particles × moves × L/stride transitions.

    Args:
        path: The path.
        kernel: An exact kernel; a step size is tuned on the way.
        num_particles: Particles of each repeat.
        num_repeats: Independent repeats, at least 2.
        num_moves: Transitions of each particle at each step.
        stride: Length of a step, > 0.
        generator: As in `sample`.
        key: Typed random key.

    Returns:
        `ThermodynamicLength`.

    Raises:
        ArgumentError: Numbers that make no sense, or a kernel that is not exact.
        KernelMismatch: The kernel does not fit the path.

    References: [crooks2007], [zhou2016].
    """
    if num_repeats < 2 or num_particles < 2 or num_moves < 1 or not 0 < stride < math.inf:
        raise ArgumentError(
            f"thermodynamic_length needs two repeats and two particles or more, a move and a positive stride; got "
            f"num_repeats={num_repeats}, num_particles={num_particles}, num_moves={num_moves}, stride={stride}."
        )
    target(path.at(jnp.ones(())), kernel)
    if not kernel.exact:
        raise ArgumentError(f"The length needs an exact kernel; {type(kernel).__name__} leaves another law alone.")
    sizes = {"num_particles": num_particles, "num_moves": num_moves, "stride": stride}
    pilots = [run_pilot(path, kernel, **sizes, key=k) for k in jax.random.split(choose(key, generator), num_repeats)]
    lengths = np.asarray([_lengths(pilot)[-1] for pilot in pilots])
    stderr = float(np.std(lengths, ddof=1)) / math.sqrt(num_repeats)
    told = {"num_groups": num_repeats, "num_transitions": sum(pilot.num_transitions for pilot in pilots)}
    estimate = Estimate(float(lengths.mean()), stderr, math.nan, "thermodynamic-length", told)
    # Denser at the start, where paths from a wide base are fast.
    ts = np.linspace(0.0, 1.0, 1025) ** 2
    shares = np.mean([np.interp(ts, p.ts, _shares(p)) for p in pilots], axis=0)
    return ThermodynamicLength(estimate, ts, shares)


def _lengths(pilot: Pilot) -> Float[np.ndarray, " level"]:
    assert pilot.lengths is not None
    return pilot.lengths


def _shares(pilot: Pilot) -> Float[np.ndarray, " level"]:
    """Share of the length until each level; equal ones where nothing changes along the path."""
    lengths = _lengths(pilot)
    return lengths / lengths[-1] if lengths[-1] > 0 else np.linspace(0.0, 1.0, lengths.size)
