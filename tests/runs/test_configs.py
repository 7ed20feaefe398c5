"""A configuration survives its JSON file bit by bit, and says what is wrong with one that was not written by us."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from energax import runs
from energax._errors import ArgumentError, RunError
from energax.runs import _configs

CONFIG = runs.RunConfig(
    data=runs.DataConfig("my data.csv", None, "f00d"),
    model={"name": "mlp", "hidden": 32, "layers": 2, "activation": "tanh"},
    objective={"name": "persistent-cd", "num_chains": 7, "chain_steps": 2, "reservoir": None, "restart": 0.25},
    kernel={"name": "hmc", "step_size": 0.1, "num_leapfrog": 5},
    training=runs.TrainingConfig(num_steps=11, learning_rate=1 / 3),
    seed=4,
)


def test_a_written_configuration_is_read_as_it_was(tmp_path: Path) -> None:
    _configs.write_config(CONFIG, tmp_path)
    assert _configs.read_config(tmp_path) == CONFIG
    assert [p.name for p in tmp_path.iterdir()] == ["config.json"]


@pytest.mark.parametrize(
    ("old", "new"), [('"hidden": 32', '"hidden": 33'), ('"seed": 4', '"seed": 5'), ("f00d", "f00e")]
)
def test_every_edit_is_noticed(tmp_path: Path, old: str, new: str) -> None:
    _configs.write_config(CONFIG, tmp_path)
    path = tmp_path / "config.json"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(RunError, match="edited after the run began"):
        _configs.read_config(tmp_path)


def test_other_white_space_is_no_edit(tmp_path: Path) -> None:
    _configs.write_config(CONFIG, tmp_path)
    path = tmp_path / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text())))
    assert _configs.read_config(tmp_path) == CONFIG


def test_a_run_from_before_an_option_existed_is_read_with_its_default(tmp_path: Path) -> None:
    values = CONFIG.to_json()
    del values["training"]["watch"]
    (tmp_path / "config.json").write_text(json.dumps({**values, "sha256": _configs.digest(values)}))
    assert _configs.read_config(tmp_path) == CONFIG


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cannot be read"),
        ("[1]", "does not hold a configuration"),
        ("{}", "format None"),
        ('{"format": 99}', "format 99"),
        ('{"format": 1}', "cannot be read: 'data'"),
    ],
)
def test_what_is_no_configuration(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(RunError, match=message):
        _configs.read_config(tmp_path)


def test_what_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no run at"):
        _configs.read_config(tmp_path / "nowhere")
    with pytest.raises(RunError, match=r"not a run: it has no config.json"):
        _configs.read_config(tmp_path)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"num_steps": "5"}, r"training.num_steps must be int, got '5'"),
        ({"num_steps": True}, "must be int, got True"),
        ({"num_steps": 1.5}, "must be int, got 1.5"),
        ({"learning_rate": "fast"}, "must be float"),
        ({"num_stepz": 1}, "no option --num-stepz. Known: --batch-size"),
    ],
)
def test_wrong_options_are_named(values: dict, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        _configs.typed(runs.TrainingConfig, values, "training")


def test_a_whole_number_passes_for_a_real_one() -> None:
    rate = _configs.typed(runs.TrainingConfig, {"learning_rate": 1}, "training").learning_rate
    assert rate == 1.0
    assert isinstance(rate, float)


@pytest.mark.parametrize("seed", [-1, 2**32, 2**70])
def test_seeds_that_would_share_a_key_are_refused(seed: int) -> None:
    """A 33rd bit would be dropped in silence, so that seed 2**32 would repeat seed 0."""
    with pytest.raises(ArgumentError, match="seed must lie between 0 and 4294967295"):
        _configs.check_seed(seed)


def test_every_option_has_a_sentence_for_its_help() -> None:
    configs = [runs.TrainingConfig, *(e.config for registry in runs.REGISTRIES.values() for e in registry.values())]
    for cls in configs:
        told = runs.field_help(cls)
        assert set(told) == {field.name for field in dataclasses.fields(cls)}, cls
        assert all(text.endswith(".") for text in told.values()), told
