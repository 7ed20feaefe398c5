"""log Z from ladders of replicas along the path from a base law, for spaces in which β = 0 has no law."""

from __future__ import annotations

import math
from typing import Any

import equinox as eqx
import jax
import numpy as np

from energax._typing import Configuration, PRNGKey, Scalar
from energax.densities import AbstractDensity, default_base
from energax.energies import AbstractEnergy
from energax.estimators import LadderHistogram
from energax.evaluation._path import plain_path
from energax.evaluation._path_curve import PathCurve
from energax.evaluation._progress import Transitions
from energax.evaluation._result import LogZ
from energax.evaluation._rounds import NUM_LADDERS, equilibrium_interval, integrated, reach, run_rounds
from energax.evaluation._tempered_ladders import ReplicaLadders
from energax.kernels import AbstractKernel


class _Difference(eqx.Module):
    """D(x) = E(x) + log p_0(x): the path is −log p_0 + t D, which is to D what β E is to E."""

    energy: AbstractEnergy
    base: AbstractDensity

    def __call__(self, x: Configuration) -> Scalar:
        return self.energy(x) - self.base(x)


def by_path_tempering(
    energy: AbstractEnergy,
    kernel: AbstractKernel,
    base: AbstractDensity | None,
    rows: Any,
    level: float,
    width: float,
    budget: int,
    integrate: bool,
    tell: Transitions,
    key: PRNGKey,
) -> LogZ:
    """Replica exchange along (1 − t) E_0 + t E and MBAR over all its levels, on a Euclidean space with a virial probe.

    Args:
        energy: The model, without hidden units.
        kernel: An exact kernel.
        base: Base law, by default one fitted to the rows or, without them, the normal law that the space declares.
        rows: Rows of data or None.
        level: Of the interval.
        width: Wanted distance of the ends, nats.
        budget: The most transitions.
        integrate: By thermodynamic integration of the same draws, −∫ ⟨D⟩ dt.
        tell: Counts them.
        key: Typed random key.
    """
    base_key, run_key = jax.random.split(key)
    before = tell.done
    own = base is None and rows is None
    # A law fitted to what a pilot found may be narrow where the pilot missed half, and replicas then miss it as well.
    base, path, pilot, name = plain_path(
        energy, kernel, default_base(energy.space) if own else base, rows, tell=tell, key=base_key
    )
    name = f"{type(base).__name__} of the space" if own else name
    ladders = ReplicaLadders(path, _Difference(energy, base), 1.0, kernel, NUM_LADDERS, pilot=pilot, key=run_key)
    left = budget - (tell.done - before)
    shown = tell.done

    def progress(now: int, _: int) -> None:
        tell(max(0, now - (tell.done - shown)))

    objections = tuple(run_rounds(ladders, 1.0, 0.5 * width / reach(level), left, progress))
    histogram = ladders.histogram()
    plain = histogram.log_z(1.0)
    found = integrated(histogram, 1.0) if integrate else plain
    cut = {"weakest_cut": histogram.weakest_cut, "estimator": found.method}
    interval = equilibrium_interval(plain, objections, level).shifted(found.value - plain.value)
    return LogZ(
        found.value, math.nan if objections else found.stderr, interval, None, energy.space.measure,
        {"base": name, **ladders.diagnostics(), **cut}, objections, "ti" if integrate else "pt-mbar",
        path=PathCurve(histogram.betas, *_at_levels(histogram)),
    )  # fmt: skip


def _at_levels(histogram: LadderHistogram) -> tuple[np.ndarray, np.ndarray]:
    """Log Z at the levels of the ladders, and its error bars."""
    found = [histogram.log_z(float(t)) for t in histogram.betas]
    return np.asarray([e.value for e in found]), np.asarray([e.stderr for e in found])
