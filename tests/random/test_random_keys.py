"""Fast keys as JAX keys: every transformation, every consumer, files, devices, and the errors."""

from __future__ import annotations

import pickle
import subprocess
import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax._errors import ArgumentError, ShapeError
from energax.random import FAST_IMPL, FAST_SPEC, choose, fast_key, generator_name, to_fast, unwrap_keys, wrap_keys


def wrong(value) -> Any:
    """A value of a type that the type checker would refuse."""
    return value


def data(keys):
    return np.asarray(jax.random.key_data(keys))


def test_the_bits_never_change():
    # Bits for the same key are a promise to everybody who noted a seed: if they must change, FAST_IMPL must.
    assert FAST_IMPL == "energax_fast1"
    key = fast_key(1)
    assert data(key).tolist() == [3262208722, 2487497149]
    assert data(jax.random.split(key))[0].tolist() == [2582376326, 3077288383]
    assert data(jax.random.fold_in(key, 3)).tolist() == [1980081071, 2955154862]
    assert jax.random.bits(key, (3,)).tolist() == [1872416693, 624525681, 3534777951]


@pytest.mark.parametrize("seed", [0, 1, 2**31 - 1, 2**32 - 1, 2**40 + 3, 2**63 - 1, -1])
def test_seeds_mean_the_same_with_and_without_64_bit_types(seed):
    short = data(fast_key(seed))
    with jax.enable_x64(True):
        assert np.array_equal(short, data(fast_key(seed)))
        assert np.array_equal(short, data(jax.random.key(seed, impl=FAST_SPEC)))
    if 0 <= seed < 2**31:
        assert np.array_equal(short, data(jax.random.key(seed, impl=FAST_SPEC)))


def test_all_keys_of_a_family_are_different():
    key = fast_key(0)
    many = jax.random.split(key, 2**14)
    steps = jax.vmap(lambda i: jax.random.fold_in(key, i))(jnp.arange(2**14))
    seeds = jax.vmap(lambda i: jax.random.key(i, impl=FAST_SPEC))(jnp.arange(2**14))
    adopted = to_fast(jax.random.split(jax.random.key(0), 2**14))
    words = np.concatenate([data(k) for k in (many, steps, seeds, adopted)])
    assert len(np.unique(words, axis=0)) == len(words)


def test_children_do_not_depend_on_their_number():
    key = fast_key(0)
    assert np.array_equal(data(jax.random.split(key, 3)), data(jax.random.split(key, 1000))[:3])
    assert np.array_equal(data(jax.random.split(key, (2, 3))).reshape(6, 2), data(jax.random.split(key, 6)))


@pytest.mark.parametrize("width", [8, 16, 32, 64])
def test_words_of_every_width(width):
    with jax.enable_x64(True):
        words = jax.random.bits(fast_key(0), (2**16,), f"uint{width}")
        assert words.dtype == f"uint{width}"
        counts = [int(((words >> j) & 1).sum()) for j in range(width)]
    assert np.abs((np.array(counts) - 2**15) / 2**7).max() <= 5.9  # Bonferroni over 64 bits at 1e-6 each side
    assert len(np.unique(words)) > 0.6 * min(2**16, 2**width)


def test_shape_changes_nothing_but_the_shape():
    key = fast_key(0)
    flat = jax.random.bits(key, (2 * 3 * 5,))
    assert np.array_equal(jax.random.bits(key, (2, 3, 5)).ravel(), flat)
    assert jax.random.bits(key, ()) == flat[0]
    assert jax.random.bits(key, (4, 0)).shape == (4, 0)


@pytest.mark.parametrize("width", [32, 64])
def test_more_words_than_a_counter_holds_are_refused(width):
    # Shapes only: nothing of that size is computed.
    with jax.enable_x64(True):
        shape = (2**16, 2**16 * 32 // width)
        assert jax.eval_shape(lambda: jax.random.bits(fast_key(0), shape, f"uint{width}")).shape == shape
        with pytest.raises(ArgumentError, match="at most 2\\*\\*32 words"):
            jax.jit(lambda: jax.random.bits(fast_key(0), (*shape, 2), f"uint{width}")).lower()


CONSUMERS = {
    "uniform": lambda k: jax.random.uniform(k, (4,)),
    "normal": lambda k: jax.random.normal(k, (4,)),
    "bernoulli": lambda k: jax.random.bernoulli(k, 0.3, (4,)),
    "permutation": lambda k: jax.random.permutation(k, 9),
}


def test_every_transformation_gives_the_same_numbers():
    def all_of(key):
        return {name: draw(jax.random.fold_in(key, i)) for i, (name, draw) in enumerate(CONSUMERS.items())}

    keys = jax.random.split(fast_key(0), 3)
    alone = [all_of(k) for k in keys]
    compiled = jax.jit(jax.vmap(all_of))(keys)
    scanned = jax.lax.scan(lambda c, k: (c, all_of(k)), 0, keys)[1]
    for name in CONSUMERS:
        expected = np.stack([a[name] for a in alone])
        np.testing.assert_allclose(compiled[name], expected, rtol=1e-6, err_msg=name)
        np.testing.assert_allclose(scanned[name], expected, rtol=1e-6, err_msg=name)
    assert np.array_equal(np.sort(alone[0]["permutation"]), np.arange(9))


DEVICES = """
import jax, numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec as P
from energax.random import fast_key
assert jax.device_count() == 4
key = fast_key(0)
keys = jax.random.split(key, 8)
draw = jax.jit(jax.vmap(lambda k: jax.random.bits(jax.random.fold_in(k, 3), (33,))))
whole = draw(keys)
mesh = Mesh(np.array(jax.devices()), ("chain",))
spread = jax.device_put(keys, NamedSharding(mesh, P("chain")))
assert np.array_equal(draw(spread), whole)
assert np.array_equal(jax.random.key_data(spread), jax.random.key_data(keys))
mapped = jax.shard_map(draw, mesh=mesh, in_specs=P("chain"), out_specs=P("chain"))
assert np.array_equal(jax.jit(mapped)(spread), whole)
one = jax.jit(lambda k: jax.random.bits(k, (8, 16)), out_shardings=NamedSharding(mesh, P("chain")))
assert np.array_equal(one(key), jax.random.bits(key, (8, 16)))
assert "all-" not in one.lower(key).compile().as_text()
"""


def test_the_same_numbers_on_any_number_of_devices(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--xla_force_host_platform_device_count=4")
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    done = subprocess.run([sys.executable, "-c", DEVICES], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr


def test_keys_can_be_pickled():
    key = fast_key(0)
    again = pickle.loads(pickle.dumps(key))
    assert again.dtype == key.dtype
    assert np.array_equal(data(again), data(key))


def test_keys_go_through_a_file_as_data(tmp_path):
    tree = {"key": fast_key(3), "chains": jax.random.split(jax.random.key(0), 4), "x": jnp.ones(2)}
    flat = unwrap_keys(tree)
    np.savez(tmp_path / "run.npz", **flat)
    back = wrap_keys(dict(np.load(tmp_path / "run.npz")), tree)
    assert jax.tree.structure(back) == jax.tree.structure(tree)
    for name in ("key", "chains"):
        assert back[name].dtype == tree[name].dtype
        assert np.array_equal(data(back[name]), data(tree[name]))
    assert back["x"].dtype == np.float32
    with pytest.raises(ShapeError, match="another generator or tree"):
        wrap_keys(flat, tree | {"chains": tree["key"]})


def test_keys_go_through_orbax_as_data(tmp_path):
    import orbax.checkpoint as ocp

    tree = {"key": fast_key(3), "chains": jax.random.split(fast_key(0), 4)}
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(tmp_path / "state", unwrap_keys(tree))
        checkpointer.wait_until_finished()
        back = wrap_keys(checkpointer.restore(tmp_path / "state", jax.eval_shape(unwrap_keys, tree)), tree)
    assert np.array_equal(jax.random.bits(back["key"], (4,)), jax.random.bits(tree["key"], (4,)))
    assert np.array_equal(data(back["chains"]), data(tree["chains"]))


@pytest.mark.parametrize("generator", ["threefry2x32", "rbg", "unsafe_rbg"])
def test_keys_of_other_generators_become_fast_ones(generator):
    keys = jax.random.split(jax.random.key(0, impl=generator), (2, 3))
    fast = to_fast(keys)
    assert fast.shape == (2, 3)
    assert generator_name(fast) == FAST_IMPL
    assert len(np.unique(data(fast).reshape(-1, 2), axis=0)) == 6
    assert np.array_equal(data(jax.jit(to_fast)(keys)), data(fast))
    assert np.array_equal(data(to_fast(keys[1, 2])), data(fast)[1, 2])
    assert to_fast(fast) is fast


def test_every_word_of_a_key_counts():
    words = jnp.zeros((4, 4), jnp.uint32) + jnp.eye(4, dtype=jnp.uint32)
    fast = data(to_fast(jax.random.wrap_key_data(words, impl="rbg")))
    assert len(np.unique(fast[:, 0])) == len(np.unique(fast[:, 1])) == 4


def test_choose():
    given = jax.random.key(0)
    assert generator_name(choose(given, "as-given")) == "threefry2x32"
    assert generator_name(choose(given, "fast")) == FAST_IMPL
    expected = FAST_IMPL if jax.default_backend() == "cpu" else "threefry2x32"
    assert generator_name(choose(given)) == expected
    assert jax.eval_shape(choose, given).dtype == choose(given).dtype
    assert choose(fast_key(0)).dtype == fast_key(0).dtype


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: choose(jax.random.key(0), "fats"), "no generator 'fats'. Did you mean 'fast'"),
        (lambda: choose(jax.random.PRNGKey(0)), r"shape \(2,\) and type uint32.*jax.random.key\(0\)"),
        (lambda: to_fast(jnp.zeros(2)), "array of type float32.*typed key"),
        (lambda: generator_name(wrong("seed")), "key is 'seed'"),
        (lambda: fast_key(wrong(1.5)), "seed is 1.5. An integer"),
        (lambda: fast_key(2**64), "does not fit into 64 bits"),
        (lambda: jax.random.bits(fast_key(0), (2**17, 2**16)), r"at most 2\*\*32 words"),
    ],
)
def test_wrong_arguments_are_refused(call, message):
    with pytest.raises(ArgumentError, match=message):
        call()


IMPORTS = """
import importlib, sys
import jax, jax.extend.random
before = set(sys.modules)
import energax.random, energax.random._fast
print(*sorted({name.split(".")[0] for name in set(sys.modules) - before}))
key = energax.random.fast_key(0)
importlib.reload(energax.random._fast)
importlib.reload(energax.random)
assert energax.random.fast_key(0).dtype == key.dtype
assert jax.numpy.stack([key, energax.random.fast_key(1)]).shape == (2,)
"""


def test_the_import_is_light_and_keys_survive_a_reload():
    done = subprocess.run([sys.executable, "-c", IMPORTS], capture_output=True, text=True, timeout=120, check=True)
    assert set(done.stdout.split()) <= {
        "energax",
        "numpy",
        "jaxtyping",
        "difflib",
        "wadler_lindig",
        "typing_extensions",
    }
