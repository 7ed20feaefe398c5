"""Folders of images, decoded when they are asked for."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from jaxtyping import Int64

from energax._errors import DataError, MissingExtra
from energax.data._sources import AbstractSource, ArraySource, Raw, chunks

_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm", ".ppm"}
_GREY = {"1", "L", "LA"}
_COLOUR = {"RGB", "RGBA", "P", "PA", "CMYK", "YCbCr", "HSV", "LAB"}
_NUM_HASHED = 256
_IN_MEMORY = 256 << 20


@dataclasses.dataclass(frozen=True, eq=False)
class ImageFiles(AbstractSource):
    """Image files of one size, each decoded when it is read.

    Args:
        where: The folder.
        files: The images.
        mode: ``"L"`` for grey or ``"RGB"``.
        size: Height and width.
    """

    where: str
    files: tuple[Path, ...]
    mode: str
    size: tuple[int, int]
    columns: None = None

    @property
    def num_rows(self) -> int:
        return len(self.files)

    @property
    def row_shape(self) -> tuple[int, ...]:
        return self.size if self.mode == "L" else (*self.size, 3)

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(np.uint8)

    @property
    def in_memory(self) -> bool:
        return False

    def read(self, rows: Int64[np.ndarray, " n"] | slice) -> Raw:
        numbers = range(*rows.indices(self.num_rows)) if isinstance(rows, slice) else rows
        out = np.empty((len(numbers), *self.row_shape), np.uint8)
        for position, number in enumerate(numbers):
            out[position] = _decode(self.files[number], self.mode)
        return out

    def digest(self) -> str:
        seen = hashlib.sha256(repr((self.num_rows, self.row_shape)).encode())
        hashed = set(np.linspace(0, self.num_rows - 1, min(_NUM_HASHED, self.num_rows)).astype(int).tolist())
        for number, file in enumerate(self.files):
            seen.update(f"{file.relative_to(self.where).as_posix()}:{file.stat().st_size}\n".encode())
            if number in hashed:
                seen.update(file.read_bytes())
        return seen.hexdigest()

    def place(self, row: int, entry: tuple[int, ...]) -> str:
        return str(self.files[row])


def read_folder(path: Path, *, memory: int = _IN_MEMORY) -> tuple[dict[str, AbstractSource], list[str]]:
    """Images of a folder and the folders in it; `train`, `valid` and `test` inside it are taken as the parts.

    Images that decode to less than `memory` bytes are kept decoded, more are read again for every batch.
    """
    inner = {name: path / name for name in ("train", "valid", "test") if (path / name).is_dir()}
    parts = inner if {"train", "test"} <= inner.keys() else {"all": path}
    files = {part: _list(folder) for part, folder in parts.items()}
    mode, size, notes = _survey([file for part in files.values() for file in part])
    sources: dict[str, AbstractSource] = {}
    for part, folder in parts.items():
        source = ImageFiles(str(folder), files[part], mode, size)
        total = source.num_rows * int(np.prod(source.row_shape))
        if total <= memory:
            held = np.concatenate([block for _, block in chunks(source)])
            sources[part] = ArraySource(held, source.where)
        else:
            sources[part] = source
    return sources, notes


def _list(folder: Path) -> tuple[Path, ...]:
    found = []
    for root, folders, names in os.walk(folder, onerror=_refuse):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [Path(root) / n for n in sorted(names) if Path(n).suffix.lower() in _SUFFIXES and n[0] != "."]
    if not found:
        raise DataError(f"{folder} holds no images: looked for {', '.join(sorted(_SUFFIXES))} in it and its folders.")
    return tuple(found)


def _refuse(error: OSError) -> None:
    raise DataError(f"The folder {error.filename} cannot be read ({error.strerror}).") from error


def _survey(files: list[Path]) -> tuple[str, tuple[int, int], list[str]]:
    """Common mode and size of all images, from their headers."""
    image = _pillow()
    first: tuple[int, int] | None = None
    modes, notes = set(), []
    for file in files:
        try:
            with image.open(file) as opened:
                width, height = opened.size
                mode = opened.mode
        except (OSError, ValueError, image.DecompressionBombError) as error:
            raise DataError(f"{file} is not an image, or it is damaged ({_reason(error)}).") from error
        if mode not in _GREY | _COLOUR:
            raise DataError(f"{file} has pixels of the type {mode!r}; save it with 8 bits for each colour.")
        first = first or (height, width)
        if (height, width) != first:
            raise DataError(
                f"{file} is {width} × {height} pixels, but {files[0]} is {first[1]} × {first[0]}; all images must have "
                "one size."
            )
        modes.add(mode)
    assert first is not None
    if modes & {"LA", "RGBA", "PA"}:
        notes.append("Some images have a transparency channel: it is left out.")
    return ("L" if modes <= _GREY else "RGB"), first, notes


def _decode(file: Path, mode: str) -> Raw:
    image = _pillow()
    try:
        with image.open(file) as opened:
            return np.asarray(opened.convert(mode))
    except (OSError, ValueError, SyntaxError) as error:
        raise DataError(f"{file} is damaged: its pixels cannot be read ({_reason(error)}).") from error


def _reason(error: BaseException) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def _pillow() -> ModuleType:
    try:
        from PIL import Image
    except ImportError as error:
        raise MissingExtra('Reading images needs Pillow: pip install "energax[cli]".') from error
    return Image
