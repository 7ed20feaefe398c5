"""Batches and noise are functions of position: nothing to remember, nothing lost, nothing seen twice in an epoch."""

import collections
import time

import numpy as np
import pytest
import scipy.stats

from energax._errors import ArgumentError
from energax.data import Permutation, batch_indices
from energax.data._counter import counter_bits, fold, row_uniforms

FALSE_ALARM = 1e-6


@pytest.mark.parametrize("size", [1, 2, 3, 7, 16, 17, 100, 1023, 4096, 30_011])
@pytest.mark.parametrize("key", [0, 12345678901234567890])
def test_permutation_is_a_bijection_with_its_inverse(size, key):
    permutation = Permutation(size, key)
    index = np.arange(size)
    image = permutation(index)
    assert np.array_equal(np.sort(image), index)
    assert np.array_equal(permutation.inverse(image), index)


@pytest.mark.parametrize("size", [10**9 + 7, 2**40])
def test_permutation_of_a_huge_range_needs_no_memory(size):
    permutation = Permutation(size, 3)
    index = np.random.default_rng(0).integers(0, size, 10_000)
    image = permutation(index)
    assert image.min() >= 0
    assert image.max() < size
    assert np.array_equal(permutation.inverse(image), index)
    # must see: an image that is confined to half of the range
    assert scipy.stats.kstest(image / size, "uniform").pvalue > FALSE_ALARM


def test_small_permutations_are_all_about_equally_likely():
    # 24 orders of 4 elements, 1,500 keys: must see an order that is twice too rare
    index = np.arange(4)
    seen = collections.Counter(tuple(Permutation(4, fold(1, key))(index).tolist()) for key in range(1_500))
    counts = [seen[order] for order in seen]
    assert len(counts) == 24
    assert scipy.stats.chisquare(counts).pvalue > FALSE_ALARM


@pytest.mark.parametrize(("num_rows", "batch_size"), [(10, 3), (10, 10), (10, 25), (1, 4), (97, 1)])
def test_every_row_comes_once_an_epoch(num_rows, batch_size):
    num_epochs = 4
    steps = -(-num_epochs * num_rows // batch_size)
    batches = [batch_indices(num_rows, batch_size, step, 5) for step in range(steps)]
    assert {len(batch) for batch in batches} == {batch_size}
    stream = np.concatenate(batches)[: num_epochs * num_rows].reshape(num_epochs, num_rows)
    assert all(np.array_equal(np.sort(epoch), np.arange(num_rows)) for epoch in stream)
    if num_rows > 8:
        assert len({tuple(epoch.tolist()) for epoch in stream}) == num_epochs


def test_a_batch_is_a_function_of_the_step_alone():
    forward = [batch_indices(1000, 64, step, 1) for step in range(40)]
    backward = [batch_indices(1000, 64, step, 1) for step in reversed(range(40))][::-1]
    assert all(np.array_equal(a, b) for a, b in zip(forward, backward, strict=True))
    assert not np.array_equal(batch_indices(1000, 64, 0, 1), batch_indices(1000, 64, 0, 2))
    # pinned: another version must continue the runs of this one
    assert batch_indices(10, 4, 7, 3).tolist() == PINNED_BATCH


PINNED_BATCH = [2, 9, 0, 1]


def test_large_sets_cost_nothing_beyond_the_batch():
    num_rows = 3_000_000_000
    start = time.process_time()
    batches = [batch_indices(num_rows, 128, step, 0) for step in (0, 1, 10**7)]
    assert time.process_time() - start < 1.0
    assert all(len(np.unique(batch)) == 128 and batch.max() < num_rows for batch in batches)


def test_large_sets_still_visit_every_row_once(monkeypatch):
    monkeypatch.setattr("energax.data._counter._MAX_STORED", 10)
    stream = np.concatenate([batch_indices(50, 7, step, 0) for step in range(8)])
    assert np.array_equal(np.sort(stream[:50]), np.arange(50))


@pytest.mark.parametrize("args", [(0, 1, 0), (1, 0, 0), (1, 1, -1)])
def test_impossible_counts_are_refused(args):
    with pytest.raises(ArgumentError, match="num_rows ≥ 1"):
        batch_indices(*args, seed=0)


def test_uniforms_belong_to_the_row():
    rows = np.array([5, 9, 5, 0])
    many = row_uniforms(7, rows, 6)
    assert np.array_equal(many[0], many[2])
    assert np.array_equal(many[1], row_uniforms(7, np.array([9]), 6)[0])
    assert not np.any(row_uniforms(8, rows, 6) == many)


def test_uniforms_are_uniform_and_independent():
    u = row_uniforms(fold(3, 1, 0), np.arange(2000), 50)
    other = row_uniforms(fold(3, 1, 1), np.arange(2000), 50)
    assert u.min() >= 0
    assert u.max() < 1
    # must see a deviation of 1 % of the distribution function, and correlations of 0.02
    assert scipy.stats.kstest(u.ravel(), "uniform").pvalue > FALSE_ALARM
    pairs = [(u, other), (u[1:], u[:-1]), (u[:, 1:], u[:, :-1]), (u[::2], u[1::2])]
    for a, b in pairs:
        z = np.corrcoef(a.ravel(), b.ravel())[0, 1] * np.sqrt(a.size)
        assert abs(z) <= 4.9


def test_bits_are_balanced():
    bits = counter_bits(fold(1), np.arange(50_000))
    for bit in range(64):
        ones = int(((bits >> np.uint64(bit)) & np.uint64(1)).sum())
        assert abs(ones - 25_000) <= 5.6 * np.sqrt(12_500)  # Bonferroni over 64 bits
