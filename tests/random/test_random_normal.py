"""Normal numbers: the quantile against SciPy's, the law against the exact one, types and keys."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from energax_battery import FALSE_ALARM, normal_law
from scipy import stats
from scipy.special import ndtri

from energax._errors import ArgumentError
from energax.random import FAST_SPEC, fast_key, normal
from energax.random._normal import normal_from_word

SIZE = 2**19  # sees a shift of 0.008, a scale wrong by 0.6 %, and a missing tail beyond 3.4


def words_of_every_size() -> np.ndarray:
    """The 31 low bits on a grid that is fine at both ends, with either sign."""
    ends = np.unique(np.concatenate([np.arange(2000), np.geomspace(1, 2**31 - 1, 20000).astype(np.int64)]))
    middle = np.linspace(0, 2**31 - 1, 20000).astype(np.int64)
    m = np.unique(np.concatenate([ends, middle, 2**31 - 1 - ends])).astype(np.uint32)
    return np.concatenate([m, m | np.uint32(2**31)])


def test_the_quantile_is_that_of_the_normal_law():
    words = words_of_every_size()
    z = np.asarray(jax.jit(normal_from_word)(words), np.float64)
    tail = ((words & np.uint32(2**31 - 1)).astype(np.float64) + 0.5) / 2**32
    exact = np.where(words >> np.uint32(31), 1, -1) * ndtri(tail)
    assert np.all(np.abs(z - exact) <= 4e-7 * np.abs(exact) + 4e-8)


def test_the_quantile_is_monotone_and_odd():
    m = np.sort(words_of_every_size())
    z = np.asarray(jax.jit(normal_from_word)(m))
    half = m.size // 2
    assert np.array_equal(z[:half], -z[half:])
    # Neighbours may be swapped by a rounding error, never by more.
    assert np.all(np.diff(z[:half]) <= 4e-7 * np.abs(z[: half - 1]) + 4e-8)


@pytest.mark.parametrize("draw", ["energax", "jax"])
@pytest.mark.parametrize("generator", [FAST_SPEC, "threefry2x32"], ids=["fast", "threefry"])
def test_the_law_is_normal(generator, draw):
    key = jax.random.key(5, impl=generator)
    z = normal((SIZE,), key=key) if draw == "energax" else jax.random.normal(key, (SIZE,))
    assert normal_law(np.asarray(z)) >= FALSE_ALARM


@pytest.mark.slow
def test_the_tails_are_normal_to_six_standard_deviations():
    # 2**30 numbers: 2.1 beyond 6, 615 beyond 5, 7300 beyond 4.5 are expected; a cut at 5.42 would lose 64.
    cuts = np.array([3.0, 4.0, 4.5, 5.0, 5.4, 6.0], np.float32)
    count = jax.jit(lambda key: (jnp.abs(normal((2**22,), key=key))[:, None] > cuts).sum(0))
    draws = [count(jax.random.fold_in(fast_key(0), step)) for step in range(256)]
    seen = np.stack(draws).sum(axis=0, dtype=np.int64)
    p = 2 * stats.norm.sf(cuts.astype(float))
    alarms = [
        2 * min(stats.binom.cdf(n, 2**30, q), stats.binom.sf(n - 1, 2**30, q)) for n, q in zip(seen, p, strict=True)
    ]
    assert len(cuts) * min(alarms) >= FALSE_ALARM


def test_types_and_shapes():
    key = fast_key(0)
    assert normal(key=key).shape == ()
    assert normal((2, 0, 3), key=key).shape == (2, 0, 3)
    single = normal((4,), key=key)
    assert single.dtype == jnp.float32
    half = normal((4,), jnp.bfloat16, key=key)
    assert half.dtype == jnp.bfloat16
    np.testing.assert_array_equal(half, single.astype(jnp.bfloat16))
    with jax.enable_x64(True):
        assert normal((4,), key=key).dtype == jnp.float64
        np.testing.assert_array_equal(normal((4,), key=key), jax.random.normal(key, (4,)))
        np.testing.assert_array_equal(normal((4,), jnp.float32, key=key), single)


def test_numbers_do_not_depend_on_jit_or_vmap():
    keys = jax.random.split(fast_key(0), 5)
    together = jax.jit(jax.vmap(lambda k: normal((7,), key=k)))(keys)
    alone = jnp.stack([normal((7,), key=k) for k in keys])
    np.testing.assert_allclose(together, alone, rtol=4e-7, atol=4e-8)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"key": 3}, "key is 3"),
        ({"key": np.zeros(2, np.uint32)}, "untyped array of shape"),
        ({"dtype": int, "key": jax.random.key(0)}, "real floating type"),
        ({"dtype": jnp.complex64, "key": jax.random.key(0)}, "real floating type"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(ArgumentError, match=message):
        normal((2,), **arguments)
