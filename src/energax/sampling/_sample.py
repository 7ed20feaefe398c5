"""The driver that runs many chains."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree

from energax._errors import ArgumentError, Diverged, KernelMismatch
from energax._typing import Configuration, PRNGKey
from energax.energies import AbstractEnergy, Batched, marginal, observed_space
from energax.kernels import AbstractKernel, AbstractStepSizeKernel, target
from energax.random import choose, generator_name
from energax.sampling._accumulators import AbstractAccumulator
from energax.sampling._adaptation import StepSizeAdaptation
from energax.sampling._samples import Samples
from energax.sampling._starts import count_chains, placed_like, starts

_MAX_CHUNKS, _MIN_CHUNK = 16, 16


def sample(
    energy: AbstractEnergy | Batched,
    kernel: AbstractKernel,
    x0: Configuration | None = None,
    *,
    key: PRNGKey,
    num_steps: int,
    num_chains: int | None = None,
    num_warmup: int = 0,
    thin: int = 1,
    save: Callable[[Any], Any] | None = lambda x: x,
    adapt: StepSizeAdaptation | None = None,
    accumulators: Mapping[str, AbstractAccumulator] | None = None,
    throw: bool = True,
    generator: str = "auto",
    progress: Callable[[int, int], None] | None = None,
) -> Samples:
    """Run many independent chains of one kernel.

    Every chain has its own key, split before anything else, and no operation crosses chains except adaptation in
    warm-up: chain k sees the same random numbers however many chains run beside it, however many steps follow, and
    on however many devices. Starts that are spread over devices by a `NamedSharding` of their chain axis stay where
    they are, and the chains run there.

    Args:
        energy: Target, or a `Batched` one for a different target per chain. Of a latent energy the observed part is
            sampled; block Gibbs carries the hidden part along.
        kernel: The transition; checked against the energy before anything is compiled.
        x0: Starts, with a leading chain axis. Without it the space's declared initial law, else an error.
        key: Typed random key.
        num_steps: Transitions of each chain after warm-up.
        num_chains: Number of chains; taken from `x0` or from a batch of energies if one is given, else 4.
        num_warmup: Transitions before the first kept draw.
        thin: Keep every `thin`-th draw; must divide `num_steps`.
        save: Function of one configuration whose values are stored; None stores only energies.
        adapt: Adaptation of the step size during warm-up.
        accumulators: Online summaries by name.
        throw: Raise if an energy is non-finite at the start or every proposal was rejected; otherwise say so in
            `Samples.result`.
        generator: ``"auto"`` uses energax's fast generator where it is faster, ``"as-given"`` that of `key`.
        progress: Called with (done, total) steps now and then.

    Returns:
        `Samples` with axes (chain, draw, *event). An interrupt from the keyboard returns what there is.

    Raises:
        KernelMismatch: The kernel does not fit the energy.
        SpaceError: No start was given and the space declares none, or `x0` is not in the space.
        ArgumentError: Counts that make no sense, or that differ between `x0`, `num_chains` and a batch of energies.
        Diverged: See `throw`.

    Example:
        >>> import jax
        >>> from energax import energies, kernels, sampling
        >>> well = energies.DoubleWell(1, barrier=2.0)
        >>> run = sampling.sample(well, kernels.HMC(0.2), num_chains=8, num_steps=100, key=jax.random.key(0))
        >>> run.x.shape
        (8, 100, 1)
    """
    single = energy.energy if isinstance(energy, Batched) else energy
    moved = target(single, kernel)
    if isinstance(energy, Batched) and moved is not single:
        raise KernelMismatch(f"{type(kernel).__name__} cannot run a batch of latent energies; use BlockGibbs().")
    _check_counts(num_steps, num_warmup, thin)
    if adapt is not None and num_warmup < 1:
        raise ArgumentError("Adaptation happens during warm-up: give num_warmup, for instance 500.")
    if adapt is not None and not isinstance(kernel, AbstractStepSizeKernel):
        raise KernelMismatch(f"{type(kernel).__name__} has no step size to adapt; leave `adapt` out.")
    if adapt is not None and not kernel.exact:
        raise KernelMismatch(
            f"{type(kernel).__name__} never weighs its moves, so that no acceptance tells its step size; leave `adapt` "
            "out and choose the step size by the bias that it states."
        )
    key = choose(key, generator)
    # Keys are split, and counters made, without single operations outside compiled code: in short runs they would cost
    # more than the chains do.
    start_key, chain_key = _two_keys(key)
    x = starts(observed_space(single), x0, count_chains(energy, x0, num_chains), key=start_key)
    keys = placed_like(_chain_keys(chain_key, jax.tree.leaves(x)[0].shape[0]), x)
    axes = energy.axes if isinstance(energy, Batched) else None
    left = num_warmup
    if adapt is not None and isinstance(kernel, AbstractStepSizeKernel):
        _check_energies(np.asarray(_energies(moved, x, axes)), throw)
        (kernel, x), left = _adapt(moved, kernel, adapt, x, keys, jnp.asarray(num_warmup), axes), 0
    online = dict(accumulators or {})
    carry, values = _begin(moved, kernel, x, keys, np.asarray(left, np.int32), axes)
    _check_energies(np.asarray(values), throw)
    totals = {name: jax.vmap(acc.init)(x) for name, acc in online.items()}
    num_kept = num_steps // thin
    capacity = _capacity(num_kept)
    pieces, done, result = [], 0, "successful"
    try:
        while done < num_kept:
            length = min(capacity, num_kept - done)
            counts = np.asarray([done, length, thin], np.int32)
            new_carry, new_totals, piece = _run(
                moved, kernel, carry, totals, keys, counts, capacity, save, online, axes
            )
            piece = jax.tree.map(lambda leaf, n=length: np.asarray(leaf)[:, :n], piece)
            # One statement, so that an interrupt cannot part the draws from the counters that belong to them.
            pieces, carry, totals, done = [*pieces, piece], new_carry, new_totals, done + length
            if progress is not None:
                progress(done * thin, num_steps)
    except KeyboardInterrupt:
        if not pieces:
            raise
        result = "interrupted"
    settings = {
        "num_steps": num_steps,
        "num_warmup": num_warmup,
        "thin": thin,
        "generator": generator_name(key),
        "kernel": type(kernel).__name__,
    }
    return _collect(kernel, online, pieces, carry, totals, result, throw, settings)


@jax.jit
def _two_keys(key: PRNGKey) -> tuple[PRNGKey, PRNGKey]:
    first, second = jax.random.split(key)
    return first, second


@functools.partial(jax.jit, static_argnums=1)
def _chain_keys(key: PRNGKey, num_chains: int) -> Array:
    return jax.random.split(key, num_chains)


def _check_energies(energies: np.ndarray, throw: bool) -> None:
    bad = ~np.isfinite(energies)
    if throw and bad.any():
        raise Diverged(
            f"The energy is not finite at the start of {int(bad.sum())} of {len(bad)} chains (chain "
            f"{int(np.argmax(bad))}: {energies[bad][0]}). Pass another `x0`."
        )


def _capacity(num_kept: int) -> int:
    """Draws of one compiled call: a power of two, so that other numbers of draws mostly need no new compilation."""
    whole = 1 << (num_kept - 1).bit_length()
    return min(whole, max(_MIN_CHUNK, whole // _MAX_CHUNKS))


def _check_counts(num_steps: int, num_warmup: int, thin: int) -> None:
    if num_steps < 1 or num_warmup < 0 or thin < 1 or num_steps % thin:
        raise ArgumentError(
            f"num_steps must be a positive multiple of thin, and num_warmup not negative; got num_steps={num_steps}, "
            f"thin={thin}, num_warmup={num_warmup}."
        )


@eqx.filter_jit
def _energies(energy: AbstractEnergy, x: Configuration, axes: Any) -> Array:
    return jax.vmap(lambda e, y: marginal(e)(y), in_axes=(axes, 0))(energy, x)


@eqx.filter_jit
def _begin(
    energy: AbstractEnergy,
    kernel: AbstractKernel,
    x: Configuration,
    keys: Array,
    num_warmup: Array | np.ndarray,
    axes: Any,
) -> PyTree[Array]:
    """Initial states after warm-up with zero counters, and the energies before it."""

    def chain(energy: AbstractEnergy, x: Configuration, key: PRNGKey) -> PyTree[Array]:
        init_key, warm_key = jax.random.split(jax.random.fold_in(key, 0))
        state = kernel.init(energy, x, key=init_key)

        def step(i: Array, state: Any) -> Any:
            return kernel.step(energy, state, key=jax.random.fold_in(warm_key, i))[0]

        state = jax.lax.fori_loop(0, num_warmup, step, state)
        return (state, jnp.zeros(()), jnp.zeros((), jnp.int32)), marginal(energy)(x)

    return jax.vmap(chain, in_axes=(axes, 0, 0))(energy, x, keys)


@eqx.filter_jit
def _adapt(
    energy: AbstractEnergy,
    kernel: AbstractStepSizeKernel,
    adapt: StepSizeAdaptation,
    x: Configuration,
    keys: Array,
    num_warmup: Array,
    axes: Any,
) -> tuple[AbstractKernel, Configuration]:
    """Warm-up with a step size that follows the mean acceptance of all chains."""
    warm_keys = jax.vmap(lambda k: jax.random.fold_in(k, 1))(keys)
    state = jax.vmap(lambda e, y, k: kernel.init(e, y, key=k), in_axes=(axes, 0, 0))(energy, x, warm_keys)

    def step(i: Array, carry: Any) -> Any:
        state, tuning = carry
        current = adapt.current(kernel, tuning)

        def move(e: AbstractEnergy, s: Any, k: PRNGKey) -> Any:
            return current.step(e, s, key=jax.random.fold_in(k, i))

        state, info = jax.vmap(move, in_axes=(axes, 0, 0))(energy, state, warm_keys)
        return state, adapt.update(current, tuning, jnp.mean(info.accept_prob))

    state, tuning = jax.lax.fori_loop(0, num_warmup, step, (state, adapt.init(kernel)))
    return adapt.finalize(kernel, tuning), state.x


@eqx.filter_jit
def _run(
    energy: AbstractEnergy,
    kernel: AbstractKernel,
    carry: PyTree[Array],
    totals: PyTree[Array],
    keys: Array,
    counts: Array | np.ndarray,
    capacity: int,
    save: Callable[[Any], Any] | None,
    accumulators: Mapping[str, AbstractAccumulator],
    axes: Any,
) -> tuple[PyTree[Array], PyTree[Array], tuple[PyTree[Array], Array]]:
    """Some kept draws of every chain; how many, at most `capacity`, and how far apart the compiler does not know."""
    first, length, thin = counts

    def chain(energy: AbstractEnergy, carry: Any, totals: Any, key: PRNGKey) -> Any:
        observed = marginal(energy)

        def transition(i: Array, inner: Any) -> Any:
            state, accepts, bad = inner
            state, info = kernel.step(energy, state, key=jax.random.fold_in(key, i))
            return state, accepts + info.accept_prob, bad + (~info.is_finite).astype(bad.dtype)

        def stored(x: Configuration) -> tuple[PyTree[Array], Array]:
            return None if save is None else jax.tree.map(jnp.asarray, save(x)), observed(x)

        def kept(draw: Array, outer: Any) -> Any:
            inner, totals, out = outer
            # Steps are numbered over the whole run, with 0 and 1 taken by the start and by adaptation.
            begin = 2 + (first + draw) * thin
            inner = jax.lax.fori_loop(begin, begin + thin, transition, inner)
            x = inner[0].x
            totals = {name: acc.update(totals[name], x) for name, acc in accumulators.items()}
            out = jax.tree.map(lambda o, v: jax.lax.dynamic_update_index_in_dim(o, v, draw, 0), out, stored(x))
            return inner, totals, out

        like = eqx.filter_eval_shape(stored, carry[0].x)
        empty = jax.tree.map(lambda leaf: jnp.zeros((capacity, *leaf.shape), leaf.dtype), like)
        return jax.lax.fori_loop(0, length, kept, (carry, totals, empty))

    return jax.vmap(chain, in_axes=(axes, 0, 0, 0))(energy, carry, totals, keys)


def _collect(
    kernel: AbstractKernel,
    accumulators: Mapping[str, AbstractAccumulator],
    pieces: list[Any],
    carry: PyTree[Array],
    totals: PyTree[Array],
    result: str,
    throw: bool,
    settings: dict[str, Any],
) -> Samples:
    state, accepts, bad = carry
    x, energies = jax.tree.map(lambda *parts: np.concatenate(parts, axis=1), *pieces)
    accept_prob = np.asarray(accepts, np.float64) / (energies.shape[1] * settings["thin"])
    if not np.isfinite(energies).all():
        result = "nonfinite_energy"
    elif (accept_prob == 0).all():
        result = "all_proposals_rejected"
    if throw and result in ("nonfinite_energy", "all_proposals_rejected"):
        raise Diverged(f"Sampling ended with {result!r}: {_ADVICE[result]} (throw=False returns the draws.)")
    finals = {name: jax.vmap(acc.finalize)(totals[name]) for name, acc in accumulators.items()}
    last = jax.tree.map(np.asarray, state.x)
    return Samples(x, energies, accept_prob, np.asarray(bad), last, kernel, finals, result, settings)


_ADVICE = {
    "nonfinite_energy": "the energy became NaN or infinite; use a smaller step size or a confining base measure.",
    "all_proposals_rejected": "no chain ever moved; use a smaller step size, or adapt=StepSizeAdaptation().",
}
