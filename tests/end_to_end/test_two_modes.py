"""Connected modes are weighed right by both ways of learning; separated ones are not, and the warning says so."""

from __future__ import annotations

import json
import math
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import norm

import energax as ex
from energax.cli import main

SEEDS = range(5)
DISTANCE, MASS = 2.5, 0.3
NOISE = 0.3


def law(distance: float) -> ex.densities.GaussianMixture:
    half = distance / 2
    return ex.densities.GaussianMixture(jnp.array([[-half, 0.0], [half, 0.0]]), 1.0, jnp.array([MASS, 1 - MASS]))


def learned(truth: ex.densities.GaussianMixture, objective: ex.objectives.AbstractObjective, seed: int):
    keys = jax.random.split(jax.random.key(seed), 3)
    data = np.asarray(jax.vmap(lambda k: truth.draw(key=k))(jax.random.split(keys[0], 20_000)))
    scale = float(data.std())
    confinement = ex.energies.Confinement(jnp.zeros(()), jnp.asarray(2 * scale))
    energy = ex.energies.MLP(truth.space, hidden=(64, 64), confinement=confinement, key=keys[1])
    learner = ex.Learner(energy, objective, ema_decay=0.995)
    return ex.fit(learner, data, key=keys[2], num_steps=1500, batch_size=512).energy, data


def mass_of_the_left_mode(energy: ex.energies.AbstractEnergy, smear: float) -> float:
    """π from P(x < 0) = π Φ(a) + (1 − π) Φ(−a), with a the half distance in standard deviations."""
    grid = ex.exact.grid(energy, [(-8.0, 8.0), (-7.0, 7.0)], num_points=200)
    left = float(grid.density[grid.axes[0] < 0].sum() / grid.density.sum())
    a = DISTANCE / 2 / math.hypot(1.0, smear)
    return (left - norm.cdf(-a)) / (norm.cdf(a) - norm.cdf(-a))


OBJECTIVES = {
    "persistent-cd": (
        ex.objectives.PersistentCD(ex.kernels.MALA(0.3), num_chains=512, num_steps=5, adapt_step_size=True),
        0.0,
    ),
    "denoising": (ex.objectives.DenoisingScoreMatching(NOISE, num_copies=4), NOISE),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(OBJECTIVES))
def test_connected_modes_have_the_right_masses(name: str) -> None:
    """Within 0.03 for each of five seeds; the sampling error of 20,000 rows is 0.004."""
    objective, smear = OBJECTIVES[name]
    masses = [mass_of_the_left_mode(learned(law(DISTANCE), objective, seed)[0], smear) for seed in SEEDS]
    print(name, np.round(masses, 4))
    assert np.abs(np.array(masses) - MASS).max() < 0.03, masses


@pytest.mark.slow
def test_separated_modes_are_said_to_be_wrong() -> None:
    """Denoising cannot weigh modes 12 standard deviations apart; the masses on the grid and a sentence say so."""
    truth = law(12.0)
    energy, data = learned(truth, OBJECTIVES["denoising"][0], 0)
    masses = ex.evaluation.mode_masses(truth, energy, data[:2000])
    assert masses is not None
    assert np.abs(masses.truth - [MASS, 1 - MASS]).max() < 0.01
    if np.abs(masses.model - masses.truth).max() > 0.03:
        assert "separated" in masses.warnings[0]
    else:
        assert not masses.warnings


@pytest.mark.slow
def test_the_page_of_separated_modes_shows_their_masses(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """From the command line, on the named set: the masses of model and truth, and a warning where they differ."""
    out = tmp_path / "run"
    options = ["--objective", "denoising-score-matching", "--num-steps", "300", "--hidden", "32"]
    assert main(["fit", "two-islands", *options, "--out", str(out), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    rows = result["mode_masses"]
    assert sorted(round(row["truth"], 2) for row in rows) == [MASS, 1 - MASS]
    is_wrong = max(abs(row["truth"] - row["model"]) for row in rows) > 0.03
    page = (out / "report.html").read_text("utf-8")
    assert ("The masses are wrong" in page) == is_wrong
    assert any("separated" in sentence for sentence in result["warnings"]) == is_wrong
    assert result["kl"]["value"] > 0
