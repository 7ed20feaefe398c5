"""What the judge puts on the page: nearest training rows, noise, and two densities on one grid, the right way up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax import data as sets
from energax import densities, report, runs
from energax.runs import _judge, _shown

RNG = np.random.default_rng(2)
PICTURES = RNG.integers(0, 256, (60, 3, 4)).astype(np.uint8)


def test_neighbours_are_the_nearest_training_rows() -> None:
    data = sets.from_array(PICTURES)
    train = data.train.array()
    shown = data.test.array()
    found = _shown.nearest_rows(data, shown, train)["nearest_train"]
    distance = ((shown[:, None] - train[None]) ** 2).sum(-1)
    np.testing.assert_array_equal(found, data.transform.inverse(train[distance.argmin(1)]))


def test_a_copy_is_its_own_neighbour() -> None:
    data = sets.from_array(PICTURES, binarize="threshold")
    train = data.train.array()
    found = _shown.nearest_rows(data, train[5:9], train)["nearest_train"]
    np.testing.assert_array_equal(found, train[5:9])


def test_tables_have_no_pictures_of_neighbours() -> None:
    rows = RNG.normal(size=(30, 2))
    assert _shown.nearest_rows(sets.from_array(rows), rows, rows) == {}


def test_noise_has_the_moments_of_the_data_and_no_structure(key: jax.Array) -> None:
    """0.95 correlation of the data must vanish; 4.9 standard errors at 5,000 rows are 0.07."""
    x = RNG.normal(size=(5_000, 1))
    rows = np.concatenate([x, x + 0.3 * RNG.normal(size=x.shape)], axis=1).astype(np.float32)
    noise = _judge._noise(sets.from_array(rows), rows, key)
    assert abs(np.corrcoef(noise.T)[0, 1]) < 4.9 / np.sqrt(5_000)
    assert (np.abs(noise.mean(0) - rows.mean(0)) < 4.9 * rows.std(0) / np.sqrt(5_000)).all()
    bits = _judge._noise(sets.from_array(PICTURES, binarize="threshold"), np.zeros((400, 12), np.int8), key)
    assert abs(bits.mean() - 0.5) < 4.9 * 0.5 / np.sqrt(bits.size)


def test_the_grid_is_the_right_way_up() -> None:
    """grid[j, i] belongs to (x_i, y_j): a model far to the right has its mass at large i."""
    truth = densities.Gaussian(jnp.zeros(2), 1.0)
    model = densities.Gaussian(jnp.array([1.5, -0.5]), 1.0)
    result, grids, _ = _judge._plane(truth, model, RNG.normal(size=(50, 2)))
    weight = np.exp(grids["grid_model"])
    weight /= weight.sum()
    assert (weight.sum(0) * grids["grid_x"]).sum() == pytest.approx(1.5, abs=1e-3)
    assert (weight.sum(1) * grids["grid_y"]).sum() == pytest.approx(-0.5, abs=1e-3)
    assert result["kl"]["value"] == pytest.approx(0.5 * (1.5**2 + 0.5**2), rel=1e-3)
    assert "mode_masses" not in result


def test_wrong_masses_of_separated_modes_are_said_on_the_page(key: jax.Array, tmp_path: Path) -> None:
    """The truth has 0.3 and 0.7, the model 0.5 and 0.5, its chains what they started with."""
    truth = densities.planar("two-islands")
    assert isinstance(truth, densities.GaussianMixture)
    model = densities.GaussianMixture(truth.means, truth.scales)
    draws = np.asarray(jax.vmap(lambda k: truth.draw(key=k))(jax.random.split(key, 4_000)))
    result, grids, said = _judge._plane(truth, model, draws)
    masses = {row["truth"] > 0.5: row for row in result["mode_masses"]}
    for is_large, mass in ((False, 0.3), (True, 0.7)):
        assert masses[is_large]["truth"] == pytest.approx(mass, abs=1e-3)
        assert masses[is_large]["model"] == pytest.approx(0.5, abs=1e-3)
        assert abs(masses[is_large]["chains"] - mass) < 4.9 * np.sqrt(0.21 / 4_000)
    assert result["kl"]["value"] == pytest.approx(0.3 * np.log(0.6) + 0.7 * np.log(1.4), abs=1e-3)
    assert any("separated" in sentence for sentence in said)
    assert any("keep the shares of their starts" in sentence for sentence in said)
    page = written(tmp_path / "report.html", {**result, "warnings": said}, grids)
    assert "The masses are wrong, by up to 20.0 percentage points" in page
    assert "Contrastive divergence compares the data with these chains" in page
    assert "truth 70.0 %" in page


def written(path: Path, evaluation: dict[str, Any], arrays: dict[str, np.ndarray]) -> str:
    """The page of a run of persistent CD that was judged so."""
    config = {"data": {"source": "two-islands"}, "model": {"name": "mlp"}, "objective": {"name": "persistent-cd"}}
    summary = runs.Summary(
        config=config,
        data={"name": "two-islands", "kind": "planar"},
        model={"name": "mlp"},
        history=[],
        events=[],
        evaluation=evaluation,
        arrays=arrays,
        environment={},
        reproduce=[],
        image_shape=None,
    )
    return report.write(summary, path).read_text("utf-8")
