"""A summary survives its files, and a page can be made of whatever part of it there is."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from energax import runs
from energax._errors import RunError
from energax.runs._configs import write_config
from energax.runs._summary import commands

CONFIG = runs.RunConfig(
    data=runs.DataConfig("my data.csv"),
    model={"name": "mlp", "hidden": 32},
    objective={"name": "persistent-cd", "num_chains": 7, "reservoir": None},
    kernel={"name": "hmc", "step_size": 0.1},
    training=runs.TrainingConfig(num_steps=11),
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_config(CONFIG, tmp_path)
    return tmp_path


def summary(folder: Path) -> runs.Summary:
    return runs.Summary(
        config=CONFIG.to_json(),
        data={"name": "my data", "num_train": 5},
        model={"name": "mlp", "num_parameters": 9},
        history=[],
        events=[],
        evaluation={"kl": {"value": np.float64(0.5), "error": float("nan")}, "num_test": np.int64(3)},
        arrays={"data_sample": np.arange(6.0).reshape(3, 2), "chain_energy": np.ones((2, 4), np.float32)},
        environment={"jax": "0"},
        reproduce=commands(CONFIG.to_json(), folder),
        image_shape=(1, 2),
    )


def test_what_is_saved_is_loaded(folder: Path) -> None:
    summary(folder).save(folder)
    found = runs.Summary.load(folder)
    assert found.evaluation == {"kl": {"value": 0.5, "error": None}, "num_test": 3}
    assert found.image_shape == (1, 2)
    assert found.reproduce == summary(folder).reproduce
    assert found.config == CONFIG.to_json()
    for name, values in summary(folder).arrays.items():
        np.testing.assert_array_equal(found.arrays[name], values)
        assert found.arrays[name].dtype == values.dtype
    assert not [p.name for p in folder.iterdir() if "part" in p.name]


def test_a_run_without_an_evaluation_has_an_empty_one(folder: Path) -> None:
    found = runs.Summary.load(folder)
    assert found.evaluation == {}
    assert found.arrays == {}
    assert found.data == {"name": "my data.csv"}


@pytest.mark.parametrize(("name", "content"), [("evaluation.json", b"{"), ("summary.npz", b"PK no archive")])
def test_a_damaged_evaluation_is_one_sentence(folder: Path, name: str, content: bytes) -> None:
    summary(folder).save(folder)
    (folder / name).write_bytes(content)
    with pytest.raises(RunError, match=r"The evaluation in .* cannot be read: .*Run `energax evaluate`"):
        runs.Summary.load(folder)


def test_a_folder_that_is_gone_is_one_sentence(folder: Path) -> None:
    with pytest.raises(RunError, match=r"cannot be written to .*No such file"):
        summary(folder).save(folder / "gone")


def test_commands_quote_what_a_shell_would_split() -> None:
    first, second = commands(CONFIG.to_json(), Path("runs/it's mine"))
    assert first.startswith("energax fit 'my data.csv' --binarize none --model mlp --hidden 32")
    assert "--reservoir" not in first
    assert first.endswith("--seed 0")
    assert second == """energax evaluate 'runs/it'"'"'s mine'"""


def test_plain_values_are_json() -> None:
    value = {1: np.float32(0.5), "a": (np.inf, np.bool_(1), np.arange(2)), "b": [None, "x", float("nan")]}
    assert runs.plain(value) == {"1": 0.5, "a": [None, True, [0, 1]], "b": [None, "x", None]}
    json.dumps(runs.plain(value), allow_nan=False)
