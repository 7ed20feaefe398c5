"""Approximate draws of a model from ladders of replicas, and the tests that decide whether to believe them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, PyTree
from scipy.stats import kruskal

from energax._typing import PRNGKey
from energax.estimators import r_hat
from energax.evaluation._journal import kept
from energax.evaluation._pilot import Pilot
from energax.kernels import AbstractKernel, AbstractStepSizeKernel
from energax.paths import AbstractPath
from energax.sampling import ReplicaSamples, replica_exchange

KEPT = 32
"""Kept draws of each ladder in one round."""
FALSE_ALARM = 0.005
"""Probability with which ladders in equilibrium are said to disagree, over all compared statistics together."""
WORST_R_HAT = 1.1
_SPACING = 0.9
"""Thermodynamic length between neighbours of a ladder: about half of the swaps are accepted."""
_MAX_LEVELS = 64
_NUM_DIRECTIONS = 6


@dataclasses.dataclass(frozen=True)
class Ladders:
    """The last round of the ladders and what the tests say of it.

    Attributes:
        x: Kept draws at t = 1, (ladder, draw, *event).
        energy: Their energies, (ladder, draw).
        families: Which family each ladder belongs to, (ladder,).
        objections: Why the draws must not be taken for draws of the model; empty if nothing speaks against it.
        diagnostics: Numbers for the reader.
        num_transitions: Cost of all rounds.
    """

    x: PyTree[np.ndarray]
    energy: np.ndarray
    families: np.ndarray
    objections: tuple[str, ...]
    diagnostics: dict[str, Any]
    num_transitions: int


def ladder_levels(pilot: Pilot, spacing: float = _SPACING) -> np.ndarray:
    """Levels of a ladder at this thermodynamic length from each other; at 0.9 about half of its swaps are accepted."""
    return pilot.levels(int(np.clip(math.ceil(pilot.length / spacing) + 1, 4, _MAX_LEVELS)))


def run_ladders(
    path: AbstractPath,
    kernel: AbstractKernel,
    pilot: Pilot,
    starts: dict[str, PyTree[np.ndarray]],
    *,
    budget: int,
    tell: Callable[[int], None],
    key: PRNGKey,
) -> Ladders:
    """Run ladders from several families of starts until the families cannot be told apart, or the budget is spent.

    Each round is twice as long as the one before and only the last one counts. The first round is never judged. Where
    something speaks against the last round for which the budget suffices, what is left of it is spent on one more, as
    long or half as long: a false alarm does not come twice, two families that are apart stay apart.

    Args:
        path: The path to the model.
        kernel: The kernel.
        pilot: Where the levels and step sizes come from.
        starts: For each family its starts, axes (ladder, level, *event).
        budget: The most transitions.
        tell: Called with the number of transitions made.
        key: Random key.
    """
    ts = ladder_levels(pilot)
    names = list(starts)
    x = jax.tree.map(lambda *leaves: np.concatenate(leaves), *starts.values())
    families = np.repeat(np.arange(len(names)), [len(jax.tree.leaves(s)[0]) for s in starts.values()])
    steps = pilot.step_sizes_at(ts)
    if steps is not None and isinstance(kernel, AbstractStepSizeKernel):
        kernel = kernel.with_step_size(jnp.asarray(steps, kernel.step_size.dtype))
    thin, spent, index = max(2, math.ceil(len(ts) / 4)), 0, 0
    sweep_cost = len(families) * len(ts) * KEPT
    again = False
    while True:
        run = kept(
            lambda x=x, thin=thin, index=index: replica_exchange(
                path,
                kernel,
                ts,
                x,
                key=jax.random.fold_in(key, index),
                num_sweeps=KEPT * thin,
                thin=thin,
                throw=False,
            )
        )
        cost = sweep_cost * thin
        x, spent, index = run.last, spent + cost, index + 1
        tell(cost)
        if index == 1:
            continue
        objections, diagnostics = _judge(run, families, names)
        longer = _next_thin(thin, (budget - spent) // sweep_cost)
        if not objections or longer == 0 or (again and longer <= thin):
            break
        again, thin = longer <= thin, longer
    diagnostics |= {"num_ladders": len(families), "num_ladder_levels": len(ts), "num_rounds": index}
    return Ladders(run.x, run.energy, families, objections, diagnostics, spent)


def _next_thin(thin: int, most: int) -> int:
    """The longest that fits of a round twice as long, as long and half as long as the last one, 0 if none does."""
    return next((n for n in (2 * thin, thin, thin // 2) if 0 < n <= most), 0)


def _judge(run: ReplicaSamples, families: np.ndarray, names: list[str]) -> tuple[tuple[str, ...], dict[str, Any]]:
    """Objections to the last round, and the numbers they rest on."""
    found: list[str] = []
    statistics = _statistics(run)
    if not np.isfinite(run.energy).all():
        found.append("energies of the chains are not finite")
        return tuple(found), {}
    p_value = families_p_value({name: s.mean(1) for name, s in statistics.items()}, families)
    worst = max(_safe_r_hat(s) for s in statistics.values())
    arrivals = int(run.num_arrivals.sum())
    if p_value < FALSE_ALARM:
        found.append(
            f"ladders started from {' and '.join(names)} disagree (Kruskal-Wallis over {len(statistics)} statistics, "
            f"p = {p_value:.1g} < {FALSE_ALARM:g})"
        )
    if worst > WORST_R_HAT:
        found.append(f"R-hat over the ladders is {worst:.2f}, above {WORST_R_HAT:g}")
    if arrivals < len(families):
        found.append(
            f"only {arrivals} configurations travelled from t = 0 to t = 1 on {len(families)} ladders, "
            "fewer than one each"
        )
    return tuple(found), {
        "families": names,
        "families_p_value": p_value,
        "r_hat": worst,
        "num_arrivals": arrivals,
        "num_round_trips": int(run.num_round_trips.sum()),
        "swap_rate": float(run.swap_rate.mean()),
        "swap_rate_min": float(run.swap_rate.min()),
        "num_sweeps": run.settings["num_steps"],
    }


def families_p_value(statistics: dict[str, np.ndarray], families: np.ndarray) -> float:
    """Smallest p-value of Kruskal–Wallis tests of one number for each ladder between families, times their number."""
    if len(np.unique(families)) < 2:
        return 1.0
    smallest = 1.0
    for values in statistics.values():
        if np.ptp(values) > 0:
            groups = [values[families == f] for f in np.unique(families)]
            smallest = min(smallest, float(kruskal(*groups).pvalue))
    return min(1.0, smallest * len(statistics))


def _statistics(run: ReplicaSamples) -> dict[str, Float[np.ndarray, "ladder draw"]]:
    """What the draws are compared in: the energy, its spread, and the directions in which the draws vary most."""
    energy = np.asarray(run.energy, np.float64)
    found = {"energy": energy, "spread of the energy": (energy - np.median(energy)) ** 2}
    flat = np.concatenate(
        [np.asarray(leaf, np.float32).reshape(*energy.shape, -1) for leaf in jax.tree.leaves(run.x)], axis=2
    )
    centred = flat - flat.mean((0, 1))
    for index, direction in enumerate(_directions(centred.reshape(-1, centred.shape[2]))):
        found[f"direction {index}"] = (centred @ direction).astype(np.float64)
    return found


def _directions(rows: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "k d"]:
    """Principal directions of at most 4096 rows, by subspace iteration from fixed starts."""
    rows = rows[:: max(1, len(rows) // 4096)]
    num = min(_NUM_DIRECTIONS, rows.shape[1])
    basis = np.random.default_rng(0).normal(size=(rows.shape[1], num)).astype(np.float32)
    for _ in range(8):
        basis, _ = np.linalg.qr(rows.T @ (rows @ basis))
    return basis.T


def _safe_r_hat(chains: np.ndarray) -> float:
    return 1.0 if np.ptp(chains) == 0 else float(r_hat(chains))


@eqx.filter_jit
def observed_energies(path: AbstractPath, x: PyTree[Any]) -> Any:
    """E(x) of the model for rows of configurations."""
    return jax.vmap(lambda y: path.value(jnp.ones(()), y))(x)


def visited_log_mass(path: AbstractPath, populations: list[PyTree[np.ndarray]]) -> float:
    """Log Σ exp(−E(x)) over all different configurations in some populations: a number that log Z cannot lie below.

    Args:
        path: The path to a discrete model.
        populations: Configurations with one leading axis each.
    """
    x = jax.tree.map(lambda *leaves: np.concatenate(leaves), *populations)
    flat = np.concatenate([leaf.reshape(len(leaf), -1) for leaf in jax.tree.leaves(x)], axis=1)
    _, index = np.unique(flat, axis=0, return_index=True)
    chosen = jax.tree.map(lambda leaf: leaf[np.resize(index, 2 ** math.ceil(math.log2(len(index))))], x)
    values = -np.asarray(observed_energies(path, chosen), np.float64)[: len(index)]
    top = values.max()
    return float(top + math.log(np.exp(values - top).sum()))
