"""Convolutional networks as energies of images."""

from __future__ import annotations

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from energax._errors import ArgumentError
from energax._typing import PRNGKey, Scalar
from energax.energies._base import AbstractEnergy
from energax.energies._capabilities import is_confined
from energax.energies.neural._activations import ACTIVATIONS, check_activation
from energax.energies.neural._confinement import Confinement
from energax.energies.neural._convolution import initial_filters, strided_convolution
from energax.energies.neural._mlp import default_confinement
from energax.spaces import AbstractArraySpace, Euclidean


class ConvNet(AbstractEnergy):
    """A convolutional network f plus a confining base measure, E(x) = f(x) + ½ Σ ((x − m)/s)².

    The first layer keeps the resolution, each further one halves it; a linear read-out makes the scalar. Filters are
    3 × 3 with a border of zeros. There is no normalisation layer: the energy of an image depends on that image alone.

    Args:
        space: Space of one image, shape (h, w) or (h, w, colours), channels last; or such a shape for Euclidean space.
        channels: Filters of each layer.
        activation: A name of `ACTIVATIONS`.
        confinement: As for `MLP`.
        key: Random key of the initial weights.

    Example:
        >>> import jax
        >>> from energax import energies
        >>> energy = energies.ConvNet((8, 8), channels=(8, 16), key=jax.random.key(0))
        >>> energy(jax.numpy.zeros((8, 8))).shape
        ()
    """

    filters: tuple[Float[Array, "patch out"], ...]
    biases: tuple[Float[Array, " out"], ...]
    readout: eqx.nn.Linear
    confinement: Confinement | None
    space: AbstractArraySpace = eqx.field(static=True)
    activation: str = eqx.field(static=True)

    def __init__(
        self,
        space: AbstractArraySpace | tuple[int, ...],
        *,
        channels: Sequence[int] = (32, 64, 64),
        activation: str = "silu",
        confinement: Confinement | str | None = "default",
        key: PRNGKey,
    ) -> None:
        check_activation(activation)
        self.space = space if isinstance(space, AbstractArraySpace) else Euclidean(space, initial_scale=1.0)
        if len(self.space.shape) not in (2, 3) or not channels or min(channels) < 1:
            raise ArgumentError(
                f"ConvNet needs images of shape (h, w) or (h, w, colours) and at least one layer with filters, got "
                f"shape {self.space.shape} and channels {tuple(channels)}."
            )
        self.confinement = default_confinement(self.space) if isinstance(confinement, str) else confinement
        self.activation = activation
        height, width, *colours = self.space.shape
        keys = jax.random.split(key, len(channels) + 1)
        for _ in channels[1:]:
            height, width = -(-height // 2), -(-width // 2)
        widths = zip((*(colours or [1]), *channels), channels, keys, strict=False)
        self.filters = tuple(initial_filters(fan_in, out, layer_key) for fan_in, out, layer_key in widths)
        self.biases = tuple(jnp.zeros(out) for out in channels)
        self.readout = eqx.nn.Linear(height * width * channels[-1], "scalar", key=keys[-1])

    def __call__(self, x: Array) -> Scalar:
        y = x.astype(jnp.promote_types(x.dtype, self.filters[0].dtype))
        y = y[..., None] if y.ndim == 2 else y
        for layer, (weight, bias) in enumerate(zip(self.filters, self.biases, strict=True)):
            y = ACTIVATIONS[self.activation](strided_convolution(y, weight, 2 if layer else 1) + bias)
        return self.readout(y.reshape(-1)) + (0.0 if self.confinement is None else self.confinement(x))


@is_confined.register
def _(energy: ConvNet) -> bool:
    return energy.confinement is not None or bool(np.isfinite(energy.space.log_volume))
