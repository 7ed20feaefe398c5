"""Driven processes: walkers follow a moving energy, and the work that is done on them is recorded."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from energax._errors import ArgumentError, Diverged, KernelMismatch, NotTractable
from energax._typing import Configuration, PRNGKey, Scalar
from energax.densities import AbstractDensity
from energax.energies import exact_draw, observed, observed_space
from energax.estimators import Estimate, jarzynski
from energax.kernels import ULA, AbstractKernel, target
from energax.paths import AbstractPath, Geometric
from energax.random import choose
from energax.sampling._accumulators import add_compensated
from energax.sampling._starts import draws, starts
from energax.sampling._steps import padded, run_steps

_CHUNK = 32
"""Levels of one compiled call, as in `anneal`."""


@dataclasses.dataclass(frozen=True, repr=False)
class Driven:
    """What was done on walkers along a protocol.

    Attributes:
        work: Total work of each walker, nats, (walker,): E exp(−work) = Z(last)/Z(first) at any step size.
        shadow: The part of it that the discretisation did, (walker,); zero for exact kernels. ``work - shadow`` is the
            protocol's work Σ_k E_{k+1}(x) − E_k(x).
        x: Last configurations, (walker, *event).
        ts: The protocol.
        mean_work: Mean of the work done so far, (level,).
        spread: Its standard deviation over walkers, (level,).
        trajectories: Work done so far on the first walkers, (kept walker, level).
        accept_prob: Mean acceptance probability at each level; 1 for kernels that do not reject.
    """

    work: Float[np.ndarray, " walker"]
    shadow: Float[np.ndarray, " walker"]
    x: PyTree[Any]
    ts: Float[np.ndarray, " level"]
    mean_work: Float[np.ndarray, " level"]
    spread: Float[np.ndarray, " level"]
    trajectories: Float[np.ndarray, "kept level"]
    accept_prob: Float[np.ndarray, " level"]

    @property
    def free_energy(self) -> Estimate:
        """F(last) − F(first), of this direction alone, by `estimators.jarzynski`."""
        return jarzynski(self.work)

    def __repr__(self) -> str:
        told = f"mean work {self.work.mean():.4g}, spread {self.work.std():.3g}"
        return f"Driven({self.work.size} walkers from t = {self.ts[0]:g} to {self.ts[-1]:g}, {told})"


def drive(
    path: AbstractPath,
    kernel: AbstractKernel,
    ts: Float[Array, " levels"],
    *,
    key: PRNGKey,
    num_walkers: int,
    x0: Configuration | AbstractDensity | None = None,
    num_steps: int = 1,
    switch: Literal["before", "during"] | None = None,
    num_kept: int = 32,
    generator: str = "auto",
    progress: Callable[[int, int], None] | None = None,
) -> Driven:
    """Drive walkers along a path from an equilibrium state, and count the work.

    With ``switch="before"`` the energy jumps from E_k to E_{k+1} at the walker's place x, which costs the work
    E_{k+1}(x) − E_k(x); then the walker makes `num_steps` transitions under E_{k+1}. With ``switch="during"`` it makes
    one Langevin step under E_k to y, and then the energy jumps.

    A Langevin step of finite size h does work of its own, the shadow work: with the law q_k(y | x) of a step,

        E_k(y) − E_k(x) + log q_k(y | x) − log q_l(x | y),   l = k ("before", under the new energy) or k + 1 ("during").

    Work of both kinds together obeys E exp(−W) = Z(last)/Z(first), and averages with weights exp(−W) are those of the
    last law, at any h and any speed. ``"during"`` is its own mirror image: with the protocol turned around it obeys
    Crooks' theorem too. ``"before"`` does so with exact kernels that are reversible, but with `ULA` only nearly.

    Exactness: E exp(−W) is exact, whatever the step size and the speed, if the starts are exact draws of the first law.
    With `ULA` energies must be finite everywhere; behind a wall an exact kernel's walker has the weight zero.
    Cost: for each level num_steps transitions and two energies a walker; ``"during"``: one score and one energy.

    Args:
        path: The path; `paths.Moving` for a family of your own.
        kernel: Any exact kernel, or `ULA`.
        ts: The protocol: t at each level, (level,), in [0, 1]. It may wait or turn back. From 1 to 0 it is the reverse
            process.
        key: Typed random key.
        num_walkers: Number of independent walkers.
        x0: Exact draws of the first law, (walker, *event), or the density to draw them from. Not needed where the
            protocol starts at t = 0, or where an exact sampler of the first energy is known.
        num_steps: Transitions after each switch; 1 for ``"during"``, which takes more levels instead.
        switch: ``"during"`` by default for `ULA`, ``"before"`` for exact kernels.
        num_kept: Walkers whose whole trajectory of work is kept.
        generator: As in `sample`.
        progress: Called with (done, total) levels now and then.

    Returns:
        `Driven`. Give the works of both directions to `estimators.bar` or `estimators.crooks`.

    Raises:
        KernelMismatch: The kernel does not fit, or is neither exact nor `ULA`.
        ArgumentError: A protocol outside [0, 1], missing starts, or options that do not go together.
        Diverged: Work that is not a number; infinite work with `ULA`.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from energax import densities, energies, kernels, paths, sampling
        >>> path = paths.Geometric(densities.Gaussian(jnp.zeros(1)), energies.DoubleWell())
        >>> ts = jnp.linspace(0, 1, 41)
        >>> found = sampling.drive(path, kernels.ULA(0.05), ts, key=jax.random.key(0), num_walkers=4000)
        >>> bool(abs(found.free_energy.value + 0.6799) < 5 * found.free_energy.stderr)
        True

    References:
        [jarzynski1997], [crooks1999], [sivak2013], [carbone2023]
    """
    key = choose(key, generator)
    protocol = np.asarray(ts, np.float64)
    during = _check(path, kernel, protocol, num_walkers, num_steps, switch)
    start_key, move_key = jax.random.split(key)
    x = _start(path, float(protocol[0]), x0, num_walkers, key=start_key)
    walkers = _carried(path, kernel, x, jnp.asarray(protocol[0], jnp.result_type(float))) if during else x
    zeros = jnp.zeros(num_walkers)
    carry, keys = (walkers, (zeros, zeros), (zeros, zeros)), jax.random.split(move_key, num_walkers)
    record = _Record(num_walkers, num_kept)
    for begin in range(1, len(protocol), _CHUNK):
        end = min(begin + _CHUNK, len(protocol))
        before, after = (padded(protocol[begin - i : end - i], _CHUNK) for i in (1, 0))
        span = jnp.asarray([begin, end - begin]), before, after
        carry, (so_far, accepts) = _levels(path, kernel, carry, keys, span, num_steps, during)
        record.add(np.asarray(so_far)[: end - begin], np.asarray(accepts)[: end - begin])
        if progress is not None:
            progress(end - 1, len(protocol) - 1)
    walkers, work, shadow = carry
    ends = jax.tree.map(np.asarray, walkers.x if during else walkers)
    totals = _total(work), _total(shadow)
    _require_numbers(totals[0], kernel)
    return record.finished(*totals, ends, protocol)


class _Record:
    """Moments of the work level by level, in float64, and some whole trajectories."""

    def __init__(self, num_walkers: int, num_kept: int) -> None:
        kept = min(num_kept, num_walkers)
        self._means, self._spreads, self._accepts = [0.0], [0.0], [1.0]
        self._trajectories = [np.zeros((1, kept))]

    def add(self, so_far: np.ndarray, accepts: np.ndarray) -> None:
        work = so_far.astype(np.float64)
        with np.errstate(invalid="ignore"):
            self._means.extend(work.mean(axis=1))
            self._spreads.extend(work.std(axis=1))
        self._accepts.extend(accepts)
        self._trajectories.append(work[:, : self._trajectories[0].shape[1]])

    def finished(self, work: np.ndarray, shadow: np.ndarray, x: Any, ts: np.ndarray) -> Driven:
        means, spreads, accepts = (np.asarray(a, np.float64) for a in (self._means, self._spreads, self._accepts))
        return Driven(work, shadow, x, ts, means, spreads, np.concatenate(self._trajectories).T, accepts)


def _require_numbers(work: np.ndarray, kernel: AbstractKernel) -> None:
    """Infinite work is that of a walker behind a wall, whose weight is zero; a step of ULA back from there is lost."""
    bad = ~np.isfinite(work) & ~(kernel.exact & (work == np.inf))
    if bad.any():
        walls = "" if kernel.exact else " Energies with walls need an exact kernel."
        raise Diverged(
            f"The work on {int(bad.sum())} of {work.size} walkers is no number: their energy was not finite, or they "
            f"ran away. Take a smaller step size, or look at the energies on the way.{walls}"
        )


class _Step(NamedTuple):
    """What one level did to one walker."""

    walker: Any
    work: Scalar
    shadow: Scalar
    accept_prob: Scalar


def _check(
    path: AbstractPath, kernel: AbstractKernel, ts: np.ndarray, num_walkers: int, num_steps: int, switch: str | None
) -> bool:
    """Whether the energy switches during the step."""
    target(path.at(jnp.ones(())), kernel)
    if not (kernel.exact or isinstance(kernel, ULA)):
        raise KernelMismatch(
            f"drive counts the work of exact kernels and of ULA; that of {type(kernel).__name__} is unknown. "
            "Try ULA(step_size=0.01)."
        )
    if ts.ndim != 1 or len(ts) < 2 or not (np.all(ts >= 0) and np.all(ts <= 1)):
        raise ArgumentError(f"`ts` must be at least two levels in [0, 1], got {ts!r}.")
    if switch not in (None, "before", "during"):
        raise ArgumentError(f'`switch` is "before" or "during"; given {switch!r}.')
    during = isinstance(kernel, ULA) and switch != "before" if switch != "during" else True
    if during and not isinstance(kernel, ULA):
        raise ArgumentError(f'switch="during" splits a step of ULA; {type(kernel).__name__} takes "before".')
    if num_walkers < 1 or num_steps < 1 or (during and num_steps > 1):
        raise ArgumentError(
            f"drive needs positive counts, and num_steps=1 where the energy switches during the step (give more levels "
            f"instead); got num_walkers={num_walkers}, num_steps={num_steps}."
        )
    return during


def _start(
    path: AbstractPath, t: float, x0: Configuration | AbstractDensity | None, num_walkers: int, *, key: PRNGKey
) -> Configuration:
    space, keys = observed_space(path.at(jnp.ones(()))), jax.random.split(key, num_walkers)
    if isinstance(x0, AbstractDensity):
        return starts(space, draws(x0, keys), num_walkers, key=key)
    if x0 is not None:
        return starts(space, x0, num_walkers, key=key)
    if t == 0:
        return draws(path.start, keys)
    first = path.at(jnp.asarray(t, jnp.result_type(float)))
    if t == 1 and isinstance(path, Geometric):
        first = path.target
    try:
        return jax.vmap(lambda k: observed(first, exact_draw(first, key=k)))(keys)
    except NotTractable:
        raise ArgumentError(
            f"The protocol starts at t = {t:g}, where no exact sampler is known: pass exact draws of that law, or a "
            "density that makes them, as `x0`."
        ) from None


@eqx.filter_jit
def _carried(path: AbstractPath, kernel: AbstractKernel, x: Configuration, t: Array) -> Any:
    energy = target(path.at(t), kernel)
    return jax.vmap(lambda x: kernel.init(energy, x, key=jax.random.key(0)))(x)


@eqx.filter_jit
def _levels(
    path: AbstractPath,
    kernel: AbstractKernel,
    carry: PyTree[Array],
    keys: Array,
    span: tuple[Array, Array, Array],
    num_steps: int,
    during: bool,
) -> tuple[PyTree[Array], tuple[Array, Array]]:
    """Some levels in one compiled loop, and after each of them the work so far and the acceptance."""
    (begin, length), before, after = span

    def level(i: Array, outer: Any) -> Any:
        (walkers, work, shadow), (so_far, accepts) = outer
        level_keys = jax.vmap(lambda key: jax.random.fold_in(key, begin + i))(keys)
        switch = _switch_during if during else _switch_before
        move = lambda walker, key: switch(path, kernel, walker, (before[i], after[i]), num_steps, key=key)  # noqa: E731
        found = jax.vmap(move)(walkers, level_keys)
        # A lost walker has infinite work from then on, also where both energies are infinite.
        gain = jnp.where(work[0] == jnp.inf, 0.0, found.work)
        work = add_compensated(work[0], work[1], gain.astype(work[0].dtype))
        shadow = add_compensated(shadow[0], shadow[1], found.shadow.astype(shadow[0].dtype))
        so_far = so_far.at[i].set((work[0] + work[1]).astype(so_far.dtype))
        accepts = accepts.at[i].set(jnp.mean(found.accept_prob).astype(accepts.dtype))
        return (found.walker, work, shadow), (so_far, accepts)

    nothing = jnp.zeros((_CHUNK, keys.shape[0])), jnp.zeros(_CHUNK)
    return jax.lax.fori_loop(0, length, level, (carry, nothing))


def _switch_during(
    path: AbstractPath, kernel: Any, state: Any, ts: tuple[Scalar, Scalar], num_steps: int, *, key: PRNGKey
) -> _Step:
    """A Langevin step under the energy before, whose end is judged by the one after."""
    assert num_steps == 1
    state, work = kernel.driven_step(target(path.at(ts[1]), kernel), state, key=key)
    protocol = state.value - path.value(ts[0], state.x)
    return _Step(state, work, work - protocol, jnp.ones(()))


def _switch_before(
    path: AbstractPath, kernel: Any, x: Configuration, ts: tuple[Scalar, Scalar], num_steps: int, *, key: PRNGKey
) -> _Step:
    """The energy jumps, then the walker moves."""
    before, after = ts
    energy = target(path.at(after), kernel)
    protocol = path.value(after, x) - path.value(before, x)
    if not isinstance(kernel, ULA):
        x, accept_prob, _ = run_steps(energy, kernel, x, num_steps, key=key)
        return _Step(x, protocol, jnp.zeros_like(protocol), accept_prob)

    def step(i: Array, inner: tuple[Any, Scalar]) -> tuple[Any, Scalar]:
        state, work = kernel.driven_step(energy, inner[0], key=jax.random.fold_in(key, i))
        return state, inner[1] + work

    start = kernel.init(energy, x, key=key), jnp.zeros_like(protocol)
    state, shadow = jax.lax.fori_loop(0, num_steps, step, start)
    return _Step(state.x, protocol + shadow, shadow, jnp.ones(()))


def _total(pair: tuple[Array, Array]) -> np.ndarray:
    return np.asarray(pair[0], np.float64) + np.asarray(pair[1], np.float64)
