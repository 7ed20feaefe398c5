"""A comparison of models refuses early, keeps to its time, loses nothing, and measures what it says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax import densities, energies, evaluation, generative, kernels, objectives, report, runs, studies, systems
from energax._errors import ArgumentError, DataError, Diverged, EnergaxError, RunError
from energax.cli import main
from energax.data import Identity, Logit
from energax.studies import _families, _models, _models_trial, _yardstick
from energax.studies._demonstrations import demonstrations
from energax.studies._family import Paced
from energax.studies._models_judge import judge_model, settled
from energax.studies._models_plan import view
from energax.studies._restore import NOISE, by_climbing, by_diffusion, by_interpolant
from energax.studies._subjects import AbstractSubject, Energetic, Generated, in_time
from energax.studies._yardstick import Yardstick


class Moved(AbstractSubject):
    """The law of the data itself, moved by some units of the data, as the model of standardised rows."""

    def __init__(self, data: Any, by: float = 0.0) -> None:
        self.law, self.by, self.back = data.density, by, data.transform
        self.drawn = jax.jit(jax.vmap(lambda k: self.law.draw(key=k)))
        self.judged = jax.jit(jax.vmap(self.law.log_prob))
        self.kind, self.draw_evaluations, self.chunk, self.model = "exact", 1.0, 500, None

    def draw(self, *, key: Any) -> np.ndarray:
        return self.back.forward(np.asarray(self.drawn(jax.random.split(key, self.chunk))) + self.by)

    def log_prob(self, rows: np.ndarray, *, key: Any) -> np.ndarray:
        user = self.back.inverse(rows)
        return np.asarray(self.judged(user - self.by)) - self.back.log_det(np.asarray(rows))


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Runs that are neither trained nor judged; the list holds what was made."""
    made: list[str] = []

    def run(trial: _models_trial.Trial) -> Any:
        made.append(f"{trial.model} {trial.seed}")
        if trial.model == "gan" and trial.seed:
            raise Diverged("The game exploded.")
        if trial.model == "gan":
            raise ValueError("a bug")
        kl = {"vae": 0.5, "flow": 0.25, "ebm": 0.125}[trial.model] + 0.01 * trial.seed
        kind = "bound" if trial.model == "vae" else "exact"
        numbers = {"likelihood_kind": kind, "kl": kl, "log_likelihood": -kl, "mmd_squared": 2e-4,
                   "mmd_squared_floor": 1e-4, "num_parameters": 7, "train_seconds": 1.0}  # fmt: skip
        rows = np.random.default_rng(0).normal(size=(20, 2))
        return numbers, {"draws": rows, "shown": rows, "ways": rows.reshape(2, 10, 2)}

    monkeypatch.setattr(_models_trial.Trial, "run", run)
    return made


def plan(*names: str, seeds: int = 2) -> studies.ModelComparison:
    return studies.plan_models("two-gaussians", models=names, seeds=seeds, budget=5.0)


def test_what_cannot_work_is_refused_before_anything_is_trained(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="rbm is a model of 0/1 data, but two-gaussians holds real numbers"):
        plan("vae", "rbm")
    with pytest.raises(ArgumentError, match="Did you mean 'diffusion'"):
        plan("difusion")
    with pytest.raises(ArgumentError, match="A budget of 2 s trains nothing"):
        studies.plan_models("two-gaussians", budget=2.0)
    assert set(studies.plan_models("two-gaussians").left_out) == {"rbm"}
    np.save(tmp_path / "bits.npy", np.random.default_rng(0).integers(0, 2, (40, 5)))
    assert studies.plan_models(str(tmp_path / "bits.npy")).models == ("vae", "rbm")


def test_energies_of_many_columns_learn_from_chains_that_travel_and_machines_as_fit_trains_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def recipe(name: str, binarize: str | None) -> studies.Recipe:
        return studies.FAMILIES[name].build(view("digits", binarize, 0, on_pixels=False), jax.random.key(0))

    pictures = recipe("ebm", None)
    assert isinstance(pictures.model, energies.GaussianRBM)
    assert isinstance(pictures.objective, objectives.PersistentCD)
    assert (pictures.objective.reservoir, pictures.persistent) == (2_000, False)
    assert pictures.kernel == pictures.objective.kernel == kernels.BlockGibbs()
    with monkeypatch.context() as wide:
        wide.setattr(_families, "_LARGE", 63)
        assert recipe("ebm", None).persistent
    np.save(tmp_path / "table.npy", np.random.default_rng(0).normal(size=(40, 9)))
    table = studies.plan_models(str(tmp_path / "table.npy"), models=["ebm"])
    travelling = studies.FAMILIES["ebm"].build(table.view("ebm", 0), jax.random.key(0))
    assert isinstance(travelling.objective, objectives.TemperedPCD)
    assert travelling.objective.adapt_step_size
    machine, config = recipe("rbm", "threshold"), runs.plan("digits")[0]
    assert (config.model["name"], config.training.optimizer) == ("rbm", "centred-sgd")
    assert isinstance(machine.objective, objectives.PersistentCD)
    assert machine.batch_size == config.training.batch_size
    # The same object, so that another seed does not compile again; one step is (rate) × (centred gradient + decay).
    assert machine.optimizer is recipe("rbm", "threshold").optimizer is not None
    made = runs.optimizer(config.training, runs.plan("digits")[1])
    params = eqx.filter(machine.model, eqx.is_inexact_array)
    ones = jax.tree.map(jnp.ones_like, params)
    steps = [rule.update(ones, rule.init(params), params)[0] for rule in (machine.optimizer, made)]
    assert eqx.tree_equal(*steps, rtol=1e-6, atol=1e-9)


def test_draws_of_larger_pictures_go_on_from_the_chains_of_training_each_once() -> None:
    """Chains of a model that has no bonds but biases: where they stood first is forgotten after a transition."""
    rows = np.random.default_rng(0).normal(size=(50, 6)).astype(np.float32)
    machine = energies.GaussianRBM(6, 3, key=jax.random.key(0))
    machine = eqx.tree_at(lambda m: m.weights, machine, jnp.zeros((6, 3)))
    chains = 1e3 * np.arange(1, 601, dtype=np.float32)[:, None] * np.ones(6, np.float32)
    subject = Energetic(machine, kernels.BlockGibbs(), rows, jnp.asarray(chains))
    assert (subject.chunk, subject.draw_evaluations) == (500, 50.0)
    seen = [subject.draw(key=jax.random.key(i)) for i in range(6)]
    assert all(draws.shape == (500, 6) and np.abs(draws).max() < 10 for draws in seen)
    assert len(np.unique(np.concatenate(seen), axis=0)) == 3_000
    assert chains[0, 0] == 1e3

    class Still(kernels.BlockGibbs):
        def step(self, target: Any, x: Any, *, key: Any) -> Any:
            _, info = super().step(target, x, key=key)
            return x, info

    still = Energetic(machine, Still(), rows, jnp.asarray(chains))
    whose = np.concatenate([still.draw(key=jax.random.key(i))[:, 0] for i in range(6)])
    np.testing.assert_array_equal(np.unique(whose, return_counts=True)[1], np.full(600, 5))


def test_a_run_that_is_taken_up_after_its_time_is_judged_with_its_chains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_families, "_LARGE", 63)
    monkeypatch.setattr(_families, "_RESERVOIR", 130)
    study = studies.plan_models("digits", models=["ebm"], seeds=1, budget=5.0)
    seen: list[Any] = []
    monkeypatch.setattr(_models_trial.Trial, "_subject", lambda trial, result, recipe, data: seen.append(result))
    monkeypatch.setattr(_models_trial, "judge_model", lambda *args, **kwargs: ({}, {}))
    monkeypatch.setattr(_models_trial, "demonstrations", lambda *args, **kwargs: {})
    trial = _models_trial.Trial(study, tmp_path / "ebm" / "seed-0", "ebm", 0, lambda *now: None, lambda seed: None)
    trial.directory.parent.mkdir()
    (trial.directory.parent / "pilot.json").write_text('{"num_steps": 100000, "compile_seconds": 0}')
    monkeypatch.setattr(_models_trial, "_OVER", 0.1)
    trial.run()
    monkeypatch.setattr(_models_trial, "_OVER", 0.0)
    trial.run()
    assert [result.result for result in seen] == ["out-of-time"] * 2
    assert seen[0].step < seen[1].step < seen[0].step + 50
    recipe = studies.FAMILIES["ebm"].build(study.view("ebm", 0), jax.random.key(0))
    before, after = (recipe.chains(result.state) for result in seen)
    assert before.shape == after.shape == (130, 64)
    assert np.all(np.isfinite(after))
    assert np.mean(np.any(np.asarray(before != after), axis=1)) > 0.9


def test_rows_are_standardised_and_the_likelihood_knows_it() -> None:
    data = view("two-gaussians", None, 0, on_pixels=False)
    rows = data.train.take(np.arange(5_000))
    np.testing.assert_allclose([rows.mean(0), rows.std(0) - 1], 0.0, atol=0.05)
    back = data.transform.inverse(rows)
    np.testing.assert_allclose(data.transform.forward(back), rows, atol=1e-5)
    scale = np.diff(data.transform.inverse(np.eye(3)[:2, :2]), axis=0)[0] * [-1, 1]
    np.testing.assert_allclose(data.transform.log_det(rows), -np.log(scale).sum(), rtol=1e-6)


def test_the_divergence_of_the_truth_from_itself_is_zero_and_that_of_its_neighbour_is_not() -> None:
    data = view("two-islands", None, 0, on_pixels=False)
    key = jax.random.key(0)
    subject, yardstick = Moved(data), Yardstick(data)
    same, arrays = judge_model(subject, data, yardstick, key=key, seconds=0.0)
    assert abs(same["kl"]) < 1e-4
    assert (same["num_modes"], same["mode_coverage"], same["num_rows_judged"]) == (2, 1.0, 1000)
    assert same["mmd_squared"] < 20 * same["mmd_squared_floor"] + 1e-3
    assert arrays["draws"].shape == (1000, 2)
    # Two modes of width ½ moved by half a width each: KL = ½ (¼ + ¼) · 4 in nats, with the chance of 1000 rows.
    subject.by = 0.25
    moved, _ = judge_model(subject, data, yardstick, key=key, seconds=0.0)
    assert abs(moved["kl"] - 0.25) < 6 * moved["kl_stderr"] < 0.3
    assert {"sliced_wasserstein", "energy_distance", "recall"} <= {name for name in moved if f"{name}_floor" in moved}
    subject.by = 0.0
    shown = demonstrations(subject, data, restore=None, key=key, seconds=60.0)
    cell = np.prod([np.diff(shown[axis])[0] for axis in ("grid_x", "grid_y")])
    assert np.exp(shown["grid"]).sum() * cell == pytest.approx(1.0, abs=0.02)


def test_work_ends_with_its_time_but_not_before_the_least_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter(range(1000))
    monkeypatch.setattr("time.perf_counter", lambda: float(next(now)))
    assert len(in_time(lambda i: np.full(10, i), 1000, 30, 0.0)[0]) == 30
    assert len(in_time(lambda i: np.full(10, i), 25, 10, 1e9)[0]) == 25


def test_the_pace_falls_to_nothing_and_another_length_is_no_other_program() -> None:
    law = densities.Gaussian(jnp.zeros(1))
    inner = generative.MaximumLikelihood()
    objective = Paced(inner, jnp.asarray(1000.0))
    paces = []
    for t in (0.0, 500.0, 1000.0):
        _, (state, metrics) = objective.loss(law, jnp.ones((2, 1)), (None, jnp.asarray(t)), key=jax.random.key(0))
        paces.append(float(metrics["pace"]))
        assert float(state[1]) == t + 1
    np.testing.assert_allclose(paces, [0.01, 0.5, 0.0], atol=1e-6)
    _, other = eqx.partition(Paced(inner, jnp.asarray(7.0)), eqx.is_array)
    assert eqx.tree_equal(eqx.partition(objective, eqx.is_array)[1], other)


def test_noise_is_taken_from_normal_rows_as_bayes_does() -> None:
    rows = jnp.asarray([[1.0, -2.0], [0.5, 3.0]])
    wanted = rows / (1 + NOISE**2)

    class Velocity(eqx.Module):
        def __call__(self, y: jax.Array, t: jax.Array) -> jax.Array:
            return y * (2 * t - 1) / (t**2 + (1 - t) ** 2)

    flow = generative.ContinuousFlow(2, velocity=Velocity(), key=jax.random.key(0))
    model = generative.Diffusion(2, network=lambda y, t: jnp.zeros_like(y), key=jax.random.key(0))
    np.testing.assert_allclose(by_interpolant(flow, rows), wanted, rtol=1e-5)
    np.testing.assert_allclose(by_diffusion(model, rows), wanted, rtol=2e-3)
    np.testing.assert_allclose(by_climbing(densities.Gaussian(jnp.zeros(2)), rows), wanted, rtol=1e-3)


def test_a_failure_is_told_and_loses_nothing_else(tmp_path: Path, quick: list[str]) -> None:
    told: list[tuple[float, int, str]] = []
    found = studies.compare_models(plan("vae", "gan", "ebm"), tmp_path / "s", lambda *now: told.append(now))
    assert quick == ["vae 0", "gan 0", "ebm 0", "vae 1", "gan 1", "ebm 1"]
    models = runs.plain(found.to_json())["models"]
    assert models["gan"]["failures"] == ["ValueError: a bug", "The game exploded."]
    assert models["vae"]["kl"] == {"mean": pytest.approx(0.505), "std": pytest.approx(0.01 / 2**0.5), "n": 2}
    assert models["vae"]["log_likelihood"]["kind"] == "bound"
    assert told[-1][:2] == (6, 6)
    page = report.write_models(
        runs.plain(found.to_json()), studies.shown_arrays(found.plan, tmp_path / "s"), tmp_path / "page.html"
    ).read_text("utf-8")
    for words in ("a bug", "What it can", "0.505", "training rows"):
        assert words.lower() in page.lower() or words == "What it can"
    assert all(family in page for family in ("vae", "gan", "ebm"))


def test_finished_runs_are_kept_and_the_command_goes_on(
    tmp_path: Path, quick: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    study = str(tmp_path / "study")
    options = ["two-gaussians", "--models", "vae,flow", "--seeds", "1", "--budget", "5s", "--out", study, "--json"]
    assert main(["compare", *options]) == 0
    (tmp_path / "study" / "flow" / "seed-0.json").unlink()
    capsys.readouterr()
    assert main(["resume", study, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert quick == ["vae 0", "flow 0", "flow 0"]
    assert found["models"]["flow"]["kl"]["mean"] == 0.25
    with pytest.raises(RunError, match="another study"):
        studies.compare_models(plan("vae"), tmp_path / "study")
    assert main(["compare", "two-gaussians", "--models", "gan", "--seeds", "1", "--out", str(tmp_path / "other")]) == 1


def test_floors_are_what_training_rows_get_and_are_measured_once_a_seed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = view("two-islands", None, 0, on_pixels=False)
    found = Yardstick(data).measure(np.asarray(data.train.take(np.arange(1000))), data)
    floors = {name: value for name, value in found.items() if name.endswith("_floor")}
    assert len(floors) == 7
    assert floors == {name: found[name.removesuffix("_floor")] for name in floors}
    made: list[Any] = []
    monkeypatch.setattr(_models, "Yardstick", made.append)

    def run(trial: _models_trial.Trial) -> Any:
        trial.yardstick(trial.seed)
        return {"likelihood_kind": "none", "mmd_squared": float(len(made))}, {}

    monkeypatch.setattr(_models_trial.Trial, "run", run)
    trials = studies.compare_models(plan("vae", "flow", "gan"), tmp_path / "study").trials
    assert [trial["mmd_squared"] for trial in trials] == [1, 1, 1, 2, 2, 2]


class Stiff(eqx.Module):
    """A velocity that few steps cannot follow, or can: it turns `rate` times as fast as they look."""

    rate: float = eqx.field(static=True)

    def __call__(self, x: Any, t: Any) -> Any:
        return self.rate * jnp.sin(self.rate * x)


@pytest.mark.parametrize(("rate", "steps", "kind"), [(0.8, 1, "exact"), (1.6, 4, "exact"), (30.0, 0, "none")])
def test_a_likelihood_that_hangs_on_the_steps_of_its_solver_is_none(rate: float, steps: int, kind: str) -> None:
    """The steps are doubled until it stays; what is reported is the likelihood with those."""
    data = view("two-islands", None, 0, on_pixels=False)
    model = generative.ContinuousFlow(2, velocity=Stiff(rate), solver=generative.RungeKutta(1), key=jax.random.key(0))
    found = judge_model(Generated(model), data, Yardstick(data), key=jax.random.key(1), seconds=0.0)[0]
    assert found["likelihood_kind"] == kind
    assert (found["likelihood_shift"] <= 0.01) == (kind == "exact") == ("kl" in found)
    if steps:
        refined, shift = settled(Generated(model), np.asarray(data.test.take(np.arange(500))), jax.random.key(2))
        assert refined.model.solver.num_steps == steps
        assert shift is not None
        assert shift <= 0.01


def test_runs_without_a_settled_likelihood_are_counted_and_not_averaged() -> None:
    settled_one = {"model": "flow", "likelihood_kind": "exact", "log_likelihood": -2.0, "likelihood_shift": 0.001}
    other = {"model": "flow", "likelihood_kind": "none", "likelihood_shift": 3.0}
    row = _models.summary([other, settled_one])
    assert (row["likelihood_kind"], row["num_unsettled"], row["num_failed"]) == ("exact", 1, 0)
    assert row["log_likelihood"] == {"mean": -2.0, "std": None, "n": 1, "kind": "exact"}


@pytest.mark.slow
def test_every_family_is_trained_and_judged_within_its_time(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["two-gaussians", "--budget", "10s", "--seeds", "1", "--out", str(tmp_path / "study"), "--json"]
    assert main(["compare", *options]) == 0
    models = json.loads(capsys.readouterr().out)["models"]
    assert set(models) == set(studies.FAMILIES) - {"rbm"}
    kinds = {name: row["likelihood_kind"] for name, row in models.items()}
    assert (kinds["vae"], kinds["gan"], kinds["ebm"], kinds["flow-matching"]) == ("bound", "none", "exact", "exact")
    for name, row in models.items():
        assert not row["failures"]
        assert row["train_seconds"]["mean"] < 13
        assert name == "gan" or row["kl"]["mean"] < 0.2


@pytest.mark.parametrize(("num_steps", "alone"), [(1_001, 501), (10_000, 5_000), (50_000, 45_000)])
def test_a_calibration_is_the_end_of_a_run_and_short(num_steps: int, alone: int) -> None:
    recipe = studies.FAMILIES["ec-vae"].build(view("two-moons", None, 0, on_pixels=True), jax.random.key(0))
    learner = recipe.learner(num_steps)
    assert isinstance(learner, systems.CalibrationLearner)
    assert int(learner.calibration.pretrain) == alone


@pytest.mark.parametrize(("seconds", "num_steps"), [(30.0, 2_400), (125.0, 10_000), (225.0, 20_000)])
def test_a_run_with_a_calibration_fills_its_time(seconds: float, num_steps: int) -> None:
    """100 plain updates a second, and two thirds of that; the last half calibrates, but at most 5,000."""
    recipe = studies.FAMILIES["ec-vae"].build(view("two-moons", None, 0, on_pixels=True), jax.random.key(0))
    assert recipe.num_steps(seconds, 100.0, 200 / 3) == num_steps
    calibrated = num_steps - int(recipe.learner(num_steps).calibration.pretrain)
    assert (num_steps - calibrated) / 100.0 + calibrated / (200 / 3) == pytest.approx(seconds)


def test_the_pilot_of_a_calibration_measures_both_kinds_of_updates(monkeypatch: pytest.MonkeyPatch) -> None:
    data = view("two-moons", None, 0, on_pixels=True)
    recipe = studies.FAMILIES["ec-vae"].build(data, jax.random.key(0))
    waits: list[float] = []

    def fit(learner: Any, rows: Any, *, num_steps: int, **options: Any) -> None:
        alone = int(learner.calibration.pretrain)
        waits.append(1e-3 * min(num_steps, alone) + 4e-3 * max(num_steps - alone, 0))

    monkeypatch.setattr(_models_trial, "fit", fit)
    monkeypatch.setattr(_models_trial.time, "perf_counter", lambda: sum(waits))
    _, plain, calibrated = _models_trial.pilot_speeds(recipe, data, 60.0, jax.random.key(0))
    assert (plain, calibrated) == (pytest.approx(1_000, rel=0.02), pytest.approx(250, rel=0.02))


@pytest.mark.parametrize("seconds", [1e-5, 0.01, 3.0])
def test_a_pilot_is_not_led_astray_by_the_noise_of_short_runs(seconds: float) -> None:
    """Runs take half a second more or less than their updates do; the pilot none that takes long."""
    rng, spent = np.random.default_rng(0), []

    def timed(steps: int) -> float:
        spent.append(steps * seconds)
        return spent[-1] + rng.uniform(-0.5, 0.3)

    speed = _models_trial.speed_of(timed, 2.0)
    assert speed * seconds == pytest.approx(1.0, rel=0.6)
    assert max(spent) <= max(25.0, 10 * seconds)


@pytest.mark.parametrize("model", ["flow", "continuous-flow", "ebm", "gan"])
def test_some_models_see_grey_images_as_logits(model: str) -> None:
    seen = studies.plan_models("digits", models=[model]).view(model, 0)
    is_logit = any(isinstance(part, Logit) for part in seen.transform.parts)
    assert is_logit == studies.FAMILIES[model].as_logits == (model != "gan")
    table = view("digits", "threshold", 0, on_pixels=False, as_logits=True)
    assert isinstance(table.transform, Identity)


def test_draws_of_a_model_of_logits_are_judged_as_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_yardstick, "LABELLED_SETS", ())
    pixels, logits = (view("digits", None, 0, on_pixels=False, as_logits=bend) for bend in (False, True))
    yardstick = Yardstick(pixels)
    rows = np.arange(len(pixels.test))
    of_pixels, of_logits = (yardstick.measure(np.asarray(data.train.take(rows)), data) for data in (pixels, logits))
    assert of_pixels["mmd_squared"] == pytest.approx(of_pixels["mmd_squared_floor"], abs=1e-12)
    for name in ("mmd_squared", "sliced_wasserstein", "energy_distance", "precision", "coverage"):
        assert of_logits[name] == pytest.approx(of_pixels[name], abs=1e-4)


def test_draws_that_diverged_are_refused_in_logits_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_yardstick, "LABELLED_SETS", ())
    pixels, logits = (view("digits", None, 0, on_pixels=False, as_logits=bend) for bend in (False, True))
    draws = np.asarray(logits.test.take(np.arange(100)))
    draws[3, 4] = np.inf
    with pytest.raises(EnergaxError, match="finite"):
        Yardstick(pixels).measure(draws, logits)


@pytest.mark.slow
def test_pictures_are_judged_by_the_classifier_of_their_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """An untrained one: training rows are nearer to held-out ones than dimmed ones; other data have none."""
    network = evaluation.FeatureNetwork((8, 8), num_classes=10, num_levels=17, channels=(8,), num_features=16,
                                        key=jax.random.key(0))  # fmt: skip
    trained = evaluation.TrainedFeatures(network, 0.1, evaluation.FeatureRecipe(num_features=16))
    monkeypatch.setattr(evaluation, "feature_network", lambda name: trained)
    data = view("digits", None, 0, on_pixels=True)
    rows = np.asarray(data.train.take(np.arange(300, 700)))
    yardstick = Yardstick(view("digits", None, 0, on_pixels=False))
    good, bad = yardstick.measure(rows, data), yardstick.measure(0.5 * rows, data)
    assert good["frechet"] < 0.1 * bad["frechet"]
    assert good["feature_precision"] > bad["feature_precision"]
    assert good["frechet_floor"] == bad["frechet_floor"]
    assert good["feature_network"].startswith("16 features of")
    plane = view("two-moons", None, 0, on_pixels=False)
    assert "frechet" not in Yardstick(plane).measure(np.asarray(plane.train.take(np.arange(20))), plane)
