"""Avalanche: one flipped bit of a seed, a key, a counter or a step flips every output bit half of the time."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from energax_battery import FALSE_ALARM, avalanche

from energax.random import FAST_SPEC
from energax.random._fast import SEED
from energax.random._mixing import absorb, child, stream

NUMBER = 2**13  # sees an output bit that follows an input bit in 53.5 % of the cases


def reduced(a, b, purpose):
    """One round in place of six: what the permutation must be better than."""
    a = (a ^ (a >> 16)) * np.uint32(0xED5AD4BB)
    return a, b + a


# name: a function of words, and how many words it takes
MIXERS = {
    "stream": (lambda c, a, b: (stream(c, a, b),), 3),
    "child": (lambda a, b, d: child(a, b, d, 1), 3),
    "seed": (lambda a, b: absorb(a, b, SEED), 2),
}


def flips(function, arity, start, number=NUMBER):
    """Outputs for `number` inputs, and for the same inputs with each of their bits flipped."""
    masks = np.concatenate(
        [np.eye(arity, dtype=np.uint32)[k] << np.arange(32, dtype=np.uint32)[:, None] for k in range(arity)]
    )
    call = jax.jit(lambda x: jnp.stack(function(*jnp.moveaxis(x, -1, 0)), axis=-1))
    return np.asarray(call(start)), np.asarray(call(start ^ masks[:, None, :]))


@pytest.mark.parametrize("structured", [False, True], ids=["any words", "small integers"])
@pytest.mark.parametrize("name", MIXERS)
def test_mixing_has_avalanche(name, structured):
    function, arity = MIXERS[name]
    rng = np.random.Generator(np.random.Philox(20240611))
    start = rng.integers(0, 2**32, (NUMBER, arity), dtype=np.uint32)
    if structured:
        start = np.stack([np.arange(NUMBER) >> 5 * k for k in range(arity)], axis=-1).astype(np.uint32)
    outputs, flipped = flips(function, arity, start)
    if structured:
        flipped = flipped[np.arange(len(flipped)) % 32 >= 13]  # flips inside the set would count each pair twice
    assert avalanche(outputs, flipped) >= FALSE_ALARM


def test_one_round_fails():
    start = np.random.Generator(np.random.Philox(20240611)).integers(0, 2**32, (NUMBER, 2), dtype=np.uint32)
    assert avalanche(*flips(lambda a, b: reduced(a, b, SEED), 2, start)) < FALSE_ALARM


@pytest.mark.parametrize("generator", [FAST_SPEC, "threefry2x32"], ids=["fast", "threefry"])
@pytest.mark.parametrize("what", ["seed", "step", "key"])
def test_keys_have_avalanche(what, generator):
    # 2**12 seeds, steps and raw keys through the public functions, and two numbers of each
    number = 2**12
    base = jax.random.key(3, impl=generator)
    make = {
        "seed": lambda i: jax.random.key(i, impl=generator),
        "step": lambda i: jax.random.fold_in(base, i),
        "key": lambda i: jax.random.wrap_key_data(jnp.stack([i, ~i]).astype(jnp.uint32), impl=generator),
    }[what]
    draw = jax.jit(jax.vmap(lambda i: jax.random.bits(make(i), (2,))))
    inputs = np.arange(number, dtype=np.uint32)
    flipped = np.stack([draw(inputs ^ np.uint32(1 << j)) for j in range(12, 31)])
    assert avalanche(np.asarray(draw(inputs)), flipped) >= FALSE_ALARM
