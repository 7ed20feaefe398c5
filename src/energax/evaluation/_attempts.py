"""Ways to log Z, each ready to be tried at a level of the interval."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any, TypeAlias, cast

import jax
import numpy as np

from energax._errors import ArgumentError
from energax._typing import PRNGKey
from energax.densities import AbstractDensity
from energax.energies import AbstractEnergy, Marginal, latent, observed_space
from energax.evaluation._both_directions import by_annealing
from energax.evaluation._default_kernel import exact_kernel
from energax.evaluation._path import can_draw_exactly
from energax.evaluation._progress import Transitions
from energax.evaluation._result import LogZ
from energax.evaluation._rounds import reach
from energax.evaluation._side import hidden_rows
from energax.evaluation._tempered_path import by_path_tempering
from energax.evaluation._thermodynamics import FLAT_METHODS, thermodynamics
from energax.kernels import AbstractKernel, HeatBath
from energax.paths import AbstractPath
from energax.spaces import AbstractDiscreteSpace, Box, Euclidean, Torus

LEAST_BUDGET = 20_000

Attempt: TypeAlias = Callable[[float], LogZ]
"""From the level of the interval to the interval."""


def is_tempered(energy: AbstractEnergy) -> bool:
    """Whether replica exchange from β = 0 is what is tried first."""
    space = observed_space(energy)
    able = space.is_discrete or isinstance(space, Torus | Box | Euclidean)
    return able and latent(energy) is None and not can_draw_exactly(energy)


def annealing(
    energy: AbstractEnergy,
    kernel: AbstractKernel | None,
    base: AbstractDensity | AbstractPath | None,
    rows: Any,
    width: float,
    sizes: tuple[int | None, int | None, bool | None],
    budget: int,
    tell: Transitions,
    key: PRNGKey,
) -> Attempt:
    """Annealing in both directions, after a look at the kernel."""
    start = base.start if isinstance(base, AbstractPath) else base
    chosen = exact_kernel(energy, kernel, start)
    return lambda level: by_annealing(energy, chosen, base, rows, level, width, *sizes, budget, tell, key)


def side_annealing(
    side: Marginal,
    rows: Any,
    width: float,
    sizes: tuple[int | None, int | None, bool | None],
    budget: int,
    tell: Transitions,
    key: PRNGKey,
) -> Attempt:
    """The same on the hidden side of a machine."""
    rows_key, run_key = jax.random.split(key)

    def attempt(level: float) -> LogZ:
        hidden = None if rows is None else jax.tree.map(np.asarray, hidden_rows(side, rows, key=rows_key))
        tell.unit = cast(AbstractDiscreteSpace, side.space).num_sites
        share = max(budget // tell.unit, LEAST_BUDGET)
        found = by_annealing(side, HeatBath(), None, hidden, level, width, *sizes, share, tell, run_key)
        return dataclasses.replace(found, diagnostics={**found.diagnostics, "side": "hidden"})

    return attempt


def path_tempering(
    energy: AbstractEnergy,
    kernel: AbstractKernel | None,
    base: AbstractDensity | AbstractPath | None,
    rows: Any,
    width: float,
    budget: int,
    integrate: bool,
    tell: Transitions,
    key: PRNGKey,
) -> Attempt:
    """Replica exchange along the path from a base law."""
    if isinstance(base, AbstractPath):
        raise ArgumentError(
            f"Along {type(base).__name__} the energy is not base + t (energy − base), which replica exchange and MBAR "
            'count on here: use method="ais" or "smc", or leave the method out.'
        )
    if latent(energy) is not None:
        raise ArgumentError(
            f"Hidden units of {type(energy).__name__} are summed out along a path from a base law, where log Z is no "
            'function of one energy: use method="ais" or "smc", or leave the method out.'
        )
    chosen = exact_kernel(energy, kernel, base)
    return lambda level: by_path_tempering(energy, chosen, base, rows, level, width, budget, integrate, tell, key)


def tempering(
    energy: AbstractEnergy,
    side: Marginal | None,
    kernel: AbstractKernel | None,
    width: float,
    budget: int,
    method: str,
    tell: Transitions,
    key: PRNGKey,
) -> Attempt:
    """Replica exchange from β = 0; of a machine with few hidden units on their side."""
    hidden = latent(energy) is not None and side is not None

    def attempt(level: float) -> LogZ:
        # A flat histogram counts its sweeps of single sites itself.
        by_site = hidden and side is not None and method not in FLAT_METHODS
        tell.unit = cast(AbstractDiscreteSpace, side.space).num_sites if by_site and side is not None else 1
        done = tell.done
        found = thermodynamics(
            side if hidden and side is not None else energy,
            method=method if method in FLAT_METHODS else "pt-mbar",
            kernel=kernel,
            precision=0.5 * width / reach(level),
            budget=budget // tell.unit,
            progress=lambda now, _: tell(max(0, done // tell.unit + now - tell.done // tell.unit)),
            key=key,
        )
        value = found.integrated() if method == "ti" else found.log_z()
        stderr = math.nan if found.warnings else value.stderr
        interval = found.interval(level)
        if not found.warnings:
            interval = interval.shifted(value.value - found.log_z().value)
        diagnostics = {**found.diagnostics, "estimator": value.method} | ({"side": "hidden"} if hidden else {})
        name = "pt-mbar" if method == "auto" else method
        return LogZ(value.value, stderr, interval, None, found.measure, diagnostics, value.warnings, name, found)

    return attempt
