"""Sums over all configurations, one site after the other: transfer matrices in their general form."""

from __future__ import annotations

import dataclasses
import heapq
import math
from collections.abc import Iterator, Sequence

import numpy as np
from jax.typing import DTypeLike

from energax._errors import NotTractable
from energax.energies import AbstractEnergy, bonds
from energax.exact._evaluate import in_precision
from energax.spaces import AbstractDiscreteSpace

MAX_TABLE = 2**22
"""The most entries of one table: three tables of that size, 100 MB, are held at a time."""


_MODERATE_TABLE = 2**18


@dataclasses.dataclass(frozen=True)
class Elimination:
    """Exact numbers of an energy of pairs.

    Attributes:
        log_z: Log Z.
        energy: Mean of the energy.
        variance: Variance of the energy; the heat capacity of ``Tempered(E, beta)`` in units of k_B, because there the
            energy is β E.
        largest_table: Entries of the largest table that was summed over.
    """

    log_z: float
    energy: float
    variance: float
    largest_table: int


@dataclasses.dataclass(frozen=True)
class _Table:
    """Log Σ exp(−β E) over what was eliminated, as a function of the sites that touch it, with derivatives at β = 1.

    These are the conditional mean and variance of −E, so that tables are multiplied by adding all three.
    """

    sites: tuple[int, ...]
    log_sum: np.ndarray
    mean: np.ndarray
    variance: np.ndarray


def eliminate(
    energy: AbstractEnergy, *, max_table: int = MAX_TABLE, dtype: DTypeLike | None = np.float64
) -> Elimination:
    """Log Z, mean and variance of an energy of pairs on a narrow graph: chains, trees, strips, cylinders, small tori.

    The sites are summed over one by one, each with all factors that touch it; along a strip that is the transfer
    matrix in factorised form. The order is the best of the raster orders of a lattice and the greedy one of fewest
    neighbours. Fields and couplings may differ from site to site.

    Exactness: to rounding.
    Cost: q^(w+1) a site, with q values and w the most neighbours that a site has when it is summed over: w = L for a
    strip or cylinder of width L and any length, 2 L for a torus. Ising strips up to L = 20, three-state Potts up to
    L = 12.

    Args:
        energy: An energy with `energies.bonds`: Ising and Potts models on any graph, tempered, summed, interpolated.
        max_table: The most entries of a table, q^(w+1).
        dtype: Precision in which couplings and fields are read, as in `exact.log_z`.

    Returns:
        The numbers as `Elimination`.

    Raises:
        NotTractable: The energy is not known to be one of pairs, or its graph is too wide.

    Example:
        >>> from energax import energies, exact
        >>> ring = energies.Tempered(energies.Ising((10,)), 0.5)
        >>> round(exact.eliminate(ring).log_z, 6)
        8.133061

    References:
        [kramers1941], [dechter1999]
    """
    with in_precision(energy, dtype) as precise:
        space, order, largest = _plan(precise, max_table)
        constant = _constant(precise, space)
        tables = list(_factors(precise))
    log_sum, mean, variance = _sum_out(tables, order, len(space.values))
    return Elimination(log_sum - constant, constant - mean, variance, largest)


def narrow_log_z(energy: AbstractEnergy, num_states: float) -> float | None:
    """Log Z site by site, where that takes a table of moderate size and fewer terms than going through all states."""
    try:
        space, order, largest = _plan(energy, _MODERATE_TABLE)
    except NotTractable:
        return None
    if largest * len(order) >= num_states:
        return None
    log_sum, _, _ = _sum_out(list(_factors(energy)), order, len(space.values))
    return log_sum - _constant(energy, space)


def _plan(energy: AbstractEnergy, max_table: int) -> tuple[AbstractDiscreteSpace, list[int], int]:
    """The space, the best order that was found, and the entries of its largest table."""
    pairs, space = bonds(energy), energy.space
    if pairs is None or not isinstance(space, AbstractDiscreteSpace):
        raise NotTractable(f"{type(energy).__name__} is not known to be an energy of pairs (`energies.bonds`).")
    widest = int(math.log(max_table + 0.5, len(space.values))) - 1
    found: list[tuple[int, list[int]]] = []
    # A graph that can be taken apart with at most w neighbours at a time has at most w edges a site.
    if len(pairs.pairs) <= 2 * widest * space.num_sites:
        neighbours = _neighbours(np.asarray(pairs.pairs), space.num_sites)
        for order in (*_raster_orders(space.shape), None):
            tried = _taken_apart(neighbours, order, widest)
            found += [tried] if tried else []
    if not found:
        raise NotTractable(
            f"Summing {type(energy).__name__} on {space} site by site needs a table of more than {max_table} entries. "
            "Estimate with `energax.evaluation`, or raise `max_table`."
        )
    width, order = min(found)
    return space, order, len(space.values) ** (width + 1)


def _neighbours(pairs: np.ndarray, num_sites: int) -> list[set[int]]:
    neighbours: list[set[int]] = [set() for _ in range(num_sites)]
    for i, j in pairs.tolist():
        if i != j:
            neighbours[i].add(j)
            neighbours[j].add(i)
    return neighbours


def _raster_orders(shape: tuple[int, ...]) -> Iterator[list[int]]:
    """Sites along the axes in order, with each axis in turn the slowest."""
    sites = np.arange(math.prod(shape)).reshape(shape)
    for axis in range(len(shape)):
        yield np.moveaxis(sites, axis, 0).reshape(-1).tolist()


def _taken_apart(neighbours: Sequence[set[int]], order: list[int] | None, widest: int) -> tuple[int, list[int]] | None:
    """The most neighbours that a site has when it is taken out, and the order; None if they are more than `widest`.

    Without an order the next site is always one with the fewest neighbours left.
    """
    graph = [set(others) for others in neighbours]
    queue = [(len(others) if order is None else 0, site) for site, others in enumerate(graph)]
    heapq.heapify(queue)
    gone, width, taken = [False] * len(graph), 0, []
    while len(taken) < len(graph):
        degree, site = heapq.heappop(queue) if order is None else (0, order[len(taken)])
        # Entries of sites that were taken, or that have other neighbours by now, are skipped.
        if order is None and (gone[site] or degree != len(graph[site])):
            continue
        width = max(width, len(graph[site]))
        if width > widest:
            return None
        gone[site] = True
        taken.append(site)
        for other in graph[site]:
            graph[other] |= graph[site]
            graph[other] -= {site, other}
            if order is None:
                heapq.heappush(queue, (len(graph[other]), other))
    return width, taken


def _factors(energy: AbstractEnergy) -> Iterator[_Table]:
    pairs = bonds(energy)
    assert pairs is not None
    fields = np.asarray(pairs.fields, np.float64)
    for site, row in enumerate(fields):
        yield _Table((site,), row, row, np.zeros_like(row))
    agree = np.eye(fields.shape[1])
    strengths = np.asarray(pairs.strengths, np.float64)
    for (i, j), strength in zip(np.asarray(pairs.pairs).tolist(), strengths, strict=True):
        table = strength * (agree if i != j else np.ones(len(agree)))
        yield _Table(tuple(sorted({i, j})), table, table, np.zeros_like(table))


def _constant(energy: AbstractEnergy, space: AbstractDiscreteSpace) -> float:
    """E(x) + Σ_b K_b [x_i = x_j] + Σ_i F_i(x_i), the same for every x: here all sites have the first value."""
    pairs = bonds(energy)
    assert pairs is not None
    x = np.full(space.shape, space.values[0], space.struct.dtype)
    gain = np.asarray(pairs.strengths, np.float64).sum() + np.asarray(pairs.fields, np.float64)[:, 0].sum()
    return float(energy(x)) + float(gain)


def _sum_out(tables: list[_Table], order: list[int], num_values: int) -> tuple[float, float, float]:
    touching: dict[int, list[_Table]] = {site: [] for site in order}
    rank = {site: place for place, site in enumerate(order)}
    total = [0.0, 0.0, 0.0]
    for table in tables:
        touching[min(table.sites, key=rank.__getitem__)].append(table)
    for site in order:
        table = _without(site, touching.pop(site), num_values)
        if table.sites:
            touching[min(table.sites, key=rank.__getitem__)].append(table)
        else:
            total = [t + float(part) for t, part in zip(total, _parts(table), strict=True)]
    return total[0], total[1], total[2]


def _without(site: int, tables: list[_Table], num_values: int) -> _Table:
    """The product of the tables, summed over one site."""
    sites = tuple(sorted({s for table in tables for s in table.sites}))
    columns = []
    for name in ("log_sum", "mean", "variance"):
        column = 0.0
        # Small factors first, so that the large tables are gone through once.
        for table in sorted(tables, key=lambda t: len(t.sites)):
            shape = [num_values if s in table.sites else 1 for s in sites]
            column = column + getattr(table, name).reshape(shape)
        columns.append(np.broadcast_to(column, (num_values,) * len(sites)))
    log_sum, mean, variance = (np.moveaxis(c, sites.index(site), 0) for c in columns)
    top = log_sum.max(axis=0)
    weights = np.exp(log_sum - top)
    norm = weights.sum(axis=0)
    weights /= norm
    new_mean = np.einsum("v...,v...->...", weights, mean)
    new_variance = np.einsum("v...,v...->...", weights, variance + (mean - new_mean) ** 2)
    return _Table(tuple(s for s in sites if s != site), top + np.log(norm), new_mean, new_variance)


def _parts(table: _Table) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return table.log_sum, table.mean, table.variance
