"""What the values are, and how a row is shown to the model."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from jaxtyping import Bool

from energax._errors import ArgumentError, DataError, nearest
from energax.data._named import Stored
from energax.data._scan import Moments, Scan
from energax.data._sources import AbstractSource
from energax.data._split import Binarize
from energax.data._transforms import AbstractTransform, Composed, Dequantize, Identity, SpinsToBinary, Standardize

METHODS = ("threshold", "stochastic")
_MAX_NAMED_COLUMNS = 5
_MAX_LEVELS = 256


@dataclasses.dataclass(frozen=True)
class Options:
    """What the user asked for, as `load` documents it."""

    binarize: str | None = None
    seed: int = 0
    num_train: int | None = None
    num_valid: int | None = None
    num_test: int | None = None
    image_shape: tuple[int, ...] | None = None
    flatten: bool = True

    def __post_init__(self) -> None:
        if self.binarize is not None and self.binarize not in METHODS:
            raise ArgumentError(
                f"There is no way to binarize called {self.binarize!r}. {nearest(self.binarize, METHODS)}"
            )
        for name in ("num_train", "num_valid", "num_test"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ArgumentError(f"`{name}` must be at least 1, got {value}.")


@dataclasses.dataclass(frozen=True)
class View:
    """What the values are, and how a row is shown to the model."""

    kind: str
    image_shape: tuple[int, ...] | None
    values: str  # "binary", "spins", "grey", "unit" or "real"
    num_levels: int | None = None
    level_step: float | None = None
    notes: tuple[str, ...] = ()

    @property
    def is_discrete(self) -> bool:
        return self.values in ("binary", "spins")


def look(found: Scan, source: AbstractSource, stored: Stored, options: Options) -> View:
    """Decide what the values are."""
    if stored.density is not None:
        return View("planar", None, "real")
    image_shape = _image_shape(source, options)
    kind = "table" if image_shape is None else "image"
    if found.is_binary:
        return View(kind, image_shape, "binary")
    if found.is_spins:
        return View(kind, image_shape, "spins", notes=("Values are -1 and +1: the model sees (s + 1)/2, 0 and 1.",))
    if image_shape is None:
        return View(kind, None, "real", notes=_table_notes(found))
    if found.minimum >= 0 and found.is_integer and found.maximum < _MAX_LEVELS:
        return _grey(image_shape, stored.num_levels or _guess_levels(found), 1.0)
    if found.minimum >= 0 and found.maximum <= 1:
        if found.is_byte_grid:
            return _grey(image_shape, _MAX_LEVELS, 1 / (_MAX_LEVELS - 1))
        return View(kind, image_shape, "unit", notes=("Pixels lie in [0, 1] on no grid: no noise is added to them.",))
    note = f"Pixels go from {found.minimum:g} to {found.maximum:g}: they are taken as a continuous field."
    return View(kind, image_shape, "real", notes=(note,))


def _grey(image_shape: tuple[int, ...], num_levels: int, step: float) -> View:
    note = f"Pixels are taken as {num_levels} grey levels."
    return View("image", image_shape, "grey", num_levels, step, (note,))


def _guess_levels(found: Scan) -> int:
    """A file of bytes whose largest value is 16 has 17 levels; one that reaches 200 has 256."""
    return _MAX_LEVELS if found.maximum >= _MAX_LEVELS / 4 else int(found.maximum) + 1


def _image_shape(source: AbstractSource, options: Options) -> tuple[int, ...] | None:
    shape = source.row_shape
    if options.image_shape is not None:
        if math.prod(options.image_shape) != math.prod(shape) or len(options.image_shape) not in (2, 3):
            raise ArgumentError(
                f"`image_shape` is {options.image_shape}, but rows of {source.where} have the shape {shape}: give "
                "(height, width) or (height, width, colours) with as many entries."
            )
        shape = options.image_shape
    if len(shape) < 2:
        return None
    return shape[:2] if len(shape) == 3 and shape[2] == 1 else shape


def _table_notes(found: Scan) -> tuple[str, ...]:
    if not found.is_integer:
        return ()
    return (
        "All values are whole numbers: a continuous density can put more and more mass on them, so its likelihood says "
        "little.",
    )


def binarizer(name: str, view: View, found: Scan, options: Options) -> tuple[Binarize | None, tuple[str, ...]]:
    method = options.binarize
    if method is None:
        if view.values != "grey":
            return None, ()
        levels = view.num_levels
        note = f"Uniform dequantisation: a grey level k is seen as (k + u)/{levels}, u uniform on [0, 1)."
        lossless = ("All pixels are 0 or 255: binarize='threshold' makes them 0 and 1 without loss.",)
        return None, (note, *(lossless if found.is_black_white else ()))
    if view.is_discrete:
        return None, (f"The values are binary already: binarize={method!r} changes nothing.",)
    if found.minimum < 0 or (view.values == "real" and found.maximum > 1):
        raise DataError(
            f"{name} cannot be binarized: its values go from {found.minimum:g} to {found.maximum:g}, and intensities "
            "must lie in [0, 1] or be grey levels (for flat rows of pixels, give `image_shape`)."
        )
    levels, step = view.num_levels or 2, view.level_step or 1.0
    return Binarize(method, (levels - 1) * step), ()


def check_constant(
    view: View, inside: Moments, source: AbstractSource, binarize: Binarize | None, *, is_continuous: bool
) -> tuple[str, ...]:
    """Sentences about entries that never change; a continuous density of a table cannot be fitted to them."""
    is_constant = _always_same(inside, binarize)
    where = np.flatnonzero(is_constant)
    if not where.size:
        return ()
    if where.size == is_constant.size:
        view_words = "" if binarize is None else f" after binarize={binarize.method!r}"
        raise DataError(f"All training rows of {source.where} are equal{view_words}, so there is nothing to learn.")
    if view.kind == "image" or not is_continuous:
        return (f"{where.size} of {is_constant.size} entries never change in the training rows.",)
    names = [repr(source.columns[i]) if source.columns else str(i) for i in where[:_MAX_NAMED_COLUMNS]]
    more = f" and {where.size - len(names)} more" if where.size > len(names) else ""
    raise DataError(
        f"{source.where} has columns that never change in the training rows: {', '.join(names)}{more}; a continuous "
        "density has no finite likelihood there, so remove them."
    )


def _always_same(inside: Moments, binarize: Binarize | None) -> Bool[np.ndarray, "..."]:
    """Where an entry has one value in all training rows, as the model sees them."""
    if binarize is None:
        return inside.minimum == inside.maximum
    low, high = inside.minimum / binarize.brightest, inside.maximum / binarize.brightest
    if binarize.method == "threshold":
        return (low >= 0.5) == (high >= 0.5)
    return (high == 0) | (low == 1)


def fit_transform(view: View, inside: Moments, source: AbstractSource) -> AbstractTransform:
    """The map to the model's units; its numbers come from the training rows alone."""
    if view.is_discrete:
        return SpinsToBinary() if view.values == "spins" else Identity()
    if not np.all(np.isfinite(inside.variance)) or np.any((inside.variance == 0) & (inside.minimum < inside.maximum)):
        raise DataError(
            f"{source.where} goes from {inside.minimum.min():.4g} to {inside.maximum.max():.4g}: squares of such "
            "differences leave the range of double precision, so give the data in other units."
        )
    if view.kind == "table":
        return Standardize(inside.mean, np.sqrt(inside.variance))
    mean = inside.mean.mean()
    variance = inside.variance.mean() + ((inside.mean - mean) ** 2).mean()
    if view.values != "grey":
        return Standardize(mean, np.sqrt(variance))
    levels, step = view.num_levels or 2, view.level_step or 1.0
    # u adds 1/2 to the mean of k and 1/12 to its variance
    standard = Standardize((mean / step + 0.5) / levels, np.sqrt(variance / step**2 + 1 / 12) / levels)
    to_levels = () if step == 1.0 else (Standardize(np.asarray(0.0), np.asarray(step)),)
    return Composed((*to_levels, Dequantize(levels), standard))
