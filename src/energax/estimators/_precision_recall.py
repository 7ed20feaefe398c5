"""Do draws look like the rows, and do they look like all of them? Precision, recall, density and coverage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from energax._errors import ArgumentError, ShapeError
from energax.estimators._arrays import Floats, as_rows
from energax.estimators._estimate import Estimate
from energax.estimators._pairwise import row_blocks, squared_distances


@dataclass(frozen=True, repr=False)
class PrecisionRecall:
    """What `precision_recall` found; each number is a share of rows but `density`, which may exceed 1.

    Args:
        precision: Share of draws that lie in a ball of some row: are draws like the rows?
        recall: Share of rows that lie in a ball of some draw: are all rows like draws?
        density: How many balls of rows a draw lies in, over k; 1 in the mean where the laws are equal.
        coverage: Share of rows whose ball holds a draw.
    """

    precision: Estimate
    recall: Estimate
    density: Estimate
    coverage: Estimate

    def to_json(self) -> dict[str, Any]:
        """Plain dictionary for `json.dumps`."""
        return {name: getattr(self, name).to_json() for name in self.__dataclass_fields__}

    def __str__(self) -> str:
        return ", ".join(f"{name} {getattr(self, name)}" for name in self.__dataclass_fields__)

    def __repr__(self) -> str:
        return f"PrecisionRecall({self})"


def precision_recall(
    draws: ArrayLike, rows: ArrayLike, *, num_neighbours: int = 5, num_splits: int = 20, seed: int = 0
) -> PrecisionRecall:
    """Estimate fidelity and variety of draws apart: precision and recall, density and coverage.

    With B_i the ball around row i out to its k-th nearest other row, and C_j the same of draw j among the draws,

    * precision = mean_j 1[draw j in some B_i], recall = mean_i 1[row i in some C_j];
    * density = mean_j #{i: draw j in B_i} / k, coverage = mean_i 1[B_i holds a draw].

    An outlier among the rows has a large ball, which draws far from all data may fall into: density counts how many
    agree, and coverage takes no ball of a draw.

    Exactness: for equal continuous laws density has the mean 1, and coverage of n rows by m draws the mean
    1 − Π_{j=1..k} (n − j)/(m + n − j), which is its diagnostic `equal_laws`. Precision and recall depend on law, size
    and k even then; what perfect draws would get is ``precision_recall(test, train)`` at the same sizes. Compare only
    numbers of equal sizes and k. The error bar is that of independent draws and rows, from the differences between
    halves of both, split at random (leaving out single rows would make it half as wide again).
    Cost: (n + m)² d, and `num_splits` passes over half of the distances; memory in blocks of 16 MiB.

    Args:
        draws: Draws of the model, or features of them, shape (m, ...); trailing axes are flattened.
        rows: Rows of the data, or the same features of them, shape (n, ...).
        num_neighbours: k >= 1. 5 is usual for density and coverage, 3 for precision and recall.
        num_splits: Splits behind the error bar, which is itself known to about 1/√(2 · splits).
        seed: Seed of NumPy's generator for the splits.

    Returns:
        `PrecisionRecall`, four estimates; `num_effective` is the number of draws or rows that were asked.

    Raises:
        ShapeError: Rows of different length, or halves with no more than k of them.
        ArgumentError: Non-finite numbers, k below 1.

    Example:
        >>> import numpy as np
        >>> rows = np.random.default_rng(0).normal(size=(200, 2))
        >>> found = precision_recall(rows[:100] + 50.0, rows[100:])
        >>> found.precision.value, found.coverage.value
        (0.0, 0.0)

    References: [sajjadi2018], [kynkaanniemi2019] with one k for all numbers, [naeem2020].
    """
    a, b = as_rows("draws", draws), as_rows("rows", rows)
    _check(a, b, num_neighbours, num_splits)
    shift = b.mean(axis=0)
    a, b = a - shift, b - shift
    rng = np.random.default_rng(seed)
    half_a, half_b = (_halves(len(x), num_splits, rng) for x in (a, b))
    of_rows = _inside(b, a, num_neighbours, half_b, half_a)
    of_draws = _inside(a, b, num_neighbours, half_a, half_b)
    m, n, k = a.shape[0], b.shape[0], num_neighbours
    steps = np.arange(1, k + 1)
    chance = float(1.0 - np.prod((n - steps) / (m + n - steps)))
    return PrecisionRecall(
        _estimate("precision", of_rows.share, m, {"num_neighbours": k}),
        _estimate("recall", of_draws.share, n, {"num_neighbours": k}),
        _estimate("density", of_rows.density, m, {"num_neighbours": k, "equal_laws": 1.0}),
        _estimate("coverage", of_rows.coverage, n, {"num_neighbours": k, "equal_laws": chance}),
    )


def _check(draws: Floats, rows: Floats, k: int, num_splits: int) -> None:
    if draws.shape[1] != rows.shape[1]:
        raise ShapeError(
            f"`draws` and `rows` must be equally long; given {draws.shape[1]} and {rows.shape[1]} numbers a row."
        )
    if k < 1 or num_splits < 1:
        raise ArgumentError(f"`num_neighbours` and `num_splits` must be at least 1; given {k} and {num_splits}.")
    if min(draws.shape[0], rows.shape[0]) // 2 <= k:
        raise ShapeError(
            f"{draws.shape[0]} draws and {rows.shape[0]} rows are too few: their halves must have more than {k} "
            "neighbours each. Take more draws."
        )


class _Inside(NamedTuple):
    """Statistics of points in balls: of all, then of the two halves of each split; shape (1 + 2 · splits,)."""

    share: Floats
    density: Floats
    coverage: Floats


def _halves(num_rows: int, num_splits: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Which rows belong to the whole, and to each half of each random split, shape (1 + 2 · splits, rows)."""
    order = np.argsort(rng.random((num_splits, num_rows)), axis=1)
    first = order < num_rows // 2
    return np.concatenate([np.ones((1, num_rows), bool), np.stack([first, ~first], axis=1).reshape(-1, num_rows)])


def _inside(
    centres: Floats, points: Floats, k: int, of_centres: NDArray[np.bool_], of_points: NDArray[np.bool_]
) -> _Inside:
    n, m = centres.shape[0], points.shape[0]
    counts, covered = np.zeros((len(of_points), m), dtype=np.int64), np.zeros(len(of_points))
    # Distances come from products that cancel: what is at the edge of a ball up to rounding counts as inside.
    edge = 16.0 * np.finfo(np.float64).eps * max(float(np.sum(a * a, axis=1).max()) for a in (centres, points))
    for part in row_blocks(n, max(n, m)):
        own = squared_distances(centres[part], centres)
        own[np.arange(part.stop - part.start), np.arange(part.start, part.stop)] = np.inf
        there = squared_distances(centres[part], points)
        for s, (ours, theirs) in enumerate(zip(of_centres, of_points, strict=True)):
            kept = ours[part]
            radii = np.partition(own[np.ix_(kept, ours)], k - 1, axis=1)[:, k - 1]
            within = there[np.ix_(kept, theirs)] <= radii[:, None] + edge
            counts[s, theirs] += np.count_nonzero(within, axis=0)
            covered[s] += np.count_nonzero(np.any(within, axis=1))
    counted = [row[kept] for row, kept in zip(counts, of_points, strict=True)]
    return _Inside(
        np.array([float(np.mean(c > 0)) for c in counted]),
        np.array([float(np.mean(c)) / k for c in counted]),
        covered / of_centres.sum(axis=1),
    )


def _estimate(name: str, values: Floats, num: int, diagnostics: dict[str, Any]) -> Estimate:
    # Halves are independent, and each has twice the variance of the whole.
    apart = values[1::2] - values[2::2]
    # Where nothing varies, a share of 0 or 1 has no more resolution than its rows.
    stderr = max(0.5 * float(np.sqrt(np.mean(apart**2))), 0.5 / num)
    return Estimate(float(values[0]), stderr, num, name, diagnostics)
