"""The pilot run along a path: where the levels go, how large the steps are, how far the two ends lie apart."""

from __future__ import annotations

import dataclasses
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PyTree

from energax._typing import Configuration, PRNGKey, Scalar
from energax.kernels import AbstractKernel, AbstractStepSizeKernel, target
from energax.paths import AbstractPath
from energax.sampling import RESAMPLERS

_STRIDE = 0.45
"""Thermodynamic length between pilot levels: neighbouring laws keep a relative ESS of about 0.8."""
_TUNING = 25
"""Moves for tuning the step size at the first and at the last level."""
_MOST_KEPT = 256
"""Levels whose particles are kept: of a hardly trained energy of 784 columns there are thousands, gigabytes of them."""


@dataclasses.dataclass(frozen=True)
class Pilot:
    """What a pilot run found.

    Attributes:
        ts: Its levels, equally spaced in thermodynamic length, from 0 to 1.
        length: Thermodynamic length of the path, ∫ std_t(∂_t E_t) dt, as plans count it: strides at the speed that each
            begins with, an upper estimate where the speed falls. With perfect moves, annealing with K levels has log
            weights of variance length²/K.
        step_sizes: Step size of the kernel at each level, or None for kernels without.
        kept: Which of the levels `x` belongs to: all of them, or a few hundred at equal distances and the last one.
        x: Particles at the kept levels, (kept, particle, *event).
        log_z: Rough log Z.
        num_transitions: Cost.
        lengths: Thermodynamic length from t = 0 to each level, by the trapezoid of the speeds.
    """

    ts: np.ndarray
    length: float
    step_sizes: np.ndarray | None
    kept: Int[np.ndarray, " kept"]
    x: PyTree[Any]
    log_z: float
    num_transitions: int
    lengths: Float[np.ndarray, " level"] | None = None

    def levels(self, num: int) -> np.ndarray:
        """`num` levels equally spaced in thermodynamic length."""
        return np.interp(np.linspace(0, 1, num), np.linspace(0, 1, len(self.ts)), self.ts)

    def step_sizes_at(self, ts: np.ndarray) -> np.ndarray | None:
        """Step sizes at other levels, interpolated."""
        if self.step_sizes is None:
            return None
        return np.exp(np.interp(ts, self.ts, np.log(self.step_sizes)))


def run_pilot(
    path: AbstractPath,
    kernel: AbstractKernel,
    *,
    num_particles: int = 128,
    num_moves: int = 2,
    stride: float = _STRIDE,
    key: PRNGKey,
) -> Pilot:
    """Move a population along the path by sequential Monte Carlo, measuring on the way.

    The next level lies one stride of thermodynamic length ahead. Nothing of it enters an estimate: an interval
    whose run has its own key holds whatever the pilot did.

    Args:
        path: The path.
        kernel: The kernel of the run; a step size is tuned at every level.
        num_particles: Size of the population.
        num_moves: Transitions at each level.
        stride: Thermodynamic length between levels.
        key: Random key.
    """
    start_key, loop_key = jax.random.split(key)
    x = _draws(path, jax.random.split(start_key, num_particles))
    tuned = isinstance(kernel, AbstractStepSizeKernel)
    step_size = kernel.step_size if isinstance(kernel, AbstractStepSizeKernel) else jnp.zeros(())
    if tuned:
        x, step_size = _tune(path, kernel, x, jnp.zeros(()), step_size, jax.random.fold_in(loop_key, 0), _TUNING)
    ts, steps, lengths = [0.0], [float(step_size)], [0.0]
    kept, every = {0: jax.tree.map(np.asarray, x)}, 1
    share, log_z = 0.0, 0.0
    while ts[-1] < 1.0:
        t = jnp.asarray(ts[-1], jnp.result_type(float))
        level_key = jax.random.fold_in(loop_key, len(ts))
        x, step_size, told = _advance(path, kernel, x, t, step_size, jnp.asarray(stride), level_key, num_moves)
        t_next, share, speed, gain = (float(number) for number in told)
        log_z += gain
        # A path that cannot be crossed in small steps is crossed in tiny ones; the run's weights will tell.
        ts.append(min(max(t_next, ts[-1] + 1e-5), 1.0))
        lengths.append(lengths[-1] + speed * (ts[-1] - ts[-2]))
        steps.append(float(step_size))
        if (len(ts) - 1) % every == 0:
            kept[len(ts) - 1] = jax.tree.map(np.asarray, x)
        if len(kept) > _MOST_KEPT:
            every *= 2
            kept = {level: there for level, there in kept.items() if level % every == 0}
    kept[len(ts) - 1] = jax.tree.map(np.asarray, x)
    extra = 0
    if tuned:
        extra = 2 * _TUNING
        final_key = jax.random.fold_in(loop_key, len(ts))
        _, step_size = _tune(path, kernel, x, jnp.ones(()), step_size, final_key, _TUNING)
        steps[-1] = float(step_size)
    # The last stride was cut at t = 1.
    length = stride * (len(ts) - 2 + float(np.clip(share, 0.0, 1.0)))
    return Pilot(
        np.asarray(ts),
        length,
        np.asarray(steps) if tuned else None,
        np.asarray(list(kept)),
        jax.tree.map(lambda *leaves: np.stack(leaves), *kept.values()),
        log_z,
        num_particles * (num_moves * (len(ts) - 1) + extra),
        np.asarray(lengths),
    )


@eqx.filter_jit
def _draws(path: AbstractPath, keys: Array) -> Configuration:
    return jax.vmap(lambda key: path.start.draw(key=key))(keys)


@eqx.filter_jit
def _tune(
    path: AbstractPath, kernel: AbstractKernel, x: Configuration, t: Array, step_size: Array, key: PRNGKey, num: int
) -> tuple[Configuration, Array]:
    x, step_size = _moves(path, kernel, x, t, step_size, key, num)
    return x, step_size


@eqx.filter_jit
def _advance(
    path: AbstractPath,
    kernel: AbstractKernel,
    x: Configuration,
    t: Array,
    step_size: Array,
    stride: Array,
    key: PRNGKey,
    num: int,
) -> tuple[Configuration, Array, tuple[Array, Array, Array, Array]]:
    """One level: moves, and (its place, share of a full stride until t = 1, mean speed on the way, gain in log Z)."""
    value = jax.vmap(lambda x: path.value(t, x))(x)
    speed = _speed(path, x, t)
    stride = stride / jnp.maximum(speed, 1e-6)

    def log_weights(stride: Array) -> Float[Array, " particle"]:
        there = jnp.minimum(t + stride, 1.0)
        log_w = value - jax.vmap(lambda x: path.value(there, x))(x)
        return jnp.where(jnp.isnan(log_w), -jnp.inf, log_w)

    def too_far(stride: Array) -> Array:
        log_w = log_weights(stride)
        ess = jnp.exp(2 * jax.nn.logsumexp(log_w) - jax.nn.logsumexp(2 * log_w)) / log_w.size
        # The linear forecast fails where the law changes its character.
        return ~(ess > 0.6) & (stride > 1e-5)

    stride = jax.lax.while_loop(too_far, lambda s: s / 2, stride)
    share = (1.0 - t) / stride
    resample_key, move_key = jax.random.split(key)
    log_w = log_weights(stride)
    ancestors = RESAMPLERS["systematic"](log_w, key=resample_key)
    x = jax.tree.map(lambda leaf: leaf[ancestors], x)
    there = jnp.minimum(t + stride, 1.0)
    x, step_size = _moves(path, kernel, x, there, step_size, move_key, num)
    # Speeds at both ends, because the one before alone misses how it changes.
    return x, step_size, (there, share, 0.5 * (speed + _speed(path, x, there)), log_mean_exp(log_w))


def _speed(path: AbstractPath, x: Configuration, t: Array) -> Scalar:
    """Thermodynamic speed at t, the standard deviation of ∂_t E_t over a population."""
    # A difference, not a derivative: it sees a path whose slope at t = 0 is not defined.
    low, high = jnp.maximum(t - 5e-3, 0.0), jnp.minimum(t + 5e-3, 1.0)
    rates = jax.vmap(lambda x: (path.value(high, x) - path.value(low, x)) / (high - low))(x)
    finite = jnp.isfinite(rates)
    centre = jnp.sum(jnp.where(finite, rates, 0.0)) / jnp.maximum(finite.sum(), 1)
    return jnp.sqrt(jnp.sum(jnp.where(finite, rates - centre, 0.0) ** 2) / jnp.maximum(finite.sum(), 1))


def log_mean_exp(log_w: Float[Array, " particle"]) -> Scalar:
    """Log of the mean weight."""
    return jax.nn.logsumexp(log_w) - jnp.log(log_w.size)


def _moves(
    path: AbstractPath, kernel: AbstractKernel, x: Configuration, t: Array, step_size: Array, key: PRNGKey, num: int
) -> tuple[Configuration, Array]:
    """`num` transitions of the population, the step size following the acceptance."""
    energy = target(path.at(t), kernel)

    def move(i: Array, carry: Any) -> Any:
        x, step_size = carry
        mover = kernel
        if isinstance(kernel, AbstractStepSizeKernel):
            mover = kernel.with_step_size(step_size)

        def one(x: Configuration, key: PRNGKey) -> tuple[Configuration, Array]:
            init_key, step_key = jax.random.split(key)
            state, info = mover.step(energy, mover.init(energy, x, key=init_key), key=step_key)
            return state.x, info.accept_prob

        particles = jax.tree.leaves(x)[0].shape[0]
        x, accepts = jax.vmap(one)(x, jax.random.split(jax.random.fold_in(key, i), particles))
        if isinstance(kernel, AbstractStepSizeKernel):
            # A gain of one half follows a drift of the best step along the path, and settles within a few per cent.
            gain = 0.5 * (jnp.mean(accepts) - kernel.target_accept_prob)
            step_size = step_size * jnp.exp(gain).astype(step_size.dtype)
        return x, step_size

    return jax.lax.fori_loop(0, num, move, (x, step_size))
