"""Pairwise distances in blocks, so that two samples of ten thousand rows never need their whole distance matrix."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from energax.estimators._arrays import Floats

# Entries of one block: 16 MiB of float64, and a handful of temporaries of that size at a time.
BLOCK = 2**21


def row_blocks(num_rows: int, num_columns: int) -> Iterator[slice]:
    """Slices of at most `BLOCK` entries over the rows of a (num_rows, num_columns) matrix."""
    step = max(1, BLOCK // max(1, num_columns))
    for start in range(0, num_rows, step):
        yield slice(start, min(start + step, num_rows))


def squared_distances(x: Floats, y: Floats) -> Floats:
    """‖x_i − y_j‖², shape (rows of x, rows of y); centre the rows beforehand, because the products cancel."""
    squares = np.sum(x * x, axis=1)[:, None] + np.sum(y * y, axis=1)[None, :]
    squares -= 2.0 * (x @ y.T)
    return np.maximum(squares, 0.0, out=squares)


def nearest(x: NDArray[np.generic], y: NDArray[np.generic], *, exclude_self: bool = False) -> Floats:
    """Distance of every row of `x` to its nearest row of `y`, shape (rows of x,).

    The rows stay in the type that they came in and become float64 a block at a time. `exclude_self` leaves out the
    row of the same number, for the nearest other row of one sample.
    """
    best, index = np.full(x.shape[0], np.inf), np.zeros(x.shape[0], dtype=np.int64)
    shift = y[: min(y.shape[0], 256)].astype(np.float64).mean(axis=0)
    for columns in row_blocks(y.shape[0], y.shape[1]):
        part = y[columns].astype(np.float64) - shift
        for rows in row_blocks(x.shape[0], max(part.shape)):
            squares = squared_distances(x[rows].astype(np.float64) - shift, part)
            if exclude_self:
                same = np.arange(max(rows.start, columns.start), min(rows.stop, columns.stop))
                squares[same - rows.start, same - columns.start] = np.inf
            winner = np.argmin(squares, axis=1)
            value = squares[np.arange(winner.size), winner]
            better = value < best[rows]
            best[rows] = np.where(better, value, best[rows])
            index[rows] = np.where(better, winner + columns.start, index[rows])
    # The distance of the winner without the cancellation, so that equal rows are at 0 and ties are ties.
    out = np.empty(x.shape[0])
    for rows in row_blocks(x.shape[0], x.shape[1]):
        difference = x[rows].astype(np.float64) - y[index[rows]].astype(np.float64)
        out[rows] = np.sqrt(np.sum(difference * difference, axis=1))
    return out
