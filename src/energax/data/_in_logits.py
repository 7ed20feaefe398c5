"""Grey images as logits, each pixel with mean 0 and scale 1."""

from __future__ import annotations

import numpy as np

from energax._errors import DataError
from energax.data._dataset import Data
from energax.data._split import Split
from energax.data._transforms import Composed, Logit, Standardize

_MOST_ROWS, _BLOCK = 10_000, 256


def in_logits(data: Data) -> Data:
    """The same grey images as logits of their dequantised pixels, each of which then has mean 0 and scale 1.

    For models that must cover their whole space, as flows and energies: dark borders become noise as wide as the rest,
    instead of a sheet hundreds of times thinner. Likelihoods keep the user's units, through a log-determinant that
    differs from row to row. Means and scales are those of the first 10,000 training rows.

    Args:
        data: Images with grey levels, not binarised.

    Returns:
        The data; themselves if they are logits already.

    Raises:
        DataError: The data have no grey levels, or were binarised.

    Example:
        >>> from energax import data
        >>> digits = data.in_logits(data.load("digits"))
        >>> abs(float(digits.train.array().mean())) < 0.02
        True

    References:
        [dinh2017]
    """
    parts = data.transform.parts if isinstance(data.transform, Composed) else ()
    if any(isinstance(part, Logit) for part in parts):
        return data
    if data.num_levels is None or not parts:
        raise DataError(f"Only images with grey levels have logits, and {data.name} shows the model none.")
    bounded = (*parts[:-1], Logit())
    return data.seen_through(Composed((*bounded, _standard(data.seen_through(Composed(bounded)).train))))


def _standard(rows: Split) -> Standardize:
    """To mean 0 and scale 1 in every entry, in blocks, as images may be large."""
    count = min(len(rows), _MOST_ROWS)
    total, squares = np.zeros(rows.event_shape), np.zeros(rows.event_shape)
    for start in range(0, count, _BLOCK):
        # In double precision, where these sums lose nothing: logits are below 14.
        block = np.asarray(rows.take(np.arange(start, min(start + _BLOCK, count))), np.float64)
        total += block.sum(0)
        squares += (block**2).sum(0)
    mean = total / count
    return Standardize(mean, np.sqrt(squares / count - mean**2))
