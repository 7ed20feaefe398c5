"""Short chains inside compiled code: what `anneal` and the objectives move their particles with."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from energax._errors import ArgumentError
from energax._typing import Configuration, PRNGKey
from energax.energies import AbstractEnergy
from energax.kernels import AbstractKernel, AbstractStepSizeKernel


def run_steps(
    energy: AbstractEnergy, kernel: AbstractKernel, x: Configuration, num_steps: int, *, key: PRNGKey
) -> tuple[Configuration, Array, Array]:
    """The end of one short chain from `x`, its mean acceptance probability, and how many proposals were not finite.

    A function for compiled code: nothing is checked, and the chain axis is the caller's `vmap`.

    Args:
        energy: What the kernel moves in (`kernels.target`).
        kernel: The transition.
        x: One observed configuration.
        num_steps: Number of transitions, a static integer.
        key: Key of this chain.
    """

    def step(i: Array, inner: Any) -> Any:
        state, accepts, bad = inner
        state, info = kernel.step(energy, state, key=jax.random.fold_in(key, i))
        return state, accepts + info.accept_prob / num_steps, bad + (~info.is_finite).astype(bad.dtype)

    start = kernel.init(energy, x, key=jax.random.fold_in(key, num_steps)), jnp.zeros(()), jnp.zeros((), jnp.int32)
    state, accepts, bad = jax.lax.fori_loop(0, num_steps, step, start)
    return state.x, accepts, bad


def with_step_size(kernel: AbstractKernel, step_size: Array) -> AbstractKernel:
    """The kernel with another step size, in the dtype of its own."""
    if not isinstance(kernel, AbstractStepSizeKernel):
        raise ArgumentError(f"{type(kernel).__name__} has no step size, so `step_sizes` must be left out.")
    return kernel.with_step_size(step_size.astype(kernel.step_size.dtype))


def padded(part: np.ndarray, length: int) -> Array:
    """Some of the levels of a run, the last one repeated up to one length for all calls: one compilation."""
    return jnp.asarray(np.concatenate([part, np.full(length - len(part), part[-1])]))
