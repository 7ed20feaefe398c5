"""Fourier features are the waves that they say, and a network sees them in place of the coordinates."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax import data, energies, runs, spaces
from energax._errors import ArgumentError


def test_features_are_the_formula(key: jax.Array) -> None:
    with jax.enable_x64(True):
        mean, scale = jnp.array([1.0, -1.0]), jnp.asarray(2.0)
        features = energies.FourierFeatures(2, num_features=5, frequency=2.0, mean=mean, scale=scale, key=key)
        x = jnp.array([0.3, 0.7])
        y = (np.asarray(x) - np.asarray(mean)) / 2.0
        waves = np.asarray(features.frequencies) @ y
        np.testing.assert_allclose(features(x), np.concatenate([y, np.sin(waves), np.cos(waves)]), rtol=1e-12)
        network = energies.MLP(2, hidden=(4,), features=features, confinement=None, key=key)
        inner = energies.MLP(12, hidden=(4,), confinement=None, key=key)
        np.testing.assert_allclose(network(x), inner(features(x)), rtol=1e-12)
    with pytest.raises(ArgumentError, match="positive frequency"):
        energies.FourierFeatures(2, frequency=0.0, key=key)


def test_frequencies_have_the_scale_that_is_asked_for(key: jax.Array) -> None:
    """Their standard deviation; 4,000 of them know it to 1.1 %."""
    features = energies.FourierFeatures(2, num_features=2_000, frequency=3.0, key=key)
    assert float(features.frequencies.std()) == pytest.approx(3.0, rel=4.9 * 0.0112)


def test_networks_of_few_columns_see_waves_unless_told_otherwise(key: jax.Array) -> None:
    rows = np.random.default_rng(0).normal(size=(40, 3))
    for columns, waves in ((2, 64), (3, 0)):
        held = data.from_array(rows[:, :columns])
        config = runs.plan("two-gaussians")[0].model if columns == 2 else {"name": "mlp"}
        energy = runs.build_energy(config, held, key=key)
        assert (0 if energy.features is None else len(energy.features.frequencies)) == waves
    assert runs.plan("two-gaussians", model_options={"features": 0})[0].model["features"] == 0


def test_a_network_on_a_torus_has_no_seam(key: jax.Array) -> None:
    """Waves as they are written; a turn of any angle changes nothing, to rounding, and half a turn does."""
    torus = spaces.Torus(2, period=3.0)
    with jax.enable_x64(True):
        features = energies.PeriodicFeatures(torus, num_harmonics=2)
        x = jnp.array([0.4, 2.9])
        angles = 2 * np.pi / 3.0 * np.outer([1, 2], np.asarray(x)).reshape(-1)
        np.testing.assert_allclose(features(x), np.concatenate([np.cos(angles), np.sin(angles)]), rtol=1e-12)
        model = energies.MLP(torus, hidden=(4,), features=features, key=key)
        network = jax.jit(lambda y: model(y))
        assert float(network(x + jnp.array([3.0, -6.0]))) == pytest.approx(float(network(x)), rel=1e-12)
        assert abs(float(network(x + jnp.array([1.5, 0.0]))) - float(network(x))) > 1e-4
    with pytest.raises(ArgumentError, match="needs a torus"):
        energies.PeriodicFeatures(spaces.Euclidean(2))
