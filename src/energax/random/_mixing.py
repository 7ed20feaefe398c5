"""Mixing of 32-bit words: the arithmetic under the fast generator.

Every function is elementwise in unsigned 32-bit integers (products and sums modulo 2**32), so XLA fuses it into the
loop that uses the numbers, and every backend and every number of devices computes the same bits.

The steps are multiply-xorshift rounds. Multipliers and shifts of the three rounds in `stream`, and of the two in
`subkeys`, are those of three- and two-round permutations that a search for low avalanche bias found [wellons2018];
0x9E3779B1 is a prime next to 2**32 divided by the golden ratio, the usual step of a Weyl sequence [steele2014].
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from jaxtyping import Array, UInt32

Words: TypeAlias = UInt32[Array, "..."]

_WEYL = 0x9E3779B1
_TWO = (0x7FEB352D, 0x846CA68B)
_THREE = (0xED5AD4BB, 0xAC4C1B51, 0x31848BAB)
_ROUNDS = ((_THREE[0], _THREE[1]), (_THREE[2], _TWO[0]), (_TWO[1], _WEYL))


def _fold(x: Words, shift: int) -> Words:
    return x ^ (x >> np.uint32(shift))


def _times(x: Words, factor: int) -> Words:
    return x * np.uint32(factor)


def _rotate(x: Words, shift: int) -> Words:
    return (x << np.uint32(shift)) | (x >> np.uint32(32 - shift))


def subkeys(k0: Words, k1: Words) -> tuple[Words, Words]:
    """Two further words of key, mixed from both; work per key, not per number."""
    half = _fold(_times(_fold(k0 ^ _rotate(k1, 16), 16), _TWO[0]), 15)
    return _fold(_times(half, _TWO[1]), 16), half


def stream(counter: Words, k0: Words, k1: Words) -> Words:
    """The random word at `counter` in the stream of the key `(k0, k1)`.

    Three keyed rounds permute `u`, and adding `u` to the result makes it a function instead of a permutation: a
    permutation of 32-bit words never repeats one, which a collision test sees after 2**19 draws.
    """
    # The key enters at three depths: at the first alone, all keys would read one universal sequence at different
    # places. Later it enters as subkeys: with the raw words, neighbouring keys would give correlated streams.
    early, late = subkeys(k0, k1)
    u = _times(counter + k0, _WEYL) ^ k1
    x = _fold(_times(_fold(u, 17), _THREE[0]), 11) + early
    x = _fold(_times(x, _THREE[1]), 15) + late
    return _fold(_times(x, _THREE[2]), 14) + u


def permute(a: Words, b: Words) -> tuple[Words, Words]:
    """A fixed permutation of 64 bits, held as two words."""
    for left, right in _ROUNDS:
        a = _times(_fold(a, 16), left)
        b = b + a
        b = _times(_fold(b, 15), right)
        a = a ^ b
    return _fold(a, 16), _fold(b, 15)


def child(k0: Words, k1: Words, data: Words, purpose: int) -> tuple[Words, Words]:
    """The key that `(k0, k1)` derives from `data`: for a fixed key and purpose, different data give different keys.

    A block cipher with the key added before, between and after two permutations.
    """
    a, b = permute(data + k0, k1 ^ np.uint32(purpose))
    a, b = permute(a + k1, b + k0)
    return a + k0, b ^ k1


def absorb(a: Words, b: Words, purpose: tuple[int, int]) -> tuple[Words, Words]:
    """A permutation of 64 bits for words that are not yet mixed: seeds, and keys of other generators."""
    p, q = np.uint32(purpose[0]), np.uint32(purpose[1])
    a, b = permute(a + p, b ^ q)
    return permute(a + q, b + p)
