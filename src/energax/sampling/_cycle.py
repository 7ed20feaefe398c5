"""Step sizes and balances of a cycle of discrete Langevin moves."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from energax._errors import ArgumentError
from energax._typing import Configuration, PRNGKey
from energax.energies import AbstractEnergy, observed_space
from energax.kernels import ACS, DMALA, DULA, AbstractKernel, cosine, target
from energax.random import choose
from energax.sampling._starts import starts
from energax.sampling._steps import run_steps

_RANGE = (0.02, 50.0)
_BALANCES = np.linspace(0.5, 0.95, 10)
_SMALL, _LARGE, _TRIALS = 0.2, 10.0, 24


def tune_cycle(
    energy: AbstractEnergy,
    x0: Configuration | None = None,
    *,
    key: PRNGKey,
    num_moves: int = 8,
    accept_prob: float = 0.5,
    num_chains: int = 64,
    num_steps: int = 10,
    num_warmup: int = 100,
    differences: str = "exact",
) -> ACS:
    """A cycle for `energy`: the largest step at balance 0.95, the smallest at ½, and the best balance between.

    Both ends are where the mean acceptance of short chains is `accept_prob`; the step sizes between them lie on a
    cosine, and each gets the balance with which most is accepted. Chains that have not come to the law accept more than
    they will later, so all begin with moves of `DULA`, and every trial begins where the one before ended. The
    result is a kernel with fixed numbers: exact.

    Args:
        energy: A discrete energy.
        x0: Starts with a leading chain axis; by default the space's initial law.
        key: Typed random key.
        num_moves: Moves of a cycle, 2 or more.
        accept_prob: Mean acceptance at both ends, in (0, 1).
        num_chains: Chains where no starts are given.
        num_steps: Moves of each chain in one trial.
        num_warmup: Moves of each chain before the first trial.
        differences: As in `kernels.ACS`.

    Returns:
        The kernel.

    Raises:
        ArgumentError: `num_moves` or `accept_prob` is out of range.
        KernelMismatch: The kernel does not fit the energy.

    Example:
        >>> import jax
        >>> from energax import energies, sampling
        >>> kernel = sampling.tune_cycle(energies.Ising(4), num_moves=4, key=jax.random.key(0))
        >>> kernel.step_sizes.shape
        (4,)

    References:
        [pynadath2024]; ends by stochastic approximation instead of a search that only goes up or down.
    """
    if num_moves < 2 or not 0 < accept_prob < 1:
        raise ArgumentError(
            f"tune_cycle needs num_moves >= 2 and 0 < accept_prob < 1, got num_moves={num_moves}, "
            f"accept_prob={accept_prob}."
        )
    moved = target(energy, ACS(differences=differences))
    start_key, warm_key, trial_key = jax.random.split(choose(key, "auto"), 3)
    x = starts(observed_space(energy), x0, num_chains, key=start_key)
    keys = jax.random.split(warm_key, len(jax.tree.leaves(x)[0]))
    x, _ = _short_chains(moved, DULA(_SMALL, differences), x, keys, num_warmup)
    trial = _Trials(moved, x, trial_key, num_steps, differences)
    smallest = trial.step_size(_SMALL, _BALANCES[0], accept_prob)
    # From above: with a balance near 1 the acceptance is high for large steps, and need not rise for small ones.
    largest = max(smallest, trial.step_size(_LARGE, _BALANCES[-1], accept_prob))
    sizes = cosine(largest, smallest, num_moves)
    balances = [_BALANCES[int(np.argmax([trial(size, b) for b in _BALANCES]))] for size in sizes]
    return ACS(jnp.asarray(sizes, jnp.result_type(float)), jnp.asarray(balances, jnp.result_type(float)), differences)


class _Trials:
    """Mean acceptances of short chains, each from where the last ones ended."""

    def __init__(
        self, energy: AbstractEnergy, x: Configuration, key: PRNGKey, num_steps: int, differences: str
    ) -> None:
        self.energy, self.x, self.key, self.num_steps, self.differences = energy, x, key, num_steps, differences
        self.count = 0

    def __call__(self, step_size: float, balance: float) -> float:
        keys = jax.random.split(jax.random.fold_in(self.key, self.count), len(jax.tree.leaves(self.x)[0]))
        kernel = DMALA(float(step_size), self.differences, float(balance))
        self.count += 1
        self.x, accepts = _short_chains(self.energy, kernel, self.x, keys, self.num_steps)
        return float(np.mean(np.asarray(accepts)))

    def step_size(self, first: float, balance: float, accept_prob: float) -> float:
        """Where the acceptance is `accept_prob`, by stochastic approximation of the logarithm from `first` on."""
        log_size, path = np.log(first), []
        for number in range(1, _TRIALS + 1):
            log_size += 2 / np.sqrt(number) * (self(np.exp(log_size), balance) - accept_prob)
            log_size = float(np.clip(log_size, *np.log(_RANGE)))
            path.append(log_size)
        return float(np.exp(np.mean(path[_TRIALS // 2 :])))


@eqx.filter_jit
def _short_chains(
    energy: AbstractEnergy, kernel: AbstractKernel, x: Configuration, keys: Array, num_steps: int
) -> tuple[Configuration, Array]:
    return jax.vmap(lambda x, key: run_steps(energy, kernel, x, num_steps, key=key)[:2])(x, keys)
