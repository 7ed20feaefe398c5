"""The streams of words that the battery reads from a generator: every way in which numbers are made of keys."""

from __future__ import annotations

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

LONG, SHORT = 256, 8  # words a key, in the streams of many keys


@functools.partial(jax.jit, static_argnums=1)
def _draws(keys, count):
    return jax.vmap(lambda k: jax.random.bits(k, (count,)))(keys)


@functools.partial(jax.jit, static_argnums=(1, 2))
def _one(key, count, dtype=np.uint32):
    return jax.random.bits(key, (count,), dtype)


@functools.partial(jax.jit, static_argnums=1)
def _children(key, count):
    return jax.random.split(key, count)


@functools.partial(jax.jit, static_argnums=1)
def _steps(key, count):
    return jax.vmap(lambda step: jax.random.fold_in(key, step))(jnp.arange(count))


@functools.partial(jax.jit, static_argnums=(0, 1))
def _seeds(impl, count):
    return jax.vmap(lambda seed: jax.random.key(seed, impl=impl))(jnp.arange(count))


@functools.partial(jax.jit, static_argnums=1)
def _chain(key, count):
    def step(key, _):
        key, child = jax.random.split(key)
        return key, jax.random.key_data(child)

    return jax.lax.scan(step, key, None, length=count)[1]


def _far_apart(words):
    side = int(np.sqrt(words.size))
    return np.ascontiguousarray(words[: side * side].reshape(side, side).T).ravel()


def one_key(key, impl, size):
    return _one(key, size)


def one_key_far_apart(key, impl, size):
    """One key, neighbours in the stream √size draws apart: defects in the high digits of the counter."""
    return _far_apart(np.asarray(_one(key, size)))


def children_side_by_side(key, impl, size):
    """The first number of each child of a split, then the second of each."""
    return _draws(_children(key, size // LONG), LONG).T


def children_xored(key, impl, size):
    """Numbers of neighbouring children, combined by exclusive or."""
    words = _draws(_children(key, size // LONG + 1), LONG)
    return words[1:] ^ words[:-1]


def steps(key, impl, size):
    """A few numbers of each key `fold_in(key, step)`, one step after another: what a chain draws."""
    return _draws(_steps(key, size // SHORT), SHORT)


def seeds_side_by_side(key, impl, size):
    return _draws(_seeds(impl, size // LONG), LONG).T


def raw_keys(key, impl, size):
    """Keys whose data are small integers: the generator itself must mix them."""
    count = size // LONG
    low = jnp.arange(count, dtype=jnp.uint32)
    data = jnp.stack([low & 1, low >> 1], axis=-1)  # both words count
    return _draws(jax.random.wrap_key_data(data, impl=impl), LONG).T


def keys_of_children(key, impl, size):
    """The words of the keys themselves."""
    return jax.random.key_data(_children(key, size // 2))


def chain_of_keys(key, impl, size):
    """Keys from splitting again and again."""
    return _chain(key, size // 2)


def parent_and_children(key, impl, size):
    """Words of a key beside the first three words of its children."""
    count = size // 4
    return jnp.concatenate([_one(key, count)[:, None], _draws(_children(key, count), 3)], axis=1)


def bytes_of_one_key(key, impl, size):
    return np.asarray(_one(key, 4 * size, np.uint8)).view(np.uint32)


STREAMS: dict[str, Callable] = {
    stream.__name__: stream
    for stream in (
        one_key,
        one_key_far_apart,
        children_side_by_side,
        children_xored,
        steps,
        seeds_side_by_side,
        raw_keys,
        keys_of_children,
        chain_of_keys,
        parent_and_children,
        bytes_of_one_key,
    )
}


def read(name: str, impl, size: int, seed: int = 0) -> np.ndarray:
    """`size` words of a stream."""
    words = STREAMS[name](jax.random.key(seed, impl=impl), impl, size)
    return np.ascontiguousarray(np.asarray(words), dtype=np.uint32).ravel()
