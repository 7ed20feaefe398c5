"""The one place that decides how a convolution is computed."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from energax._typing import PRNGKey

WIDTH = 3
"""Side of all filters."""


def initial_filters(fan_in: int, out: int, key: PRNGKey) -> Float[Array, "patch out"]:
    """Filters of a new network, normal with variance 2 / entries of a patch."""
    size = (WIDTH * WIDTH * fan_in, out)
    return jax.random.normal(key, size) * np.sqrt(2 / size[0]).astype(np.float32)


def strided_convolution(
    x: Float[Array, "h w c"], weight: Float[Array, "patch out"], stride: int, *, formulation: str | None = None
) -> Float[Array, "h2 w2 out"]:
    """Convolve one image, channels last, with 3 × 3 filters and a border of zeros.

    On a CPU, XLA's convolution is slow inside loops, and chains are loops; there the patches are gathered by strided
    slices, whose transpose is a sum of slices, and one matrix product does the work. Elsewhere XLA's own convolution
    is used.

    Args:
        x: One image.
        weight: Filters, rows ordered as (row of the patch, column of the patch, channel).
        stride: Distance between outputs.
        formulation: ``"patches"`` or ``"xla"``; by default what is faster on the backend.
    """
    if formulation is None:
        formulation = "patches" if jax.default_backend() == "cpu" else "xla"
    return _PATHS[formulation](x, weight, stride)


def _by_patches(x: Float[Array, "h w c"], weight: Float[Array, "patch out"], stride: int) -> Array:
    height, width, channels = x.shape
    rows, columns = -(-height // stride), -(-width // stride)
    padded = jnp.pad(x, ((1, 1), (1, 1), (0, 0)))
    parts = [
        jax.lax.slice(
            padded,
            (i, j, 0),
            (i + (rows - 1) * stride + 1, j + (columns - 1) * stride + 1, channels),
            (stride, stride, 1),
        )
        for i in range(WIDTH)
        for j in range(WIDTH)
    ]
    return jnp.concatenate(parts, axis=-1) @ weight


def _by_xla(x: Float[Array, "h w c"], weight: Float[Array, "patch out"], stride: int) -> Array:
    filters = weight.reshape(WIDTH, WIDTH, x.shape[-1], weight.shape[-1])
    rows, columns = -(-x.shape[0] // stride), -(-x.shape[1] // stride)
    # The border that the patches have: one on the near side, as much as is needed on the far one.
    far = tuple((n - 1) * stride + WIDTH - 1 - size for n, size in ((rows, x.shape[0]), (columns, x.shape[1])))
    out = jax.lax.conv_general_dilated(
        x[None],
        filters,
        (stride, stride),
        [(1, far[0]), (1, far[1])],
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
    return out[0]


_PATHS = {"patches": _by_patches, "xla": _by_xla}
