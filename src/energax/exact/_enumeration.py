"""log Z, laws, draws and expectations of discrete energies, by going through all configurations."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int, PyTree

from energax._errors import ArgumentError, NotTractable, Unreliable
from energax._typing import Configuration, PRNGKey
from energax.energies import AbstractEnergy, Marginal, exact_draw, log_normalizer, marginal, observed_space
from energax.exact._backward import narrow_draws
from energax.exact._elimination import narrow_log_z
from energax.exact._evaluate import in_precision, to_float64
from energax.exact._grid import grid
from energax.exact._narrow import neighbour_pairs
from energax.exact._points import num_coordinates
from energax.exact._quadrature import continuous_expectation, continuous_kl, quadrature_log_z
from energax.exact._reduction import WithoutBlock, cheapest, num_terms
from energax.exact._states import MAX_STACKED, StateTable, assemble, describe_count, discrete_leaves, num_states, states
from energax.exact._torus import torus_log_z

_CHUNK_ENTRIES = 2**23
"""Sites that one chunk holds at most, so that enumeration needs tens of megabytes and no more."""


def log_z(energy: AbstractEnergy, *, max_states: int = 2**25, dtype: DTypeLike | None = None) -> float:
    """Log Z with respect to the measure of the energy's space.

    A closed form is taken where one is known (`energies.log_normalizer`; `ising_torus`, for any energy that declares
    itself as its model). Discrete energies are enumerated over what
    is left when the largest block of conditionally independent sites is summed in closed form: over the visible or
    the hidden units of a restricted Boltzmann machine, whichever are fewer; over one colour of a lattice. Narrow
    graphs of pairs (long strips, trees) are summed site by site instead, as in `eliminate`. Continuous
    energies with one or two coordinates go to `quadrature_log_z`.

    Exactness: up to the rounding of the energy itself; sums are float64. Quadrature: to 1e-4 or better, else refused.
    Cost: one energy evaluation for each configuration that is left; tens of megabytes.

    Args:
        energy: Any energy. Of a latent energy, log Z is that of the joint law, which its marginal shares.
        max_states: The most configurations to go through.
        dtype: Precision in which the energy is evaluated; None leaves it as it is, float64 works without any global
            switch.

    Returns:
        log Z in nats.

    Raises:
        NotTractable: There are more configurations than `max_states`, or more than two continuous coordinates.
        Unreliable: Quadrature did not converge to 1e-4.

    Example:
        >>> from energax import energies, exact
        >>> round(exact.log_z(energies.Tempered(energies.Ising(3), 0.2)), 4)
        6.6697
    """
    with in_precision(energy, dtype) as precise:
        try:
            return float(log_normalizer(precise))
        except NotTractable:
            pass
        solved = torus_log_z(precise)
        if solved is not None:
            return solved
        small = cheapest(precise)
        if not small.space.is_discrete or (_is_plane(precise) and _count(small) > max_states):
            return _log_z_by_quadrature(precise)
        narrow = narrow_log_z(precise, _count(small))
        if narrow is not None:
            return narrow
        _require_tractable(_count(small), max_states, energy)
        try:
            return _log_sum(values for values, _ in _sweep(small, None))
        except ArgumentError:
            # Where the first value of a site is forbidden, its closed form is ∞ − ∞.
            if small is precise:
                raise
        _require_tractable(num_states(precise.space), max_states, energy)
        return _log_sum(values for values, _ in _sweep(precise, None))


def _is_plane(energy: AbstractEnergy) -> bool:
    """Whether the observed part has one or two continuous coordinates."""
    space = observed_space(energy)
    return not space.is_discrete and num_coordinates(space) <= 2


def _count(reduced: AbstractEnergy) -> int:
    """Number of evaluations of the energy before the reduction."""
    return num_terms(reduced) * num_states(reduced.space)


def _log_z_by_quadrature(energy: AbstractEnergy) -> float:
    if not _is_plane(energy):
        raise NotTractable(
            f"log Z of {type(energy).__name__} on {energy.space} has no closed form here; quadrature works for one or "
            "two coordinates, enumeration for discrete spaces. Estimate it with `energax.evaluation.log_z`."
        )
    result = quadrature_log_z(energy)
    if result.error > 1e-4:
        raise Unreliable(f"Quadrature gave log Z = {result.value:.6g} with an error of {result.error:.1g}.", result)
    return result.value


def log_probs(
    energy: AbstractEnergy, *, joint: bool = False, max_states: int = MAX_STACKED, dtype: DTypeLike | None = None
) -> tuple[PyTree[np.ndarray], Float[np.ndarray, " num_states"]]:
    """All configurations and their normalised log-probabilities.

    Args:
        energy: A discrete energy.
        joint: Of a latent energy, the law of the whole configuration instead of that of the observed part.
        max_states: The most configurations.
        dtype: Precision of the energy, as in `log_z`.

    Returns:
        The stacked configurations (`states`) and log p, float64.

    Raises:
        NotTractable: There are too many configurations, or the hidden part cannot be summed out.
    """
    with in_precision(energy, dtype) as precise:
        target = precise if joint else marginal(precise)
        _require_tractable(num_states(target.space), min(max_states, MAX_STACKED), energy)
        minus = -np.concatenate([values for values, _ in _sweep(target, None)])
        top = _finite_top(minus)
        return states(target.space), minus - (top + math.log(np.exp(minus - top).sum()))


def draw(
    energy: AbstractEnergy, *, joint: bool = False, max_states: int = MAX_STACKED, key: PRNGKey, num: int
) -> PyTree[Array]:
    """Independent exact draws: by the energy's own sampler, by enumeration, site by site, or from a fine grid.

    Exactness: exact where the energy has an exact sampler (`energies.exact_draw`) and for discrete energies, whose
    cumulative law is inverted; pairs on a narrow graph (see `eliminate`) may have any number of sites. With one or two
    continuous coordinates a cell of a grid of 2^20 (2-D) or 2^17 (1-D) cells is drawn and then a uniform point in it:
    second moments are off by a relative 1e-5 at most.

    Args:
        energy: A discrete energy, or a continuous one with an exact sampler or at most two coordinates.
        joint: Of a latent energy, draws of the whole configuration instead of its observed part.
        max_states: The most configurations.
        key: Random key.
        num: Number of draws.

    Returns:
        Configurations with one leading axis of length `num`.

    Raises:
        NotTractable: There are too many configurations or coordinates.
    """
    target = energy if joint else marginal(energy)
    try:
        return _draw_many(target, jax.random.split(key, num))
    except NotTractable:
        pass
    if not target.space.is_discrete:
        return _draw_from_grid(target, key=key, num=num)
    if num_states(target.space) > min(max_states, MAX_STACKED) and neighbour_pairs(target) is not None:
        count = sum(leaf.num_sites for leaf in discrete_leaves(target.space))
        return jnp.asarray(narrow_draws(target, uniform53(key=key, num=num * count).reshape(num, count)))
    table, log_p = log_probs(energy, joint=joint, max_states=max_states)
    index = draw_index(log_p, key=key, num=num)
    return jax.tree.map(lambda leaf: jnp.asarray(leaf[index]), table)


@eqx.filter_jit
def _draw_many(energy: AbstractEnergy, keys: Array) -> PyTree[Array]:
    return jax.vmap(lambda k: exact_draw(energy, key=k))(keys)


def _draw_from_grid(energy: AbstractEnergy, *, key: PRNGKey, num: int) -> PyTree[Array]:
    cells = grid(energy, num_points=2**17 if num_coordinates(energy.space) == 1 else 2**10)
    which, within = jax.random.split(key)
    centres = cells.points()[draw_index(cells.log_density.reshape(-1), key=which, num=num)]
    widths = np.asarray([(hi - lo) / len(axis) for (lo, hi), axis in zip(cells.bounds, cells.axes, strict=True)])
    offsets = uniform53(key=within, num=centres.size).reshape(centres.shape) - 0.5
    return jax.tree.map(jnp.asarray, assemble(energy.space, centres + widths * offsets, (num,)))


def draw_index(log_p: Float[np.ndarray, " k"], *, key: PRNGKey, num: int) -> Int[np.ndarray, " num"]:
    """Indices drawn with probabilities proportional to exp(log_p), with 53 random bits each."""
    cumulative = np.cumsum(np.exp(log_p - np.max(log_p)))
    index = np.searchsorted(cumulative, uniform53(key=key, num=num) * cumulative[-1], side="right")
    return np.minimum(index, len(log_p) - 1)


def uniform53(*, key: PRNGKey, num: int) -> Float[np.ndarray, " num"]:
    """Uniform numbers in [0, 1) with 53 random bits, whatever JAX's default precision."""
    bits = np.asarray(jax.random.bits(key, (2, num), jnp.uint32)).astype(np.uint64)
    return ((bits[0] >> np.uint64(5)) * float(2**26) + (bits[1] >> np.uint64(6))) / float(2**53)


def expectation(
    energy: AbstractEnergy,
    fn: Callable[[Configuration], PyTree[Array]],
    *,
    joint: bool = False,
    max_states: int = 2**22,
    dtype: DTypeLike | None = None,
) -> PyTree[np.ndarray]:
    """E[fn(x)] under the observed law: by enumeration, or by quadrature with one or two continuous coordinates.

    Args:
        energy: A discrete energy, or a continuous one with at most two coordinates.
        fn: Takes one configuration; returns any pytree of arrays.
        joint: Of a latent energy, `fn` sees the whole configuration instead of its observed part.
        max_states: The most configurations to go through.
        dtype: Precision of the energy and of `fn`.

    Returns:
        The means, float64.

    Raises:
        NotTractable: There are too many configurations or coordinates.
    """
    with in_precision(energy, dtype) as precise:
        target = precise if joint else marginal(precise)
        if not target.space.is_discrete:
            return continuous_expectation(target, fn)
        _require_tractable(num_states(target.space), max_states, energy)
        tops, masses, sums = [], [], []
        for values, outputs in _sweep(target, fn):
            top = max(float(np.max(-values)), -1e300)
            weights = np.exp(-values - top)
            tops.append(top)
            masses.append(weights.sum())
            sums.append(jax.tree.map(lambda f, w=weights: np.tensordot(w, np.asarray(f, np.float64), 1), outputs))
    scales = np.exp(np.asarray(tops) - max(tops))
    total = math.fsum(scales * np.asarray(masses))
    if not total > 0:
        raise ArgumentError("Every configuration has infinite energy: there is no law to take an expectation under.")
    return jax.tree.map(lambda *leaves: np.tensordot(scales, np.stack(leaves), 1) / total, *sums)


def kl(p: AbstractEnergy, q: AbstractEnergy, *, dtype: DTypeLike | None = None) -> float:
    """KL(p‖q) = E_p log(p/q) of the observed laws of two energies over one space: enumerable, or 1-D or 2-D continuous.

    Args:
        p: The law that the expectation is under.
        q: The other law.
        dtype: Precision of the energies, as in `log_z`.

    Returns:
        KL in nats; infinite where q has no mass but p does.

    Raises:
        NotTractable: There are too many configurations or coordinates.
    """
    if not marginal(p).space.is_discrete:
        with in_precision(p, dtype) as first, in_precision(q, dtype) as second:
            return continuous_kl(marginal(first), marginal(second))
    _, log_p = log_probs(p, dtype=dtype)
    _, log_q = log_probs(q, dtype=dtype)
    if log_p.shape != log_q.shape:
        raise ArgumentError(f"The two laws have {len(log_p)} and {len(log_q)} configurations.")
    support = log_p > -np.inf
    return float(np.sum(np.exp(log_p[support]) * (log_p[support] - log_q[support])))


@eqx.filter_jit
def _chunk(energy: AbstractEnergy, fn: Any, rows: Array, head: Array) -> tuple[Array, PyTree[Array]]:
    def one(row: Array) -> tuple[Array, PyTree[Array]]:
        x = assemble(energy.space, jnp.concatenate([head, row]))
        return energy(x), None if fn is None else fn(x)

    return jax.vmap(one)(rows)


def _sweep(energy: AbstractEnergy, fn: Any) -> Iterator[tuple[np.ndarray, PyTree[Array]]]:
    """Energies (float64) and function values of all configurations, chunk by chunk."""
    sites = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(_widest(energy).struct))
    entries = max(1, num_terms(energy) * sites)
    table = StateTable(energy.space, max(1, min(2**16, _CHUNK_ENTRIES // entries)))
    rows = jnp.asarray(table.rows)
    for head in table.heads():
        values, outputs = _chunk(energy, fn, rows, jnp.asarray(head))
        yield to_float64(values, "configurations"), outputs


def _widest(energy: AbstractEnergy) -> Any:
    """The space that one evaluation fills, which for a reduced energy is that of the energy before."""
    return energy.energy.space if isinstance(energy, Marginal | WithoutBlock) else energy.space


def _log_sum(chunks: Iterator[np.ndarray]) -> float:
    """Log Σ exp(−values) over all chunks."""
    logs = []
    for values in chunks:
        top = float(np.max(-values))
        logs.append(top + math.log(np.exp(-values - top).sum()) if top > -np.inf else -np.inf)
    top = _finite_top(np.asarray(logs))
    return top + math.log(math.fsum(math.exp(value - top) for value in logs))


def _finite_top(values: np.ndarray) -> float:
    top = float(np.max(values))
    if top == -np.inf:
        raise ArgumentError("Every configuration has infinite energy: log Z would be −inf.")
    return top


def _require_tractable(count: int, max_states: int, energy: AbstractEnergy) -> None:
    if count > max_states:
        raise NotTractable(
            f"Enumerating {type(energy).__name__} needs {describe_count(count)} states, more than "
            f"max_states={max_states}. Estimate with `energax.evaluation`, or raise `max_states`."
        )
