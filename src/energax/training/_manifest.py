"""Manifests: the size and the SHA-256 of every file of a checkpoint, and of the manifest itself."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from energax._errors import CheckpointError

_FORMAT = 1


def manifest(folder: Path, step: int, arrays: dict[str, np.ndarray], info: dict[str, Any]) -> dict[str, Any]:
    """What a checkpoint's directory holds, with a digest of itself."""
    leaves = [[name, str(value.dtype), list(value.shape)] for name, value in sorted(arrays.items())]
    header = {
        "format": _FORMAT,
        "step": step,
        "structure": structure_hash(leaves),
        "leaves": leaves,
        "files": {name: [path.stat().st_size, file_digest(path)] for name, path in files(folder).items()},
        "info": info,
    }
    return {**header, "digest": json_digest(header)}


def structure_hash(leaves: list[list[Any]]) -> str:
    """Hash of the paths, types and shapes of all arrays, the same in every process."""
    return json_digest({"leaves": leaves})


def read_manifest(path: Path) -> dict[str, Any]:
    """The manifest of a checkpoint, after checking its own digest and format."""
    file = path / "manifest.json"
    try:
        header = json.loads(file.read_text(encoding="utf-8"))
        digest = header.pop("digest")
    except FileNotFoundError:
        raise CheckpointError(f"The checkpoint {path} is damaged: manifest.json is missing.") from None
    except (ValueError, KeyError, AttributeError, OSError):
        raise CheckpointError(f"The checkpoint {path} is damaged: manifest.json cannot be read.") from None
    if digest != json_digest(header):
        raise CheckpointError(f"The checkpoint {path} is damaged: manifest.json was altered.")
    if header["format"] != _FORMAT:
        raise CheckpointError(
            f"The checkpoint {path} has format {header['format']}, this version of energax reads format {_FORMAT}."
        )
    return header


def compare(path: Path, recorded: dict[str, list[Any]]) -> str | None:
    """The first difference between the files of a directory and the recorded sizes and digests."""
    present = files(path)
    for name, (size, digest) in sorted(recorded.items()):
        if name not in present:
            return f"{name} is missing"
        found = present[name].stat().st_size
        if found != size:
            return f"{name} has {found} bytes instead of {size}"
        if file_digest(present[name]) != digest:
            return f"{name} does not have the SHA-256 that was recorded"
    extra = sorted(set(present) - set(recorded))
    return f"{extra[0]} does not belong to it" if extra else None


def files(folder: Path) -> dict[str, Path]:
    """All files below a directory but its own manifest, by relative path."""
    found = {p.relative_to(folder).as_posix(): p for p in sorted(folder.rglob("*")) if p.is_file()}
    found.pop("manifest.json", None)
    return found


def file_digest(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def json_digest(value: dict[str, Any]) -> str:
    """SHA-256 of a JSON object, independent of the order of its keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Write a JSON object."""
    path.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")


def sync_tree(folder: Path) -> None:
    """Force every file and directory below `folder` to the disk."""
    for path in [*folder.rglob("*"), folder]:
        sync(path)


def sync(path: Path) -> None:
    """Force one file or directory to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
