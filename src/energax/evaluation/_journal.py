"""Long computations that go on behind what they have done: the results of their steps, on disk, in their order."""

from __future__ import annotations

import contextlib
import contextvars
import dataclasses
import importlib
import json
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from energax._files import replace_arrays

T = TypeVar("T")
_UNREADABLE = (OSError, EOFError, ValueError, KeyError, AttributeError, ImportError, zipfile.BadZipFile)
"""What a damaged file may raise, or one of another version, whose classes have gone."""


class _Journal:
    def __init__(self, folder: Path) -> None:
        self.folder, self.count = folder, 0

    def next(self) -> Path:
        self.count += 1
        return self.folder / f"{self.count:05d}.npz"


_JOURNAL: contextvars.ContextVar[_Journal | None] = contextvars.ContextVar("journal", default=None)


@contextlib.contextmanager
def journal(folder: Path) -> Iterator[None]:
    """Keep the steps of the computation inside, and read those that are there instead of making them again.

    What is inside has to make the same steps in the same order each time, as everything does that hangs on its key and
    options alone; the caller sees to it that these are the same. A file that cannot be read is made anew.

    Args:
        folder: Where the steps are kept, one file each.

    Raises:
        OSError: The disk refuses.
    """
    folder.mkdir(parents=True, exist_ok=True)
    token = _JOURNAL.set(_Journal(folder))
    try:
        yield
    finally:
        _JOURNAL.reset(token)


def kept(step: Callable[[], T]) -> T:
    """What `step` returns: made, and kept if there is a journal; or read from it.

    Results are numbers, texts, arrays, and tuples, lists, dicts and dataclasses of energax that hold them; the type of
    everything is kept. Reading runs no code of the file's.
    """
    found = _JOURNAL.get()
    if found is None:
        return step()
    path = found.next()
    with contextlib.suppress(*_UNREADABLE):
        return _read(path)
    result = step()
    _write(path, result)
    return result


def _write(path: Path, value: Any) -> None:
    arrays: list[np.ndarray] = []
    told = json.dumps(_packed(value, arrays))
    replace_arrays(path, {"told": np.asarray(told), **{f"a{i}": array for i, array in enumerate(arrays)}})


def _read(path: Path) -> Any:
    with np.load(path, allow_pickle=False) as stored:
        return _unpacked(json.loads(str(stored["told"])), stored)


def _packed(value: Any, arrays: list[np.ndarray]) -> Any:
    """A description for JSON; the arrays go to the list."""
    if value is None or type(value) in (bool, int, float, str):
        return {"plain": value}
    if isinstance(value, np.ndarray | np.generic | jax.Array):
        kind = "jax" if isinstance(value, jax.Array) else "numpy" if isinstance(value, np.ndarray) else "scalar"
        arrays.append(np.asarray(value))
        return {"array": len(arrays) - 1, "kind": kind}
    if isinstance(value, tuple | list) and type(value) in (tuple, list):
        return {type(value).__name__: [_packed(v, arrays) for v in value]}
    if isinstance(value, dict):
        return {"dict": [[_packed(k, arrays), _packed(v, arrays)] for k, v in value.items()]}
    if dataclasses.is_dataclass(value) and type(value).__module__.startswith("energax."):
        fields = {f.name: _packed(getattr(value, f.name), arrays) for f in dataclasses.fields(value)}
        return {"class": [type(value).__module__, type(value).__name__], "fields": fields}
    raise TypeError(f"A {type(value).__name__} cannot be kept in a journal.")


def _unpacked(told: Any, arrays: Any) -> Any:
    if "plain" in told:
        return told["plain"]
    if "array" in told:
        array = arrays[f"a{told['array']}"]
        return {"jax": jnp.asarray, "numpy": lambda a: a, "scalar": lambda a: a[()]}[told["kind"]](array)
    for name, made in (("tuple", tuple), ("list", list)):
        if name in told:
            return made(_unpacked(v, arrays) for v in told[name])
    if "dict" in told:
        return {_unpacked(k, arrays): _unpacked(v, arrays) for k, v in told["dict"]}
    module, name = told["class"]
    cls = getattr(importlib.import_module(module), name) if module.startswith("energax.") else None
    if not (isinstance(cls, type) and dataclasses.is_dataclass(cls)):
        raise ValueError(f"{module}.{name} is no dataclass of energax.")
    made = object.__new__(cls)
    for field, value in told["fields"].items():
        object.__setattr__(made, field, _unpacked(value, arrays))
    return made
