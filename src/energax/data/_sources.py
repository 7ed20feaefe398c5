"""Rows as they are stored: read by number, never all at once unless they already are in memory."""

from __future__ import annotations

import abc
import dataclasses
import hashlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from jaxtyping import Int64, Shaped

from energax._errors import DataError

Raw = Shaped[np.ndarray, "n ..."]
_WHOLE = 64 << 20
_CHUNK_VALUES = 1 << 21
_NUM_SAMPLED_BLOCKS = 64


class AbstractSource(abc.ABC):
    """Rows that can be read by number.

    Attributes:
        where: What messages call these rows.
        columns: Names of the columns, where the format has them.
    """

    where: str
    columns: tuple[str, ...] | None

    @property
    @abc.abstractmethod
    def num_rows(self) -> int:
        """Number of rows."""

    @property
    @abc.abstractmethod
    def row_shape(self) -> tuple[int, ...]:
        """Shape of one row."""

    @property
    @abc.abstractmethod
    def dtype(self) -> np.dtype[Any]:
        """Type of the stored values."""

    @property
    @abc.abstractmethod
    def in_memory(self) -> bool:
        """Whether the rows are held in memory, as opposed to read from disk for every batch."""

    @abc.abstractmethod
    def read(self, rows: Int64[np.ndarray, " n"] | slice) -> Raw:
        """The rows with these numbers."""

    @abc.abstractmethod
    def digest(self) -> str:
        """SHA-256 of shape, type and values; of a bounded, evenly spaced sample of them above 64 MB."""

    @abc.abstractmethod
    def place(self, row: int, entry: tuple[int, ...]) -> str:
        """Words for the place of one value, such as ``line 3, column 'age'``."""


@dataclasses.dataclass(frozen=True, eq=False)
class ArraySource(AbstractSource):
    """Rows of an array, which may be memory-mapped.

    Args:
        values: Shape (n, *row).
        where: What messages call it.
        columns: Names of the columns, if known.
        first_line: Line of a text file that holds row 0.
    """

    values: Raw
    where: str
    columns: tuple[str, ...] | None = None
    first_line: int | None = None

    @property
    def num_rows(self) -> int:
        return len(self.values)

    @property
    def row_shape(self) -> tuple[int, ...]:
        return self.values.shape[1:]

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.values.dtype

    @property
    def in_memory(self) -> bool:
        return not isinstance(self.values, np.memmap)

    def read(self, rows: Int64[np.ndarray, " n"] | slice) -> Raw:
        return np.asarray(self.values[rows])

    def digest(self) -> str:
        seen = hashlib.sha256(repr((self.values.shape, self.values.dtype.str)).encode())
        row_bytes = max(1, self.values.nbytes // max(1, self.num_rows))
        if self.values.nbytes <= _WHOLE:
            blocks = [slice(i, i + _WHOLE // row_bytes + 1) for i in range(0, self.num_rows, _WHOLE // row_bytes + 1)]
        else:
            size = max(1, _WHOLE // row_bytes // _NUM_SAMPLED_BLOCKS)
            last = max(0, self.num_rows - size)
            starts = np.linspace(0, last, _NUM_SAMPLED_BLOCKS).astype(np.int64)
            blocks = [slice(int(i), int(i) + size) for i in starts]
        for block in blocks:
            seen.update(np.ascontiguousarray(self.read(block)).tobytes())
        return seen.hexdigest()

    def place(self, row: int, entry: tuple[int, ...]) -> str:
        start = f"row {row}" if self.first_line is None else f"line {row + self.first_line}"
        if self.columns is not None and len(entry) == 1:
            return f"{start}, column {self.columns[entry[0]]!r}"
        return f"{start}, entry {entry[0] if len(entry) == 1 else entry}" if entry else start


def chunks(source: AbstractSource) -> Iterator[tuple[int, Raw]]:
    """Consecutive blocks of rows of bounded size, with the number of their first row."""
    size = max(1, _CHUNK_VALUES // max(1, int(np.prod(source.row_shape, dtype=np.int64))))
    for start in range(0, source.num_rows, size):
        yield start, source.read(slice(start, min(source.num_rows, start + size)))


def check_dtype(dtype: np.dtype[Any], where: str) -> None:
    """Raise `DataError` unless values of this type are plain real numbers."""
    if dtype.kind in "buif":
        return
    kinds = {"O": "Python objects (a pickle), which energax never loads", "c": "complex numbers"}
    kinds |= {"U": "text", "S": "text", "V": "records with named fields", "M": "dates", "m": "time spans"}
    raise DataError(
        f"{where} holds {kinds.get(dtype.kind, dtype)}; energax needs plain numbers: save an array of floats or "
        "integers with one row for each example."
    )
