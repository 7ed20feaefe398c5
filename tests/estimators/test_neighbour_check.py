"""Memorising is seen, honest samples pass, copies are counted exactly."""

from __future__ import annotations

import json
import math
import tracemalloc

import numpy as np
import pytest

from energax._errors import ArgumentError, ShapeError
from energax.estimators import Estimate, adversarial_accuracy, nearest_neighbour_check


def probability_by_pairs(samples, train, test):
    d_samples = np.linalg.norm(samples[:, None] - train[None], axis=2).min(axis=1)
    d_test = np.linalg.norm(test[:, None] - train[None], axis=2).min(axis=1)
    return np.mean((d_samples[:, None] < d_test) + 0.5 * (d_samples[:, None] == d_test))


def test_share_is_its_definition(rng):
    samples, train, test = rng.normal(size=(13, 3)), rng.normal(size=(17, 3)), rng.normal(size=(11, 3))
    found = nearest_neighbour_check(samples, train, test)
    assert found.share_closer.value == pytest.approx(probability_by_pairs(samples, train, test), rel=1e-13)
    bits = [rng.integers(0, 2, size=(n, 6)).astype(np.float64) for n in (13, 17, 11)]
    assert nearest_neighbour_check(*bits).share_closer.value == pytest.approx(probability_by_pairs(*bits), rel=1e-13)


def binary(rng, num):
    return rng.integers(0, 2, size=(num, 8)).astype(np.uint8)


def continuous(rng, num):
    return rng.normal(size=(num, 2))


def check_share_is_calibrated(share, rng, check, num=1000):
    """Fresh draws, with and without ties: a share of one half. Smallest defect seen: 0.03 in the share."""
    for law in (continuous, binary):
        estimates = [share(law(rng, 60), law(rng, 80), law(rng, 50)) for _ in range(num)]
        check.mean([e.value for e in estimates], 0.5)
        check.calibrated(estimates, 0.5)


def ties_not_counted(samples, train, test):
    estimate = nearest_neighbour_check(samples, train, test).share_closer
    d_samples = np.linalg.norm(samples[:, None] - train[None].astype(float), axis=2).min(axis=1)
    d_test = np.linalg.norm(test[:, None] - train[None].astype(float), axis=2).min(axis=1)
    return estimate.shifted(-0.5 * float(np.mean(d_samples[:, None] == d_test)))


def pairs_as_independent(samples, train, test):
    estimate = nearest_neighbour_check(samples, train, test).share_closer
    return Estimate(estimate.value, 0.5 / math.sqrt(len(samples) * len(test)), 1, "mutant")


def test_share_is_calibrated(rng, check):
    check_share_is_calibrated(lambda s, t, u: nearest_neighbour_check(s, t, u).share_closer, rng, check)


@pytest.mark.parametrize("mutant", [ties_not_counted, pairs_as_independent])
def test_share_mutants_are_caught(mutant, rng, check):
    with pytest.raises(AssertionError):
        check_share_is_calibrated(mutant, rng, check, num=300)


def test_memorised_rows_are_seen(rng):
    train, test = rng.normal(size=(200, 5)), rng.normal(size=(100, 5))
    copied = nearest_neighbour_check(train[:80], train, test)
    assert copied.num_copies == 80
    assert copied.num_test_copies == 0
    assert copied.share_closer.value == 1.0
    assert copied.share_closer.stderr > 0.0
    assert copied.median_sample == 0.0
    assert [w.split(":")[0] for w in copied.warnings] == ["memorising", "copies"]
    blurred = nearest_neighbour_check(train[:80] + 0.01 * rng.normal(size=(80, 5)), train, test)
    assert blurred.num_copies == 0
    assert [w.split(":")[0] for w in blurred.warnings] == ["memorising"]


def test_honest_samples_are_rarely_accused(rng, check):
    """Three standard errors and a copies test at 0.001: at most 1 in 200 honest samplers is warned of."""
    for law in (continuous, binary):
        found = [nearest_neighbour_check(law(rng, 80), law(rng, 100), law(rng, 60)).warnings for _ in range(300)]
        check.rate_at_most(sum(bool(w) for w in found), 300, 0.005)


def test_distant_samples_are_seen(rng):
    train, test = rng.normal(size=(200, 5)), rng.normal(size=(100, 5))
    distant = nearest_neighbour_check(rng.normal(size=(80, 5)) + 3.0, train, test)
    assert [w.split(":")[0] for w in distant.warnings] == ["far_from_data"]


def test_copies_are_counted_as_numbers_whatever_their_type(rng):
    train = rng.integers(0, 2, size=(20, 4, 4)).astype(np.uint8)
    samples = np.concatenate([train[:3].astype(np.float32), np.full((2, 4, 4), 0.5, np.float32)])
    samples[0] *= -1.0  # -1 where the row had 1, -0 where it had 0
    train[0] = 0
    samples[0] = -0.0
    found = nearest_neighbour_check(samples, train, train[5:10])
    assert found.num_copies == 3
    assert found.num_test_copies == 5
    # One unit in the last place is not a copy.
    near = train[1:3].astype(np.float64)
    near[0, 0, 0] = np.nextafter(near[0, 0, 0], 2.0)
    assert nearest_neighbour_check(near, train, train[5:10]).num_copies == 1


def test_check_prints_and_goes_through_json(rng):
    train = rng.normal(size=(20, 2))
    found = nearest_neighbour_check(train[:5], train, rng.normal(size=(10, 2)))
    assert str(found).startswith("closer to training rows than a test row: 1.00 ± 0.10 (0.5 expected)")
    assert "copies: 5 of 5 (test rows: 0 of 10)" in str(found)
    assert "warnings=['memorising" in repr(found)
    back = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert back["num_copies"] == 5
    assert back["share_closer"]["value"] == 1.0


def test_large_training_sets_are_not_copied_to_float64(rng):
    """20,000 byte images of 784 pixels are 15 MiB, and 120 as float64; the check takes less than 100 on top."""
    train = rng.integers(0, 256, size=(20_000, 784), dtype=np.uint8)
    tracemalloc.start()
    nearest_neighbour_check(train[:20], train, train[50:70])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100 * 2**20


def check_accuracy_is_honest(accuracy, rng, check, num=1000):
    """Equal laws: mean one half, and an error bar that is not too small. Smallest defect seen: 20 % of the latter."""
    for dimension in (1, 4):
        pairs = ((rng.normal(size=(80, dimension)), rng.normal(size=(80, dimension))) for _ in range(num))
        estimates = [accuracy(x, y) for x, y in pairs]
        check.mean([e.value for e in estimates], 0.5)
        misses = sum(abs(e.value - 0.5) > 1.645 * e.stderr for e in estimates)
        check.rate_at_most(misses, len(estimates), 0.1)


def independent_halves(x, y):
    estimate = adversarial_accuracy(x, y)
    return Estimate(estimate.value, estimate.stderr / math.sqrt(2.0), 1, "mutant")


def one_half_only(x, y):
    estimate = adversarial_accuracy(x, y)
    return Estimate(estimate.diagnostics["of_x"] - 0.02, estimate.stderr, 1, "mutant")


def test_adversarial_accuracy_under_equal_laws(rng, check):
    # The nearest of 80 others and the nearest of 79 own rows: the mean is below one half by about 1 / (2 · 159).
    def centred(x, y):
        return adversarial_accuracy(x, y).shifted(0.5 - 79 / 159)

    check_accuracy_is_honest(centred, rng, check)


@pytest.mark.parametrize("mutant", [independent_halves, one_half_only])
def test_adversarial_accuracy_mutants_are_caught(mutant, rng, check):
    with pytest.raises(AssertionError):
        check_accuracy_is_honest(mutant, rng, check)


def test_adversarial_accuracy_at_its_ends(rng):
    x = rng.normal(size=(50, 3))
    assert adversarial_accuracy(x, x + 100.0).value == 1.0
    assert adversarial_accuracy(x, x + 1e-6).value == 0.0
    assert adversarial_accuracy(x, x[:20]).diagnostics["num_rows"] == 20
    zeros = np.zeros((10, 2))
    assert adversarial_accuracy(zeros, zeros).value == 0.5


@pytest.mark.parametrize(
    ("rows", "error", "message"),
    [
        ((np.zeros((3, 2)), np.zeros((3, 3)), np.zeros((3, 2))), ShapeError, "equally long"),
        ((np.zeros((1, 2)), np.zeros((3, 2)), np.zeros((3, 2))), ShapeError, "`samples` must hold at least 2"),
        ((np.zeros((3, 2)), np.full((3, 2), np.inf), np.zeros((3, 2))), ArgumentError, "`train` has 6 of 6"),
        ((np.zeros((3, 2)), np.zeros((3, 2)), np.array([["a"], ["b"]])), ShapeError, "`test` must hold"),
    ],
)
def test_check_refuses(rows, error, message):
    with pytest.raises(error, match=message):
        nearest_neighbour_check(*rows)
