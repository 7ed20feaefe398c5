"""Latent machines with few hidden units: log Z from the hidden side, with everything observed summed out."""

from __future__ import annotations

import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree

from energax._typing import PRNGKey
from energax.energies import AbstractEnergy, Block, Marginal, blocks, conditional_logits, latent
from energax.spaces import AbstractArraySpace, AbstractDiscreteSpace, AbstractSpace, Product

MOST_SITES = 32
"""A sweep over n hidden units costs n evaluations of the energy; with more of them block Gibbs is the better buy."""


def hidden_side(energy: AbstractEnergy) -> Marginal | None:
    """E(h) = −log Σ_v exp(−E(v, h)) of a machine with few hidden units, None where that is not the smaller side.

    It has the log Z of the machine. Single hidden units that see the observed ones summed out move where block Gibbs
    is stuck: the observed units that hold a hidden one in place give way in the same step.
    """
    names = latent(energy)
    if names is None or len(names.hidden) != 1 or not isinstance(energy.space, Product):
        return None
    seen, hidden = (energy.space.parts[name] for name in (names.observed, *names.hidden))
    if not (isinstance(seen, AbstractArraySpace) and isinstance(hidden, AbstractDiscreteSpace)):
        return None
    known = blocks(energy)
    if Block((names.observed,)) not in known or Block(names.hidden) not in known:
        return None
    return Marginal(energy, names.hidden[0]) if hidden.num_sites < min(math.prod(seen.shape), MOST_SITES + 1) else None


@eqx.filter_jit
def hidden_rows(side: Marginal, rows: PyTree[np.ndarray], *, key: PRNGKey) -> PyTree[Any]:
    """A draw of the hidden units given each row of observed ones."""
    space: Any = side.space
    (observed,) = side.summed
    first = jnp.full(space.shape, space.values[0], space.struct.dtype)

    def draw(row: Any, key: PRNGKey) -> Any:
        logits = conditional_logits(side.energy, {observed: row, side.keep: first}, side.keep)
        return space.draw_sites(logits, key=key)

    return jax.vmap(draw)(jax.tree.map(jnp.asarray, rows), jax.random.split(key, len(jax.tree.leaves(rows)[0])))


@eqx.filter_jit
def observed_shares(side: Marginal, draws: Any) -> Array:
    """Mean probabilities of the values of the observed units given draws of the hidden ones, of each ladder.

    Args:
        side: What `hidden_side` returns, with discrete observed units.
        draws: Hidden units, (ladder, draw, *shape).

    Returns:
        (ladder, *observed, value).
    """
    (observed,) = side.summed
    space: Any = observed_part(side)
    first = jnp.full(space.shape, space.values[0], space.struct.dtype)

    def law(hidden: Any) -> Array:
        logits = conditional_logits(side.energy, {observed: first, side.keep: hidden}, observed)
        # Two-valued sites have one logit, of the second value against the first.
        every = jnp.stack([jnp.zeros_like(logits), logits], axis=-1) if len(space.values) == 2 else logits
        return jax.nn.softmax(every)

    return jax.lax.map(lambda ladder: jax.vmap(law)(ladder).mean(axis=0), draws)


def observed_part(side: Marginal) -> AbstractSpace:
    """The space of the observed units, which are summed out."""
    space: Any = side.energy.space
    return space.parts[side.summed[0]]
