"""Tables of numbers: `.csv` and `.parquet` files."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from energax._errors import DataError, MissingExtra
from energax.data._sources import AbstractSource, ArraySource

_DELIMITERS = (",", ";", "\t")


def read_csv(path: Path) -> tuple[dict[str, AbstractSource], list[str]]:
    """Rows of a text file of numbers, with or without a line of names; comma, semicolon or tab between the fields."""
    try:
        return _read_csv(path)
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not a text file in UTF-8 ({error.reason} at byte {error.start}).") from error
    except csv.Error as error:
        raise DataError(f"{path} is not a table of text ({error}).") from error


def _read_csv(path: Path) -> tuple[dict[str, AbstractSource], list[str]]:
    where = str(path)
    delimiter = _delimiter(path)
    lines = _fields(path, delimiter)
    first_line, first = next(lines, (0, []))
    if not first:
        raise DataError(f"{where} is empty.")
    columns = tuple(first) if _is_header(first) else None
    if columns is not None:
        first_line, first = next(lines, (0, []))
        if not first:
            raise DataError(f"{where} is empty: it has the column names {', '.join(columns)}, but no rows.")
    names = columns or tuple(str(i) for i in range(len(first)))
    try:
        # the fast reader first; a file that it refuses is read again, field by field, to say what is wrong and where
        values = np.loadtxt(
            path,
            delimiter=delimiter,
            skiprows=first_line - 1,
            ndmin=2,
            comments=None,
            quotechar='"',
            encoding="utf-8-sig",
        )
        if values.shape[1] != len(names):
            raise ValueError
    except ValueError:
        values = _read_slowly(path, delimiter, first_line, names, has_names=columns is not None)
    values, names, notes = _drop_index(values, names, path.name)
    return {"all": ArraySource(values, where, names, first_line)}, notes


def _delimiter(path: Path) -> str:
    with path.open(encoding="utf-8-sig", newline="") as file:
        line = next((text for text in file if text.strip()), "")
    return max(_DELIMITERS, key=line.count)


def _fields(path: Path, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Line number and stripped fields of every line that is not blank."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, delimiter=delimiter)
        for fields in reader:
            if any(field.strip() for field in fields):
                yield reader.line_num, [field.strip() for field in fields]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _is_header(fields: list[str]) -> bool:
    """Names, or the column numbers 0, 1, 2 … that data frames without names are written with."""
    rest = fields[1:] if fields[0] == "" else fields
    numbered = len(rest) > 1 and rest == [str(i) for i in range(len(rest))]
    return numbered or not any(_is_number(field) for field in fields)


def _read_slowly(path: Path, delimiter: str, first_line: int, names: tuple[str, ...], *, has_names: bool) -> np.ndarray:
    rows = []
    for line, fields in _fields(path, delimiter):
        if line < first_line:
            continue
        if len(fields) != len(names):
            raise DataError(
                f"Line {line} of {path} has {len(fields)} fields, but {len(names)} were expected; every row needs the "
                "same number."
            )
        for name, field in zip(names, fields, strict=True):
            if not _is_number(field):
                held = f"holds the text {field!r}" if field else "is empty"
                column = repr(name) if has_names else name
                raise DataError(
                    f"Line {line}, column {column} of {path} {held}, not a number; leave such columns out or code them "
                    "as numbers, and fill or remove missing values."
                )
        rows.append([float(field) for field in fields])
    return np.asarray(rows)


def _drop_index(values: np.ndarray, names: tuple[str, ...], file: str) -> tuple[np.ndarray, tuple[str, ...], list[str]]:
    """Without the nameless first column 0, 1, 2 … that data frames are written with."""
    if names[0] != "" or len(names) < 2 or not np.array_equal(values[:, 0], np.arange(len(values))):
        return values, names, []
    return values[:, 1:], names[1:], [f"The first column of {file} has no name and counts the rows: it is left out."]


def read_parquet(path: Path) -> tuple[dict[str, AbstractSource], list[str]]:
    """Rows of a Parquet file whose columns are all numbers."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise MissingExtra('Reading .parquet files needs pyarrow: pip install "energax[parquet]".') from error
    try:
        table = pq.ParquetFile(path).read()
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path} is not a Parquet file, or it is damaged ({error}).") from error
    for field in table.schema:
        kind = field.type
        if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)):
            raise DataError(
                f"Column {field.name!r} of {path} holds values of the type {kind}, not numbers; leave it out or code "
                "it as numbers."
            )
    if not table.num_rows or not table.num_columns:
        raise DataError(f"{path} is empty: {table.num_rows} rows and {table.num_columns} columns.")
    # a null becomes NaN, which the check of all values reports with its place
    columns = [np.asarray(column.to_numpy(), np.float64) for column in table.itercolumns()]
    return {"all": ArraySource(np.stack(columns, -1), str(path), tuple(table.column_names))}, []
