"""A data set in plain numbers and strings."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from energax.data._dataset import Data
from energax.densities import PLANAR_NAMES, AbstractDensity, planar_half_width

_NUM_CELLS = 400
_NUM_SHOWN = 16


def describe(data: Data) -> dict[str, Any]:
    """What `energax data NAME` shows: shapes, counts, ranges, the transform, and the entropy where the law is known.

    The entropy −∫ p log p of a planar set is a midpoint sum over 400 × 400 cells; the truth reaches a test
    log-likelihood of minus this number, and no model does better on average.

    Args:
        data: From `load` or `from_array`.

    Returns:
        A dictionary that `json.dumps` accepts. Lists of more than 16 numbers in the transform are left out.
    """
    return {
        "name": data.name,
        "kind": data.kind,
        "origin": data.origin,
        "row_shape": list(data.space.shape),
        "image_shape": None if data.image_shape is None else list(data.image_shape),
        "space": str(data.space),
        "measure": data.space.measure,
        "num_train": len(data.train),
        "num_valid": len(data.valid),
        "num_test": len(data.test),
        "value_range": list(data.value_range),
        "num_levels": data.num_levels,
        "binarize": data.binarize,
        "columns": None if data.columns is None else list(data.columns),
        "transform": _short(data.transform.to_json()),
        "log_det": float(data.transform.log_det(data.train.take(np.zeros(1, np.int64)))[0]),
        "in_memory": data.train.source.in_memory,
        "density_known": data.density is not None,
        "entropy": _entropy(data.density, data.name),
        "fingerprint": data.fingerprint,
        "notes": list(data.notes),
    }


def _short(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _short(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_short(inner) for inner in value] if len(value) <= _NUM_SHOWN else f"{len(value)} numbers"
    return value


def _entropy(density: AbstractDensity | None, name: str) -> float | None:
    """Nats, or None where no law is known."""
    if density is None or name not in PLANAR_NAMES:
        return None
    half_width = planar_half_width(name)
    edge = 2 * half_width / _NUM_CELLS
    centres = (np.arange(_NUM_CELLS) + 0.5) * edge - half_width
    grid = np.stack(np.meshgrid(centres, centres), -1)
    # row by row: the nodes of a curve times all cells would not fit in memory
    log_p = np.asarray(_log_probs(density, jnp.asarray(grid)), np.float64)
    return float(-np.sum(np.where(np.isfinite(log_p), np.exp(log_p) * np.nan_to_num(log_p, neginf=0.0), 0.0)) * edge**2)


@jax.jit
def _log_probs(density: AbstractDensity, grid: jax.Array) -> jax.Array:
    return jax.lax.map(jax.vmap(density.log_prob), grid)
