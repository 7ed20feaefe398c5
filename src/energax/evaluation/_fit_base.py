"""Laws that are fitted to rows: the base of a path to a model, exactly known and as close to it as that allows."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np

from energax.densities import AbstractDensity, Gaussian, IndependentSites, ShapedGaussian, default_base
from energax.spaces import AbstractDiscreteSpace, AbstractSpace, Euclidean

LEAST_ROWS = 10
"""Rows for each dimension that a full covariance needs."""
_MAX_FULL = 64
"""Largest dimension in which the base gets a full covariance; beyond it triangular solves cost more than they save."""


def fit_base(space: AbstractSpace, rows: Any, *, local: bool = False, independent: bool = False) -> AbstractDensity:
    """The base law on `space` fitted to rows.

    Discrete sites: independent with the frequencies of the rows, every value counted one per cent of the rows more, so
    that no value is hard to reach. Euclidean: a normal law with the mean and 1.25 times the standard deviations of the
    rows. Boxes, tori and whatever else has a volume: uniform.

    Args:
        space: The observed space of the model.
        rows: Configurations with a leading axis.
        local: The rows come from one region that the law shall not leave: half a count and 1.1 standard deviations.
        independent: A normal law without correlations, which leaves a machine its blocks on the way from the base.

    Raises:
        ArgumentError: The space is unbounded and not Euclidean.
    """
    if isinstance(space, AbstractDiscreteSpace):
        return _fit_sites(space, np.asarray(rows), 0.5 if local else max(1.0, 0.01 * len(rows)))
    if isinstance(space, Euclidean):
        return _fit_normal(space, np.asarray(rows, np.float64), 1.1 if local else 1.25, independent)
    return default_base(space)


def _fit_sites(space: AbstractDiscreteSpace, rows: np.ndarray, extra: float) -> IndependentSites:
    counts = np.stack([(rows == value).sum(0) for value in space.values], axis=-1) + extra
    logs = np.log(counts / counts.sum(-1, keepdims=True))
    logits = logs[..., 1] - logs[..., 0] if len(space.values) == 2 else logs - logs[..., :1]
    return IndependentSites(space, jnp.asarray(logits.reshape(space.logits_shape), jnp.result_type(float)))


def _fit_normal(space: Euclidean, rows: np.ndarray, widening: float, independent: bool) -> ShapedGaussian:
    flat = rows.reshape(len(rows), -1)
    dim = flat.shape[1]
    scale = flat.std(0)
    # A column that never varies says nothing about the width of the model there.
    scale = np.where(scale > 1e-3 * max(float(scale.max()), 1e-12), scale, max(float(scale.max()), 1e-6))
    if not independent and 1 < dim <= _MAX_FULL and len(rows) > LEAST_ROWS * dim:
        covariance = np.cov(flat.T) + 1e-2 * np.diag(scale**2)
    else:
        covariance = scale**2
    dtype = jnp.result_type(float)
    return ShapedGaussian(
        Gaussian(jnp.asarray(flat.mean(0), dtype), jnp.asarray(widening**2 * covariance, dtype)), space
    )
