"""What a user leaves open is chosen, written out in full, and refused before a run exists if it cannot work."""

from __future__ import annotations

import dataclasses
import shlex
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from energax import runs
from energax._errors import ArgumentError, EnergaxError
from energax.cli import main
from energax.runs._summary import commands

RNG = np.random.default_rng(1)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One small file of each kind of data."""
    folder = tmp_path_factory.mktemp("data")
    np.save(folder / "table.npy", RNG.normal(size=(40, 3)))
    np.save(folder / "bits.npy", RNG.integers(0, 2, (40, 6)))
    np.save(folder / "grey.npy", RNG.integers(0, 256, (40, 4, 4)).astype(np.uint8))
    np.save(folder / "field.npy", RNG.normal(size=(40, 4, 4)))
    return folder


@pytest.mark.parametrize(
    ("name", "model", "view"),
    [("table", "mlp", None), ("bits", "rbm", None), ("grey", "rbm", "threshold"), ("field", "mlp", None)],
)
def test_the_model_that_data_get_when_none_is_named(files: Path, name: str, model: str, view: str | None) -> None:
    config, data = runs.plan(files / f"{name}.npy")
    assert config.model["name"] == model
    assert config.data.binarize == view
    assert config.data.fingerprint == data.fingerprint
    declared = dataclasses.asdict(runs.entry("objective", "persistent-cd").config())
    assert config.objective == {"name": "persistent-cd", **declared, **runs.DEFAULTS[model].objective}


def test_the_view_follows_the_model(files: Path) -> None:
    config, data = runs.plan(files / "grey.npy", model="conv")
    assert config.data.binarize is None
    assert data.space.shape == (4, 4)
    assert config.objective["name"] == "denoising-score-matching"
    assert runs.plan(files / "grey.npy", binarize="none")[0].model["name"] == "mlp"
    assert runs.plan(files / "grey.npy", binarize="stochastic")[0].data.binarize == "stochastic"


def test_every_default_is_written_out(files: Path) -> None:
    """So that another default in a later version never changes an old run."""
    config, _ = runs.plan(files / "table.npy", kernel="mala", objective="cd", training={"num_steps": 3})
    for kind in ("model", "objective", "kernel"):
        values = getattr(config, kind)
        fields = {field.name for field in dataclasses.fields(runs.entry(kind, values["name"]).config)}
        assert set(values) == {"name", *fields}
    assert config.training == dataclasses.replace(runs.DEFAULTS["mlp"].training, num_steps=3)


def test_a_recipe_comes_with_its_objective(files: Path) -> None:
    config, _ = runs.plan(files / "table.npy", objective="denoising-score-matching")
    assert (config.training.num_steps, config.training.learning_rate) == (6_000, 3e-3)
    config, _ = runs.plan(files / "table.npy", objective="denoising-score-matching", training={"num_steps": 9})
    assert config.training.num_steps == 9


def test_a_machine_moves_by_centred_steps_unless_another_optimizer_is_named(files: Path) -> None:
    def rates(objective: str, **training: Any) -> tuple[str, float, float]:
        found = runs.plan(files / "bits.npy", objective=objective, training=training)[0].training
        return found.optimizer, found.learning_rate, found.weight_decay

    assert rates("persistent-cd") == ("centred-sgd", 0.2, 5e-4)
    assert rates("persistent-cd", optimizer="adam") == rates("pseudo-likelihood") == ("adam", 5e-3, 0.0)


def test_an_objective_of_a_family_brings_its_model(files: Path) -> None:
    config, _ = runs.plan(files / "table.npy", objective="multi-scale-denoising")
    assert config.model["name"] == "noise-mlp"
    with pytest.raises(EnergaxError, match="a family with a level is needed"):
        runs.plan(files / "table.npy", objective="multi-scale-denoising", model="mlp")


class Planned(Exception):
    """Carries the configuration out of a command that would train now."""


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("table", {"objective": "denoising-score-matching", "objective_options": {"noise_scale": 0.1}}),
        ("table", {"kernel": "mala", "kernel_options": {"step_size": 0.01}, "seed": 3}),
        ("bits", {"kernel": "heat-bath", "kernel_options": {"scan": "random"}, "objective": "cd"}),
        ("grey", {"binarize": "stochastic", "objective_options": {"restart": 0.25, "reservoir": 600}}),
        ("grey", {"model": "conv", "training": {"learning_rate": 1e-7, "ema_decay": 0.0}}),
    ],
)
def test_the_command_on_the_page_makes_the_same_run(
    files: Path, monkeypatch: pytest.MonkeyPatch, name: str, options: dict[str, Any]
) -> None:
    def create(config: runs.RunConfig, *args: Any, **rest: Any) -> None:
        raise Planned(config)

    config, _ = runs.plan(files / f"{name}.npy", **options)
    command, judged = commands(config.to_json(), files)
    assert judged == f"energax evaluate {files}"
    monkeypatch.setattr(runs.Run, "create", create)
    with pytest.raises(Planned) as end:
        main(shlex.split(command)[1:])
    assert end.value.args[0] == config


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("table", {"model": "rbm"}, "holds continuous values. Use --model mlp or --model conv"),
        ("field", {"model": "rbm"}, "holds continuous values. Use --model mlp"),
        ("bits", {"model": "mlp"}, "holds only two values. Use --model rbm"),
        ("table", {"model": "conv"}, "conv is a model of images"),
        ("table", {"binarize": "threshold"}, "cannot be binarized"),
        ("table", {"binarize": "half"}, "Known: threshold, stochastic, none"),
        ("table", {"kernel": "block-gibbs"}, "no known blocks"),
        ("bits", {"kernel": "mala"}, "MALA needs a score"),
        ("bits", {"objective": "denoising-score-matching"}, "is discrete"),
        ("table", {"seed": -1}, "seed must lie between"),
        ("table", {"training": {"optimizer": "sgd"}}, "--optimizer is adam or centred-sgd, got 'sgd'"),
        ("table", {"training": {"optimizer": "centred-sgd"}}, "centred-sgd is for an rbm, not for mlp"),
        ("table", {"model": "vae", "training": {"optimizer": "centred-sgd"}}, "for an rbm, not for vae"),
        ("table", {"training": {"num_steps": 0}}, "--num-steps must be at least 1 and at most 2147483647, got 0"),
        ("table", {"training": {"num_steps": 2**31}}, "--num-steps must be at least 1"),
        ("table", {"training": {"batch_size": -1}}, "--batch-size must be at least 1"),
        ("table", {"training": {"learning_rate": float("inf")}}, "--learning-rate must be positive and finite"),
        ("table", {"training": {"weight_decay": float("nan")}}, "--weight-decay must be finite"),
        ("table", {"training": {"ema_decay": 1.0}}, "--ema-decay must be at least 0 and below 1"),
        ("bits", {"model_options": {"hidden": 10**12}}, "more than the .* GiB of this machine"),
        ("bits", {"objective_options": {"num_chains": 10**12}}, "more than the .* GiB of this machine"),
    ],
)
def test_what_cannot_work_is_refused(files: Path, name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(EnergaxError, match=message) as caught:
        runs.plan(files / f"{name}.npy", **options)
    assert "\n" not in str(caught.value)


def test_no_data_is_not_the_current_folder() -> None:
    with pytest.raises(ArgumentError, match="DATA is empty"):
        runs.plan(" ")


def test_keys_of_a_run_differ_by_purpose_and_seed(files: Path, tmp_path: Path) -> None:
    config, data = runs.plan(files / "bits.npy", seed=5)
    run = runs.Run.create(config, data, out=tmp_path / "run")
    keys = [run.key(purpose, seed) for purpose in ("init", "train", "sample", "evaluate") for seed in (None, 6)]
    assert len({jax.random.key_data(key).tobytes() for key in map(jax.device_get, keys)}) == len(keys)
    assert (run.key("sample", 5) == run.key("sample")).all()
    with pytest.raises(ArgumentError, match="seed must lie between"):
        run.key("sample", -1)


def test_changed_data_are_noticed(tmp_path: Path) -> None:
    rows = RNG.integers(0, 2, (40, 6))
    np.save(tmp_path / "rows.npy", rows)
    run = runs.Run.create(*runs.plan(tmp_path / "rows.npy"), out=tmp_path / "run")
    assert runs.Run.open(run.directory).data.fingerprint == run.config.data.fingerprint
    np.save(tmp_path / "rows.npy", 1 - rows)
    with pytest.raises(EnergaxError, match=r"changed since the run in .* began. Put the old data back"):
        _ = runs.Run.open(run.directory).data
