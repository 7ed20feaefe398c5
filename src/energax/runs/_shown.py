"""Which draws a page shows, and the training rows that come nearest to them."""

from __future__ import annotations

import numpy as np

from energax.data import Data

NUM_SHOWN = 400
_NUM_NEIGHBOURS = 30


def spread_over(draws: np.ndarray) -> np.ndarray:
    """Numbers of the draws that the page shows: a few of every chain."""
    return np.linspace(0, len(draws) - 1, min(len(draws), NUM_SHOWN)).astype(int)


def nearest_rows(data: Data, shown: np.ndarray, train: np.ndarray) -> dict[str, np.ndarray]:
    """For images: the training row nearest to each of the first draws shown, in the model's units."""
    if data.image_shape is None:
        return {}
    a, b = (rows.reshape(len(rows), -1).astype(np.float32) for rows in (shown[:_NUM_NEIGHBOURS], train))
    nearest = np.argmin((b**2).sum(1) - 2 * a @ b.T, axis=1)
    return {"nearest_train": data.transform.inverse(train[nearest])}
