"""The fast key implementation, in the form that JAX asks for."""

from __future__ import annotations

import functools
import math
from collections.abc import Hashable

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.extend.random import define_prng_impl
from jaxtyping import Array, Int, UInt, UInt32

from energax._errors import ArgumentError
from energax.random._mixing import absorb, child, stream

# The name goes into checkpoints and reports. Other bits for the same key need another name, hence the digit.
FAST_IMPL = "energax_fast1"

# Digits of pi, so that no purpose can pass for another.
_FOLD_IN, _SPLIT, SEED = 0x243F6A88, 0x85A308D3, (0x13198A2E, 0x03707344)
_WORDS = 2**32
_WIDTHS = (8, 16, 32, 64)


def _counter(shape: tuple[int, ...], words: int = 1) -> UInt32[Array, "..."]:
    """`words` times the row-major index; one iota an axis, because reshaping a flat one would undo a sharding."""
    if (size := math.prod(shape) * words) > _WORDS:
        raise ArgumentError(
            f"one key gives at most 2**32 words in one draw, and the shape {shape} needs {size}. "
            "Split the key and draw the parts one by one, for example with jax.vmap over the leading axis."
        )
    index = jnp.zeros(shape, jnp.uint32)
    for axis in range(len(shape)):
        stride = np.uint32(math.prod(shape[axis + 1 :]) * words % _WORDS)
        index = index + lax.broadcasted_iota(jnp.uint32, shape, axis) * stride
    return index


@jax.jit
def _seed(value: Int[Array, ""]) -> UInt32[Array, "2"]:
    low = value.astype(jnp.uint32)
    high = (value >> 32).astype(jnp.uint32) if value.dtype.itemsize == 8 else jnp.zeros_like(low)
    return jnp.stack(absorb(low, high, SEED))


def seed(value: Int[Array, ""]) -> UInt32[Array, "2"]:
    """The key of an integer: a permutation of 64-bit integers, so that no two seeds share a key."""
    return _seed(value)


@functools.partial(jax.jit, static_argnums=1, inline=True)
def _split(key: UInt32[Array, "2"], shape: tuple[int, ...]) -> UInt32[Array, "... 2"]:
    return jnp.stack(child(key[0], key[1], _counter(shape), _SPLIT), axis=-1)


def split(key: UInt32[Array, "2"], shape: tuple[int, ...]) -> UInt32[Array, "... 2"]:
    """Independent keys, all different; the first n are the same for every larger number."""
    return _split(key, tuple(shape))


@functools.partial(jax.jit, inline=True)
def _fold_in(key: UInt32[Array, "2"], data: Int[Array, ""]) -> UInt32[Array, "2"]:
    return jnp.stack(child(key[0], key[1], data.astype(jnp.uint32), _FOLD_IN))


def fold_in(key: UInt32[Array, "2"], data: int | Int[Array, ""]) -> UInt32[Array, "2"]:
    """The key of `data` under `key`: different for each of the 2**32 values."""
    return _fold_in(key, jnp.asarray(data))


@functools.partial(jax.jit, static_argnums=(1, 2), inline=True)
def _random_bits(key: UInt32[Array, "2"], bit_width: int, shape: tuple[int, ...]) -> UInt[Array, "..."]:
    dtype = jnp.dtype(f"uint{bit_width}")
    counter = _counter(shape, 2 if bit_width == 64 else 1)
    word = stream(counter, key[0], key[1])
    if bit_width < 64:
        return word.astype(dtype)
    low = stream(counter + np.uint32(1), key[0], key[1])
    return (word.astype(dtype) << 32) | low.astype(dtype)


def random_bits(key: UInt32[Array, "2"], bit_width: int, shape: tuple[int, ...]) -> UInt[Array, "..."]:
    """Random bits of one key: element i of the flattened shape is a function of the key and of i alone."""
    if bit_width not in _WIDTHS:
        raise ArgumentError(f"bits come in words of 8, 16, 32 or 64, not {bit_width}.")
    return _random_bits(key, bit_width, tuple(shape))


# A reload of this module keeps the first definition: JAX compares key types by the functions in them, so a second
# definition would make keys from before the reload strangers.
FAST_SPEC: Hashable = globals().get("FAST_SPEC") or define_prng_impl(
    key_shape=(2,), seed=seed, split=split, random_bits=random_bits, fold_in=fold_in, name=FAST_IMPL, tag=FAST_IMPL
)
