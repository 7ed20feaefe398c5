"""The driver that runs many chains."""

from __future__ import annotations

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
from energax.spaces import AbstractSpace, check_structure

_MAX_CHUNKS = 16


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
    warm-up: a chain sees the same random numbers whatever runs beside it.

    Args:
        energy: Target, or a `Batched` one for a different target per chain. Of a latent energy the observed part is
            sampled; block Gibbs carries the hidden part along.
        kernel: The transition; checked against the energy before anything is compiled.
        x0: Starts, with a leading chain axis. Without it the space's declared initial law, else an error.
        key: Typed random key.
        num_steps: Transitions of each chain after warm-up.
        num_chains: Number of chains; taken from `x0` if that is given, else 4.
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
        SpaceError: No start was given and the space declares none, or `x0` does not fit.
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
    key = choose(key, generator)
    start_key, chain_key = jax.random.split(key)
    x = starts(observed_space(single), x0, num_chains, key=start_key)
    num_chains = jax.tree.leaves(x)[0].shape[0]
    keys = jax.random.split(chain_key, num_chains)
    axes = energy.axes if isinstance(energy, Batched) else None

    first = np.asarray(_energies(moved, x, axes))
    if throw and not np.isfinite(first).all():
        raise Diverged(
            f"The energy is not finite at the start of {int((~np.isfinite(first)).sum())} of {num_chains} chains "
            f"(chain {int(np.argmin(np.isfinite(first)))}: {first[~np.isfinite(first)][0]}). Pass another `x0`."
        )
    if adapt is not None:
        if not isinstance(kernel, AbstractStepSizeKernel):
            raise KernelMismatch(f"{type(kernel).__name__} has no step size to adapt; leave `adapt` out.")
        kernel, x = _adapt(moved, kernel, adapt, x, keys, num_warmup, axes)
    carry = _begin(moved, kernel, x, keys, num_warmup if adapt is None else 0, axes)
    totals = _init_accumulators(accumulators or {}, x)

    pieces, done, result = [], 0, "successful"
    num_kept = num_steps // thin
    chunk = -(-num_kept // min(_MAX_CHUNKS, num_kept))
    try:
        while done < num_kept:
            length = min(chunk, num_kept - done)
            carry, totals, piece = _run(
                moved, kernel, carry, totals, keys, jnp.asarray(done), length, thin, save, accumulators or {}, axes
            )
            pieces.append(jax.tree.map(np.asarray, piece))
            done += length
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
    return _collect(kernel, accumulators or {}, pieces, carry, totals, result, throw, settings)


def starts(space: AbstractSpace, x0: Configuration | None, num_chains: int | None, *, key: PRNGKey) -> Configuration:
    """Starting configurations with a chain axis, in the dtype of the space."""
    if x0 is None:
        num_chains = 4 if num_chains is None else num_chains
        return jax.vmap(lambda k: space.initial(key=k))(jax.random.split(key, num_chains))
    check_structure(space, x0, name="x0", batch_dims=1)
    given = jax.tree.leaves(x0)[0].shape[0]
    if num_chains is not None and num_chains != given:
        raise ArgumentError(f"`x0` has {given} chains, but num_chains={num_chains}; leave num_chains out.")
    return jax.tree.map(lambda leaf, struct: _cast(leaf, struct.dtype), x0, space.struct)


def _cast(leaf: Any, dtype: Any) -> Array:
    leaf = jnp.asarray(leaf)
    keep = jnp.issubdtype(leaf.dtype, jnp.floating) and jnp.issubdtype(dtype, jnp.floating)
    return leaf if keep else leaf.astype(dtype)


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
    energy: AbstractEnergy, kernel: AbstractKernel, x: Configuration, keys: Array, num_warmup: int, axes: Any
) -> PyTree[Array]:
    """Initial states after warm-up, and zero counters."""

    def chain(energy: AbstractEnergy, x: Configuration, key: PRNGKey) -> PyTree[Array]:
        init_key, warm_key = jax.random.split(jax.random.fold_in(key, 0))
        state = kernel.init(energy, x, key=init_key)

        def step(i: Array, state: Any) -> Any:
            return kernel.step(energy, state, key=jax.random.fold_in(warm_key, i))[0]

        state = jax.lax.fori_loop(0, num_warmup, step, state) if num_warmup else state
        return state, jnp.zeros(()), jnp.zeros((), jnp.int32)

    return jax.vmap(chain, in_axes=(axes, 0, 0))(energy, x, keys)


@eqx.filter_jit
def _adapt(
    energy: AbstractEnergy,
    kernel: AbstractStepSizeKernel,
    adapt: StepSizeAdaptation,
    x: Configuration,
    keys: Array,
    num_warmup: int,
    axes: Any,
) -> tuple[AbstractKernel, Configuration]:
    """Warm-up with a step size that follows the mean acceptance of all chains."""
    warm_keys = jax.vmap(lambda k: jax.random.fold_in(k, 1))(keys)
    state = jax.vmap(lambda e, y, k: kernel.init(e, y, key=k), in_axes=(axes, 0, 0))(energy, x, warm_keys)

    def step(carry: Any, i: Array) -> tuple[Any, None]:
        state, tuning = carry
        current = adapt.current(kernel, tuning)

        def move(e: AbstractEnergy, s: Any, k: PRNGKey) -> Any:
            return current.step(e, s, key=jax.random.fold_in(k, i))

        state, info = jax.vmap(move, in_axes=(axes, 0, 0))(energy, state, warm_keys)
        return (state, adapt.update(current, tuning, jnp.mean(info.accept_prob))), None

    (state, tuning), _ = jax.lax.scan(step, (state, adapt.init(kernel)), jnp.arange(num_warmup))
    return adapt.finalize(kernel, tuning), state.x


@eqx.filter_jit
def _run(
    energy: AbstractEnergy,
    kernel: AbstractKernel,
    carry: PyTree[Array],
    totals: PyTree[Array],
    keys: Array,
    first: Array,
    length: int,
    thin: int,
    save: Callable[[Any], Any] | None,
    accumulators: Mapping[str, AbstractAccumulator],
    axes: Any,
) -> tuple[PyTree[Array], PyTree[Array], tuple[PyTree[Array], Array]]:
    """`length` kept draws of every chain, `thin` transitions apart."""

    def chain(energy: AbstractEnergy, carry: Any, totals: Any, key: PRNGKey) -> Any:
        def transition(i: Array, inner: Any) -> Any:
            state, accepts, bad = inner
            state, info = kernel.step(energy, state, key=jax.random.fold_in(key, i))
            return state, accepts + info.accept_prob, bad + (~info.is_finite).astype(bad.dtype)

        def kept(outer: Any, draw: Array) -> Any:
            inner, totals = outer
            # Steps are numbered over the whole run, with 0 and 1 taken by the start and by adaptation.
            begin = 2 + (first + draw) * thin
            inner = jax.lax.fori_loop(begin, begin + thin, transition, inner)
            x = inner[0].x
            totals = {name: acc.update(totals[name], x) for name, acc in accumulators.items()}
            return (inner, totals), (None if save is None else save(x), marginal(energy)(x))

        (carry, totals), out = jax.lax.scan(kept, (carry, totals), jnp.arange(length))
        return carry, totals, out

    return jax.vmap(chain, in_axes=(axes, 0, 0, 0))(energy, carry, totals, keys)


def _init_accumulators(accumulators: Mapping[str, AbstractAccumulator], x: Configuration) -> PyTree[Array]:
    return {name: jax.vmap(acc.init)(x) for name, acc in accumulators.items()}


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
