"""Warm-ups that tune a whole kernel: step size, lengths and preconditioner together."""

from __future__ import annotations

import dataclasses
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree

from energax._errors import ArgumentError, Diverged, KernelMismatch
from energax._typing import Configuration, PRNGKey
from energax.energies import AbstractEnergy, observed_space
from energax.kernels import HMC, MALA, MCLMC, NUTS, AbstractKernel, AdjustedMCLMC, target
from energax.random import choose
from energax.sampling._pooled import tuned_together
from energax.sampling._starts import count_chains, starts
from energax.sampling._windows import tuned_in_windows


@dataclasses.dataclass(frozen=True)
class WarmUp:
    """What a warm-up found.

    Attributes:
        kernel: The tuned kernel, fixed from here on, so that exactness is untouched.
        x: Where the chains are, (chain, *event): the `x0` of the run that follows.
        num_gradients: Evaluations of the score that each chain has cost, (chain,).
    """

    kernel: AbstractKernel
    x: PyTree[Any]
    num_gradients: np.ndarray


def warm_up(
    energy: AbstractEnergy,
    kernel: NUTS | MCLMC | AdjustedMCLMC | MALA | HMC,
    x0: Configuration | None = None,
    *,
    key: PRNGKey,
    num_steps: int,
    num_chains: int | None = None,
    generator: str = "auto",
) -> WarmUp:
    """Tune a whole kernel, NUTS and AdjustedMCLMC by BlackJAX's own warm-up, and count what it costs.

    `NUTS`: Stan's windows, dual averaging to an acceptance of 0.8 and a mass matrix from the spread of the chain
    (dense where the kernel's preconditioner is a matrix). `AdjustedMCLMC`: the step size from the acceptance at the
    kernel's mean number of steps. Each of these chains is tuned by itself; the kernel that is returned has the median
    of each parameter over the chains.

    `MCLMC`: all chains together, so that a hundred steps or two are enough with 16 of them: the step size from a
    variance of the energy error of 10⁻⁴ per dimension, the preconditioner from the spreads of the chains and of their
    scores; the decoherence length stays.

    `MALA`, `HMC`: windows of doubling length, in each of which the step size is tuned and then the spread of all chains
    together gives the preconditioner of the next (dense where the kernel's preconditioner is a matrix).

    Args:
        energy: Target.
        kernel: The kernel to begin with. For MCLMC, step_size=0.25·√d and decoherence=4·√d are a good start.
        x0: Starts with a leading chain axis; without it the space's declared initial law, else an error.
        key: Typed random key.
        num_steps: Transitions of each chain; MCLMC wants 200 or more, NUTS 500, the others 1000.
        num_chains: Number of chains; taken from `x0` if one is given, else 4.
        generator: As in `sample`.

    Returns:
        The tuned kernel, the end points, and the number of gradients.

    Raises:
        KernelMismatch: The kernel has no such warm-up, or does not fit the energy.
        ArgumentError: `num_steps` is below 20.
        Diverged: The warm-up ended with a parameter that is not finite and positive.

    Example:
        >>> import jax, energax as ex
        >>> law = ex.densities.Gaussian(jax.numpy.zeros(2), jax.numpy.array([1.0, 100.0]))
        >>> found = ex.sampling.warm_up(law, ex.kernels.NUTS(0.5), num_steps=200, key=jax.random.key(0))
        >>> found.kernel.preconditioner.shape
        (2,)

    References:
        [hoffman2014], [robnik2024], [robnik2025], through BlackJAX's implementation [cabezas2024].
    """
    if not isinstance(kernel, NUTS | MCLMC | AdjustedMCLMC | MALA | HMC):
        raise KernelMismatch(
            f"warm_up tunes NUTS, MCLMC, AdjustedMCLMC, MALA and HMC, got {type(kernel).__name__}; "
            "other kernels are tuned by sample(..., adapt=StepSizeAdaptation())."
        )
    if num_steps < 20:
        raise ArgumentError(f"warm_up needs num_steps of at least 20, got {num_steps}.")
    moved = target(energy, kernel)
    start_key, tune_key = jax.random.split(choose(key, generator))
    x = starts(observed_space(energy), x0, count_chains(energy, x0, num_chains), key=start_key)
    keys = jax.random.split(tune_key, len(jax.tree.leaves(x)[0]))
    # What `init` refuses is refused before anything is compiled.
    eqx.filter_eval_shape(lambda x, key: kernel.init(moved, x, key=key), jax.tree.map(lambda a: a[0], x), keys[0])
    if isinstance(kernel, MALA | HMC):
        found, x, steps = tuned_in_windows(energy, kernel, x, num_steps, key=tune_key)
        gradients = np.full(len(keys), steps * (kernel.num_leapfrog if isinstance(kernel, HMC) else 1))
    elif isinstance(kernel, MCLMC):
        found, x, cost = tuned_together(moved, kernel, x, num_steps, key=tune_key)
        gradients = np.full(len(keys), cost)
    else:
        kernels, x, gradients = _tune(moved, kernel, x, keys, num_steps)
        found = jax.tree.map(lambda leaf: jnp.median(leaf, axis=0).astype(leaf.dtype), kernels)
    return WarmUp(_sound(found), jax.tree.map(np.asarray, x), np.asarray(gradients))


def _sound(kernel: Any) -> Any:
    """The kernel, if its parameters can be run with."""
    sound = [bool(jnp.all(jnp.isfinite(leaf))) for leaf in jax.tree.leaves(kernel)]
    if not all(sound) or not float(kernel.step_size) > 0:
        raise Diverged(f"The warm-up of {type(kernel).__name__} ended with step_size={kernel.step_size}; start nearer.")
    return kernel


@eqx.filter_jit
def _tune(energy: AbstractEnergy, kernel: Any, x: Configuration, keys: Array, num_steps: int) -> tuple[Any, ...]:
    return eqx.filter_vmap(lambda x, key: kernel.tuned(energy, x, num_steps, key=key))(x, keys)
