"""Resampling schemes of particle populations."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from energax._typing import PRNGKey, Scalar


def log_mean_exp(log_w: Float[Array, " n"]) -> Scalar:
    """Log of the mean weight."""
    return jax.nn.logsumexp(log_w) - jnp.log(log_w.size)


def relative_ess(log_w: Float[Array, " n"]) -> Scalar:
    """(Σw)²/(n Σw²), in (0, 1]."""
    return jnp.exp(2 * jax.nn.logsumexp(log_w) - jax.nn.logsumexp(2 * log_w)) / log_w.size


def multinomial(log_w: Float[Array, " n"], *, key: PRNGKey) -> Int[Array, " n"]:
    """Independent ancestors with probabilities proportional to the weights."""
    points = jax.random.uniform(key, log_w.shape)
    return _invert(log_w, points)


def stratified(log_w: Float[Array, " n"], *, key: PRNGKey) -> Int[Array, " n"]:
    """One point in each of n strata of the cumulative weight."""
    n = log_w.size
    return _invert(log_w, (jnp.arange(n) + jax.random.uniform(key, (n,))) / n)


def systematic(log_w: Float[Array, " n"], *, key: PRNGKey) -> Int[Array, " n"]:
    """N equidistant points with one random offset: offspring counts are within one of n w_i."""
    n = log_w.size
    return _invert(log_w, (jnp.arange(n) + jax.random.uniform(key, ())) / n)


def residual(log_w: Float[Array, " n"], *, key: PRNGKey) -> Int[Array, " n"]:
    """⌊n w_i⌋ copies of each particle, the rest by systematic resampling of the fractional parts."""
    n = log_w.size
    expected = n * jax.nn.softmax(log_w)
    whole = jnp.floor(expected)
    fraction = expected - whole
    num_whole = jnp.sum(whole).astype(jnp.int32)
    sure = jnp.searchsorted(jnp.cumsum(whole), jnp.arange(n, dtype=whole.dtype), side="right")
    missing = n - num_whole
    share = jnp.cumsum(fraction) / jnp.maximum(jnp.sum(fraction), 1e-30)
    offset = jax.random.uniform(key, ())
    rank = jnp.arange(n) - num_whole
    drawn = jnp.searchsorted(share, (rank + offset) / jnp.maximum(missing, 1), side="right")
    return jnp.clip(jnp.where(jnp.arange(n) < num_whole, sure, drawn), 0, n - 1)


def _invert(log_w: Float[Array, " n"], points: Float[Array, " n"]) -> Int[Array, " n"]:
    cumulative = jnp.cumsum(jax.nn.softmax(log_w))
    found = jnp.searchsorted(cumulative, points * cumulative[-1], side="right")
    return jnp.clip(found, 0, log_w.size - 1)


RESAMPLERS: dict[str, Callable[..., Int[Array, " n"]]] = {
    "multinomial": multinomial,
    "residual": residual,
    "stratified": stratified,
    "systematic": systematic,
}
