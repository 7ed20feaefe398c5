"""Wang–Landau sampling, which learns the number of states at each energy, and multicanonical runs with its weights."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from scipy.special import logsumexp

from energax._errors import ArgumentError
from energax._typing import Configuration, PRNGKey
from energax.energies import AbstractEnergy, EnergyBins, Multicanonical
from energax.random import choose, generator_name
from energax.sampling._energy_bins import discrete, energy_bins
from energax.sampling._flat_walk import Weights, first_weights, walk
from energax.sampling._starts import starts
from energax.spaces import AbstractDiscreteSpace

_KEPT_DRAWS = 1024


@dataclasses.dataclass(frozen=True, repr=False)
class WangLandau:
    """What `wang_landau` found.

    Attributes:
        energy: The energy.
        bins: Bins of it.
        log_states: Estimates of the logarithm of the number of states in each bin, −∞ where a repeat never came;
            each sums to the number of all configurations, (repeat, bin).
        visits: How often each repeat was in each bin, (repeat, bin).
        factor: ln f at the end, (repeat,).
        converging: Whether ln f has come to fall as 1/t, (repeat,).
        energies: E of the walkers at evenly spaced sweeps of this call, (repeat, walker, draw).
        x: Where the walkers are, (repeat, walker, *event).
        weights: What a later call goes on from.
        settings: How it was run.
    """

    energy: AbstractEnergy
    bins: EnergyBins
    log_states: Float[np.ndarray, "repeat bin"]
    visits: Int[np.ndarray, "repeat bin"]
    factor: Float[np.ndarray, " repeat"]
    converging: np.ndarray
    energies: Float[np.ndarray, "repeat walker draw"]
    x: Configuration
    weights: Weights
    settings: dict[str, Any]

    @property
    def multicanonical(self) -> Multicanonical:
        """The energy with a nearly flat histogram: mean weights of the repeats, the least one where none has been."""
        known = np.isfinite(self.log_states)
        mean = np.where(known, self.log_states, 0.0).sum(0) / np.maximum(known.sum(0), 1)
        return Multicanonical(
            self.energy, self.bins, jnp.asarray(np.where(known.any(0), mean, mean[known.any(0)].min()), float)
        )

    def __repr__(self) -> str:
        repeats, bins = self.log_states.shape
        return (
            f"WangLandau({int((self.visits.sum(0) > 0).sum())} of {bins} bins visited by {repeats} repeats, "
            f"ln f {self.factor.min():.2g} to {self.factor.max():.2g}, {int(self.converging.sum())} of them converging)"
        )


@dataclasses.dataclass(frozen=True, repr=False)
class FlatSamples:
    """What `multicanonical` drew.

    Attributes:
        energies: E at evenly spaced sweeps, (group, walker, draw).
        log_states: The weight of each draw: it stands for exp(log_states) states, up to a constant.
        visits: How often each bin was seen, (bin,).
        x: Where the walkers are, (group, walker, *event): a start for the next call.
        settings: How it was run.
    """

    energies: Float[np.ndarray, "group walker draw"]
    log_states: Float[np.ndarray, "group walker draw"]
    visits: Int[np.ndarray, " bin"]
    x: Configuration
    settings: dict[str, Any]

    def __repr__(self) -> str:
        groups, walkers, draws = self.energies.shape
        return f"FlatSamples({groups} groups of {walkers} walkers, {draws} draws of each)"


def wang_landau(
    energy: AbstractEnergy,
    bins: EnergyBins | WangLandau | None = None,
    *,
    key: PRNGKey,
    num_sweeps: int,
    num_repeats: int = 16,
    num_walkers: int = 16,
    flatness: float = 0.8,
    generator: str = "auto",
    progress: Callable[[int, int], None] | None = None,
) -> WangLandau:
    """Learn log g, the number of states in each bin of a discrete energy, by walks that flee from where they have been.

    Walkers draw one site after the other from its law under the weights 1/g(E), p(value) ∝ 1/g(E with this value); each
    visit adds ln f to log g of the bin. When all bins that a repeat has seen have at least `flatness` of their mean
    number of visits, ln f is halved; where it would fall below 1/t, with t the moves for each bin, it becomes 1/t for
    good, so that log g goes on converging. Repeats know nothing of each other; the walkers of one share its log g.

    Exactness: consistent as `num_sweeps` grows. There is no theory of its error: take the spread of the repeats. With
    fixed weights, `multicanonical`, the chain is an ordinary one.
    Cost: `num_sweeps` sweeps of repeats × walkers.

    Args:
        energy: Energy over discrete sites; of a latent energy the marginal of its observed part.
        bins: Bins of the energy, by default those of `energy_bins`; or an earlier result, to go on from there.
        key: Typed random key.
        num_sweeps: Sweeps of each walker.
        num_repeats: Independent estimates.
        num_walkers: Walkers of each.
        flatness: Share of the mean number of visits, in (0, 1).
        generator: As in `sample`.
        progress: Called with (done, total) sweeps now and then.

    Returns:
        `WangLandau`.

    Raises:
        ArgumentError: The space is not discrete, numbers make no sense, or the energy has one level only.
        Diverged: The energy is not finite somewhere.

    Example:
        >>> import jax
        >>> import numpy as np
        >>> from energax import energies, sampling
        >>> found = sampling.wang_landau(energies.Ising(3), key=jax.random.key(0), num_sweeps=2000)
        >>> error = found.log_states[:, 0].mean() - np.log(2.0)
        >>> bool(abs(error) < 0.2)
        True

    References: [wang2001], [belardinelli2007]. Two deviations: a heat bath in the place of Metropolis, so that sites
        can go in order, and walkers that share their log g.
    """
    if not 0.0 < flatness < 1.0:
        raise ArgumentError(f"`flatness` must lie in (0, 1), got {flatness}.")
    space = _checked(energy, num_sweeps, num_repeats, num_walkers)
    key = choose(key, generator)
    start_key, bin_key, walk_key = jax.random.split(key, 3)
    if isinstance(bins, WangLandau):
        moved, grid, x, weights = bins.energy, bins.bins, bins.x, bins.weights
        num_repeats, num_walkers = x.shape[:2]
    else:
        moved = discrete(energy)
        grid = energy_bins(moved, key=bin_key) if bins is None else bins
        x = _shaped(starts(space, None, num_repeats * num_walkers, key=start_key), num_repeats)
        weights = first_weights(num_repeats, grid.num_bins)
    keys = jax.random.split(walk_key, (num_repeats, num_walkers))
    spacing = _spacing(num_sweeps)
    x, weights, energies = walk(moved, grid, x, weights, keys, num_sweeps, spacing, flatness, progress)
    total = np.asarray(weights.total, np.int64)
    log_g = np.where(total > 0, np.asarray(weights.high, np.float64) + np.asarray(weights.low, np.float64), -np.inf)
    log_g = log_g + space.log_volume - np.asarray(logsumexp(log_g, axis=1, keepdims=True))
    how = {"num_steps": num_sweeps, "num_sweeps": int(weights.num_sweeps), "flatness": flatness}
    how |= {"generator": generator_name(key)}
    factor, late = np.asarray(weights.factor, np.float64), np.asarray(weights.late)
    return WangLandau(moved, grid, log_g, total, factor, late, energies, x, weights, how)


def multicanonical(
    energy: Multicanonical,
    x0: Configuration | None = None,
    *,
    key: PRNGKey,
    num_sweeps: int,
    num_groups: int = 16,
    num_walkers: int = 16,
    generator: str = "auto",
    progress: Callable[[int, int], None] | None = None,
) -> FlatSamples:
    """Draw from the law of fixed weights of energy bins, by heat bath of one site after the other.

    Exactness: leaves exp(−A) of `energies.Multicanonical` invariant; the walkers are independent of each other.
    Cost: `num_sweeps` sweeps of all walkers; a move costs one conditional law of a site, whatever the energy.

    Args:
        energy: The weights, such as `WangLandau.multicanonical`.
        x0: Starts, (group, walker, *event), such as `WangLandau.x`; uniform draws without it.
        key: Typed random key.
        num_sweeps: Sweeps of each walker.
        num_groups: Groups of walkers, one axis of the result for a jackknife over groups.
        num_walkers: Walkers of each.
        generator: As in `sample`.
        progress: Called with (done, total) sweeps now and then.

    Returns:
        `FlatSamples`, for `estimators.weighted_histogram`.

    Raises:
        ArgumentError: Numbers that make no sense.
        SpaceError: `x0` has the wrong shape, or lies outside the space.
        Diverged: The energy is not finite somewhere.

    Example:
        >>> import jax
        >>> from energax import energies, estimators, sampling
        >>> found = sampling.wang_landau(energies.Ising(3), key=jax.random.key(0), num_sweeps=500)
        >>> run = sampling.multicanonical(found.multicanonical, found.x, key=jax.random.key(1), num_sweeps=2000)
        >>> histogram = estimators.weighted_histogram(
        ...     run.energies.reshape(16, -1), run.log_states.reshape(16, -1), beta=0.2
        ... )
        >>> bool(abs(histogram.log_z(0.2).value + 9 * 0.6931472 - 6.669745) < 0.05)
        True

    References: [berg1992].
    """
    space = _checked(energy, num_sweeps, num_groups, num_walkers)
    key = choose(key, generator)
    start_key, walk_key = jax.random.split(key)
    if x0 is None:
        x = _shaped(starts(space, None, num_groups * num_walkers, key=start_key), num_groups)
    else:
        num_groups, num_walkers = jnp.shape(x0)[:2]
        flat = jnp.reshape(jnp.asarray(x0), (-1, *jnp.shape(x0)[2:]))
        x = _shaped(starts(space, flat, None, key=start_key), num_groups)
    keys = jax.random.split(walk_key, (num_groups, num_walkers))
    bins, start = energy.bins, first_weights(num_groups, energy.bins.num_bins)
    table = jnp.broadcast_to(jnp.asarray(energy.log_states, start.high.dtype), start.high.shape)
    start = dataclasses.replace(start, high=table)
    x, weights, energies = walk(energy.energy, bins, x, start, keys, num_sweeps, _spacing(num_sweeps), None, progress)
    logs = np.asarray(energy.log_states, np.float64)[np.asarray(bins(jnp.asarray(energies, float)))]
    how = {"num_steps": num_sweeps, "generator": generator_name(key)}
    return FlatSamples(energies, logs, np.asarray(weights.total, np.int64).sum(0), x, how)


def _checked(energy: AbstractEnergy, num_sweeps: int, num_repeats: int, num_walkers: int) -> AbstractDiscreteSpace:
    space = discrete(energy).space
    assert isinstance(space, AbstractDiscreteSpace)
    if min(num_sweeps, num_walkers) < 1 or num_repeats < 2:
        raise ArgumentError(
            f"There must be a sweep, a walker and two repeats at least; got {num_sweeps} sweeps, {num_repeats} repeats "
            f"of {num_walkers} walkers."
        )
    return space


def _spacing(num_sweeps: int) -> int:
    """Sweeps from one kept draw to the next: a divisor of all, such that few draws are kept."""
    least = -(-num_sweeps // _KEPT_DRAWS)
    return next(s for s in range(least, num_sweeps + 1) if num_sweeps % s == 0)


def _shaped(x: Configuration, num_repeats: int) -> Array:
    return x.reshape(num_repeats, -1, *x.shape[1:])
