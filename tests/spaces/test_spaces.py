import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax._errors import ArgumentError, SpaceError
from energax.spaces import (
    Binary,
    Box,
    Categorical,
    Euclidean,
    Product,
    Spins,
    Torus,
    check_structure,
    same_configurations,
)
from energax.testing import assert_counts, assert_distribution

PAIR = Product({"spin": Spins(3), "angle": Torus(())})


def test_a_box_reflects_exactly():
    box = Box(1, -1.0, 2.0)
    inside = jnp.linspace(-1.0, 2.0, 13)
    with jax.enable_x64(True):
        y = jnp.asarray(np.array([-1.5, -4.0, 2.25, 5.0, 8.0, -7.0, 0.3]))
        np.testing.assert_allclose(box.fold(y), [-0.5, 2.0, 1.75, -1.0, 2.0, -1.0, 0.3], atol=1e-12)
    np.testing.assert_array_equal(box.fold(inside), inside)
    assert bool(box.contains(box.fold(jnp.linspace(-100.0, 100.0, 10_001))))


def test_a_torus_wraps_exactly():
    torus = Torus(1, period=2.0)
    np.testing.assert_allclose(torus.fold(jnp.array([-0.5, 2.0, 5.25, 1.5])), [1.5, 0.0, 1.25, 1.5], atol=1e-6)
    assert bool(torus.contains(torus.fold(jnp.linspace(-50.0, 50.0, 9_999))))


@pytest.mark.parametrize("space", [Box(1, -1.0, 2.0), Torus(1, period=2.0)], ids=["box", "torus"])
def test_folding_keeps_lengths_and_is_its_own_projection(space):
    """Slope ±1 almost everywhere: a Lebesgue density on the covering space folds to one on the space."""
    with jax.enable_x64(True):
        y = jnp.asarray(np.linspace(-9.7, 9.9, 501))
        slope = jax.vmap(jax.grad(lambda v: space.fold(v[None])[0]))(y)
        np.testing.assert_array_equal(np.abs(slope), 1.0)
        np.testing.assert_allclose(space.fold(space.fold(y)), space.fold(y), atol=1e-12)


def test_euclidean_and_discrete_spaces_fold_to_themselves():
    x = jnp.array([-3.0, 1e9])
    assert Euclidean(2).fold(x) is x
    assert bool(Euclidean(2).contains(x))
    assert not bool(Euclidean(2).contains(jnp.array([jnp.nan, 0.0])))
    s = jnp.array([1, -1], jnp.int8)
    assert Spins(2).fold(s) is s


@pytest.mark.parametrize(
    ("space", "inside", "outside"),
    [
        (Spins(2), [-1, 1], [0, 1]),
        (Binary(2), [0, 1], [-1, 1]),
        (Categorical(2, num_categories=3), [0, 2], [3, 0]),
        (Box(2), [0.0, 1.0], [0.5, 1.5]),
        (Torus(2, period=1.0), [0.0, 0.5], [0.0, 1.0]),
    ],
)
def test_contains(space, inside, outside):
    assert bool(space.contains(jnp.asarray(inside)))
    assert not bool(space.contains(jnp.asarray(outside)))


def test_measures_and_volumes():
    assert PAIR.measure == "Haar × counting"
    assert PAIR.log_volume == pytest.approx(3 * math.log(2) + math.log(2 * math.pi))
    assert Box((2, 2), 0.0, 3.0).log_volume == pytest.approx(4 * math.log(3))
    assert Euclidean(1).log_volume == math.inf
    assert Product({"a": Euclidean(1), "b": Spins(1)}).log_volume == math.inf
    assert Categorical(3, num_categories=5).num_configurations == 125
    assert not PAIR.is_discrete


def test_structure_of_a_configuration():
    assert Spins((2, 3)).struct == jax.ShapeDtypeStruct((2, 3), jnp.int8)
    assert Categorical(2, num_categories=300).struct.dtype == jnp.int32
    assert PAIR.struct["angle"].shape == ()
    with jax.enable_x64(True):
        assert Euclidean(2).struct.dtype == jnp.float64


def test_initial_laws(key):
    """At 20,000 draws the distribution test sees a distance of 0.034, the count test 4 % of a cell."""
    keys = jax.random.split(key, 20_000)
    draws = jax.jit(jax.vmap(lambda k: (Box(1, -1.0, 3.0).initial(key=k), Euclidean(1, 2.0).initial(key=k))))(keys)
    assert_distribution(draws[0][:, 0], lambda x: np.clip((x + 1) / 4, 0, 1), name="uniform on the box")
    normal = np.vectorize(lambda x: 0.5 * math.erfc(-x / (2 * math.sqrt(2))))
    assert_distribution(draws[1][:, 0], normal, name="N(0, 4)")
    states = jax.jit(jax.vmap(lambda k: Categorical(2, num_categories=3).initial(key=k)))(keys)
    counts = np.bincount(np.asarray(states, int) @ [3, 1], minlength=9)
    assert_counts(counts, np.full(9, 1 / 9), name="uniform categories")


def test_draws_of_sites_follow_their_logits(key):
    logits = jnp.array([-1.0, 0.0, 2.0])
    keys = jax.random.split(key, 20_000)
    spins = np.asarray(jax.jit(jax.vmap(lambda k: Spins(3).draw_sites(logits, key=k)))(keys), int)
    p = 1 / (1 + np.exp(-np.asarray(logits)))
    cells = [np.prod(np.where(np.array(b) > 0, p, 1 - p)) for b in np.ndindex(2, 2, 2)]
    assert_counts(np.bincount((spins > 0) @ [4, 2, 1], minlength=8), cells, name="spins")
    table = jnp.array([0.5, -0.5, 1.0])
    sites = np.asarray(jax.jit(jax.vmap(lambda k: Categorical((), num_categories=3).draw_sites(table, key=k)))(keys))
    assert_counts(np.bincount(sites, minlength=3), np.asarray(jax.nn.softmax(table)), name="categories")


def test_log_probabilities_and_partitions_of_sites():
    with jax.enable_x64(True):
        for space, logits in (
            (Spins(2), jnp.array([0.3, -2.0])),
            (Categorical(2, num_categories=3), jnp.array([[0.1, 0.2, -0.5], [1.0, 0.0, 3.0]])),
        ):
            total = sum(jnp.exp(space.site_log_probs(logits, jnp.full(2, value))) for value in space.values)
            np.testing.assert_allclose(total, 1.0, atol=1e-14)
            first = space.site_log_probs(logits, jnp.full(2, space.values[0]))
            np.testing.assert_allclose(space.log_partition(logits), -first, atol=1e-14)


def test_flipping_a_spin():
    assert Spins(2).flip(jnp.array([1, -1], jnp.int8)).tolist() == [-1, 1]
    assert Binary(2).flip(jnp.array([1, 0], jnp.int8)).tolist() == [0, 1]


def test_spaces_that_differ_in_their_start_hold_the_same_configurations():
    assert same_configurations(Euclidean(2), Euclidean(2, 5.0))
    assert same_configurations(Product({"a": Euclidean(2, 1.0)}), Product({"a": Euclidean(2)}))
    assert not same_configurations(Euclidean(2), Euclidean(3))
    assert not same_configurations(Spins(2), Binary(2))
    assert not same_configurations(Box(2), Box(2, 0.0, 2.0))


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Box(2, 1.0, 1.0), ArgumentError, "lower < upper"),
        (lambda: Torus(2, period=-1.0), ArgumentError, "positive period"),
        (lambda: Categorical(2, num_categories=1), ArgumentError, "at least two"),
        (lambda: Product({}), ArgumentError, "at least one part"),
        (lambda: Euclidean(2).initial(key=jax.random.key(0)), SpaceError, "initial_scale"),
        (lambda: check_structure(PAIR, jnp.zeros(3)), SpaceError, "structure"),
        (lambda: check_structure(Spins(3), jnp.zeros(4), name="x0"), SpaceError, r"`x0` has an array of shape \(4,\)"),
        (lambda: check_structure(Spins(3), jnp.zeros((4, 2)), batch_dims=1), SpaceError, "after 1 leading axis"),
        (lambda: check_structure(Spins(()), jnp.zeros(()), batch_dims=1), SpaceError, "leading"),
    ],
)
def test_messages(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_sites_may_have_different_numbers_of_categories(key):
    space = Categorical(3, num_categories=4, counts=(2, 4, 1))
    assert space.num_configurations == 8
    assert space.log_volume == pytest.approx(np.log(8))
    assert bool(space.contains(jnp.array([1, 3, 0])))
    assert not bool(space.contains(jnp.array([2, 3, 0])))
    logits = jnp.asarray(np.sin(np.arange(12.0)).reshape(3, 4))
    law = np.exp([space.site_log_probs(logits, jnp.full(3, v)) for v in range(4)])
    np.testing.assert_allclose(law.sum(0), 1.0, rtol=1e-6)
    assert (law == 0).T.tolist() == [[False, False, True, True], [False] * 4, [False, True, True, True]]
    mass = np.log([np.exp(logits[0, :2]).sum(), np.exp(logits[1]).sum(), np.exp(logits[2, 0])])
    np.testing.assert_allclose(space.log_partition(logits), mass - np.asarray(logits[:, 0]), atol=1e-6)
    draws = np.asarray(jax.vmap(lambda k: space.initial(key=k))(jax.random.split(key, 200)))
    assert draws.max(0).tolist() == [1, 3, 0]
    for counts in ((2, 4), (2, 5, 1), (2, 0, 1)):
        with pytest.raises(ArgumentError, match="from 1 to num_categories=4 for each of 3 sites"):
            Categorical(3, num_categories=4, counts=counts)
    with pytest.raises(SpaceError, match="different numbers of categories"):
        space.with_shape((2,))


@pytest.mark.parametrize("size", [1, 15, 16, 100])
def test_one_logarithm_for_many_sites(size, key):
    """Values and slopes against the plain sum, from where exp overflows to where it vanishes."""
    with jax.enable_x64(True):
        logits = 30.0 * jax.random.normal(key, (size,), jnp.float64)
        total = Binary(size).total_log_partition
        plain = float(jnp.sum(Binary(size).log_partition(logits)))
        assert total(logits) == pytest.approx(plain, rel=1e-13)
        np.testing.assert_allclose(jax.grad(total)(logits), jax.nn.sigmoid(logits), rtol=1e-13)
    extremes = jnp.array([-jnp.inf, -200.0, 0.0, 200.0])
    assert Spins(4).total_log_partition(extremes) == pytest.approx(200.0 + math.log(2.0), rel=1e-6)
    assert Spins(1).total_log_partition(jnp.array([jnp.inf])) == math.inf
    assert jnp.isnan(Spins(2).total_log_partition(jnp.array([jnp.nan, 1.0])))
