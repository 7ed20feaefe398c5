"""The finished pieces of a long computation, by name: in memory, and in a folder where it can be taken up again."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from energax._errors import RunError
from energax._files import replace_arrays

Arrays = Mapping[str, np.ndarray]


class Pieces:
    """Arrays that were computed once, each piece under a name.

    A piece is written at once or not at all. One that cannot be read, because the disk spoiled it, is computed again.

    Args:
        folder: Where they are kept; None keeps them in memory only.
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self._held: dict[str, Arrays] = {}

    def get(self, name: str, make: Callable[[], Arrays]) -> Arrays:
        """The piece of a name; it is made, and kept, if it is not there yet.

        Raises:
            RunError: The disk refuses to keep it; the pieces before it are safe.
        """
        found = self.find(name)
        if found is None:
            found = {key: np.asarray(value) for key, value in make().items()}
            self._write(name, found)
            self._held[name] = found
        return found

    def find(self, name: str) -> Arrays | None:
        """The piece of a name if it is there."""
        if name not in self._held and self.folder is not None and self._path(name).exists():
            try:
                with np.load(self._path(name), allow_pickle=False) as file:
                    self._held[name] = {key: file[key] for key in file.files}
            except (OSError, ValueError, EOFError, zipfile.BadZipFile):
                return None
        return self._held.get(name)

    def _path(self, name: str) -> Path:
        assert self.folder is not None
        return self.folder / f"{name}.npz"

    def _write(self, name: str, arrays: Arrays) -> None:
        if self.folder is None:
            return
        try:
            self.folder.mkdir(exist_ok=True)
            replace_arrays(self._path(name), arrays)
        except OSError as error:
            raise RunError(
                f"{self.folder} cannot keep what was computed: {error.strerror or error}. What is there already is "
                f"safe; make room and continue with `energax resume {self.folder.parent}`."
            ) from error
