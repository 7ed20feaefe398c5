"""From what a user said to a complete configuration, with every choice that they left open made and checked."""

from __future__ import annotations

import dataclasses
import inspect
import itertools
import math
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import optax

from energax._errors import ArgumentError, DataError
from energax.data import Data, load
from energax.energies import RBM
from energax.kernels import target
from energax.runs._configs import DataConfig, RunConfig, TrainingConfig, check_seed, typed
from energax.runs._generators import build_learner, options_for
from energax.runs._registry import (
    DEFAULTS,
    REGISTRIES,
    build_energy,
    build_generative_objective,
    build_kernel,
    build_regularised,
    entry,
    is_generator,
    options,
)
from energax.spaces import AbstractDiscreteSpace

_VIEWS = ("threshold", "stochastic", "none")
_GRID_MODELS = ("conv",)
_MODELS_OF = {"multi-scale-denoising": "noise-mlp", "recovery-likelihood": "noise-mlp"}
"""Models of objectives that train no ordinary one."""
_MOST = 2**31 - 1
"""Steps are counted in 32 bits."""


def plan(
    source: str | Path,
    *,
    model: str | None = None,
    objective: str | None = None,
    kernel: str | None = None,
    binarize: str | None = None,
    seed: int = 0,
    training: Mapping[str, Any] | None = None,
    model_options: Mapping[str, Any] | None = None,
    objective_options: Mapping[str, Any] | None = None,
    kernel_options: Mapping[str, Any] | None = None,
) -> tuple[RunConfig, Data]:
    """A complete run configuration, and the data that it is for.

    What is not given is chosen: images are made binary at half their range and get an RBM, everything else gets a
    network; objective, kernel and learning rates are the model's own.

    Args:
        source: Name of a data set, or a path.
        model: Name in the registry of models.
        objective: Name in the registry of objectives.
        kernel: Name in the registry of kernels.
        binarize: ``"threshold"``, ``"stochastic"``, ``"none"``, or None to let the model decide.
        seed: Seed of the run.
        training: Fields of `TrainingConfig` that differ from the model's defaults.
        model_options: Options of the model.
        objective_options: Options of the objective.
        kernel_options: Options of the kernel.

    Raises:
        ArgumentError: A name or an option is unknown, or the parts do not fit together.
        DataError: The data cannot be used, or not by this model.
    """
    if not str(source).strip():
        raise ArgumentError("DATA is empty: give the name of a data set, or a file or folder.")
    check_seed(seed)
    for kind, name in (("model", model), ("objective", objective), ("kernel", kernel)):
        if name is not None:
            entry(kind, name)
    if binarize is not None and binarize not in _VIEWS:
        raise ArgumentError(f"Unknown way to binarize {binarize!r}. Known: {', '.join(_VIEWS)}.")
    model = model or _MODELS_OF.get(objective or "")
    data, view = _choose_view(str(source), model, binarize, seed)
    domain = "binary" if isinstance(data.space, AbstractDiscreteSpace) else "continuous"
    name = model or ("rbm" if domain == "binary" else "mlp")
    _require_domain(name, domain, data)
    if name in _GRID_MODELS:
        data = open_data(DataConfig(str(source), view), name, seed)
    defaults = DEFAULTS[name]
    _require_its_own(name, objective, kernel, kernel_options)
    objective_config = _merged(defaults.objective, objective, objective_options)
    kernel_config = _merged(defaults.kernel, kernel, kernel_options)
    defaults_training = default_training(name, objective_config["name"])
    # The rates of a recipe are those of its optimiser.
    if (training or {}).get("optimizer") not in (None, defaults_training.optimizer):
        defaults_training = defaults.training
    config = RunConfig(
        data=DataConfig(str(source), view, data.fingerprint),
        model=_complete("model", {"name": name, **_for_data(name, data), **(model_options or {})}),
        objective=_complete("objective", objective_config),
        kernel=_complete("kernel", kernel_config) if kernel_config else {},
        training=typed(TrainingConfig, {**dataclasses.asdict(defaults_training), **(training or {})}, "training"),
        seed=seed,
    )
    _check_training(config.training)
    check_parts(config, data)
    return config, data


def check_parts(config: RunConfig, data: Data) -> None:
    """Build the model, its objective and its kernel once, so that what cannot work is refused before a run exists."""
    _check_size(config, data)
    energy = build_energy(config.model, data, key=jax.random.key(0))
    if config.training.optimizer == "centred-sgd" and not isinstance(energy, RBM):
        raise ArgumentError(f"--optimizer centred-sgd is for an rbm, not for {config.model['name']}. Use adam.")
    if is_generator(config.model):
        made = build_generative_objective(config.objective, data)
        build_learner(energy, config.objective, made, config.training, optax.identity())
        return
    kernel = build_kernel(config.kernel)
    target(energy, kernel)
    build_regularised(config, kernel, data).check(energy)


def _check_size(config: RunConfig, data: Data) -> None:
    """Refuse a model, or chains, that this machine cannot hold, without making them."""
    shapes = eqx.filter_eval_shape(lambda key: build_energy(config.model, data, key=key), jax.random.key(0))
    count = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(shapes) if isinstance(leaf, jax.ShapeDtypeStruct))
    chains = config.objective.get("reservoir") or config.objective.get("num_chains") or 0
    # Parameters, their gradient, two moments of the optimiser and the average, four bytes each; chains have as much.
    needed = 20 * (count + chains * data.space.num_sites)
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if needed > memory:
        raise ArgumentError(
            f"{config.model['name']} with {count:,} parameters and {chains:,} chains would need at least "
            f"{needed / 2**30:,.0f} GiB to train, more than the {memory / 2**30:.0f} GiB of this machine. Take fewer."
        )


_CENTRED = {"optimizer": "centred-sgd", "learning_rate": 0.2, "weight_decay": 5e-4}

_RECIPES: dict[tuple[str, str], dict[str, Any]] = {
    **{("rbm", objective): _CENTRED for objective in ("persistent-cd", "cd", "tempered-pcd", "trajectory-pcd")},
    ("mlp", "denoising-score-matching"): {"num_steps": 6_000, "learning_rate": 3e-3},
    ("mlp", "nce"): {"num_steps": 6_000, "learning_rate": 3e-3},
    ("mlp", "ranking-nce"): {"num_steps": 6_000, "learning_rate": 3e-3},
}
"""Training defaults of pairs of model and objective that differ from the model's own.

A machine by persistent CD, nats on validation rows: after 5,000 updates of `digits` centred steps are at -17.1 and Adam
at -17.0, but with modes between which no chain travels, so that there is no lower end; after 12,000 updates of MNIST
made binary, 500 hidden units, they are at -88.6 and -96.1.
"""


def default_training(name: str, objective: str) -> TrainingConfig:
    """How a model learns from an objective when the user says nothing of it."""
    return dataclasses.replace(DEFAULTS[name].training, **_RECIPES.get((name, objective), {}))


def open_data(config: DataConfig, model: str, seed: int) -> Data:
    """The data of a configuration, in the view of its model: networks of images see the pixel grid."""
    return load(config.source, binarize=config.binarize, seed=seed, flatten=model not in _GRID_MODELS)


def _choose_view(source: str, model: str | None, binarize: str | None, seed: int) -> tuple[Data, str | None]:
    if binarize in ("threshold", "stochastic"):
        return load(source, binarize=binarize, seed=seed), binarize
    data = load(source, binarize=None, seed=seed)
    wants_binary = model is None or entry("model", model).domain == "binary"
    if binarize is None and wants_binary and _has_intensities(data):
        return load(source, binarize="threshold", seed=seed), "threshold"
    return data, None


def _has_intensities(data: Data) -> bool:
    """Whether the rows are images of grey levels or of numbers in [0, 1], as opposed to a field or to bits."""
    low, high = data.value_range
    is_grey = data.num_levels is not None or (low >= 0 and high <= 1)
    return data.kind == "image" and is_grey and not isinstance(data.space, AbstractDiscreteSpace)


def _require_domain(name: str, domain: str, data: Data) -> None:
    wanted = entry("model", name).domain
    if wanted in (None, domain):
        return
    others = " or ".join(f"--model {e.name}" for e in REGISTRIES["model"].values() if e.domain in (None, domain))
    if domain == "binary":
        raise DataError(f"{name} is a model of continuous data, but {data.name} holds only two values. Use {others}.")
    hint = "--binarize threshold, or " if _has_intensities(data) else ""
    raise DataError(f"{name} is a model of 0/1 data, but {data.name} holds continuous values. Use {hint}{others}.")


def _require_its_own(
    model: str, objective: str | None, kernel: str | None, kernel_options: Mapping[str, Any] | None
) -> None:
    """Refuse parts of energies for a generator, and the objectives of generators for an energy."""
    own = DEFAULTS[model].objective["name"]
    if is_generator({"name": model}):
        if objective not in (None, own):
            raise ArgumentError(f"{model} is trained by {own}, not by {objective}, which is for energies.")
        if kernel is not None or kernel_options:
            raise ArgumentError(f"{model} draws without chains, so that it has no --kernel and none of its options.")
        return
    theirs = [
        name for name, one in DEFAULTS.items() if is_generator({"name": name}) and one.objective["name"] == objective
    ]
    if theirs:
        raise ArgumentError(f"{objective} trains {theirs[0]}, not {model}. Use --model {theirs[0]}.")


def _merged(default: Mapping[str, Any], name: str | None, given: Mapping[str, Any] | None) -> dict[str, Any]:
    base = dict(default) if name in (None, default.get("name")) else {"name": name}
    return {**base, **(given or {})}


def _for_data(name: str, data: Data) -> dict[str, Any]:
    """Options that follow the data. A network of one or two columns is to see fine detail: modes, or edges."""
    if is_generator({"name": name}):
        return options_for(name, data)
    return {"features": 64} if name == "mlp" and data.space.num_sites <= 2 else {}


def _complete(kind: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration with all defaults written out, so that a later default never changes an old run."""
    return {"name": config["name"], **dataclasses.asdict(options(kind, config))}


def _check_training(training: TrainingConfig) -> None:
    if training.optimizer not in ("adam", "centred-sgd"):
        raise ArgumentError(f"--optimizer is adam or centred-sgd, got {training.optimizer!r}.")
    for name in ("num_steps", "batch_size"):
        if not 1 <= getattr(training, name) <= _MOST:
            raise ArgumentError(
                f"--{name.replace('_', '-')} must be at least 1 and at most {_MOST}, got {getattr(training, name)}."
            )
    if not 0 < training.learning_rate < math.inf:
        raise ArgumentError(f"--learning-rate must be positive and finite, got {training.learning_rate}.")
    if not 0 <= training.weight_decay < math.inf:
        raise ArgumentError(f"--weight-decay must be finite and not negative, got {training.weight_decay}.")
    for name in ("energy_l2", "gradient_penalty", "spectral_penalty", "data_noise"):
        if not 0 <= getattr(training, name) < math.inf:
            raise ArgumentError(
                f"--{name.replace('_', '-')} must be finite and not negative, got {getattr(training, name)}."
            )
    if not 0 <= training.ema_decay < 1:
        raise ArgumentError(f"--ema-decay must be at least 0 and below 1, got {training.ema_decay}.")


def option_help(kind: str, name: str) -> dict[str, str]:
    """The sentence below each option of a configuration, for help texts and docs."""
    return field_help(entry(kind, name).config)


def field_help(cls: type) -> dict[str, str]:
    """The string that follows each field of a dataclass."""
    lines = inspect.getsource(cls).splitlines()
    found: dict[str, str] = {}
    for here, following in itertools.pairwise(lines):
        text = following.strip()
        field = re.match(r"    (\w+): ", here)
        if field and text.startswith('"""') and text.endswith('"""'):
            found[field.group(1)] = text.removeprefix('"""').removesuffix('"""')
    return found
