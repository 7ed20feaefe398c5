"""Log Z and mean energy of energies of pairs, one site after the other: transfer matrices in their general form."""

from __future__ import annotations

import dataclasses

import numpy as np
from jax.typing import DTypeLike

from energax._errors import ArgumentError, NotTractable
from energax.energies import AbstractEnergy
from energax.exact._evaluate import in_precision
from energax.exact._narrow import constant, factors, plan, sum_out

MAX_TABLE = 2**22
"""The most entries of one table: three tables of that size, 100 MB, are held at a time."""

_MODERATE_TABLE = 2**18
_ALL_FORBIDDEN = "Every configuration has infinite energy: log Z would be −inf."


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
        energy: An energy with `energies.bonds`: Ising and Potts models on any graph, tempered, summed, interpolated. Or
            a `FactorGraph`, whose tables may hold more than two sites and forbid combinations.
        max_table: The most entries of a table, q^(w+1).
        dtype: Precision in which couplings and fields are read, as in `exact.log_z`.

    Returns:
        The numbers as `Elimination`.

    Raises:
        ArgumentError: Everything is forbidden.
        NotTractable: The energy is neither, or its graph is too wide.

    Example:
        >>> from energax import energies, exact
        >>> ring = energies.Tempered(energies.Ising((10,)), 0.5)
        >>> round(exact.eliminate(ring).log_z, 6)
        8.133061

    References:
        [kramers1941], [dechter1999]
    """
    with in_precision(energy, dtype) as precise:
        space, order, largest = plan(precise, max_table)
        shift = constant(precise, space)
        tables = list(factors(precise))
    log_sum, mean, variance = sum_out(tables, order, len(space.values))
    if log_sum == -np.inf:
        raise ArgumentError(_ALL_FORBIDDEN)
    return Elimination(log_sum - shift, shift - mean, variance, largest)


def narrow_log_z(energy: AbstractEnergy, num_states: float) -> float | None:
    """Log Z site by site, where that takes a table of moderate size and fewer terms than going through all states."""
    try:
        space, order, largest = plan(energy, _MODERATE_TABLE)
    except NotTractable:
        return None
    if largest * len(order) >= num_states:
        return None
    log_sum, _, _ = sum_out(list(factors(energy)), order, len(space.values))
    if log_sum == -np.inf:
        raise ArgumentError(_ALL_FORBIDDEN)
    return log_sum - constant(energy, space)
