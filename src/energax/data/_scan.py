"""One pass over the rows before anything is fitted: what the values are, and what is wrong with them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Bool, Float, Int64

from energax._errors import DataError
from energax.data._sources import AbstractSource, chunks

_FLAGS = ("is_integer", "is_binary", "is_spins", "is_black_white", "is_byte_grid")


@dataclasses.dataclass(frozen=True)
class Scan:
    """What one pass over all values found.

    Attributes:
        minimum: Smallest value.
        maximum: Largest value.
        is_integer: Every value is a whole number.
        is_binary: Every value is 0 or 1.
        is_spins: Every value is −1 or +1.
        is_black_white: Every value is 0 or 255.
        is_byte_grid: Every value is k/255 with a whole k.
    """

    minimum: float
    maximum: float
    is_integer: bool
    is_binary: bool
    is_spins: bool
    is_black_white: bool
    is_byte_grid: bool


def scan(sources: Sequence[AbstractSource]) -> Scan:
    """Look at every value once.

    Raises:
        DataError: There are NaN or infinite values (how many, and where the first one is), or all rows are equal.
    """
    found = [_scan_one(source) for source in sources]
    _check_rows_differ(sources)
    return Scan(
        min(f.minimum for f in found),
        max(f.maximum for f in found),
        *(all(getattr(f, flag) for f in found) for flag in _FLAGS),
    )


def _scan_one(source: AbstractSource) -> Scan:
    minimum, maximum, num_bad, first_bad = np.inf, -np.inf, 0, ""
    integer = binary = spins = black_white = grid = True
    for start, block in chunks(source):
        if block.dtype.kind == "f" and not (finite := np.isfinite(block)).all():
            row, *entry = np.argwhere(~finite)[0].tolist()
            first_bad = first_bad or source.place(start + row, tuple(entry))
            num_bad += int((~finite).sum())
        if num_bad:
            continue
        minimum, maximum = min(minimum, float(block.min())), max(maximum, float(block.max()))
        exact = block.dtype.kind in "bui"
        integer = integer and (exact or bool(np.all(block == np.rint(block))))
        binary = binary and bool(np.all((block == 0) | (block == 1)))
        spins = spins and bool(np.all((block == -1) | (block == 1)))
        black_white = black_white and bool(np.all((block == 0) | (block == 255)))
        grid = grid and not exact and minimum >= 0 and maximum <= 1 and _is_byte_grid(block)
    if num_bad:
        total = source.num_rows * int(np.prod(source.row_shape, dtype=np.int64))
        raise DataError(
            f"{source.where} holds NaN or infinity in {num_bad} of {total} values, first at {first_bad}; "
            "remove or fill these values, energax never replaces them."
        )
    return Scan(minimum, maximum, integer, binary, spins, black_white, grid)


def _is_byte_grid(block: Float[np.ndarray, "..."]) -> bool:
    bytes_ = block.astype(np.float64) * 255
    return bool(np.all(np.abs(bytes_ - np.rint(bytes_)) < 1e-3))


def _check_rows_differ(sources: Sequence[AbstractSource]) -> None:
    reference = sources[0].read(slice(0, 1))
    if any(np.any(block != reference) for source in sources for _, block in chunks(source)):
        return
    where = " and ".join(source.where for source in sources)
    raise DataError(f"All rows of {where} are equal, so there is nothing to learn: check how the file was written.")


@dataclasses.dataclass(frozen=True)
class Moments:
    """Entry-wise moments of the training rows, in double precision.

    Attributes:
        mean: Mean of every entry, shape of a row.
        variance: Variance of every entry.
        minimum: Smallest value of every entry.
        maximum: Largest value of every entry.
    """

    mean: Float[np.ndarray, "..."]
    variance: Float[np.ndarray, "..."]
    minimum: Float[np.ndarray, "..."]
    maximum: Float[np.ndarray, "..."]


def moments(source: AbstractSource, contains: Callable[[Int64[np.ndarray, " n"]], Bool[np.ndarray, " n"]]) -> Moments:
    """Moments of the rows that `contains` selects, merged block by block [chan1983]."""
    count = 0
    mean = squares = np.zeros(source.row_shape)
    low, high = np.full(source.row_shape, np.inf), np.full(source.row_shape, -np.inf)
    for start, block in chunks(source):
        rows = block[contains(np.arange(start, start + len(block)))].astype(np.float64)
        if not len(rows):
            continue
        # What overflows or vanishes here is refused where the variance is used.
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            block_mean = rows.mean(0)
            delta, total = block_mean - mean, count + len(rows)
            squares = squares + ((rows - block_mean) ** 2).sum(0) + delta**2 * (count * len(rows) / total)
        mean = mean + delta * (len(rows) / total)
        low, high = np.minimum(low, rows.min(0)), np.maximum(high, rows.max(0))
        count = total
    return Moments(mean, squares / max(count, 1), low, high)
