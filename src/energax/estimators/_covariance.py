"""Covariances of observables along chains: the response functions of statistical physics."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import ArrayLike

from energax._errors import ShapeError
from energax.estimators._arrays import Floats, as_finite
from energax.estimators._autocorrelation import chain_mean
from energax.estimators._estimate import Estimate


def covariance(a: ArrayLike, b: ArrayLike | None = None) -> Estimate:
    """Estimate Cov(A, B) of two observables from chains, with an error bar that knows of autocorrelation.

    It is the response of ⟨A⟩ to a field h that enters the energy as −h B: d⟨A⟩/dh = Cov(A, B), the theorem of
    fluctuation and dissipation. With the magnetisation for both it is the susceptibility, with the energy for both the
    heat capacity over β². The error bar is that of the mean of (A − mean A)(B − mean B), along which the estimate moves
    to first order.

    Exactness: consistent as the number of draws grows; low by about the share of one effective draw.
    Cost: that of `chain_mean`.

    Args:
        a: A at each draw, shape (chain, draw) or (draw,), in order, burn-in removed.
        b: B at the same draws; A itself by default, which gives the variance.

    Returns:
        `Estimate`; diagnostics as `chain_mean`, of the product.

    Raises:
        ArgumentError: NaN or infinite values.
        ShapeError: Shapes that differ, or fewer than four draws a chain.

    Example:
        >>> import numpy as np
        >>> spins = np.random.default_rng(0).choice([-1.0, 1.0], size=(4, 1000))
        >>> found = covariance(spins, 2.0 * spins)
        >>> abs(found.value - 2.0) < 4.9 * found.stderr + 1e-2
        True

    References: [kubo1966].
    """
    x, y = _rows("a", a), _rows("b", a if b is None else b)
    if x.shape != y.shape:
        raise ShapeError(f"`a` and `b` must be of the same draws; given shapes {x.shape} and {y.shape}.")
    found = chain_mean((x - x.mean()) * (y - y.mean()))
    return dataclasses.replace(found, method="covariance")


def _rows(name: str, values: ArrayLike) -> Floats:
    array = np.asarray(values)
    return as_finite(name, array[None] if array.ndim == 1 else array, ndim=2)
