"""Randomness as a function of position: the same words give the same numbers, whatever was drawn before.

Batches, splits, dequantisation noise and stochastic binarisation use it, so that the data cursor of a run is its step
number and a resumed run sees the bits that the uninterrupted one would have seen. The numbers are those of SplitMix64,
a counter passed through a 64-bit mixing function; they do not depend on the version of NumPy.

References: [steele2014]; [black2002] for permutations by cycle walking in a Feistel network.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Int64, UInt64

from energax._errors import ArgumentError

_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15
_NUM_ROUNDS = 12
_MAX_STORED = 1 << 22


def _mix(z: UInt64[np.ndarray, "..."]) -> UInt64[np.ndarray, "..."]:
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def fold(*words: int) -> int:
    """One 64-bit word that depends on every one of `words` and on their order."""
    key = 0
    for word in words:
        # the mixing function again, on Python integers: ten times faster than on arrays of one element
        z = ((key ^ (word & _MASK)) + _GOLDEN) & _MASK
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
        key = z ^ (z >> 31)
    return key


def counter_bits(key: int, counter: Int64[np.ndarray, "..."]) -> UInt64[np.ndarray, "..."]:
    """64 bits for every value of the counter."""
    return _mix(np.uint64(key) + (counter.astype(np.uint64) + np.uint64(1)) * np.uint64(_GOLDEN))


def row_uniforms(key: int, rows: Int64[np.ndarray, " n"], size: int) -> Float[np.ndarray, "n size"]:
    """Uniforms in [0, 1) for every row number: a row gets the same ones in whatever batch it comes."""
    starts = counter_bits(key, rows)[:, None]
    steps = np.arange(1, size + 1, dtype=np.uint64)[None, :] * np.uint64(_GOLDEN)
    return (_mix(starts + steps) >> np.uint64(11)) * (1.0 / (1 << 53))


@dataclasses.dataclass(frozen=True)
class Permutation:
    """A pseudo-random permutation of 0 … size − 1 that is evaluated where it is asked for, and can be inverted.

    An alternating Feistel network with modular additions on a grid of a × b ≥ size cells; values that fall outside
    are sent round again. It needs no memory and costs about a microsecond for each index in large batches.

    Args:
        size: Number of elements.
        key: 64-bit word, such as one from `fold`.
    """

    size: int
    key: int

    def __call__(self, index: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
        """Images of the indices."""
        return self._walk(index, self._forward)

    def inverse(self, image: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
        """The indices that are sent to `image`."""
        return self._walk(image, self._backward)

    @property
    def _grid(self) -> tuple[int, int]:
        a = max(math.isqrt(max(self.size - 1, 0)) + 1, 1)
        return a, -(-self.size // a)

    @functools.cached_property
    def _round_keys(self) -> tuple[int, ...]:
        return tuple(fold(self.key, step) for step in range(_NUM_ROUNDS))

    def _walk(
        self, index: Int64[np.ndarray, " n"], step: Callable[[Int64[np.ndarray, " n"]], Int64[np.ndarray, " n"]]
    ) -> Int64[np.ndarray, " n"]:
        out = step(np.asarray(index, np.int64))
        outside = np.flatnonzero(out >= self.size)
        while outside.size:
            out[outside] = step(out[outside])
            outside = outside[out[outside] >= self.size]
        return out

    def _shift(self, step: int, half: Int64[np.ndarray, " n"], modulus: int) -> Int64[np.ndarray, " n"]:
        bits = counter_bits(self._round_keys[step], half)
        return (bits % np.uint64(modulus)).astype(np.int64)

    def _forward(self, index: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
        a, b = self._grid
        left, right = index // b, index % b
        for step in range(0, _NUM_ROUNDS, 2):
            left = (left + self._shift(step, right, a)) % a
            right = (right + self._shift(step + 1, left, b)) % b
        return left * b + right

    def _backward(self, image: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
        a, b = self._grid
        left, right = image // b, image % b
        for step in reversed(range(0, _NUM_ROUNDS, 2)):
            right = (right - self._shift(step + 1, left, b)) % b
            left = (left - self._shift(step, right, a)) % a
        return left * b + right


@functools.lru_cache(maxsize=4)
def _stored_order(num_rows: int, seed: int, epoch: int) -> Int64[np.ndarray, " n"]:
    order = np.argsort(counter_bits(fold(seed, epoch), np.arange(num_rows)), kind="stable")
    order.flags.writeable = False
    return order


def _ordered(num_rows: int, seed: int, epoch: int, position: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
    if num_rows <= _MAX_STORED:
        return _stored_order(num_rows, seed, epoch)[position]
    return Permutation(num_rows, fold(seed, epoch))(position)


def batch_indices(num_rows: int, batch_size: int, step: int, seed: int) -> Int64[np.ndarray, " batch"]:
    """Row numbers of one training batch: a function of the step, with nothing to remember.

    The rows are visited in epochs. Each epoch is another pseudo-random order of all rows, and batches are cut from the
    sequence of epochs, so that every batch has `batch_size` rows, every row comes once an epoch, and a batch may hold
    the end of one epoch and the beginning of the next.

    Cost: a sort once an epoch up to four million rows; above, about a microsecond for each row of the batch and no
    memory.

    Args:
        num_rows: Rows of the split.
        batch_size: Rows of a batch; may be larger than `num_rows`.
        step: Number of the batch, counted from 0.
        seed: Another seed is another order.

    Returns:
        Indices in [0, num_rows), int64, shape (batch_size,).

    Raises:
        ArgumentError: A count is not positive or the step is negative.

    Example:
        >>> from energax.data import batch_indices
        >>> sorted(int(i) for step in range(3) for i in batch_indices(6, 2, step, seed=0))
        [0, 1, 2, 3, 4, 5]
    """
    if num_rows < 1 or batch_size < 1 or step < 0:
        raise ArgumentError(
            f"Batches need num_rows ≥ 1, batch_size ≥ 1 and step ≥ 0, got {num_rows}, {batch_size} and {step}."
        )
    first = step * batch_size
    parts = []
    while first < (step + 1) * batch_size:
        epoch, start = divmod(first, num_rows)
        stop = min(num_rows, start + (step + 1) * batch_size - first)
        parts.append(_ordered(num_rows, seed, epoch, np.arange(start, stop)))
        first += stop - start
    return parts[0] if len(parts) == 1 else np.concatenate(parts)
