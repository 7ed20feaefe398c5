"""Replica exchange of uniform lattices of spins with 32 ladders in a word: integer arithmetic only."""

from __future__ import annotations

import dataclasses
import functools
import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key, UInt32

from energax._errors import ArgumentError
from energax._typing import PRNGKey
from energax.energies import AbstractEnergy, UniformLattice, uniform_lattice

NUM_LADDERS = 32
_BITS, _GROUP = 24, 4
"""Random bits that decide on one spin, as in the packed sweeps of the kernels, and how many are drawn at once."""
_KEPT = 64
"""Energies of each level and ladder that are kept from a run, evenly spaced."""
_ALL, _EVERY_EIGHTH = np.uint32(0xFFFFFFFF), np.uint32(0x01010101)
_TOGETHER = 32
"""Sites whose numbers, each at most 7, are summed within a byte."""
_UNKNOWN, _FROM_FIRST, _VISITED_LAST = 0, 1, 2


class _Bonds(eqx.Module):
    """The bonds of one colour: for each of its sites the numbers of its neighbours within the other colour.

    Attributes:
        neighbours: Numbers, (site, neighbour).
        negative: All bits set where the bond is negative, (site, neighbour); None where none is.
    """

    neighbours: Int[Array, "site neighbour"]
    negative: UInt32[Array, "site neighbour"] | None


class SpinLadders(eqx.Module):
    """Where 32 ladders of replicas stand.

    Attributes:
        words: Bit b of word (colour, site, level) is the spin of ladder b, set for +1.
        origin: Which end each replica has seen last, (level, ladder).
    """

    words: UInt32[Array, "2 site level"]
    origin: Int[Array, "level ladder"]


@dataclasses.dataclass(frozen=True)
class SpinExchange:
    """What `exchange_spins` returns.

    Attributes:
        levels: Energies that can occur, ascending, (energy,).
        seen: How often each occurred on each ladder, at all levels together, (ladder, energy).
        energies: Energies at evenly spaced sweeps, (ladder, draw, level).
        swap_rate: Mean acceptance probability of swaps between neighbouring levels, (level − 1,).
        num_arrivals: Replicas that arrived at the last level from the first one, all ladders together.
        num_round_trips: Those that went back to it.
        last: A start for the next call.
    """

    levels: Float[np.ndarray, " energy"]
    seen: Int[np.ndarray, "ladder energy"]
    energies: Float[np.ndarray, "ladder draw level"]
    swap_rate: Float[np.ndarray, " pairs"]
    num_arrivals: int
    num_round_trips: int
    last: SpinLadders


def packable(energy: AbstractEnergy) -> bool:
    """Whether `exchange_spins` knows the energy: a periodic lattice of spins of one coupling, with even axes.

    Bonds may differ in sign (`energies.uniform_lattice`); there is no field.
    """
    lattice = uniform_lattice(energy)
    return (
        lattice is not None
        and lattice.coupling is not None
        and float(lattice.coupling) != 0.0
        and float(lattice.field) == 0.0
        and all(length % 2 == 0 for length in lattice.shape)
    )


def exchange_spins(
    energy: AbstractEnergy,
    betas: Float[np.ndarray, " level"],
    start: SpinLadders | None = None,
    *,
    key: PRNGKey,
    num_sweeps: int,
) -> SpinExchange:
    """Run 32 ladders of replicas of a lattice at several inverse temperatures.

    A sweep is a heat bath of one colour after the other at every level, and then swaps of neighbours, alternating as
    in `replica_exchange`: statistically the same chain, with other random numbers, and probabilities of a spin that are
    rounded to multiples of 2^−24. A word holds one site of all ladders, so that a lattice of any size fills it.

    Exactness: leaves the product of the laws at all levels invariant, up to that rounding.

    Cost: 24 random bits and about ten operations on a bit for a spin; half a nanosecond on two cores.

    Args:
        energy: See `packable`.
        betas: Inverse temperatures of the levels, which multiply the energy, monotone, at least two. A replica at the
            first one, if it is 0, is drawn afresh in every sweep, as the heat bath does there by itself.
        start: `last` of an earlier call; all spins at random without it.
        key: Typed random key.
        num_sweeps: A multiple of 64.

    Raises:
        ArgumentError: The energy is not packable, or numbers make no sense.

    Example:
        >>> import jax
        >>> import numpy as np
        >>> from energax import energies, sampling
        >>> run = sampling.exchange_spins(
        ...     energies.Ising(4), np.linspace(0.0, 0.4, 3), key=jax.random.key(0), num_sweeps=64
        ... )
        >>> run.energies.shape, int(run.seen.sum())
        ((32, 64, 3), 6144)

    References: [geyer1991], [syed2022].
    """
    points = np.asarray(betas, np.float64)
    steps = np.diff(points)
    if points.ndim != 1 or len(points) < 2 or not (np.all(steps > 0) or np.all(steps < 0)):
        raise ArgumentError(f"`betas` must be at least two inverse temperatures in order, got {betas!r}.")
    if num_sweeps < 1 or num_sweeps % _KEPT:
        raise ArgumentError(f"num_sweeps must be a multiple of {_KEPT}, got {num_sweeps}.")
    if not packable(energy):
        raise ArgumentError(
            "exchange_spins needs a periodic lattice of spins with one coupling, even axes and no field; use "
            "replica_exchange."
        )
    lattice: Any = uniform_lattice(energy)
    bonds = _both_colours(lattice)
    start_key, key = jax.random.split(key)
    if start is None:
        num_sites = bonds[0].neighbours.shape[0]
        start = SpinLadders(
            jax.random.bits(start_key, (2, num_sites, len(points)), jnp.uint32),
            jnp.full((len(points), NUM_LADDERS), _UNKNOWN, jnp.int32),
        )
    # E = J (2 D − B) + constant, with D of B bonds unsatisfied.
    coupling, num_bonds = float(lattice.coupling), bonds[0].neighbours.size
    up = jnp.ones(lattice.shape, jnp.int8)
    satisfied = num_bonds - 2 * (0 if lattice.negative is None else int(np.asarray(lattice.negative).sum()))
    constant = float(energy(up)) + coupling * satisfied
    reduced = jnp.asarray(points * coupling, jnp.result_type(float))
    out = _run(bonds, reduced, start, jnp.asarray([num_sweeps, num_sweeps // _KEPT]), num_bonds, key=key)
    last, seen, series, swaps, arrivals, trips = out
    values = coupling * (2.0 * np.arange(num_bonds + 1) - num_bonds) + constant
    order = slice(None) if coupling > 0 else slice(None, None, -1)
    energies = values[np.asarray(series)]
    rate = np.asarray(swaps, np.float64) / _num_attempts(num_sweeps, len(points)) / NUM_LADDERS
    return SpinExchange(
        values[order], np.asarray(seen)[:, order], np.transpose(energies, (2, 0, 1)), rate, int(arrivals), int(trips),
        last,
    )  # fmt: skip


def _num_attempts(num_sweeps: int, num_levels: int) -> Float[np.ndarray, " pairs"]:
    """How often each pair of neighbours tried to swap."""
    even = np.arange(num_levels - 1) % 2 == 0
    return np.where(even, math.ceil(num_sweeps / 2), num_sweeps // 2).astype(np.float64)


def _both_colours(lattice: UniformLattice) -> list[_Bonds]:
    """The bonds of either colour; a site's number is its place among the sites of its colour."""
    shape = lattice.shape
    sites = np.arange(math.prod(shape)).reshape(shape)
    colour = np.indices(shape).sum(0).reshape(-1) % 2
    rank = np.where(colour == 0, np.cumsum(colour == 0), np.cumsum(colour == 1)) - 1
    negative = None if lattice.negative is None else np.asarray(lattice.negative)
    around, signs = [], []
    for axis in range(len(shape)):
        for step in (-1, 1):
            around.append(np.roll(sites, step, axis).reshape(-1))
            if negative is not None:
                # The bond belongs to its lower end.
                own = negative[axis] if step == -1 else np.roll(negative[axis], 1, axis)
                signs.append(own.reshape(-1))
    neighbours = rank[np.stack(around, axis=1)]
    flips = None if negative is None else np.where(np.stack(signs, axis=1), _ALL, np.uint32(0))
    return [
        _Bonds(
            jnp.asarray(neighbours[colour == c], jnp.int32), None if flips is None else jnp.asarray(flips[colour == c])
        )
        for c in (0, 1)
    ]


def count_planes(words: list[Array]) -> list[Array]:
    """The number of set bits among some words, place by place, as the planes of a binary number, lowest first."""
    planes: list[Array] = []
    for word in words:
        carry = word
        for place, plane in enumerate(planes):
            planes[place], carry = plane ^ carry, plane & carry
        if 2 ** len(planes) <= len(words):
            planes.append(carry)
    return planes


def _is_count(planes: list[Array], number: int) -> Array:
    """Bits where the planes hold a number."""
    wanted = [plane if number >> place & 1 else ~plane for place, plane in enumerate(planes)]
    return functools.reduce(jnp.bitwise_and, wanted)


def _around(bonds: _Bonds, other: UInt32[Array, "site level"]) -> list[UInt32[Array, "site level"]]:
    """The neighbours of all sites, turned over behind a negative bond."""
    found = []
    for j in range(bonds.neighbours.shape[1]):
        word = other[bonds.neighbours[:, j]]
        found.append(word if bonds.negative is None else word ^ bonds.negative[:, j, None])
    return found


def _threshold_masks(reduced: Float[Array, " level"], degree: int) -> tuple[Array, Array]:
    """For each random bit, lowest first, and number of upward neighbours the bit of 2^24 p at each level; the carry."""
    h = jnp.arange(-degree, degree + 1, 2, dtype=reduced.dtype)
    chance = jax.nn.sigmoid(2 * reduced * h[:, None]).astype(jnp.float32)
    thresholds = jnp.round(chance * 2**_BITS).astype(jnp.uint32)
    # r < 2^24 is r ≤ 2^24 − 1: the comparison begins with "equal counts" where the threshold has one bit more.
    beyond = thresholds >> _BITS
    bits = ((thresholds - beyond) >> jnp.arange(_BITS, dtype=jnp.uint32)[:, None, None]) & 1
    return jnp.where(bits == 1, _ALL, np.uint32(0)), jnp.where(beyond == 1, _ALL, np.uint32(0))


def _heat_bath(
    bonds: _Bonds, other: UInt32[Array, "site level"], masks: tuple[Array, Array], *, key: PRNGKey
) -> UInt32[Array, "site level"]:
    """All sites of a colour given those of the other one."""
    planes = count_planes(_around(bonds, other))
    classes = jax.lax.optimization_barrier([_is_count(planes, n) for n in range(bonds.neighbours.shape[1] + 1)])

    def chosen(mask: Array) -> Array:
        return functools.reduce(jnp.bitwise_or, [mask[n] & sites for n, sites in enumerate(classes)])

    def compare(found: Array, group: tuple[Array, Key[Array, ""]]) -> tuple[Array, None]:
        masks, keys = group
        for j in range(_GROUP):
            bit, random = chosen(masks[j]), jax.random.bits(keys[j], found.shape, jnp.uint32)
            # A higher bit decides unless it equals the threshold's: the majority of (bit, not random, found so far).
            found = (bit & (~random | found)) | (~random & found)
        return found, None

    lowest, beyond = masks
    by_group = (_BITS // _GROUP, _GROUP)
    groups = lowest.reshape(*by_group, *lowest.shape[1:]), jax.random.split(key, by_group)
    return jax.lax.scan(compare, chosen(beyond), groups)[0]


def _totals(planes: list[UInt32[Array, "site level"]]) -> Int[Array, "level ladder"]:
    """The sum over all sites of the numbers that the planes hold, for every ladder.

    Every eighth ladder has a byte of a word, which holds the sum over 32 sites.
    """
    num_sites, num_levels = planes[0].shape
    room = -num_sites % _TOGETHER
    blocks = [jnp.pad(plane, ((0, room), (0, 0))).reshape(-1, _TOGETHER, num_levels) for plane in planes]
    found = []
    for first in range(8):
        numbers = [((plane >> first) & _EVERY_EIGHTH) << place for place, plane in enumerate(blocks)]
        summed = jnp.sum(functools.reduce(jnp.add, numbers), axis=1, dtype=jnp.uint32)
        found.append([jnp.sum((summed >> 8 * byte) & 255, axis=0, dtype=jnp.uint32) for byte in range(4)])
    return jnp.stack([found[ladder % 8][ladder // 8] for ladder in range(NUM_LADDERS)], axis=1).astype(jnp.int32)


def _unsatisfied(bonds: _Bonds, words: UInt32[Array, "2 site level"]) -> Int[Array, "level ladder"]:
    """Number of bonds whose spins disagree with them; every bond has one end of the first colour."""
    differing = [word ^ words[0] for word in _around(bonds, words[1])]
    return _totals(jax.lax.optimization_barrier(count_planes(differing)))


@eqx.filter_jit
def _run(
    bonds: list[_Bonds],
    reduced: Float[Array, " level"],
    start: SpinLadders,
    counts: Int[Array, "2"],
    num_bonds: int,
    *,
    key: PRNGKey,
) -> tuple[SpinLadders, Array, Array, Array, Array, Array]:
    num_sweeps, spacing = counts
    num_levels = reduced.size
    masks = _threshold_masks(reduced, bonds[0].neighbours.shape[1])
    lanes = jnp.broadcast_to(jnp.arange(NUM_LADDERS), (num_levels, NUM_LADDERS))

    def sweep(i: Array, carry: Any) -> Any:
        ladders, seen, series, swaps, arrivals, trips = carry
        keys = jax.random.split(jax.random.fold_in(key, i), 3)
        first = _heat_bath(bonds[0], ladders.words[1], masks, key=keys[0])
        second = _heat_bath(bonds[1], first, masks, key=keys[1])
        words = jnp.stack([first, second])
        unsatisfied = _unsatisfied(bonds[0], words)
        seen = seen.at[lanes, unsatisfied].add(1)
        series = series.at[i // spacing].set(unsatisfied)
        words, origin, chance, arrived, returned = _swap(
            words, ladders.origin, unsatisfied, reduced, i % 2, key=keys[2]
        )
        return SpinLadders(words, origin), seen, series, swaps + chance, arrivals + arrived, trips + returned

    nothing = jnp.zeros((), jnp.int32)
    carry = (
        start,
        jnp.zeros((NUM_LADDERS, num_bonds + 1), jnp.int32),
        jnp.zeros((_KEPT, num_levels, NUM_LADDERS), jnp.int32),
        jnp.zeros(num_levels - 1),
        nothing,
        nothing,
    )
    return jax.lax.fori_loop(0, num_sweeps, sweep, carry)


def _swap(
    words: UInt32[Array, "2 site level"],
    origin: Int[Array, "level ladder"],
    unsatisfied: Int[Array, "level ladder"],
    reduced: Float[Array, " level"],
    parity: Array,
    *,
    key: PRNGKey,
) -> tuple[Array, Array, Array, Array, Array]:
    """Neighbouring levels exchange their spins with min(1, exp((β_i − β_j)(E_i − E_j))), and traffic is counted."""
    num_levels = reduced.size
    own = jnp.arange(num_levels)
    partner = jnp.where(own % 2 == parity, own + 1, own - 1)
    partner = jnp.where((partner < 0) | (partner >= num_levels), own, partner)
    energy = 2 * unsatisfied.astype(reduced.dtype)
    log_ratio = (reduced - reduced[partner])[:, None] * (energy - energy[partner])
    chance = jnp.exp(jnp.minimum(log_ratio, 0.0))
    uniform = jax.random.uniform(key, chance.shape, chance.dtype)
    accepted: Bool[Array, "level ladder"] = uniform[jnp.minimum(own, partner)] < chance
    accepted = accepted & (partner != own)[:, None]
    bit = jnp.arange(NUM_LADDERS, dtype=jnp.uint32)
    mask = jnp.sum(jnp.where(accepted, jnp.uint32(1) << bit, 0), axis=1, dtype=jnp.uint32)
    words = words ^ ((words ^ words[:, :, partner]) & mask)
    # The replica at the first level comes from there: at β = 0 it is drawn afresh.
    returned = jnp.sum(origin[0] == _VISITED_LAST)
    origin = origin.at[0].set(_FROM_FIRST)
    origin = jnp.where(accepted, origin[partner], origin)
    arrived = origin[-1] == _FROM_FIRST
    origin = origin.at[-1].set(jnp.where(arrived, _VISITED_LAST, origin[-1]))
    attempted = (partner == own + 1)[:-1]
    tried = jnp.where(attempted, jnp.sum(chance, axis=1)[:-1], 0.0)
    return words, origin, tried, jnp.sum(arrived), returned
