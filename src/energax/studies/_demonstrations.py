"""What a model can show beside draws: its density over the plane, ways between rows, and rows without their noise."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from energax import exact
from energax._typing import PRNGKey
from energax.data import Data
from energax.densities import AbstractAutoencoder, AbstractLatentGenerator
from energax.spaces import AbstractDiscreteSpace
from energax.studies._restore import NOISE, Restore
from energax.studies._subjects import AbstractSubject, in_time

GRID = 64
_NUM_WAYS = 6
_NUM_PLACES = 11
_NUM_NOISY = 20
_FLIPPED = 0.1


def demonstrations(
    subject: AbstractSubject, data: Data, *, restore: Restore | None, key: PRNGKey, seconds: float
) -> dict[str, np.ndarray]:
    """Arrays that the page shows, in the user's units; each is there only where the model allows it.

    ``grid``: log-density over the plane, (y, x), with ``grid_x`` and ``grid_y``. ``ways``: (way, place, *row) between
    two test rows, or between draws where rows have no latent. ``noisy``, ``denoised``, ``clean``: rows with noise of
    half a standard deviation, or with a tenth of the bits flipped, and what the model makes of them.

    Args:
        subject: The trained model.
        data: The data as it sees them.
        restore: From the model and noisy rows to what it makes of them; None where it has no answer.
        key: Random key.
        seconds: For the map of the density, which is left out where it would take longer.
    """
    map_key, way_key, noise_key = jax.random.split(key, 3)
    found = _grid(subject, data, seconds, map_key) if data.space.num_sites == 2 else {}
    back = data.transform.inverse
    if isinstance(subject.model, AbstractLatentGenerator):
        ways = np.asarray(_ways(subject.model, jnp.asarray(_rows(data, 2 * _NUM_WAYS)), way_key))
        found["ways"] = back(ways.reshape(-1, *data.space.shape)).reshape(ways.shape)
    if restore is None or data.space.num_sites == 2:
        return found
    clean = _rows(data, _NUM_NOISY)
    noisy = _spoiled(clean, data, noise_key)
    restored = np.asarray(restore(subject.model, jnp.asarray(noisy)))
    return found | {"noisy": back(noisy), "denoised": back(restored), "clean": back(clean)}


def _rows(data: Data, count: int) -> np.ndarray:
    return np.asarray(data.test.take(np.arange(min(count, len(data.test)))))


def _grid(subject: AbstractSubject, data: Data, seconds: float, key: PRNGKey) -> dict[str, np.ndarray]:
    """Log-density at the centres of a grid, in the user's units."""
    if subject.kind in ("none", "interval"):
        return {}
    axes, points = _plane(data)
    rows = data.transform.forward(points).astype(np.float32)

    def call(i: int) -> np.ndarray:
        part = rows[i * subject.chunk : (i + 1) * subject.chunk]
        values = subject.log_prob(part, key=jax.random.fold_in(key, i))
        assert values is not None, "the kind is known"
        return values

    values, _ = in_time(call, len(rows), 1, seconds)
    if len(values) < len(rows):
        return {}
    values = values + data.transform.log_det(rows)
    return {"grid_x": axes[0], "grid_y": axes[1], "grid": values.reshape(GRID, GRID).T}


def _plane(data: Data) -> tuple[tuple[np.ndarray, np.ndarray], np.ndarray]:
    """Axes and points of a grid that holds the data, the second coordinate varying fastest."""
    if data.density is not None:
        seen = exact.grid(data.density, num_points=GRID, log_z=0.0)
        return (seen.axes[0], seen.axes[1]), seen.points()
    rows = data.transform.inverse(_rows(data, 5_000))
    low, high = rows.min(0), rows.max(0)
    room = 0.1 * (high - low)
    axes = [np.linspace(a, b, GRID) for a, b in zip(low - room, high + room, strict=True)]
    return (axes[0], axes[1]), np.stack([g.reshape(-1) for g in np.meshgrid(*axes, indexing="ij")], axis=1)


@eqx.filter_jit
def _ways(model: AbstractLatentGenerator, rows: jax.Array, key: PRNGKey) -> jax.Array:
    """Along great circles between latents, which keep the length that the prior gives them."""
    count = len(rows) // 2
    keys = jax.random.split(key, 2 * count)
    if isinstance(model, AbstractAutoencoder):
        latents = jax.vmap(lambda x, k: model.encode(x, key=k))(rows[: 2 * count], keys)
    else:
        latents = jax.vmap(lambda k: model.draw_latent(key=k))(keys)
    places = jnp.linspace(0.0, 1.0, _NUM_PLACES)

    def way(a: jax.Array, b: jax.Array) -> jax.Array:
        cosine = jnp.vdot(a, b) / (jnp.linalg.norm(a) * jnp.linalg.norm(b) + 1e-12)
        angle = jnp.arccos(jnp.clip(cosine, -0.999, 0.999))
        return jax.vmap(
            lambda t: model.decode((jnp.sin((1 - t) * angle) * a + jnp.sin(t * angle) * b) / jnp.sin(angle))
        )(places)

    return jax.vmap(way)(latents[:count], latents[count:])


def _spoiled(rows: np.ndarray, data: Data, key: PRNGKey) -> np.ndarray:
    if isinstance(data.space, AbstractDiscreteSpace):
        flipped = np.asarray(jax.random.bernoulli(key, _FLIPPED, rows.shape))
        return np.where(flipped, 1 - rows, rows).astype(rows.dtype)
    return (rows + NOISE * np.asarray(jax.random.normal(key, rows.shape))).astype(rows.dtype)
