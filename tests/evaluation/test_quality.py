"""Sample quality tells good chains from stuck ones and copies, beside what training rows would get."""

from __future__ import annotations

import json

import numpy as np
import pytest

from energax.evaluation import sample_quality
from energax.kernels import BlockGibbs
from energax.sampling import Samples
from energax.spaces import Binary, Euclidean


def samples(x, energy, result="successful"):
    chains = len(energy)
    return Samples(
        x, energy, np.full(chains, 0.8), np.zeros(chains, int), x[:, -1], BlockGibbs(), {}, result, {"num_steps": 50}
    )


def law(rng, *shape):
    return (rng.random((*shape, 12)) < 0.3).astype(np.int8)


def test_good_samples(rng):
    found = sample_quality(samples(law(rng, 8, 50), rng.normal(size=(8, 50))), law(rng, 300), law(rng, 200), Binary(12))
    assert not [w for w in found.warnings if "did not mix" in w or "ended" in w]
    assert found.mmd.diagnostics["p_value"] > 1e-6
    assert found.mmd.diagnostics["kernel"] == "exponential-hamming"
    stored = json.loads(json.dumps(found.to_json()))
    assert stored["mmd_squared"]["bandwidth"] == found.mmd.diagnostics["bandwidth"]
    assert stored["nearest_neighbours"]["num_copies"] == found.neighbours.num_copies


def test_samples_of_another_law(rng):
    """Smallest defect seen: 0.5 for 0.3 at every site."""
    x = rng.integers(0, 2, size=(8, 50, 12)).astype(np.int8)
    found = sample_quality(samples(x, rng.normal(size=(8, 50))), law(rng, 300), law(rng, 200), Binary(12))
    assert found.mmd.diagnostics["p_value"] == pytest.approx(1 / 201)
    assert found.mmd.value > 10 * abs(found.mmd_test.value)


def test_chains_that_stay_apart_and_runs_that_failed_are_told(rng):
    stuck = rng.normal(size=(8, 50)) + 5.0 * np.arange(8)[:, None]
    found = sample_quality(samples(law(rng, 8, 50), stuck, "nonfinite_energy"), law(rng, 90), law(rng, 60), Binary(12))
    assert any("did not mix (R-hat" in w for w in found.warnings)
    assert any("ended with 'nonfinite_energy'" in w for w in found.warnings)


def test_copies_of_training_rows_are_told(rng):
    train, test = rng.normal(size=(400, 5)), rng.normal(size=(100, 5))
    found = sample_quality(samples(train.reshape(8, 50, 5), rng.normal(size=(8, 50))), train, test, Euclidean(5))
    assert found.neighbours.num_copies == 400
    assert any(w.startswith("memorising") for w in found.warnings)
    assert found.mmd.diagnostics["kernel"] == "gaussian"
