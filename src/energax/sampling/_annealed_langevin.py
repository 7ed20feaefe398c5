"""Langevin dynamics through a falling sequence of noise levels."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import ArrayLike

from energax._errors import ArgumentError
from energax._typing import Configuration, PRNGKey
from energax.energies import AbstractConditionalEnergy
from energax.kernels import ULA
from energax.random import choose
from energax.sampling._sample import sample
from energax.sampling._samples import Samples


def annealed_langevin(
    model: AbstractConditionalEnergy,
    sigmas: ArrayLike,
    x0: Configuration | None = None,
    *,
    key: PRNGKey,
    step_size: float,
    num_steps: int,
    num_chains: int | None = None,
    generator: str = "auto",
) -> Samples:
    """Draw from the least noisy of a family of smoothed laws, going down from the noisiest.

    At level i every chain makes `num_steps` steps x ← x + α_i s_i(x) + √(2α_i) ξ with s_i = −∇E(x; σ_i) and
    α_i = ε σ_i²/σ_L², so that signal and noise keep their ratio; each level begins where the one before ended.

    Exactness: biased: by O(α_i/σ_i²) as ULA is, and because a level is left before equilibrium. Masses of modes are
    decided at the levels where the modes still overlap.

    Cost: levels × num_steps score evaluations of each chain. One compilation serves all levels.

    Args:
        model: ``model.given(sigma)`` is the energy of the data smoothed by N(0, σ²): a network trained at many noise
            levels, or a formula.
        sigmas: σ_1 > ... > σ_L > 0.
        x0: Starts with a leading chain axis; without it the initial law that the first level's space declares.
        key: Typed random key.
        step_size: ε > 0, the step size at the last level; well below σ_L².
        num_steps: Steps at each level.
        num_chains: Number of chains; taken from `x0` if one is given, else 4.
        generator: As in `sample`.

    Returns:
        The run at the last level, of which the last draw of each chain is kept; `Samples.last` holds them.

    Raises:
        ArgumentError: The levels do not fall, or are not positive.
        Diverged: A chain met an energy that is not finite at the start of a level.

    References:
        [song2019]
    """
    levels = np.asarray(sigmas, np.float64)
    if levels.ndim != 1 or not levels.size or not np.all(np.diff(levels) < 0) or not levels[-1] > 0:
        raise ArgumentError(f"`sigmas` must fall from level to level and stay positive, got {sigmas}.")
    key = choose(key, generator)
    run: Samples | None = None
    for index, sigma in enumerate(levels):
        # As arrays, so that a new level is a new number and not a new compilation.
        energy = model.given(jnp.asarray(sigma, jnp.result_type(float)))
        kernel = ULA(step_size * float(sigma / levels[-1]) ** 2)
        run = sample(
            energy, kernel, x0 if run is None else run.last, num_steps=num_steps, thin=num_steps,
            num_chains=num_chains if run is None else None, generator="as-given", key=jax.random.fold_in(key, index),
        )  # fmt: skip
    assert run is not None
    return run
