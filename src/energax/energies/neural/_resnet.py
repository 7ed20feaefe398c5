"""Residual convolutional networks as energies of images, discrete or not."""

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
from energax.energies.neural._convolution import WIDTH, initial_filters, strided_convolution
from energax.energies.neural._mlp import default_confinement
from energax.energies.neural._sites import num_site_features, site_features
from energax.spaces import AbstractArraySpace, Euclidean


class ResNet(AbstractEnergy):
    """A residual convolutional network f, E(x) = f(x), plus a confining base measure where x is real.

    A first layer of filters makes features of the pixels; stages of residual blocks, h ← h + c₂(σ(c₁(σ(h)))), follow,
    each but the first at half the resolution of the one before; f is a linear function of the features of the last
    stage, summed over its pixels. c₂ begins at zero, so that deep networks begin as shallow ones. Pixels of two values
    enter as ∓1, categories as indicators. There is no normalisation layer: the energy of an image depends on it alone.

    Two-valued pixels enter as numbers, so that `GibbsWithGradients(differences="gradient")`, `DMALA` and `DULA` with
    the same option know all flips from one gradient; categories take ``differences="exact"``.

    Cost: 18 × pixels × channels² for each block at full resolution, a quarter at the next stage.

    Args:
        space: Space of one image, shape (h, w) or (h, w, colours), channels last: `Binary`, `Spins`, `Categorical` or
            `Euclidean`; or a shape for Euclidean space.
        channels: Features of each stage.
        num_blocks: Residual blocks of each stage.
        activation: A name of `ACTIVATIONS`.
        confinement: As for `MLP`.
        key: Random key of the initial weights.

    Example:
        >>> import jax
        >>> from energax import energies, spaces
        >>> energy = energies.ResNet(spaces.Binary((8, 8)), channels=(4, 8), num_blocks=1, key=jax.random.key(0))
        >>> energy(jax.numpy.zeros((8, 8), "int8")).shape
        ()

    References:
        [he2016]; without normalisation, after [grathwohl2021]
    """

    stages: tuple[Float[Array, "patch out"], ...]
    blocks: tuple[tuple[tuple[Float[Array, "patch out"], Float[Array, "patch out"]], ...], ...]
    biases: tuple[Float[Array, " out"], ...]
    readout: eqx.nn.Linear
    confinement: Confinement | None
    space: AbstractArraySpace = eqx.field(static=True)
    activation: str = eqx.field(static=True)

    def __init__(
        self,
        space: AbstractArraySpace | tuple[int, ...],
        *,
        channels: Sequence[int] = (32, 64),
        num_blocks: int = 2,
        activation: str = "silu",
        confinement: Confinement | str | None = "default",
        key: PRNGKey,
    ) -> None:
        check_activation(activation)
        self.space = space if isinstance(space, AbstractArraySpace) else Euclidean(space, initial_scale=1.0)
        if len(self.space.shape) not in (2, 3) or not channels or min(channels) < 1 or num_blocks < 0:
            raise ArgumentError(
                f"ResNet needs images of shape (h, w) or (h, w, colours), channels of stages and num_blocks >= 0, got "
                f"shape {self.space.shape}, channels {tuple(channels)} and num_blocks={num_blocks}."
            )
        self.confinement = default_confinement(self.space) if isinstance(confinement, str) else confinement
        self.activation = activation
        colours = self.space.shape[2] if len(self.space.shape) == 3 else 1
        widths = (colours * num_site_features(self.space), *channels)
        keys = iter(jax.random.split(key, len(channels) * (num_blocks + 1) + 1))
        self.stages = tuple(initial_filters(m, n, next(keys)) for m, n in zip(widths, channels, strict=False))
        self.biases = tuple(jnp.zeros(n) for n in channels)
        self.blocks = tuple(
            tuple((initial_filters(n, n, next(keys)), jnp.zeros((WIDTH**2 * n, n))) for _ in range(num_blocks))
            for n in channels
        )
        self.readout = eqx.nn.Linear(channels[-1], "scalar", key=next(keys))

    def __call__(self, x: Array) -> Scalar:
        act = ACTIVATIONS[self.activation]
        features = site_features(self.space, x, self.stages[0].dtype)
        h = features.reshape(*self.space.shape[:2], -1)
        for i, (stage, bias, blocks) in enumerate(zip(self.stages, self.biases, self.blocks, strict=True)):
            h = strided_convolution(act(h) if i else h, stage, 2 if i else 1) + bias
            for first, second in blocks:
                h = h + strided_convolution(act(strided_convolution(act(h), first, 1)), second, 1)
        value = self.readout(jnp.sum(act(h), axis=(0, 1)))
        return value if self.confinement is None else value + self.confinement(x)


@is_confined.register
def _(energy: ResNet) -> bool:
    return energy.confinement is not None or bool(np.isfinite(energy.space.log_volume))
