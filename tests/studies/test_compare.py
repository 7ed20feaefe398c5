"""A comparison tells every objective's end, continues where it stopped, and survives what fails in it."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax import densities, energies, exact, runs, studies, testing
from energax._errors import ArgumentError, Diverged, KernelMismatch, RunError
from energax.cli import main
from energax.cli._study import seconds
from energax.studies import _judge, _trial

KL = {"nce": 0.5, "kernel-stein": 0.25, "cd": 0.125}


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Runs whose training is not made and whose judgement is made up; the list holds what was trained."""
    trained: list[str] = []

    def fit(run: runs.Run, **_: Any) -> Any:
        trained.append(f"{run.config.objective['name']} {run.config.seed}")
        return SimpleNamespace(interrupted=False)

    def judge(run: runs.Run) -> dict[str, Any]:
        kl = KL[run.config.objective["name"]] + 0.01 * run.config.seed
        return {"kl": kl, "kl_stderr": 0.001, "kl_quadrature": kl, "mmd_squared": 1e-4,
                "mmd_squared_of_training_rows": 1e-5}  # fmt: skip

    monkeypatch.setattr(runs.Run, "fit", fit)
    monkeypatch.setattr(runs.Run, "energy", property(lambda run: densities.Gaussian(jnp.zeros(2))))
    monkeypatch.setattr(_trial, "judge", judge)
    return trained


def plan(*names: str, seeds: int = 2) -> studies.Comparison:
    return studies.plan_comparison("two-gaussians", objectives=names, seeds=seeds, num_steps=4)


def test_every_objective_has_its_words() -> None:
    assert set(studies.WORDS) == set(runs.OBJECTIVES)


@pytest.mark.slow
def test_every_objective_that_fits_is_compared_and_the_others_say_why(tmp_path: Path) -> None:
    np.save(tmp_path / "rows.npy", np.random.default_rng(0).normal(size=(50, 2)))
    whole = studies.plan_comparison(str(tmp_path / "rows.npy"), num_steps=4)
    assert not set(whole.objectives) & set(whole.left_out)
    assert set(whole.objectives) | set(whole.left_out) == set(runs.OBJECTIVES)
    assert {"nce", "jarzynski", "exact-likelihood", "multi-scale-denoising"} <= set(whole.objectives)
    assert {"pseudo-likelihood", "minimum-probability-flow"} <= set(whole.left_out)


def test_rows_are_means_with_their_spread_best_first(tmp_path: Path, quick: list[str]) -> None:
    told: list[tuple[float, int, str]] = []
    found = studies.compare(plan("nce", "kernel-stein"), tmp_path, lambda *now: told.append(now))
    assert quick == ["nce 0", "kernel-stein 0", "nce 1", "kernel-stein 1"]
    assert [row["objective"] for row in found.rows] == ["kernel-stein", "nce"]
    cell = found.rows[0]["kl"]
    assert (cell["mean"], cell["worst"], cell["values"]) == (pytest.approx(0.255), 0.26, [0.25, 0.26])
    assert cell["spread"] == pytest.approx(0.01 / 2**0.5)
    assert told[-1] == (4, 4, "kernel-stein, run 2 of 2: KL 0.26 nats")


def test_finished_runs_are_not_done_again_and_another_study_is_refused(tmp_path: Path, quick: list[str]) -> None:
    first = studies.compare(plan("nce"), tmp_path)
    assert studies.Comparison.is_in(tmp_path)
    assert studies.Comparison.load(tmp_path) == first.plan
    assert studies.compare(plan("nce"), tmp_path).trials == first.trials
    assert len(quick) == 2
    with pytest.raises(RunError, match="holds another study"):
        studies.compare(plan("nce", seeds=3), tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").touch()
    with pytest.raises(RunError, match="not empty and holds no study"):
        studies.compare(plan("nce"), tmp_path / "folder")


def test_a_failure_is_told_in_its_row_and_loses_nothing_else(
    tmp_path: Path, quick: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(run: runs.Run, **_: Any) -> Any:
        if run.config.objective["name"] == "cd":
            raise Diverged("The energy gap exploded.") if run.config.seed else ValueError("a bug")
        return SimpleNamespace(interrupted=False)

    monkeypatch.setattr(runs.Run, "fit", fails)
    found = studies.compare(plan("cd", "nce"), tmp_path)
    good, bad = found.rows
    assert (good["objective"], good["num_failed"]) == ("nce", 0)
    assert (bad["num_failed"], bad["kl"]) == (2, None)
    assert bad["failures"] == ["ValueError: a bug", "The energy gap exploded."]
    text = studies.markdown(runs.plain(found.to_json()))
    assert "* `cd` failed: The energy gap exploded." in text
    assert found.plan.command in text


def test_a_full_disk_is_no_finding(tmp_path: Path, quick: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def full(run: runs.Run, **_: Any) -> Any:
        raise RunError("The disk is full.")

    monkeypatch.setattr(runs.Run, "fit", full)
    with pytest.raises(RunError, match="disk is full"):
        studies.compare(plan("nce"), tmp_path)
    assert not list(tmp_path.glob("nce/*.json"))


def test_an_interrupted_study_goes_on(
    tmp_path: Path, quick: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = runs.Run.fit
    monkeypatch.setattr(runs.Run, "fit", lambda run, **_: SimpleNamespace(interrupted=run.config.seed == 1))
    options = ["--objectives", "nce", "--num-steps", "4", "--seeds", "2", "--out", str(tmp_path / "study")]
    assert main(["compare-objectives", "two-gaussians", *options]) == 130
    assert "Continue with: energax resume" in capsys.readouterr().err
    monkeypatch.setattr(runs.Run, "fit", whole)
    assert main(["resume", str(tmp_path / "study"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert quick == ["nce 1"]
    assert found["rows"][0]["kl"]["values"] == [0.5, 0.51]
    assert (found["result"], found["rows"][0]["num_runs"]) == ("successful", 2)


@pytest.mark.slow
def test_from_the_command_line_to_the_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing made up: a run is trained and judged, and its directory is one of `fit`."""
    options = ["--objectives", "nce", "--num-steps", "8", "--seeds", "1", "--out", str(tmp_path / "study"), "--json"]
    assert main(["compare-objectives", "two-gaussians", *options]) == 0
    row = json.loads(capsys.readouterr().out)["rows"][0]
    assert row["num_failed"] == 0
    assert abs(row["kl"]["mean"] - row["kl_quadrature"]["mean"]) < 5 * row["kl_stderr"]["mean"]
    assert row["milliseconds_per_step"]["mean"] > 0
    assert runs.Run.open(tmp_path / "study" / "nce" / "seed-0").config.training.num_steps == 8
    page = (tmp_path / "study" / "report.html").read_text("utf-8")
    assert "The best is nce" in page
    assert "left out" not in page


def test_a_budget_is_turned_into_updates_once(
    tmp_path: Path, quick: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    speeds: list[str] = []
    monkeypatch.setattr(_trial, "pilot_speed", lambda plan, name: speeds.append(name) or 7.0)
    timed = studies.plan_comparison("two-gaussians", objectives=["nce"], seeds=2, budget=3.0)
    found = studies.compare(timed, tmp_path)
    assert speeds == ["nce"]
    assert [trial["num_steps"] for trial in found.trials] == [21, 21]


def test_the_divergence_of_known_laws(key: jax.Array) -> None:
    """KL(N(0, I)‖N(δ, I)) = δ²/2; within the standard error it states, and exactly by quadrature."""
    truth = densities.Gaussian(jnp.zeros(2))
    for shift, want in ((0.0, 0.0), (0.6, 0.18)):
        found = _judge.divergence(truth, densities.Gaussian(jnp.array([shift, 0.0])), key=key)
        assert abs(found["kl"] - want) <= 4.9 * found["kl_stderr"] + 1e-6
        assert found["kl_quadrature"] == pytest.approx(want, abs=1e-5)
    assert found["kl_stderr"] == pytest.approx(0.6 / 20_000**0.5, rel=0.05)


def test_draws_on_a_grid_have_the_law_of_the_model(key: jax.Array) -> None:
    law = densities.Gaussian(jnp.array([1.0, -2.0]), jnp.array([0.25, 4.0]))
    model = energies.energy(lambda law, x: law(x), law, space=law.space)
    draws = np.asarray(exact.draw(model, key=key, num=20_000), np.float64)
    testing.assert_mean(draws[:, 0], 1.0, name="first coordinate")
    testing.assert_mean(draws[:, 1], -2.0, name="second coordinate")
    testing.assert_mean((draws[:, 1] + 2.0) ** 2, 4.0, name="variance")


def test_what_is_asked_in_vain() -> None:
    with pytest.raises(KernelMismatch):
        plan("pseudo-likelihood")
    with pytest.raises(ArgumentError, match="Unknown objective 'nec'"):
        plan("nec")
    with pytest.raises(ArgumentError, match="must be positive"):
        plan("nce", seeds=0)
    assert [seconds(text) for text in ("30", "30s", "1.5m", "1h")] == [30.0, 30.0, 90.0, 3600.0]
    for text in ("", "0s", "5 weeks", "-3s"):
        with pytest.raises(ArgumentError, match="--budget needs a time"):
            seconds(text)
