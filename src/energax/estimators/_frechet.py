"""The Fréchet distance between the normal laws that fit two samples: FID, whatever the features are."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from energax._errors import ArgumentError, ShapeError
from energax.estimators._arrays import Floats, as_rows
from energax.estimators._estimate import Estimate


def frechet_distance(x: ArrayLike, y: ArrayLike, *, num_groups: int = 10) -> Estimate:
    """Estimate the squared Fréchet (Wasserstein-2) distance of two normal laws with the moments of two samples.

    ‖μ_x − μ_y‖² + tr(C_x + C_y − 2 (C_x^½ C_y C_x^½)^½). Of features of a network it is the Fréchet inception distance
    and its kin, which are squared too. The last trace is the sum of the singular values of C_x^½ C_y^½, with roots from
    eigenvalues: no root of a product that is not symmetric is taken, nor of a difference that rounding made negative.

    Exactness: the plain number of n rows is high by about c/n, which differs from law to law, so that plain numbers of
    different sizes or models cannot be compared. The value is corrected for it from the numbers with groups of rows
    left out (jackknife), as by extrapolation to infinitely many rows, and may be negative for equal laws; what is left
    falls with 1/n². The plain number is the diagnostic `uncorrected`, and a warning says where bias is most of it. The
    error bar, from the same groups, is that of independent rows. Only first and second moments are compared.
    Cost: (n + m) d² and `num_groups` + 1 times d³; memory `num_groups` d².

    Args:
        x: Draws of the model, or features of them, shape (n, ...); trailing axes are flattened.
        y: Rows of the data, or the same features of them, shape (m, ...).
        num_groups: Groups that are left out in turn, at least 5.

    Returns:
        `Estimate` in the squared unit of the features; diagnostics `uncorrected`, `of_means` (the plain first term).

    Raises:
        ShapeError: Rows of different length, or no more rows than numbers in a row when a group is left out: such a
            covariance is singular, and the distance means nothing.
        ArgumentError: Non-finite numbers, too few groups.

    Example:
        >>> import numpy as np
        >>> rows = np.random.default_rng(0).normal(size=(100, 2))
        >>> round(frechet_distance(rows, rows + [3.0, 4.0]).value, 6)
        25.0

    References: [heusel2017], [chong2020], [dowson1982].
    """
    a, b = as_rows("x", x), as_rows("y", y)
    if a.shape[1] != b.shape[1]:
        raise ShapeError(
            f"rows of `x` and `y` must be equally long; given {a.shape[1]} and {b.shape[1]} numbers a row."
        )
    if num_groups < 5:
        raise ArgumentError(f"`num_groups` must be at least 5; given {num_groups}.")
    for name, rows in (("x", a), ("y", b)):
        _require_rows(name, rows, num_groups)
    shift = b.mean(axis=0)
    sums = [_sums(rows - shift, num_groups) for rows in (a, b)]
    whole, of_means = _distance(*(_moments(s, None) for s in sums))
    without = np.array([_distance(*(_moments(s, g) for s in sums))[0] for g in range(num_groups)])
    value = num_groups * whole - (num_groups - 1) * float(without.mean())
    stderr = math.sqrt((num_groups - 1) * float(np.var(without)))
    num_effective = a.shape[0] * b.shape[0] / (a.shape[0] + b.shape[0])
    diagnostics = {"uncorrected": whole, "of_means": of_means}
    return Estimate(value, stderr, num_effective, "frechet", diagnostics, _warnings(value, whole))


def _require_rows(name: str, rows: Floats, num_groups: int) -> None:
    left = rows.shape[0] - -(-rows.shape[0] // num_groups)
    if left <= rows.shape[1]:
        raise ShapeError(
            f"`{name}` has {rows.shape[0]} rows of {rows.shape[1]} numbers; with one of {num_groups} groups left out "
            f"{left} are too few for a covariance. Take more rows, or features with fewer numbers."
        )


class _Sums(NamedTuple):
    """Numbers of rows, sums and sums of products, for each group."""

    count: Floats
    first: Floats
    second: Floats


def _sums(rows: Floats, num_groups: int) -> _Sums:
    parts = [rows[g::num_groups] for g in range(num_groups)]
    count = np.array([len(part) for part in parts], dtype=np.float64)
    return _Sums(count, np.array([p.sum(axis=0) for p in parts]), np.array([p.T @ p for p in parts]))


def _moments(sums: _Sums, left_out: int | None) -> tuple[Floats, Floats]:
    """Mean and unbiased covariance of all groups but one."""
    kept = np.arange(sums.count.size) != left_out
    count = sums.count[kept].sum()
    mean = sums.first[kept].sum(axis=0) / count
    return mean, (sums.second[kept].sum(axis=0) - count * np.outer(mean, mean)) / (count - 1.0)


def _distance(x: tuple[Floats, Floats], y: tuple[Floats, Floats]) -> tuple[float, float]:
    """The squared distance, and the part of it that is of the means."""
    of_means = float(np.sum((x[0] - y[0]) ** 2))
    shared = float(np.linalg.svd(_root(x[1]) @ _root(y[1]), compute_uv=False).sum())
    return of_means + float(np.trace(x[1]) + np.trace(y[1])) - 2.0 * shared, of_means


def _root(covariance: Floats) -> Floats:
    values, vectors = np.linalg.eigh(covariance)
    return (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T


def _warnings(value: float, whole: float) -> tuple[str, ...]:
    if abs(whole - value) <= 0.5 * whole:
        return ()
    return (
        f"bias: of the plain distance {whole:.3g} about {whole - value:.3g} is due to the finite samples; it "
        "must not be compared with numbers of other sizes. Take more rows.",
    )
