"""Transforms: forward and inverse, the log-determinant by finite differences, and the round trip through JSON."""

import json
import math

import numpy as np
import pytest

from energax._errors import ArgumentError, DataError
from energax.data import (
    Composed,
    Dequantize,
    Identity,
    Logit,
    SpinsToBinary,
    Standardize,
    from_array,
    in_logits,
    transform_from_json,
)

ROWS = np.random.default_rng(0).normal(size=(5, 3)) * [1.0, 10.0, 0.1] + 3
CONTINUOUS = [
    Identity(),
    Standardize(np.array([1.0, 2.0, 3.0]), np.array([0.5, 4.0, 0.1])),
    Standardize(np.asarray(1.0), np.asarray(2.5)),
    Dequantize(17),
    Composed((Dequantize(256), Standardize(np.asarray(0.3), np.asarray(0.2)))),
    Logit(0.01),
    Composed(
        (Standardize(np.asarray(-50.0), np.asarray(100.0)), Logit(), Standardize(np.ones(3), np.array([0.5, 4, 2])))
    ),
]


def rows_for(transform):
    """Those of `ROWS`, in (0, 1) for a logit."""
    return 1 / (1 + np.exp(-ROWS / 10)) if isinstance(transform, Logit) else ROWS


@pytest.mark.parametrize("transform", CONTINUOUS, ids=lambda t: type(t).__name__)
def test_log_det_is_that_of_the_jacobian(transform):
    y = rows_for(transform)
    columns = [(transform.forward(y + 1e-5 * e) - transform.forward(y - 1e-5 * e)) / 2e-5 for e in np.eye(3)]
    jacobians = np.stack(columns, -1)
    assert np.allclose(transform.log_det(transform.forward(y)), np.linalg.slogdet(jacobians)[1], atol=1e-6)


@pytest.mark.parametrize("transform", [*CONTINUOUS[:3], *CONTINUOUS[-2:]], ids=lambda t: type(t).__name__)
def test_inverse_undoes_forward(transform):
    y = rows_for(transform)
    assert np.allclose(transform.inverse(transform.forward(y)), y, atol=1e-12)


def test_moments_of_every_entry_fit_rows_with_axes_and_without():
    transform = Standardize(np.arange(6.0).reshape(2, 3), np.arange(1.0, 7.0).reshape(2, 3))
    y = np.random.default_rng(3).normal(size=(4, 2, 3))
    x = transform.forward(y)
    assert np.array_equal(transform.forward(y.reshape(4, 6)), x.reshape(4, 6))
    assert np.allclose(transform.inverse(x.reshape(4, 6)), y.reshape(4, 6))
    assert np.allclose(transform.log_det(x), -math.log(720))


def test_images_in_logits():
    """Every pixel has mean 0 and scale 1, levels come back, and uniform levels need their bits."""
    rng = np.random.default_rng(4)
    levels = rng.integers(0, 16, (300, 2, 3))
    levels[:, 0, 0] = 0
    levels[0, 1, 1] = 16
    data = in_logits(from_array(levels, test=levels[:20]))
    rows = data.train.array().astype(np.float64)
    assert rows.shape == (len(data.train), 6)
    assert np.allclose([rows.mean(0), rows.std(0) - 1], 0, atol=1e-5)
    assert np.array_equal(data.transform.inverse(rows), data.train.raw(np.arange(len(rows))).reshape(len(rows), 6))
    assert np.ptp(data.transform.log_det(rows)) > 1
    assert data.bits_per_dim(-6 * math.log(17)) == pytest.approx(math.log2(17))


@pytest.mark.parametrize("flatten", [True, False])
@pytest.mark.parametrize("as_bytes", [True, False])
def test_logits_of_colour_images(as_bytes, flatten):
    levels = np.random.default_rng(7).integers(0, 256, (60, 4, 5, 3)).astype(np.uint8)
    stored = levels if as_bytes else levels / 255.0
    data = in_logits(from_array(stored, flatten=flatten))
    rows = np.asarray(data.test.array(), np.float64)
    assert rows.shape[1:] == ((60,) if flatten else (4, 5, 3))
    raw = data.test.raw(np.arange(len(rows))).reshape(rows.shape)
    assert np.allclose(data.transform.inverse(rows), raw, atol=1e-12)
    values = data.transform.log_det(rows)
    assert np.allclose(values, data.transform.log_det(rows.reshape(len(rows), 4, 5, 3)))
    assert data.bits_per_dim(-60 * math.log(256 * (data.level_step or 0))) == pytest.approx(8.0)
    assert in_logits(data) is data


def test_the_density_of_logits_is_one():
    """∫ p(x) dx = 1 for a row of one uniform pixel: p(x) = exp(−log-determinant) over the levels."""
    data = in_logits(from_array(np.random.default_rng(5).integers(0, 17, (200, 1, 1)), image_shape=(1, 1)))
    x = np.linspace(-12, 12, 100_001)[:, None]
    density = np.exp(-data.transform.log_det(x)) / data.num_levels
    assert np.trapezoid(density, x[:, 0]) == pytest.approx(1.0, abs=1e-4)


def test_discrete_rows_are_seen_as_they_are():
    data = from_array(np.random.default_rng(8).integers(0, 2, (40, 5)))
    with pytest.raises(ArgumentError, match="discrete"):
        data.seen_through(Identity())


@pytest.mark.parametrize("options", [{}, {"binarize": "threshold"}])
def test_only_grey_levels_have_logits(options):
    rng = np.random.default_rng(6)
    rows = rng.normal(size=(50, 3)) if not options else rng.integers(0, 17, (50, 4, 4))
    with pytest.raises(DataError, match="Only images with grey levels"):
        in_logits(from_array(rows, **options))


@pytest.mark.parametrize("u", [1e-6, 0.5, 1 - 1e-6])
def test_dequantized_levels_come_back(u):
    levels = np.arange(17.0)[None, :]
    transform = Composed((Dequantize(17), Standardize(np.asarray(0.3), np.asarray(0.2))))
    x = transform.forward(levels, uniform=np.full(levels.shape, u))
    assert np.array_equal(transform.inverse(x), levels)
    assert transform.is_random
    assert not CONTINUOUS[1].is_random


def test_spins():
    spins = np.array([[-1, 1, 1], [1, -1, -1]])
    transform = SpinsToBinary()
    assert np.array_equal(transform.forward(spins), [[0, 1, 1], [1, 0, 0]])
    assert np.array_equal(transform.inverse(transform.forward(spins)), spins)
    assert np.array_equal(transform.log_det(spins), [0, 0])


@pytest.mark.parametrize("transform", [*CONTINUOUS, SpinsToBinary()], ids=lambda t: type(t).__name__)
def test_json_round_trip(transform):
    back = transform_from_json(json.loads(json.dumps(transform.to_json())))
    assert type(back) is type(transform)
    assert np.array_equal(back.forward(rows_for(transform)), transform.forward(rows_for(transform)))
    assert back.to_json() == transform.to_json()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"name": "standardise", "mean": 0, "scale": 1}, "Did you mean 'standardize'"),
        ({}, "no data transform None"),
        ({"name": "standardize", "mean": 0}, "fields that do not fit"),
        ({"name": "standardize", "mean": 0, "scale": 0}, "positive scales"),
        ({"name": "standardize", "mean": "a", "scale": 1}, "fields that do not fit"),
    ],
)
def test_bad_json_is_one_sentence(value, message):
    with pytest.raises(DataError, match=message):
        transform_from_json(value)


def test_likelihoods_return_to_the_units_of_the_user():
    """A normal law of the standardised rows, moved by the log-determinant, is the normal law of the rows themselves."""
    rng = np.random.default_rng(1)
    data = from_array(rng.normal(size=(400, 2)) * [3.0, 0.02] + [100.0, -1.0])
    mean, scale = data.transform.mean, data.transform.scale
    y = data.test.raw(np.arange(5))
    x = data.test.take(np.arange(5)).astype(np.float64)
    model = -0.5 * (x**2).sum(1) - math.log(2 * math.pi)
    user = -0.5 * (((y - mean) / scale) ** 2).sum(1) - math.log(2 * math.pi) - np.log(scale).sum()
    assert np.allclose(model + data.transform.log_det(x), user, atol=1e-4)


@pytest.mark.parametrize("as_bytes", [True, False])
def test_bits_per_dim_of_uniform_grey_levels(as_bytes):
    """The density that is uniform over all grey levels needs 8 bits for each pixel, however the file codes them."""
    levels = np.random.default_rng(2).integers(0, 256, (50, 4, 4)).astype(np.uint8)
    data = from_array(levels if as_bytes else levels / 255.0)
    assert data.num_levels == 256
    # uniform on the image of the cube [0, 256)^16: the model's log p is minus the log-volume of that image
    inner = data.transform.parts[-1]
    log_p = 16 * math.log(float(inner.scale))
    log_det = float(data.transform.log_det(data.train.take(np.zeros(1, np.int64)))[0])
    assert data.bits_per_dim(log_p + log_det) == pytest.approx(8.0, abs=1e-9)
