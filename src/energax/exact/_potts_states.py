"""How many states a small Potts torus has at each energy: exact integers."""

from __future__ import annotations

import math

import numpy as np

from energax._errors import ArgumentError, NotTractable
from energax.exact._density_of_states import DensityOfStates

MAX_ENTRIES = 2**24
"""Entries of the table: two of that size, 270 MB, are held at a time."""


def potts_density_of_states(shape: tuple[int, int], num_states: int) -> DensityOfStates:
    """The states of E(s) = −Σ_<ij> δ(s_i, s_j) on a torus, counted, bonds as in `energies.Potts`.

    A transfer matrix whose entries are polynomials in y, one power for each satisfied bond. The table holds the
    polynomial of all rows so far for each first row, whose first site is held at one value (the others multiply the
    count by q), and each last row. A new site takes the place of the one above it: with A(s) the table where the old
    one has the value s, the new one has Σ_s A(s) + (y − 1) A(s').

    Exactness: exact integers.
    Cost: q^(2w − 1) (2n + 1) numbers for n sites and a shorter side w, gone through n times: 5 × 5 with three values in
    a second, 6 × 6 in about half a minute, 4 × 4 with six values in ten seconds.

    Args:
        shape: Lengths of the axes, each at least 2.
        num_states: q, 2 or more.

    Returns:
        `DensityOfStates`.

    Raises:
        ArgumentError: Lengths or q below 2.
        NotTractable: The table has more than 2^24 entries, or the counts exceed 64 bits.

    Example:
        >>> potts_density_of_states((2, 2), 3).counts
        (3, 24, 18, 36)

    References:
        [beale1996], [wu1982]
    """
    width, length = sorted(int(n) for n in shape)
    if min(width, num_states) < 2:
        raise ArgumentError(f"Axes of length 2 or more and q of 2 or more, got shape={shape}, q={num_states}.")
    powers = 2 * width * length + 1
    if num_states ** (2 * width - 1) * powers > MAX_ENTRIES or width * length * math.log2(num_states) >= 63:
        raise NotTractable(
            f"A torus of {width} × {length} sites with q = {num_states} is too large to be counted; `eliminate` goes a "
            "little further, `evaluation.thermodynamics` estimates."
        )
    rows = np.stack(np.meshgrid(*[np.arange(num_states)] * width, indexing="ij"), -1).reshape(-1, width)
    first = rows[rows[:, 0] == 0]
    along = (rows == np.roll(rows, 1, axis=1)).sum(axis=1)
    table = np.zeros((len(first), len(rows), powers), np.int64)
    table[np.arange(len(first)), np.flatnonzero(rows[:, 0] == 0), along[rows[:, 0] == 0]] = 1
    for _ in range(length - 1):
        for site in range(width):
            table = _replaced(table, site, width, num_states)
        for bonds in np.unique(along[along > 0]):
            _shift(table, (slice(None), along == bonds), int(bonds))
    closing = (first[:, None, :] == rows[None]).sum(axis=2)
    counts = np.zeros(powers, np.int64)
    for bonds in range(width + 1):
        found = table[closing == bonds].sum(axis=0)
        counts[bonds:] += found[: powers - bonds]
    kept = np.flatnonzero(counts)[::-1]
    return DensityOfStates(-kept, tuple(num_states * int(counts[j]) for j in kept))


def _replaced(table: np.ndarray, site: int, width: int, num_states: int) -> np.ndarray:
    """The table with a new site below this one of the last row, and the bond between them."""
    split = table.reshape(len(table), num_states**site, num_states, num_states ** (width - site - 1), -1)
    every = split.sum(axis=2, keepdims=True)
    new = every - split
    new[..., 1:] += split[..., :-1]
    return new.reshape(table.shape)


def _shift(table: np.ndarray, where: tuple[slice, np.ndarray], by: int) -> None:
    """Multiply a part of the table by y^by, in place."""
    part = table[where]
    moved = np.zeros_like(part)
    moved[..., by:] = part[..., :-by]
    table[where] = moved
