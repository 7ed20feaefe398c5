"""One process a run directory."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from energax._errors import RunError


@contextlib.contextmanager
def locked(directory: Path | None) -> Iterator[None]:
    """Hold the lock of a run directory, so that two processes cannot train into it.

    The operating system frees the lock when its process ends, however that happens, so there are no stale ones: a
    file that a killed process left behind is taken over.

    Raises:
        RunError: Another process holds the lock, or the directory cannot be written.
    """
    if directory is None:
        yield
        return
    path = directory / ".lock"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        descriptor = _acquire(path)
    except OSError as error:
        raise RunError(f"{directory} cannot be written: {error.strerror or error}.") from error
    try:
        yield
    finally:
        # Unlinked while it is still held: whoever opened the old file notices that it is gone.
        path.unlink(missing_ok=True)
        os.close(descriptor)


def _acquire(path: Path) -> int:
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        if not _try_lock(descriptor):
            owner = os.read(descriptor, 32).decode(errors="replace").strip()
            os.close(descriptor)
            who = f"process {owner}" if owner.isdigit() else "another process"
            raise RunError(f"{path.parent} is being trained by {who}; wait for it, or stop it first.")
        if _is_same_file(descriptor, path):
            os.truncate(descriptor, 0)
            os.write(descriptor, f"{os.getpid()}\n".encode())
            return descriptor
        os.close(descriptor)


def _is_same_file(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _try_lock(descriptor: int) -> bool:
    try:
        import fcntl
    except ImportError:  # Windows has no advisory locks of this kind; the run works, unguarded
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
