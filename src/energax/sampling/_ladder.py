"""Where to put the levels of replica exchange, how many there are, and with which step sizes."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, PyTree
from numpy.typing import ArrayLike
from scipy.interpolate import PchipInterpolator

from energax._errors import ArgumentError
from energax._typing import PRNGKey
from energax.estimators import Estimate
from energax.kernels import AbstractKernel, AbstractStepSizeKernel
from energax.paths import AbstractPath
from energax.sampling._replica_exchange import replica_exchange
from energax.sampling._replica_samples import ReplicaSamples

_FIRST_ROUND = 32
_FIRST_LEVELS = 12
_MOST_LEVELS = 256
_FINE = 256
"""Points within each interval at which the barrier is inverted."""


@dataclasses.dataclass(frozen=True, repr=False)
class Ladder:
    """A tuned ladder: hand its parts to `replica_exchange`.

    Attributes:
        ts: The levels.
        kernel: The kernel, with a step size for each level where it has step sizes.
        last: Configurations at the end of tuning, (chain, level, *event): starts of the run.
        barrier: The communication barrier Λ = ∫ λ(t) dt between the first and the last level, in the last round.
        rejection: Rejection rates of swaps between neighbours in the last round, about equal, (level − 1,).
        round_trip_rate: Round trips of all replicas of a ladder in a sweep of the last round.
        rounds: (sweeps, levels, barrier) of each round.
    """

    ts: np.ndarray
    kernel: AbstractKernel
    last: PyTree[Any]
    barrier: Estimate
    rejection: np.ndarray
    round_trip_rate: float
    rounds: tuple[tuple[int, int, float], ...]

    @property
    def optimal_rate(self) -> float:
        """1/(2 + 2Λ): what the round trips in a sweep cannot exceed, however many levels there are."""
        return 1.0 / (2.0 + 2.0 * self.barrier.value)

    def __repr__(self) -> str:
        return (
            f"Ladder({len(self.ts)} levels, barrier {self.barrier}, rejection {self.rejection.min():.2f} to "
            f"{self.rejection.max():.2f}, {self.round_trip_rate:.3g} round trips a sweep of at most "
            f"{self.optimal_rate:.3g}, after {len(self.rounds)} rounds)"
        )


def tune_ladder(
    path: AbstractPath,
    kernel: AbstractKernel,
    *,
    key: PRNGKey,
    ts: ArrayLike | None = None,
    start: float = 0.0,
    num_levels: int | None = None,
    num_sweeps: int = 1024,
    num_chains: int = 4,
    swap_every: int = 1,
    swap_rate: float = 0.7,
    generator: str = "auto",
    progress: Callable[[int, int], None] | None = None,
) -> Ladder:
    """Find levels between which all swaps are accepted equally often, how many of them, and their step sizes.

    The rejection rates r_k of swaps add up to the communication barrier, Σ_{l<k} r_l ≈ Λ(t_k) = ∫ λ(s) ds, whatever
    the levels are, if they are not too few. Rounds of replica exchange of 32, 64, ... sweeps, each after a quarter of
    it as warm-up, estimate it; after each round Λ(t) is interpolated monotonically and the levels move to equal steps
    of it. Their number follows from `swap_rate`: steps of 1 − swap_rate. The step size of a kernel that has one is
    moved at each level towards the acceptance that the kernel wants.

    With N steps of barrier r = Λ/N replicas make 1/(2 + 2 Σ r/(1 − r)) round trips in a sweep, at most 1/(2 + 2Λ);
    the default of 0.7 reaches about that share of the limit, and the paper's 0.5, 2Λ + 1 levels, about half of it at
    fewer levels: what is best where levels run one after the other.

    Exactness: tuning ends before the run, which is exact for any ladder. Λ is consistent as rounds grow and steps
    shrink, if the kernel renews the energy of a replica between swaps.

    Cost: about 2.5 · `num_sweeps` sweeps, and one compilation for each number of levels that is tried.

    Args:
        path: The path.
        kernel: The kernel that will run.
        key: Typed random key; use another one for the run.
        ts: Levels to begin with, from a pilot; the kernel's step sizes may have one entry for each. By default 12
            equally spaced ones.
        start: First level; above 0 where the path's own start is not wanted, for instance β_min/β_max.
        num_levels: Number of levels; by default it follows from the barrier.
        num_sweeps: Sweeps of the last round, a power of two of 32 or more.
        num_chains: Independent ladders; they share the levels.
        swap_every: Transitions between swaps, as in the run.
        swap_rate: Wanted acceptance of swaps.
        generator: As in `sample`.
        progress: Called with (done, total) sweeps after each round.

    Returns:
        A `Ladder`.

    Raises:
        ArgumentError: Numbers that make no sense.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from energax import densities, energies, kernels, paths, sampling
        >>> path = paths.Geometric(densities.Gaussian(jnp.zeros(1), 2.0), energies.DoubleWell(1, barrier=8.0))
        >>> ladder = sampling.tune_ladder(path, kernels.HMC(0.2), num_sweeps=64, key=jax.random.key(0))
        >>> len(ladder.ts) == ladder.kernel.step_size.size
        True

    References:
        [syed2022]
    """
    _check(start, num_levels, num_sweeps, num_chains, swap_rate)
    ts = np.linspace(start, 1.0, num_levels or _FIRST_LEVELS) if ts is None else np.asarray(ts, np.float64)
    kernel = _with_sizes(kernel, np.full(len(ts), 1.0), kernel)
    x0, done, length, rounds = None, 0, _FIRST_ROUND, []
    total = 2 * num_sweeps - _FIRST_ROUND
    while True:
        key, run_key = jax.random.split(key)
        run = replica_exchange(
            path, kernel, jnp.asarray(ts), x0, key=run_key, num_sweeps=length, num_warmup=length // 4,
            num_chains=num_chains, swap_every=swap_every, save=None, throw=False, generator=generator,
        )  # fmt: skip
        done += length
        rounds.append((length, len(ts), run.barrier.value))
        if progress is not None:
            progress(done, total)
        if length >= num_sweeps:
            rejection, rate = 1.0 - run.swap_rate, run.round_trip_rate
            return Ladder(ts, kernel, run.last, run.barrier, rejection, rate, tuple(rounds))
        wanted = num_levels or _num_levels(run.barrier.value, swap_rate, len(ts))
        new = equal_barrier_levels(ts, 1.0 - run.swap_rate, wanted)
        kernel = _retuned(run, new)
        nearest = np.abs(new[:, None] - ts[None]).argmin(1)
        x0, ts = jax.tree.map(lambda leaf, n=nearest: leaf[:, n], run.last), new
        length *= 2


def equal_barrier_levels(
    ts: Float[np.ndarray, " levels"], rejection: Float[np.ndarray, " pairs"], num_levels: int
) -> Float[np.ndarray, " new"]:
    """Levels with the ends of `ts` between which the barrier, interpolated from its rejection rates, rises equally.

    Args:
        ts: Levels at which swaps were tried.
        rejection: Rejection rate between each level and the next.
        num_levels: Number of new levels.
    """
    # A swap that is always accepted has no barrier, but its interval must keep a width.
    barrier = np.concatenate([[0.0], np.cumsum(np.maximum(rejection, 1e-3))])
    shares = np.arange(len(ts) - 1)[:, None] + np.arange(_FINE)[None] / _FINE
    fine = np.interp(np.append(shares.reshape(-1), len(ts) - 1.0), np.arange(len(ts)), ts)
    rising = np.asarray(PchipInterpolator(ts, barrier)(fine))
    levels = np.interp(np.linspace(0.0, barrier[-1], num_levels), rising, fine)
    levels[0], levels[-1] = ts[0], ts[-1]
    return levels


def _num_levels(barrier: float, swap_rate: float, now: int) -> int:
    """The number of levels that the barrier asks for; one that is close enough stays, for each costs a compilation."""
    wanted = min(max(2, math.ceil(barrier / (1.0 - swap_rate)) + 1), _MOST_LEVELS)
    return now if now >= wanted and now <= 1.25 * wanted + 1 else wanted


def _retuned(run: ReplicaSamples, ts: np.ndarray) -> AbstractKernel:
    """The kernel with step sizes at the new levels, after a step towards the wanted acceptance at the old ones."""
    kernel = run.samples.kernel
    if not isinstance(kernel, AbstractStepSizeKernel):
        return kernel
    surplus = run.accept_prob - kernel.target_accept_prob
    # Acceptance says little about how much too small a step is, and much about how far it is too large.
    tuned = np.log(np.asarray(kernel.step_size, np.float64)) + np.where(surplus > 0, 4.0, 1.5) * surplus
    return _with_sizes(kernel, np.exp(np.interp(ts, run.ts, tuned)), None)


def _with_sizes(kernel: AbstractKernel, sizes: np.ndarray, scale: AbstractKernel | None) -> AbstractKernel:
    """A step size for each level: `sizes`, times that of `scale`."""
    if not isinstance(kernel, AbstractStepSizeKernel):
        return kernel
    unit = scale.step_size if isinstance(scale, AbstractStepSizeKernel) else jnp.ones((), kernel.step_size.dtype)
    return kernel.with_step_size(jnp.asarray(sizes, kernel.step_size.dtype) * unit)


def _check(start: float, num_levels: int | None, num_sweeps: int, num_chains: int, swap_rate: float) -> None:
    if not 0.0 <= start < 1.0:
        raise ArgumentError(f"tune_ladder needs a start in [0, 1), got {start}.")
    if num_levels is not None and num_levels < 2:
        raise ArgumentError(f"A ladder has at least two levels, got num_levels={num_levels}.")
    if num_sweeps < _FIRST_ROUND or num_sweeps & (num_sweeps - 1) or num_chains < 1:
        raise ArgumentError(
            f"tune_ladder needs num_sweeps of 32, 64, 128 ... and at least one chain, got num_sweeps={num_sweeps}, "
            f"num_chains={num_chains}."
        )
    if not 0.0 < swap_rate < 1.0:
        raise ArgumentError(f"`swap_rate` must lie between 0 and 1, got {swap_rate}.")
