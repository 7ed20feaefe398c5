"""Named sets of images with their classes, for classifiers that judge models; models are trained without them."""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Int64, UInt8

from energax._errors import DataError
from energax.data._fetch import FASHION_MNIST, MNIST, Origin, images, labels
from energax.data._named import digits_in_order

_FETCHED: dict[str, Origin] = {origin.name: origin for origin in (MNIST, FASHION_MNIST)}
LABELLED_SETS: tuple[str, ...] = ("digits", *_FETCHED)
"""Names of the sets that have classes."""


@dataclasses.dataclass(frozen=True, eq=False)
class Labelled:
    """Images as they are stored, with their classes.

    Attributes:
        name: Name of the set.
        train: Images that are not test images, the validation images of `load` included, shape (n, h, w).
        train_labels: Their classes, from 0.
        test: The test images of `load`, in its order.
        test_labels: Their classes.
        num_levels: Number of grey levels.
        num_classes: Number of classes.
    """

    name: str
    train: UInt8[np.ndarray, "n h w"]
    train_labels: Int64[np.ndarray, " n"]
    test: UInt8[np.ndarray, "m h w"]
    test_labels: Int64[np.ndarray, " m"]
    num_levels: int
    num_classes: int


def labelled(name: str) -> Labelled:
    """A named set of images with its classes.

    Args:
        name: A name of `LABELLED_SETS`.

    Raises:
        DataError: The set has no classes, or cannot be had, as in `load`.
        MissingExtra: A reader needs a package that is not installed.

    Example:
        >>> from energax.data import labelled
        >>> found = labelled("digits")
        >>> found.train.shape, found.num_classes
        ((1438, 8, 8), 10)
    """
    if name not in LABELLED_SETS:
        raise DataError(f"{name!r} has no classes; those that have are {', '.join(LABELLED_SETS)}.")
    if name == "digits":
        return _digits()
    origin = _FETCHED[name]
    pixels, classes = images(origin)[0], labels(origin)
    return Labelled(
        name,
        pixels["train"],
        classes["train"].astype(np.int64),
        pixels["test"],
        classes["test"].astype(np.int64),
        num_levels=256,
        num_classes=10,
    )


def _digits() -> Labelled:
    rows, classes, num_train, num_valid = digits_in_order()
    kept = num_train + num_valid
    return Labelled("digits", rows[:kept], classes[:kept], rows[kept:], classes[kept:], num_levels=17, num_classes=10)
