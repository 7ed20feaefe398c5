"""A model that compiles in a moment, and data that it fits: what most tests of the loop need."""

import contextlib
import dataclasses
import os
import shutil
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from energax import energies, objectives, spaces, training
from energax.training import _checkpoints, _metrics


def parabola(params, x):
    return 0.5 * jnp.sum((params["mean"] - x) ** 2)


class Walkers(eqx.Module):
    x: jax.Array


class MeanEnergy(objectives.AbstractObjective):
    """Minimises E over the data; its state walks at random, so that keys and state matter for what is compared."""

    def check(self, energy):
        pass

    def init(self, energy, batch, *, key):
        return Walkers(jax.random.normal(key, (5,)))

    def loss(self, energy, batch, state, *, key):
        walkers = Walkers(state.x + jax.random.normal(key, (5,)))
        # A little of the walk enters the gradient: a wrong key or a lost state shows in the parameters.
        loss = jnp.mean(jax.vmap(energy)(batch)) + 1e-2 * jnp.mean(energy.params["mean"]) * jnp.mean(walkers.x)
        return loss, (walkers, {"walk": jnp.mean(walkers.x)})


@dataclasses.dataclass
class Toy:
    learner: Callable[..., training.Learner]
    data: np.ndarray
    key: jax.Array

    def fit(self, **options: Any) -> training.FitResult:
        learner = options.pop("learner", None) or self.learner()
        defaults: dict[str, Any] = {"key": self.key, "num_steps": 20, "batch_size": 8, "log_every": 5}
        return training.fit(learner, options.pop("data", self.data), **{**defaults, **options})


# Optimisers are compared by identity: made once, so that all tests share one compilation.
ADAM = optax.adam(1e-2)
SGD = {rate: optax.sgd(rate) for rate in (0.1, 3.0, 100.0)}


@pytest.fixture(scope="session")
def toy() -> Toy:
    space = spaces.Euclidean(3)
    data = np.random.default_rng(7).normal(1.0, 0.5, (50, 3)).astype(np.float32)

    def learner(**options):
        model = energies.energy(parabola, {"mean": jnp.zeros(3)}, space=space)
        rate = options.pop("sgd", None)
        optimizer = ADAM if rate is None else SGD[rate]
        return training.Learner(model, MeanEnergy(), **{"optimizer": optimizer, "ema_decay": 0.9, **options})

    return Toy(learner, data, jax.random.key(11))


def state_bytes(state: Any) -> dict[str, bytes]:
    leaves = jax.tree_util.tree_flatten_with_path(state)[0]
    return {jax.tree_util.keystr(path): np.asarray(leaf).tobytes() for path, leaf in leaves if eqx.is_array(leaf)}


@pytest.fixture(scope="session")
def same_bytes() -> Callable[[training.FitResult, training.FitResult], None]:
    """Asserts that two runs ended in the same bits, with the same log but for the speed."""

    def check(one: training.FitResult, other: training.FitResult) -> None:
        assert state_bytes(one.state) == state_bytes(other.state)
        assert [without_speed(row) for row in one.history] == [without_speed(row) for row in other.history]
        assert one.events == other.events

    return check


def without_speed(row: dict) -> dict:
    return {name: value for name, value in row.items() if name != "steps_per_second"}


class Killed(BaseException):
    """Stands for SIGKILL: nothing catches it on the way."""


class Disk:
    """Counts the calls that change the disk, and kills a run at one of them."""

    CHANGES = (
        (os, "replace"),
        (shutil, "rmtree"),
        (_checkpoints, "write_arrays"),
        (_checkpoints, "write_json"),
        (_checkpoints, "sync_tree"),
        (_metrics.MetricsFile, "append"),
    )

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: list[str] = []
        self._monkeypatch = monkeypatch

    @contextlib.contextmanager
    def counted(self, fatal: int = 0):
        self.calls = []
        with self._monkeypatch.context() as patch:
            for owner, name in self.CHANGES:
                patch.setattr(owner, name, self._guard(name, getattr(owner, name), fatal))
            yield

    @contextlib.contextmanager
    def killed_at(self, number: int):
        with self.counted(number), pytest.raises(Killed):
            yield

    def _guard(self, name: str, function: Callable[..., Any], fatal: int) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            self.calls.append(name)
            if len(self.calls) == fatal:
                raise Killed
            return function(*args, **kwargs)

        return call


@pytest.fixture
def disk(monkeypatch) -> Disk:
    return Disk(monkeypatch)
