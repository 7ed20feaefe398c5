"""log Z as an interval with honest ends, by the method that fits."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any, cast

import jax

from energax import exact as oracles
from energax._errors import ArgumentError, NotTractable, Unreliable, nearest
from energax._typing import PRNGKey
from energax.densities import AbstractDensity
from energax.energies import AbstractEnergy, is_confined, observed_space
from energax.estimators import Interval
from energax.evaluation._attempts import (
    LEAST_BUDGET,
    annealing,
    is_tempered,
    path_tempering,
    side_annealing,
    tempering,
)
from energax.evaluation._progress import Transitions
from energax.evaluation._result import LogZ
from energax.evaluation._rows import some_rows
from energax.evaluation._side import hidden_side
from energax.evaluation._thermodynamics import FLAT_METHODS
from energax.kernels import AbstractKernel
from energax.paths import AbstractPath
from energax.random import choose
from energax.spaces import AbstractDiscreteSpace

METHODS = ("auto", "ais", "smc", "pt-mbar", "ti", *FLAT_METHODS, "exact")
_MAX_ROWS = 10_000
_BUDGET = 8_000_000
_CHEAP_STATES = 2**20
_FEW_HIDDEN = 16
_ANNEALED_WIDTH, _TEMPERED_WIDTH = 0.3, 0.01


def log_z(
    energy: AbstractEnergy,
    *,
    base: AbstractDensity | AbstractPath | None = None,
    kernel: AbstractKernel | None = None,
    data: Any = None,
    level: float = 0.95,
    width: float | None = None,
    num_levels: int | None = None,
    num_particles: int | None = None,
    budget: int = _BUDGET,
    method: str = "auto",
    exact: bool = True,
    generator: str = "auto",
    progress: Callable[[int, int], None] | None = None,
    key: PRNGKey,
) -> LogZ:
    """Interval for log Z = log ∫ exp(−E), each end of which says what it rests on.

    **Methods.** ``"auto"`` takes replica exchange (``"pt-mbar"``) for energies without hidden units where nothing else
    is asked for and no data are given, and annealing in both directions for all others; if what it took has no upper
    end, the next one that fits is tried, and each attempt then has its share of the probability to fail. ``method`` of
    the result says which one spoke.

    ``"ais"`` and ``"smc"``: annealing, as follows, with independent or with resampled particles (``"auto"`` decides by
    a pilot). ``"pt-mbar"``: replica exchange from β = 0, see `thermodynamics`; along (1 − t) E_0 + t E from a base law
    where the space has no uniform one, or where a base is given. (Without one or data E_0 is the normal law that the
    space declares.) Both ends *assume equilibrium*; on Euclidean spaces the virial ⟨x ∂E/∂x⟩ = 1 of the draws is
    tested as well, which a tail or a neck changes that all ladders miss. ``"ti"``: the same draws, integrated,
    −∫ ⟨E⟩ dβ.
    ``"wang-landau"`` and ``"multicanonical"``, for discrete energies: flat histograms, see `thermodynamics`.
    ``"exact"``: no sampling, where that is cheap.

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
      six directions in which the draws vary most; and of the reverse weights (false alarm 0.005 each time, Bonferroni;
      what the weights alone say is looked at again with other random numbers, and counts if it is said twice);
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
            spaces), a normal law fitted likewise (Euclidean), the uniform law (boxes, tori). Or a whole path that ends
            at the energy, such as `paths.Trajectory`.
        kernel: An exact kernel; by default block Gibbs, heat bath or HMC, whichever fits. Step sizes are tuned. A
            machine with at most 16 hidden units, and fewer than observed ones, is annealed on its hidden side, by heat
            bath with the observed units summed out; one with at most 32 if block Gibbs cannot hold the upper end.
        data: Rows of data, an array or a split: starts of one family of ladders, and what the base is fitted to.
        level: Probability with which the ends that have a kind hold together.
        width: Wanted distance of the ends in nats, by default 0.3 where particles are annealed and 0.01 with
            ``"pt-mbar"`` and ``"ti"``; more is computed up to the budget.
        num_levels: Number of levels, instead of a choice by pilots.
        num_particles: Particles in each direction, instead of a choice by pilots; rounded up to a multiple of 128.
        budget: The most transitions, pilots and ladders included.
        method: ``"auto"``, ``"ais"``, ``"smc"``, ``"pt-mbar"``, ``"ti"``, ``"wang-landau"``, ``"multicanonical"``
            or ``"exact"``.
        exact: Also compute log Z exactly where that is cheap, beside the interval, which never uses it.
        generator: As in `sample`.
        progress: Called with (done, expected) transitions now and then.
        key: Typed random key.

    Returns:
        `LogZ`; it prints itself.

    Raises:
        NotTractable: The energy is known not to be integrable, or hidden units cannot be summed out.
        ArgumentError: A base law is needed, options make no sense, or belong to another method.
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
    if method not in METHODS:
        raise ArgumentError(f"Unknown method {method!r}. {nearest(method, METHODS)}")
    space = observed_space(energy)
    known = _exact_value(energy) if exact or method == "exact" else None
    if method == "exact":
        return _exactly(energy, known, space.measure)
    keys = jax.random.split(choose(key, generator), 3)
    tell = Transitions(progress, budget)
    rows = None if data is None else some_rows(data, space, most=_MAX_ROWS, name="data")
    free = base is None and num_levels is None and num_particles is None
    side = hidden_side(energy) if free and kernel is None else None
    tempered = method in ("pt-mbar", "ti", *FLAT_METHODS)
    if tempered and not (num_levels is None and num_particles is None):
        raise ArgumentError(f"method={method!r} tunes its own levels: num_levels and num_particles are not for it.")
    attempts = []
    if tempered or (method == "auto" and free and kernel is None and first_method(energy, data=rows) == "pt-mbar"):
        narrow = _TEMPERED_WIDTH if width is None else width
        by_path = base is not None or (space.log_volume == math.inf and side is None)
        if by_path and method not in FLAT_METHODS:
            attempts.append(path_tempering(energy, kernel, base, rows, narrow, budget, method == "ti", tell, keys[2]))
        elif base is not None:
            raise ArgumentError(f"method={method!r} starts at β = 0: a base law is not for it.")
        else:
            attempts.append(tempering(energy, side, kernel, narrow, budget, method, tell, keys[2]))
    if not tempered:
        resample = None if method == "auto" else method == "smc"
        sizes = num_levels, num_particles, resample
        width = _ANNEALED_WIDTH if width is None else width
        attempts.append(annealing(energy, kernel, base, rows, width, sizes, budget, tell, keys[0]))
        if side is not None:
            # What costs a sweep of the smaller side little is tried there first: it is where modes are left.
            first = 0 if cast(AbstractDiscreteSpace, side.space).num_sites <= _FEW_HIDDEN else 1
            attempts.insert(first, side_annealing(side, rows, width, sizes, budget, tell, keys[1]))
    # Each attempt may fail in its share of the cases in which the whole may.
    own = 1.0 - (1.0 - level) / len(attempts)
    found = attempts[0](own)
    for attempt in attempts[1:]:
        if math.isfinite(found.interval.upper):
            break
        found = _better(found, attempt(own))
    tell.finish()
    interval = dataclasses.replace(found.interval, level=level)
    notes = (*warnings, *found.warnings)
    return dataclasses.replace(found, interval=interval, exact=known, measure=space.measure, warnings=notes)


def first_method(energy: AbstractEnergy, *, data: Any = None) -> str:
    """What `log_z` with ``method="auto"`` tries first: ``"pt-mbar"``, or ``"auto"`` where it anneals.

    Args:
        energy: The model.
        data: Rows of data, as in `log_z`.
    """
    return "pt-mbar" if data is None and is_tempered(energy) else "auto"


def _better(found: LogZ, other: LogZ) -> LogZ:
    """The second of two attempts if it has an upper end; if neither has, the best of both.

    Sampling that has not seen all of the model gives less than log Z, so that the larger value is the better one, as
    the larger of two lower ends is.
    """
    if math.isfinite(other.interval.upper):
        return other
    value, less = (found, other) if found.value > other.value else (other, found)
    low = max(found.interval, other.interval, key=lambda interval: interval.lower)
    interval = dataclasses.replace(low, lower=min(low.lower, value.value))
    notes = tuple(dict.fromkeys((*value.warnings, *less.warnings)))
    return dataclasses.replace(value, interval=interval, warnings=notes)


def _checked_options(
    energy: AbstractEnergy,
    level: float,
    width: float | None,
    budget: int,
    num_levels: int | None,
    num_particles: int | None,
) -> list[str]:
    if not (0.0 < level < 1.0 and (width is None or width > 0) and budget >= LEAST_BUDGET):
        raise ArgumentError(
            f"log_z needs a level in (0, 1), a positive width and a budget of at least {LEAST_BUDGET} transitions; "
            f"got level={level}, width={width}, budget={budget}."
        )
    if (num_levels is not None and num_levels < 2) or (num_particles is not None and num_particles < 2):
        raise ArgumentError(f"num_levels and num_particles must be at least 2; got {num_levels} and {num_particles}.")
    confined = is_confined(energy)
    if confined is False:
        raise NotTractable(
            f"exp(−E) of {type(energy).__name__} is not integrable over {observed_space(energy)}, so log Z is infinite "
            "and there is no likelihood. Give the energy a confinement (the default of energies.MLP); β < 0 is for "
            "bounded and discrete spaces."
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


def _exactly(energy: AbstractEnergy, known: float | None, measure: str) -> LogZ:
    if known is None:
        raise NotTractable(
            f'method="exact" was asked for, but log Z of {type(energy).__name__} on {observed_space(energy)} cannot be '
            "computed cheaply. Leave the method out."
        )
    return LogZ(known, 0.0, Interval(known, known, "exact", "exact", 1.0), known, measure, method="exact")
