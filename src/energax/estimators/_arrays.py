"""What every estimator asks of its input: float64, the right number of axes, nothing non-finite passed in silence."""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from energax._errors import ArgumentError, ShapeError, Unreliable

Floats: TypeAlias = NDArray[np.float64]


def as_floats(name: str, values: ArrayLike, *, ndim: int, min_rows: int = 1) -> Floats:
    """`values` as a float64 array with `ndim` axes, at least `min_rows` rows and no empty axis."""
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ShapeError(
            f"`{name}` must be an array of real numbers; given {type(values).__name__} ({error})."
        ) from None
    if array.ndim != ndim:
        raise ShapeError(f"`{name}` must have {ndim} axes; given shape {array.shape}.")
    if array.shape[0] < min_rows or array.size == 0:
        raise ShapeError(f"`{name}` needs at least {min_rows} rows and no empty axis; given shape {array.shape}.")
    return array


def as_finite(name: str, values: ArrayLike, *, ndim: int, min_rows: int = 1) -> Floats:
    """As `as_floats`, and every number finite."""
    array = as_floats(name, values, ndim=ndim, min_rows=min_rows)
    bad = array.size - int(np.isfinite(array).sum())
    if bad:
        raise ArgumentError(
            f"`{name}` has {bad} of {array.size} values that are NaN or infinite; look where they arose."
        )
    return array


def as_log_weights(name: str, values: ArrayLike, *, min_rows: int = 1) -> Floats:
    """A vector of log weights: -inf is a weight of zero, NaN and +inf are refused."""
    array = as_floats(name, values, ndim=1, min_rows=min_rows)
    bad = int(np.count_nonzero(np.isnan(array) | (array == np.inf)))
    if bad:
        raise ArgumentError(
            f"`{name}` has {bad} of {array.size} values that are NaN or +inf; a log weight is a number or -inf "
            "(weight zero). Check the energies that it was accumulated from."
        )
    return array


def as_rows(name: str, values: ArrayLike, *, min_rows: int = 2) -> Floats:
    """A sample as (n, d): trailing event axes are flattened, a vector becomes one column."""
    array = np.asarray(values)
    return as_finite(name, array.reshape(array.shape[0], -1) if array.ndim >= 1 else array, ndim=2, min_rows=min_rows)


def in_open_unit(name: str, value: float) -> float:
    """`value`, checked to lie strictly between 0 and 1."""
    if not 0.0 < value < 1.0:
        raise ArgumentError(f"`{name}` must lie strictly between 0 and 1; given {value}.")
    return float(value)


def as_work(name: str, values: ArrayLike) -> Floats:
    """Work or energy differences: +inf is a forbidden end, NaN and -inf are refused; nothing but +inf is no overlap."""
    work = as_floats(name, values, ndim=1, min_rows=2)
    bad = int(np.count_nonzero(np.isnan(work) | (work == -np.inf)))
    if bad:
        raise ArgumentError(
            f"`{name}` has {bad} of {work.size} values that are NaN or -inf; each must be a number, or +inf where "
            "the other state forbids the configuration. Check the energies that it was computed from."
        )
    if np.min(work) == np.inf:
        raise Unreliable(f"no overlap: every value of `{name}` is +inf. Put intermediate states between the two.")
    return work


def as_tau(name: str, value: float) -> float:
    """An integrated autocorrelation time, checked."""
    if not 0.0 <= value < math.inf:
        raise ArgumentError(f"`{name}` must be >= 0 and finite; given {value}.")
    return float(value)
