"""From rows that a reader found to a data set: look at the values, split, choose the space and the transform."""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Mapping

import numpy as np

from energax._errors import ArgumentError, DataError, nearest
from energax.data._counter import Permutation, fold
from energax.data._dataset import Data
from energax.data._named import Stored
from energax.data._scan import Moments, Scan, moments, scan
from energax.data._sources import AbstractSource, ArraySource
from energax.data._split import Binarize, Split, Window
from energax.data._transforms import (
    AbstractTransform,
    Composed,
    Dequantize,
    Identity,
    SpinsToBinary,
    Standardize,
)
from energax.spaces import AbstractArraySpace, Binary, Euclidean

METHODS = ("threshold", "stochastic")
_MIN_ROWS = 4
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
class _View:
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


def build(name: str, stored: Stored, options: Options) -> Data:
    """The data set that the model sees."""
    parts = _check_parts(stored.parts)
    found = scan(list(parts.values()))
    parts, layout_notes = _channels_last(parts)
    sources, windows, split_notes = _divide(parts, stored.num_valid, options)
    view = _look(found, sources["train"], stored, options)
    binarize, binarize_notes = _binarizer(name, view, found, options)
    is_binary = view.is_discrete or binarize is not None
    inside = moments(sources["train"], windows["train"].contains)
    constant_notes = _check_constant(view, inside, sources["train"], is_continuous=not is_binary)
    has_law = stored.density is not None
    transform = Identity() if binarize is not None or has_law else _transform(view, inside, sources["train"])
    shape = view.image_shape or sources["train"].row_shape
    event_shape = (math.prod(shape),) if options.flatten else shape
    space: AbstractArraySpace = Binary(event_shape) if is_binary else _continuous(event_shape, stored)
    dtype = np.dtype(space.struct.dtype)

    def split(part: str) -> Split:
        return Split(part, sources[part], windows[part], transform, binarize, event_shape, dtype, options.seed)

    return Data(
        name=name,
        kind=view.kind,
        space=space,
        train=split("train"),
        valid=split("valid"),
        test=split("test"),
        density=stored.density,
        transform=transform,
        binarize=options.binarize if binarize is not None else None,
        image_shape=view.image_shape,
        num_levels=view.num_levels if binarize is None else None,
        level_step=view.level_step if binarize is None else None,
        columns=sources["train"].columns,
        value_range=(found.minimum, found.maximum),
        origin=stored.origin,
        fingerprint=_fingerprint(stored.parts),
        notes=(*stored.notes, *layout_notes, *split_notes, *view.notes, *binarize_notes, *constant_notes),
    )


def _check_parts(parts: Mapping[str, AbstractSource]) -> dict[str, AbstractSource]:
    for part, source in parts.items():
        fewest = {"all": _MIN_ROWS, "train": _MIN_ROWS - 1}.get(part, 1)
        if source.num_rows < fewest:
            rows = "one row" if source.num_rows == 1 else f"{source.num_rows} rows"
            raise DataError(f"{source.where} has {rows}; at least {fewest} are needed to train and to test.")
    first = next(iter(parts.values()))
    for source in parts.values():
        if source.row_shape != first.row_shape:
            raise DataError(
                f"Rows of {source.where} have the shape {source.row_shape}, but those of {first.where} have "
                f"{first.row_shape}."
            )
    return dict(parts)


def _channels_last(parts: dict[str, AbstractSource]) -> tuple[dict[str, AbstractSource], tuple[str, ...]]:
    """Images stored as (channel, height, width) are read as (height, width, channel), which is a view."""
    shape = next(iter(parts.values())).row_shape
    if len(shape) != 3 or shape[0] not in (1, 3) or shape[2] in (1, 3):
        return parts, ()
    moved: dict[str, AbstractSource] = {
        part: dataclasses.replace(source, values=np.moveaxis(source.values, 1, -1))
        for part, source in parts.items()
        if isinstance(source, ArraySource)
    }
    return moved, (f"Rows of the shape {shape} are read as images with the colour first, and given as colour last.",)


def _divide(
    parts: Mapping[str, AbstractSource], num_valid: int | None, options: Options
) -> tuple[dict[str, AbstractSource], dict[str, Window], tuple[str, ...]]:
    """Which rows of which source are the training, validation and test rows."""
    notes: tuple[str, ...] = ()
    if "all" in parts:
        source = parts["all"]
        total = source.num_rows
        order = Permutation(total, fold(options.seed, 3))
        part = max(1, round(0.1 * total))
        edges = {
            "train": (0, total - 2 * part),
            "valid": (total - 2 * part, total - part),
            "test": (total - part, total),
        }
        windows = {name: Window(start, stop, order) for name, (start, stop) in edges.items()}
        sources = dict.fromkeys(windows, source)
        notes = (
            f"No test rows were given: the {total} rows are split at random, 80 % to train, 10 % to validate, 10 % to "
            f"test (seed {options.seed}). For a time series or repeated measurements, give train and test yourself.",
        )
    elif "valid" in parts:
        sources = dict(parts)
        windows = {name: Window(0, source.num_rows) for name, source in parts.items()}
    else:
        total = parts["train"].num_rows
        order = None if num_valid is not None else Permutation(total, fold(options.seed, 3))
        cut = total - (num_valid if num_valid is not None else max(1, round(0.1 * total)))
        sources = {"train": parts["train"], "valid": parts["train"], "test": parts["test"]}
        windows = {
            "train": Window(0, cut, order),
            "valid": Window(cut, total, order),
            "test": Window(0, parts["test"].num_rows),
        }
        if num_valid is None:
            notes = (f"{total - cut} of the {total} training rows are set aside to validate (seed {options.seed}).",)
    return sources, {name: _capped(name, window, options) for name, window in windows.items()}, notes


def _capped(name: str, window: Window, options: Options) -> Window:
    wanted = getattr(options, f"num_{name}")
    if wanted is not None and wanted > len(window):
        raise ArgumentError(f"`num_{name}` is {wanted}, but there are only {len(window)} such rows.")
    return window.first(wanted)


def _look(found: Scan, source: AbstractSource, stored: Stored, options: Options) -> _View:
    """Decide what the values are."""
    if stored.density is not None:
        return _View("planar", None, "real")
    image_shape = _image_shape(source, options)
    kind = "table" if image_shape is None else "image"
    if found.is_binary:
        return _View(kind, image_shape, "binary")
    if found.is_spins:
        return _View(kind, image_shape, "spins", notes=("Values are -1 and +1: the model sees (s + 1)/2, 0 and 1.",))
    if image_shape is None:
        return _View(kind, None, "real", notes=_table_notes(found))
    if found.minimum >= 0 and found.is_integer and found.maximum < _MAX_LEVELS:
        return _grey(image_shape, stored.num_levels or _guess_levels(found), 1.0)
    if found.minimum >= 0 and found.maximum <= 1:
        if found.is_byte_grid:
            return _grey(image_shape, _MAX_LEVELS, 1 / (_MAX_LEVELS - 1))
        return _View(kind, image_shape, "unit", notes=("Pixels lie in [0, 1] on no grid: no noise is added to them.",))
    note = f"Pixels go from {found.minimum:g} to {found.maximum:g}: they are taken as a continuous field."
    return _View(kind, image_shape, "real", notes=(note,))


def _grey(image_shape: tuple[int, ...], num_levels: int, step: float) -> _View:
    note = f"Pixels are taken as {num_levels} grey levels."
    return _View("image", image_shape, "grey", num_levels, step, (note,))


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


def _binarizer(name: str, view: _View, found: Scan, options: Options) -> tuple[Binarize | None, tuple[str, ...]]:
    method = options.binarize
    if method is None:
        if view.values != "grey":
            return None, ()
        levels = view.num_levels
        return None, (f"Uniform dequantisation: a grey level k is seen as (k + u)/{levels}, u uniform on [0, 1).",)
    if view.is_discrete:
        return None, (f"The values are binary already: binarize={method!r} changes nothing.",)
    if found.minimum < 0 or (view.values == "real" and found.maximum > 1):
        raise DataError(
            f"{name} cannot be binarized: its values go from {found.minimum:g} to {found.maximum:g}, and intensities "
            "must lie in [0, 1] or be grey levels (for flat rows of pixels, give `image_shape`)."
        )
    levels, step = view.num_levels or 2, view.level_step or 1.0
    return Binarize(method, (levels - 1) * step), ()


def _check_constant(view: _View, inside: Moments, source: AbstractSource, *, is_continuous: bool) -> tuple[str, ...]:
    """Sentences about entries that never change; a continuous density of a table cannot be fitted to them."""
    where = np.flatnonzero(inside.is_constant)
    if not where.size:
        return ()
    if view.kind == "image" or not is_continuous:
        return (f"{where.size} of {inside.mean.size} entries never change in the training rows.",)
    names = [repr(source.columns[i]) if source.columns else str(i) for i in where[:_MAX_NAMED_COLUMNS]]
    more = f" and {where.size - len(names)} more" if where.size > len(names) else ""
    raise DataError(
        f"{source.where} has columns that never change in the training rows: {', '.join(names)}{more}; a continuous "
        "density has no finite likelihood there, so remove them."
    )


def _transform(view: _View, inside: Moments, source: AbstractSource) -> AbstractTransform:
    """The map to the model's units; its numbers come from the training rows alone."""
    if view.is_discrete:
        return SpinsToBinary() if view.values == "spins" else Identity()
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


def _continuous(event_shape: tuple[int, ...], stored: Stored) -> AbstractArraySpace:
    if stored.density is not None and isinstance(stored.density.space, AbstractArraySpace):
        return stored.density.space
    return Euclidean(event_shape, initial_scale=1.0)


def _fingerprint(parts: Mapping[str, AbstractSource]) -> str:
    words = "\n".join(f"{part}:{source.digest()}" for part, source in sorted(parts.items()))
    return hashlib.sha256(words.encode()).hexdigest()
