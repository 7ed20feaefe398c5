"""The training, validation and test rows as the model sees them."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from jaxtyping import Bool, Int64, Shaped

from energax._errors import ArgumentError, DataError
from energax.data._counter import Permutation, fold, row_uniforms
from energax.data._sources import AbstractSource
from energax.data._transforms import AbstractTransform

_MAX_ARRAY_BYTES = 2 << 30
_MAX_LISTED = 1 << 22


class Window:
    """Rows start … stop − 1 of a source, in its own order or in that of a permutation.

    Args:
        start: First position.
        stop: One past the last position.
        permutation: Order of the rows of the source; their own where it is None.
    """

    def __init__(self, start: int, stop: int, permutation: Permutation | None = None) -> None:
        self.start, self.stop, self.permutation = start, stop, permutation
        small = permutation is not None and stop - start <= _MAX_LISTED
        self._listed = permutation(np.arange(start, stop)) if small and permutation is not None else None

    def __len__(self) -> int:
        return self.stop - self.start

    def __call__(self, indices: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
        """Row numbers in the source."""
        if self._listed is not None:
            return self._listed[indices]
        positions = self.start + indices
        return positions if self.permutation is None else self.permutation(positions)

    def contains(self, rows: Int64[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
        """Whether rows of the source lie in the window."""
        positions = rows if self.permutation is None else self.permutation.inverse(rows)
        return (positions >= self.start) & (positions < self.stop)

    def first(self, count: int | None) -> Window:
        """The first `count` rows, all of them for None."""
        return self if count is None else Window(self.start, self.start + count, self.permutation)


@dataclasses.dataclass(frozen=True)
class Binarize:
    """Turn intensities into 0 and 1.

    Args:
        method: ``"threshold"``: 1 where the intensity is at least 1/2. ``"stochastic"``: 1 with the intensity as
            probability, drawn anew for every take of the training rows and once for the others.
        brightest: The value with intensity 1; the value 0 has intensity 0.
    """

    method: str
    brightest: float

    def __call__(self, raw: Shaped[np.ndarray, "n ..."], uniform: Shaped[np.ndarray, "n ..."] | None) -> Any:
        intensity = raw / self.brightest
        return intensity >= 0.5 if uniform is None else uniform < intensity


@dataclasses.dataclass(frozen=True, eq=False)
class Split:
    """Rows that can be asked for by index, encoded for the model.

    The noise of dequantisation and of stochastic binarisation is a function of (seed, draw, row): the same indices and
    the same `draw` give the same bits, in whatever batch a row comes. Training rows are drawn anew for every `draw`;
    validation and test rows ignore it and are the same for every seed.

    Attributes:
        name: ``"train"``, ``"valid"`` or ``"test"``.
        event_shape: Shape of one row as the model sees it.
        dtype: Type of the values that `take` returns.
        redraws: Whether `take` depends on `draw`.
    """

    name: str
    source: AbstractSource = dataclasses.field(repr=False)
    window: Window = dataclasses.field(repr=False)
    transform: AbstractTransform = dataclasses.field(repr=False)
    binarize: Binarize | None
    event_shape: tuple[int, ...]
    dtype: np.dtype[Any]
    seed: int

    def __len__(self) -> int:
        return len(self.window)

    @property
    def is_random(self) -> bool:
        """Whether noise enters the encoding."""
        return self.binarize.method == "stochastic" if self.binarize is not None else self.transform.is_random

    @property
    def redraws(self) -> bool:
        return self.name == "train" and self.is_random

    def take(self, indices: Int64[np.ndarray, " n"], *, draw: int = 0) -> Shaped[np.ndarray, "n ..."]:
        """The rows with these indices.

        Args:
            indices: Integers in [0, len), shape (n,).
            draw: Number of the draw of the noise; give the step of the training loop, so that each take is a new draw
                and a resumed run sees the same ones.

        Returns:
            Rows of the type `dtype`, shape (n, *event_shape).

        Raises:
            ArgumentError: The indices are not integers of one axis, or out of range.
        """
        indices = np.asarray(indices)
        if indices.ndim != 1 or (indices.dtype.kind not in "ui" and indices.size):
            raise ArgumentError(f"`indices` must be integers of one axis, got {indices.dtype} of {indices.shape}.")
        if indices.size and not (indices.min() >= 0 and indices.max() < len(self)):
            raise ArgumentError(
                f"`indices` must lie in [0, {len(self)}) for the {self.name} rows, got values from "
                f"{indices.min()} to {indices.max()}."
            )
        rows = self.window(indices.astype(np.int64))
        raw = self.source.read(rows)
        uniform = self._uniform(rows, raw.shape, draw) if self.is_random else None
        coded = self.transform.forward(raw, uniform=uniform) if self.binarize is None else self.binarize(raw, uniform)
        return np.ascontiguousarray(coded.reshape(len(raw), *self.event_shape), self.dtype)

    def raw(self, indices: Int64[np.ndarray, " n"]) -> Shaped[np.ndarray, "n ..."]:
        """The rows as they are stored, in the user's units and shape."""
        return self.source.read(self.window(np.asarray(indices, np.int64)))

    def array(self, *, draw: int = 0) -> Shaped[np.ndarray, "n ..."]:
        """All rows, shape (len, *event_shape).

        Raises:
            DataError: They would take more than 2 GiB; use `take`.
        """
        size = len(self) * int(np.prod(self.event_shape, dtype=np.int64)) * self.dtype.itemsize
        if size > _MAX_ARRAY_BYTES:
            raise DataError(
                f"The {self.name} rows would take {size / 2**30:.1f} GiB in memory, more than 2 GiB; read them in "
                "batches with `take`."
            )
        out = np.empty((len(self), *self.event_shape), self.dtype)
        for start in range(0, len(self), 4096):
            stop = min(len(self), start + 4096)
            out[start:stop] = self.take(np.arange(start, stop), draw=draw)
        return out

    def _uniform(self, rows: Int64[np.ndarray, " n"], shape: tuple[int, ...], draw: int) -> Any:
        key = fold(self.seed, 1, draw) if self.redraws else fold(0, {"train": 1, "valid": 2}.get(self.name, 3))
        return row_uniforms(key, rows, int(np.prod(shape[1:], dtype=np.int64))).reshape(shape)
