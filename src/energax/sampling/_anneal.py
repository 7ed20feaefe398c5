"""Annealed importance sampling and sequential Monte Carlo along a path of energies."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from energax._errors import ArgumentError, KernelMismatch
from energax._typing import Configuration, PRNGKey
from energax.energies import observed_space
from energax.estimators import Estimate, ess_from_log_weights, log_z_from_work
from energax.estimators import log_mean_exp as mean_weight
from energax.kernels import AbstractKernel, suggestions, target
from energax.paths import AbstractPath
from energax.random import choose
from energax.sampling._accumulators import add_compensated
from energax.sampling._resampling import RESAMPLERS, log_mean_exp, relative_ess
from energax.sampling._schedule import schedule
from energax.sampling._starts import draws, starts
from energax.sampling._steps import padded, run_steps, with_step_size
from energax.spaces import check_structure

_CHUNK = 32
"""Levels of one compiled call: one length for all schedules, so that more levels compile nothing."""


@dataclasses.dataclass(frozen=True, repr=False)
class Work:
    """Weighted particles at the end of a path.

    Attributes:
        log_weights: Log importance weights since the last resampling plus the log mean weight collected before,
            (group, particle); exp(log_weights) is unbiased for Z(end)/Z(start) in every group.
        x: Final configurations, (group, particle, *event).
        ts: The levels.
        ess: Relative effective sample size after each level, (level,), pooled over groups.
        accept_prob: Mean acceptance probability at each level.
        num_resamplings: How often each group was resampled.
        num_nonfinite: Number of proposals with a non-finite energy.
        level_log_z: Log mean weight of each group after each level, (level, group): unbiased means for Z(t)/Z(start).
    """

    log_weights: np.ndarray
    x: PyTree[Any]
    ts: np.ndarray
    ess: np.ndarray
    accept_prob: np.ndarray
    num_resamplings: np.ndarray
    num_nonfinite: int
    level_log_z: np.ndarray

    @property
    def group_log_z(self) -> np.ndarray:
        """Log mean weight of each independent group: estimates of log Z(end) − log Z(start), (group,)."""
        return np.asarray([mean_weight(group) for group in self.log_weights])

    @property
    def log_z(self) -> Estimate:
        """Log Z(end) − log Z(start) from all groups together, with its diagnostics.

        Particles that were resampled depend on each other within their group: the error bar then comes from the
        spread of the groups, and is withheld where there is only one.
        """
        flat, num_groups = self.log_weights.reshape(-1), len(self.log_weights)
        if not self.num_resamplings.any():
            return log_z_from_work(flat)
        if num_groups > 1:
            return log_z_from_work(flat, groups=num_groups)
        why = "One group of particles that were resampled has no error bar; give num_groups=8 or more."
        return dataclasses.replace(log_z_from_work(flat), stderr=math.nan, warnings=(why,))

    def __repr__(self) -> str:
        size = ess_from_log_weights(self.log_weights.reshape(-1))
        return f"Work(log Z {self.log_z}, ESS {size:.1f} of {self.log_weights.size}, {len(self.ts)} levels)"


def anneal(
    path: AbstractPath,
    kernel: AbstractKernel,
    ts: Float[Array | np.ndarray, " levels"] | None = None,
    *,
    key: PRNGKey,
    num_particles: int,
    num_groups: int = 1,
    x0: Configuration | None = None,
    num_steps: int = 1,
    resample: str | None = None,
    resample_below: float = 0.5,
    step_sizes: Float[Array, " levels"] | None = None,
    generator: str = "auto",
    progress: Callable[[int, int], None] | None = None,
) -> Work:
    """Move weighted particles along a path: annealed importance sampling, or SMC when they are resampled.

    At level k the weight gains E_{t_{k−1}}(x) − E_{t_k}(x), then the particle makes `num_steps` transitions that leave
    exp(−E_{t_k}) invariant. The mean weight is unbiased for Z(t_end)/Z(t_start) for any number of levels, resampled
    or not, if the start is an exact draw and the kernel is exact. Hidden units are summed out in the weights.

    Exactness: unbiased mean weight. A particle that meets an infinite energy has the weight zero from then on.

    Cost: levels × num_steps transitions of each particle, and two energies a level.

    Args:
        path: The path; its start is normalised and can be drawn from.
        kernel: An exact kernel. Its caches are refreshed at each level.
        ts: Levels, increasing from 0 to 1; or decreasing from 1 to 0 with `x0` for the reverse direction, whose
            weights estimate Z(0)/Z(1); any other first level needs `x0` too. NumPy's may be closer than the precision
            of JAX: those are visited in turn at one place. None places them by `schedule` in a pilot run of its own.
        key: Typed random key.
        num_particles: Particles in each group.
        num_groups: Independent groups; nothing passes between them.
        x0: Starts with axes (group, particle, *event) instead of draws from the path's start; required, as exact
            draws from the target, when the path is run backwards.
        num_steps: Transitions at each level.
        resample: None for AIS; ``"systematic"``, ``"stratified"``, ``"residual"`` or ``"multinomial"`` for SMC.
        resample_below: Resample a group when its relative ESS falls below this.
        step_sizes: A step size for each level, replacing that of the kernel (see `tune_step_sizes`).
        generator: As in `sample`.
        progress: Called with (done, total) levels now and then.

    Returns:
        The weighted particles as `Work`.

    Raises:
        KernelMismatch: The kernel does not fit the target, or is not exact.
        ArgumentError: Levels that are not monotone in [0, 1], starts that are missing or of the wrong number.

    References:
        [neal2001], [delmoral2006]
    """
    key = choose(key, generator)
    target(path.at(jnp.ones(())), kernel)
    if not kernel.exact:
        raise KernelMismatch(
            f"anneal needs a kernel that leaves each law of the path invariant, which {type(kernel).__name__} does "
            f"not. Try {' or '.join(suggestions(path.at(jnp.ones(()))))}."
        )
    if resample is not None and resample not in RESAMPLERS:
        raise ArgumentError(f"Unknown resampling {resample!r}. Known: {', '.join(sorted(RESAMPLERS))}.")
    start_key, move_key, pilot_key = jax.random.split(key, 3)
    levels = np.asarray(schedule(path, kernel, key=pilot_key) if ts is None else ts, np.float64)
    _check_levels(levels, x0)
    keys = jax.random.split(move_key, (num_groups, num_particles))
    if x0 is None:
        start_keys = jax.random.split(start_key, (num_groups, num_particles))
        x = draws(path.start, start_keys)
    else:
        x = _grouped_starts(path, x0, num_groups, num_particles)
    zeros = jnp.zeros((num_groups, num_particles))
    carry = (x, zeros, zeros, jnp.zeros(num_groups, jnp.int32), jnp.zeros((), jnp.int32))
    settings = (num_steps, resample, jnp.asarray(resample_below))
    relative, accepts, means = [np.ones(1)], [np.ones(1)], [np.zeros((1, num_groups))]
    for begin in range(1, len(levels), _CHUNK):
        end = min(begin + _CHUNK, len(levels))
        before, after = (padded(levels[begin - i : end - i], _CHUNK) for i in (1, 0))
        span = jnp.asarray([begin, end - begin]), before, after
        sizes = None if step_sizes is None else padded(np.asarray(step_sizes)[begin:end], _CHUNK)
        carry, told = _levels(path, kernel, carry, keys, span, sizes, settings)
        relative.append(np.asarray(told[0])[: end - begin])
        accepts.append(np.asarray(told[1])[: end - begin])
        means.append(np.asarray(told[2], np.float64)[: end - begin])
        if progress is not None:
            progress(end - 1, len(levels) - 1)
    x, high, low, resamplings, bad = carry
    log_weights = np.asarray(high, np.float64) + np.asarray(low, np.float64)
    return Work(
        log_weights,
        jax.tree.map(np.asarray, x),
        levels,
        np.concatenate(relative),
        np.concatenate(accepts),
        np.asarray(resamplings),
        int(bad),
        np.concatenate(means),
    )


def _check_levels(ts: np.ndarray, x0: Configuration | None) -> None:
    steps = np.diff(ts)
    if ts.ndim != 1 or len(ts) < 2 or not (np.all(steps > 0) or np.all(steps < 0)) or ts.min() < 0 or ts.max() > 1:
        raise ArgumentError(
            f"`ts` must be at least two levels in [0, 1], strictly increasing or strictly decreasing, got {ts!r}."
        )
    if ts[0] != 0 and x0 is None:
        raise ArgumentError(
            f"The path is started at t = {ts[0]}, where it cannot be drawn from: pass exact draws of that law as `x0`."
        )


def _grouped_starts(path: AbstractPath, x0: Configuration, num_groups: int, num_particles: int) -> Configuration:
    space = observed_space(path.at(jnp.ones(())))
    check_structure(space, x0, name="x0", batch_dims=2)
    lead = jnp.shape(jax.tree.leaves(x0)[0])[:2]
    if lead != (num_groups, num_particles):
        raise ArgumentError(
            f"`x0` needs axes (group, particle, *event) with {num_groups} groups of {num_particles} particles, got "
            f"leading axes {lead}."
        )
    flat = jax.tree.map(lambda leaf: jnp.asarray(leaf).reshape(-1, *leaf.shape[2:]), x0)
    x = starts(space, flat, num_groups * num_particles, key=jax.random.key(0))
    return jax.tree.map(lambda leaf: leaf.reshape(num_groups, num_particles, *leaf.shape[1:]), x)


@eqx.filter_jit
def _levels(
    path: AbstractPath,
    kernel: AbstractKernel,
    carry: PyTree[Array],
    keys: Array,
    span: tuple[Array, Array, Array],
    step_sizes: Array | None,
    settings: tuple[int, str | None, Array],
) -> tuple[PyTree[Array], tuple[Array, Array, Array]]:
    """Some levels in one compiled loop; how many, at most `_CHUNK`, the compiler does not know."""
    (begin, length), before, after = span
    num_steps, resample, resample_below = settings

    def level(i: Array, outer: Any) -> Any:
        (x, high, low, resamplings, bad), told = outer
        gain = jax.vmap(jax.vmap(lambda x: path.value(before[i], x) - path.value(after[i], x)))(x)
        # A weight of zero stays zero; its particle may be where both energies are infinite.
        high, low = add_compensated(high, low, jnp.where(high == -jnp.inf, 0.0, gain).astype(high.dtype))
        if resample is not None:
            x, high, low, resampled = _resample(x, high, low, keys, begin + i, resample, resample_below)
            resamplings = resamplings + resampled
        energy = target(path.at(after[i]), kernel)
        mover = kernel if step_sizes is None else with_step_size(kernel, step_sizes[i])
        level_keys = jax.vmap(jax.vmap(lambda key: jax.random.fold_in(key, begin + i)))(keys)
        move = jax.vmap(jax.vmap(lambda x, key: run_steps(energy, mover, x, num_steps, key=key)))
        x, accepts, wrong = move(x, level_keys)
        log_w = high + low
        now = relative_ess(log_w.reshape(-1)), jnp.mean(accepts), jax.vmap(log_mean_exp)(log_w)
        told = tuple(store.at[i].set(value.astype(store.dtype)) for store, value in zip(told, now, strict=True))
        return (x, high, low, resamplings, bad + jnp.sum(wrong)), told

    nothing = jnp.zeros(_CHUNK), jnp.zeros(_CHUNK), jnp.zeros((_CHUNK, len(carry[1])))
    return jax.lax.fori_loop(0, length, level, (carry, nothing))


def _resample(
    x: Configuration, high: Array, low: Array, keys: Array, index: Array, method: str, below: Array
) -> tuple[Configuration, Array, Array, Array]:
    """Resample those groups whose relative ESS is low; their weights become the group's mean weight."""

    def group(x: Configuration, high: Array, low: Array, key: PRNGKey) -> tuple[Configuration, Array, Array, Array]:
        log_w = high + low
        wanted = relative_ess(log_w) < below
        ancestors = RESAMPLERS[method](log_w, key=jax.random.fold_in(jax.random.fold_in(key, index), 0))
        ancestors = jnp.where(wanted, ancestors, jnp.arange(log_w.size))
        mean = jnp.full_like(high, log_mean_exp(log_w))
        moved = jax.tree.map(lambda leaf: leaf[ancestors], x)
        zero = jnp.zeros_like(low)
        return moved, jnp.where(wanted, mean, high), jnp.where(wanted, zero, low), wanted.astype(jnp.int32)

    # The group's own resampling key hangs on its first particle's key, at a level number that moves never use.
    group_keys = jax.vmap(lambda k: jax.random.fold_in(k[0], 2**31 - 1))(keys)
    return jax.vmap(group)(x, high, low, group_keys)
