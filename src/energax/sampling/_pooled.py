"""Warm-up of microcanonical Langevin dynamics from all chains together."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, PyTree

from energax._typing import Configuration, PRNGKey
from energax.energies import AbstractEnergy
from energax.kernels import MCLMC

ERROR_VARIANCE = 1e-4
"""Wanted variance of the energy error of a step, for each dimension."""

_MEMORY = 0.95
"""How much of the running mean of errors a step keeps: that of the last twenty or so."""

_WORST = 1e4
"""Errors count at most as so many times the wanted one, as do steps that met a number that is not finite."""


def tuned_together(
    energy: AbstractEnergy, kernel: MCLMC, x: Configuration, num_steps: int, *, key: PRNGKey
) -> tuple[MCLMC, PyTree[Array], int]:
    """The kernel with its step size and preconditioner, the ends of the chains, and the gradients of each.

    Windows of 1/9, 4/9 and 4/9 of the steps. In each step the mean over the chains of the squared energy error, which
    grows as h⁶, moves h to where its share of each dimension is 10⁻⁴. Between the windows the scales of the directions
    become (Var x / Var s)^{1/4}, s = −∇E: for a normal law both are its variance, and where the chains have not been
    everywhere yet the scores already tell.
    """
    first = max(2, num_steps // 9)
    lengths = (first, (num_steps - first) // 2, num_steps - first - (num_steps - first) // 2)
    kernel = eqx.tree_at(
        lambda k: k.preconditioner, kernel, _scales_at(energy, kernel, x, key), is_leaf=lambda leaf: leaf is None
    )
    for i, length in enumerate(lengths):
        window = jnp.asarray(length)
        kernel, x, scales = _window(energy, kernel, x, window, jax.random.fold_in(key, i))
        if i + 1 < len(lengths):
            kernel = eqx.tree_at(lambda k: k.preconditioner, kernel, scales)
    return kernel, x, 2 * num_steps


@eqx.filter_jit
def _scales_at(energy: AbstractEnergy, kernel: MCLMC, x: Configuration, key: PRNGKey) -> Configuration:
    """Scales from the starts alone; those that tell nothing, such as of equal starts, are the kernel's own or one."""
    keys = jax.random.split(key, len(jax.tree.leaves(x)[0]))
    state = jax.vmap(lambda y, k: kernel.init(energy, y, key=k))(x, keys)
    own = kernel.preconditioner
    if own is None:
        own = jax.tree.map(lambda leaf: jnp.ones(leaf.shape[1:], leaf.dtype), state.score)
    return jax.tree.map(_scale, *(jax.tree.map(lambda a: jnp.var(a, axis=0), t) for t in (x, state.score)), own)


def _scale(var_x: Array, var_score: Array, otherwise: Array) -> Array:
    ratio = (var_x / var_score) ** 0.25
    return jnp.where(jnp.isfinite(ratio) & (ratio > 0), ratio, otherwise).astype(otherwise.dtype)


@eqx.filter_jit
def _window(
    energy: AbstractEnergy, kernel: MCLMC, x: Configuration, length: Array, key: PRNGKey
) -> tuple[MCLMC, Configuration, Configuration]:
    """Some steps of all chains; how many the compiler does not know, so that all windows share one compilation."""
    num_chains = len(jax.tree.leaves(x)[0])
    state = jax.vmap(lambda y, k: kernel.init(energy, y, key=k))(x, jax.random.split(key, num_chains))
    num_sites = ravel_pytree(jax.tree.map(lambda leaf: leaf[0], x))[0].size
    begin = jnp.log(kernel.step_size)
    zeros = jax.tree.map(
        lambda leaf: jnp.zeros(leaf.shape[1:], leaf.dtype), (state.x, state.x, state.score, state.score)
    )

    def step(i: Array, carry: Any) -> Any:
        state, log_size, errors, weight, sums = carry
        current = kernel.with_step_size(jnp.exp(log_size))
        keys = jax.random.split(jax.random.fold_in(key, i + num_chains), num_chains)
        state, _, error = jax.vmap(lambda s, k: current.step_with_error(energy, s, key=k))(state, keys)
        share = jnp.mean(jnp.minimum(jnp.nan_to_num(error**2, nan=jnp.inf) / (num_sites * ERROR_VARIANCE), _WORST))
        # ξ/h⁶ does not depend on h, so that errors of other step sizes count too.
        errors = _MEMORY * errors + share * jnp.exp(6.0 * (begin - log_size))
        weight = _MEMORY * weight + 1.0
        wanted = begin - jnp.log(errors / weight + 1e-10) / 6.0
        log_size = jnp.clip(wanted, log_size - 0.3, log_size + 0.1)
        late = (2 * i >= length).astype(log_size.dtype)
        moments = jax.tree.map(
            lambda leaf: jnp.mean(leaf, axis=0), (state.x, _squared(state.x), state.score, _squared(state.score))
        )
        return state, log_size, errors, weight, jax.tree.map(lambda a, b: a + late * b, sums, moments)

    zero = jnp.zeros((), begin.dtype)
    state, log_size, _, _, sums = jax.lax.fori_loop(0, length, step, (state, begin, zero, zero, zeros))
    x1, x2, s1, s2 = jax.tree.map(lambda leaf: leaf / (length - (length + 1) // 2), sums)
    spread = [jax.tree.map(lambda second, first: second - first**2, *pair) for pair in ((x2, x1), (s2, s1))]
    scales = jax.tree.map(_scale, *spread, kernel.preconditioner)
    return kernel.with_step_size(jnp.exp(log_size)), state.x, scales


def _squared(tree: PyTree[Array]) -> PyTree[Array]:
    return jax.tree.map(jnp.square, tree)
