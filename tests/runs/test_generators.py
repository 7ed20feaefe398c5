"""Generators of the command line: what is chosen for them, what is refused, and a whole run."""

import json
from pathlib import Path

import numpy as np
import pytest

from energax import runs, systems, training
from energax._errors import ArgumentError, DataError, NotTractable
from energax.cli import main
from energax.objectives import DataNoise


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(1)
    np.save(folder / "table.npy", rng.normal(size=(40, 3)))
    np.save(folder / "bits.npy", rng.integers(0, 2, (40, 6)))
    np.save(folder / "grey.npy", rng.integers(0, 256, (40, 8, 8)).astype(np.uint8))
    return folder


def learner(files: Path, name: str, **options):
    config, data = runs.plan(files / f"{name}.npy", **options)
    return runs.Run(config, files, data).learner


def test_an_autoencoder_is_trained_by_its_bound(files):
    config, _ = runs.plan(files / "bits.npy", model="vae")
    assert (config.objective, config.kernel) == ({"name": "elbo", "beta": 1.0}, {})
    assert config.model["latent"] == 2
    made = learner(files, "table", model="vae", training={"data_noise": 0.1}, objective_options={"beta": 2.0})
    assert isinstance(made, training.Learner)
    assert isinstance(made.objective, DataNoise)
    assert made.objective.objective.beta == 2.0


def test_a_calibration_begins_after_its_share_of_the_updates(files):
    made = learner(
        files, "table", model="ec-vae", training={"num_steps": 50}, objective_options={"pretrain": 0.3, "move_steps": 4}
    )
    assert isinstance(made, systems.CalibrationLearner)
    assert made.calibration.pretrain == 15
    assert made.calibration.refinement.num_steps == 4
    assert made.model.noise
    images = learner(files, "grey", model="ec-vae", objective_options={"distance": "ssim"})
    assert not images.model.noise
    assert images.calibration.distance.shape == (8, 8)


@pytest.mark.parametrize(
    ("name", "options", "error", "message"),
    [
        ("table", {"model": "vae", "objective": "nce"}, ArgumentError, "vae is trained by elbo, not by nce"),
        ("table", {"model": "vae", "kernel": "hmc"}, ArgumentError, "draws without chains, so that it has no --kernel"),
        ("table", {"model": "mlp", "objective": "elbo"}, ArgumentError, "elbo trains vae, not mlp"),
        ("table", {"model": "vae", "training": {"watch": 8}}, ArgumentError, "--watch belongs to the training of ener"),
        ("bits", {"model": "ec-vae"}, DataError, "ec-vae is a model of continuous data"),
        ("table", {"model": "vae", "model_options": {"latent": 0}}, ArgumentError, "vae needs --latent and --hidden"),
        (
            "table",
            {"model": "ec-vae", "objective_options": {"distance": "ssim"}},
            ArgumentError,
            "compares images of at least 7 × 7 pixels",
        ),
        (
            "table",
            {"model": "ec-vae", "objective_options": {"pretrain": 2.0}},
            ArgumentError,
            "--pretrain is a share of the updates",
        ),
    ],
)
def test_what_does_not_fit_is_refused(files, name, options, error, message):
    with pytest.raises(error, match=message):
        runs.plan(files / f"{name}.npy", **options)


def test_a_generator_has_no_log_z(files, tmp_path):
    config, data = runs.plan(files / "table.npy", model="vae")
    run = runs.Run.create(config, data, out=tmp_path / "run")
    with pytest.raises(NotTractable, match="holds a vae, which draws without chains"):
        runs.open_system(str(run.directory))


@pytest.mark.slow
@pytest.mark.parametrize("model", ["vae", "ec-vae"])
def test_a_whole_run(files, tmp_path, capsys, model):
    """Trained, continued, drawn from and judged; the page has everything but chains."""
    run = tmp_path / "run"
    line = ["fit", str(files / "grey.npy"), "--model", model, "--num-steps", "20", "--hidden", "8", "--json"]
    assert main([*line, "--out", str(run)]) == 0
    found = json.loads(capsys.readouterr().out)["test_log_likelihood"]
    assert (found["lower_kind"], found["upper"]) == ("bound", None)
    assert "importance-weighted bound" in found["kind"]
    assert found["bits_per_dim"]["upper"] > 0
    page = (run / "report.html").read_text()
    assert "generative model" in page
    assert "R-hat" not in page
    assert main(["sample", str(run), "--num", "7", "--out", str(tmp_path / "draws.npz"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["evaluations_per_draw"] == 1
    with np.load(tmp_path / "draws.npz") as draws:
        assert draws["x"].shape == draws["mean"].shape == (7, 64)
    assert main(["resume", str(run), "--from-step", "0"]) == 0
    assert main(["evaluate", str(run)]) == 0
    assert main(["report", str(run)]) == 0
