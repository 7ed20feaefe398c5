"""Annealing from the model back to the base: where the starts come from, and what speaks against them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jaxtyping import PyTree

from energax._typing import PRNGKey
from energax.energies import AbstractEnergy, exact_draw, observed
from energax.estimators import IntervalKind, log_mean_exp
from energax.evaluation._annealed import BATCH, Weights, annealed, log_spread
from energax.evaluation._equilibrium import Ladders, families_p_value, ladder_levels, run_ladders
from energax.evaluation._path import Prepared
from energax.evaluation._plan import Plan

FALSE_ALARM = 0.005
_FAMILY_SIZES = (64, 32, 16)


@dataclasses.dataclass(frozen=True)
class Reverse:
    """Weights of the reverse direction and the case for their starts.

    Attributes:
        weights: The weights; E w = 1/Z if the starts are draws of the model.
        kind: ``"certified"`` for exact draws, else ``"assumes-equilibrium"``.
        objections: What speaks against equilibrium.
        diagnostics: Numbers by name.
        visited: Configurations that were seen at t = 1.
    """

    weights: Weights
    kind: IntervalKind
    objections: tuple[str, ...]
    diagnostics: dict[str, Any]
    visited: list[PyTree[np.ndarray]]


def run_reverse(
    energy: AbstractEnergy,
    prepared: Prepared,
    plan: Plan,
    rows: Any,
    forward: Weights,
    *,
    budget: int,
    tell: Callable[[int], None],
    key: PRNGKey,
) -> Reverse:
    """Draw starts as well as that is possible, anneal them back, and collect objections.

    Where nothing speaks against the ladders but their families disagree in the reverse weights, both are made once
    more with other random numbers: a false alarm does not come twice.

    Args:
        energy: The model.
        prepared: The path with its pilot.
        plan: The size of the run.
        rows: Rows of data or None.
        forward: The forward run.
        budget: The most transitions for ladders of replicas.
        tell: Called with the number of transitions made.
        key: Random key.
    """
    draw_key, anneal_key, probe_key, pick_key = jax.random.split(key, 4)

    def back(x0: PyTree[np.ndarray], num: int, key: PRNGKey, groups: np.ndarray | None = None) -> Weights:
        return annealed(
            prepared.path,
            prepared.kernel,
            prepared.pilot,
            plan.num_steps,
            num,
            plan.group_size,
            x0=x0,
            groups=groups,
            tell=tell,
            key=key,
        )

    if prepared.found is None:
        draw = jax.vmap(lambda k: observed(energy, exact_draw(energy, key=k)))
        exact = jax.tree.map(np.asarray, draw(jax.random.split(draw_key, plan.num_particles)))
        weights = back(exact, plan.num_particles, anneal_key)
        return Reverse(weights, "certified", (), {"starts": "exact draws"}, [])
    rng = np.random.default_rng(np.asarray(jax.random.bits(pick_key, (4,), np.uint32)))

    def attempt(draw_key: PRNGKey, anneal_key: PRNGKey) -> tuple[Ladders, Weights, list[str], float]:
        ladders = _ladders(prepared, rows, forward, rng, budget=budget, tell=tell, key=draw_key)
        x0, groups = _from_ladders(ladders, plan)
        weights = back(x0, len(groups), anneal_key, groups)
        return ladders, weights, *_judge_weights(weights, ladders, plan, forward)

    ladders, weights, found, p_value = attempt(draw_key, anneal_key)
    if not ladders.objections and p_value < FALSE_ALARM:
        ladders, weights, found, p_value = attempt(*(jax.random.fold_in(key, 1) for key in (draw_key, anneal_key)))
    objections = [*ladders.objections, *_judge_places(prepared, plan, forward, tell=tell, key=probe_key)]
    diagnostics = {**ladders.diagnostics, "starts": "ladders of replicas", "reverse_families_p_value": p_value}
    flat = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), ladders.x)
    assert prepared.places is not None
    visited = [flat, prepared.found, prepared.places.ends, forward.x]
    return Reverse(weights, "assumes-equilibrium", (*objections, *found), diagnostics, visited)


def _ladders(
    prepared: Prepared,
    rows: Any,
    forward: Weights,
    rng: np.random.Generator,
    *,
    budget: int,
    tell: Callable[[int], None],
    key: PRNGKey,
) -> Ladders:
    """Ladders of replicas from the data, from annealing and from the search for modes."""
    pilot, levels = prepared.pilot, ladder_levels(prepared.pilot)
    num_families = 2 if rows is None else 3
    # A warm-up and two judged rounds have to fit into the budget; fewer ladders make a weaker test, so not below 16.
    room = budget / (num_families * len(levels) * 32 * 5 * max(2, math.ceil(len(levels) / 4)))
    num = next((n for n in _FAMILY_SIZES if n <= room), _FAMILY_SIZES[-1])
    nearest = np.abs(pilot.ts[pilot.kept][None] - levels[:, None]).argmin(1)
    picks = rng.integers(jax.tree.leaves(pilot.x)[0].shape[1], size=(num, len(levels)))
    last = _from_annealing(forward, num, rng)

    def anneal_starts(populations: np.ndarray, final: np.ndarray) -> np.ndarray:
        x = np.array(populations[nearest[None], picks])
        x[:, -1] = final
        return x

    starts = {
        "annealing": jax.tree.map(anneal_starts, pilot.x, last),
        "a search for modes": jax.tree.map(
            lambda leaf: np.repeat(leaf[:num][:, None], len(levels), axis=1), prepared.found
        ),
    }
    if rows is not None:
        chosen = rng.integers(jax.tree.leaves(rows)[0].shape[0], size=(num, len(levels)))
        starts = {"the data": jax.tree.map(lambda leaf: leaf[chosen], rows), **starts}
    return run_ladders(prepared.path, prepared.kernel, pilot, starts, budget=budget, tell=tell, key=key)


def _from_annealing(forward: Weights, num: int, rng: np.random.Generator) -> PyTree[np.ndarray]:
    """Configurations picked with the weights of the forward run."""
    shares = np.exp(forward.log_weights - forward.log_weights.max())
    picks = rng.choice(len(shares), size=num, p=shares / shares.sum())
    return jax.tree.map(lambda leaf: leaf[picks], forward.x)


def _from_ladders(ladders: Ladders, plan: Plan) -> tuple[PyTree[np.ndarray], np.ndarray]:
    """Draws of every ladder, late ones and far apart, and the independent group that each belongs to."""
    count, kept = ladders.energy.shape
    draws = 1
    while count * draws < plan.num_particles and draws < kept:
        draws *= 2
    while count * draws % BATCH:
        draws += 1
    chosen = np.linspace(0, kept - 1, draws + 1).astype(int)[1:]
    x0 = jax.tree.map(lambda leaf: leaf[:, chosen].reshape(-1, *leaf.shape[2:]), ladders.x)
    together = _ladders_per_group(count * draws, count, plan.group_size)
    return x0, np.repeat(np.arange(count) // together, draws)


def _ladders_per_group(num_starts: int, num_ladders: int, group_size: int) -> int:
    """How many ladders share a group of resampled particles."""
    return max(1, group_size * num_ladders // num_starts)


def _judge_weights(weights: Weights, ladders: Ladders, plan: Plan, forward: Weights) -> tuple[list[str], float]:
    """What the reverse weights say against the ladders, and the p-value of the families' agreement in them."""
    found: list[str] = []
    together = _ladders_per_group(len(weights.log_weights), len(ladders.families), plan.group_size)
    p_value = families_p_value({"reverse weight": weights.log_means}, ladders.families[::together])
    if p_value < FALSE_ALARM:
        found.append(f"the families disagree in their reverse weights (p = {p_value:.1g} < {FALSE_ALARM:g})")
    stuck = int(np.sum(-weights.log_means - log_mean_exp(forward.log_weights) > _limit(plan, forward)))
    if stuck:
        found.append(f"{stuck} ladders stay in places that annealing hardly ever reaches")
    return found, p_value


def _judge_places(
    prepared: Prepared, plan: Plan, forward: Weights, *, tell: Callable[[int], None], key: PRNGKey
) -> list[str]:
    """Whether annealing reaches every place that matters.

    Started at any x, the reverse weight has mean f(x)/(p(x) Z) with the law f of annealed particles: the log of its
    inverse exceeds log Z by how much annealing under-represents the place. Where that is more than the weights of the
    forward run vary, the place is one that the forward run has never seen.
    """
    places = prepared.places
    assert places is not None
    run = annealed(
        prepared.path,
        prepared.kernel,
        prepared.pilot,
        plan.num_steps,
        BATCH,
        1,
        x0=places.ends,
        tell=tell,
        key=key,
    )
    excess = -run.log_weights - log_mean_exp(forward.log_weights)
    limit = _limit(plan, forward)
    beyond = (excess > limit) & places.matters(excess)
    if not beyond.any():
        return []
    return [
        f"annealing hardly ever reaches {int(beyond.sum())} of {len(excess)} places that a search for modes, the data "
        f"or a pilot led to (too rare by up to e^{float(excess[beyond].max()):.3g}; the limit is e^{limit:.2g})"
    ]


def _limit(plan: Plan, forward: Weights) -> float:
    """The largest excess that is still chance: 4.5 standard deviations of normal log work, and a factor e² on top."""
    spread = plan.spread if plan.group_size > 1 else log_spread(forward.log_weights)
    return 0.5 * spread**2 + 4.5 * spread + 2.0
