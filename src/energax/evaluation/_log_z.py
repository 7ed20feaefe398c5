"""log Z as an interval with honest ends, from annealing in both directions."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any, Literal, cast

import jax
import numpy as np

from energax import exact as oracles
from energax._errors import ArgumentError, NotTractable, Unreliable
from energax._typing import PRNGKey
from energax.densities import AbstractDensity
from energax.energies import AbstractEnergy, Interpolated, blocks, is_confined, latent, observed_space
from energax.estimators import Estimate, Interval, IntervalKind, bar, ess_from_log_weights, log_z_from_work
from energax.evaluation._annealed import Weights, annealed
from energax.evaluation._bounds import mean_lower_bound
from energax.evaluation._equilibrium import visited_log_mass
from energax.evaluation._path import Prepared, prepare
from energax.evaluation._plan import Plan, make_plan
from energax.evaluation._result import LogZ
from energax.evaluation._reverse import Reverse, run_reverse
from energax.evaluation._rows import some_rows
from energax.evaluation._side import hidden_rows, hidden_side
from energax.kernels import HMC, AbstractKernel, BlockGibbs, HeatBath, target
from energax.random import choose
from energax.spaces import AbstractDiscreteSpace

_MAX_ROWS = 10_000
_BUDGET = 8_000_000
_LEAST_BUDGET = 20_000
_MIN_REVERSE_ESS = 10.0
_CHEAP_STATES = 2**20

Exact = Literal["auto", "ends"] | bool


def log_z(
    energy: AbstractEnergy,
    *,
    base: AbstractDensity | None = None,
    kernel: AbstractKernel | None = None,
    data: Any = None,
    level: float = 0.95,
    width: float = 0.3,
    num_levels: int | None = None,
    num_particles: int | None = None,
    budget: int = _BUDGET,
    exact: Exact = "auto",
    generator: str = "auto",
    progress: Callable[[int, int], None] | None = None,
    key: PRNGKey,
) -> LogZ:
    """Interval for log Z = log ∫ exp(−E), each end of which says what it rests on.

    **Lower end, certified.** Annealed importance sampling from a normalised base law gives independent weights with
    E w = Z, however badly the chains mix. With probability 1 − δ the bound of `mean_lower_bound` lies below log Z;
    δ = (1 − level)/2.

    **Upper end.** Annealing from the model back to the base gives weights with E w = 1/Z if it starts from draws of the
    model. Where the energy has an exact sampler these are exact draws and the end is *certified*. Otherwise they come
    from ladders of replicas (`sampling.replica_exchange`), and the end *assumes equilibrium*. The ladders are started
    from up to three families that know nothing of each other: the data (if given), annealing, and deep configurations
    far from each other that quenches from starts of many kinds find. The end is given only if nothing speaks against
    equilibrium:

    * the families agree: Kruskal–Wallis tests of ladder means of the energy, its spread, and the projections on the
      six directions in which the draws vary most; and of the reverse weights (false alarm 0.005 each time, Bonferroni);
    * R-hat over all ladders is at most 1.1 in each of these;
    * at least as many configurations as there are ladders travelled all the way from the base;
    * forward and reverse weights overlap (BAR), are not dominated by a few, and do not contradict each other: a
      reverse estimate below the forward one is refused at z = 3.3 (false alarm 0.0005);
    * the different discrete configurations that were seen do not already weigh more than the end allows;
    * annealing reaches every place that a search for modes, the data and a pilot lead to, if it weighs enough to
      matter; modes that a pilot misses are taken into the base first, unless the base is the caller's.

    Otherwise its kind is *none*, it is infinite, the value has no error bar, and a warning says why. A mode that none
    of the three finds, such as one that opens only if many hidden units of a large machine are on together, is
    invisible to any test of this kind: that is what "assumes equilibrium" means. Such a mode makes log Z larger, so
    that the lower end holds all the same.

    **Value.** Bennett's acceptance ratio of both directions, or the forward mean where there is no reverse.

    The path is E_t = (1 − t) E_base + t E with levels at constant thermodynamic speed. Pilots with keys of their own
    decide levels, step sizes and the number of particles, so that the level of the run is untouched by them.

    Exactness: the lower end at any budget. An energy in float32 carries its own rounding, about 1e-7 of its size.

    Cost: at most about `budget` transitions, and as much again where a hidden side is tried.

    Args:
        energy: The model. Of a latent energy log Z is that of the joint law, which its marginal shares.
        base: Base law of the path; by default independent sites fitted to the data or else to the model (discrete
            spaces), a normal law fitted likewise (Euclidean), the uniform law (boxes, tori).
        kernel: An exact kernel; by default block Gibbs, heat bath or HMC, whichever fits. Step sizes are tuned. A
            machine with at most 32 hidden units, and fewer than observed ones, whose upper end block Gibbs cannot hold
            is annealed once more on its hidden side, by heat bath with the observed units summed out; each attempt
            then has half of the probability to fail.
        data: Rows of data, an array or a split: starts of one family of ladders, and what the base is fitted to.
        level: Probability with which the ends that have a kind hold together.
        width: Wanted distance of the ends in nats; more particles are used up to the budget.
        num_levels: Number of levels, instead of a choice by pilots.
        num_particles: Particles in each direction, instead of a choice by pilots; rounded up to a multiple of 128.
        budget: The most transitions, pilots and ladders included.
        exact: ``"auto"``: also compute log Z exactly where that is cheap, beside the interval; False: do not;
            ``"ends"``: use it for the ends.
        generator: As in `sample`.
        progress: Called with (done, expected) transitions now and then.
        key: Typed random key.

    Returns:
        `LogZ`; it prints itself.

    Raises:
        NotTractable: The energy is known not to be integrable, or hidden units cannot be summed out.
        ArgumentError: A base law is needed, or options make no sense.
        KernelMismatch: The kernel does not fit the energy.
        Diverged: The energy is not a number on the way.

    Example:
        >>> import jax
        >>> from energax import energies, evaluation
        >>> rbm = energies.RBM(6, 4, scale=1.0, key=jax.random.key(0))
        >>> found = evaluation.log_z(rbm, key=jax.random.key(1), budget=200_000)
        >>> found.interval.contains(found.exact)
        True

    References:
        [neal2001], [grosse2015], [burda2015], [bennett1976], [syed2022], [waudbysmith2024]
    """
    warnings = _checked_options(energy, level, width, budget, num_levels, num_particles)
    space = observed_space(energy)
    known = _exact_value(energy) if exact in ("auto", "ends", True) else None
    if exact == "ends":
        return _exactly(energy, known, space.measure, level)
    keys = jax.random.split(choose(key, generator), 3)
    tell = _Progress(progress, budget)
    rows = None if data is None else some_rows(data, space, most=_MAX_ROWS, name="data")
    chosen = default_kernel(energy, base) if kernel is None else kernel
    if not chosen.exact:
        raise ArgumentError(f"log Z needs an exact kernel; {type(chosen).__name__} leaves exp(−E) only roughly alone.")
    target(energy, chosen)
    free = kernel is None and base is None and num_levels is None and num_particles is None
    side = hidden_side(energy) if free else None

    def attempt(energy: AbstractEnergy, kernel: AbstractKernel, rows: Any, budget: int, key: PRNGKey) -> LogZ:
        # Each of two attempts may fail in half of the cases in which the one may.
        own = level if side is None else 0.5 * (1.0 + level)
        return _attempt(energy, kernel, base, rows, own, width, num_levels, num_particles, budget, tell, key)

    found = attempt(energy, chosen, rows, budget, keys[0])
    if side is not None and found.interval.upper_kind == "none":
        rows = None if rows is None else jax.tree.map(np.asarray, hidden_rows(side, rows, key=keys[1]))
        tell.unit = cast(AbstractDiscreteSpace, side.space).num_sites
        other = attempt(side, HeatBath(), rows, max(budget // tell.unit, _LEAST_BUDGET), keys[2])
        if math.isfinite(other.interval.upper) or other.interval.lower > found.interval.lower:
            found = dataclasses.replace(other, diagnostics={**other.diagnostics, "side": "hidden"})
    tell.finish()
    interval = dataclasses.replace(found.interval, level=level)
    notes = (*warnings, *found.warnings)
    return dataclasses.replace(found, interval=interval, exact=known, measure=space.measure, warnings=notes)


def _attempt(
    energy: AbstractEnergy,
    kernel: AbstractKernel,
    base: AbstractDensity | None,
    rows: Any,
    level: float,
    width: float,
    num_levels: int | None,
    num_particles: int | None,
    budget: int,
    tell: _Progress,
    key: PRNGKey,
) -> LogZ:
    """The interval from one energy by one kernel."""
    keys = jax.random.split(key, 4)
    before = tell.done
    prepared = prepare(energy, kernel, base, rows, tell=tell, key=keys[0])
    plan = make_plan(
        prepared,
        width=width,
        budget=budget // 3,
        num_steps=None if num_levels is None else num_levels - 1,
        num_particles=num_particles,
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
    return _assemble(prepared, forward, reverse, level, width, plan, run)


def default_kernel(energy: AbstractEnergy, base: AbstractDensity | None = None) -> AbstractKernel:
    """The kernel that anneals `energy` well without being asked: block Gibbs, heat bath or HMC.

    Machines with real visible units keep their blocks on the way from a base without correlations, such as the one
    that is fitted for a kernel of blocks; from another base HMC runs on their free energy.
    """
    if observed_space(energy).is_discrete:
        return BlockGibbs() if blocks(energy) else HeatBath()
    between = energy if base is None or latent(energy) is None else Interpolated(base, energy, 0.5)
    return BlockGibbs() if latent(energy) is not None and blocks(between) else HMC(0.1, num_leapfrog=5)


class _Progress:
    """Counts transitions, and passes them on with what the run is expected to need."""

    def __init__(self, progress: Callable[[int, int], None] | None, budget: int) -> None:
        self.progress, self.budget, self.done, self.unit = progress, budget, 0, 1

    def __call__(self, num: int) -> None:
        self.done += num * self.unit
        if self.progress is not None:
            self.progress(min(self.done, self.budget - 1), self.budget)

    def finish(self) -> None:
        """Say that nothing more will come."""
        if self.progress is not None:
            self.progress(self.budget, self.budget)


def _checked_options(
    energy: AbstractEnergy,
    level: float,
    width: float,
    budget: int,
    num_levels: int | None,
    num_particles: int | None,
) -> list[str]:
    if not (0.0 < level < 1.0 and width > 0 and budget >= _LEAST_BUDGET):
        raise ArgumentError(
            f"log_z needs a level in (0, 1), a positive width and a budget of at least {_LEAST_BUDGET} transitions; "
            f"got level={level}, width={width}, budget={budget}."
        )
    if (num_levels is not None and num_levels < 2) or (num_particles is not None and num_particles < 2):
        raise ArgumentError(f"num_levels and num_particles must be at least 2; got {num_levels} and {num_particles}.")
    confined = is_confined(energy)
    if confined is False:
        raise NotTractable(
            f"exp(−E) of {type(energy).__name__} is not integrable over {observed_space(energy)}, so log Z is infinite "
            "and there is no likelihood. Give the energy a confinement (the default of energies.MLP)."
        )
    if confined is None:
        return [
            f"It is not known whether exp(−E) of {type(energy).__name__} is integrable over {observed_space(energy)}; "
            "if it is not, log Z is infinite and no finite run can show it."
        ]
    return []


def _exact_value(energy: AbstractEnergy) -> float | None:
    """Log Z without sampling where that is cheap, else None."""
    try:
        return oracles.log_z(energy, max_states=_CHEAP_STATES)
    except (NotTractable, Unreliable):
        return None


def _exactly(energy: AbstractEnergy, known: float | None, measure: str, level: float) -> LogZ:
    if known is None:
        raise NotTractable(
            f"exact='ends' was asked for, but log Z of {type(energy).__name__} on {observed_space(energy)} cannot be "
            "computed cheaply. Leave `exact` out."
        )
    del level
    return LogZ(known, 0.0, Interval(known, known, "exact", "exact", 1.0), known, measure)


def _describe(prepared: Prepared, plan: Plan, num_transitions: int) -> dict[str, Any]:
    return {
        "base": prepared.base,
        "kernel": type(prepared.kernel).__name__,
        "num_levels": plan.num_steps + 1,
        "num_particles": plan.num_particles,
        "group_size": plan.group_size,
        "thermodynamic_length": prepared.pilot.length,
        "num_transitions": num_transitions,
    }


def _assemble(
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
        "num_groups": len(forward.log_means),
        "reverse": back.value,
        "reverse_ess": ess_from_log_weights(reverse.weights.log_means),
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
    warnings += [f"The value is rough: {text}" for text in value.warnings]
    if width < upper - lower < math.inf:
        why = "the budget is spent" if plan.truncated else "the weights vary more than in the pilot"
        warnings.append(
            f"The interval is {upper - lower:.2g} nats wide, more than the wanted {width:g}: {why}. Raise `budget` "
            "(on the command line: energax evaluate RUN --budget N)."
        )
    interval = Interval(min(lower, value.value), max(upper, value.value), "certified", kind, level)
    measure = prepared.path.start.space.measure
    return LogZ(value.value, stderr, interval, None, measure, diagnostics, tuple(warnings))


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
