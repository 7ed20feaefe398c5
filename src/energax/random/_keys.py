"""Keys: making fast ones, choosing a generator, and taking keys through files."""

from __future__ import annotations

import operator

import jax
import jax.core
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key, PyTree, Shaped, UInt32

from energax._errors import ArgumentError, ShapeError, nearest
from energax._typing import PRNGKey
from energax.random._fast import FAST_SPEC, SEED
from energax.random._mixing import Words, absorb

# Where the benchmark (benchmarks/random_bits.py) found the fast generator faster than the default one.
_FASTER_ON = frozenset({"cpu"})
_GENERATORS = ("as-given", "auto", "fast")
_ADOPT = (0xA4093822, 0x299F31D0)  # digits of pi, next to those in _fast


def is_key(value: object) -> bool:
    """Whether `value` is a typed key or an array of them."""
    return isinstance(value, jax.Array) and jnp.issubdtype(value.dtype, jax.dtypes.prng_key)


def check_key(key: object) -> None:
    """Raise ArgumentError unless `key` is a typed key or an array of them."""
    if is_key(key):
        return
    if isinstance(key, jax.Array | np.ndarray) and key.dtype == np.uint32:
        raise ArgumentError(
            f"key is an untyped array of shape {key.shape} and type uint32, as jax.random.PRNGKey makes them. "
            "A typed key was expected: jax.random.key(0), or jax.random.wrap_key_data(key) for this one."
        )
    given = f"an array of type {key.dtype}" if isinstance(key, jax.Array | np.ndarray) else repr(key)
    raise ArgumentError(f"key is {given}. A typed key was expected: jax.random.key(0) or energax.random.fast_key(0).")


def _wrap(words: tuple[Words, Words]) -> Key[Array, "..."]:
    return jax.random.wrap_key_data(jnp.stack(words, axis=-1), impl=FAST_SPEC)


def fast_key(seed: int) -> PRNGKey:
    """A key of the fast generator.

    Different seeds give different keys (the map is a permutation of 64-bit integers), and neighbouring seeds
    independent streams. The key does not depend on whether 64-bit types are enabled.

    Args:
        seed: An integer, -2**63 ≤ seed < 2**64.

    Returns:
        A typed key, shape `()`, for every function of `jax.random`.

    Raises:
        ArgumentError: The seed is not an integer, or does not fit into 64 bits.

    Example:
        >>> import jax, energax
        >>> jax.random.uniform(energax.random.fast_key(0), (2,)).shape
        (2,)
    """
    try:
        number = operator.index(seed)
    except TypeError:
        raise ArgumentError(f"seed is {seed!r}. An integer was expected, for example fast_key(0).") from None
    if not -(2**63) <= number < 2**64:
        raise ArgumentError(f"seed is {number}, which does not fit into 64 bits: -2**63 <= seed < 2**64 was expected.")
    low, high = (jnp.asarray(np.uint32((number >> shift) & 0xFFFFFFFF)) for shift in (0, 32))
    return _wrap(absorb(low, high, SEED))


def to_fast(key: Key[Array, "..."]) -> Key[Array, "..."]:
    """The fast key, or keys, that belong to keys of any generator; a fast key is returned as it is.

    All words of the key are mixed in. For keys of two words, such as threefry's, different keys give different fast
    keys.

    Args:
        key: Typed keys of any shape.

    Returns:
        Fast keys of the same shape.

    Raises:
        ArgumentError: The keys are not typed.

    Example:
        >>> import jax, energax
        >>> energax.random.generator_name(energax.random.to_fast(jax.random.key(0)))
        'energax_fast1'
    """
    check_key(key)
    return key if is_fast(key) else _adopted(key)


@jax.jit
def _adopted(key: Key[Array, "..."]) -> Key[Array, "..."]:
    # Compiled, because thirty small operations one by one cost more than a short run.
    data = jax.random.key_data(key)
    words = jnp.moveaxis(data.reshape(*key.shape, -1), -1, 0)
    a = b = jnp.zeros(key.shape, jnp.uint32)
    for start in range(0, len(words), 2):
        a = a + words[start]
        b = b ^ words[start + 1] if start + 1 < len(words) else b
        a, b = absorb(a, b, _ADOPT)
    return _wrap((a, b))


def is_fast(key: Key[Array, "..."]) -> bool:
    """Whether a typed key belongs to the fast generator."""
    return jax.random.key_impl(key) == FAST_SPEC


def _platform(key: Key[Array, "..."]) -> str:
    if isinstance(key, jax.core.Tracer):
        return jax.default_backend()
    return next(iter(key.devices())).platform


def choose(key: Key[Array, "..."], generator: str = "auto") -> Key[Array, "..."]:
    """The key that a driver should draw from: the given one, or the fast one that belongs to it.

    Args:
        key: Typed keys of any shape.
        generator: `"auto"`: the fast generator where it is measured faster than the default one (on a CPU), else the
            given one. `"fast"`: always the fast one. `"as-given"`: the key as it is.

    Returns:
        Typed keys of the same shape.

    Raises:
        ArgumentError: The keys are not typed, or there is no such generator.

    Example:
        >>> import jax, energax
        >>> energax.random.generator_name(energax.random.choose(jax.random.key(0), "as-given"))
        'threefry2x32'
    """
    check_key(key)
    if generator not in _GENERATORS:
        raise ArgumentError(f"there is no generator {generator!r}. {nearest(str(generator), _GENERATORS)}")
    fast = generator == "fast" or (generator == "auto" and _platform(key) in _FASTER_ON)
    return to_fast(key) if fast else key


def generator_name(key: Key[Array, "..."]) -> str:
    """The name of the generator that a key belongs to, for reports and run records.

    Args:
        key: Typed keys of any shape.

    Returns:
        `FAST_IMPL`, or JAX's name, for example `"threefry2x32"`.

    Raises:
        ArgumentError: The keys are not typed.
    """
    check_key(key)
    return str(jax.random.key_impl(key))


def unwrap_keys(tree: PyTree) -> PyTree[Shaped[Array, "..."]]:
    """The tree with the data of each key in the key's place, as arrays of uint32 that any file format can hold.

    Checkpoint formats that restore typed keys look their generator up by name in JAX's own list, which has no public
    way in; so a checkpoint holds key data, and `wrap_keys` makes keys of them again.

    Args:
        tree: Any pytree.

    Returns:
        The same structure; leaves that are not typed keys are left alone.
    """
    return jax.tree.map(lambda leaf: jax.random.key_data(leaf) if is_key(leaf) else leaf, tree)


def _rewrap(data: UInt32[Array, "..."], like: Key[Array, "..."]) -> Key[Array, "..."]:
    expected = jax.eval_shape(jax.random.key_data, like)
    if (data.shape, data.dtype) != (expected.shape, expected.dtype):
        raise ShapeError(
            f"key data have shape {data.shape} and type {data.dtype}; a key of {generator_name(like)} with shape "
            f"{like.shape} has {expected.shape} and {expected.dtype}. The data belong to another generator or tree."
        )
    return jax.random.wrap_key_data(jnp.asarray(data), impl=jax.random.key_impl(like))


def wrap_keys(tree: PyTree, like: PyTree) -> PyTree:
    """The reverse of `unwrap_keys`: keys again, each of the generator of its counterpart in `like`.

    Args:
        tree: What `unwrap_keys` returned, or a copy of it from a file.
        like: A tree of the same structure with keys in their places.

    Returns:
        `tree` with keys in place of key data.

    Raises:
        ShapeError: Key data do not fit the key in their place.
    """
    return jax.tree.map(lambda leaf, key: _rewrap(leaf, key) if is_key(key) else leaf, tree, like)
