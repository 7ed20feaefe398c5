"""Transforms: forward and inverse, the log-determinant by finite differences, and the round trip through JSON."""

import json
import math

import numpy as np
import pytest

from energax._errors import DataError
from energax.data import (
    Composed,
    Dequantize,
    Identity,
    SpinsToBinary,
    Standardize,
    from_array,
    transform_from_json,
)

ROWS = np.random.default_rng(0).normal(size=(5, 3)) * [1.0, 10.0, 0.1] + 3
CONTINUOUS = [
    Identity(),
    Standardize(np.array([1.0, 2.0, 3.0]), np.array([0.5, 4.0, 0.1])),
    Standardize(np.asarray(1.0), np.asarray(2.5)),
    Dequantize(17),
    Composed((Dequantize(256), Standardize(np.asarray(0.3), np.asarray(0.2)))),
]


@pytest.mark.parametrize("transform", CONTINUOUS, ids=lambda t: type(t).__name__)
def test_log_det_is_that_of_the_jacobian(transform):
    columns = [(transform.forward(ROWS + 1e-5 * e) - transform.forward(ROWS - 1e-5 * e)) / 2e-5 for e in np.eye(3)]
    jacobians = np.stack(columns, -1)
    assert np.allclose(transform.log_det(ROWS), np.linalg.slogdet(jacobians)[1], atol=1e-6)


@pytest.mark.parametrize("transform", CONTINUOUS[:3], ids=lambda t: type(t).__name__)
def test_inverse_undoes_forward(transform):
    assert np.allclose(transform.inverse(transform.forward(ROWS)), ROWS, atol=1e-12)


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
    assert np.array_equal(back.forward(ROWS), transform.forward(ROWS))
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
    assert np.allclose(model + data.log_det, user, atol=1e-4)


@pytest.mark.parametrize("as_bytes", [True, False])
def test_bits_per_dim_of_uniform_grey_levels(as_bytes):
    """The density that is uniform over all grey levels needs 8 bits for each pixel, however the file codes them."""
    levels = np.random.default_rng(2).integers(0, 256, (50, 4, 4)).astype(np.uint8)
    data = from_array(levels if as_bytes else levels / 255.0)
    assert data.num_levels == 256
    # uniform on the image of the cube [0, 256)^16: the model's log p is minus the log-volume of that image
    inner = data.transform.parts[-1]
    log_p = 16 * math.log(float(inner.scale))
    assert data.bits_per_dim(log_p) == pytest.approx(8.0, abs=1e-9)
