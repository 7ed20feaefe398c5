"""What networks see of sites: numbers as they are, two values as ∓1, categories as indicators."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from energax.spaces import AbstractArraySpace, AbstractDiscreteSpace, AbstractTwoValuedSpace


def num_site_features(space: AbstractArraySpace) -> int:
    """Numbers that one site becomes."""
    if isinstance(space, AbstractDiscreteSpace) and not isinstance(space, AbstractTwoValuedSpace):
        return len(space.values)
    return 1


def site_features(space: AbstractArraySpace, x: Array, dtype: Any) -> Float[Array, "*sites features"]:
    """The numbers of every site, in the wider of the dtypes of x and `dtype` where x is real."""
    if num_site_features(space) > 1:
        return jax.nn.one_hot(x, num_site_features(space), dtype=dtype)
    y = x.astype(jnp.promote_types(x.dtype, dtype))[..., None]
    if isinstance(space, AbstractTwoValuedSpace):
        first, second = space.values
        # Also between the two values, where the gradient is taken.
        y = (2 * y - (first + second)) / (second - first)
    return y
