"""The named sets: their splits, their views, and the noise that is a function of (seed, draw, row)."""

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from energax import densities
from energax._errors import ArgumentError, DataError
from energax.data import NAMED_SETS, describe, load
from energax.spaces import Binary, Euclidean

FALSE_ALARM = 1e-6


def labels_of(data, split):
    from sklearn.datasets import load_digits

    bunch = load_digits()
    label = {
        image.tobytes(): int(target) for image, target in zip(bunch.images.astype(np.uint8), bunch.target, strict=True)
    }
    return np.array([label[row.tobytes()] for row in split.raw(np.arange(len(split)))])


def test_digits_has_a_fixed_stratified_split():
    one, other = load("digits", seed=0), load("digits", seed=99)
    assert (len(one.train), len(one.valid), len(one.test)) == (1259, 179, 359)
    for part in ("train", "valid", "test"):
        assert np.array_equal(getattr(one, part).raw(np.arange(100)), getattr(other, part).raw(np.arange(100)))
    counts = np.bincount(labels_of(one, one.test))
    assert np.all(np.abs(counts - 0.2 * 179.7) < 2)
    rows = np.concatenate([split.raw(np.arange(len(split))) for split in (one.train, one.valid, one.test)])
    assert len(rows) == 1797
    # no image is both learned from and judged on, except those that the set itself holds twice (it holds none)
    assert len({row.tobytes() for row in rows}) == 1797


def test_digits_thresholded_is_binary():
    data = load("digits", binarize="threshold")
    rows = data.train.take(np.arange(50))
    assert data.space == Binary(64)
    assert (rows.dtype, rows.shape) == (np.int8, (50, 64))
    assert np.array_equal(rows, (data.train.raw(np.arange(50)) >= 8).reshape(50, 64))
    assert data.image_shape == (8, 8)
    assert float(data.transform.log_det(data.test.array())[0]) == 0.0
    assert any("never change" in note for note in data.notes)
    assert not data.train.redraws


def test_digits_as_grey_levels_is_standardised_with_noise():
    data = load("digits")
    rows = data.train.array()
    assert data.space == Euclidean(64, initial_scale=1.0)
    assert data.num_levels == 17
    assert rows.dtype == np.float32
    assert abs(rows.mean()) < 0.01
    assert abs(rows.std() - 1) < 0.01
    assert np.array_equal(data.transform.inverse(rows).reshape(-1, 8, 8), data.train.raw(np.arange(len(rows))))


def test_rows_keep_their_axes_when_asked():
    data = load("digits", flatten=False)
    assert data.space == Euclidean((8, 8), initial_scale=1.0)
    assert data.train.take(np.arange(3)).shape == (3, 8, 8)


@pytest.mark.parametrize("binarize", [None, "stochastic"])
def test_noise_is_a_function_of_seed_draw_and_row(binarize):
    data, same, other = (load("digits", binarize=binarize, seed=seed) for seed in (0, 0, 1))
    index = np.array([7, 3, 7, 1000])
    first = data.train.take(index, draw=4)
    assert np.array_equal(first, same.train.take(index, draw=4))
    assert np.array_equal(first[0], first[2])
    assert np.array_equal(first[1], data.train.take(np.array([3]), draw=4)[0])
    assert not np.array_equal(first, data.train.take(index, draw=5))
    assert not np.array_equal(first, other.train.take(index, draw=4))
    # what is judged on never moves: not with the draw, not with the seed
    for part in ("valid", "test"):
        fixed = getattr(data, part).take(np.arange(20), draw=0)
        assert np.array_equal(fixed, getattr(data, part).take(np.arange(20), draw=9))
        assert np.array_equal(fixed, getattr(other, part).take(np.arange(20), draw=0))
    assert data.train.redraws
    assert not data.test.redraws


def test_stochastic_pixels_are_on_with_their_intensity():
    data = load("digits", binarize="stochastic")
    index = np.arange(40)
    intensity = data.train.raw(index).reshape(40, 64) / 16
    draws = np.stack([data.train.take(index, draw=draw) for draw in range(400)])
    spread = np.sqrt(intensity * (1 - intensity) / 400)
    certain = spread == 0
    assert np.array_equal(draws.mean(0)[certain], intensity[certain])
    # must see: a bias of 0.02 in the pixels of intensity 1/2
    z = (draws.mean(0) - intensity)[~certain] / spread[~certain]
    assert abs(z.sum() / np.sqrt(z.size)) <= 4.9
    assert scipy.stats.chi2.sf((z**2).sum(), z.size) > FALSE_ALARM


def test_dequantisation_noise_is_uniform_in_the_cell():
    data = load("digits")
    rows = data.train.take(np.arange(500), draw=1)
    standard = data.transform.parts[1]
    u = standard.inverse(rows).reshape(500, 8, 8) * 17 - data.train.raw(np.arange(500))
    # must see: noise that is 2 % too narrow
    assert scipy.stats.kstest(np.clip(u.ravel(), 0, 1), "uniform").pvalue > FALSE_ALARM


@pytest.mark.parametrize("name", ["two-moons", "checkerboard"])
def test_planar_sets_are_draws_of_their_density(name):
    data, again, other = load(name), load(name), load(name, seed=1)
    assert (len(data.train), len(data.valid), len(data.test)) == (100_000, 2_000, 5_000)
    assert data.kind == "planar"
    assert data.space == data.density.space
    assert type(data.density) is type(densities.planar(name))
    assert data.train.array().dtype == np.float32
    assert np.array_equal(data.train.array(), again.train.array())
    assert data.fingerprint == again.fingerprint != other.fingerprint
    assert not np.array_equal(data.train.take(np.arange(5)), other.train.take(np.arange(5)))
    assert not np.array_equal(data.train.take(np.arange(5)), data.test.take(np.arange(5)))
    assert np.all(data.space.contains(jnp.asarray(data.train.array())))


def test_planar_sets_are_the_same_in_double_precision():
    import jax

    single = load("two-moons")
    with jax.enable_x64(True):
        double = load("two-moons")
        assert double.train.take(np.arange(3)).dtype == np.float64
        assert double.density.scale.dtype == np.float64
    assert double.fingerprint == single.fingerprint


def test_counts_can_be_chosen_and_a_larger_set_begins_like_a_smaller_one():
    small, large = load("rings", num_train=500), load("rings", num_train=1500)
    assert (len(small.train), len(large.train)) == (500, 1500)
    assert np.array_equal(small.train.array(), large.train.array()[:500])
    digits = load("digits", num_train=100, num_valid=10, num_test=50, binarize="threshold")
    assert (len(digits.train), len(digits.valid), len(digits.test)) == (100, 10, 50)


def test_every_planar_name_has_a_line_and_digits_is_first():
    assert set(densities.PLANAR_NAMES) <= set(NAMED_SETS)
    assert next(iter(NAMED_SETS)) == "digits"


def test_describe_holds_plain_values():
    import json

    shown = describe(load("checkerboard", num_train=64))
    assert json.loads(json.dumps(shown)) == shown
    assert shown["entropy"] == pytest.approx(np.log(32), abs=1e-5)
    assert shown["density_known"]
    digits = describe(load("digits"))
    assert digits["entropy"] is None
    assert (digits["num_train"], digits["image_shape"], digits["num_levels"]) == (1259, [8, 8], 17)
    assert "digits: image of 8 × 8" in str(load("digits"))


def test_indices_are_checked():
    train = load("digits", binarize="threshold").train
    assert train.take(np.array([], np.int64)).shape == (0, 64)
    for bad in (np.array([-1]), np.array([1259]), np.array([0.5]), np.zeros((2, 2), int)):
        with pytest.raises(ArgumentError, match="`indices` must"):
            train.take(bad)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name_or_path": "digitz"}, r"no data set or file called 'digitz'\. Did you mean 'digits'"),
        ({"name_or_path": "digits", "binarize": "treshold"}, "Did you mean 'threshold'"),
        ({"name_or_path": "digits", "num_train": 0}, "`num_train` must be at least 1"),
        ({"name_or_path": "digits", "num_test": 1000}, "only 359 such rows"),
        ({"name_or_path": "rings", "binarize": "threshold"}, "rings cannot be binarized: its values go from -"),
        ({"name_or_path": "digits", "image_shape": (3, 3)}, "`image_shape` is"),
    ],
)
def test_impossible_requests_are_one_sentence(arguments, message):
    with pytest.raises((ArgumentError, DataError), match=message):
        load(**arguments)
