"""Checkpoints: Orbax for the arrays, a manifest with digests beside them, and a rename that makes them appear whole.

One checkpoint is a directory ``step-00000100`` with the folder ``arrays`` and the file ``manifest.json``. It is written
under another name, forced to the disk and renamed, so that a process that is killed leaves either all of it or none.
Orbax restores flipped bytes without a word; the manifest notices them.
"""

from __future__ import annotations

import dataclasses
import math
import os
import re
import shutil
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from energax._errors import CheckpointError, RunError
from energax.training._manifest import compare, manifest, read_manifest, sync, sync_tree, write_json

_NAME = re.compile(r"step-(\d{8,})")
_TEMPORARY = ".writing-"
_REPLACED = ".replaced-"


@dataclasses.dataclass(frozen=True)
class Snapshot:
    """A run at one step, on the host.

    Attributes:
        step: Number of updates made.
        arrays: Every array by its path in the pytree; typed keys as their data.
        info: What is not an array: settings, the thermometer's memory, the length of the metrics file. JSON.
    """

    step: int
    arrays: dict[str, np.ndarray]
    info: dict[str, Any]


class Store:
    """The checkpoints of one run.

    Args:
        directory: The run's directory; checkpoints are in its folder ``checkpoints``.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.folder = directory / "checkpoints"

    def path(self, step: int) -> Path:
        """Directory of the checkpoint of a step."""
        return self.folder / f"step-{step:08d}"

    def steps(self) -> list[int]:
        """Steps with a complete checkpoint, ascending."""
        if not self.folder.is_dir():
            return []
        matches = [_NAME.fullmatch(p.name) for p in self.folder.iterdir() if p.is_dir()]
        return sorted(int(m.group(1)) for m in matches if m)

    def clean(self) -> None:
        """Finish or undo what a killed process left half done."""
        if not self.folder.is_dir():
            return
        for path in sorted(self.folder.iterdir()):
            if path.name.startswith(_REPLACED):
                final = self.folder / path.name.removeprefix(_REPLACED)
                if final.exists():
                    shutil.rmtree(path)
                else:
                    os.replace(path, final)
            elif path.name.startswith(_TEMPORARY):
                shutil.rmtree(path)

    def save(self, snapshot: Snapshot) -> None:
        """Write a checkpoint, replacing one of the same step.

        Raises:
            RunError: The disk is full or not writable. Older checkpoints are untouched.
        """
        final = self.path(snapshot.step)
        temporary = self.folder / f"{_TEMPORARY}{final.name}"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            shutil.rmtree(temporary, ignore_errors=True)
            temporary.mkdir()
            reserve(temporary, snapshot)
            write_arrays(temporary / "arrays", snapshot.arrays)
            write_json(temporary / "manifest.json", manifest(temporary, snapshot.step, snapshot.arrays, snapshot.info))
            sync_tree(temporary)
            self._rename(temporary, final)
        except (OSError, ValueError, RuntimeError) as error:
            shutil.rmtree(temporary, ignore_errors=True)
            raise RunError(self._not_written(snapshot.step, error)) from error

    def _rename(self, temporary: Path, final: Path) -> None:
        replaced = self.folder / f"{_REPLACED}{final.name}"
        if final.exists():
            os.replace(final, replaced)
        os.replace(temporary, final)
        sync(self.folder)
        shutil.rmtree(replaced, ignore_errors=True)

    def _not_written(self, step: int, error: Exception) -> str:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error).split("\n")[0]
        kept = [s for s in self.steps() if s != step]
        older = f" The checkpoint of step {kept[-1]} is kept." if kept else ""
        return f"The checkpoint of step {step} could not be written to {self.folder}: {reason}.{older}"

    def load(self, step: int) -> Snapshot:
        """Read a checkpoint after comparing every file with the manifest.

        Raises:
            CheckpointError: A file is missing, extra, truncated or altered; the message names it, and an older
                checkpoint that is whole.
        """
        problem = self.problem(step)
        if problem is not None:
            raise CheckpointError(f"{problem} {self._way_out(step)}")
        header = read_manifest(self.path(step))
        arrays = read_arrays(self.path(step) / "arrays")
        for name, dtype, shape in header["leaves"]:
            if math.prod(shape) == 0:
                arrays[name] = np.zeros(shape, jnp.dtype(dtype))
        return Snapshot(header["step"], arrays, header["info"])

    def info(self, step: int) -> dict[str, Any]:
        """The part of a checkpoint that is not arrays, with only the manifest verified.

        Raises:
            CheckpointError: There is no such checkpoint or its manifest is damaged.
        """
        if not self.path(step).is_dir():
            raise CheckpointError(f"{self._missing(step)} {self._way_out(step)}")
        try:
            return read_manifest(self.path(step))["info"]
        except CheckpointError as error:
            raise CheckpointError(f"{error} {self._way_out(step)}") from None

    def problem(self, step: int) -> str | None:
        """What is wrong with a checkpoint, in one sentence; None if it is whole."""
        path = self.path(step)
        if not path.is_dir():
            return self._missing(step)
        try:
            found = compare(path, read_manifest(path)["files"])
        except CheckpointError as error:
            return str(error)
        return None if found is None else f"The checkpoint {path} is damaged: {found}."

    def _missing(self, step: int) -> str:
        have = ", ".join(map(str, self.steps())) or "none"
        return f"{self.directory} has no checkpoint of step {step} (it has: {have})."

    def _way_out(self, step: int) -> str:
        older = next((s for s in reversed(self.steps()) if s != step and self.problem(s) is None), None)
        if older is None:
            return "No other checkpoint of this run is whole; begin a new run."
        return f"The checkpoint of step {older} is whole: continue from it with from_step={older}."

    def remove_after(self, step: int) -> None:
        """Remove the checkpoints of later steps, newest first."""
        for later in reversed([s for s in self.steps() if s > step]):
            self._remove(later)

    def prune(self, wanted: set[int]) -> None:
        """Remove all checkpoints but those of the steps in `wanted`."""
        for step in self.steps():
            if step not in wanted:
                self._remove(step)

    def _remove(self, step: int) -> None:
        # Renamed first: a half-removed checkpoint must not look like a damaged one.
        doomed = self.folder / f"{_TEMPORARY}removed-{step:08d}"
        os.replace(self.path(step), doomed)
        shutil.rmtree(doomed, ignore_errors=True)


def write_arrays(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write named arrays with Orbax."""
    import orbax.checkpoint as ocp

    checkpointer = ocp.Checkpointer(ocp.PyTreeCheckpointHandler(use_ocdbt=True))
    # Orbax refuses arrays without elements; the manifest knows their shapes.
    checkpointer.save(path.absolute(), {name: value for name, value in arrays.items() if value.size})
    checkpointer.close()


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Read what `write_arrays` wrote."""
    import orbax.checkpoint as ocp

    checkpointer = ocp.Checkpointer(ocp.PyTreeCheckpointHandler(use_ocdbt=True))
    arrays = checkpointer.restore(path.absolute())
    checkpointer.close()
    return {name: np.asarray(value) for name, value in arrays.items()}


def reserve(folder: Path, snapshot: Snapshot) -> None:
    """Raise `OSError` if the arrays do not fit on the disk, before Orbax fails half-way with a page of errors."""
    allocate = getattr(os, "posix_fallocate", None)
    if allocate is None:
        return
    probe = folder / "probe"
    size = sum(value.nbytes for value in snapshot.arrays.values()) + 65536
    with probe.open("wb") as file:
        allocate(file.fileno(), 0, size)
    probe.unlink()
