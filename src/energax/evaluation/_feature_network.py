"""A small classifier of a data set's images, whose last hidden layer is what Fréchet distances and the like look at."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from numpy.typing import ArrayLike, NDArray

from energax._errors import ArgumentError, ShapeError
from energax._typing import PRNGKey
from energax.energies import CONV_WIDTH, strided_convolution

_BLOCK = 256


class FeatureNetwork(eqx.Module):
    """A convolutional classifier of grey images; `features` are the numbers behind its last layer.

    Layers of 3 × 3 filters, each of which halves the resolution, a dense layer, whose outputs are the features, and a
    linear layer to the classes. Grey levels go in as they are stored. Features pass through a SiLU, so that no two
    pictures have the same ones.

    Args:
        shape: (h, w) of an image.
        num_classes: Number of classes.
        num_levels: Number of grey levels; inputs are divided by the largest.
        channels: Filters of each layer.
        num_features: Length of the vector of features.
        name: What messages and results call it.
        key: Random key of the initial weights.

    References:
        [lecun1998]
    """

    filters: tuple[Float[Array, "patch out"], ...]
    biases: tuple[Float[Array, " out"], ...]
    hidden: eqx.nn.Linear
    readout: eqx.nn.Linear
    shape: tuple[int, int] = eqx.field(static=True)
    num_levels: int = eqx.field(static=True)
    name: str = eqx.field(static=True)

    def __init__(
        self,
        shape: tuple[int, int],
        *,
        num_classes: int,
        num_levels: int,
        channels: Sequence[int] = (32, 64, 64),
        num_features: int = 64,
        name: str = "classifier",
        key: PRNGKey,
    ) -> None:
        first, last, *keys = jax.random.split(key, 2 + len(channels))
        ends = zip((1, *channels), channels, keys, strict=False)
        self.filters = tuple(
            jax.random.normal(k, (CONV_WIDTH**2 * m, n)) * math.sqrt(2 / (CONV_WIDTH**2 * m)) for m, n, k in ends
        )
        self.biases = tuple(jnp.zeros(n) for n in channels)
        height, width = (functools.reduce(lambda s, _: -(-s // 2), channels, side) for side in shape)
        self.hidden = eqx.nn.Linear(height * width * channels[-1], num_features, key=first)
        self.readout = eqx.nn.Linear(num_features, num_classes, key=last)
        self.shape = shape
        self.num_levels = num_levels
        self.name = name

    def features(self, x: Float[Array, "h w"]) -> Float[Array, " features"]:
        """The features of one image of grey levels."""
        y = (x.astype(jnp.float32) / (self.num_levels - 1))[..., None]
        for weight, bias in zip(self.filters, self.biases, strict=True):
            y = jax.nn.relu(strided_convolution(y, weight, 2) + bias)
        return jax.nn.silu(self.hidden(y.reshape(-1)))

    def __call__(self, x: Float[Array, "h w"]) -> Float[Array, " classes"]:
        """Logits of the classes of one image."""
        return self.readout(self.features(x))


def features(
    network: FeatureNetwork | Callable[[Array], Array],
    images: ArrayLike,
    *,
    value_range: tuple[float, float] | None = None,
) -> NDArray[np.float64]:
    """Features of images, as `estimators.frechet_distance` and `estimators.precision_recall` take them.

    A number that is computed of features means nothing without the name of their network: say which one it was.

    Args:
        network: A `FeatureNetwork`, or any function of one image that JAX can trace, to a vector: yours, with weights
            of yours. (Features from elsewhere, of an Inception network say, go to the estimators as they are.)
        images: Images, shape (n, h, w) or (n, h · w), in the data's own units, which `Data.transform.inverse` gives.
        value_range: The values that stand for black and white, where they are not 0 and the network's largest level:
            (0, 1) for images of 0 and 1. Values outside are clipped.

    Returns:
        Float64 numbers, shape (n, features).

    Raises:
        ShapeError: The images have not the network's shape.
        ArgumentError: Non-finite numbers, or a range that is none.
    """
    if isinstance(network, FeatureNetwork):
        return _in_blocks(network, "features", as_levels(network, images, value_range))
    return _in_blocks(network, None, np.asarray(images))


def class_logits(
    network: FeatureNetwork, images: ArrayLike, *, value_range: tuple[float, float] | None = None
) -> NDArray[np.float64]:
    """Logits of the classes, shape (n, classes); arguments as of `features`."""
    return _in_blocks(network, None, as_levels(network, images, value_range))


def as_levels(
    network: FeatureNetwork, images: ArrayLike, value_range: tuple[float, float] | None = None
) -> NDArray[np.float32]:
    """Images in the network's grey levels and shape, checked."""
    given = np.asarray(images, np.float32)
    if given.ndim < 2 or given.size == 0 or math.prod(given.shape[1:]) != math.prod(network.shape):
        raise ShapeError(
            f"The features of {network.name} are of images of shape {network.shape}; given an array of shape "
            f"{given.shape}."
        )
    bad = int(np.count_nonzero(~np.isfinite(given)))
    if bad:
        raise ArgumentError(f"`images` has {bad} of {given.size} values that are NaN or infinite.")
    top = network.num_levels - 1
    low, high = (0.0, float(top)) if value_range is None else value_range
    if not low < high:
        raise ArgumentError(f"`value_range` must be (black, white) with black < white; given {value_range}.")
    levels = np.clip((given - low) / (high - low), 0.0, 1.0) * top
    return levels.reshape(-1, *network.shape)


@eqx.filter_jit
def _many(network: Any, method: str | None, x: Array) -> Array:
    function = network if method is None else getattr(network, method)
    return jax.vmap(function)(x)


def _in_blocks(network: Any, method: str | None, images: np.ndarray) -> NDArray[np.float64]:
    """One compiled call for each block; the last is filled up, so that all have one shape."""
    found = []
    for start in range(0, len(images), _BLOCK):
        block = images[start : start + _BLOCK]
        filled = np.concatenate([block, np.repeat(block[:1], _BLOCK - len(block), axis=0)])
        found.append(np.asarray(_many(network, method, jnp.asarray(filled)), np.float64)[: len(block)])
    return np.concatenate(found)
