"""Looking for modes that neither the data nor annealing leads to."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, PyTree

from energax._typing import Configuration, PRNGKey
from energax.densities import AbstractDensity
from energax.energies import (
    AbstractEnergy,
    Block,
    Tempered,
    blocks,
    conditional_logits,
    latent,
    marginal,
    observed_space,
)
from energax.kernels import AbstractKernel, target
from energax.spaces import Product

_COLDEST = 4.0
"""Inverse temperature at the end of a quench: deep enough to fall, warm enough to leave flat places."""
_HALVINGS = 12
"""How often the distance at which configurations count as far apart is halved: down to a 64th of the largest one."""


def hunt(
    energy: AbstractEnergy, kernel: AbstractKernel, base: AbstractDensity, *, num: int, num_sweeps: int, key: PRNGKey
) -> PyTree[np.ndarray]:
    """Configurations of low energy, far from each other, found by quenches from starts of many kinds.

    Discrete models are cooled from uniform configurations, from draws of the base, and, where there are hidden units,
    from what single hidden units and random sets of them ask for: a mode that one unit guards is found even if no
    visible start leads to it. Continuous models are descended from over-dispersed starts.

    Args:
        energy: The model.
        kernel: The kernel that cools.
        base: The base law.
        num: Number of configurations.
        num_sweeps: Transitions of a quench.
        key: Random key.

    Returns:
        Configurations, (num, *event), the deepest first.
    """
    start_key, quench_key = jax.random.split(key)
    space = observed_space(energy)
    if space.is_discrete:
        x = _discrete_starts(energy, base, max(512, 4 * num), key=start_key)
        x, values = _quench(energy, kernel, x, jnp.geomspace(1.0, _COLDEST, num_sweeps), quench_key)
    else:
        x = _dispersed_starts(base, max(256, 4 * num), key=start_key)
        x, values = _descend(energy, x, num_sweeps)
    chosen = _far_apart(np.asarray(values, np.float64), jax.tree.map(np.asarray, x), num)
    return jax.tree.map(lambda leaf: np.asarray(leaf)[chosen], x)


def _discrete_starts(energy: AbstractEnergy, base: AbstractDensity, num: int, *, key: PRNGKey) -> Configuration:
    keys = jax.random.split(key, (4, num // 4))
    parts = [jax.vmap(lambda k: base.draw(key=k))(keys[0]), jax.vmap(lambda k: base.space.initial(key=k))(keys[1])]
    hidden = _hidden_starts(energy, keys[2], keys[3])
    parts += [hidden] if hidden is not None else []
    return jax.tree.map(lambda *leaves: jnp.concatenate([leaf.astype(leaves[0].dtype) for leaf in leaves]), *parts)


def _hidden_starts(energy: AbstractEnergy, single: Array, several: Array) -> Configuration | None:
    """Observed parts drawn given hidden units: one unit away from all the others, or a random set."""
    names = latent(energy)
    if names is None or Block((names.observed,)) not in blocks(energy) or not isinstance(energy.space, Product):
        return None
    parts: dict[str, Any] = energy.space.parts
    seen = parts[names.observed]
    blank = {name: jnp.full(s.shape, s.values[0], s.struct.dtype) for name, s in parts.items()}
    sizes = {name: parts[name].num_sites for name in names.hidden}

    def observed_given(hidden: Configuration, key: PRNGKey) -> Array:
        logits = conditional_logits(energy, {**blank, **hidden}, names.observed)
        return seen.draw_sites(logits, key=key)

    def one(index: Array, key: PRNGKey) -> Array:
        """All units of a kind at one value, unit `index` of the first hidden part at the other."""
        hidden = {}
        for name in names.hidden:
            space, flip = parts[name], index // sizes[names.hidden[0]] % 2 == 1
            low, high = space.values[0], space.values[-1]
            rest = jnp.where(flip, high, low)
            flat = jnp.full(space.num_sites, rest).at[index % space.num_sites].set(jnp.where(flip, low, high))
            hidden[name] = flat.reshape(space.shape).astype(space.struct.dtype)
        return observed_given(hidden, key)

    def random(key: PRNGKey) -> Array:
        *keys, last = jax.random.split(key, len(names.hidden) + 1)
        hidden = {}
        for name, k in zip(names.hidden, keys, strict=True):
            space = parts[name]
            share_key, draw_key = jax.random.split(k)
            other = jax.random.bernoulli(draw_key, jax.random.uniform(share_key), space.shape)
            hidden[name] = jnp.where(other, space.values[-1], space.values[0]).astype(space.struct.dtype)
        return observed_given(hidden, last)

    singles = jax.vmap(one)(jnp.arange(len(single)), single)
    return jnp.concatenate([singles, jax.vmap(random)(several)])


@eqx.filter_jit
def _quench(
    energy: AbstractEnergy, kernel: AbstractKernel, x: Configuration, betas: Array, key: PRNGKey
) -> tuple[Configuration, Array]:
    moved = target(energy, kernel)

    def chain(x: Configuration, key: PRNGKey) -> Configuration:
        def step(x: Configuration, inputs: Any) -> tuple[Configuration, None]:
            beta, index = inputs
            cold = Tempered(moved, beta)
            init_key, step_key = jax.random.split(jax.random.fold_in(key, index))
            return kernel.step(cold, kernel.init(cold, x, key=init_key), key=step_key)[0].x, None

        return jax.lax.scan(step, x, (betas, jnp.arange(betas.size)))[0]

    count = jax.tree.leaves(x)[0].shape[0]
    x = jax.vmap(chain)(x, jax.random.split(key, count))
    return x, jax.vmap(marginal(energy))(x)


def _dispersed_starts(base: AbstractDensity, num: int, *, key: PRNGKey) -> Configuration:
    """Draws of the base, half of them spread about its mean by a factor of three and folded into the space."""
    x = jax.vmap(lambda k: base.draw(key=k))(jax.random.split(key, num))

    def spread(leaf: Array) -> Array:
        centre = jnp.mean(leaf, axis=0)
        far = jnp.arange(num).reshape(-1, *[1] * (leaf.ndim - 1)) % 2 == 1
        return jnp.where(far, centre + 3.0 * (leaf - centre), leaf)

    return jax.vmap(base.space.fold)(jax.tree.map(spread, x))


@eqx.filter_jit
def _descend(energy: AbstractEnergy, x: Configuration, num_steps: int) -> tuple[Configuration, Array]:
    free = marginal(energy)
    fold = free.space.fold
    scale = jnp.mean(jnp.stack([jnp.std(leaf) for leaf in jax.tree.leaves(x)]))
    optimizer = optax.adam(optax.linear_schedule(1.0, 0.02, num_steps))

    def chain(x: Configuration) -> Configuration:
        def step(carry: Any, _: None) -> Any:
            y, state = carry
            gradient = jax.grad(lambda z: free(fold(z)))(y)
            updates, state = optimizer.update(gradient, state)
            moved = jax.tree.map(lambda a, u: a + (0.1 * scale * u).astype(a.dtype), y, updates)
            return (moved, state), None

        return fold(jax.lax.scan(step, (x, optimizer.init(x)), None, length=num_steps)[0][0])

    x = jax.vmap(chain)(x)
    return x, jax.vmap(free)(x)


def _far_apart(values: np.ndarray, x: PyTree[np.ndarray], num: int) -> np.ndarray:
    """Indices of `num` rows: the deepest of those far apart, then of those half as far apart, and so on.

    A deep mode has many configurations that are deeper than any of a shallow one, which can be broad and weigh as
    much. Distances come first, so that one mode does not take the places of the others. Rows whose value is no number
    come last.
    """
    rows = np.concatenate([leaf.reshape(len(values), -1).astype(np.float64) for leaf in jax.tree.leaves(x)], axis=1)
    finite = np.isfinite(values) & np.isfinite(rows).all(axis=1)
    order = np.argsort(np.where(finite, values, np.inf), kind="stable")
    left = [int(i) for i in order if finite[i]]
    farthest = float(np.max(np.sum((rows[left] - rows[left[0]]) ** 2, axis=1))) if left else 0.0
    taken: list[int] = []
    for radius in [*farthest * 0.5 ** np.arange(1, _HALVINGS + 1), 0.0]:
        rest: list[int] = []
        for index in left:
            near = taken and np.min(np.sum((rows[taken] - rows[index]) ** 2, axis=1)) <= radius
            (rest if near or len(taken) == num else taken).append(index)
        left = rest
    return np.asarray([*taken, *left, *(int(i) for i in order if not finite[i])][:num])
