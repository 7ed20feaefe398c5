"""A run: a configuration, its data, and a directory in which it is trained, continued, sampled and judged."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import numpy as np
import optax

from energax._errors import RunError
from energax._typing import PRNGKey
from energax.data import Data
from energax.densities import AbstractDensity
from energax.energies import AbstractEnergy, observed_space
from energax.evaluation import fit_base
from energax.kernels import AbstractKernel
from energax.runs._configs import RunConfig, TrainingConfig, check_seed, read_config, write_config
from energax.runs._directory import fresh_directory
from energax.runs._draws import draw_samples
from energax.runs._generators import build_learner
from energax.runs._models import visible_mean
from energax.runs._plan import open_data
from energax.runs._registry import (
    build_energy,
    build_generative_objective,
    build_kernel,
    build_regularised,
    is_generator,
    num_parameters,
)
from energax.runs._watch import NUM_CLUSTERED, NUM_HELD_OUT, watched
from energax.sampling import Samples
from energax.training import AbstractLearner, FitResult, Learner, centred_gradient, checkpoints, fit, load_energy

_SMALL = 200_000
"""Parameters of a model whose checkpoints at doublings of the step, some twenty of a few megabytes, burden no disk."""
_BLOCK = 1_000
_KEYS = {"init": 0, "train": 1, "sample": 2, "evaluate": 3}


class Run:
    """One run and its directory.

    Args:
        config: The complete configuration.
        directory: Where it lives.
        data: The data, if they are at hand already; otherwise they are opened when first used.
    """

    def __init__(self, config: RunConfig, directory: Path, data: Data | None = None) -> None:
        self.config = config
        self.directory = directory
        if data is not None:
            self.data = data

    @staticmethod
    def create(config: RunConfig, data: Data | None = None, *, out: str | Path | None = None) -> Run:
        """A new run in a fresh directory.

        Raises:
            RunError: `out` exists, or cannot be written to.
        """
        directory = fresh_directory(out, config.data.source, config.model["name"])
        write_config(config, directory)
        return Run(config, directory, data)

    @staticmethod
    def open(directory: str | Path) -> Run:
        """The run in a directory.

        Raises:
            RunError: There is none, or its configuration was edited.
        """
        path = Path(directory)
        return Run(read_config(path), path)

    @functools.cached_property
    def data(self) -> Data:
        """The data, checked against the fingerprint of the run."""
        data = open_data(self.config.data, self.config.model["name"], self.config.seed)
        if self.config.data.fingerprint not in (None, data.fingerprint):
            raise RunError(
                f"The data at {self.config.data.source} changed since the run in {self.directory} began. "
                "Put the old data back, or start a new run."
            )
        return data

    def key(self, purpose: str, seed: int | None = None) -> PRNGKey:
        """The key of one purpose of the run; another seed gives other draws of the same purpose."""
        root = jax.random.key(check_seed(self.config.seed if seed is None else seed))
        return jax.random.fold_in(root, _KEYS[purpose])

    @functools.cached_property
    def kernel(self) -> AbstractKernel:
        """The kernel of the configuration."""
        return build_kernel(self.config.kernel)

    @functools.cached_property
    def untrained(self) -> Any:
        """The model before the first update."""
        return build_energy(self.config.model, self.data, key=self.key("init"))

    @property
    def is_generator(self) -> bool:
        """Whether the model draws without chains."""
        return is_generator(self.config.model)

    @functools.cached_property
    def learner(self) -> AbstractLearner:
        """The model, its objective and its optimiser."""
        if self.is_generator:
            made = build_generative_objective(self.config.objective, self.data)
            training = self.config.training
            return build_learner(self.untrained, self.config.objective, made, training, optimizer(training, self.data))
        objective = build_regularised(self.config, self.kernel, self.data)
        if self.config.training.watch:
            objective = watched(
                objective,
                self.untrained,
                self.sampling_kernel,
                self.config.training.watch,
                rows=self.training_rows(NUM_CLUSTERED),
                held_out=_rows(self.data.valid, NUM_HELD_OUT),
            )
        return Learner(
            self.untrained,
            objective,
            optimizer=optimizer(self.config.training, self.data),
            ema_decay=self.config.training.ema_decay or None,
        )

    def fit(self, *, resume: bool = False, from_step: int | None = None, hooks: Sequence[Any] = ()) -> FitResult:
        """Train, from the beginning or from the last checkpoint.

        Checkpoints at doublings of the step are kept, as long as together they are small.

        Args:
            resume: Continue an interrupted run.
            from_step: Continue from this checkpoint instead of the last one.
            hooks: See `energax.training.fit`.
        """
        training = self.config.training
        return fit(
            self.learner,
            self.data.train,
            key=self.key("train"),
            num_steps=training.num_steps,
            batch_size=min(training.batch_size, len(self.data.train)),
            directory=self.directory,
            hooks=hooks,
            resume=resume,
            from_step=from_step,
            keep_doublings=num_parameters(self.untrained) <= _SMALL,
        )

    @property
    def trajectory(self) -> list[AbstractEnergy]:
        """The model at every checkpoint that is kept, from before the first update to the trained one.

        Raises:
            CheckpointError: One of them is damaged.
        """
        steps = sorted(step for step in checkpoints(self.directory) if step > 0)
        return [self.untrained, *(load_energy(self.directory, like=self.untrained, step=step) for step in steps)]

    @functools.cached_property
    def energy(self) -> Any:
        """The trained model: the averaged one if parameters were averaged.

        Raises:
            CheckpointError: There is no sound checkpoint.
        """
        return load_energy(self.directory, like=self.untrained)

    @functools.cached_property
    def base(self) -> AbstractDensity:
        """The density from which annealing starts."""
        by_blocks = "blocks" in self.sampling_kernel.needs
        return fit_base(observed_space(self.energy), self.training_rows(), independent=by_blocks)

    def training_rows(self, limit: int = 10_000) -> np.ndarray:
        """Training rows for fits and comparisons, evenly spaced if there are more than `limit`."""
        return _rows(self.data.train, limit)

    def draw(self, num: int, *, key: PRNGKey, max_chains: int = 128, thin: int = 20, num_warmup: int = 500) -> Samples:
        """Draws of the trained model: chains that start from particles annealed out of the base, then run freely.

        Args:
            num: Number of draws wanted; rounded up to a multiple of the number of chains.
            key: Typed random key.
            max_chains: Number of chains at most.
            thin: Transitions between kept draws.
            num_warmup: Transitions before the first one.
        """
        return draw_samples(
            self.energy,
            self.sampling_kernel,
            self.base,
            num,
            key=key,
            num_chains=min(num, max_chains),
            thin=thin,
            num_warmup=num_warmup,
        )

    def generate(self, num: int, *, key: PRNGKey) -> tuple[np.ndarray, np.ndarray]:
        """Independent draws of a trained generator, and the means that their latents stand for, in the model's units.

        Args:
            num: Number of draws.
            key: Typed random key.
        """
        draws, means = [], []
        for start in range(0, num, _BLOCK):
            keys = jax.random.split(jax.random.fold_in(key, start), _BLOCK)[: num - start]
            both = _generated(self.energy, keys)
            draws.append(np.asarray(both[0]))
            means.append(np.asarray(both[1]))
        return np.concatenate(draws), np.concatenate(means)

    @functools.cached_property
    def sampling_kernel(self) -> AbstractKernel:
        """The kernel of the configuration where it is exact, with a step size scaled to the data."""
        return self.kernel if self.kernel.exact else build_kernel({"name": "hmc"})


@eqx.filter_jit
def _generated(model: Any, keys: PRNGKey) -> tuple[jax.Array, jax.Array]:
    means = jax.vmap(lambda k: model.decode(model.draw_latent(key=k)))(keys)
    return jax.vmap(lambda k: model.draw(key=k))(keys), means


def optimizer(training: TrainingConfig, data: Data) -> optax.GradientTransformation:
    """The optimiser of a configuration, with weight decay and a learning rate that falls linearly to a twentieth.

    The same training of the same rows has the same one, so that runs that differ in their seed share their compilation.
    """
    centred = training.optimizer == "centred-sgd"
    return _optimizer(training, _centre(data) if centred else None)


def centred_sgd(rate: float, weight_decay: float, data: Data) -> optax.GradientTransformation:
    """Centred steps of a machine at a constant rate: for equal rows and numbers the same object."""
    return _centred(rate, weight_decay, _centre(data))


@functools.lru_cache(maxsize=64)
def _optimizer(training: TrainingConfig, centre: tuple[float, ...] | None) -> optax.GradientTransformation:
    schedule = optax.linear_schedule(training.learning_rate, training.learning_rate / 20, training.num_steps)
    if centre is not None:
        return _centred(schedule, training.weight_decay, centre)
    if training.weight_decay:
        return optax.adamw(schedule, weight_decay=training.weight_decay)
    return optax.adam(schedule)


@functools.lru_cache(maxsize=64)
def _centred(rate: Any, weight_decay: float, centre: tuple[float, ...]) -> optax.GradientTransformation:
    decay = optax.add_decayed_weights(weight_decay, mask=_matrices)
    return optax.chain(centred_gradient(np.asarray(centre)), decay, optax.sgd(rate))


def _centre(data: Data) -> tuple[float, ...]:
    return tuple(map(float, visible_mean(data)))


def _matrices(params: Any) -> Any:
    return jax.tree.map(lambda leaf: leaf.ndim == 2, params)


def _rows(split: Any, limit: int) -> np.ndarray:
    count = min(len(split), limit)
    return np.asarray(split.take(np.linspace(0, len(split) - 1, count).astype(np.int64)))


def load(directory: str | Path, *, like: AbstractEnergy | None = None) -> AbstractEnergy:
    """The trained energy of a run.

    Args:
        directory: The RUN directory.
        like: An energy of the same structure, for runs of a user's own object that no configuration can rebuild.

    Raises:
        RunError: There is no run, or it needs `like`.
        CheckpointError: The checkpoint is damaged, or does not fit `like`.
    """
    if like is not None:
        return load_energy(directory, like=like)
    return Run.open(directory).energy
