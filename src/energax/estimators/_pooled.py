"""What estimators that pool the draws of several states ask of their input."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from energax._errors import ArgumentError
from energax.estimators._arrays import Floats, as_finite


def pooled_energies(name: str, u: Floats) -> Floats:
    """Reduced energies, checked: numbers, or +inf where a state forbids a draw."""
    bad = int(np.count_nonzero(np.isnan(u) | (u == -np.inf)))
    if bad:
        raise ArgumentError(
            f"`{name}` has {bad} of {u.size} values that are NaN or -inf; an energy is a number, or +inf where the "
            "state forbids the configuration. Check the energies."
        )
    return u


def pooled_counts(counts: ArrayLike, u: Floats) -> np.ndarray:
    """Draws of each state, checked: whole numbers that sum to the number of draws."""
    given = as_finite("counts", counts, ndim=1)
    sizes = given.astype(np.int64)
    if len(sizes) != len(u) or np.any(sizes != given) or np.any(sizes < 0) or sizes.sum() != u.shape[1]:
        raise ArgumentError(
            f"`counts` must be one whole number for each of {len(u)} states, and sum to the {u.shape[1]} draws; given "
            f"{given.size} that sum to {given.sum():g}."
        )
    return sizes


def pooled_taus(taus: ArrayLike, num_states: int) -> Floats:
    """One autocorrelation time for each state, checked."""
    times = np.full(num_states, float(taus)) if isinstance(taus, int | float) else as_finite("taus", taus, ndim=1)
    if times.size != num_states or not np.all(np.isfinite(times)) or np.any(times < 0):
        raise ArgumentError(f"`taus` must be a number >= 0, or one for each of {num_states} states; given {taus}.")
    return times
