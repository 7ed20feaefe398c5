"""Every test of the battery sees the defect that it is for: true random words with one small thing wrong."""

from __future__ import annotations

import numpy as np
import pytest
from energax_battery import BATTERY, FALSE_ALARM, avalanche, normal_law

SIZE = 2**17


def some(rng, share, size=SIZE):
    return rng.random(size) < share


def replaced(words, where, by):
    return np.where(where, by, words).astype(np.uint32)


def with_bit(words, j, ones):
    return (words & ~np.uint32(1 << j)) | (ones.astype(np.uint32) << np.uint32(j))


def biased_bit(words, rng):
    """One bit is set in 51.2 % of the words."""
    return words | (some(rng, 0.024).astype(np.uint32) << np.uint32(7))


def rare_byte(words, rng):
    """One of the 256 values of one byte comes half as often, its neighbour half as often again."""
    hit = ((words >> np.uint32(16)) & np.uint32(255)) == 17
    return words + ((hit & some(rng, 0.5)).astype(np.uint32) << np.uint32(16))


def short_scale(words, rng):
    """The numbers end at 0.99."""
    return (words * 0.99).astype(np.uint32)


def echo(words, rng):
    """3 % of the words repeat the one 100 before, give or take their low bits."""
    return replaced(words, some(rng, 0.03), np.roll(words, 100) ^ (words & np.uint32(0xFFFF)))


def hum(words, rng):
    """A sine of amplitude 0.01 on the numbers."""
    wave = 0.01 * 2**32 * np.sin(np.arange(words.size) * 0.7)
    return np.clip(words + wave, 0, 2**32 - 1).astype(np.uint32)


def echo_of_a_bit(words, rng):
    """One bit repeats the one 1024 words before in 2.4 % of the words."""
    return with_bit(words, 3, np.where(some(rng, 0.024), np.roll(words, 1024), words) >> np.uint32(3) & np.uint32(1))


def sticky_bit(words, rng):
    """The top bit stays as it was in 4 % of the words, beyond chance."""
    top, stay = words >> np.uint32(31), some(rng, 0.04)
    last = np.maximum.accumulate(np.where(stay, -1, np.arange(words.size)))
    return with_bit(words, 31, top[np.maximum(last, 0)])


def sorted_fours(words, rng):
    """2 % of the blocks of four words are in order."""
    fours = words.reshape(-1, 4)
    return np.where(some(rng, 0.02, len(fours))[:, None], np.sort(fours, axis=1), fours).ravel()


def shy_zeros(words, rng):
    """Of words that begin with 0000 and follow such a word, half are moved away."""
    zero = words >> np.uint32(28) == 0
    return words ^ ((zero & np.roll(zero, 1) & some(rng, 0.5)).astype(np.uint32) << np.uint32(30))


def pairs_in_a_hand(words, rng):
    """Two nibbles of a word are equal in 3 % of the words, beyond chance."""
    return replaced(words, some(rng, 0.03), (words & np.uint32(0xFFFFFF0F)) | ((words & np.uint32(15)) << np.uint32(4)))


def repeats(words, rng):
    """One word in a thousand was there 5000 words ago."""
    return replaced(words, some(rng, 0.001), np.roll(words, 5000))


def equal_steps(words, rng):
    """One word in 300 lies a fixed small distance above the one before."""
    return replaced(words, some(rng, 1 / 300), np.roll(words, 1) + np.uint32(12345))


def dependent_row(words, rng):
    """In a quarter of the 32x32 matrices the last row is the sum of two others."""
    rows = words.reshape(-1, 32).copy()
    rows[:, 31] = np.where(some(rng, 0.25, len(rows)), rows[:, 4] ^ rows[:, 20], rows[:, 31])
    return rows.ravel()


def dense_after_dense(words, rng):
    """After a word with more than 18 ones, one random bit is set."""
    dense = np.roll(np.bitwise_count(words), 1) > 18
    return words | (dense.astype(np.uint32) << rng.integers(0, 32, words.size).astype(np.uint32))


def diagonal(words, rng):
    """In 2 % of the successive pairs both numbers lie in the same 64th of the unit interval."""
    pairs = words.reshape(-1, 2).copy()
    mask = np.uint32(0x3F << 26)
    same = (pairs[:, 0] & mask) | (pairs[:, 1] & ~mask)
    pairs[:, 1] = np.where(some(rng, 0.02, len(pairs)), same, pairs[:, 1])
    return pairs.ravel()


def linear_in_the_counter(words, rng):
    """One bit is a parity of four bits of the counter in 3 % of the words."""
    parity = np.bitwise_count(np.arange(words.size, dtype=np.uint32) & np.uint32(0b1001001010)) & 1
    return with_bit(words, 5, np.where(some(rng, 0.03), parity, words >> np.uint32(5) & np.uint32(1)))


def shift_register(words, rng):
    """The lowest bits of a quarter of the blocks of 256 words come from a register of length 89."""
    state = [1, *rng.integers(0, 2, 88)]
    while len(state) < words.size:
        state.append(state[-38] ^ state[-89])
    blocks = np.repeat(some(rng, 0.25, words.size // 256), 256)
    return with_bit(words, 0, np.where(blocks, np.array(state), words & np.uint32(1)))


DEFECTS = {
    "bit_frequency": biased_bit,
    "byte_frequency": rare_byte,
    "uniform_law": short_scale,
    "serial_correlation": echo,
    "spectrum": hum,
    "bit_lags": echo_of_a_bit,
    "runs": sticky_bit,
    "order": sorted_fours,
    "gap": shy_zeros,
    "poker": pairs_in_a_hand,
    "collisions": repeats,
    "birthday_spacings": equal_steps,
    "matrix_rank": dependent_row,
    "hamming": dense_after_dense,
    "equidistribution": diagonal,
    "walsh": linear_in_the_counter,
    "linear_complexity": shift_register,
}


def test_every_test_of_the_battery_has_its_defect():
    assert DEFECTS.keys() == BATTERY.keys()


@pytest.mark.parametrize("name", BATTERY)
def test_the_defect_is_seen_and_true_random_words_pass(name):
    rng = np.random.Generator(np.random.Philox(20240611))
    words = rng.integers(0, 2**32, SIZE, dtype=np.uint32)
    assert BATTERY[name](words) >= FALSE_ALARM
    assert BATTERY[name](DEFECTS[name](words, rng)) < FALSE_ALARM


def test_avalanche_sees_an_output_bit_that_flips_too_rarely():
    # 2**14 inputs: one output bit that follows one input bit in 53 % instead of 50 % of the cases
    rng = np.random.Generator(np.random.Philox(20240611))
    outputs = rng.integers(0, 2**32, (2**14, 2), dtype=np.uint32)
    flipped = rng.integers(0, 2**32, (8, 2**14, 2), dtype=np.uint32)
    assert avalanche(outputs, flipped) >= FALSE_ALARM
    unmoved = some(rng, 0.06, 2**14)
    flipped[3, :, 1] = with_bit(
        flipped[3, :, 1], 9, np.where(unmoved, outputs[:, 1], flipped[3, :, 1]) >> np.uint32(9) & np.uint32(1)
    )
    assert avalanche(outputs, flipped) < FALSE_ALARM


@pytest.mark.parametrize(
    "spoil",
    [
        lambda z: z + 0.02,
        lambda z: z * 1.012,
        lambda z: np.where(np.abs(z) > 3.2, z / 2, z),  # no tail beyond 3.2: 360 of the numbers
        lambda z: np.where(np.abs(z) < 0.02, z + 0.04, z),  # 1.6 % of the mass moved by 0.04
    ],
    ids=["shifted", "wide", "no tail", "hole in the middle"],
)
def test_normal_law_sees(spoil):
    z = np.random.Generator(np.random.Philox(20240611)).standard_normal(2**18)
    assert normal_law(z) >= FALSE_ALARM
    assert normal_law(spoil(z)) < FALSE_ALARM
