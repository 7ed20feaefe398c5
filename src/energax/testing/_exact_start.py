"""The exact-start test of a kernel: draws of the law, some steps, and the law again."""

from __future__ import annotations

import equinox as eqx
import jax
from jaxtyping import Array, PyTree

from energax._typing import Configuration, PRNGKey
from energax.energies import AbstractEnergy
from energax.kernels import AbstractKernel, target
from energax.random import choose
from energax.sampling import run_steps
from energax.testing._calibrated import FALSE_ALARM
from energax.testing.references import Reference


def assert_exact_start(
    kernel: AbstractKernel,
    reference: Reference,
    *,
    num_chains: int = 20_000,
    num_steps: int = 10,
    generator: str = "auto",
    false_alarm: float = FALSE_ALARM,
    key: PRNGKey,
) -> float:
    """A kernel leaves a law unchanged: chains that begin at exact draws end at exact draws, after any number of steps.

    The last configurations of independent chains are independent draws, so that there is no burn-in and no
    autocorrelation to argue about; their moments are compared with the exact ones (`Reference.assert_matches`). The
    smallest visible shift of a moment is 8 σ/√num_chains, 0.057 σ by default.

    Args:
        kernel: The kernel.
        reference: The law.
        num_chains: Independent chains.
        num_steps: Transitions of each chain.
        generator: As in `sampling.sample`.
        false_alarm: Probability of failing for an exact kernel.
        key: Typed random key.

    Returns:
        The corrected p-value of the worst moment.

    Raises:
        AssertionError: The law has changed.

    Example:
        >>> import jax
        >>> from energax import kernels, testing
        >>> well = testing.references.tilted_double_well()
        >>> testing.assert_exact_start(kernels.MALA(0.1), well, key=jax.random.key(0)) > testing.FALSE_ALARM
        True
    """
    start_key, step_key = jax.random.split(choose(key, generator))
    x = reference.draw(key=start_key, num=num_chains)
    ends = last_of_chains(kernel, reference.energy, x, jax.random.split(step_key, num_chains), num_steps)
    name = f"{type(kernel).__name__} on the {reference.name} after {num_steps} steps"
    return reference.assert_matches(ends, false_alarm=false_alarm, name=name)


@eqx.filter_jit
def last_of_chains(
    kernel: AbstractKernel, energy: AbstractEnergy, x: Configuration, keys: Array, num_steps: int
) -> PyTree[Array]:
    """The last configurations of chains that begin at the stacked configurations `x`."""
    moved = target(energy, kernel)
    return jax.vmap(lambda x, key: run_steps(moved, kernel, x, num_steps, key=key)[0])(x, keys)
