"""The activations of all networks, by name."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array

from energax._errors import ArgumentError

ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "silu": jax.nn.silu,
    "tanh": jnp.tanh,
    "softplus": jax.nn.softplus,
    "elu": jax.nn.elu,
    "relu": jax.nn.relu,
}
"""Activations by name; all are Lipschitz, so that a confined network stays integrable."""


def check_activation(name: str) -> None:
    """Raise `ArgumentError` for a name that is not among `ACTIVATIONS`."""
    if name not in ACTIVATIONS:
        raise ArgumentError(f"Unknown activation {name!r}. Known: {', '.join(sorted(ACTIVATIONS))}.")
