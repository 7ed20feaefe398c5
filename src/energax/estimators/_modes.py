"""How draws are spread over the modes or classes of a law: which are missing, and what masses the others have."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import chi2

from energax._errors import ArgumentError, ShapeError
from energax.estimators._arrays import Floats, as_finite, as_rows
from energax.estimators._estimate import Estimate, plain
from energax.estimators._pairwise import row_blocks, squared_distances


@dataclass(frozen=True, repr=False)
class ModeShares:
    """What `mode_shares` found.

    Args:
        shares: Share of draws in each mode, shape (modes,); they sum to 1 − `outside`.
        stderr: Standard error of each.
        expected: Share that the law has there.
        num_covered: Modes whose share is at least `fraction` of the expected one.
        outside: Share of draws in no mode.
        distance: Total variation between shares and expected ones, ½ (Σ |share − expected| + outside).
        p_value: Probability of shares at least as far off, by χ², were the masses right; NaN where modes are too
            small to say.
        warnings: Sentences for the reader.
    """

    shares: Floats
    stderr: Floats
    expected: Floats
    num_covered: int
    outside: Estimate
    distance: Estimate
    p_value: float
    warnings: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain dictionary for `json.dumps`."""
        fields = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return plain({**fields, "outside": self.outside.to_json(), "distance": self.distance.to_json()})

    def __str__(self) -> str:
        return (
            f"{self.num_covered} of {self.shares.size} modes covered, {self.outside} of draws outside, total variation "
            f"{self.distance}"
        )

    def __repr__(self) -> str:
        rest = f"; warnings={list(self.warnings)}" if self.warnings else ""
        return f"ModeShares({self}{rest})"


def nearest_centre(points: ArrayLike, centres: ArrayLike, *, within: float = math.inf) -> NDArray[np.int64]:
    """The number of the nearest centre of each point, −1 where none is near enough.

    Args:
        points: Shape (n, ...); trailing axes are flattened.
        centres: Shape (k, ...).
        within: Largest distance that counts; three standard deviations of a narrow mode, say.

    Returns:
        Whole numbers, shape (n,).

    Raises:
        ShapeError: Points and centres of different length.

    Example:
        >>> nearest_centre([[0.1], [4.0], [9.0]], [[0.0], [5.0]], within=2.0).tolist()
        [0, 1, -1]
    """
    a, b = as_rows("points", points, min_rows=1), as_rows("centres", centres, min_rows=1)
    if a.shape[1] != b.shape[1]:
        raise ShapeError(
            f"`points` and `centres` must be equally long; given {a.shape[1]} and {b.shape[1]} numbers a row."
        )
    if not within > 0.0:
        raise ArgumentError(f"`within` must be positive; given {within}.")
    found, shift = np.empty(a.shape[0], dtype=np.int64), b.mean(axis=0)
    for part in row_blocks(*a.shape):
        squares = squared_distances(a[part] - shift, b - shift)
        winner = np.argmin(squares, axis=1)
        near = squares[np.arange(winner.size), winner] <= within**2
        found[part] = np.where(near, winner, -1)
    return found


def mode_shares(labels: ArrayLike, expected: ArrayLike, *, fraction: float = 0.2) -> ModeShares:
    """Compare how draws are spread over modes with the masses that the modes should have.

    Labels come from `nearest_centre`, from a classifier of the data's classes, or from any partition of space. A
    sampler that loses a mode, or weighs modes wrongly, may still draw within each of them as it should: what looks at
    single draws does not see it.

    Exactness: shares are unbiased, their error bars those of independent draws. The total variation of finite samples
    is high; its diagnostic `null_mean` is about what right masses would show.
    Cost: one pass.

    Args:
        labels: Mode of each draw, whole numbers below the number of modes, −1 for none; shape (n,), n >= 2.
        expected: Mass of each mode, shape (modes,), positive; made to sum to 1. Counts of labelled rows are taken as
            exact.
        fraction: A mode is covered if it has at least so large a part of its expected share.

    Returns:
        `ModeShares`; it warns of modes that are missing and of masses that chance does not explain (p < 0.001).

    Raises:
        ArgumentError: Labels that are no modes, masses that are not positive.

    Example:
        >>> found = mode_shares([0, 0, 0, 1], [1.0, 1.0, 1.0])
        >>> found.num_covered, round(found.distance.value, 3)
        (2, 0.417)

    References: relative masses of modes: [carbone2023].
    """
    masses = as_finite("expected", expected, ndim=1)
    if not np.all(masses > 0.0):
        raise ArgumentError(f"`expected` must be positive for each mode; given {masses}. Leave out modes without mass.")
    if not 0.0 < fraction <= 1.0:
        raise ArgumentError(f"`fraction` must lie in (0, 1]; given {fraction}.")
    masses = masses / masses.sum()
    found = _labels(labels, masses.size)
    num = found.size
    counts = np.bincount(found + 1, minlength=masses.size + 1)
    shares, outside = counts[1:] / num, counts[0] / num
    stderr = np.maximum(np.sqrt(shares * (1.0 - shares) / num), 0.5 / num)
    covered = int(np.count_nonzero(shares >= fraction * masses))
    p_value = _p_value(counts[1:], masses)
    of_outside = Estimate(outside, max(math.sqrt(outside * (1.0 - outside) / num), 0.5 / num), num, "share")
    warnings = _mode_warnings(shares, masses, fraction, p_value)
    return ModeShares(
        shares, stderr, masses, covered, of_outside, _total_variation(shares, outside, masses, num), p_value, warnings
    )


def _labels(labels: ArrayLike, num_modes: int) -> NDArray[np.int64]:
    given = as_finite("labels", labels, ndim=1, min_rows=2)
    found = given.astype(np.int64)
    if np.any(found != given) or found.min() < -1 or found.max() >= num_modes:
        raise ArgumentError(
            f"`labels` must be whole numbers from 0 to {num_modes - 1}, or -1 for no mode; given numbers from "
            f"{given.min():g} to {given.max():g}."
        )
    return found


def _total_variation(shares: Floats, outside: float, masses: Floats, num: int) -> Estimate:
    value = 0.5 * (float(np.abs(shares - masses).sum()) + outside)
    # The mean of g over draws with g = ½ sign(share − mass) in each mode and ½ outside.
    weights = np.append(0.5 * np.sign(shares - masses), 0.5)
    law = np.append(shares, outside)
    variance = float(law @ weights**2 - (law @ weights) ** 2)
    null_mean = 0.5 * float(np.sqrt(2.0 / math.pi * masses * (1.0 - masses) / num).sum())
    stderr = max(math.sqrt(max(variance, 0.0) / num), 0.5 / num)
    return Estimate(value, stderr, num, "total-variation", {"null_mean": null_mean})


def _p_value(counts: NDArray[np.int64], masses: Floats) -> float:
    """Pearson's χ² of the draws that are in modes."""
    wanted = counts.sum() * masses
    if masses.size < 2 or np.any(wanted < 5.0):
        return math.nan
    return float(chi2.sf(np.sum((counts - wanted) ** 2 / wanted), masses.size - 1))


def _mode_warnings(shares: Floats, masses: Floats, fraction: float, p_value: float) -> tuple[str, ...]:
    said: list[str] = []
    missing = np.flatnonzero(shares < fraction * masses)
    if missing.size:
        names = ", ".join(str(i) for i in missing[:8]) + (" ..." if missing.size > 8 else "")
        said.append(
            f"missing: {missing.size} of {masses.size} modes have less than {fraction:g} of their mass ({names})."
        )
    if p_value < 1e-3:
        worst = int(np.argmax(np.abs(shares - masses)))
        said.append(
            f"masses: those of the modes are not the expected ones (p = {p_value:.1g}); mode {worst} has "
            f"{shares[worst]:.3g} where {masses[worst]:.3g} is expected."
        )
    return tuple(said)
