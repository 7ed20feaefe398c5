"""Walkers that draw sites under weights of energy bins: the compiled loop of Wang–Landau and multicanonical runs."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from energax._errors import Diverged
from energax._typing import Configuration, PRNGKey, Scalar
from energax.energies import (
    AbstractEnergy,
    EnergyBins,
    conditional_logits_at,
    energies_of_values,
    flat_energy,
)
from energax.kernels import SiteProposal
from energax.spaces import AbstractDiscreteSpace, AbstractTwoValuedSpace

_KEPT = 64
"""Kept draws of one compiled call."""
_FEW_BINS = 512
"""Bins up to which it is faster to compare each visit with each of them than to scatter."""
_LEAST_STAGE = 16
"""Sweeps before a histogram can be called flat."""


class Weights(eqx.Module):
    """What the repeats know of the number of states: log g in two parts, for small additions to large numbers.

    Attributes:
        high: log g, 0 at the smallest one, (repeat, bin).
        low: What its rounding left over.
        seen: Visits since ln f was halved.
        total: All visits.
        factor: ln f of each repeat, which each visit adds to log g.
        late: Whether ln f follows 1/t.
        num_sweeps: Sweeps since the start.
        stage: Sweeps since ln f was halved.
    """

    high: Float[Array, "repeat bin"]
    low: Float[Array, "repeat bin"]
    seen: Int[Array, "repeat bin"]
    total: Int[Array, "repeat bin"]
    factor: Float[Array, " repeat"]
    late: Bool[Array, " repeat"]
    num_sweeps: Int[Array, ""]
    stage: Int[Array, " repeat"]


def first_weights(num_repeats: int, num_bins: int) -> Weights:
    """Nothing is known, and ln f = 1."""
    table, count = jnp.zeros((num_repeats, num_bins)), jnp.zeros((num_repeats, num_bins), jnp.int32)
    return Weights(
        table, table, count, count, jnp.ones(num_repeats), jnp.zeros(num_repeats, bool),
        jnp.zeros((), jnp.int32), jnp.zeros(num_repeats, jnp.int32),
    )  # fmt: skip


def walk(
    energy: AbstractEnergy,
    bins: EnergyBins,
    x: Configuration,
    weights: Weights,
    keys: Array,
    num_sweeps: int,
    spacing: int,
    flatness: float | None,
    progress: Any,
) -> tuple[Configuration, Weights, np.ndarray]:
    """Run all walkers, and keep their energies every `spacing` sweeps, (repeat, walker, draw).

    Weights learn where `flatness` is a number, and are left alone where it is None.
    """
    pieces, done = [], 0
    while done < num_sweeps:
        length = min(_KEPT, (num_sweeps - done) // spacing)
        learns = jnp.asarray(0.0 if flatness is None else flatness), jnp.asarray(flatness is not None)
        x, weights, kept = _sweeps(energy, bins, x, weights, keys, jnp.asarray([length, spacing]), learns)
        pieces.append(np.asarray(kept, np.float64)[:, :, :length])
        if not np.isfinite(pieces[-1]).all():
            raise Diverged("A walker came to an energy that is not finite, and a histogram needs finite energies.")
        done += length * spacing
        if progress is not None:
            progress(done, num_sweeps)
    return x, weights, np.concatenate(pieces, axis=2)


@eqx.filter_jit
def _sweeps(
    energy: AbstractEnergy,
    bins: EnergyBins,
    x: Configuration,
    weights: Weights,
    keys: Array,
    counts: Array,
    learns: tuple[Array, Array],
) -> tuple[Configuration, Weights, Array]:
    length, spacing = counts
    values = jax.vmap(jax.vmap(energy))

    def sweep(_: Array, carry: Any) -> Any:
        x, weights, lost = carry
        x, at, visits = _visits(energy, bins, x, values(x), weights, learns[1], keys)
        after = _learned(weights, visits, x.shape[1] * x[0, 0].size, learns[0])
        counted = eqx.tree_at(
            lambda w: (w.total, w.num_sweeps), weights, (weights.total + visits, weights.num_sweeps + 1)
        )
        weights = jax.tree.map(lambda new, old: jnp.where(learns[1], new, old), after, counted)
        return x, weights, lost | jnp.isnan(at)

    def kept(i: Array, carry: Any) -> Any:
        inner, store = carry
        inner = jax.lax.fori_loop(0, spacing, sweep, inner)
        x, _, lost = inner
        return inner, store.at[:, :, i].set(jnp.where(lost, jnp.nan, values(x)))

    store = jnp.zeros((*x.shape[:2], _KEPT), jax.eval_shape(values, x).dtype)
    carry = (x, weights, jnp.zeros(x.shape[:2], bool))
    (x, weights, _), store = jax.lax.fori_loop(0, length, kept, (carry, store))
    return x, weights, store


def _visits(
    energy: AbstractEnergy,
    bins: EnergyBins,
    x: Configuration,
    at: Float[Array, "repeat walker"],
    weights: Weights,
    learn: Bool[Array, ""],
    keys: Array,
) -> tuple[Configuration, Float[Array, "repeat walker"], Int[Array, "repeat bin"]]:
    """A sweep of every walker through its sites, the energies, and how often each repeat was in each bin."""
    step = jnp.where(learn, weights.factor, 0.0)
    keys = jax.vmap(jax.vmap(lambda key: jax.random.fold_in(key, weights.num_sweeps)))(keys)

    def update(site: Array, carry: Any) -> Any:
        x, at, visits = carry

        def repeat(x: Array, at: Array, table: Array, visits: Array, step: Array, keys: Array) -> Any:
            # The walkers of a repeat share its log g, which grows while they sweep.
            look = lambda index: table[index] + step * visits[index]  # noqa: E731
            moved = jax.vmap(lambda x, at, key: _move(energy, bins, look, x, at, site, key))(x, at, keys)
            return *moved, count(bins(moved[1]), visits)

        return jax.vmap(repeat)(x, at, weights.high, visits, step, keys)

    def count(index: Array, visits: Array) -> Array:
        if bins.num_bins > _FEW_BINS:
            return visits.at[index].add(1)
        return visits + jnp.sum(index[:, None] == jnp.arange(bins.num_bins), axis=0, dtype=visits.dtype)

    visits = jnp.zeros(weights.seen.shape, jnp.int32)
    return jax.lax.fori_loop(0, x[0, 0].size, update, (x, at, visits))


def _move(
    energy: AbstractEnergy, bins: EnergyBins, look: Any, x: Array, at: Scalar, site: Array, key: PRNGKey
) -> tuple[Array, Scalar]:
    """One site drawn from its law under the weights; NaN where an energy is not finite, which the driver refuses."""
    old = x.reshape(-1)[site]
    law, energies = site_law(energy, bins, look, x, at, site)
    possible = law.space.masked(jnp.zeros_like(energies), site) == 0
    is_finite = jnp.all(jnp.isfinite(energies) | ~possible)
    new = jnp.where(is_finite, law.draw(key=jax.random.fold_in(key, site)), old).astype(x.dtype)
    after = jnp.sum(jnp.where(new == jnp.asarray(law.space.values), energies, 0))
    return x.reshape(-1).at[site].set(new).reshape(x.shape), jnp.where(is_finite, after, jnp.nan)


def site_law(
    energy: AbstractEnergy, bins: EnergyBins, look: Any, x: Array, at: Scalar, site: Array
) -> tuple[SiteProposal, Float[Array, " k"]]:
    """The law of one site under the weights, p(value) ∝ exp(−a(bin of E with it)), and E with each value."""
    space = energy.space
    assert isinstance(space, AbstractDiscreteSpace)
    energies = energies_of_values(space, at, conditional_logits_at(energy, x, site), x.reshape(-1)[site])
    flat = flat_energy(bins, look, energies)
    logits = flat[0] - flat[1] if isinstance(space, AbstractTwoValuedSpace) else space.masked(-flat, site)
    return SiteProposal(space, logits), energies


def _learned(weights: Weights, visits: Int[Array, "repeat bin"], num_moves: int, flatness: Array) -> Weights:
    """Log g and ln f after a sweep: ln f is halved where the histogram is flat, and follows 1/t from where it is less.

    t is the number of moves of a repeat for each of its bins.
    """
    seen, total = weights.seen + visits, weights.total + visits
    known = total > 0
    num_known = jnp.sum(known, axis=1)
    add = weights.factor[:, None] * visits + weights.low
    high = weights.high + add
    low = add - (high - weights.high)
    least = jnp.min(jnp.where(known, high, jnp.inf), axis=1, keepdims=True)
    # Bins that nobody has seen yet count as the rarest that somebody has.
    high, low = jnp.where(known, high - least, 0.0), jnp.where(known, low, 0.0)
    num_sweeps, stage = weights.num_sweeps + 1, weights.stage + 1
    smallest = jnp.min(jnp.where(known, seen, jnp.iinfo(seen.dtype).max), axis=1)
    mean = jnp.sum(seen.astype(high.dtype), axis=1) / num_known
    flat = (smallest >= flatness * mean) & (stage >= _LEAST_STAGE)
    slow = num_known / (num_sweeps.astype(high.dtype) * num_moves)
    factor = jnp.where(flat, 0.5 * weights.factor, weights.factor)
    late = weights.late | (factor <= slow)
    factor = jnp.where(late, slow, factor)
    seen, stage = jnp.where(flat[:, None], 0, seen), jnp.where(flat, 0, stage)
    return Weights(high, low, seen, total, factor, late, num_sweeps, stage)
