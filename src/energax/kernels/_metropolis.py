"""Accepting and rejecting, shared by all Metropolis–Hastings kernels."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from energax._typing import BoolScalar, Configuration, PRNGKey, Scalar
from energax.kernels._base import StepInfo
from energax.random import normal


def metropolis(log_ratio: Scalar, value: Scalar, *, key: PRNGKey) -> StepInfo:
    """Accept with probability min(1, exp(log_ratio)); NaN and −inf energies are rejected and reported.

    Args:
        log_ratio: Logarithm of the Metropolis–Hastings ratio. NaN where an energy or a score is.
        value: Energy of the proposal. +inf is outside the support and an ordinary rejection.
        key: Random key.
    """
    is_finite = (value == jnp.inf) | (jnp.isfinite(value) & ~jnp.isnan(log_ratio))
    accept_prob = jnp.where(is_finite & ~jnp.isnan(log_ratio), jnp.exp(jnp.minimum(log_ratio, 0.0)), 0.0)
    accepted = jax.random.uniform(key, (), accept_prob.dtype) < accept_prob
    return StepInfo(accept_prob, accepted, is_finite)


def select(accepted: BoolScalar, new: Configuration, old: Configuration) -> Configuration:
    """`new` where accepted, leaf by leaf."""
    return jax.tree.map(lambda a, b: jnp.where(accepted, a, b), new, old)


def normal_like(x: Configuration, *, key: PRNGKey) -> Configuration:
    """Independent standard normal numbers with the structure, shapes and dtypes of `x`."""
    leaves, treedef = jax.tree.flatten(x)
    keys = jax.random.split(key, len(leaves)) if len(leaves) > 1 else [key]
    noise = [normal(leaf.shape, leaf.dtype, key=k) for k, leaf in zip(keys, leaves, strict=True)]
    return jax.tree.unflatten(treedef, noise)


def combine(fn: Callable[..., jax.Array], *trees: Configuration) -> Configuration:
    """`jax.tree.map` under the name that the formulas of the kernels read well with."""
    return jax.tree.map(fn, *trees)


def squared_norm(x: Configuration) -> Scalar:
    """Σ x_i² over all leaves."""
    return sum((jnp.sum(leaf**2) for leaf in jax.tree.leaves(x)), start=jnp.zeros(()))


def all_finite(x: Configuration) -> BoolScalar:
    """Whether every number of `x` is finite."""
    return jnp.all(jnp.stack([jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(x)]))
