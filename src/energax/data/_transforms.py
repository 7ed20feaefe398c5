"""Maps between the user's units and the model's, each with its log-determinant."""

from __future__ import annotations

import abc
import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float

from energax._errors import DataError, nearest

Rows = Float[np.ndarray, "n ..."]


class AbstractTransform(abc.ABC):
    """An invertible map y → x from the user's units to those of the model, on rows.

    A log-likelihood of the model becomes one in the user's units by log p(y) = log p(x) + log |det ∂x/∂y|.
    """

    @abc.abstractmethod
    def forward(self, y: Rows, *, uniform: Rows | None = None) -> Rows:
        """The model's x, shape (n, *row).

        Args:
            y: Rows in the user's units.
            uniform: Noise in [0, 1) of the shape of `y`, for the maps that need it; without it they take 1/2.
        """

    @abc.abstractmethod
    def inverse(self, x: Rows) -> Rows:
        """The user's y, shape (n, *row)."""

    @abc.abstractmethod
    def log_det(self, x: Rows) -> Float[np.ndarray, " n"]:
        """Log |det ∂x/∂y| of every row, at the model's x."""

    @property
    @abc.abstractmethod
    def is_random(self) -> bool:
        """Whether `forward` uses noise."""

    @abc.abstractmethod
    def to_json(self) -> dict[str, Any]:
        """Plain numbers, lists and strings from which `transform_from_json` makes the same map."""


@dataclasses.dataclass(frozen=True)
class Identity(AbstractTransform):
    """x = y."""

    def forward(self, y: Rows, *, uniform: Rows | None = None) -> Rows:
        return np.asarray(y)

    def inverse(self, x: Rows) -> Rows:
        return np.asarray(x)

    def log_det(self, x: Rows) -> Float[np.ndarray, " n"]:
        return np.zeros(len(x))

    @property
    def is_random(self) -> bool:
        return False

    def to_json(self) -> dict[str, Any]:
        return {"name": "identity"}


@dataclasses.dataclass(frozen=True, eq=False)
class Standardize(AbstractTransform):
    """x = (y − mean) / scale, entry by entry or with one number for all entries.

    Args:
        mean: Shape of a row, or a number. Rows may come with their axes or as vectors.
        scale: Positive; shape of a row, or a number.
    """

    mean: Float[np.ndarray, "..."]
    scale: Float[np.ndarray, "..."]

    def __post_init__(self) -> None:
        object.__setattr__(self, "mean", np.asarray(self.mean, np.float64))
        object.__setattr__(self, "scale", np.asarray(self.scale, np.float64))
        if self.mean.shape != self.scale.shape or not np.all(np.isfinite(self.mean)) or not np.all(self.scale > 0):
            raise DataError("Standardize needs finite means and positive scales of the same shape.")

    def forward(self, y: Rows, *, uniform: Rows | None = None) -> Rows:
        mean, scale = self._like(y)
        return (np.asarray(y, np.float64) - mean) / scale

    def inverse(self, x: Rows) -> Rows:
        mean, scale = self._like(x)
        return np.asarray(x, np.float64) * scale + mean

    def log_det(self, x: Rows) -> Float[np.ndarray, " n"]:
        _, scale = self._like(x)
        total = np.broadcast_to(np.log(scale), np.shape(x)[1:]).sum()
        return np.full(len(x), -total)

    def _like(self, rows: Rows) -> tuple[Float[np.ndarray, "..."], Float[np.ndarray, "..."]]:
        """Mean and scale with the axes of these rows, where one of them has the others flattened."""
        shape = np.shape(rows)[1:]
        if self.mean.size in (1, 0) or self.mean.size != math.prod(shape) or 1 not in (self.mean.ndim, len(shape)):
            return self.mean, self.scale
        return self.mean.reshape(shape), self.scale.reshape(shape)

    @property
    def is_random(self) -> bool:
        return False

    def to_json(self) -> dict[str, Any]:
        return {"name": "standardize", "mean": self.mean.tolist(), "scale": self.scale.tolist()}


@dataclasses.dataclass(frozen=True)
class Dequantize(AbstractTransform):
    """x = (k + u) / num_levels with k = 0 … num_levels − 1 and u uniform on [0, 1).

    By Jensen's inequality the mean of log p(k + u) over u is a lower bound of the log-probability that the model gives
    to the grey level k, so that a likelihood found with this noise never flatters the model.

    Args:
        num_levels: Number of grey levels.

    References:
        [theis2016]
    """

    num_levels: int

    def forward(self, y: Rows, *, uniform: Rows | None = None) -> Rows:
        return (np.asarray(y, np.float64) + (0.5 if uniform is None else uniform)) / self.num_levels

    def inverse(self, x: Rows) -> Rows:
        return np.clip(np.floor(np.asarray(x, np.float64) * self.num_levels), 0, self.num_levels - 1)

    def log_det(self, x: Rows) -> Float[np.ndarray, " n"]:
        return np.full(len(x), -math.prod(np.shape(x)[1:]) * math.log(self.num_levels))

    @property
    def is_random(self) -> bool:
        return True

    def to_json(self) -> dict[str, Any]:
        return {"name": "dequantize", "num_levels": self.num_levels}


@dataclasses.dataclass(frozen=True)
class Logit(AbstractTransform):
    """x = logit(margin + (1 − 2 margin) y), from [0, 1] to the whole line.

    Dark pixels of an image, which noise fills up to 1/levels, become logistic noise about as wide as everything else,
    where in their own units they are a sheet with an edge, hundreds of times thinner than the rest.

    Args:
        margin: What keeps 0 and 1 finite, in (0, 1/2).

    References:
        [dinh2017]
    """

    margin: float = 1e-6

    def __post_init__(self) -> None:
        if not 0 < self.margin < 0.5:
            raise DataError(f"Logit needs a margin in (0, 1/2), got {self.margin}.")

    def forward(self, y: Rows, *, uniform: Rows | None = None) -> Rows:
        share = self.margin + (1 - 2 * self.margin) * np.asarray(y, np.float64)
        return np.log(share) - np.log1p(-share)

    def inverse(self, x: Rows) -> Rows:
        share = 0.5 * (1 + np.tanh(0.5 * np.asarray(x, np.float64)))
        return np.clip((share - self.margin) / (1 - 2 * self.margin), 0.0, 1.0)

    def log_det(self, x: Rows) -> Float[np.ndarray, " n"]:
        x = np.asarray(x, np.float64).reshape(len(x), -1)
        # 1 / (s (1 − s)) = (1 + e^x) (1 + e^−x)
        return (np.logaddexp(0.0, x) + np.logaddexp(0.0, -x) + math.log1p(-2 * self.margin)).sum(1)

    @property
    def is_random(self) -> bool:
        return False

    def to_json(self) -> dict[str, Any]:
        return {"name": "logit", "margin": self.margin}


@dataclasses.dataclass(frozen=True)
class SpinsToBinary(AbstractTransform):
    """x = (s + 1) / 2: spins −1, +1 become units 0, 1. Counting measure, so the log-determinant is zero."""

    def forward(self, y: Rows, *, uniform: Rows | None = None) -> Rows:
        return (np.asarray(y) > 0).astype(np.int8)

    def inverse(self, x: Rows) -> Rows:
        return 2 * np.asarray(x) - 1

    def log_det(self, x: Rows) -> Float[np.ndarray, " n"]:
        return np.zeros(len(x))

    @property
    def is_random(self) -> bool:
        return False

    def to_json(self) -> dict[str, Any]:
        return {"name": "spins-to-binary"}


@dataclasses.dataclass(frozen=True)
class Composed(AbstractTransform):
    """Several maps, one after the other.

    Args:
        parts: The maps in the order in which `forward` applies them.
    """

    parts: tuple[AbstractTransform, ...]

    def forward(self, y: Rows, *, uniform: Rows | None = None) -> Rows:
        for part in self.parts:
            y = part.forward(y, uniform=uniform if part.is_random else None)
        return y

    def inverse(self, x: Rows) -> Rows:
        for part in reversed(self.parts):
            x = part.inverse(x)
        return x

    def log_det(self, x: Rows) -> Float[np.ndarray, " n"]:
        total = np.zeros(len(x))
        for part in reversed(self.parts):
            total = total + part.log_det(x)
            x = part.inverse(x)
        return total

    @property
    def is_random(self) -> bool:
        return any(part.is_random for part in self.parts)

    def to_json(self) -> dict[str, Any]:
        return {"name": "composed", "parts": [part.to_json() for part in self.parts]}


def transform_from_json(value: Mapping[str, Any]) -> AbstractTransform:
    """The transform that `AbstractTransform.to_json` wrote down.

    Args:
        value: A mapping with the entry ``name`` and the fields of the transform.

    Raises:
        DataError: The name is unknown, or fields are missing or do not fit.

    Example:
        >>> from energax.data import transform_from_json
        >>> transform_from_json({"name": "dequantize", "num_levels": 256})
        Dequantize(num_levels=256)
    """
    makers = {
        "identity": Identity,
        "standardize": lambda mean, scale: Standardize(np.asarray(mean), np.asarray(scale)),
        "dequantize": Dequantize,
        "logit": Logit,
        "spins-to-binary": SpinsToBinary,
        "composed": lambda parts: Composed(tuple(transform_from_json(part) for part in parts)),
    }
    fields = dict(value)
    name = fields.pop("name", None)
    if name not in makers:
        raise DataError(f"There is no data transform {name!r}. {nearest(str(name), makers)}")
    try:
        return makers[name](**fields)
    except (TypeError, ValueError) as error:
        raise DataError(f"The stored transform {name!r} has fields that do not fit: {error}.") from error
