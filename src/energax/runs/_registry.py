"""THE registry: what stands behind each name of the command line, and what a model uses where nothing is said."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from energax import kernels, objectives
from energax._errors import ArgumentError, nearest
from energax._typing import PRNGKey
from energax.data import Data
from energax.runs._configs import RunConfig, TrainingConfig, typed
from energax.runs._entry import Entry, Given
from energax.runs._generators import GENERATIVE_OBJECTIVES, GENERATORS
from energax.runs._kernels import KERNELS
from energax.runs._models import MODELS
from energax.runs._objectives import OBJECTIVES

REGISTRIES: dict[str, dict[str, Entry[Any]]] = {
    "model": {**MODELS, **GENERATORS},
    "objective": {**OBJECTIVES, **GENERATIVE_OBJECTIVES},
    "kernel": KERNELS,
}


def entry(kind: str, name: str) -> Entry[Any]:
    """The entry of a name.

    Raises:
        ArgumentError: The name is unknown; the message has the nearest ones.
    """
    if name not in REGISTRIES[kind]:
        raise ArgumentError(f"Unknown {kind} {name!r}. {nearest(name, REGISTRIES[kind])}")
    return REGISTRIES[kind][name]


def options(kind: str, values: Mapping[str, Any]) -> Any:
    """The typed options of a ``{"name": ..., **options}`` mapping."""
    rest = {name: value for name, value in values.items() if name != "name"}
    return typed(entry(kind, values["name"]).config, rest, values["name"])


@dataclasses.dataclass(frozen=True)
class Defaults:
    """What a model uses when the user says nothing."""

    objective: Mapping[str, Any]
    kernel: Mapping[str, Any]
    training: TrainingConfig


DEFAULTS: dict[str, Defaults] = {
    "rbm": Defaults({"name": "persistent-cd"}, {"name": "block-gibbs"}, TrainingConfig()),
    "gaussian-rbm": Defaults(
        {"name": "persistent-cd", "chain_steps": 5},
        {"name": "block-gibbs"},
        TrainingConfig(num_steps=4_000, learning_rate=1e-2),
    ),
    "mlp": Defaults(
        {"name": "persistent-cd", "num_chains": 512, "chain_steps": 2},
        {"name": "hmc", "num_leapfrog": 5},
        TrainingConfig(num_steps=4_000, batch_size=256, learning_rate=2e-3),
    ),
    "noise-mlp": Defaults(
        {"name": "multi-scale-denoising"},
        {"name": "hmc", "num_leapfrog": 5},
        TrainingConfig(num_steps=6_000, batch_size=256, learning_rate=3e-3),
    ),
    "conv": Defaults(
        {"name": "denoising-score-matching"},
        {"name": "hmc", "num_leapfrog": 5},
        TrainingConfig(num_steps=1_500, batch_size=64, learning_rate=1e-3),
    ),
    "vae": Defaults({"name": "elbo"}, {}, TrainingConfig(num_steps=10_000, learning_rate=1e-3)),
    "ec-vae": Defaults({"name": "energy-calibration"}, {}, TrainingConfig(num_steps=10_000, learning_rate=1e-3)),
}


def default_model(domain: str, kind: str) -> str:
    """The model that a data set gets when none is named."""
    del kind
    return "rbm" if domain == "binary" else "mlp"


def is_generator(config: Mapping[str, Any]) -> bool:
    """Whether the model of a configuration is a generator, which draws without chains, and not an energy."""
    return config["name"] in GENERATORS


def build_energy(config: Mapping[str, Any], data: Data, *, key: PRNGKey) -> Any:
    """The untrained model of a configuration: an energy, or a generator."""
    return entry("model", config["name"]).build(options("model", config), data, key=key)


def build_kernel(config: Mapping[str, Any]) -> kernels.AbstractKernel:
    """The kernel of a configuration."""
    return entry("kernel", config["name"]).build(options("kernel", config))


def build_generative_objective(config: Mapping[str, Any], data: Data) -> Any:
    """What trains a generator: an objective, or a calibration."""
    return entry("objective", config["name"]).build(options("objective", config), data)


def build_objective(
    config: Mapping[str, Any], kernel: kernels.AbstractKernel, data: Data
) -> objectives.AbstractObjective:
    """The objective of a configuration."""
    return entry("objective", config["name"]).build(options("objective", config), Given(kernel, data))


def build_regularised(config: RunConfig, kernel: kernels.AbstractKernel, data: Data) -> objectives.AbstractObjective:
    """The objective of a run with the regularisers that were asked for."""
    objective, training = build_objective(config.objective, kernel, data), config.training
    if training.data_noise:
        objective = objectives.DataNoise(objective, training.data_noise)
    weights = {name: getattr(training, name) for name in ("energy_l2", "gradient_penalty", "spectral_penalty")}
    return objectives.Regularised(objective, **weights) if any(weights.values()) else objective


def num_parameters(energy: Any) -> int:
    """Number of trainable numbers."""
    leaves = jax.tree.leaves(energy)
    return sum(leaf.size for leaf in leaves if jnp.issubdtype(jnp.result_type(leaf), jnp.inexact))
