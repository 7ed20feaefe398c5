"""Products of tables over the sites of a narrow graph, summed over one site after the other."""

from __future__ import annotations

import dataclasses
import heapq
import itertools
import math
from collections.abc import Iterator, Sequence

import numpy as np

from energax._errors import NotTractable
from energax.energies import AbstractEnergy, FactorGraph, bonds
from energax.spaces import AbstractDiscreteSpace

_FEW_SITES = 256


@dataclasses.dataclass(frozen=True)
class Table:
    """Log Σ exp(−β E) over what was eliminated, as a function of the sites that touch it, with derivatives at β = 1.

    These are the conditional mean and variance of −E, so that tables are multiplied by adding all three.
    """

    sites: tuple[int, ...]
    log_sum: np.ndarray
    mean: np.ndarray
    variance: np.ndarray


@dataclasses.dataclass(frozen=True)
class Conditional:
    """The law of one site given those that are summed over after it.

    Attributes:
        site: The site.
        others: The sites that it hangs on, ascending.
        probs: P(value of the site | values of the others), the site's axis first.
    """

    site: int
    others: tuple[int, ...]
    probs: np.ndarray


def plan(energy: AbstractEnergy, max_table: int) -> tuple[AbstractDiscreteSpace, list[int], int]:
    """The space, the best order that was found, and the entries of its largest table."""
    space, pairs = energy.space, neighbour_pairs(energy)
    if pairs is None or not isinstance(space, AbstractDiscreteSpace):
        raise NotTractable(
            f"{type(energy).__name__} is neither known to be an energy of pairs (`energies.bonds`) nor a factor graph."
        )
    widest = int(math.log(max_table + 0.5, len(space.values))) - 1
    found: list[tuple[int, list[int]]] = []
    # A graph that can be taken apart with at most w neighbours at a time has at most w edges a site.
    if len(pairs) <= 2 * widest * space.num_sites:
        neighbours = _neighbours(pairs, space.num_sites)
        for order in (*_raster_orders(space.shape), None):
            tried = _taken_apart(neighbours, order, widest)
            found += [tried] if tried else []
        if not found and space.num_sites <= _FEW_SITES:
            order = _order_of_least_fill(neighbours, widest)
            tried = _taken_apart(neighbours, order, widest) if order else None
            found += [tried] if tried else []
    if not found:
        raise NotTractable(
            f"Summing {type(energy).__name__} on {space} site by site needs a table of more than {max_table} entries. "
            "Estimate with `energax.evaluation`, or raise `max_table`."
        )
    width, order = min(found)
    return space, order, len(space.values) ** (width + 1)


def neighbour_pairs(energy: AbstractEnergy) -> np.ndarray | None:
    """The sites of each bond, or any two variables that share a table of a factor graph; None for other energies."""
    if isinstance(energy, FactorGraph):
        found = [
            np.sort(group[:, ends], axis=1)
            for group in energy.scopes.groups
            for ends in itertools.combinations(range(group.shape[1]), 2)
        ]
        return np.unique(np.concatenate([np.zeros((0, 2), np.int32), *found]), axis=0)
    known = bonds(energy)
    return None if known is None else np.asarray(known.pairs)


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


def _order_of_least_fill(neighbours: Sequence[set[int]], widest: int) -> list[int] | None:
    """The next site is one whose neighbours lack the fewest edges between them: slow to find, and narrow."""
    graph, order = {site: set(others) for site, others in enumerate(neighbours)}, []
    while graph:
        few = [site for site, others in graph.items() if len(others) <= widest]
        if not few:
            return None
        site = min(few, key=lambda s: sum(len(graph[s] - graph[o]) for o in graph[s]))
        order.append(site)
        others = graph.pop(site)
        for other in others:
            graph[other] |= others
            graph[other] -= {site, other}
    return order


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


def factors(energy: AbstractEnergy) -> Iterator[Table]:
    """The tables whose product is exp(−E) up to `constant`: fields and bonds, or those of a factor graph."""
    if isinstance(energy, FactorGraph):
        yield from _graph_factors(energy)
        return
    pairs = bonds(energy)
    assert pairs is not None
    fields = np.asarray(pairs.fields, np.float64)
    for site, row in enumerate(fields):
        yield _table((site,), row)
    agree = np.eye(fields.shape[1])
    strengths = np.asarray(pairs.strengths, np.float64)
    for (i, j), strength in zip(np.asarray(pairs.pairs).tolist(), strengths, strict=True):
        yield _table(tuple(sorted({i, j})), strength * (agree if i != j else np.ones(len(agree))))


def _graph_factors(graph: FactorGraph) -> Iterator[Table]:
    """Tables with as many entries along each axis as the space has values; those that a site cannot have are −∞."""
    most, counts = len(graph.space.values), graph.scopes.counts
    for site, count in enumerate(counts.tolist()):
        yield _table((site,), np.where(np.arange(most) < count, 0.0, -np.inf))
    for scopes, tables in zip(graph.scopes.groups, graph.tables, strict=True):
        for scope, theta in zip(scopes, np.asarray(tables, np.float64), strict=True):
            whole = np.pad(theta, [(0, most - n) for n in theta.shape], constant_values=-np.inf)
            yield _table(tuple(sorted(scope.tolist())), whole.transpose(np.argsort(scope)))


def _table(sites: tuple[int, ...], theta: np.ndarray) -> Table:
    return Table(sites, theta, np.where(np.isfinite(theta), theta, 0.0), np.zeros_like(theta))


def constant(energy: AbstractEnergy, space: AbstractDiscreteSpace) -> float:
    """E(x) plus what all tables give, the same for every x; of bonds it is taken where all have the first value."""
    if isinstance(energy, FactorGraph):
        return -float(energy.constant)
    pairs = bonds(energy)
    assert pairs is not None
    x = np.full(space.shape, space.values[0], space.struct.dtype)
    gain = np.asarray(pairs.strengths, np.float64).sum() + np.asarray(pairs.fields, np.float64)[:, 0].sum()
    return float(energy(x)) + float(gain)


def sum_out(
    tables: list[Table], order: list[int], num_values: int, laws: list[Conditional] | None = None
) -> tuple[float, float, float]:
    """Log Σ exp(−E), mean and variance of −E; the conditional laws of the sites are appended to `laws`."""
    touching: dict[int, list[Table]] = {site: [] for site in order}
    rank = {site: place for place, site in enumerate(order)}
    total = [0.0, 0.0, 0.0]
    for table in tables:
        touching[min(table.sites, key=rank.__getitem__)].append(table)
    for site in order:
        table, law = _without(site, touching.pop(site), num_values)
        if laws is not None:
            laws.append(law)
        if table.sites:
            touching[min(table.sites, key=rank.__getitem__)].append(table)
        else:
            total = [t + float(part) for t, part in zip(total, _parts(table), strict=True)]
    return total[0], total[1], total[2]


def _without(site: int, tables: list[Table], num_values: int) -> tuple[Table, Conditional]:
    """The product of the tables, summed over one site, and the law of that site under the product."""
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
    # Where all values are forbidden, the sum is zero and the law is of no account.
    weights = np.exp(log_sum - np.where(np.isfinite(top), top, 0.0))
    norm = weights.sum(axis=0)
    weights /= np.where(norm > 0.0, norm, 1.0)
    new_mean = np.einsum("v...,v...->...", weights, mean)
    new_variance = np.einsum("v...,v...->...", weights, variance + (mean - new_mean) ** 2)
    others = tuple(s for s in sites if s != site)
    log_norm = top + np.log(np.where(norm > 0.0, norm, 1.0))
    return Table(others, log_norm, new_mean, new_variance), Conditional(site, others, weights)


def _parts(table: Table) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return table.log_sum, table.mean, table.variance
