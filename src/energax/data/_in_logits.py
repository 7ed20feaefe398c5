"""Grey images as logits, each pixel with mean 0 and scale 1."""

from __future__ import annotations

import numpy as np

from energax._errors import DataError
from energax.data._dataset import Data
from energax.data._transforms import Composed, Logit, Standardize

_MOST_ROWS = 10_000


def in_logits(data: Data) -> Data:
    """The same grey images as logits of their dequantised pixels, each of which then has mean 0 and scale 1.

    For models that must cover their whole space, as flows and energies: dark borders become noise as wide as the rest,
    instead of a sheet hundreds of times thinner. Likelihoods keep the user's units, through a log-determinant that
    differs from row to row. Means and scales are those of the first 10,000 training rows.

    Args:
        data: Images with grey levels, not binarised.

    Raises:
        DataError: The data have no grey levels, or a transform of the caller's own.

    Example:
        >>> from energax import data
        >>> digits = data.in_logits(data.load("digits"))
        >>> abs(float(digits.train.array().mean())) < 0.02
        True

    References:
        [dinh2017]
    """
    parts = data.transform.parts if isinstance(data.transform, Composed) else ()
    if data.num_levels is None or not parts or not isinstance(parts[-1], Standardize):
        raise DataError(f"Only images with grey levels have logits, which {data.name} is not, or not any more.")
    bounded = (*parts[:-1], Logit())
    first = data.seen_through(Composed(bounded)).train
    rows = np.asarray(first.take(np.arange(min(len(first), _MOST_ROWS))), np.float64)
    standard = Standardize(rows.mean(0), rows.std(0))
    return data.seen_through(Composed((*bounded, standard)))
