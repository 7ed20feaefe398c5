"""Annealed importance sampling and sequential Monte Carlo along a path of energies."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from energax._errors import ArgumentError
from energax._typing import Configuration, PRNGKey
from energax.energies import observed_space
from energax.estimators import Estimate, ess_from_log_weights, log_z_from_work
from energax.kernels import AbstractKernel, AbstractStepSizeKernel, target
from energax.paths import AbstractPath
from energax.random import choose
from energax.sampling._accumulators import add_compensated
from energax.sampling._resampling import RESAMPLERS, log_mean_exp, relative_ess
from energax.sampling._sample import starts

_MAX_CHUNKS = 16


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
    """

    log_weights: np.ndarray
    x: PyTree[Any]
    ts: np.ndarray
    ess: np.ndarray
    accept_prob: np.ndarray
    num_resamplings: np.ndarray
    num_nonfinite: int

    @property
    def group_log_z(self) -> np.ndarray:
        """Log mean weight of each independent group: estimates of log Z(end) − log Z(start), (group,)."""
        peak = self.log_weights.max(axis=1)
        return peak + np.log(np.mean(np.exp(self.log_weights - peak[:, None]), axis=1))

    @property
    def log_z(self) -> Estimate:
        """Log Z(end) − log Z(start) from all groups together, with its diagnostics."""
        return log_z_from_work(self.log_weights.reshape(-1), groups=len(self.log_weights))

    def __repr__(self) -> str:
        size = ess_from_log_weights(self.log_weights.reshape(-1))
        return f"Work(log Z {self.log_z}, ESS {size:.1f} of {self.log_weights.size}, {len(self.ts)} levels)"


def anneal(
    path: AbstractPath,
    kernel: AbstractKernel,
    ts: Float[Array, " levels"] | None = None,
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

    Exactness: unbiased mean weight; a kernel that is not exact (ULA) spoils it.

    Cost: levels × num_steps transitions of each particle, and two energies a level.

    Args:
        path: The path; its start is normalised and can be drawn from.
        kernel: An exact kernel. Its caches are refreshed at each level.
        ts: Levels, increasing from 0 to 1; or decreasing from 1 to 0 with `x0` for the reverse direction, whose
            weights estimate Z(0)/Z(1). None places them by `schedule` in a pilot run of its own.
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

    References:
        [neal2001], [delmoral2006]
    """
    key = choose(key, generator)
    target(path.at(jnp.ones(())), kernel)
    if resample is not None and resample not in RESAMPLERS:
        raise ArgumentError(f"Unknown resampling {resample!r}. Known: {', '.join(sorted(RESAMPLERS))}.")
    start_key, move_key, pilot_key = jax.random.split(key, 3)
    levels = np.asarray(schedule(path, kernel, key=pilot_key) if ts is None else ts, np.float64)
    _check_levels(levels, x0)
    keys = jax.random.split(move_key, (num_groups, num_particles))
    if x0 is None:
        start_keys = jax.random.split(start_key, (num_groups, num_particles))
        x = eqx.filter_jit(jax.vmap(jax.vmap(lambda k: path.start.draw(key=k))))(start_keys)
    else:
        x = _grouped_starts(path, x0, num_groups, num_particles)
    zeros = jnp.zeros((num_groups, num_particles))
    carry = (x, zeros, zeros, jnp.zeros(num_groups, jnp.int32), jnp.zeros((), jnp.int32))
    steps = None if step_sizes is None else jnp.asarray(step_sizes)
    relative, accepts = [], []
    chunk = -(-(len(levels) - 1) // min(_MAX_CHUNKS, len(levels) - 1))
    for begin in range(1, len(levels), chunk):
        end = min(begin + chunk, len(levels))
        pairs = (jnp.arange(begin, end), jnp.asarray(levels[begin - 1 : end - 1]), jnp.asarray(levels[begin:end]))
        part = None if steps is None else steps[begin:end]
        carry, (ess_part, accept_part) = _levels(
            path, kernel, carry, keys, pairs, part, num_steps, resample, jnp.asarray(resample_below)
        )
        relative.append(np.asarray(ess_part))
        accepts.append(np.asarray(accept_part))
        if progress is not None:
            progress(end - 1, len(levels) - 1)
    x, high, low, resamplings, bad = carry
    log_weights = np.asarray(high, np.float64) + np.asarray(low, np.float64)
    return Work(
        log_weights,
        jax.tree.map(np.asarray, x),
        levels,
        np.concatenate([[1.0], *relative]),
        np.concatenate([[1.0], *accepts]),
        np.asarray(resamplings),
        int(bad),
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
    flat = jax.tree.map(lambda leaf: jnp.asarray(leaf).reshape(-1, *leaf.shape[2:]), x0)
    x = starts(space, flat, num_groups * num_particles, key=jax.random.key(0))
    return jax.tree.map(lambda leaf: leaf.reshape(num_groups, num_particles, *leaf.shape[1:]), x)


@eqx.filter_jit
def _levels(
    path: AbstractPath,
    kernel: AbstractKernel,
    carry: PyTree[Array],
    keys: Array,
    pairs: tuple[Array, Array, Array],
    step_sizes: Array | None,
    num_steps: int,
    resample: str | None,
    resample_below: Array,
) -> tuple[PyTree[Array], tuple[Array, Array]]:
    """Some levels in one compiled loop."""

    def level(carry: PyTree[Array], inputs: Any) -> tuple[PyTree[Array], tuple[Array, Array]]:
        (index, t0, t1), step_size = inputs
        x, high, low, resamplings, bad = carry
        both = jax.vmap(jax.vmap(lambda x: path.value(t0, x) - path.value(t1, x)))
        high, low = add_compensated(high, low, both(x).astype(high.dtype))
        if resample is not None:
            x, high, low, resampled = _resample(x, high, low, keys, index, resample, resample_below)
            resamplings = resamplings + resampled
        energy = target(path.at(t1), kernel)
        mover = kernel if step_size is None else _with_step_size(kernel, step_size)

        def move(x: Configuration, key: PRNGKey) -> tuple[Configuration, Array, Array]:
            level_key = jax.random.fold_in(key, index)
            state = mover.init(energy, x, key=jax.random.fold_in(level_key, num_steps))

            def step(i: Array, inner: Any) -> Any:
                state, accepts, bad = inner
                state, info = mover.step(energy, state, key=jax.random.fold_in(level_key, i))
                return state, accepts + info.accept_prob / num_steps, bad + (~info.is_finite).astype(bad.dtype)

            state, accepts, bad = jax.lax.fori_loop(
                0, num_steps, step, (state, jnp.zeros(()), jnp.zeros((), jnp.int32))
            )
            return state.x, accepts, bad

        x, accepts, wrong = jax.vmap(jax.vmap(move))(x, keys)
        summary = relative_ess((high + low).reshape(-1)), jnp.mean(accepts)
        return (x, high, low, resamplings, bad + jnp.sum(wrong)), summary

    return jax.lax.scan(level, carry, (pairs, step_sizes))


def _with_step_size(kernel: AbstractKernel, step_size: Array) -> AbstractKernel:
    if not isinstance(kernel, AbstractStepSizeKernel):
        raise ArgumentError(f"{type(kernel).__name__} has no step size, so `step_sizes` must be left out.")
    return kernel.with_step_size(step_size.astype(kernel.step_size.dtype))


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


def schedule(
    path: AbstractPath,
    kernel: AbstractKernel,
    *,
    key: PRNGKey,
    num_levels: int | None = None,
    num_particles: int = 256,
    num_steps: int = 1,
    conditional_ess: float = 0.95,
    step_sizes: Callable[[float], float] | None = None,
) -> np.ndarray:
    """Levels at constant speed in the thermodynamic metric, found by a pilot run of SMC.

    The pilot places each level where the conditional ESS of the particles is `conditional_ess` and resamples; its
    levels are then equally spaced in thermodynamic length, and `num_levels` of them are interpolated.

    Args:
        path: The path.
        kernel: The kernel that will be used.
        key: Typed random key; use another one than for the run itself, which then stays unbiased.
        num_levels: Number of levels of the result; those of the pilot by default.
        num_particles: Particles of the pilot.
        num_steps: Transitions at each pilot level.
        conditional_ess: Relative conditional ESS between neighbouring pilot levels, in (0, 1).
        step_sizes: Step size as a function of t.

    Returns:
        Increasing levels from 0 to 1.

    References:
        [zhou2016]
    """
    key = choose(key, "auto")
    start_key, loop_key = jax.random.split(key)
    x = jax.vmap(lambda k: path.start.draw(key=k))(jax.random.split(start_key, num_particles))
    ts = [0.0]
    while ts[-1] < 1.0:
        t = float(_next_level(path, x, jnp.asarray(ts[-1]), jnp.asarray(conditional_ess)))
        # A path that cannot be crossed in small steps is crossed in the smallest one; the run's ESS will tell.
        t = min(max(t, ts[-1] + 1e-5), 1.0)
        mover = kernel if step_sizes is None else _with_step_size(kernel, jnp.asarray(step_sizes(t)))
        index = len(ts)
        x = _pilot_move(
            path, mover, x, jnp.asarray(ts[-1]), jnp.asarray(t), jax.random.fold_in(loop_key, index), num_steps
        )
        ts.append(t)
    pilot = np.asarray(ts)
    if num_levels is None:
        return pilot
    return np.interp(np.linspace(0, 1, num_levels), np.linspace(0, 1, len(pilot)), pilot)


@eqx.filter_jit
def _next_level(path: AbstractPath, x: Configuration, t0: Array, wanted: Array) -> Array:
    value0 = jax.vmap(lambda x: path.value(t0, x))(x)

    def conditional(t: Array) -> Array:
        return relative_ess(value0 - jax.vmap(lambda x: path.value(t, x))(x))

    def halve(_: int, bracket: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = bracket
        middle = 0.5 * (low + high)
        good = conditional(middle) > wanted
        return jnp.where(good, middle, low), jnp.where(good, high, middle)

    low, _ = jax.lax.fori_loop(0, 20, halve, (t0, jnp.ones_like(t0)))
    return jnp.where(conditional(jnp.ones_like(t0)) > wanted, 1.0, low)


@eqx.filter_jit
def _pilot_move(
    path: AbstractPath, kernel: AbstractKernel, x: Configuration, t0: Array, t1: Array, key: PRNGKey, num_steps: int
) -> Configuration:
    log_w = jax.vmap(lambda x: path.value(t0, x) - path.value(t1, x))(x)
    resample_key, move_key = jax.random.split(key)
    ancestors = RESAMPLERS["systematic"](log_w, key=resample_key)
    x = jax.tree.map(lambda leaf: leaf[ancestors], x)
    energy = target(path.at(t1), kernel)

    def move(x: Configuration, key: PRNGKey) -> Configuration:
        state = kernel.init(energy, x, key=jax.random.fold_in(key, num_steps))
        step = lambda i, s: kernel.step(energy, s, key=jax.random.fold_in(key, i))[0]  # noqa: E731
        return jax.lax.fori_loop(0, num_steps, step, state).x

    return jax.vmap(move)(x, jax.random.split(move_key, log_w.size))
