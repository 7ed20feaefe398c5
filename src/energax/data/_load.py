"""One function for every data set: a name, or a file or folder of the user's."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from jaxtyping import Shaped
from numpy import ndarray

from energax._errors import DataError, nearest
from energax.data._arrays import as_rows, read_npy, read_npz
from energax.data._build import build
from energax.data._dataset import Data
from energax.data._images import read_folder
from energax.data._named import MAKERS, Request, Stored
from energax.data._sources import AbstractSource, ArraySource
from energax.data._tables import read_csv, read_parquet
from energax.data._view import Options

_READERS: Mapping[str, Callable[[Path], tuple[dict[str, AbstractSource], list[str]]]] = {
    ".npy": read_npy,
    ".npz": read_npz,
    ".csv": read_csv,
    ".tsv": read_csv,
    ".parquet": read_parquet,
}


def load(
    name_or_path: str | os.PathLike[str],
    *,
    binarize: str | None = None,
    seed: int = 0,
    num_train: int | None = None,
    num_valid: int | None = None,
    num_test: int | None = None,
    image_shape: tuple[int, ...] | None = None,
    flatten: bool = True,
) -> Data:
    """Load a named data set, or a user's own file or folder of images.

    Named sets are listed by `NAMED_SETS`. Files: `.npy` (memory-mapped, larger than memory works), `.npz` (``x_train``
    and ``x_test``, ``train`` and ``test``, ``x``, or a single array), `.csv` (numbers, with or without a line of
    names), `.parquet`, and folders of images (read again for every batch when they do not fit in 256 MB).

    What the values are is looked up, not asked: only 0 and 1 is a `Binary` space; −1 and +1 as well, through
    (s + 1)/2; rows with two or three axes of grey levels or of numbers in [0, 1] are images; everything else is a
    table. Continuous tables are standardised column by column, images with one mean and one scale after uniform
    dequantisation; the numbers come from the training rows, and `Data.transform` carries the log-determinant.

    Rows without a test split of their own are split 80/10/10 by a permutation that depends on the seed.

    Args:
        name_or_path: A name, or a path. A name wins over a file of the same name; write ``./digits`` for the file.
        binarize: ``"threshold"``: pixels of at least half the range are 1. ``"stochastic"``: the intensity is the
            probability of 1, drawn anew for each take of the training rows, once for the others. None: as stored.
        seed: Of the draws of planar sets, of the split of a user's rows, and of the noise of training rows.
        num_train: Number of training rows, at most those that there are; for planar sets how many are drawn.
        num_valid: The same for validation rows.
        num_test: The same for test rows.
        image_shape: Take flat rows as images of this shape, (height, width) or (height, width, colours).
        flatten: Give rows to the model as vectors; otherwise images keep their axes.

    Returns:
        The data, checked: every value is finite, and rows differ.

    Raises:
        DataError: The data are missing, damaged or not usable as they are; one sentence says why and where.
        ArgumentError: An option is outside what is allowed.
        MissingExtra: A reader needs a package that is not installed.

    Example:
        >>> import numpy as np
        >>> from energax.data import load
        >>> data = load("checkerboard", num_train=100)
        >>> data.train.take(np.arange(3)).shape
        (3, 2)
    """
    options = Options(binarize, seed, num_train, num_valid, num_test, image_shape, flatten)
    text = os.fspath(name_or_path)
    if text in MAKERS:
        return build(text, MAKERS[text](Request(seed, num_train, num_valid, num_test)), options)
    path = Path(text).expanduser()
    stored = _read(path, text)
    place = path.resolve()
    return build(place.name if place.is_dir() else place.stem, stored, options)


def from_array(
    rows: Shaped[ndarray, "n ..."],
    *,
    test: Shaped[ndarray, "m ..."] | None = None,
    valid: Shaped[ndarray, "k ..."] | None = None,
    name: str = "array",
    binarize: str | None = None,
    seed: int = 0,
    image_shape: tuple[int, ...] | None = None,
    flatten: bool = True,
) -> Data:
    """The data set of an array in memory, looked at, split and standardised like a file by `load`.

    Args:
        rows: All rows, or the training rows where `test` is given, shape (n, *row).
        test: Test rows.
        valid: Validation rows; only with `test`.
        name: What messages call the rows.
        binarize: As for `load`.
        seed: As for `load`.
        image_shape: As for `load`.
        flatten: As for `load`.

    Raises:
        DataError: As for `load`.
    """
    if valid is not None and test is None:
        raise DataError("`valid` was given without `test`: give both, or neither for a split at random.")
    given = {"all": rows} if test is None else {"train": rows, "valid": valid, "test": test}
    parts: dict[str, AbstractSource] = {
        part: ArraySource(as_rows(value, name), name) for part, value in given.items() if value is not None
    }
    return build(
        name, Stored(parts, "an array in memory"), Options(binarize, seed, None, None, None, image_shape, flatten)
    )


def _read(path: Path, text: str) -> Stored:
    try:
        if path.is_dir():
            parts, notes = read_folder(path)
            return Stored(parts, str(path.resolve()), tuple(notes), num_levels=256)
        _check_file(path, text)
        parts, notes = _READERS[path.suffix.lower()](path)
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror or error}).") from error
    return Stored(parts, str(path.resolve()), tuple(notes))


def _check_file(path: Path, text: str) -> None:
    if not path.exists():
        if not path.suffix and os.sep not in text:
            raise DataError(f"There is no data set or file called {text!r}. {nearest(text, MAKERS)}")
        raise DataError(f"There is no file {text}: check the path (now in {Path.cwd()}).")
    if path.suffix.lower() not in _READERS:
        kind = f"the suffix {path.suffix!r}" if path.suffix else "no suffix"
        raise DataError(f"{text} has {kind}; energax reads {', '.join(_READERS)} and folders of images.")
    if path.stat().st_size == 0:
        raise DataError(f"{text} is empty (0 bytes).")
