"""What the page is made from: the fields of a run's summary, and nothing that could reach the run itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from energax._errors import ShapeError

Floats = NDArray[np.float64]


class SummaryLike(Protocol):
    """The fields of `energax.runs.Summary`; any object that has them can be drawn.

    Every one may be empty: a run that was stopped before its evaluation still gets a page.
    """

    @property
    def config(self) -> Mapping[str, Any]:
        """As in config.json: ``data``, ``model``, ``objective``, ``kernel``, ``training``, ``seed``."""
        ...

    @property
    def data(self) -> Mapping[str, Any]:
        """Description of the data set: ``name``, ``kind``, sizes, ``notes``."""
        ...

    @property
    def model(self) -> Mapping[str, Any]:
        """``name``, ``num_parameters``, ``space``, ``measure``."""
        ...

    @property
    def history(self) -> Sequence[Mapping[str, Any]]:
        """Rows of metrics.jsonl: ``step`` and the metrics of that step."""
        ...

    @property
    def events(self) -> Sequence[Mapping[str, Any]]:
        """What happened on the way: ``kind``, ``step``, ``message``, ``action``."""
        ...

    @property
    def evaluation(self) -> Mapping[str, Any] | None:
        """What ``energax evaluate --json`` prints."""
        ...

    @property
    def arrays(self) -> Mapping[str, np.ndarray]:
        """Samples, energies and grids by name; ``grid_model[j, i]`` belongs to ``(grid_x[i], grid_y[j])``."""
        ...

    @property
    def environment(self) -> Mapping[str, Any]:
        """Versions and platform by name."""
        ...

    @property
    def reproduce(self) -> Sequence[str]:
        """Shell commands that make the run again."""
        ...

    @property
    def image_shape(self) -> tuple[int, ...] | None:
        """Shape of one image; None where the data are no images."""
        ...


def part(mapping: Mapping[str, Any] | None, name: str) -> Mapping[str, Any]:
    """The mapping stored under `name`, or an empty one: older runs lack parts that newer ones have."""
    value = (mapping or {}).get(name)
    return value if isinstance(value, Mapping) else {}


def floats(summary: SummaryLike, name: str) -> Floats | None:
    """The array `name` in float64; None where the summary has none or it is empty."""
    value = summary.arrays.get(name)
    if value is None:
        return None
    array = np.asarray(value, dtype=np.float64)
    return array if array.size else None


def rows(summary: SummaryLike, name: str) -> Floats | None:
    """The array `name` as (row, column), event axes flattened; rows that are not finite are left out."""
    array = floats(summary, name)
    if array is None or array.ndim == 0:
        return None
    table = array.reshape(array.shape[0], -1)
    table = table[np.isfinite(table).all(axis=1)]
    return table if table.size else None


def finite(summary: SummaryLike, name: str) -> Floats | None:
    """The finite entries of the array `name` as a vector; None where there are none."""
    array = floats(summary, name)
    if array is None:
        return None
    kept = array[np.isfinite(array)]
    return kept if kept.size else None


def grid(summary: SummaryLike, name: str) -> tuple[Floats, Floats, Floats] | None:
    """(x, y, log-density on the grid) for ``grid_model`` or ``grid_truth``; None where the summary has none."""
    x, y, values = (floats(summary, key) for key in ("grid_x", "grid_y", name))
    if x is None or y is None or values is None:
        return None
    if x.ndim == 2:
        x = x[0]
    if y.ndim == 2:
        y = y[:, 0]
    if values.shape != (y.size, x.size):
        raise ShapeError(
            f"`{name}` must have one value for each (y, x) of the grid, shape ({y.size}, {x.size}); "
            f"given {values.shape}."
        )
    return x, y, values
