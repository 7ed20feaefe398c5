"""Does a sampler repeat its training data? Nearest neighbours and exact copies, beside those of held-out rows."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import hypergeom

from energax._errors import ArgumentError, ShapeError
from energax.estimators._arrays import Floats
from energax.estimators._estimate import Estimate, plain
from energax.estimators._pairwise import nearest, row_blocks

ALARM_Z = 3.0


@dataclass(frozen=True, repr=False)
class NeighbourCheck:
    """What `nearest_neighbour_check` found.

    Args:
        share_closer: Probability that a sample lies closer to the training rows than a test row does, ties counted
            half; 0.5 for fresh draws of the data's law, 1 for memorised rows, 0 for samples far from all data.
        num_copies: Samples that equal a training row in every number.
        num_samples: Samples checked.
        num_test_copies: Test rows that equal a training row (duplicates in the data set).
        num_test: Test rows.
        median_sample: Median distance from a sample to its nearest training row, unit of the data.
        median_test: The same from a test row.
        warnings: Sentences for the reader.
    """

    share_closer: Estimate
    num_copies: int
    num_samples: int
    num_test_copies: int
    num_test: int
    median_sample: float
    median_test: float
    warnings: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain dictionary for `json.dumps`; NaN and infinities become None."""
        fields = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return plain({**fields, "share_closer": self.share_closer.to_json()})

    def __str__(self) -> str:
        return (
            f"closer to training rows than a test row: {self.share_closer} (0.5 expected); copies: "
            f"{self.num_copies} of "
            f"{self.num_samples} (test rows: {self.num_test_copies} of {self.num_test}); median nearest distance: "
            f"{self.median_sample:.4g} (test rows: {self.median_test:.4g})"
        )

    def __repr__(self) -> str:
        rest = f"; warnings={list(self.warnings)}" if self.warnings else ""
        return f"NeighbourCheck({self}{rest})"


def nearest_neighbour_check(samples: ArrayLike, train: ArrayLike, test: ArrayLike) -> NeighbourCheck:
    """Check whether samples repeat the training rows, with held-out rows as the yardstick.

    With d(a) the Euclidean distance (for binary rows the root of the Hamming distance) from a to its nearest training
    row, the share is P(d(sample) < d(test row)) + ½ P(equal), which is 0.5 when samples and test rows have one law,
    whatever the space and the ties; its error bar is DeLong's. Copies are counted by equality of all numbers of a row.

    Exactness: the share is unbiased for independent samples and test rows; copies are counted exactly. A model that
    memorises and then blurs by more than the typical distance passes; draws smoother than the data, as means of a
    decoder, lie closer to all rows and fail.
    Cost: (samples + test) · train · d, in blocks of 16 MiB.

    Args:
        samples: Rows drawn from the model, shape (n, ...), n >= 2; trailing axes are flattened.
        train: Rows that the model saw, shape (k, ...).
        test: Rows of the same law that it did not see, shape (m, ...), m >= 2.

    Returns:
        `NeighbourCheck`; it warns of samples closer (memorising) or further away (poor fit) than chance allows at three
        standard errors, and of more copies than the test rows show.

    Raises:
        ShapeError: Rows of different length, or too few.
        ArgumentError: Non-finite numbers.

    Example:
        >>> import numpy as np
        >>> rows = np.random.default_rng(0).normal(size=(200, 2))
        >>> nearest_neighbour_check(rows[:50], rows[:100], rows[100:]).num_copies
        50

    References: [delong1988]; the idea: [meehan2020].
    """
    a, b, c = _rows("samples", samples, 2), _rows("train", train, 1), _rows("test", test, 2)
    if not a.shape[1] == b.shape[1] == c.shape[1]:
        raise ShapeError(
            f"rows of `samples`, `train` and `test` must be equally long; given {a.shape[1]}, {b.shape[1]} and "
            f"{c.shape[1]}."
        )
    seen = set(_digests(b))
    copies, test_copies = (sum(d in seen for d in _digests(rows)) for rows in (a, c))
    of_samples, of_test = nearest(a, b), nearest(c, b)
    share = _probability_smaller(of_samples, of_test)
    warnings = _neighbour_warnings(share.value, copies, a.shape[0], test_copies, c.shape[0])
    medians = float(np.median(of_samples)), float(np.median(of_test))
    return NeighbourCheck(share, copies, a.shape[0], test_copies, c.shape[0], *medians, warnings)


def adversarial_accuracy(x: ArrayLike, y: ArrayLike) -> Estimate:
    """Estimate how well a nearest-neighbour judge tells two samples apart: 0.5 where they have one law.

    AA = ½ [P(d(x, other sample) > d(x, own sample)) + P(d(y, other) > d(y, own))], each distance to the nearest row
    and the row itself left out, ties counted half. Near 1: the laws differ. Near 0: rows of one sample sit on rows of
    the other (memorising). AA(samples, test) − AA(samples, train) is the privacy loss.

    Exactness: mean 0.5 under equal laws. The error bar adds the errors of the two halves as if they were fully
    correlated, because neighbours share neighbours: measured slightly wide under equal laws.
    Cost: O(n² d), in blocks of 16 MiB.

    Args:
        x: Rows of the first sample, shape (n, ...), n >= 2; trailing axes are flattened.
        y: Rows of the second, shape (m, ...); the longer of the two is cut to the length of the shorter, because the
            judge needs equal numbers.

    Returns:
        `Estimate`, a probability; diagnostics `of_x` and `of_y`, its two halves.

    Example:
        >>> import numpy as np
        >>> rows = np.random.default_rng(0).normal(size=(100, 2))
        >>> adversarial_accuracy(rows, rows).value
        0.0

    References: [yale2020].
    """
    a, b = _rows("x", x, 2), _rows("y", y, 2)
    if a.shape[1] != b.shape[1]:
        raise ShapeError(
            f"rows of `x` and `y` must be equally long; given {a.shape[1]} and {b.shape[1]} numbers a row."
        )
    num = min(a.shape[0], b.shape[0])
    a, b = a[:num], b[:num]
    told_x, told_y = (
        np.sign(nearest(p, q) - nearest(p, p, exclude_self=True)) * 0.5 + 0.5 for p, q in ((a, b), (b, a))
    )
    value = 0.5 * float(np.mean(told_x) + np.mean(told_y))
    # Rows share neighbours, within and across the halves; adding the two errors as if fully correlated covers for that.
    stderr = 0.5 * float(np.std(told_x, ddof=1) + np.std(told_y, ddof=1)) / math.sqrt(num)
    diagnostics = {"of_x": float(np.mean(told_x)), "of_y": float(np.mean(told_y)), "num_rows": num}
    return Estimate(value, max(stderr, 0.5 / num), 2.0 * num, "adversarial-accuracy", diagnostics)


def _rows(name: str, values: ArrayLike, min_rows: int) -> NDArray[np.generic]:
    """Rows in the type that they came in (a large data set is not copied to float64), checked block by block."""
    array = np.asarray(values)
    if array.ndim < 1 or array.shape[0] < min_rows or array.size == 0 or array.dtype.kind not in "biuf":
        raise ShapeError(
            f"`{name}` must hold at least {min_rows} rows of real numbers; given shape {array.shape} of type "
            f"{array.dtype}."
        )
    array = array.reshape(array.shape[0], -1)
    bad = sum(int(np.count_nonzero(~np.isfinite(array[part]))) for part in row_blocks(*array.shape))
    if bad:
        raise ArgumentError(
            f"`{name}` has {bad} of {array.size} values that are NaN or infinite; look where they arose."
        )
    return array


def _digests(rows: NDArray[np.generic]) -> list[bytes]:
    """One digest a row, equal for rows that are equal as numbers, whatever their type; −0 counts as 0."""
    found: list[bytes] = []
    for part in row_blocks(*rows.shape):
        block = rows[part].astype(np.float64) + 0.0
        found.extend(hashlib.blake2b(row.tobytes(), digest_size=16).digest() for row in block)
    return found


def _probability_smaller(a: Floats, b: Floats) -> Estimate:
    """P(a < b) + ½ P(a = b) over all pairs, with DeLong's error bar."""
    of_a = 1.0 - 0.5 * (_fraction_below(b, a, "left") + _fraction_below(b, a, "right"))
    of_b = 0.5 * (_fraction_below(a, b, "left") + _fraction_below(a, b, "right"))
    variance = float(np.var(of_a, ddof=1)) / a.size + float(np.var(of_b, ddof=1)) / b.size
    # A share of exactly 0 or 1 has no spread, but no more resolution than its smaller sample either.
    stderr = max(math.sqrt(variance), 0.5 / min(a.size, b.size))
    num_effective = a.size * b.size / (a.size + b.size)
    return Estimate(float(np.mean(of_a)), stderr, num_effective, "nearest-neighbour-share")


def _fraction_below(sample: Floats, points: Floats, side: Any) -> Floats:
    return np.searchsorted(np.sort(sample), points, side=side) / sample.size


def _neighbour_warnings(share: float, copies: int, num: int, test_copies: int, num_test: int) -> tuple[str, ...]:
    z = (share - 0.5) / math.sqrt((num + num_test + 1) / (12.0 * num * num_test))
    found: list[str] = []
    if z > ALARM_Z:
        found.append(
            "memorising: a sample lies closer to the training rows than a test row does with probability "
            f"{share:.2f} ({z:.1f} "
            "standard errors above 0.5). Either the model repeats its rows (train for fewer steps, use a smaller model "
            "or more data), or its draws are smoother than rows are, as blurred pictures: look at some beside the rows "
            "next to them."
        )
    elif z < -ALARM_Z:
        found.append(
            "far_from_data: a sample lies closer to the training rows than a test row does with probability only "
            f"{share:.2f} ({-z:.1f} standard errors below 0.5): the samples are not like the data yet."
        )
    # Fisher's exact test: the chance of this many copies among the samples if samples and test rows were alike.
    if hypergeom.sf(copies - 1, num + num_test, copies + test_copies, num) < 1e-3:
        found.append(
            f"copies: {copies} of {num} samples equal a training row, against {test_copies} of {num_test} test rows."
        )
    return tuple(found)
