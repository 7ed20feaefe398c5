"""Linear measurements y = A x of images, each with its exact pseudo-inverse."""

from __future__ import annotations

import abc
import math
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike

from energax._errors import ArgumentError
from energax._typing import PRNGKey


class AbstractOperator(eqx.Module):
    """A measurement y = A x whose rows are orthogonal and of one length: A Aᵀ = c I, so that A⁺ = Aᵀ/c.

    x splits into A⁺A x, which y tells, and (I − A⁺A) x, of which y knows nothing. Putting A⁺(y − A x) to x replaces the
    first and leaves the second alone.
    """

    name: ClassVar[str]
    shape: eqx.AbstractVar[tuple[int, ...]]

    @property
    @abc.abstractmethod
    def gain(self) -> float:
        """C in A Aᵀ = c I."""

    @abc.abstractmethod
    def __call__(self, x: Array) -> Array:
        """A x of an image of shape `shape`."""

    @abc.abstractmethod
    def back(self, y: Array) -> Array:
        """A⁺ y, an image."""

    def consistent(self, x: Array, y: Array, share: ArrayLike = 1.0) -> Array:
        """X + share · A⁺(y − A x); with share 1 the measurement is met exactly.

        Args:
            x: An image.
            y: The measurement.
            share: Of the correction; below 1 where y is noisy.
        """
        return x + share * self.back(y - self(x))

    def share(self, residual: ArrayLike, noise: ArrayLike) -> Array:
        """The best share for an image known to a variance `residual`² an entry and a measurement to `noise`².

        It is c r²/(c r² + s²): x + share · A⁺(y − A x) is then the mean of x given y.
        """
        known = self.gain * jnp.asarray(residual) ** 2
        return known / (known + jnp.asarray(noise) ** 2)


class Inpaint(AbstractOperator):
    """Some of the pixels.

    Args:
        mask: True where a pixel is known, (h, w) or the shape of the image.
        shape: Of the image, (h, w) or (h, w, colours); that of the mask if None.

    Raises:
        ArgumentError: All pixels are known, or none, or the mask does not fit the image.
    """

    name: ClassVar[str] = "inpaint"
    places: Array
    shape: tuple[int, ...] = eqx.field(static=True)

    def __init__(self, mask: ArrayLike, shape: tuple[int, ...] | None = None) -> None:
        known = np.asarray(mask, bool)
        shape = known.shape if shape is None else tuple(shape)
        if known.shape != shape and known.shape != shape[:2]:
            raise ArgumentError(f"The mask has the shape {known.shape}, but the image has {shape}.")
        known = np.broadcast_to(known.reshape(known.shape + (1,) * (len(shape) - known.ndim)), shape)
        if known.all() or not known.any():
            what = (
                "all pixels, so that nothing is left to restore" if known.all() else "no pixel, so that nothing is told"
            )
            raise ArgumentError(f"The mask keeps {what}. It is true, or not zero, where a pixel is known.")
        self.places = jnp.asarray(np.flatnonzero(known))
        self.shape = shape

    @property
    def gain(self) -> float:
        return 1.0

    def __call__(self, x: Array) -> Array:
        return x.reshape(-1)[self.places]

    def back(self, y: Array) -> Array:
        return jnp.zeros(math.prod(self.shape), y.dtype).at[self.places].set(y).reshape(self.shape)


class SuperResolution(AbstractOperator):
    """Means over squares of f × f pixels.

    Args:
        shape: Of the image.
        factor: f, which divides both sides.

    Raises:
        ArgumentError: f does not divide the sides, or is below 2.
    """

    name: ClassVar[str] = "super-resolution"
    shape: tuple[int, ...] = eqx.field(static=True)
    factor: int = eqx.field(static=True)

    def __check_init__(self) -> None:
        if self.factor < 2 or self.shape[0] % self.factor or self.shape[1] % self.factor:
            raise ArgumentError(
                f"Super-resolution by {self.factor} needs a factor of at least 2 that divides both sides of the image, "
                f"which is {self.shape[0]} × {self.shape[1]}."
            )

    @property
    def gain(self) -> float:
        return 1.0 / self.factor**2

    def __call__(self, x: Array) -> Array:
        height, width, *colours = self.shape
        f = self.factor
        return x.reshape(height // f, f, width // f, f, *colours).mean(axis=(1, 3))

    def back(self, y: Array) -> Array:
        return jnp.repeat(jnp.repeat(y, self.factor, axis=0), self.factor, axis=1)


class Colourise(AbstractOperator):
    """The mean of the colours of every pixel.

    Args:
        shape: (h, w, colours) of the image.

    Raises:
        ArgumentError: The image has no colours.
    """

    name: ClassVar[str] = "colourise"
    shape: tuple[int, ...] = eqx.field(static=True)

    def __check_init__(self) -> None:
        if len(self.shape) != 3 or self.shape[2] < 2:
            raise ArgumentError(
                f"Colourising needs a model of colour images, but its images have the shape {self.shape}."
            )

    @property
    def gain(self) -> float:
        return 1.0 / self.shape[2]

    def __call__(self, x: Array) -> Array:
        return x.reshape(self.shape).mean(axis=2)

    def back(self, y: Array) -> Array:
        return jnp.broadcast_to(y[..., None], self.shape)


class CompressedSensing(AbstractOperator):
    """A share of the cosine transform of the pixels, in random order and with random signs.

    Args:
        shape: Of the image.
        ratio: Measured numbers for each pixel, above 0 and below 1.
        key: Random key of order, signs and choice.

    Raises:
        ArgumentError: The ratio leaves nothing, or everything.
    """

    name: ClassVar[str] = "compressed-sensing"
    order: Array
    signs: Array
    chosen: Array
    shape: tuple[int, ...] = eqx.field(static=True)

    def __init__(self, shape: tuple[int, ...], ratio: float = 0.1, *, key: PRNGKey) -> None:
        size = math.prod(shape)
        num = round(ratio * size)
        if not 0 < num < size:
            raise ArgumentError(
                f"Compressed sensing needs a ratio between 0 and 1 that keeps some numbers, got {ratio}."
            )
        # A permutation compiles for long; this one is made once, and of the key alone too.
        rng = np.random.default_rng(np.asarray(jax.random.key_data(key)).ravel())
        self.order = jnp.asarray(rng.permutation(size))
        self.signs = jnp.asarray(rng.choice([-1, 1], size).astype(np.int8))
        self.chosen = jnp.asarray(rng.permutation(size)[:num])
        self.shape = tuple(shape)

    @property
    def gain(self) -> float:
        return 1.0

    def __call__(self, x: Array) -> Array:
        mixed = x.reshape(-1)[self.order] * self.signs
        return jax.scipy.fft.dct(mixed, norm="ortho")[self.chosen]

    def back(self, y: Array) -> Array:
        spectrum = jnp.zeros(self.order.size, y.dtype).at[self.chosen].set(y)
        mixed = jax.scipy.fft.idct(spectrum, norm="ortho") * self.signs
        return jnp.zeros_like(mixed).at[self.order].set(mixed).reshape(self.shape)


class Denoise(AbstractOperator):
    """All of the image: what is wrong with it is noise alone.

    Args:
        shape: Of the image.
    """

    name: ClassVar[str] = "denoise"
    shape: tuple[int, ...] = eqx.field(static=True)

    @property
    def gain(self) -> float:
        return 1.0

    def __call__(self, x: Array) -> Array:
        return x.reshape(self.shape)

    def back(self, y: Array) -> Array:
        return y
