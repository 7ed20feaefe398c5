"""Arrays in `.npy` files, which are memory-mapped, and in `.npz` archives, which are read."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from energax._errors import DataError
from energax.data._sources import AbstractSource, ArraySource, Raw, check_dtype

_MAX_AXES = 4
_LABELS = {"y", "y_train", "y_test", "y_valid", "y_val", "labels", "target", "targets", "class_names"}
_GROUPS = (
    {"train": ("x_train",), "valid": ("x_valid", "x_val"), "test": ("x_test",)},
    {"train": ("train",), "valid": ("valid", "val", "validation"), "test": ("test",)},
)


def as_rows(values: Raw, where: str) -> Raw:
    """The array itself, once its type and shape are those of rows of numbers.

    Raises:
        DataError: The type is not a plain number, or the shape is not (rows, entries …).
    """
    check_dtype(values.dtype, where)
    if values.ndim < 2:
        raise DataError(
            f"{where} has the shape {values.shape}; energax needs one row for each example: reshape it to (N, d), or "
            "to (N, 1) if every example is one number."
        )
    if values.ndim > _MAX_AXES:
        raise DataError(
            f"{where} has the shape {values.shape}; rows have at most three axes (height, width, colour): "
            "reshape it to (N, d)."
        )
    if 0 in values.shape:
        raise DataError(f"{where} is empty: its shape is {values.shape}.")
    return values


def read_npy(path: Path) -> tuple[dict[str, AbstractSource], list[str]]:
    """Rows of a `.npy` file, memory-mapped: only the rows asked for are read."""
    where = str(path)
    try:
        with path.open("rb") as file:
            version = np.lib.format.read_magic(file)
            read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else _read_later_header
            shape, _, dtype = read_header(file)
            data_bytes = path.stat().st_size - file.tell()
    except (ValueError, EOFError) as error:
        raise DataError(f"{where} is not a NumPy array file, or its header is damaged ({error}).") from error
    check_dtype(dtype, where)
    expected = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    if data_bytes < expected:
        raise DataError(
            f"{where} is cut off: its header announces {expected} bytes of shape {shape}, but {data_bytes} follow; "
            "write or copy it again."
        )
    if expected == 0:
        raise DataError(f"{where} is empty: its shape is {shape}.")
    return {"all": ArraySource(as_rows(np.load(path, mmap_mode="r", allow_pickle=False), where), where)}, []


def _read_later_header(file: BinaryIO) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    return np.lib.format.read_array_header_2_0(file)


def read_npz(path: Path) -> tuple[dict[str, AbstractSource], list[str]]:
    """Rows of a `.npz` archive: ``x_train`` and ``x_test``, ``train`` and ``test``, ``x``, or its only array."""
    where = str(path)
    if not zipfile.is_zipfile(path):
        raise DataError(f"{where} is not a NumPy archive, or it is cut off: write it again with numpy.savez.")
    try:
        with np.load(path, allow_pickle=False) as archive:
            keys = _choose(list(archive.files), where)
            arrays = {part: archive[key] for part, key in keys.items()}
            unused = sorted(set(archive.files) - set(keys.values()))
    except DataError:
        raise
    except (ValueError, EOFError, KeyError, OSError, zipfile.BadZipFile, zlib.error) as error:
        if "object" in str(error).lower() or "pickle" in str(error).lower():
            raise DataError(
                f"{where} holds Python objects (a pickle), which energax never loads; save plain arrays."
            ) from error
        raise DataError(f"{where} is not a NumPy archive, or it is damaged ({error}).") from error
    sources: dict[str, AbstractSource] = {
        part: ArraySource(as_rows(value, f"{keys[part]!r} in {where}"), f"{keys[part]!r} in {where}")
        for part, value in arrays.items()
    }
    notes = [f"Not used from {path.name}: {', '.join(unused)}."] if unused else []
    return sources, notes


def _choose(names: list[str], where: str) -> dict[str, str]:
    """Which array of the archive is which part."""
    for group in _GROUPS:
        found = {part: key for part, keys in group.items() for key in keys if key in names}
        if {"train", "test"} <= found.keys():
            return found
    if "x" in names:
        return {"all": "x"}
    candidates = [name for name in names if name not in _LABELS]
    if len(candidates) == 1:
        return {"all": candidates[0]}
    if not names:
        raise DataError(f"{where} is empty: it holds no arrays.")
    raise DataError(
        f"{where} holds the arrays {', '.join(sorted(names))}, and it is not clear which to use; name them x, or "
        "train and test, or x_train and x_test."
    )
