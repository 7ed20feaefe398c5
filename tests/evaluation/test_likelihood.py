"""The interval of a likelihood is that of log Z mirrored; the spread over test rows stands apart."""

from __future__ import annotations

import math

import jax
import numpy as np
import pytest
import zoo

from energax._errors import ArgumentError, Diverged, EnergaxError
from energax.energies import energy
from energax.estimators import Interval
from energax.evaluation import LogZ, _likelihood, log_likelihood
from energax.spaces import Binary

LOG_Z = LogZ(2.0, 0.1, Interval(1.9, math.inf, "certified", "none", 0.9), None, "counting", {}, ("a warning",))
MACHINE = zoo.Machine(np.ones((4, 2)) * 0.3, np.array([0.5, -0.5, 0.1, 0.0]), np.zeros(2))


@pytest.fixture(autouse=True)
def known_log_z(monkeypatch):
    """What log Z is and costs is not the question here."""
    monkeypatch.setattr(_likelihood, "log_z", lambda *_, **__: LOG_Z)


class Shifted:
    def log_det(self, rows):
        return np.arange(len(rows), dtype=float)


class Streamed:
    """Rows that come by index."""

    def __init__(self, rows):
        self.rows = rows

    def __len__(self):
        return len(self.rows)

    def take(self, indices):
        return self.rows[indices]


def minus_energies(rows):
    w, b, c = MACHINE
    return rows @ b + np.logaddexp(0.0, c + rows @ w).sum(axis=1)


def test_mirrored_interval_and_spread_apart(rng):
    rows = rng.integers(0, 2, size=(30, 4)).astype(np.int8)
    found = log_likelihood(MACHINE.energy, rows, key=jax.random.key(0))
    at = minus_energies(rows)
    assert (found.interval.lower, found.interval.lower_kind) == (-math.inf, "none")
    assert found.interval.upper == pytest.approx(at.mean() - 1.9, abs=1e-5)
    assert (found.interval.upper_kind, found.interval.level) == ("certified", 0.9)
    assert found.stderr_test == pytest.approx(at.std(ddof=1) / math.sqrt(30), rel=1e-4)
    assert (found.num_test, found.unit, found.warnings, found.log_z) == (30, "nats", ("a warning",), LOG_Z)
    assert "over 30 test rows" in str(found)
    assert "a warning" in repr(found)


def test_width_knows_nothing_of_the_spread_over_rows(rng, monkeypatch):
    closed = LogZ(2.0, 0.1, Interval(1.9, 2.2, "certified", "assumes-equilibrium", 0.9), None, "counting")
    monkeypatch.setattr(_likelihood, "log_z", lambda *_, **__: closed)
    for num in (2, 64):
        rows = rng.integers(0, 2, size=(num, 4)).astype(np.int8)
        found = log_likelihood(MACHINE.energy, rows, key=jax.random.key(0))
        assert found.interval.width == pytest.approx(0.3)
        assert found.interval.lower_kind == "assumes-equilibrium"


def test_transform_brings_the_users_units(rng):
    rows = rng.integers(0, 2, size=(5, 4)).astype(np.int8)
    plain = log_likelihood(MACHINE.energy, rows, key=jax.random.key(0))
    moved = log_likelihood(MACHINE.energy, rows, transform=Shifted(), key=jax.random.key(0))
    assert moved.interval.upper - plain.interval.upper == pytest.approx(2.0)


def test_rows_by_index_are_the_same_rows(rng):
    rows = rng.integers(0, 2, size=(5000, 4)).astype(np.int8)
    whole, streamed = (log_likelihood(MACHINE.energy, r, key=jax.random.key(0)) for r in (rows, Streamed(rows)))
    assert streamed.interval == whole.interval
    assert streamed.num_test == 5000


def test_one_row_has_no_spread():
    assert math.isnan(log_likelihood(MACHINE.energy, np.zeros((1, 4), np.int8), key=jax.random.key(0)).stderr_test)


def test_rows_without_a_likelihood_are_refused():
    broken = energy(lambda x: jax.numpy.where(x[0] == 1, jax.numpy.inf, 0.0), space=Binary(2))
    with pytest.raises(Diverged, match=r"1 of 3 test rows is not finite \(first: row 1\)"):
        log_likelihood(broken, np.array([[0, 0], [1, 0], [0, 1]], np.int8), key=jax.random.key(0))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (np.array([[0, 1, 0, 1], [0, 2, 0, 1]], np.int8), "1 of 2 rows of `test` lie outside"),
        (np.zeros((3, 5), np.int8), "test"),
    ],
)
def test_rows_of_another_kind_are_refused(rows, message):
    with pytest.raises(EnergaxError, match=message):
        log_likelihood(MACHINE.energy, rows, key=jax.random.key(0))


def test_no_rows_are_refused():
    with pytest.raises(ArgumentError, match="no rows"):
        log_likelihood(MACHINE.energy, np.zeros((0, 4), np.int8), key=jax.random.key(0))


def test_bad_rows_do_not_wait_for_log_z(monkeypatch):
    def too_early(*_, **__):
        raise AssertionError("log Z was estimated for rows that are refused")

    monkeypatch.setattr(_likelihood, "log_z", too_early)
    with pytest.raises(ArgumentError, match="outside"):
        log_likelihood(MACHINE.energy, np.full((3, 4), 7, np.int8), key=jax.random.key(0))


def test_log_z_goes_along_the_checkpoints(rng, monkeypatch):
    seen = []

    def along(models, **options):
        seen.append((models, options))
        return LOG_Z

    monkeypatch.setattr(_likelihood, "log_z_from_checkpoints", along)
    monkeypatch.setattr(_likelihood, "log_z", None)
    rows = rng.integers(0, 2, size=(30, 4)).astype(np.int8)
    first = zoo.Machine(np.zeros((4, 2)), np.zeros(4), np.zeros(2)).energy
    key = jax.random.key(0)
    found = log_likelihood(MACHINE.energy, rows, checkpoints=[first], data=rows, budget=7, key=key)
    ((models, options),) = seen
    assert models == [first, MACHINE.energy]
    assert options == {"data": rows, "budget": 7, "progress": None, "key": key}
    assert found.interval.upper == pytest.approx(minus_energies(rows).mean() - 1.9, abs=1e-5)
