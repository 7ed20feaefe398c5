"""The thermometer of a run: walkers, held-out rows, and landmarks in the data."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from scipy.cluster.vq import kmeans2

from energax.energies import AbstractEnergy, observed_space
from energax.kernels import AbstractKernel
from energax.objectives import AbstractObjective, Watched

NUM_CLUSTERED = 2_000
NUM_HELD_OUT = 256
_NUM_LANDMARKS = 8


def watched(
    objective: AbstractObjective,
    energy: AbstractEnergy,
    kernel: AbstractKernel,
    num_walkers: int,
    *,
    rows: np.ndarray,
    held_out: np.ndarray,
) -> AbstractObjective:
    """The objective with walkers beside it.

    Args:
        objective: What trains the model.
        energy: The model before training.
        kernel: An exact kernel.
        num_walkers: Number of walkers.
        rows: Training rows, in which up to eight regions are told apart: where data have fewer modes some share one,
            where they have more a region holds several.
        held_out: Rows whose likelihood is told.
    """
    dtype = observed_space(energy).struct.dtype
    marks = landmarks(rows).astype(dtype)
    judged = jnp.asarray(held_out if len(held_out) else rows[:NUM_HELD_OUT]).astype(dtype)
    return Watched(objective, kernel, num_walkers, rows=judged, landmarks=jnp.asarray(marks))


def landmarks(rows: np.ndarray) -> np.ndarray:
    """A row in each of up to eight regions of the data: the one that is nearest to the centre of its cluster."""
    flat = np.asarray(rows, np.float64).reshape(len(rows), -1)
    first = [0]
    while len(first) < _NUM_LANDMARKS:
        distances = np.min([((flat - flat[k]) ** 2).sum(axis=1) for k in first], axis=0)
        if not distances.max() > 0:
            break
        first.append(int(np.argmax(distances)))
    centres, _ = kmeans2(flat, flat[first], minit="matrix")
    nearest = {int(np.argmin(((flat - centre) ** 2).sum(axis=1))) for centre in centres}
    return np.asarray(rows)[sorted(nearest)]
