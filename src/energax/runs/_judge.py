"""Judging a trained model: one call that makes the summary of a run."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from energax import evaluation, exact
from energax._errors import RunError
from energax._typing import PRNGKey
from energax.data import Data, describe
from energax.densities import AbstractDensity, Uniform
from energax.energies import AbstractEnergy, marginal, observed_space
from energax.runs._judge_generator import judge_generator
from energax.runs._registry import num_parameters
from energax.runs._run import Run
from energax.runs._shown import NUM_SHOWN, nearest_rows, spread_over
from energax.runs._summary import Summary, commands, environment
from energax.sampling import Samples
from energax.spaces import AbstractDiscreteSpace
from energax.training import read_metrics

_NUM_CHAINS = 64
_NUM_DRAWS = 128 * _NUM_CHAINS
_NUM_ENERGIES = 2_000
_GRID = 200

Progress = Callable[[str, int, int], None]


def summarise(
    run: Run, *, seed: int | None = None, budget: int | None = None, progress: Progress | None = None
) -> Summary:
    """Judge the trained model of a run, and store the summary in its directory.

    Args:
        run: A run with at least one checkpoint.
        seed: Seed of the evaluation; that of the run by default.
        budget: The most transitions for log Z; the default of `evaluation.log_z` if None.
        progress: Called with (stage, done, total).

    Raises:
        RunError: The directory cannot be written to, which is said before anything is computed.
    """
    if not os.access(run.directory, os.W_OK):
        raise RunError(f"The evaluation cannot be written to {run.directory}: the folder is read-only.")
    tell = progress or (lambda stage, done, total: None)
    judge = judge_generator if run.is_generator else _judge_energy
    result, arrays, generator = judge(run, run.key("evaluate", seed), budget, tell)
    # Warnings of estimators begin with an identifier for programs; people get the sentence.
    result["warnings"] = list(dict.fromkeys(re.sub(r"^[a-z_]+: ", "", text) for text in result["warnings"]))
    return _summary(run, result, arrays, generator)


def _summary(run: Run, result: dict[str, Any], arrays: dict[str, np.ndarray], generator: str) -> Summary:
    """The stored summary of a run whose model was judged; `generator` is that of the random numbers."""
    data, space = run.data, observed_space(run.energy)
    history, events = read_metrics(run.directory)
    summary = Summary(
        config=run.config.to_json(),
        data=describe(data),
        model={
            "name": run.config.model["name"],
            "num_parameters": num_parameters(run.energy),
            "space": str(space),
            "measure": space.measure,
            "is_generator": run.is_generator,
        },
        history=history,
        events=events,
        evaluation=result,
        arrays=arrays,
        environment={**environment(), "generator": generator},
        reproduce=commands(run.config.to_json(), run.directory),
        image_shape=data.image_shape,
    )
    summary.save(run.directory)
    return summary


def _judge_energy(
    run: Run, key: PRNGKey, budget: int | None, tell: Progress
) -> tuple[dict[str, Any], dict[str, np.ndarray], str]:
    """Likelihood by log Z, draws by chains."""
    ll_key, draw_key, noise_key = jax.random.split(key, 3)
    data, energy = run.data, run.energy
    train, test = run.training_rows(), np.asarray(data.test.array())
    limit: dict[str, Any] = {} if budget is None else {"budget": budget}
    likelihood = evaluation.log_likelihood(
        energy,
        test,
        key=ll_key,
        data=train,
        transform=data.transform,
        progress=lambda done, total: tell("log Z", done, total),
        **limit,
    )
    tell("samples", 0, 1)
    samples = run.draw(_NUM_DRAWS, key=draw_key, max_chains=_NUM_CHAINS, thin=5)
    draws = np.asarray(samples.x).reshape(-1, *samples.x.shape[2:])
    quality = evaluation.sample_quality(samples, train, test, observed_space(energy))
    result = {
        "data": run.config.data.source,
        "model": run.config.model["name"],
        "num_parameters": num_parameters(energy),
        "num_test": len(test),
        "test_log_likelihood": _likelihood_json(likelihood, data),
        "log_z": _log_z_json(likelihood.log_z, energy),
        "baselines": [b.to_json() for b in evaluation.baselines(train, test, observed_space(energy), data.transform)],
        "sample_quality": quality.to_json(),
    }
    warnings = [*likelihood.warnings, *quality.warnings]
    arrays = _arrays(data, energy, samples, draws, noise_key)
    arrays |= nearest_rows(data, draws[spread_over(draws)], train)
    if data.density is not None:
        tell("density", 0, 1)
        plane, grids, said = _plane(data.density, energy, draws)
        result |= plane
        arrays |= grids
        warnings += said
    result["warnings"] = warnings
    return result, arrays, samples.settings["generator"]


def _likelihood_json(likelihood: evaluation.LogLikelihood, data: Data) -> dict[str, Any]:
    out = {
        **likelihood.interval.to_json(),
        "stderr_test": likelihood.stderr_test,
        "unit": likelihood.unit,
    }
    if data.level_step is not None:
        bits = [data.bits_per_dim(end) for end in (out["lower"], out["upper"]) if end is not None]
        out["bits_per_dim"] = (
            {"lower": min(bits), "upper": max(bits), "dequantisation": "uniform"} if len(bits) == 2 else None
        )
    return out


def _log_z_json(log_z: evaluation.LogZ, energy: AbstractEnergy) -> dict[str, Any]:
    return {
        "value": log_z.value,
        "stderr": log_z.stderr,
        **log_z.interval.to_json(),
        "exact": log_z.exact,
        "measure": observed_space(energy).measure,
        "curve": log_z.curve(),
    }


@eqx.filter_jit
def _observed_energies(energy: AbstractEnergy, rows: jax.Array) -> jax.Array:
    return jax.lax.map(marginal(energy), rows, batch_size=500)


def _arrays(
    data: Data, energy: AbstractEnergy, samples: Samples, draws: np.ndarray, key: PRNGKey
) -> dict[str, np.ndarray]:
    """What the page draws: rows beside draws, energies of data, model and noise, traces of chains."""
    rows = np.asarray(data.test.take(np.arange(min(len(data.test), _NUM_ENERGIES))))
    chosen = np.linspace(0, len(draws) - 1, min(len(draws), _NUM_ENERGIES)).astype(int)
    noise = _noise(data, rows, key)
    at = {
        name: np.asarray(_observed_energies(energy, jnp.asarray(values)), np.float64)
        for name, values in (("data", rows), ("model", draws[chosen]), ("noise", noise))
    }
    return {
        "data_sample": data.transform.inverse(rows[:NUM_SHOWN]),
        "model_sample": data.transform.inverse(draws[spread_over(draws)]),
        **{f"energy_{name}": values for name, values in at.items()},
        "chain_energy": np.asarray(samples.energy[:8], np.float64),
    }


def _noise(data: Data, rows: np.ndarray, key: PRNGKey) -> np.ndarray:
    """Configurations without structure: uniform ones, or normal ones with the mean and scale of the data."""
    if isinstance(data.space, AbstractDiscreteSpace):
        law = Uniform(data.space)
        return np.asarray(jax.vmap(lambda k: law.draw(key=k))(jax.random.split(key, len(rows))))
    noise = np.asarray(jax.random.normal(key, rows.shape))
    return (rows.mean(0) + rows.std(0) * noise).astype(rows.dtype)


def _plane(
    density: AbstractDensity, energy: AbstractEnergy, draws: np.ndarray
) -> tuple[dict[str, Any], dict[str, np.ndarray], list[str]]:
    """KL(truth‖model), masses of the modes, and both densities on one grid."""
    kl = evaluation.kl_on_grid(density, energy)
    masses = evaluation.mode_masses(density, energy, draws)
    truth = exact.grid(density, num_points=_GRID)
    model = exact.grid(energy, truth.bounds, num_points=_GRID)
    grids = {
        "grid_x": np.asarray(truth.axes[0]),
        "grid_y": np.asarray(truth.axes[1]),
        "grid_truth": np.asarray(truth.log_density).T,
        "grid_model": np.asarray(model.log_density).T,
    }
    said = [*kl.warnings, *(masses.warnings if masses is not None else ())]
    out: dict[str, Any] = {"kl": kl.to_json()}
    if masses is not None:
        out["mode_masses"] = masses.to_json()
    return out, grids, said
