"""Words of spins of lattices in any dimension: the sites of a colour as one ring of bits, neighbours by rotating it."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int, UInt32


class RingLayout(NamedTuple):
    """Where a spin is: bit b of word (colour, i) holds the site of that colour in the pair of columns b·words + i.

    A site has the colour (sum of its indices) mod 2. Flattened, the lattice is a list of N/2 pairs of sites that are
    neighbours along the last axis, one of each colour: the ring. Where neighbours along an axis have a constant
    distance in it, all of them are found by one rotation.

    Attributes:
        shape: Lengths of the axes, all even.
        num_segments: Segments into which the ring is cut: spins in a word.
    """

    shape: tuple[int, ...]
    num_segments: int

    @property
    def num_words(self) -> int:
        """Words of one colour."""
        return math.prod(self.shape) // (2 * self.num_segments)

    @property
    def mask(self) -> np.uint32:
        """The bits of a word that are spins."""
        return np.uint32(2**self.num_segments - 1)

    def pack(self, x: Int[Array, "..."]) -> UInt32[Array, "2 words"]:
        """The words of a configuration, set where a spin is +1."""
        return _of_both_colours(x > 0, self)

    def unpack(self, words: UInt32[Array, "*stack 2 words"]) -> Bool[Array, "..."]:
        """Which spins of the configuration are +1; of stacked words, of all configurations."""
        bits = jnp.arange(self.num_segments, dtype=jnp.uint32)[:, None]
        rings = ((words[..., None, :] >> bits) & 1).reshape(*words.shape[:-1], -1)
        even, (first, second) = ~_starts_odd(self.shape), (rings[..., colour, :] for colour in (0, 1))
        pairs = jnp.stack([jnp.where(even, first, second), jnp.where(even, second, first)], axis=-1)
        return pairs.reshape(*words.shape[:-2], *self.shape) == 1


def ring_layout_of(shape: tuple[int, ...], fewest_spins: int) -> RingLayout | None:
    """The layout with the fullest words, None where a lattice has none with `fewest_spins` spins in a word."""
    if any(length % 2 for length in shape):
        return None
    half = math.prod(shape) // 2
    most = max(n for n in range(1, 33) if half % n == 0)
    return RingLayout(shape, most) if most >= fewest_spins else None


def packed_signs(negative: Bool[Array, "..."], layout: RingLayout) -> UInt32[Array, "2 neighbours words"]:
    """Bits of the negative bonds of every site, in the order of `ring_neighbours`: axis by axis, ahead and behind."""
    of_bonds = []
    for axis in range(len(layout.shape)):
        of_bonds += [negative[axis], jnp.roll(negative[axis], 1, axis)]
    return jnp.stack([_of_both_colours(bonds, layout) for bonds in of_bonds], axis=1)


def ring_classes(
    other: UInt32[Array, " words"],
    colour: int | Array,
    layout: RingLayout,
    signs: UInt32[Array, "neighbours words"] | None = None,
) -> list[UInt32[Array, " words"]]:
    """Bits of the sites of a colour with 0, 1, ... 2d neighbours that are +1 (−1 behind a negative bond)."""
    neighbours = ring_neighbours(other, colour, layout)
    if signs is not None:
        neighbours = [word ^ sign for word, sign in zip(neighbours, signs, strict=True)]
    digits = _count(neighbours)
    chosen = (
        [digit if count >> k & 1 else ~digit for k, digit in enumerate(digits)] for count in range(len(neighbours) + 1)
    )
    return [functools.reduce(jnp.bitwise_and, parts) for parts in chosen]


def ring_neighbours(other: Array, colour: int | Array, layout: RingLayout) -> list[UInt32[Array, " words"]]:
    """For each axis the neighbours ahead and behind of all sites of a colour; `other` holds the other colour."""
    found, stride = [], math.prod(layout.shape) // 2
    for axis, length in enumerate(layout.shape[:-1]):
        block, stride = stride, stride // length
        found += [_ahead(other, axis, stride, block, layout), _behind(other, axis, stride, block, layout)]
    # Along the last axis one neighbour is in the same pair, and the other one in the pair beside it.
    axis, block = len(layout.shape) - 1, layout.shape[-1] // 2
    odd = jnp.asarray(_odd_columns(layout))[colour]
    ahead, behind = _ahead(other, axis, 1, block, layout), _behind(other, axis, 1, block, layout)
    return [*found, (ahead & odd) | (other & ~odd), (other & odd) | (behind & ~odd)]


def _ahead(ring: Array, axis: int, stride: int, block: int, layout: RingLayout) -> Array:
    """The bits `stride` further on, which from the last plane of an axis are those of the first one."""
    last, _ = _ends(layout, axis)
    inside = _rotated(ring, stride, layout)
    return (inside & ~last) | (_rotated(ring, stride - block, layout) & last)


def _behind(ring: Array, axis: int, stride: int, block: int, layout: RingLayout) -> Array:
    """The bits `stride` before, which from the first plane of an axis are those of the last one."""
    _, first = _ends(layout, axis)
    inside = _rotated(ring, -stride, layout)
    return (inside & ~first) | (_rotated(ring, block - stride, layout) & first)


def _rotated(ring: Array, distance: int, layout: RingLayout) -> Array:
    """Bit h of the result is bit h + distance of the ring."""
    turns, rest = divmod(distance % (layout.num_words * layout.num_segments), layout.num_words)
    head = _turned(ring[rest:], turns, layout)
    return jnp.concatenate([head, _turned(ring[:rest], turns + 1, layout)]) if rest else head


def _turned(words: Array, turns: int, layout: RingLayout) -> Array:
    """The bits of each word turned towards the lower end."""
    n, k = layout.num_segments, turns % layout.num_segments
    return ((words >> k) | (words << (n - k))) & layout.mask if k else words


def _count(words: Sequence[Array]) -> list[Array]:
    """The binary digits of how many of the words have a bit set, lowest first."""
    digits: list[Array] = []
    for position, carry in enumerate(words):
        for k, digit in enumerate(digits):
            digits[k], carry = digit ^ carry, digit & carry
        if position + 1 >= 2 ** len(digits):
            digits.append(carry)
    return digits


def _of_both_colours(sites: Bool[Array, "..."], layout: RingLayout) -> UInt32[Array, "2 words"]:
    """Words with the bits of the sites of each colour."""
    pairs, odd = sites.reshape(-1, 2), _starts_odd(layout.shape)
    rings = jnp.stack([jnp.where(odd, pairs[:, 1], pairs[:, 0]), jnp.where(odd, pairs[:, 0], pairs[:, 1])])
    weights = jnp.asarray(2 ** np.arange(layout.num_segments), jnp.uint32)[:, None]
    bits = rings.reshape(2, layout.num_segments, layout.num_words)
    return jnp.sum(jnp.where(bits, weights, 0), axis=1, dtype=jnp.uint32)


@functools.cache
def _places(shape: tuple[int, ...]) -> Int[np.ndarray, "axes pairs"]:
    """The indices of the first site of every pair, the last one counted in pairs."""
    return np.indices((*shape[:-1], shape[-1] // 2)).reshape(len(shape), -1)


@functools.cache
def _starts_odd(shape: tuple[int, ...]) -> Bool[np.ndarray, " pairs"]:
    """Whether the first site of a pair has the colour 1."""
    return _places(shape)[:-1].sum(0) % 2 == 1


@functools.cache
def _ends(layout: RingLayout, axis: int) -> tuple[UInt32[np.ndarray, " words"], UInt32[np.ndarray, " words"]]:
    """Bits of the last and of the first plane of an axis, counted in pairs along the last axis."""
    place = _places(layout.shape)[axis]
    return _words(place == place.max(), layout), _words(place == 0, layout)


@functools.cache
def _odd_columns(layout: RingLayout) -> UInt32[np.ndarray, "2 words"]:
    """Bits of the sites of each colour that are the second ones of their pairs."""
    odd = _starts_odd(layout.shape)
    return np.stack([_words(odd, layout), _words(~odd, layout)])


def _words(ring: Bool[np.ndarray, " pairs"], layout: RingLayout) -> UInt32[np.ndarray, " words"]:
    bits = ring.reshape(layout.num_segments, layout.num_words).astype(np.uint32)
    return np.bitwise_or.reduce(bits << np.arange(layout.num_segments, dtype=np.uint32)[:, None], axis=0)
