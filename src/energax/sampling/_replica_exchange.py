"""Replica exchange (parallel tempering) along a path, with non-reversible swaps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PyTree

from energax._errors import ArgumentError, Diverged
from energax._typing import Configuration, PRNGKey
from energax.energies import observed_space
from energax.kernels import AbstractKernel, target
from energax.paths import AbstractPath
from energax.random import choose, generator_name
from energax.sampling._replica_samples import ReplicaSamples
from energax.sampling._samples import Samples
from energax.sampling._starts import draws, starts
from energax.sampling._steps import run_steps

_CHUNK = 32
"""Kept draws of one compiled call: one length for all runs, so that a longer run compiles nothing."""


class _Traffic(eqx.Module):
    """Counters of one chain."""

    origin: Int[Array, " level"]
    arrivals: Int[Array, ""]
    round_trips: Int[Array, ""]
    swaps: Float[Array, " pairs"]
    accepts: Float[Array, " level"]
    nonfinite: Int[Array, ""]


_UNKNOWN, _FROM_FIRST, _VISITED_LAST = 0, 1, 2


def replica_exchange(
    path: AbstractPath,
    kernel: AbstractKernel,
    ts: Float[Array | np.ndarray, " levels"],
    x0: Configuration | None = None,
    *,
    key: PRNGKey,
    num_sweeps: int,
    num_chains: int | None = None,
    num_warmup: int = 0,
    swap_every: int = 1,
    thin: int = 1,
    save: Callable[[Any], Any] | None = lambda x: x,
    keep: str = "last",
    origin: Int[np.ndarray, "chain level"] | None = None,
    throw: bool = True,
    generator: str = "auto",
    progress: Callable[[int, int], None] | None = None,
) -> ReplicaSamples:
    """Run ladders of replicas at the levels of a path that exchange their configurations.

    A sweep moves every replica by `swap_every` transitions at its level and then swaps neighbours: pairs (0, 1),
    (2, 3) ... in even sweeps, (1, 2), (3, 4) ... in odd ones, each with probability

        min(1, exp(E_i(x_i) + E_j(x_j) − E_i(x_j) − E_j(x_i)))

    in the observed energies, hidden units summed out. The fixed alternation is not reversible and carries replicas
    along the ladder in straight runs. Where the ladder begins at t = 0 its replica there is drawn afresh from the
    path's start in every sweep, so that each arrival at the last level brings a configuration that is independent of
    the start of the chain.

    Exactness: leaves the product of the laws at all levels invariant if the kernel is exact. The chains (whole
    ladders) are independent of each other; the levels of one ladder are not.

    Cost: levels × `swap_every` transitions a sweep, and two energies for each replica.

    Where to put the levels, and with which step sizes: `tune_ladder`.

    Args:
        path: The family of energies.
        kernel: A kernel; step sizes with a leading axis of the number of levels give each level its own.
        ts: Levels, strictly increasing, at least two; the last one is what is sampled, normally 1.
        x0: Starts, axes (chain, level, *event). Without it, draws from the path's start at all levels.
        key: Typed random key.
        num_sweeps: Sweeps after warm-up.
        num_chains: Independent ladders; taken from `x0` if given, else 1.
        num_warmup: Sweeps before the first kept draw and before counting begins.
        swap_every: Transitions between swaps.
        thin: Keep every `thin`-th sweep; must divide `num_sweeps`.
        save: Function of one configuration whose values are stored; None stores only energies.
        keep: ``"last"``: draws of the last level; ``"all"``: of every level, in `ReplicaSamples.every_level` too.
        origin: That of an earlier run whose `last` is `x0`, to go on counting its round trips.
        throw: Raise if an energy at the last level is not finite.
        generator: As in `sample`.
        progress: Called with (done, total) sweeps now and then.

    Returns:
        `ReplicaSamples`.

    Raises:
        KernelMismatch: The kernel does not fit the energy.
        ArgumentError: Levels or counts make no sense.
        Diverged: See `throw`.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from energax import densities, energies, kernels, paths, sampling
        >>> well = energies.DoubleWell(1, barrier=8.0)
        >>> path = paths.Geometric(densities.Gaussian(jnp.zeros(1), 2.0), well)
        >>> ts = jnp.array([0.0, 0.1, 0.3, 1.0])
        >>> run = sampling.replica_exchange(path, kernels.HMC(0.2), ts, key=jax.random.key(0), num_sweeps=100)
        >>> run.x.shape
        (1, 100, 1)

    References:
        [geyer1991], [syed2022]
    """
    levels = np.asarray(ts, np.float64)
    _check(levels, num_sweeps, num_warmup, swap_every, thin)
    if keep not in ("last", "all"):
        raise ArgumentError(f'`keep` must be "last" or "all", got {keep!r}.')
    space = observed_space(target(path.at(jnp.ones(())), kernel))
    key = choose(key, generator)
    start_key, chain_key = jax.random.split(key)
    x, num_chains = _starts(path, space, x0, num_chains, len(levels), key=start_key)
    keys = jax.random.split(chain_key, num_chains)
    traffic = _traffic(num_chains, len(levels))
    if origin is not None:
        if np.shape(origin) != (num_chains, len(levels)):
            raise ArgumentError(
                f"`origin` must be {(num_chains, len(levels))}, as `x0` has it, got {np.shape(origin)}."
            )
        traffic = eqx.tree_at(lambda t: t.origin, traffic, jnp.asarray(origin, jnp.int32))
    settings: Any = (bool(levels[0] == 0.0), swap_every, save, keep == "all")
    run = jnp.asarray(levels, jnp.result_type(float))

    def advance(carry: Any, done: int, length: int, spacing: int) -> tuple[Any, Any]:
        counts = jnp.asarray([done, length, spacing])
        return _sweeps(path, kernel, run, carry, keys, counts, settings, min(_CHUNK, num_sweeps // thin))

    carry = (x, traffic)
    if num_warmup:
        # One "kept draw" that nobody looks at: the sweeps of warm-up in the same compiled loop.
        (x, warm), _ = advance(carry, -num_warmup, 1, num_warmup)
        # Counting begins anew, with trips that are under way, so that their rate does not depend on the length.
        carry = (x, eqx.tree_at(lambda t: t.origin, traffic, warm.origin))
    pieces, done, total = [], 0, num_sweeps // thin
    while done < total:
        length = min(_CHUNK, total - done)
        carry, piece = advance(carry, done * thin, length, thin)
        pieces.append(jax.tree.map(lambda leaf, n=length: np.asarray(leaf)[:, :n], piece))
        done += length
        if progress is not None:
            progress(done * thin, num_sweeps)
    how = {"num_steps": num_sweeps, "num_warmup": num_warmup, "thin": thin, "swap_every": swap_every}
    how |= {"generator": generator_name(key), "kernel": type(kernel).__name__}
    return _collect(kernel, levels, pieces, carry, keep == "all", throw, how)


def _check(ts: np.ndarray, num_sweeps: int, num_warmup: int, swap_every: int, thin: int) -> None:
    if ts.ndim != 1 or len(ts) < 2 or not np.all(np.diff(ts) > 0) or ts[0] < 0 or ts[-1] > 1:
        raise ArgumentError(f"`ts` must be at least two strictly increasing levels in [0, 1], got {ts!r}.")
    if num_sweeps < 1 or num_warmup < 0 or swap_every < 1 or thin < 1 or num_sweeps % thin:
        raise ArgumentError(
            "num_sweeps must be a positive multiple of thin, swap_every positive and num_warmup not negative; got "
            f"num_sweeps={num_sweeps}, thin={thin}, swap_every={swap_every}, num_warmup={num_warmup}."
        )


def _starts(
    path: AbstractPath, space: Any, x0: Configuration | None, num_chains: int | None, num_levels: int, *, key: PRNGKey
) -> tuple[Configuration, int]:
    if x0 is None:
        num_chains = 1 if num_chains is None else num_chains
        keys = jax.random.split(key, (num_chains, num_levels))
        return draws(path.start, keys), num_chains
    shape = jnp.shape(jax.tree.leaves(x0)[0])[:2]
    if len(shape) < 2 or shape[1] != num_levels or num_chains not in (None, shape[0]):
        raise ArgumentError(
            f"`x0` must have axes (chain, level, *event) with {num_levels} levels"
            f"{'' if num_chains is None else f' and {num_chains} chains'}, got leading axes {shape}."
        )
    flat = jax.tree.map(lambda leaf: jnp.asarray(leaf).reshape(-1, *jnp.shape(leaf)[2:]), x0)
    x = starts(space, flat, None, key=key)
    return jax.tree.map(lambda leaf: leaf.reshape(*shape, *leaf.shape[1:]), x), shape[0]


def _traffic(num_chains: int, num_levels: int) -> _Traffic:
    count = jnp.zeros(num_chains, jnp.int32)
    origin = jnp.full((num_chains, num_levels), _UNKNOWN, jnp.int32)
    return _Traffic(
        origin, count, count, jnp.zeros((num_chains, num_levels - 1)), jnp.zeros((num_chains, num_levels)), count
    )


def kernel_axes(kernel: AbstractKernel, num_levels: int) -> PyTree[int | None]:
    """0 for step sizes that carry the ladder axis, None for all other leaves of a kernel.

    Other arrays are left alone: a preconditioner may have as many entries as there are levels.
    """

    def axis(path: Any, leaf: Any) -> int | None:
        is_size = bool(path) and getattr(path[-1], "name", None) == "step_size"
        return 0 if is_size and eqx.is_array(leaf) and leaf.ndim and leaf.shape[0] == num_levels else None

    return jax.tree_util.tree_map_with_path(axis, kernel)


def swap_log_ratios(
    path: AbstractPath, ts: Float[Array, " level"], x: Configuration, parity: Array
) -> tuple[Float[Array, " level"], Int[Array, " level"]]:
    """For every level the logarithm of the swap ratio with its partner, and who the partner is (itself: nobody).

    Args:
        path: The path.
        ts: Levels.
        x: Configurations, leading axis level.
        parity: 0 for the pairs (0, 1), (2, 3) ...; 1 for (1, 2), (3, 4) ...
    """
    index = jnp.arange(ts.size)
    partner = jnp.where(index % 2 == parity, index + 1, index - 1)
    partner = jnp.where((partner < 0) | (partner >= ts.size), index, partner)
    # Both energies of a configuration in one function: they share what does not depend on the level.
    gain = jax.vmap(lambda t, s, y: path.value(t, y) - path.value(s, y))(ts, ts[partner], x)
    return gain + gain[partner], partner


@eqx.filter_jit
def _sweeps(
    path: AbstractPath,
    kernel: AbstractKernel,
    ts: Array,
    carry: tuple[Configuration, _Traffic],
    keys: Array,
    counts: Array,
    settings: tuple[bool, int, Callable[[Any], Any] | None, bool],
    chunk: int,
) -> tuple[tuple[Configuration, _Traffic], tuple[PyTree[Array], Array]]:
    """Some kept draws of every chain; how many and how far apart is not known to the compiler."""
    redraw, swap_every, save, whole = settings
    done, length, thin = counts

    def stored(x: Configuration) -> tuple[PyTree[Array], Array]:
        """What is kept of one ladder."""

        def one(t: Array, y: Configuration) -> tuple[PyTree[Array], Array]:
            return None if save is None else save(y), path.value(t, y)

        return jax.vmap(one)(ts, x) if whole else one(ts[-1], jax.tree.map(lambda leaf: leaf[-1], x))

    def kept(chain: Any, key: PRNGKey) -> Any:
        def body(i: Array, outer: Any) -> Any:
            inner, out = outer
            first = done + i * thin

            def one(s: Array, carry: Any) -> Any:
                return _sweep(path, kernel, ts, carry, first + s, redraw, swap_every, key=key)

            inner = jax.lax.fori_loop(0, thin, one, inner)
            return inner, jax.tree.map(lambda store, value: store.at[i].set(value), out, stored(inner[0]))

        like = eqx.filter_eval_shape(stored, chain[0])
        empty = jax.tree.map(lambda leaf: jnp.zeros((chunk, *leaf.shape), leaf.dtype), like)
        return jax.lax.fori_loop(0, length, body, (chain, empty))

    return jax.vmap(kept)(carry, keys)


def _sweep(
    path: AbstractPath,
    kernel: AbstractKernel,
    ts: Array,
    carry: tuple[Configuration, _Traffic],
    index: Array,
    redraw: bool,
    swap_every: int,
    *,
    key: PRNGKey,
) -> tuple[Configuration, _Traffic]:
    """One sweep of one ladder: moves, a fresh draw at the first level, swaps, bookkeeping."""
    x, traffic = carry
    x, exchange = replica_step(path, kernel, ts, x, index, num_steps=swap_every, redraw=redraw, key=key)
    swaps = traffic.swaps + exchange.swap_prob.astype(traffic.swaps.dtype)
    return x, _travel(traffic, exchange.source, swaps, exchange.accept_prob, jnp.sum(exchange.num_nonfinite))


class Exchange(NamedTuple):
    """What happened in one step of one ladder.

    Attributes:
        source: Level from which the configuration at each level came, (level,).
        swap_prob: Probability of the swap of each pair of neighbours, 0 where none was tried, (level - 1,).
        accept_prob: Mean acceptance of the moves at each level.
        num_nonfinite: Proposals that were not finite at each level.
    """

    source: Int[Array, " level"]
    swap_prob: Float[Array, " pair"]
    accept_prob: Float[Array, " level"]
    num_nonfinite: Int[Array, " level"]


def replica_step(
    path: AbstractPath,
    kernel: AbstractKernel,
    ts: Array,
    x: Configuration,
    index: Array,
    *,
    num_steps: int,
    redraw: bool,
    key: PRNGKey,
) -> tuple[Configuration, Exchange]:
    """One sweep of one ladder: moves, a fresh draw at the first level, swaps. A function for compiled code.

    Args:
        path: The path.
        kernel: Moves the levels; its leaves may carry the ladder axis.
        ts: Levels, (level,).
        x: Configurations, (level, *event).
        index: Number of the sweep, which tells the pairs that are tried and the random numbers.
        num_steps: Transitions at each level.
        redraw: Whether the first level is drawn afresh from the path's start.
        key: Key of the ladder.
    """
    num_levels = ts.size
    sweep_key = jax.random.fold_in(key, index.astype(jnp.uint32))
    move_keys = jax.vmap(lambda i: jax.random.fold_in(sweep_key, i))(jnp.arange(num_levels))

    def move(kernel: AbstractKernel, t: Array, x: Configuration, key: PRNGKey) -> tuple[Configuration, Array, Array]:
        energy = target(path.at(t), kernel)
        return run_steps(energy, kernel, x, num_steps, key=key)

    axes = kernel_axes(kernel, num_levels)
    x, accepts, bad = jax.vmap(move, in_axes=(axes, 0, 0, 0))(kernel, ts, x, move_keys)
    if redraw:
        fresh = path.start.draw(key=jax.random.fold_in(sweep_key, num_levels))
        x = jax.tree.map(lambda leaf, new: leaf.at[0].set(new.astype(leaf.dtype)), x, fresh)
    parity = jnp.mod(index, 2)
    log_ratio, partner = swap_log_ratios(path, ts, x, parity)
    own = jnp.arange(num_levels)
    # inf − inf: a configuration outside the support of both laws stays where it is.
    prob = jnp.where(jnp.isnan(log_ratio), 0.0, jnp.exp(jnp.minimum(log_ratio, 0.0)))
    uniform = jax.random.uniform(jax.random.fold_in(sweep_key, num_levels + 1), (num_levels,), prob.dtype)
    accepted = uniform[jnp.minimum(own, partner)] < prob
    source = jnp.where(accepted, partner, own)
    x = jax.tree.map(lambda leaf: leaf[source], x)
    attempted = (partner == own + 1)[:-1]
    return x, Exchange(source, jnp.where(attempted, prob[:-1], 0.0), accepts, bad)


def _travel(traffic: _Traffic, source: Array, swaps: Array, accepts: Array, bad: Array) -> _Traffic:
    """Counters after a sweep: where each replica was last, and how many arrived."""
    # The replica at the first level was drawn afresh before the swap, so it always comes from there.
    before = traffic.origin
    returned = before[0] == _VISITED_LAST
    origin = before.at[0].set(_FROM_FIRST)[source]
    arrived = origin[-1] == _FROM_FIRST
    origin = origin.at[-1].set(jnp.where(arrived, _VISITED_LAST, origin[-1]))
    return _Traffic(
        origin,
        traffic.arrivals + arrived.astype(jnp.int32),
        traffic.round_trips + returned.astype(jnp.int32),
        swaps,
        traffic.accepts + accepts.astype(traffic.accepts.dtype),
        traffic.nonfinite + bad.astype(jnp.int32),
    )


def _collect(
    kernel: AbstractKernel,
    ts: np.ndarray,
    pieces: list[Any],
    carry: Any,
    whole: bool,
    throw: bool,
    settings: dict[str, Any],
) -> ReplicaSamples:
    last, traffic = carry
    every = jax.tree.map(lambda *parts: np.concatenate(parts, axis=1), *pieces)
    x, energy = jax.tree.map(lambda leaf: leaf[:, :, -1], every) if whole else every
    result = "successful" if np.isfinite(energy).all() else "nonfinite_energy"
    if throw and result != "successful":
        raise Diverged(
            "Replica exchange met a non-finite energy at its last level; use a smaller step size, another start, or "
            "a confining base measure. (throw=False returns the draws.)"
        )
    num_sweeps = settings["num_steps"]
    # Even and odd pairs are tried in alternate sweeps, beginning with the even ones.
    tries = np.where(np.arange(len(ts) - 1) % 2 == 0, -(-num_sweeps // 2), num_sweeps // 2)
    accepts = np.asarray(traffic.accepts, np.float64) / num_sweeps
    last = jax.tree.map(np.asarray, last)
    top = jax.tree.map(lambda leaf: leaf[:, -1], last)
    samples = Samples(x, energy, accepts[:, -1], np.asarray(traffic.nonfinite), top, kernel, {}, result, dict(settings))
    swap_rate = np.asarray(traffic.swaps, np.float64) / np.maximum(tries, 1)
    return ReplicaSamples(
        samples,
        ts,
        last,
        swap_rate.mean(0),
        accepts.mean(0),
        np.asarray(traffic.arrivals),
        np.asarray(traffic.round_trips),
        swap_rate,
        settings,
        np.asarray(traffic.origin),
        every if whole else None,
    )
