"""Warm-up in windows: scales of the directions from the chains, then the step size anew, and again."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree

from energax._typing import Configuration, PRNGKey
from energax.energies import AbstractEnergy
from energax.kernels import HMC, MALA
from energax.sampling._adaptation import StepSizeAdaptation
from energax.sampling._sample import sample

_PRIOR = 5.0
"""Draws' worth of belief in a variance of a thousandth, as Stan has it: no direction becomes exactly flat."""


def tuned_in_windows(
    energy: AbstractEnergy, kernel: MALA | HMC, x: Configuration, num_steps: int, *, key: PRNGKey
) -> tuple[MALA | HMC, PyTree[Array], int]:
    """The kernel with its step size and preconditioner tuned, the ends of the chains, and the steps of each.

    Windows of 1/15, 2/15, 4/15 and 8/15 of the steps. In each the step size is tuned in the first half; the spread of
    all chains in the second half gives the preconditioner of the next window. The last window tunes the step size only.
    """
    shares, done, kept = (1, 2, 4, 8), 0, max(2, num_steps // 30)
    if kernel.preconditioner is None:
        kernel = _with_factor_and_size(kernel, jax.tree.map(lambda leaf: jnp.ones_like(leaf[0]), x), kernel.step_size)
    for i, share in enumerate(shares):
        half = kept * share
        # As many draws from each window, so that all of them share one compilation.
        run = sample(
            energy, kernel, x, key=jax.random.fold_in(key, i), num_steps=half, num_warmup=half, thin=share,
            adapt=StepSizeAdaptation(), throw=False, generator="as-given",
        )  # fmt: skip
        done += 2 * half
        kernel, x = run.kernel, run.last  # pyright: ignore[reportAssignmentType]
        if i + 1 < len(shares):
            kernel = _with_factor(kernel, run.x)
    return kernel, x, done


def _with_factor(kernel: MALA | HMC, draws: PyTree[np.ndarray]) -> MALA | HMC:
    """The kernel in the scales of the draws; its step size, which belongs to the old scales, begins at a usual one."""
    dense = kernel.preconditioner is not None and jnp.ndim(jax.tree.leaves(kernel.preconditioner)[0]) == 2
    sizes = [leaf[0, 0].size for leaf in jax.tree.leaves(draws)]
    factor = jax.tree.map(_dense if dense and len(sizes) == 1 and draws.ndim == 3 else _diagonal, draws)
    usual = sum(sizes) ** (-1 / 3 if isinstance(kernel, MALA) else -1 / 4)
    return _with_factor_and_size(kernel, factor, jnp.asarray(usual, kernel.step_size.dtype))


def _with_factor_and_size(kernel: MALA | HMC, factor: Configuration, size: Array) -> MALA | HMC:
    return eqx.tree_at(
        lambda k: (k.preconditioner, k.step_size), kernel, (factor, size), is_leaf=lambda leaf: leaf is None
    )


def _diagonal(draws: np.ndarray) -> Any:
    variance = np.var(np.asarray(draws, np.float64), axis=(0, 1))
    return jnp.asarray(np.sqrt(_shrunk(variance, draws.shape[0] * draws.shape[1])), draws.dtype)


def _dense(draws: np.ndarray) -> Any:
    flat = np.asarray(draws, np.float64).reshape(-1, draws.shape[-1])
    covariance = np.cov(flat, rowvar=False).reshape(draws.shape[-1], draws.shape[-1])
    count = len(flat)
    shrunk = covariance * count / (count + _PRIOR) + 1e-3 * _PRIOR / (count + _PRIOR) * np.eye(len(covariance))
    return jnp.asarray(np.linalg.cholesky(shrunk), draws.dtype)


def _shrunk(variance: np.ndarray, count: int) -> np.ndarray:
    return (variance * count + 1e-3 * _PRIOR) / (count + _PRIOR)
