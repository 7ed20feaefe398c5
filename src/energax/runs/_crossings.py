"""Where the Binder cumulants of two sizes cross: the temperature of a transition, from finite systems."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from scipy.optimize import brentq

from energax.estimators import ess_from_log_weights
from energax.runs._chains import Chains, Chamber, Progress
from energax.runs._observables import binder_cumulant
from energax.runs._simulated import SimulatedModel

_MOST_PROBES = 6
_GOOD_SHARE = 0.3
"""Effective draws of a reweighted run as a share of its draws, below which another run is made closer by."""

_FINAL_RUNS = 4
"""Runs at the crossing, from which it is measured."""

_STEPS = 65
"""Temperatures around a probe at which a crossing is looked for."""


@dataclasses.dataclass(frozen=True)
class Crossing:
    """One crossing.

    Attributes:
        sizes: The two sizes.
        temperature: Where their cumulants are equal.
        stderr: Its error, from leaving out one chain after the other.
        binder_cumulant: The value that they share there.
    """

    sizes: tuple[int, int]
    temperature: float
    stderr: float
    binder_cumulant: float


def crossings(found: Mapping[Chamber, Mapping[float, Chains]], progress: Progress | None) -> list[Crossing]:
    """Crossings of neighbouring sizes, refined by runs at temperatures that close in on them.

    The cumulants at the temperatures that were asked for bracket a crossing; chains at a temperature between them,
    reweighted to those nearby, find it, and are repeated closer by until the reweighting keeps a good share of the
    draws. Then four runs are made at the place, and measure it.

    Args:
        found: Chains by temperature of each size, sizes ascending.
        progress: Called with (stage, done, total).
    """
    pairs = list(itertools.pairwise(found))
    kept = []
    for k, (small, large) in enumerate(pairs):
        if progress is not None:
            progress(f"crossing of L = {small.size} and {large.size}", k, len(pairs))
        bracket = _bracket(found[small], found[large])
        crossing = None if bracket is None else _refined(small, large, bracket, k * (_MOST_PROBES + _FINAL_RUNS))
        if crossing is not None:
            kept.append(crossing)
    return kept


def extrapolated(found: Sequence[Crossing], theta: float) -> tuple[float, float] | None:
    """T_c and its error from T(L) = T_c + a L^−θ, weighted by the errors, with L the smaller size of each pair.

    The sizes of all pairs must have one ratio. None below two crossings.
    """
    ratios = {round(c.sizes[1] / c.sizes[0], 6) for c in found}
    if len(found) < 2 or len(ratios) > 1:
        return None
    size, t, stderr = np.asarray([(c.sizes[0], c.temperature, c.stderr) for c in found]).T
    line, covariance = np.polyfit(size**-theta, t, 1, w=1.0 / stderr, cov="unscaled")
    return float(line[1]), float(np.sqrt(covariance[1, 1]))


class _Reweighted:
    """⟨m²⟩ and ⟨m⁴⟩ of chains at temperatures near their own, chain by chain."""

    def __init__(self, runs: Sequence[Chains], temperature: float) -> None:
        energy, order = (np.concatenate([run.draws[name] for run in runs]) for name in ("energy", "magnetization"))
        self.energy, self.temperature = energy - energy.mean(), temperature
        squared = order.astype(np.float64) ** 2
        self.powers = np.stack([np.ones_like(squared), squared, squared**2])
        self._sums: dict[float, np.ndarray] = {}

    def log_weights(self, t: float) -> np.ndarray:
        return -(1.0 / t - 1.0 / self.temperature) * self.energy

    def sums(self, t: float) -> np.ndarray:
        """Sums of the weights, of w m² and of w m⁴ over each chain; kept, for leaving out chains asks again."""
        if t not in self._sums:
            exponent = self.log_weights(t)
            self._sums[t] = np.einsum("pcd,cd->pc", self.powers, np.exp(exponent - exponent.max()))
        return self._sums[t]

    def share(self, t: float) -> float:
        """Effective draws as a share of all."""
        return ess_from_log_weights(self.log_weights(t).reshape(-1)) / self.energy.size

    def binder(self, t: float, without: int | None = None) -> float:
        """1 − ⟨m⁴⟩ / 3⟨m²⟩², from all chains or from all but one."""
        sums = self.sums(t)
        total = sums.sum(1) - (0.0 if without is None else sums[:, without])
        return float(binder_cumulant(total[1] / total[0], total[2] / total[0]))


def _binder(chains: Chains) -> float:
    return _Reweighted([chains], 1.0).binder(1.0)


@dataclasses.dataclass(frozen=True)
class _Pair:
    """Two sizes at temperatures near those of their chains."""

    small: _Reweighted
    large: _Reweighted

    def gap(self, t: float, without: tuple[int | None, int | None] = (None, None)) -> float:
        """The larger size's cumulant minus the smaller one's; without a chain of either, if named."""
        return self.large.binder(t, without[1]) - self.small.binder(t, without[0])


def _bracket(small: Mapping[float, Chains], large: Mapping[float, Chains]) -> tuple[float, float] | None:
    """Neighbouring temperatures between which the larger system's cumulant falls below the smaller one's."""
    ts = sorted(small.keys() & large.keys())
    gaps = [_binder(large[t]) - _binder(small[t]) for t in ts]
    drops = [(a - b, i) for i, (a, b) in enumerate(itertools.pairwise(gaps)) if a > 0 >= b]
    if not drops:
        return None
    i = max(drops)[1]
    return ts[i], ts[i + 1]


def _refined(small: Chamber, large: Chamber, bracket: tuple[float, float], first: int) -> Crossing | None:
    """Runs that close in on a crossing, then several at the place where they saw it."""
    low, high = bracket
    t = 0.5 * (low + high)
    for k in range(first, first + _MOST_PROBES):
        pair = _probed(small, large, t, [k])
        crossing = _root(pair.gap, *bracket, t)
        if crossing is not None and min(r.share(crossing) for r in (pair.small, pair.large)) >= _GOOD_SHARE:
            return _measured(small, large, crossing, bracket, first + _MOST_PROBES)
        # The sign of the gap tells on which side the crossing is.
        low, high = (t, high) if pair.gap(t) > 0 else (low, t)
        t = crossing if crossing is not None and low < crossing < high else 0.5 * (low + high)
    return None


def _measured(small: Chamber, large: Chamber, t: float, bracket: tuple[float, float], first: int) -> Crossing | None:
    pair = _probed(small, large, t, range(first, first + _FINAL_RUNS))
    crossing = _root(pair.gap, *bracket, t)
    if crossing is None or small.size is None or large.size is None:
        return None
    stderr = _error(pair, crossing, *bracket)
    return Crossing((small.size, large.size), crossing, stderr, pair.large.binder(crossing))


def _probed(small: Chamber, large: Chamber, t: float, runs: Sequence[int]) -> _Pair:
    first, second = ([chamber.probe(k, t) for k in runs] for chamber in (small, large))
    return _Pair(_Reweighted(first, t), _Reweighted(second, t))


def _root(gap: Callable[[float], float], low: float, high: float, near: float) -> float | None:
    """The zero of a falling function that is nearest to a temperature, between two others."""
    grid = np.linspace(low, high, _STEPS)
    values = np.asarray([gap(t) for t in grid])
    falls = np.flatnonzero((values[:-1] > 0) & (values[1:] <= 0))
    if not falls.size:
        return None
    i = falls[np.argmin(np.abs(grid[falls] - near))]
    return float(brentq(gap, grid[i], grid[i + 1]))  # pyright: ignore[reportArgumentType]


def _error(pair: _Pair, crossing: float, low: float, high: float) -> float:
    """Jackknife over the chains of both sizes, which are independent of each other."""
    # Where they do not cross without a chain, the end of the bracket that is farther away stands for the crossing.
    far = max((low, high), key=lambda end: abs(end - crossing))

    def without(small: int | None, large: int | None) -> float:
        root = _root(lambda t: pair.gap(t, (small, large)), low, high, crossing)
        return far if root is None else root

    moved = (
        [without(c, None) for c in range(len(pair.small.energy))],
        [without(None, c) for c in range(len(pair.large.energy))],
    )
    return math.sqrt(sum((len(ts) - 1) * float(np.var(ts)) for ts in moved))


def critical_point(
    found: Mapping[Chamber, Mapping[float, Chains]], system: SimulatedModel, progress: Progress | None
) -> dict[str, Any]:
    """What is known of the transition: exactly, from crossings, and from their extrapolation."""
    enough = all(chamber.plan.num_chains > 1 for chamber in found)
    seen = crossings(found, progress) if system.crosses and enough else []
    limit = None if system.correction is None else extrapolated(seen, system.correction)
    return {
        "exact": system.critical,
        "crossings": [
            {
                "sizes": list(c.sizes),
                "temperature": {"value": c.temperature, "stderr": c.stderr},
                "binder_cumulant": c.binder_cumulant,
            }
            for c in seen
        ],
        "exponent": system.correction,
        "extrapolated": None if limit is None else {"value": limit[0], "stderr": limit[1]},
    }
