"""Energies of many configurations, in the precision that was asked for."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from energax._errors import ArgumentError
from energax.energies import AbstractEnergy


@contextlib.contextmanager
def in_precision(energy: AbstractEnergy, dtype: DTypeLike | None) -> Iterator[AbstractEnergy]:
    """The energy with its floating-point leaves in `dtype`, inside a 64-bit scope where that is needed.

    With None nothing is changed.
    """
    if dtype is None:
        yield energy
        return
    wanted = np.dtype(dtype)
    if wanted not in (np.dtype(np.float32), np.dtype(np.float64)):
        raise ArgumentError(f"`dtype` must be None, float32 or float64, got {wanted}.")
    scope = jax.enable_x64(True) if wanted == np.float64 else contextlib.nullcontext()
    with scope:
        yield jax.tree.map(lambda leaf: _cast(leaf, wanted), energy)


def _cast(leaf: Any, dtype: np.dtype) -> Any:
    return jnp.asarray(leaf, dtype) if eqx.is_inexact_array(leaf) else leaf


def to_float64(values: Any, what: str) -> np.ndarray:
    """Energies as float64 on the host; +∞ is allowed, NaN and −∞ are not.

    Raises:
        ArgumentError: An energy is NaN or −∞.
    """
    host = np.asarray(values, np.float64)
    bad = np.isnan(host) | np.isneginf(host)
    if bad.any():
        raise ArgumentError(
            f"The energy is {host[bad][0]} at {int(bad.sum())} of {host.size} {what}; it must be a number or +inf."
        )
    return host
