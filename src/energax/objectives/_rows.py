"""Batches that know which rows of the data set they are made of."""

from __future__ import annotations

import functools
from typing import Any

import equinox as eqx
import numpy as np
from jaxtyping import Array, Int

from energax._typing import Configuration
from energax.objectives._base import AbstractObjective


class NumberedRows(eqx.Module):
    """Rows of a batch and their numbers in the data set: what objectives get that remember something of each row.

    Attributes:
        x: The rows, (row, *event).
        numbers: The number of each, from 0 to `total` − 1.
        total: Rows of the data set.
    """

    x: Configuration
    numbers: Int[Array | np.ndarray, " row"]
    total: int = eqx.field(static=True)


@functools.singledispatch
def needs_rows(objective: AbstractObjective) -> bool:
    """Whether the batches of an objective are `NumberedRows`; False unless it says so."""
    del objective
    return False


def rows_of(batch: Any) -> Configuration:
    """The rows of a batch, numbered or not."""
    return batch.x if isinstance(batch, NumberedRows) else batch
