"""Transition matrices of cluster kernels, by going through all sets of active bonds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from energax import exact
from energax._errors import NotTractable
from energax.energies import AbstractEnergy, Bonds, bonds
from energax.kernels import SwendsenWang, Wolff
from energax.testing._contract import cast_arrays
from energax.testing._transitions import transition_matrix

_MOST_BONDS = 18
_CHUNK = 2**20
"""Numbers that one compiled call returns at most."""


@transition_matrix.register
def _(kernel: SwendsenWang, energy: AbstractEnergy) -> Float[np.ndarray, "states states"]:
    with jax.enable_x64(True):
        kernel, energy = cast_arrays((kernel, energy), np.float64)
        model, table = _model(energy)

        def row(old: Array, active: Array) -> Array:
            law = kernel.cluster_law(model, old, active)
            return jnp.exp(jax.vmap(law.log_prob)(jnp.asarray(table)))

        matrix = np.zeros((len(table), len(table)))
        for start, probs, rows in _over_bonds(kernel, model, table, row, len(table)):
            for one in np.unique(start):
                matrix[one] += probs[start == one] @ rows[start == one]
    return matrix


@transition_matrix.register
def _(kernel: Wolff, energy: AbstractEnergy) -> Float[np.ndarray, "states states"]:
    with jax.enable_x64(True):
        kernel, energy = cast_arrays((kernel, energy), np.float64)
        model, table = _model(energy)
        num_sites, count = model.fields.shape
        place = jnp.asarray(count ** np.arange(num_sites)[::-1])
        seeds, turns = np.indices((num_sites, count - 1)).reshape(2, -1)

        def moves(old: Array, active: Array) -> tuple[Array, Array]:
            def one(seed: Array, turn: Array) -> tuple[Array, Array]:
                new, log_ratio = kernel.turned(model, old, active, seed, turn)
                return new @ place, jnp.exp(jnp.minimum(log_ratio, 0.0)) / len(seeds)

            return jax.vmap(one)(jnp.asarray(seeds), jnp.asarray(turns + 1))

        matrix = np.zeros((len(table), len(table)))
        for start, probs, (ends, accept) in _over_bonds(kernel, model, table, moves, 4 * len(seeds)):
            places, sums = _sums_by_place(start[:, None] * len(table) + ends, probs[:, None] * accept)
            matrix.reshape(-1)[places] += sums
        stays = 1 - matrix.sum(1)
    return matrix + np.diag(stays)


def _model(energy: AbstractEnergy) -> tuple[Bonds, Int[np.ndarray, "states sites"]]:
    """The bonds, and all configurations as values that are counted from 0, in the order of `exact.states`."""
    model = bonds(energy)
    assert model is not None
    if len(model.pairs) > _MOST_BONDS:
        raise NotTractable(f"There are 2^{len(model.pairs)} sets of bonds, too many to go through.")
    num_sites, count = model.fields.shape
    assert exact.num_states(energy.space) == count**num_sites
    return model, np.stack(np.unravel_index(np.arange(count**num_sites), (count,) * num_sites), axis=1)


def _sums_by_place(
    places: Int[np.ndarray, "sets moves"], values: Float[np.ndarray, "sets moves"]
) -> tuple[np.ndarray, np.ndarray]:
    """Each place once, with the sum of its values.

    Pairwise sums: a quarter of a million of them, one after the other, would round by more than a matrix may be off.
    """
    order = np.argsort(places, axis=None, kind="stable")
    found, first = np.unique(places.reshape(-1)[order], return_index=True)
    return found, np.add.reduceat(values.reshape(-1)[order], first)


def _over_bonds(
    kernel: Any, model: Bonds, table: np.ndarray, fn: Callable[[Array, Array], Any], width: int
) -> Iterator[tuple[np.ndarray, np.ndarray, Any]]:
    """Numbers of configurations, the probability of a set of bonds that each allows, and `fn` of the two, in chunks."""
    actives: Bool[np.ndarray, "sets bonds"] = (
        np.arange(2 ** len(model.pairs))[:, None] >> np.arange(len(model.pairs))
    ) & 1 == 1

    @jax.jit
    def log_probs(old: Array) -> Array:
        law = kernel.bond_law(model, old)
        return jax.vmap(law.log_prob)(jnp.asarray(actives))

    found = np.stack([np.asarray(log_probs(jnp.asarray(old))) for old in table])
    which, sets = np.nonzero(found > -np.inf)
    step = max(1, _CHUNK // width)
    compiled = jax.jit(jax.vmap(fn))
    for first in range(0, len(which), step):
        # The last chunk is filled up with repetitions, which are cut off, so that one compilation serves all.
        picked = np.minimum(np.arange(first, first + step), len(which) - 1)
        size = min(step, len(which) - first)
        out = compiled(jnp.asarray(table[which[picked]]), jnp.asarray(actives[sets[picked]]))
        rows = jax.tree.map(lambda leaf, size=size: np.asarray(leaf)[:size], out)
        chosen = slice(first, first + size)
        yield which[chosen], np.exp(found[which[chosen], sets[chosen]]), rows
