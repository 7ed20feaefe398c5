"""Minimisation by cooling: chains whose inverse temperature rises, and the best configuration that each one met."""

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

from energax._errors import ArgumentError
from energax._typing import Configuration, PRNGKey
from energax.energies import AbstractEnergy, Tempered, conditional_logits, marginal, observed_space
from energax.kernels import AbstractKernel, target
from energax.random import choose, generator_name
from energax.sampling._starts import starts
from energax.spaces import AbstractDiscreteSpace

_CHUNK = 64
"""Temperatures of one compiled call: one length for all schedules, so that a longer one compiles nothing."""


@dataclasses.dataclass(frozen=True, repr=False)
class Minimum:
    """The best configurations that simulated annealing met.

    Attributes:
        x: Best configuration of each chain, (chain, *event).
        energy: Its energy, (chain,).
        betas: The inverse temperatures.
        mean_energy: Mean energy of the chains at the end of each temperature, (level,).
        accept_prob: Mean acceptance probability at each temperature, (level,).
        result: ``"successful"`` or ``"interrupted"``.
        settings: How it was run.
    """

    x: PyTree[Any]
    energy: np.ndarray
    betas: np.ndarray
    mean_energy: np.ndarray
    accept_prob: np.ndarray
    result: str
    settings: dict[str, Any]

    @property
    def best(self) -> PyTree[Any]:
        """The best configuration of all chains."""
        return jax.tree.map(lambda leaf: leaf[int(np.argmin(self.energy))], self.x)

    @property
    def best_energy(self) -> float:
        """Its energy."""
        return float(self.energy.min())

    @property
    def num_agree(self) -> int:
        """How many chains met an energy that equals the best one to rounding: one alone is a reason to run longer."""
        scale = max(1.0, abs(self.best_energy))
        return int(np.sum(self.energy <= self.best_energy + 1e-5 * scale))

    def __repr__(self) -> str:
        return (
            f"Minimum(energy {self.best_energy:.7g}, met by {self.num_agree} of {len(self.energy)} chains, "
            f"{len(self.betas)} temperatures, {self.result})"
        )


def simulated_annealing(
    energy: AbstractEnergy,
    kernel: AbstractKernel,
    betas: Float[Array, " levels"] | None = None,
    x0: Configuration | None = None,
    *,
    key: PRNGKey,
    num_chains: int | None = None,
    num_levels: int = 256,
    num_steps: int = 1,
    generator: str = "auto",
    progress: Callable[[int, int], None] | None = None,
) -> Minimum:
    """Search the minimum of an energy: at each inverse temperature β some transitions that leave exp(−βE) invariant.

    The configuration of lowest energy that a chain met at the end of a temperature is kept, its start included.

    Exactness: none is claimed; the minimum is found with a probability that tends to one for ever slower cooling. Many
    chains that agree (`Minimum.num_agree`) are what can be had.

    Cost: levels × `num_steps` transitions of each chain, and one energy a level.

    Args:
        energy: E. Of a latent energy the observed part is searched, by its marginal energy.
        kernel: A kernel that fits it.
        betas: Inverse temperatures, normally rising. None, for discrete sites: `num_levels` in geometric progression
            from ln 2 over the largest change of energy by one site, where everything is accepted, to ln 100 over the
            smallest one.
        x0: Starts, with a leading chain axis; by default the initial law of the space.
        key: Typed random key.
        num_chains: Independent chains; from `x0` if given, else 16.
        num_levels: Number of temperatures where `betas` is not given.
        num_steps: Transitions at each temperature.
        generator: As in `sample`.
        progress: Called with (done, total) levels now and then.

    Returns:
        The `Minimum` of each chain. An interrupt from the keyboard returns what there is.

    Raises:
        KernelMismatch: The kernel does not fit the energy.
        ArgumentError: Temperatures that are missing, negative or not finite, counts that make no sense.

    Example:
        >>> import jax
        >>> from energax import energies, kernels, sampling
        >>> found = sampling.simulated_annealing(energies.Ising(4), kernels.BlockGibbs(), key=jax.random.key(0))
        >>> found.best_energy
        -32.0

    References:
        [kirkpatrick1983]
    """
    moved = target(energy, kernel)
    if num_levels < 2 or num_steps < 1 or (num_chains is not None and num_chains < 1):
        raise ArgumentError(
            f"Annealing needs at least two levels, one step and one chain, got num_levels={num_levels}, "
            f"num_steps={num_steps}, num_chains={num_chains}."
        )
    key = choose(key, generator)
    start_key, chain_key = jax.random.split(key)
    x = starts(observed_space(energy), x0, num_chains or (16 if x0 is None else None), key=start_key)
    levels = default_betas(marginal(energy), x, num_levels) if betas is None else np.asarray(betas, np.float64)
    if levels.ndim != 1 or levels.size < 1 or not np.isfinite(levels).all() or levels.min() < 0:
        raise ArgumentError(f"`betas` must be a list of inverse temperatures of at least 0, got {levels!r}.")
    keys = jax.random.split(chain_key, jax.tree.leaves(x)[0].shape[0])
    carry = _begin(moved, kernel, x, keys, jnp.asarray(levels[0], float))
    told, done, result = [], 0, "successful"
    try:
        while done < len(levels):
            length = min(_CHUNK, len(levels) - done)
            padded = np.concatenate([levels[done : done + length], np.ones(_CHUNK - length)])
            new, piece = _cool(moved, kernel, carry, keys, jnp.asarray(padded, float), (done, length), num_steps)
            piece = [np.asarray(part, np.float64)[:length] for part in piece]
            told, carry, done = [*told, piece], new, done + length
            if progress is not None:
                progress(done, len(levels))
    except KeyboardInterrupt:
        result = "interrupted"
    _, best, values = carry
    traces = [np.concatenate(parts) for parts in zip(*told, strict=True)] if told else [np.empty(0)] * 2
    settings = {"num_steps": num_steps, "generator": generator_name(key), "kernel": type(kernel).__name__}
    best = jax.tree.map(np.asarray, best)
    return Minimum(best, np.asarray(values, np.float64), levels[:done], traces[0], traces[1], result, settings)


def default_betas(energy: AbstractEnergy, x: Configuration, num_levels: int) -> np.ndarray:
    if not isinstance(energy.space, AbstractDiscreteSpace):
        raise ArgumentError(
            f"On {energy.space} the energy alone does not say how hot to begin: give `betas`, for instance "
            "jnp.geomspace(0.01, 100.0, 256)."
        )
    change = np.abs(np.asarray(_logits(energy, x), np.float64))
    change = change[np.isfinite(change) & (change > 1e-6 * max(change[np.isfinite(change)].max(initial=0.0), 1e-300))]
    if not change.size:
        raise ArgumentError("No change of one site changes this energy; there is nothing to minimise.")
    return np.geomspace(math.log(2.0) / change.max(), math.log(100.0) / change.min(), num_levels)


@eqx.filter_jit
def _logits(energy: AbstractEnergy, x: Configuration) -> Array:
    return jax.vmap(lambda x: conditional_logits(energy, x))(x)


@eqx.filter_jit
def _begin(energy: AbstractEnergy, kernel: AbstractKernel, x: Configuration, keys: Array, beta: Array) -> Any:
    hot, observed = Tempered(energy, beta), marginal(energy)
    state = jax.vmap(lambda x, key: kernel.init(hot, x, key=jax.random.fold_in(key, 0)))(x, keys)
    return state, x, jax.vmap(observed)(x)


@eqx.filter_jit
def _cool(
    energy: AbstractEnergy,
    kernel: AbstractKernel,
    carry: Any,
    keys: Array,
    betas: Array,
    span: tuple[int, int],
    num_steps: int,
) -> tuple[Any, tuple[Array, Array]]:
    """Some temperatures of every chain; how many the compiler does not know."""
    first, length = (jnp.asarray(n) for n in span)
    observed = marginal(energy)

    def chain(state: Any, best: Any, value: Array, key: PRNGKey) -> Any:
        def level(i: Array, outer: Any) -> Any:
            state, best, value, told = outer
            cooled = Tempered(energy, betas[i])
            # What the kernel knew of the energy belongs to the last temperature.
            state = kernel.refresh(cooled, state)
            level_key = jax.random.fold_in(key, 1 + first + i)

            def one(j: Array, inner: Any) -> Any:
                state, accepts = inner
                state, info = kernel.step(cooled, state, key=jax.random.fold_in(level_key, j))
                return state, accepts + info.accept_prob / num_steps

            state, accepts = jax.lax.fori_loop(0, num_steps, one, (state, jnp.zeros(())))
            here = observed(state.x)
            better = here < value
            best = jax.tree.map(lambda new, old: jnp.where(better, new, old), state.x, best)
            told = told[0].at[i].set(here.astype(told[0].dtype)), told[1].at[i].set(accepts)
            return state, best, jnp.where(better, here, value), told

        nothing = jnp.zeros(betas.shape)
        return jax.lax.fori_loop(0, length, level, (state, best, value, (nothing, nothing)))

    state, best, value, told = jax.vmap(chain)(carry[0], carry[1], carry[2], keys)
    return (state, best, value), (jnp.mean(told[0], 0), jnp.mean(told[1], 0))
