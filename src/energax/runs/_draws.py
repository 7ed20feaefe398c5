"""Draws of a trained energy: particles annealed out of a base law, and chains that go on from them."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from energax._typing import PRNGKey
from energax.densities import AbstractDensity
from energax.energies import AbstractEnergy
from energax.kernels import AbstractKernel, AbstractStepSizeKernel
from energax.paths import Geometric
from energax.sampling import RESAMPLERS, Samples, StepSizeAdaptation, anneal, sample


def draw_samples(
    energy: AbstractEnergy,
    kernel: AbstractKernel,
    base: AbstractDensity,
    num: int,
    *,
    key: PRNGKey,
    num_chains: int,
    thin: int = 20,
    num_warmup: int = 500,
    num_levels: int = 200,
) -> Samples:
    """Draws of an energy: chains that start from particles annealed out of the base, then run freely.

    Args:
        energy: The energy.
        kernel: An exact kernel; a step size is adapted.
        base: Where annealing starts.
        num: Number of draws wanted; rounded up to a multiple of the number of chains.
        key: Typed random key.
        num_chains: Number of chains.
        thin: Transitions between kept draws.
        num_warmup: Transitions before the first one.
        num_levels: Levels of the annealing.
    """
    anneal_key, pick_key, sample_key = jax.random.split(key, 3)
    work = anneal(
        Geometric(base, energy),
        kernel,
        jnp.linspace(0, 1, num_levels) ** 0.75,
        key=anneal_key,
        num_particles=num_chains,
        resample="systematic",
    )
    # Weights that were gained since the last resampling count too.
    chosen = RESAMPLERS["systematic"](jnp.asarray(work.log_weights[0], jnp.float32), key=pick_key)
    starts = jax.tree.map(lambda leaf: leaf[0][np.asarray(chosen)], work.x)
    adapt = StepSizeAdaptation() if isinstance(kernel, AbstractStepSizeKernel) else None
    return sample(
        energy,
        kernel,
        starts,
        key=sample_key,
        num_steps=thin * -(-num // num_chains),
        thin=thin,
        num_warmup=num_warmup,
        adapt=adapt,
        throw=False,
    )
