"""Networks from arrays to arrays, for vectors and for small images."""

from __future__ import annotations

import math
from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from energax._errors import ArgumentError
from energax._typing import PRNGKey
from energax.energies import ACTIVATIONS, CONV_WIDTH, check_activation, strided_convolution


class Dense(eqx.Module):
    """A fully connected network from arrays of one shape to arrays of another; linear without hidden layers.

    Args:
        shape_in: Shape of what goes in.
        shape_out: Shape of what comes out.
        hidden: Widths of the hidden layers.
        activation: A name of `energies.ACTIVATIONS`.
        key: Random key of the initial weights.

    Raises:
        ArgumentError: An unknown activation.
    """

    layers: tuple[eqx.nn.Linear, ...]
    shape_out: tuple[int, ...] = eqx.field(static=True)
    activation: str = eqx.field(static=True)

    def __init__(
        self,
        shape_in: tuple[int, ...],
        shape_out: tuple[int, ...],
        *,
        hidden: Sequence[int] = (128, 128),
        activation: str = "silu",
        key: PRNGKey,
    ) -> None:
        check_activation(activation)
        widths = (math.prod(shape_in), *hidden, math.prod(shape_out))
        keys = jax.random.split(key, len(widths) - 1)
        self.layers = tuple(eqx.nn.Linear(m, n, key=k) for m, n, k in zip(widths, widths[1:], keys, strict=False))
        self.shape_out = tuple(shape_out)
        self.activation = activation

    def __call__(self, x: Array) -> Array:
        y = x.reshape(-1).astype(jnp.promote_types(x.dtype, self.layers[0].weight.dtype))
        for layer in self.layers[:-1]:
            y = ACTIVATIONS[self.activation](layer(y))
        return self.layers[-1](y).reshape(self.shape_out)


class ConvEncoder(eqx.Module):
    """A convolutional network from images to vectors: each layer halves the resolution, a linear layer reads out.

    Args:
        shape_in: Shape of an image, (h, w) or (h, w, colours).
        size_out: Length of the vector.
        channels: Filters of each layer.
        activation: A name of `energies.ACTIVATIONS`.
        key: Random key of the initial weights.
    """

    filters: tuple[Float[Array, "patch out"], ...]
    biases: tuple[Float[Array, " out"], ...]
    readout: eqx.nn.Linear
    activation: str = eqx.field(static=True)

    def __init__(
        self,
        shape_in: tuple[int, ...],
        size_out: int,
        *,
        channels: Sequence[int] = (32, 64),
        activation: str = "silu",
        key: PRNGKey,
    ) -> None:
        check_activation(activation)
        height, width, colours = as_image(shape_in)
        *keys, last = jax.random.split(key, len(channels) + 1)
        self.filters = tuple(
            conv_filters(m, n, key=k) for m, n, k in zip((colours, *channels), channels, keys, strict=False)
        )
        self.biases = tuple(jnp.zeros(n) for n in channels)
        for _ in channels:
            height, width = -(-height // 2), -(-width // 2)
        self.readout = eqx.nn.Linear(height * width * channels[-1], size_out, key=last)
        self.activation = activation

    def __call__(self, x: Array) -> Array:
        y = x.reshape(as_image(x.shape)).astype(jnp.promote_types(x.dtype, self.filters[0].dtype))
        for weight, bias in zip(self.filters, self.biases, strict=True):
            y = ACTIVATIONS[self.activation](strided_convolution(y, weight, 2) + bias)
        return self.readout(y.reshape(-1))


class ConvDecoder(eqx.Module):
    """A convolutional network from vectors to images: a linear layer, then each layer doubles the resolution.

    Sides that are no multiple of 2 for each layer are cut off at the far end.

    Args:
        size_in: Length of the vector.
        shape_out: Shape of an image, (h, w) or (h, w, colours).
        channels: Filters before each layer, the last of which makes the image.
        activation: A name of `energies.ACTIVATIONS`.
        key: Random key of the initial weights.
    """

    first: eqx.nn.Linear
    filters: tuple[Float[Array, "patch out"], ...]
    biases: tuple[Float[Array, " out"], ...]
    shape_out: tuple[int, ...] = eqx.field(static=True)
    activation: str = eqx.field(static=True)

    def __init__(
        self,
        size_in: int,
        shape_out: tuple[int, ...],
        *,
        channels: Sequence[int] = (64, 32),
        activation: str = "silu",
        key: PRNGKey,
    ) -> None:
        check_activation(activation)
        colours = as_image(shape_out)[2]
        first, *keys = jax.random.split(key, len(channels) + 1)
        ends = (*channels[1:], colours)
        self.filters = tuple(conv_filters(m, n, key=k) for m, n, k in zip(channels, ends, keys, strict=True))
        self.biases = tuple(jnp.zeros(n) for n in ends)
        self.shape_out = tuple(shape_out)
        self.activation = activation
        self.first = eqx.nn.Linear(size_in, math.prod(self._coarse), key=first)

    @property
    def _coarse(self) -> tuple[int, int, int]:
        factor = 2 ** len(self.filters)
        height, width, _ = as_image(self.shape_out)
        return -(-height // factor), -(-width // factor), self.filters[0].shape[0] // CONV_WIDTH**2

    def __call__(self, z: Array) -> Array:
        act = ACTIVATIONS[self.activation]
        y = act(self.first(z)).reshape(self._coarse)
        for layer, (weight, bias) in enumerate(zip(self.filters, self.biases, strict=True)):
            y = act(y) if layer else y
            y = strided_convolution(doubled(y), weight, 1) + bias
        height, width, _ = as_image(self.shape_out)
        return y[:height, :width].reshape(self.shape_out)


def doubled(x: Float[Array, "h w c"]) -> Float[Array, "h2 w2 c"]:
    """Every pixel four times."""
    return jnp.repeat(jnp.repeat(x, 2, axis=0), 2, axis=1)


def as_image(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """The shape with its colours, one where none are given.

    Raises:
        ArgumentError: It is not that of an image.
    """
    if len(shape) not in (2, 3):
        raise ArgumentError(f"A convolutional network needs images of shape (h, w) or (h, w, colours), got {shape}.")
    height, width, *colours = shape
    return height, width, (colours or [1])[0]


def conv_filters(fan_in: int, fan_out: int, *, key: PRNGKey) -> Float[Array, "patch out"]:
    """Initial 3 × 3 filters, as `energies.strided_convolution` wants them."""
    size = (CONV_WIDTH**2 * fan_in, fan_out)
    return jax.random.normal(key, size) * math.sqrt(2 / size[0])
