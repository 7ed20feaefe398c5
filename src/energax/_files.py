"""Files that are written at once or not at all: what was there before stays until the new one is whole."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

import numpy as np

DRAFT = ".part"
"""How the name of a file that was never finished ends."""


def replace_file(path: Path, content: bytes) -> None:
    """Write a file.

    Raises:
        OSError: The disk refuses; nothing is left of the attempt.
    """
    with _draft(path) as file:
        file.write(content)


def replace_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write an archive of arrays.

    Raises:
        OSError: The disk refuses; nothing is left of the attempt.
    """
    with _draft(path) as file:
        np.savez_compressed(file, **{k: np.asarray(v) for k, v in arrays.items()})  # pyright: ignore[reportArgumentType]


@contextlib.contextmanager
def _draft(path: Path) -> Iterator[BinaryIO]:
    """A file beside it, another for each writer, that takes its place at the end."""
    draft = path.with_name(f".{path.name}.{uuid.uuid4().hex}{DRAFT}")
    try:
        with draft.open("wb") as file:
            yield file
        draft.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)
        raise
