"""Where the Binder cumulants of two sizes cross: the temperature of a transition, from finite systems."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from scipy.optimize import brentq

from energax.runs._chains import Chains, Chamber, Progress
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
    errors = np.asarray([c.stderr for c in found])
    design = np.stack([np.ones(len(found)), np.asarray([c.sizes[0] for c in found], float) ** -theta], axis=1)
    weighted = design / errors[:, None]
    covariance = np.linalg.inv(weighted.T @ weighted)
    solution = covariance @ weighted.T @ (np.asarray([c.temperature for c in found]) / errors)
    return float(solution[0]), float(np.sqrt(covariance[0, 0]))


class _Reweighted:
    """⟨m²⟩ and ⟨m⁴⟩ of chains at temperatures near their own, chain by chain."""

    def __init__(self, runs: Sequence[Chains], temperature: float) -> None:
        energy, order = (np.concatenate([run.draws[name] for run in runs]) for name in ("energy", "magnetization"))
        self.energy, self.temperature = energy - energy.mean(), temperature
        squared = order.astype(np.float64) ** 2
        self.powers = np.stack([np.ones_like(squared), squared, squared**2])

    def weights(self, t: float) -> np.ndarray:
        exponent = -(1.0 / t - 1.0 / self.temperature) * self.energy
        return np.exp(exponent - exponent.max())

    def share(self, t: float) -> float:
        """Effective draws as a share of all."""
        w = self.weights(t)
        return float(w.sum() ** 2 / np.sum(w**2) / w.size)

    def binder(self, t: float, without: int | None = None) -> float:
        """1 − ⟨m⁴⟩ / 3⟨m²⟩², from all chains or from all but one."""
        sums = np.einsum("pcd,cd->pc", self.powers, self.weights(t))
        total = sums.sum(1) - (0.0 if without is None else sums[:, without])
        return float(1.0 - (total[2] / total[0]) / (3.0 * (total[1] / total[0]) ** 2))


def _binder(chains: Chains) -> float:
    return _Reweighted([chains], 1.0).binder(1.0)


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
        crossing = _root(lambda s, p=pair: p[1].binder(s) - p[0].binder(s), *bracket, t)
        if crossing is not None and min(p.share(crossing) for p in pair) >= _GOOD_SHARE:
            return _measured(small, large, crossing, bracket, first + _MOST_PROBES)
        # The sign of the gap tells on which side the crossing is.
        low, high = (t, high) if pair[1].binder(t) > pair[0].binder(t) else (low, t)
        t = crossing if crossing is not None and low < crossing < high else 0.5 * (low + high)
    return None


def _measured(small: Chamber, large: Chamber, t: float, bracket: tuple[float, float], first: int) -> Crossing | None:
    pair = _probed(small, large, t, range(first, first + _FINAL_RUNS))
    crossing = _root(lambda s: pair[1].binder(s) - pair[0].binder(s), *bracket, t)
    if crossing is None or small.size is None or large.size is None:
        return None
    stderr = _error(pair, crossing, *bracket)
    return Crossing((small.size, large.size), crossing, stderr, pair[1].binder(crossing))


def _probed(small: Chamber, large: Chamber, t: float, runs: Sequence[int]) -> tuple[_Reweighted, _Reweighted]:
    first, second = ([chamber.probe(k, t) for k in runs] for chamber in (small, large))
    return _Reweighted(first, t), _Reweighted(second, t)


def _root(gap: Callable[[float], float], low: float, high: float, near: float) -> float | None:
    """The zero of a falling function that is nearest to a temperature, between two others."""
    grid = np.linspace(low, high, _STEPS)
    values = np.asarray([gap(t) for t in grid])
    falls = np.flatnonzero((values[:-1] > 0) & (values[1:] <= 0))
    if not falls.size:
        return None
    i = falls[np.argmin(np.abs(grid[falls] - near))]
    return float(brentq(gap, grid[i], grid[i + 1]))  # pyright: ignore[reportArgumentType]


def _error(pair: tuple[_Reweighted, _Reweighted], crossing: float, low: float, high: float) -> float:
    """Jackknife over the chains of both sizes, which are independent of each other."""
    variance = 0.0
    for which in (0, 1):
        num = pair[which].energy.shape[0]
        moved = []
        for c in range(num):
            leave = [c if which == k else None for k in (0, 1)]
            root = _root(lambda s, a=leave: pair[1].binder(s, a[1]) - pair[0].binder(s, a[0]), low, high, crossing)
            # Without the chain they do not cross here: the end of the bracket that is farther away stands for it.
            moved.append(max((low, high), key=lambda end: abs(end - crossing)) if root is None else root)
        variance += (num - 1) * float(np.var(moved))
    return float(np.sqrt(variance))


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
