"""The generator under the energax battery, with threefry as control and planted weak generators that must fail."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from energax_battery import BATTERY, FALSE_ALARM
from energax_streams import STREAMS, read
from jax.extend.random import define_prng_impl

from energax.random import FAST_SPEC
from energax.random._fast import fold_in, random_bits, seed, split
from energax.random._mixing import child, stream

SIZE = 2**17
GENERATORS = {"fast": FAST_SPEC, "threefry": "threefry2x32"}


def first_failure(words: np.ndarray) -> str | None:
    return next((f"{name}: p = {p:.1g}" for name, test in BATTERY.items() if (p := test(words)) < FALSE_ALARM), None)


@pytest.mark.parametrize("name", STREAMS)
def test_streams_of_the_fast_generator_pass(name):
    assert not first_failure(read(name, FAST_SPEC, SIZE))


@pytest.mark.parametrize("name", ["one_key", "steps"])
def test_threefry_passes_as_control(name):
    assert not first_failure(read(name, "threefry2x32", SIZE))


@pytest.mark.parametrize("generator", GENERATORS)
def test_words_repeat_as_often_as_they_should(generator):
    # 2**19 words: 32 repeats expected; a permutation of the counter has none, with p = 1e-14.
    assert BATTERY["collisions"](read("one_key", GENERATORS[generator], 2**19)) >= FALSE_ALARM


@pytest.mark.slow
@pytest.mark.parametrize("generator", GENERATORS)
@pytest.mark.parametrize("name", STREAMS)
def test_long_streams_pass(name, generator):
    assert not first_failure(read(name, GENERATORS[generator], 2**22, seed=1))


# Planted generators: each is the fast one with a single defect.


def draws_of(mix):
    def draw(key, bit_width, shape):
        count = jax.lax.iota(jnp.uint32, math.prod(shape)).reshape(shape)
        return mix(count, key[0], key[1]).astype(f"uint{bit_width}")

    return draw


def splits_of(derive):
    def fork(key, shape):
        count = jax.lax.iota(jnp.uint32, math.prod(shape)).reshape(shape)
        return jnp.stack(derive(key[0], key[1], count), axis=-1)

    return fork


def one_round(c, k0, k1):
    x = (c + k0) ^ k1
    x = (x ^ (x >> 16)) * np.uint32(0x7FEB352D)
    return x ^ (x >> 15)


def permutation(c, k0, k1):
    return stream(c, k0, k1) - (((c + k0) * np.uint32(0x9E3779B1)) ^ k1)


# name: what replaces a part of the implementation, and the stream and number of words that must show it
PLANTED = {
    "linear congruential": ({"random_bits": draws_of(lambda c, a, b: (c + a) * np.uint32(747796405))}, "one_key", SIZE),
    "one round of mixing": ({"random_bits": draws_of(one_round)}, "one_key", SIZE),
    "permutation of the counter": ({"random_bits": draws_of(permutation)}, "one_key", 2**19),
    "key not used": ({"random_bits": draws_of(lambda c, a, b: stream(c, 0 * a, 0 * b))}, "children_side_by_side", SIZE),
    "key added at the end": ({"random_bits": draws_of(lambda c, a, b: stream(c, 0 * a, 0 * b) + a)}, "steps", SIZE),
    "high key word not used": ({"random_bits": draws_of(lambda c, a, b: stream(c, a, 0 * b))}, "raw_keys", SIZE),
    "children not mixed": ({"split": splits_of(lambda a, b, d: (a + 5 * d, b + 0 * d))}, "keys_of_children", SIZE),
    "children repeat after 256": (
        {"split": splits_of(lambda a, b, d: child(a, b, d & 255, 1))},
        "children_side_by_side",
        SIZE,
    ),
    "steps used twice": ({"fold_in": lambda key, d: fold_in(key, d >> 1)}, "steps", SIZE),
    "seeds used twice": ({"seed": lambda s: seed(s >> 1)}, "seeds_side_by_side", SIZE),
}


@pytest.mark.parametrize("defect", PLANTED)
def test_a_planted_generator_fails(defect):
    changed, name, size = PLANTED[defect]
    parts = {"seed": seed, "split": split, "random_bits": random_bits, "fold_in": fold_in} | changed
    weak = define_prng_impl(key_shape=(2,), name=defect, tag=defect, **parts)
    assert first_failure(read(name, weak, size))
