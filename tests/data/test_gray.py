"""Gray code: cells, neighbours that differ in one bit, and the entropy that likelihoods are measured from."""

import numpy as np
import pytest

from energax._errors import ArgumentError, DataError
from energax.data import NAMED_SETS, GrayCode, gray_code, load
from energax.spaces import Binary

CODE = GrayCode(scale=8.0, num_bits=6)


def plain_binary(cells):
    """What is not a Gray code."""
    return cells[:, None] >> np.arange(4, -1, -1) & 1


def test_every_point_is_decoded_to_the_middle_of_its_cell():
    x = np.random.default_rng(0).uniform(-4, 4, (1000, 2))
    bits = CODE.encode(x)
    assert bits.shape == (1000, 12)
    assert np.abs(CODE.decode(bits) - x).max() <= 0.5 / 8 + 1e-12
    assert (CODE.encode(CODE.decode(bits)) == bits).all()


def test_neighbouring_cells_differ_in_one_bit_and_all_codes_are_used():
    """Along the line and over 0, where the sign changes; plain binary numbers do not do so."""
    middle = (np.arange(-32, 32)[:, None] + 0.5) / 8
    bits = CODE.encode(middle)
    assert (np.abs(np.diff(bits.astype(int), axis=0)).sum(axis=1) == 1).all()
    assert len(np.unique(bits, axis=0)) == 64
    assert np.abs(np.diff(plain_binary(np.arange(32)), axis=0)).sum(axis=1).max() == 5


def test_named_laws_have_codes():
    data = load("8gaussians-bits", num_train=300, num_valid=10, num_test=20)
    assert data.space == Binary(32)
    points = load("8gaussians", num_train=300, num_valid=10, num_test=20).train.array()
    decoded = gray_code("8gaussians").decode(data.train.array())
    order = [np.argsort(rows[:, 0]) for rows in (points, decoded)]
    np.testing.assert_allclose(points[order[0]], decoded[order[1]], atol=1e-3)
    assert "8gaussians-bits" in NAMED_SETS
    assert "5957.82 cells in a unit" in data.origin


def test_refusals():
    with pytest.raises(DataError, match="below 4 to have 6 bits"):
        CODE.encode(np.array([[4.0, 0.0]]))
    with pytest.raises(ArgumentError, match="2 to 32 bits"):
        GrayCode(scale=1.0, num_bits=1)
