"""log Z as an interval with honest ends, from annealing in both directions."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any, Literal

import jax
import numpy as np
from jaxtyping import PyTree

from energax import exact as oracles
from energax._errors import ArgumentError, NotTractable, Unreliable
from energax._typing import PRNGKey
from energax.densities import AbstractDensity
from energax.energies import AbstractEnergy, blocks, exact_draw, is_confined, observed, observed_space
from energax.estimators import Estimate, Interval, IntervalKind, bar, ess_from_log_weights, group_log_z, log_z_from_work
from energax.evaluation._base_law import default_base, fit_base
from energax.evaluation._bounds import mean_lower_bound
from energax.evaluation._equilibrium import Ladders, families_p_value, ladder_levels, run_ladders, visited_log_mass
from energax.evaluation._hunt import hunt
from energax.evaluation._pilot import Pilot, run_pilot
from energax.evaluation._plan import BATCH, Plan, annealed, make_plan
from energax.evaluation._result import LogZ
from energax.evaluation._rows import some_rows
from energax.kernels import HMC, AbstractKernel, BlockGibbs, HeatBath, target
from energax.paths import Geometric
from energax.random import choose
from energax.spaces import AbstractSpace

_MAX_ROWS = 10_000
_BUDGET = 6_000_000
_FALSE_ALARM = 0.005
_MIN_REVERSE_ESS = 10.0
_CHEAP_STATES = 2**20

Exact = Literal["auto", "ends"] | bool


@dataclasses.dataclass(frozen=True)
class _Reverse:
    """Reverse weights, the independent group that each belongs to, and what the starts were."""

    log_weights: np.ndarray
    groups: np.ndarray
    kind: IntervalKind
    objections: tuple[str, ...]
    diagnostics: dict[str, Any]
    visited: list[PyTree[np.ndarray]]


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
    from up to three families that know nothing of each other: the data (if given), annealing, and the deepest
    configurations that quenches from starts of many kinds find. The end is given only if nothing speaks against
    equilibrium:

    * the families agree: Kruskal–Wallis tests of ladder means of the energy, its spread, and the projections on the
      six directions in which the draws vary most; and of the reverse weights (false alarm 0.005 each time, Bonferroni);
    * R-hat over all ladders is at most 1.1 in each of these;
    * at least as many configurations as there are ladders travelled all the way from the base;
    * forward and reverse weights overlap (BAR), are not dominated by a few, and do not contradict each other: a
      reverse estimate below the forward one is refused at z = 3.3 (false alarm 0.0005);
    * the different discrete configurations that were seen do not already weigh more than the end allows.

    Otherwise its kind is *none*, it is infinite, and a warning says why. A mode that none of the three finds is
    invisible to any test of this kind: that is what "assumes equilibrium" means.

    **Value.** Bennett's acceptance ratio of both directions, or the forward mean where there is no reverse.

    The path is E_t = (1 − t) E_base + t E with levels at constant thermodynamic speed. Pilots with keys of their own
    decide levels, step sizes and the number of particles, so that the level of the run is untouched by them.

    Exactness: the lower end at any budget. An energy in float32 carries its own rounding, about 1e-7 of its size.

    Cost: at most about `budget` transitions.

    Args:
        energy: The model. Of a latent energy log Z is that of the joint law, which its marginal shares.
        base: Base law of the path; by default independent sites fitted to the data or else to the model (discrete
            spaces), a normal law fitted likewise (Euclidean), the uniform law (boxes, tori).
        kernel: An exact kernel; by default block Gibbs, heat bath or HMC, whichever fits. Step sizes are tuned.
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
    key = choose(key, generator)
    keys = jax.random.split(key, 6)
    tell = _Progress(progress, budget)
    kernel = default_kernel(energy) if kernel is None else kernel
    if not kernel.exact:
        raise ArgumentError(f"log Z needs an exact kernel; {type(kernel).__name__} leaves exp(−E) only roughly alone.")
    target(energy, kernel)
    rows = None if data is None else some_rows(data, space, most=_MAX_ROWS, name="data")
    base = _choose_base(energy, kernel, base, rows, key=keys[0]) if base is None else base
    path = Geometric(base, energy)
    pilot = run_pilot(path, kernel, key=keys[1])
    tell(pilot.num_transitions)
    plan = make_plan(
        path,
        kernel,
        pilot,
        width=width,
        budget=budget // 4,
        num_levels=num_levels,
        num_particles=num_particles,
        tell=tell,
        key=keys[2],
    )
    ts = pilot.levels(plan.num_levels + 1)
    steps = pilot.step_sizes_at(ts)
    forward, particles = annealed(path, kernel, ts, steps, plan.num_particles, tell=tell, key=keys[3])
    reverse = _reverse(path, kernel, pilot, plan, rows, (forward, particles), budget=budget, tell=tell, key=keys[4])
    tell.finish()
    run = {
        "base": type(base).__name__,
        "kernel": type(kernel).__name__,
        "num_levels": len(ts),
        "num_particles": plan.num_particles,
        "thermodynamic_length": pilot.length,
        "num_transitions": tell.done,
    }
    return _assemble(path, forward, particles, reverse, level, width, plan, known, space, run, warnings)


def default_kernel(energy: AbstractEnergy) -> AbstractKernel:
    """The kernel that anneals `energy` well without being asked: block Gibbs, heat bath or HMC."""
    if not observed_space(energy).is_discrete:
        return HMC(0.1, num_leapfrog=5)
    return BlockGibbs() if blocks(energy) else HeatBath()


class _Progress:
    """Counts transitions, and passes them on with what the run is expected to need."""

    def __init__(self, progress: Callable[[int, int], None] | None, budget: int) -> None:
        self.progress, self.budget, self.done = progress, budget, 0

    def __call__(self, num: int) -> None:
        self.done += num
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
    if not (0.0 < level < 1.0 and width > 0 and budget >= 20_000):
        raise ArgumentError(
            f"log_z needs a level in (0, 1), a positive width and a budget of at least 20000 transitions; got "
            f"level={level}, width={width}, budget={budget}."
        )
    if (num_levels is not None and num_levels < 2) or (num_particles is not None and num_particles < 2):
        raise ArgumentError(
            f"num_levels and num_particles must be at least 2; got {num_levels} and {num_particles}."
        )
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


def _choose_base(
    energy: AbstractEnergy, kernel: AbstractKernel, base: AbstractDensity | None, rows: Any, *, key: PRNGKey
) -> AbstractDensity:
    """A base fitted to the data, or without data to the model as a short run along a plain path finds it."""
    space = observed_space(energy)
    if rows is not None:
        return fit_base(space, rows)
    plain = default_base(space)
    pilot = run_pilot(Geometric(plain, energy), kernel, key=key)
    return fit_base(space, jax.tree.map(lambda leaf: leaf[-1], pilot.x))


# -- the reverse direction -------------------------------------------------------------------------------------------


def _reverse(
    path: Geometric,
    kernel: AbstractKernel,
    pilot: Pilot,
    plan: Plan,
    rows: Any,
    forward: tuple[np.ndarray, PyTree[np.ndarray]],
    *,
    budget: int,
    tell: Callable[[int], None],
    key: PRNGKey,
) -> _Reverse:
    draw_key, anneal_key = jax.random.split(key)
    ts = pilot.levels(plan.num_levels + 1)[::-1]
    steps = pilot.step_sizes_at(ts)
    exact = _exact_draws(path.target, plan.num_particles, key=draw_key)
    if exact is not None:
        log_w, _ = annealed(path, kernel, ts, steps, plan.num_particles, x0=exact, tell=tell, key=anneal_key)
        return _Reverse(log_w, np.arange(len(log_w)), "certified", (), {"starts": "exact draws"}, [])
    ladders, hunted = _ladders(path, kernel, pilot, rows, forward, budget=budget // 2, tell=tell, key=draw_key)
    count = len(ladders.families)
    draws = max(1, min(ladders.energy.shape[1], round(plan.num_particles / count)))
    while draws * count % BATCH:
        draws += 1
    kept = np.linspace(0, ladders.energy.shape[1] - 1, draws + 1).astype(int)[1:]
    x0 = jax.tree.map(lambda leaf: leaf[:, kept].reshape(-1, *leaf.shape[2:]), ladders.x)
    log_w, _ = annealed(path, kernel, ts, steps, draws * count, x0=x0, tell=tell, key=anneal_key)
    groups = np.repeat(np.arange(count), draws)
    seen = {"reverse weight": group_log_z(log_w, groups, reverse=True)}
    p_value = families_p_value(seen, ladders.families)
    objections = ladders.objections
    if p_value < _FALSE_ALARM:
        objections += (f"the families disagree in their reverse weights (p = {p_value:.1g} < {_FALSE_ALARM:g})",)
    visited = [jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), ladders.x), hunted, forward[1]]
    diagnostics = {"starts": "ladders of replicas", **ladders.diagnostics, "reverse_families_p_value": p_value}
    return _Reverse(log_w, groups, "assumes-equilibrium", objections, diagnostics, visited)


def _exact_draws(energy: AbstractEnergy, num: int, *, key: PRNGKey) -> PyTree[np.ndarray] | None:
    def draw(key: PRNGKey) -> Any:
        return observed(energy, exact_draw(energy, key=key))

    try:
        return jax.tree.map(np.asarray, jax.vmap(draw)(jax.random.split(key, num)))
    except NotTractable:
        return None


def _ladders(
    path: Geometric,
    kernel: AbstractKernel,
    pilot: Pilot,
    rows: Any,
    forward: tuple[np.ndarray, PyTree[np.ndarray]],
    *,
    budget: int,
    tell: Callable[[int], None],
    key: PRNGKey,
) -> tuple[Ladders, PyTree[np.ndarray]]:
    """Ladders from all families of starts, and the configurations that the hunt found."""
    hunt_key, run_key, pick_key = jax.random.split(key, 3)
    levels = ladder_levels(pilot)
    num_families = 2 if rows is None else 3
    # Two judged rounds of a good length fit into the budget; fewer ladders make a weaker test, so not below 16.
    room = budget / (num_families * len(levels) * 32 * 3 * max(2, math.ceil(len(levels) / 4)))
    num = next((n for n in (64, 32) if n <= room), 16)
    hunted = hunt(path.target, kernel, path.base, num=num, num_sweeps=48, key=hunt_key)
    rng = np.random.default_rng(np.asarray(jax.random.bits(pick_key, (4,), np.uint32)))
    starts = {
        "annealing": _annealing_starts(pilot, levels, forward, num, rng),
        "a search for modes": jax.tree.map(lambda leaf: np.repeat(leaf[:, None], len(levels), axis=1), hunted),
    }
    if rows is not None:
        picks = rng.integers(len(jax.tree.leaves(rows)[0]), size=(num, len(levels)))
        starts = {"the data": jax.tree.map(lambda leaf: leaf[picks], rows), **starts}
    return run_ladders(path, kernel, pilot, starts, budget=budget, tell=tell, key=run_key), hunted


def _annealing_starts(
    pilot: Pilot,
    levels: np.ndarray,
    forward: tuple[np.ndarray, PyTree[np.ndarray]],
    num: int,
    rng: np.random.Generator,
) -> PyTree[np.ndarray]:
    """Particles of the pilot at the lower levels, those of the run picked by their weights at the last one."""
    log_w, particles = forward
    nearest = np.abs(pilot.ts[None] - levels[:, None]).argmin(1)
    picks = rng.integers(jax.tree.leaves(pilot.x)[0].shape[1], size=(num, len(levels)))
    shares = np.exp(log_w - log_w.max())
    last = rng.choice(len(log_w), size=num, p=shares / shares.sum())

    def pick(populations: np.ndarray, final: np.ndarray) -> np.ndarray:
        x = np.array(populations[nearest[None], picks])
        x[:, -1] = final[last]
        return x

    return jax.tree.map(pick, pilot.x, particles)


# -- the result ------------------------------------------------------------------------------------------------------


def _assemble(
    path: Geometric,
    forward: np.ndarray,
    particles: PyTree[np.ndarray],
    reverse: _Reverse,
    level: float,
    width: float,
    plan: Plan,
    known: float | None,
    space: AbstractSpace,
    run: dict[str, Any],
    warnings: list[str],
) -> LogZ:
    del particles
    half = (1.0 - level) / 2.0
    lower = mean_lower_bound(forward, half)
    inverse = -group_log_z(reverse.log_weights, reverse.groups, reverse=True)
    upper = -mean_lower_bound(inverse, half)
    there = log_z_from_work(forward)
    back = log_z_from_work(reverse.log_weights, groups=reverse.groups, reverse=True)
    value, objections = _value(forward, reverse, there, back)
    objections = [*reverse.objections, *objections]
    if upper < lower:
        objections.append(f"the ends cross: {upper:.4g} from the model's side lies below {lower:.4g}")
    if reverse.visited and space.is_discrete:
        least = visited_log_mass(path, reverse.visited)
        if least > upper:
            objections.append(
                f"the configurations that were seen already weigh exp({least:.5g}), more than the end {upper:.5g} allows"
            )
    diagnostics = {
        **run,
        **reverse.diagnostics,
        "forward": there.value,
        "forward_ess": ess_from_log_weights(forward),
        "reverse": back.value,
        "reverse_ess": ess_from_log_weights(inverse),
        "num_reverse_groups": len(inverse),
        "bar_overlap": value.diagnostics.get("overlap", math.nan),
    }
    kind: IntervalKind = reverse.kind
    if objections and kind == "assumes-equilibrium":
        diagnostics["upper_withheld"] = upper
        warnings.append(
            f"No upper end is given: {'; '.join(objections)}. The draws that it would start from may not be draws of "
            "the model. A larger budget (longer ladders) can help; modes that are truly apart need a better base."
        )
        value, upper, kind = there, math.inf, "none"
    warnings += [f"The value is rough: {text}" for text in value.warnings]
    if upper - lower > width and math.isfinite(upper):
        why = "the budget is spent" if plan.truncated else "the weights vary more than in the pilot"
        warnings.append(
            f"The interval is {upper - lower:.2g} nats wide, more than the wanted {width:g}: {why}. Raise `budget`, or "
            "`num_levels`."
        )
    upper = max(upper, value.value)
    interval = Interval(min(lower, value.value), upper, "certified", kind, level)
    return LogZ(value.value, value.stderr, interval, known, space.measure, diagnostics, tuple(warnings))


def _value(forward: np.ndarray, reverse: _Reverse, there: Estimate, back: Estimate) -> tuple[Estimate, list[str]]:
    """BAR of both directions, and what they hold against each other."""
    objections: list[str] = []
    if back.num_effective < _MIN_REVERSE_ESS:
        objections.append(f"the reverse weights are dominated by {back.num_effective:.1f} effective draws")
    z = (there.value - back.value) / math.hypot(there.stderr, back.stderr)
    if z > 3.3:
        objections.append(
            f"the reverse estimate {back.value:.4g} lies below the forward one {there.value:.4g} (z = {z:.1f})"
        )
    try:
        both = bar(-forward, -reverse.log_weights)
    except Unreliable:
        return there, [*objections, "forward and reverse work do not overlap"]
    # ΔF between base and model is −log Z; draws of one ladder count as one where they agree.
    inflation = _inflation(reverse)
    both = bar(-forward, -reverse.log_weights, tau_reverse=inflation)
    return both.negated(), objections


def _inflation(reverse: _Reverse) -> float:
    """By how much the variance of the mean reverse weight exceeds that of independent draws."""
    single = log_z_from_work(reverse.log_weights, reverse=True).stderr
    grouped = log_z_from_work(reverse.log_weights, groups=reverse.groups, reverse=True).stderr
    ratio = (grouped / single) ** 2 if single > 0 else 1.0
    return ratio if ratio > 1.0 and math.isfinite(ratio) else 1.0
