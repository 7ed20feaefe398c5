"""From rows that a reader found to a data set: look at the values, split, choose the space and the transform."""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Mapping

import numpy as np

from energax._errors import ArgumentError, DataError
from energax.data._counter import Permutation, fold
from energax.data._dataset import Data
from energax.data._named import Stored
from energax.data._scan import moments, scan
from energax.data._sources import AbstractSource, ArraySource
from energax.data._split import Split, Window
from energax.data._transforms import Identity
from energax.data._view import Options, binarizer, check_constant, fit_transform, look
from energax.spaces import AbstractArraySpace, Binary, Euclidean

_MIN_ROWS = 4


def build(name: str, stored: Stored, options: Options) -> Data:
    """The data set that the model sees."""
    parts = _check_parts(stored.parts)
    found = scan(list(parts.values()))
    parts, layout_notes = _channels_last(parts)
    sources, windows, split_notes = _divide(parts, stored.num_valid, options)
    view = look(found, sources["train"], stored, options)
    binarize, binarize_notes = binarizer(name, view, found, options)
    is_binary = view.is_discrete or binarize is not None
    inside = moments(sources["train"], windows["train"].contains)
    constant_notes = check_constant(view, inside, sources["train"], binarize, is_continuous=not is_binary)
    has_law = stored.density is not None
    transform = Identity() if binarize is not None or has_law else fit_transform(view, inside, sources["train"])
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


def is_colour_first(shape: tuple[int, ...]) -> bool:
    """Whether rows of that shape are read as images stored as (channel, height, width)."""
    return len(shape) == 3 and shape[0] in (1, 3) and shape[2] not in (1, 3)


def _channels_last(parts: dict[str, AbstractSource]) -> tuple[dict[str, AbstractSource], tuple[str, ...]]:
    """Images stored as (channel, height, width) are read as (height, width, channel), which is a view."""
    shape = next(iter(parts.values())).row_shape
    if not is_colour_first(shape):
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


def _continuous(event_shape: tuple[int, ...], stored: Stored) -> AbstractArraySpace:
    if stored.density is not None and isinstance(stored.density.space, AbstractArraySpace):
        return stored.density.space
    return Euclidean(event_shape, initial_scale=1.0)


def _fingerprint(parts: Mapping[str, AbstractSource]) -> str:
    words = "\n".join(f"{part}:{source.digest()}" for part, source in sorted(parts.items()))
    return hashlib.sha256(words.encode()).hexdigest()
