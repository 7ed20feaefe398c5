"""Every name of the command line builds the class that it promises, with the defaults that it declares."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from energax import data as sets
from energax import objectives, runs
from energax._errors import ArgumentError
from energax.data import Data

KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def rows() -> dict[str, Data]:
    """Three rows of pictures in three views; the smallest data that every model takes."""
    rng = np.random.default_rng(3)
    pictures = rng.integers(0, 256, (12, 4, 4)).astype(np.uint8)
    return {
        "rbm": sets.from_array(pictures, binarize="threshold"),
        "gaussian-rbm": sets.from_array(rng.normal(size=(12, 3))),
        "mlp": sets.from_array(rng.normal(size=(12, 3))),
        "noise-mlp": sets.from_array(rng.normal(size=(12, 3))),
        "conv": sets.from_array(pictures, flatten=False),
        "vae": sets.from_array(pictures, binarize="threshold"),
        "ec-vae": sets.from_array(rng.normal(size=(12, 3))),
    }


@pytest.mark.parametrize("name", sorted(runs.REGISTRIES["model"]))
def test_models(name: str, rows: dict[str, Data]) -> None:
    energy = runs.build_energy({"name": name, "hidden": 5}, rows[name], key=KEY)
    assert isinstance(energy, runs.entry("model", name).cls)
    assert runs.num_parameters(energy) > 0


def test_parameters_are_counted(rows: dict[str, Data]) -> None:
    """16 visible and 5 hidden units: weights and both biases."""
    assert runs.num_parameters(runs.build_energy({"name": "rbm", "hidden": 5}, rows["rbm"], key=KEY)) == 16 * 5 + 16 + 5


def test_a_gaussian_rbm_begins_at_the_moments_of_the_data(rows: dict[str, Data]) -> None:
    train = rows["gaussian-rbm"].train.array()
    for variance in ("learned", "fixed"):
        config = {"name": "gaussian-rbm", "hidden": 5, "variance": variance}
        machine = runs.build_energy(config, rows["gaussian-rbm"], key=KEY)
        np.testing.assert_allclose(machine.visible_bias, train.mean(0), atol=1e-6)
        np.testing.assert_allclose(machine.variance, train.var(0), rtol=1e-5)
        assert machine.learn_variance == (variance == "learned")
    with pytest.raises(ArgumentError, match='--variance "learned" and "fixed", got \'both\''):
        runs.build_energy({"name": "gaussian-rbm", "variance": "both"}, rows["gaussian-rbm"], key=KEY)


@pytest.mark.parametrize("name", sorted(runs.KERNELS))
def test_kernels(name: str) -> None:
    assert isinstance(runs.build_kernel({"name": name}), runs.KERNELS[name].cls)


@pytest.mark.parametrize("name", sorted(runs.OBJECTIVES))
def test_objectives(name: str, rows: dict[str, Data]) -> None:
    kernel = runs.build_kernel({"name": "hmc"})
    assert isinstance(runs.build_objective({"name": name}, kernel, rows["mlp"]), runs.OBJECTIVES[name].cls)


def test_laws_of_objectives_are_fitted_to_the_data(rows: dict[str, Data]) -> None:
    """Noise and flows begin where the data are, in their scale; the noise levels end at that of the data."""
    far = sets.from_array(np.random.default_rng(4).normal(7.0, 3.0, (400, 2)), test=np.zeros((1, 2)))
    train = far.train.array().astype(np.float64)
    kernel = runs.build_kernel({"name": "hmc"})
    for name, law in (("nce", "noise"), ("ranking-nce", "noise"), ("flow-contrastive", "flow")):
        density = getattr(runs.build_objective({"name": name}, kernel, far), law)
        draws = np.asarray(jax.vmap(lambda k, d=density: d.draw(key=k))(jax.random.split(KEY, 500)))
        assert np.abs(draws.mean(0) - train.mean(0)).max() < 0.5 * train.std(), name
        assert 0.5 < draws.std() / train.std() < 2, name
    levels = runs.build_objective({"name": "multi-scale-denoising", "num_levels": 3}, kernel, far).noise_scales
    np.testing.assert_allclose(levels, [train.std(), (0.1 * train.std()) ** 0.5, 0.1], rtol=0.02)
    with pytest.raises(ArgumentError, match="needs 0 < --least-noise < --most-noise"):
        runs.build_objective({"name": "multi-scale-denoising", "least_noise": 9.0}, kernel, far)
    with pytest.raises(ArgumentError, match="Flows are laws of vectors of real numbers"):
        runs.build_objective({"name": "adversarial"}, kernel, rows["rbm"])


def test_regularisers_wrap_the_objective_only_where_they_are_asked_for(rows: dict[str, Data]) -> None:
    def built(**training: float) -> objectives.AbstractObjective:
        config = runs.RunConfig(
            runs.DataConfig("x"), {}, {"name": "score-matching"}, {}, runs.TrainingConfig(**training)
        )
        return runs.build_regularised(config, runs.build_kernel({"name": "hmc"}), rows["mlp"])

    assert isinstance(built(), objectives.ScoreMatching)
    both = built(data_noise=0.1, energy_l2=0.5)
    assert isinstance(both, objectives.Regularised)
    assert isinstance(both.objective, objectives.DataNoise)
    assert (both.energy_l2, both.gradient_penalty, both.objective.scale) == (0.5, 0.0, 0.1)


@pytest.mark.parametrize("name", sorted(runs.MODELS))
def test_the_defaults_of_a_model_exist_and_fit(name: str, rows: dict[str, Data]) -> None:
    defaults = runs.DEFAULTS[name]
    kernel = runs.build_kernel(defaults.kernel)
    runs.build_objective(defaults.objective, kernel, rows[name]).check(
        runs.build_energy({"name": name, "hidden": 5}, rows[name], key=KEY)
    )


@pytest.mark.parametrize(
    ("kind", "name", "near"),
    [("model", "rmb", "'rbm'"), ("kernel", "hcm", "'hmc'"), ("objective", "persistent", "'persistent-cd'")],
)
def test_unknown_names_give_the_nearest(kind: str, name: str, near: str) -> None:
    with pytest.raises(ArgumentError, match=f"Unknown {kind} {name!r}. Did you mean {near}"):
        runs.entry(kind, name)


def test_options_of_another_name_are_refused(rows: dict[str, Data]) -> None:
    with pytest.raises(ArgumentError, match=r"rbm has no option --layers. Known: --hidden"):
        runs.build_energy({"name": "rbm", "layers": 2}, rows["rbm"], key=KEY)
    with pytest.raises(ArgumentError, match=r"block-gibbs has no option --step-size. It has none"):
        runs.build_kernel({"name": "block-gibbs", "step_size": 0.1})


@pytest.mark.parametrize("options", [{"hidden": 0}, {"layers": 0}, {"layers": -1}, {"layers": 10**8}])
@pytest.mark.parametrize("name", ["mlp", "conv"])
def test_networks_without_layers_are_refused(name: str, options: dict, rows: dict[str, Data]) -> None:
    with pytest.raises(ArgumentError, match=f"{name} needs --hidden of at least 1 and 1 to 100 --layers"):
        runs.build_energy({"name": name, **options}, rows[name], key=KEY)


def test_the_confinement_is_twice_as_wide_as_the_data(rows: dict[str, Data]) -> None:
    energy = runs.build_energy({"name": "mlp", "hidden": 5}, rows["mlp"], key=KEY)
    train = rows["mlp"].train.array()
    np.testing.assert_allclose(energy.confinement.mean, train.mean(0), atol=1e-6)
    np.testing.assert_allclose(energy.confinement.scale, 2 * np.sqrt(train.var(0).mean()), rtol=1e-6)
