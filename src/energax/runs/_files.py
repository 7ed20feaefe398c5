"""Files that are written at once or not at all: what was there before stays until the new one is whole."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np


def replace_file(path: Path, content: bytes) -> None:
    """Write a file.

    Raises:
        OSError: The disk refuses; nothing is left of the attempt.
    """
    temporary = path.with_name(f".{path.name}.part")
    with _cleared(temporary):
        temporary.write_bytes(content)
        temporary.replace(path)


def replace_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write an archive of arrays.

    Raises:
        OSError: The disk refuses; nothing is left of the attempt.
    """
    temporary = path.with_name(f".{path.stem}.part.npz")
    with _cleared(temporary):
        np.savez_compressed(temporary, **{k: np.asarray(v) for k, v in arrays.items()})  # pyright: ignore[reportArgumentType]
        temporary.replace(path)


@contextlib.contextmanager
def _cleared(temporary: Path) -> Iterator[None]:
    try:
        yield
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
