"""Many spins in one word: sweeps of uniform lattices with a bit for each spin and integer arithmetic only."""

from __future__ import annotations

import functools
import operator
from collections.abc import Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key, UInt32

from energax._typing import BoolScalar, PRNGKey, Scalar
from energax.energies import AbstractEnergy, UniformLattice, uniform_lattice
from energax.kernels._base import AbstractState, with_x
from energax.kernels._metropolis import select
from energax.kernels._multispin_ring import RingLayout, packed_signs, ring_classes, ring_layout_of

NUM_BITS = 24
"""Random bits that decide on one spin: probabilities are multiples of 2^−24."""

_FEWEST_SPINS = 8
"""Spins in a word below which the plain path is as fast."""

_GROUP = 8
"""Random bits whose comparison is one piece of compiled code."""

_ALL = np.uint32(0xFFFFFFFF)


class Layout(NamedTuple):
    """Where a spin is: bit b of word (colour, i, j) holds row b·rows + i and the j-th site of its colour in that row.

    A site (row, column) has the colour (row + column) mod 2. The number of rows of a segment is even, so that the
    parity of a row is that of i, and the four neighbours of all spins of a word lie in four words.

    Attributes:
        num_segments: Segments into which the rows are cut: spins in a word.
        num_rows: Rows of a segment.
        num_columns: Sites of one colour in a row.
        transposed: Whether it is the other axis that is cut.
    """

    num_segments: int
    num_rows: int
    num_columns: int
    transposed: bool

    @property
    def mask(self) -> np.uint32:
        """The bits of a word that are spins."""
        return np.uint32(2**self.num_segments - 1)

    def pack(self, x: Int[Array, "rows columns"]) -> UInt32[Array, "2 rows columns"]:
        """The words of a configuration, set where a spin is +1."""
        n, rows, columns, _ = self
        up = (x.T if self.transposed else x).reshape(n, rows, columns, 2) > 0
        weights = jnp.asarray(2 ** np.arange(n), jnp.uint32)[:, None, None]
        colours = [_pick(up, colour) for colour in (0, 1)]
        return jnp.stack([jnp.sum(jnp.where(c, weights, 0), axis=0, dtype=jnp.uint32) for c in colours])

    def unpack(self, words: UInt32[Array, "*stack 2 rows columns"]) -> Bool[Array, "*stack rows columns"]:
        """Which spins of the configuration are +1; of stacked words, of all configurations."""
        n, rows, columns, _ = self
        bits = jnp.arange(n, dtype=jnp.uint32)[:, None, None]
        first, second = ((words[..., colour, None, :, :] >> bits) & 1 for colour in (0, 1))
        even = _row_is_even(rows)
        pairs = jnp.stack([jnp.where(even, first, second), jnp.where(even, second, first)], axis=-1)
        spins = pairs.reshape(*words.shape[:-3], n * rows, 2 * columns) == 1
        return jnp.swapaxes(spins, -1, -2) if self.transposed else spins


def layout_of(shape: tuple[int, ...], fewest_spins: int = _FEWEST_SPINS) -> Layout | None:
    """The layout with the fullest words, None where a lattice has none with `fewest_spins` spins in a word."""
    if len(shape) != 2 or shape[0] % 2 or shape[1] % 2:
        return None
    cuts = [max(n for n in range(1, 33) if length % (2 * n) == 0) for length in shape]
    axis = int(cuts[1] > cuts[0])
    if cuts[axis] < fewest_spins:
        return None
    return Layout(cuts[axis], shape[axis] // cuts[axis], shape[1 - axis] // 2, bool(axis))


def packing(energy: AbstractEnergy) -> Layout | RingLayout | None:
    """How configurations of `energy` are packed, None for an energy whose sweeps take the plain path."""
    lattice = uniform_lattice(energy)
    if lattice is None or lattice.coupling is None:
        return None
    if lattice.negative is None and len(lattice.shape) == 2:
        return layout_of(lattice.shape)
    return ring_layout_of(lattice.shape, _FEWEST_SPINS)


class PackedSpins(AbstractState):
    """A lattice of spins as words; the configuration itself is put together when `x` is asked for.

    Attributes:
        words: Bits that are set where a spin is +1, axes (colour, *words of a colour).
        layout: Which spin is where.
        dtype: Name of the dtype of the configuration.
        signs: Bits that are set where a bond is negative, axes (colour, neighbour, *words); None without signs. They
            belong to the energy: a cache.
    """

    words: UInt32[Array, "2 ..."]
    layout: Layout | RingLayout = eqx.field(static=True)
    dtype: str = eqx.field(static=True)
    signs: UInt32[Array, "2 neighbours ..."] | None = None

    @staticmethod
    def pack(x: Int[Array, "..."], layout: Layout | RingLayout) -> PackedSpins:
        """The state at a configuration, without signs."""
        return PackedSpins(layout.pack(x), layout, x.dtype.name)

    @property
    def x(self) -> Int[Array, "..."]:
        """The configuration; of states that are stacked along leading axes, all configurations."""
        return jnp.where(self.layout.unpack(self.words), 1, -1).astype(self.dtype)


def with_signs(state: PackedSpins, energy: AbstractEnergy) -> PackedSpins:
    """The state with the signs of the bonds of an energy."""
    lattice = uniform_lattice(energy)
    if lattice is None or lattice.negative is None or not isinstance(state.layout, RingLayout):
        return state
    signs = packed_signs(lattice.negative, state.layout)
    return PackedSpins(state.words, state.layout, state.dtype, signs)


@with_x.register
def _(state: PackedSpins, x: Int[Array, "..."]) -> PackedSpins:
    return PackedSpins(state.layout.pack(x), state.layout, state.dtype, state.signs)


def _row_is_even(num_rows: int) -> Bool[np.ndarray, "rows 1"]:
    return (np.arange(num_rows) % 2 == 0)[:, None]


def _pick(sites: Array, colour: int) -> Array:
    """The sites of one colour, from pairs of neighbouring columns."""
    return jnp.where(_row_is_even(sites.shape[1]) == (colour == 0), sites[..., 0], sites[..., 1])


def neighbour_classes(other: Array, colour: int | Array, layout: Layout) -> list[UInt32[Array, "rows columns"]]:
    """Bits of the sites of a colour with 0, 1, 2, 3 and 4 neighbours that are +1; `other` holds the other colour."""
    n, rows, _, _ = layout
    # The row above the first one of a segment is the last one of the segment before: the next lower bit.
    first, last = other[:1], other[-1:]
    above = jnp.concatenate([((last << 1) | (last >> (n - 1))) & layout.mask, other[:-1]])
    below = jnp.concatenate([other[1:], ((first >> 1) | (first << (n - 1))) & layout.mask])
    # In its own row a site has one neighbour of the same index, and one beside that.
    even = _row_is_even(rows) == (colour == 0)
    beside = jnp.where(even, jnp.roll(other, 1, axis=1), jnp.roll(other, -1, axis=1))
    (a, carry_a), (b, carry_b) = _add(above, below), _add(other, beside)
    ones, carry = _add(a, b)
    twos, fours = carry_a ^ carry_b ^ carry, carry_a & carry_b
    return [~(ones | twos | fours), ones & ~twos, twos & ~ones, ones & twos, fours]


def _add(a: Array, b: Array) -> tuple[Array, Array]:
    """The two bits of a sum of two bits."""
    return a ^ b, a & b


def local_fields(lattice: UniformLattice) -> Float[Array, " counts"]:
    """J h + H for h = −2d, −2d + 2, ... 2d: half of a spin's logit when 0 to 2d of its d axes' neighbours are +1.

    A neighbour behind a negative bond counts as +1 when it is −1.
    """
    assert lattice.coupling is not None
    degree = 2 * len(lattice.shape)
    h = jnp.arange(-degree, degree + 1, 2, dtype=lattice.coupling.dtype)
    return lattice.coupling * h + lattice.field


def heat_bath_table(lattice: UniformLattice) -> Float[Array, "1 counts"]:
    """Probability that the new spin is +1, by the number of neighbours that are."""
    return jax.nn.sigmoid(2 * local_fields(lattice))[None]


def metropolis_table(lattice: UniformLattice) -> Float[Array, "2 counts"]:
    """Probability that the new spin is +1 for an old spin of −1 and of +1, by the number of neighbours that are +1."""
    logits = 2 * local_fields(lattice)
    rise, fall = jnp.exp(jnp.minimum(logits, 0.0)), jnp.exp(jnp.minimum(-logits, 0.0))
    return jnp.stack([rise, 1 - fall])


def as_thresholds(probabilities: Float[Array, "..."]) -> UInt32[Array, "..."]:
    """T = 2^24 p, rounded: a number of 24 random bits is below T with the probability T / 2^24."""
    return jnp.round(probabilities.astype(jnp.float32) * 2**NUM_BITS).astype(jnp.uint32)


def below(
    thresholds: UInt32[Array, " classes"], classes: Sequence[Array], keys: Key[Array, "24"]
) -> UInt32[Array, "..."]:
    """Bits of the sites whose random number of 24 bits is below the threshold of their class.

    Args:
        thresholds: T of each class, 0 ≤ T ≤ 2^24.
        classes: Bits of the sites of each class.
        keys: Keys of the random bits, least significant first: each gives one bit to every site.
    """
    # r < 2^24 is r ≤ 2^24 − 1: the comparison begins with "equal counts" where T has one bit more than r.
    beyond = thresholds >> NUM_BITS
    lower = thresholds - beyond

    masks = jnp.where((lower >> jnp.arange(NUM_BITS, dtype=jnp.uint32)[:, None]) & 1 == 1, _ALL, np.uint32(0))

    def of_sites(mask: Array) -> Array:
        return functools.reduce(operator.or_, [mask[k] & c for k, c in enumerate(classes)])

    def compare(found: Array, group: tuple[Array, Array]) -> tuple[Array, None]:
        masks, keys = group
        words = jax.vmap(lambda key: jax.random.bits(key, found.shape, jnp.uint32))(keys)
        for mask, random in zip(masks, words, strict=True):
            bit = of_sites(mask)
            # A higher bit decides unless it equals the threshold's: the majority of (bit, not random, found so far).
            found = (bit & (~random | found)) | (~random & found)
        return found, None

    # A loop, although a short one: this is a large piece of code, which compiles in half the time when it is halved.
    groups = jax.tree.map(lambda leaf: leaf.reshape(-1, _GROUP, *leaf.shape[1:]), (masks, keys))
    return jax.lax.scan(compare, of_sites(jnp.where(beyond == 1, _ALL, np.uint32(0))), groups)[0]


def update_colour(
    mine: UInt32[Array, "..."],
    other: UInt32[Array, "..."],
    colour: int | Array,
    layout: Layout | RingLayout,
    thresholds: UInt32[Array, "old counts"],
    keys: Key[Array, "24"],
    signs: UInt32[Array, "neighbours ..."] | None = None,
) -> UInt32[Array, "..."]:
    """All spins of one colour drawn given those of the other.

    Args:
        mine: Words of the colour that is drawn.
        other: Words of the other colour.
        colour: 0 or 1.
        layout: Which spin is where.
        thresholds: Of the new spin being +1; two rows where it depends on the old spin, one where it does not.
        keys: Keys of the random bits.
        signs: Bits of the bonds to each neighbour of the sites of this colour that are negative.
    """
    if isinstance(layout, Layout):
        classes = neighbour_classes(other, colour, layout)
    else:
        classes = ring_classes(other, colour, layout, signs)
    if len(thresholds) == 2:
        classes = [c & ~mine for c in classes] + [c & mine for c in classes]
    return below(thresholds.reshape(-1), classes, keys) & layout.mask


def packed_sweep(
    state: PackedSpins, table: Float[Array, "old counts"], *, key: PRNGKey
) -> tuple[PackedSpins, BoolScalar, Scalar]:
    """Both colours in turn: the new state, whether the table is one of probabilities, the share of spins that moved."""
    is_finite = ~jnp.any(jnp.isnan(table))
    thresholds = as_thresholds(jnp.where(is_finite, table, 0.0))

    def draw(halves: tuple[Array, Array], of_colour: Any) -> tuple[tuple[Array, Array], None]:
        (mine, other), (colour, keys, signs) = halves, of_colour
        return (other, update_colour(mine, other, colour, state.layout, thresholds, keys, signs)), None

    colours = jnp.arange(2), jax.random.split(key, (2, NUM_BITS)), state.signs
    halves, _ = jax.lax.scan(draw, (state.words[0], state.words[1]), colours)
    # Only words are chosen between, so that the signs of a batch of replicas stay one array.
    words = select(is_finite, jnp.stack(halves), state.words)
    moved = jnp.sum(jax.lax.population_count(jnp.stack(halves) ^ state.words))
    num_spins = state.words.size * state.layout.num_segments
    new = PackedSpins(words, state.layout, state.dtype, state.signs)
    return new, is_finite, moved.astype(table.dtype) / num_spins
