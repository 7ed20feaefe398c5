"""log Z of a simulated system at its temperatures: its own draws, and short chains at a few more, up to β = 0."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array, Float
from scipy.stats import t as student

from energax import exact
from energax._errors import NotTractable, Unreliable
from energax.densities import Uniform
from energax.energies import AbstractEnergy, Tempered, latent, observed_space
from energax.estimators import LadderHistogram, ladder_histogram, r_hat
from energax.kernels import AbstractStepSizeKernel
from energax.runs._chains import Chains, Chamber, Progress
from energax.spaces import AbstractSpace

_STRIDE = 2.0
"""Error bars of the energy between neighbouring levels, √(Δβ ΔE), at most: their histograms then share a third."""
_SHARE = 0.2
"""Transitions on the way to β = 0 as a share of those of the simulation, where that leaves enough of them."""
_LEAST_DRAWS, _MOST_DRAWS = 100, 1000
_FEW_UPDATES = 3e8
"""Updates of sites that cost half a minute; a kernel with gradients makes `_GRADIENTS` of them in a transition."""
_GRADIENTS = 30
_LEAST_CHAINS = 4
_WORST_R_HAT = 1.1
_FALSE_ALARM = 0.001
"""Of the search for a drift, in one simulation."""
_UNIFORM = 3000
"""Number of the key of the draws at β = 0."""
_CHEAP_STATES, _CHEAP_CURVE = 2**19, 2**14
"""States through which an exact value may go at each temperature that was asked for, and at each of a fine curve."""
_CURVE = 61

Energies = Float[np.ndarray, "chain draw"]


@dataclasses.dataclass(frozen=True)
class SimulatedLogZ:
    """log Z of one size at the temperatures of a simulation.

    Attributes:
        size: The size.
        points: `size`, `temperature`, `beta`, `log_z` and `free_energy_per_site`, each of these with `value`, `stderr`
            and `exact`, None where that is not known.
        curve: The estimate on a fine grid: ``temperature``, ``log_z``, and ``exact`` where that is known and cheap.
        num_sites: Sites or coordinates.
        note: What the reader has to know; empty where there is nothing.
    """

    size: int | None
    points: list[dict[str, Any]]
    curve: dict[str, list[float]]
    num_sites: int
    note: str = ""


def simulated_log_z(chamber: Chamber, chains: Mapping[float, Chains], progress: Progress | None) -> SimulatedLogZ:
    """Estimate log Z at every temperature of one size.

    At β = 0 the law is uniform, and log Z the logarithm of the volume. Between there and the coldest temperature, and
    between temperatures that lie far apart, chains run at levels in between, until no step is wider than two standard
    deviations of the energy: √(Δβ ΔE), the root of the symmetrised Kullback–Leibler divergence of the two laws,
    which sees a transition between two levels that the fluctuations at them do not. `ladder_histogram` joins all
    levels; its error bars come from leaving out one chain after the other, at all levels at once. They are taken away,
    with a reason, where the chains of the simulation disagree (R-hat) or short ones have not come to rest.

    Args:
        chamber: The system, whose chains have run to their end.
        chains: Its chains by temperature.
        progress: Called with (stage, done, total).

    Raises:
        KeyboardInterrupt: From the keyboard; finished levels are kept.
    """
    space = observed_space(chamber.energy)
    why = _objection(chamber, space)
    if not why:
        try:
            levels = _levels(chamber, chains, progress)
            found = ladder_histogram(np.stack([_rounded(e) for _, e in levels], axis=2), [b for b, _ in levels])
        except Unreliable as error:
            why = str(error)
        else:
            note = _not_mixed(chains) or _drift(levels)
            return _told(chamber, [t for t in chamber.plan.temperatures if t in chains], found, note)
    return SimulatedLogZ(chamber.size, [], {}, _num_sites(space), f"{_where(chamber)}log Z is left out: {why}")


def _where(chamber: Chamber) -> str:
    return f"L = {chamber.size}: " if len(chamber.plan.sizes) > 1 else ""


def _num_sites(space: AbstractSpace) -> int:
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(space.struct))


def _objection(chamber: Chamber, space: AbstractSpace) -> str:
    """Why the ladder cannot begin, empty if it can."""
    if latent(chamber.energy) is not None:
        return "the energy has hidden units, whose observed energy is not β E."
    if not math.isfinite(space.log_volume):
        return f"there is no uniform law on {space} to start from; see energax free-energy."
    if not chamber.kernel.exact:
        return f"{chamber.plan.kernel} leaves the law only roughly alone."
    if chamber.plan.num_chains < _LEAST_CHAINS:
        return f"its error bar comes from the chains, of which it needs {_LEAST_CHAINS} or more."
    return ""


def _levels(
    chamber: Chamber, chains: Mapping[float, Chains], progress: Progress | None
) -> list[tuple[float, Energies]]:
    """β and energies of levels that overlap, hottest first.

    Raises:
        Unreliable: They would cost more than the simulation allows.
    """
    own = sorted((1.0 / t, c.draws["energy"]) for t, c in chains.items())
    num_draws = _num_draws(chamber, own)
    levels = [(0.0, _uniform(chamber, num_draws)), *((beta, _thinned(e, num_draws)) for beta, e in own)]
    made = 0
    while True:
        gaps = [_steps(one, other) for one, other in itertools.pairwise(levels)]
        missing = sum(gap - 1 for gap in gaps)
        if not missing:
            return levels
        joined = [levels[0]]
        for gap, low, high in zip(gaps, levels[:-1], levels[1:], strict=True):
            for beta in np.linspace(low[0], high[0], gap + 1)[1:-1]:
                if progress is not None:
                    progress(f"log Z, {_where(chamber)}T = {1 / beta:.4g}", made, made + missing)
                joined.append((float(beta), chamber.bridge(made, 1.0 / float(beta), num_draws)))
                made += 1
            joined.append(high)
        levels = joined


def _steps(low: tuple[float, Energies], high: tuple[float, Energies]) -> int:
    """Into how many equal steps of β the way from one level to the next is cut."""
    hot, cold = (float(np.mean(e, where=np.isfinite(e))) for _, e in (low, high))
    return max(1, math.ceil(math.sqrt((high[0] - low[0]) * max(hot - cold, 0.0)) / _STRIDE))


def _num_draws(chamber: Chamber, own: list[tuple[float, Energies]]) -> int:
    """Draws of each chain at each level: a share of the simulation's for all levels that are missing."""
    hottest = _uniform(chamber, _LEAST_DRAWS)
    missing = sum(_steps(low, high) - 1 for low, high in itertools.pairwise([(0.0, hottest), *own]))
    share = _SHARE * sum(energies.shape[1] for _, energies in own) / max(missing, 1)
    fewest = min(energies.shape[1] for _, energies in own)
    num_draws = min(max(int(share), _LEAST_DRAWS), _MOST_DRAWS, fewest)
    transitions = missing * chamber.plan.num_chains * (num_draws + chamber.bridge_warmup(num_draws))
    unit = _GRADIENTS if isinstance(chamber.kernel, AbstractStepSizeKernel) else 1
    if num_draws > share and transitions * unit * _num_sites(observed_space(chamber.energy)) > _FEW_UPDATES:
        raise Unreliable(
            f"the {missing} temperatures between infinity and the coldest one that it needs cost too much beside the "
            "simulation. More sweeps pay for them; or see energax free-energy."
        )
    return num_draws


def _uniform(chamber: Chamber, num_draws: int) -> Energies:
    key = jax.random.fold_in(chamber.key, _UNIFORM)
    keys = jax.random.split(key, chamber.plan.num_chains * num_draws)
    energies = _uniform_energies(chamber.energy, keys)
    return np.asarray(energies, np.float64).reshape(chamber.plan.num_chains, num_draws)


@eqx.filter_jit
def _uniform_energies(energy: AbstractEnergy, keys: Array) -> Array:
    law = Uniform(observed_space(energy))
    return jax.lax.map(lambda key: energy(law.draw(key=key)), keys, batch_size=100)


def _thinned(energies: Energies, num_draws: int) -> Energies:
    return energies[:, np.linspace(0, energies.shape[1] - 1, num_draws).astype(int)]


def _rounded(energies: Energies) -> Energies:
    """Energies to a millionth of their size, which is what chains in float32 know: equal ones become equal again."""
    finite = energies[np.isfinite(energies)]
    quantum = 2.0 ** (math.ceil(math.log2(max(float(np.abs(finite).max(initial=0.0)), 1e-300))) - 20)
    return np.round(energies / quantum) * quantum


def _not_mixed(chains: Mapping[float, Chains]) -> str:
    """What the chains of the simulation have against each other, empty if nothing."""
    moving = {t: c.draws["energy"] for t, c in chains.items() if np.ptp(c.draws["energy"]) > 0}
    worst, t = max(((r_hat(energies), t) for t, energies in moving.items()), default=(1.0, 1.0))
    if worst <= _WORST_R_HAT:
        return ""
    return f"R-hat of the energy is {worst:.2f} at T = {t:.4g}, above {_WORST_R_HAT:g}. More sweeps can help."


def _drift(levels: list[tuple[float, Energies]]) -> str:
    """Where short chains still move to another energy, judged by Student's law of their halves; empty if nowhere."""
    found = []
    for beta, energies in levels[1:]:
        first, second = (half.mean(axis=1) for half in np.array_split(energies, 2, axis=1))
        step = second - first
        scale = step.std(ddof=1) / math.sqrt(len(step))
        found.append((abs(step.mean()) / scale if scale > 0 else 0.0, beta))
    worst, beta = max(found)
    if worst <= student.isf(0.5 * _FALSE_ALARM / len(found), levels[0][1].shape[0] - 1):
        return ""
    return f"the energy at T = {1 / beta:.4g} still drifts, by {worst:.1f} error bars. More sweeps can help."


def _told(chamber: Chamber, ts: list[float], found: LadderHistogram, note: str) -> SimulatedLogZ:
    space = observed_space(chamber.energy)
    log_volume, num_sites = space.log_volume, _num_sites(space)
    points = []
    for t in ts:
        estimate, known = found.log_z(1.0 / t), _exact(chamber, t, _CHEAP_STATES)
        cell = {
            "value": estimate.value + log_volume,
            "stderr": math.nan if note else estimate.stderr,
            "exact": known,
        }
        scale = -t / num_sites
        each = {k: None if v is None else (abs(scale) if k == "stderr" else scale) * v for k, v in cell.items()}
        where = {"size": chamber.size, "temperature": t, "beta": 1.0 / t}
        points.append({**where, "log_z": cell, "free_energy_per_site": each})
    note = f"{_where(chamber)}no error bar of log Z can be believed: {note}" if note else ""
    return SimulatedLogZ(chamber.size, points, _curve(chamber, ts, found, log_volume), num_sites, note)


def _curve(chamber: Chamber, ts: list[float], found: LadderHistogram, log_volume: float) -> dict[str, list[float]]:
    if len(ts) < 2:
        return {}
    fine = np.linspace(min(ts), max(ts), _CURVE).tolist()
    curve = {"temperature": fine, "log_z": [found.log_z(1.0 / t).value + log_volume for t in fine]}
    known = [] if _exact(chamber, fine[0], _CHEAP_CURVE) is None else [_exact(chamber, t, _CHEAP_CURVE) for t in fine]
    return curve | ({"exact": [value for value in known if value is not None]} if known else {})


def _exact(chamber: Chamber, t: float, max_states: int) -> float | None:
    if chamber.system.log_z is not None and chamber.size is not None:
        known = chamber.system.log_z(chamber.size, t)
        if known is not None:
            return known
    try:
        energy = Tempered(chamber.energy, jax.numpy.asarray(1.0 / t, jax.numpy.result_type(float)))
        return exact.log_z(energy, max_states=max_states)
    except (NotTractable, Unreliable):
        return None
