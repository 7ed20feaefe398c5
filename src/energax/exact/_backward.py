"""Marginals of, and draws from, an energy of pairs on a narrow graph: back along the way of `eliminate`."""

from __future__ import annotations

import dataclasses

import numpy as np
from jax.typing import DTypeLike

from energax._errors import NotTractable
from energax.energies import AbstractEnergy
from energax.exact._elimination import MAX_TABLE
from energax.exact._evaluate import in_precision
from energax.exact._narrow import Conditional, factors, neighbour_pairs, plan, sum_out
from energax.spaces import AbstractDiscreteSpace

MAX_ENTRIES = 2**25
"""The most entries of all conditional laws together, 270 MB."""


@dataclasses.dataclass(frozen=True)
class PairMarginals:
    """Exact marginals of an energy of pairs.

    Attributes:
        sites: P(x_i = v), shape ``(*shape, q)``, values in the order of the space. The magnetisation of Ising spins is
            ``sites[..., 1] - sites[..., 0]``.
        pairs: The sites (i, j) of each bond, as in `energies.bonds`, shape (m, 2); of a factor graph, all pairs that
            share a table.
        agreement: P(x_i = x_j) for each bond, shape (m,); the correlation of Ising spins is ``2 * agreement - 1``.
    """

    sites: np.ndarray
    pairs: np.ndarray
    agreement: np.ndarray


def pair_marginals(
    energy: AbstractEnergy, *, max_table: int = MAX_TABLE, dtype: DTypeLike | None = np.float64
) -> PairMarginals:
    """Exact laws of all sites, and of agreement along all bonds, on a narrow graph.

    The sites are summed over as in `eliminate`, which leaves the law of each given those after it; backwards, these
    make the joint law of each site and its neighbours at that moment.

    Exactness: to rounding.
    Cost: twice `eliminate`; memory for one table a site.

    Args:
        energy: An energy with `energies.bonds`: Ising and Potts models on any graph, tempered, summed, interpolated. Or
            a `FactorGraph`.
        max_table: The most entries of a table.
        dtype: Precision in which couplings and fields are read, as in `exact.log_z`.

    Returns:
        `PairMarginals`.

    Raises:
        NotTractable: The energy is neither, its graph is too wide, or all tables do not fit into memory.

    Example:
        >>> from energax import energies, exact
        >>> chain = energies.Ising(energies.GraphCouplings([(0, 1), (1, 2)], [0.5, -0.5]))
        >>> (2 * exact.pair_marginals(chain).agreement - 1).round(4).tolist()
        [0.4621, -0.4621]

    References:
        [dechter1999]
    """
    with in_precision(energy, dtype) as precise:
        space, order, laws = _laws(precise, max_table)
        ends = neighbour_pairs(precise)
        assert ends is not None
    rank = {site: place for place, site in enumerate(order)}
    joints = _joints(laws, rank)
    alone = np.stack([joints[site].probs.reshape(len(space.values), -1).sum(axis=1) for site in range(len(order))])
    agreement = [_agreement(joints[min(i, j, key=rank.__getitem__)], i, j) for i, j in ends.tolist()]
    return PairMarginals(alone.reshape(*space.shape, -1), ends, np.asarray(agreement))


def narrow_draws(energy: AbstractEnergy, uniforms: np.ndarray) -> np.ndarray:
    """Independent draws, shape (num, *shape), from uniform numbers, shape (num, num_sites)."""
    space, order, laws = _laws(energy, MAX_TABLE)
    index = np.zeros((len(uniforms), len(order)), np.int64)
    for law in reversed(laws):
        columns = law.probs.reshape(len(space.values), -1)
        where = np.zeros(len(uniforms), np.int64)
        for other in law.others:
            where = where * len(space.values) + index[:, other]
        reached = np.cumsum(columns, axis=0)[:, where] < uniforms[:, law.site]
        index[:, law.site] = np.minimum(reached.sum(axis=0), len(space.values) - 1)
    return np.asarray(space.values)[index].astype(space.struct.dtype).reshape(-1, *space.shape)


def _laws(energy: AbstractEnergy, max_table: int) -> tuple[AbstractDiscreteSpace, list[int], list[Conditional]]:
    space, order, largest = plan(energy, max_table)
    if largest * len(order) > MAX_ENTRIES:
        raise NotTractable(
            f"Going back over {len(order)} sites keeps up to {largest} entries for each, more than {MAX_ENTRIES} in "
            "all. Sample with a cluster kernel or tempering instead."
        )
    laws: list[Conditional] = []
    sum_out(list(factors(energy)), order, len(space.values), laws)
    return space, order, laws


def _joints(laws: list[Conditional], rank: dict[int, int]) -> dict[int, Conditional]:
    """The joint law of each site (first axis) and the sites that it hangs on."""
    joints: dict[int, Conditional] = {}
    for law in reversed(laws):
        joint = law.probs
        if law.others:
            # The first of them to be summed over hangs on all the rest.
            joint = joint * _onto(joints[min(law.others, key=rank.__getitem__)], law.others)
        joints[law.site] = Conditional(law.site, law.others, joint)
    return joints


def _onto(joint: Conditional, sites: tuple[int, ...]) -> np.ndarray:
    """The marginal of a joint law on some of its sites, in ascending order."""
    axes = (joint.site, *joint.others)
    kept = [site for site in axes if site in sites]
    summed = joint.probs.sum(axis=tuple(a for a, site in enumerate(axes) if site not in sites))
    return np.moveaxis(summed, range(len(kept)), [sites.index(site) for site in kept])


def _agreement(joint: Conditional, i: int, j: int) -> float:
    return 1.0 if i == j else float(np.trace(_onto(joint, (min(i, j), max(i, j)))))
