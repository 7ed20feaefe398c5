"""Arrays of any framework as NumPy's."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

from energax._errors import ShapeError


def as_numpy(array: Any) -> np.ndarray:
    """NumPy, JAX, lists, and through DLPack the tensors of any other framework.

    Raises:
        ShapeError: Nothing that can be read as an array.
    """
    if hasattr(array, "__dlpack__") and not isinstance(array, np.ndarray | jax.Array):
        tensor = array.detach() if callable(getattr(array, "detach", None)) else array
        tensor = tensor.cpu() if callable(getattr(tensor, "cpu", None)) else tensor
        try:
            return np.from_dlpack(tensor)
        except (BufferError, RuntimeError, TypeError):
            array = tensor
    try:
        found = np.asarray(array)
    except Exception as error:
        raise ShapeError(f"{type(array).__name__} cannot be read as an array ({error}).") from error
    if found.dtype == object:
        raise ShapeError(f"{type(array).__name__} cannot be read as an array of numbers.")
    return found
