"""log Z of a path from annealing in both directions: the certified lower end, and the upper one with its objections."""

from __future__ import annotations

import math
from typing import Any

import jax
import numpy as np

from energax._errors import Unreliable
from energax._typing import PRNGKey
from energax.densities import AbstractDensity
from energax.energies import AbstractEnergy
from energax.estimators import (
    Estimate,
    Interval,
    IntervalKind,
    bar,
    ess_from_log_weights,
    log_z_from_work,
    pareto_shape,
)
from energax.evaluation._annealed import Weights, annealed
from energax.evaluation._bounds import mean_lower_bound
from energax.evaluation._equilibrium import visited_log_mass
from energax.evaluation._path import Prepared, prepare
from energax.evaluation._plan import Plan, make_plan
from energax.evaluation._progress import Transitions
from energax.evaluation._result import LogZ, Works
from energax.evaluation._reverse import Reverse, run_reverse
from energax.kernels import AbstractKernel
from energax.paths import AbstractPath

_MIN_REVERSE_ESS = 10.0
_HEAVY_TAIL = 0.7
"""Shape of the tail of the weights from which on their mean has no error bar that can be believed."""


def by_annealing(
    energy: AbstractEnergy,
    kernel: AbstractKernel,
    base: AbstractDensity | AbstractPath | None,
    rows: Any,
    level: float,
    width: float,
    num_levels: int | None,
    num_particles: int | None,
    resample: bool | None,
    budget: int,
    tell: Transitions,
    key: PRNGKey,
) -> LogZ:
    """The interval from one energy by one kernel.

    Args:
        energy: The model.
        kernel: The kernel.
        base: The caller's base or path, None for a choice.
        rows: Rows of data or None.
        level: Probability with which the ends hold together.
        width: Wanted distance of the ends.
        num_levels: Number of levels, None for a choice.
        num_particles: Particles in each direction, None for a choice.
        resample: Whether particles are resampled in groups, None for a choice.
        budget: The most transitions.
        tell: Counts transitions.
        key: Random key.
    """
    keys = jax.random.split(key, 4)
    before = tell.done
    prepared = prepare(energy, kernel, base, rows, tell=tell, key=keys[0])
    plan = make_plan(
        prepared,
        width=width,
        budget=budget // 3,
        num_steps=None if num_levels is None else num_levels - 1,
        num_particles=num_particles,
        resample=resample,
        tell=tell,
        key=keys[1],
    )
    forward = annealed(
        prepared.path,
        prepared.kernel,
        prepared.pilot,
        plan.num_steps,
        plan.num_particles,
        plan.group_size,
        tell=tell,
        key=keys[2],
    )
    reverse = run_reverse(energy, prepared, plan, rows, forward, budget=budget // 4, tell=tell, key=keys[3])
    run = _describe(prepared, plan, (tell.done - before) // tell.unit)
    return assemble(prepared, forward, reverse, level, width, plan, run)


def _describe(prepared: Prepared, plan: Plan, num_transitions: int) -> dict[str, Any]:
    lengths = prepared.pilot.lengths
    return {
        "base": prepared.base,
        "kernel": type(prepared.kernel).__name__,
        "num_levels": plan.num_steps + 1,
        "num_particles": plan.num_particles,
        "group_size": plan.group_size,
        "thermodynamic_length": prepared.pilot.length if lengths is None else float(lengths[-1]),
        "num_transitions": num_transitions,
    }


def assemble(
    prepared: Prepared,
    forward: Weights,
    reverse: Reverse,
    level: float,
    width: float,
    plan: Plan,
    run: dict[str, Any],
) -> LogZ:
    """The interval in the measure of the path, and what is wrong with it."""
    warnings: list[str] = []
    half = (1.0 - level) / 2.0
    lower = mean_lower_bound(forward.log_means, half)
    upper = -mean_lower_bound(reverse.weights.log_means, half)
    there = log_z_from_work(forward.log_weights, groups=forward.groups)
    back = log_z_from_work(reverse.weights.log_weights, groups=reverse.weights.groups, reverse=True)
    value, objections = _value(forward, reverse.weights, there, back)
    objections = [*reverse.objections, *objections, *_contradictions(prepared, reverse, lower, upper)]
    diagnostics = {
        **run,
        **reverse.diagnostics,
        "forward": there.value,
        "forward_ess": ess_from_log_weights(forward.log_means),
        "forward_pareto_shape": pareto_shape(forward.log_means),
        "num_groups": len(forward.log_means),
        "reverse": back.value,
        "reverse_ess": ess_from_log_weights(reverse.weights.log_means),
        "reverse_pareto_shape": pareto_shape(reverse.weights.log_means),
        "num_reverse_groups": len(reverse.weights.log_means),
        "estimator": value.method,
    }
    kind: IntervalKind = reverse.kind
    stderr = value.stderr
    if objections and kind == "assumes-equilibrium":
        diagnostics["upper_withheld"] = upper
        warnings.append(
            f"No upper end is given: {'; '.join(objections)}. The draws that it would start from may not be draws of "
            "the model. A larger budget (longer ladders) can help; modes that are truly apart need a better base. The "
            "value has no error bar either: what annealing has missed does not show in the spread of its weights."
        )
        value, stderr, upper, kind = there, math.nan, math.inf, "none"
    warnings += [f"The value is rough: {text}" for text in (*value.warnings, *_heavy_tails(diagnostics))]
    if width < upper - lower < math.inf:
        why = "the budget is spent" if plan.truncated else "the weights vary more than in the pilot"
        warnings.append(
            f"The interval is {upper - lower:.2g} nats wide, more than the wanted {width:g}: {why}. Raise `budget` "
            "(on the command line: energax evaluate RUN --budget N)."
        )
    interval = Interval(min(lower, value.value), max(upper, value.value), "certified", kind, level)
    measure = prepared.path.start.space.measure
    method = "ais" if plan.group_size == 1 else "smc"
    works = _works(forward, reverse.weights, back)
    told = tuple(warnings)
    return LogZ(
        value.value, stderr, interval, None, measure, diagnostics, told, method, works=works, path=forward.curve
    )


def _heavy_tails(diagnostics: dict[str, Any]) -> list[str]:
    """Directions whose largest weights say that what matters was hardly ever seen."""
    shapes = {way: diagnostics[f"{way}_pareto_shape"] for way in ("forward", "reverse")}
    return [
        f"the {way} weights have a tail of shape {shape:.2f}, above {_HEAVY_TAIL:g}: their mean has no error bar that "
        "can be believed, for regions that matter are hardly ever seen"
        for way, shape in shapes.items()
        if shape > _HEAVY_TAIL
    ]


def _works(forward: Weights, reverse: Weights, back: Estimate) -> Works | None:
    """The works of independent particles, which obey Crooks' theorem."""
    works = -forward.log_weights, -reverse.log_weights
    if forward.resampled or reverse.resampled or not all(np.isfinite(w).all() for w in works):
        return None
    return Works(*works, _inflation(reverse, back))


def _contradictions(prepared: Prepared, reverse: Reverse, lower: float, upper: float) -> list[str]:
    """What an upper end cannot be if the starts are draws of the model."""
    found: list[str] = []
    if upper < lower:
        found.append(f"the ends cross: {upper:.4g} from the model's side lies below {lower:.4g}")
    if reverse.visited and prepared.path.start.space.is_discrete:
        least = visited_log_mass(prepared.path, reverse.visited)
        if least > upper:
            found.append(
                f"the configurations seen already weigh exp({least:.5g}), more than the end {upper:.5g} allows"
            )
    return found


def _value(forward: Weights, reverse: Weights, there: Estimate, back: Estimate) -> tuple[Estimate, list[str]]:
    """The estimate from both directions, and what they hold against each other."""
    objections: list[str] = []
    if back.num_effective < _MIN_REVERSE_ESS:
        objections.append(f"the reverse weights are dominated by {back.num_effective:.1f} effective draws")
    z = (there.value - back.value) / max(math.hypot(there.stderr, back.stderr), 1e-9)
    if z > 3.3:
        objections.append(
            f"the reverse estimate {back.value:.4g} lies below the forward one {there.value:.4g} (z = {z:.1f})"
        )
    if forward.resampled or reverse.resampled:
        return _weighted_mean(there, back), objections
    try:
        # ΔF between base and model is −log Z; draws of one ladder count as one where they agree.
        both = bar(-forward.log_weights, -reverse.log_weights, tau_reverse=_inflation(reverse, back))
    except Unreliable:
        return there, [*objections, "forward and reverse work do not overlap"]
    return both.negated(), objections


def _weighted_mean(there: Estimate, back: Estimate) -> Estimate:
    """The two one-sided estimates with weights inverse to their variances: their biases have opposite signs."""
    if not (math.isfinite(there.stderr) and math.isfinite(back.stderr)):
        return there if math.isfinite(there.stderr) else back
    a, b = (1.0 / max(e.stderr, 1e-9) ** 2 for e in (there, back))
    value = (a * there.value + b * back.value) / (a + b)
    # Two numbers that disagree tell of an error that neither error bar holds.
    stderr = max(1.0 / math.sqrt(a + b), 0.5 * abs(there.value - back.value))
    return Estimate(value, stderr, there.num_effective + back.num_effective, "two-sided mean")


def _inflation(reverse: Weights, grouped: Estimate) -> float:
    """By how much the variance of the mean reverse weight exceeds that of independent draws."""
    single = log_z_from_work(reverse.log_weights, reverse=True).stderr
    ratio = (grouped.stderr / single) ** 2 if single > 0 else 1.0
    return ratio if ratio > 1.0 and math.isfinite(ratio) else 1.0
