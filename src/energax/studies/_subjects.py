"""A trained model as it is judged: draws, log-likelihoods and their cost, whatever family it is of."""

from __future__ import annotations

import abc
import time
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from energax import evaluation, exact, runs
from energax._typing import Configuration, PRNGKey
from energax.data import Data
from energax.densities import AbstractGenerator, AbstractLatentGenerator
from energax.energies import AbstractEnergy, marginal, observed_space
from energax.generative import RungeKutta
from energax.kernels import AbstractKernel
from energax.sampling import sample
from energax.spaces import Euclidean

_FEW_SITES, _SOME_SITES = 16, 256
_PARTICLES = 500
_LEVELS = 200
_SETTLE = 50
_LEAST_TRANSITIONS = 400_000
_SHARE_OF_RATE = 0.3


class AbstractSubject(abc.ABC):
    """What is asked of a trained model; rows are in the model's units, with a leading axis."""

    model: Any
    """The trained generator or energy."""
    kind: str
    """Of its log-likelihood: ``"exact"``, ``"bound"``, ``"estimate"``, ``"interval"`` or ``"none"``."""
    draw_evaluations: float | None
    """Networks, or gradients of the energy, for one draw."""
    chunk: int
    """Rows or draws of one call."""

    @abc.abstractmethod
    def draw(self, *, key: PRNGKey) -> np.ndarray:
        """A chunk of draws."""

    @abc.abstractmethod
    def log_prob(self, rows: np.ndarray, *, key: PRNGKey) -> np.ndarray | None:
        """Log-likelihood of each row of a chunk, None where there is none for single rows."""

    def interval(self, data: Data, *, seconds: float, key: PRNGKey) -> dict[str, Any] | None:
        """Mean log-likelihood of the test rows in the user's units, where it is known as an interval only."""
        del data, seconds, key
        return None

    def pictures(self, *, key: PRNGKey) -> np.ndarray | None:
        """What is shown in the place of draws, None where it is the draws."""
        del key
        return None

    def refined(self) -> AbstractSubject | None:
        """The same with twice the equal steps in its log-likelihood, None where that has no such steps."""
        return None


class Generated(AbstractSubject):
    """A generator that answers for itself.

    Args:
        model: The generator.
        shows_means: Whether `pictures` are the means that latents stand for.
    """

    def __init__(self, model: AbstractGenerator, *, shows_means: bool = False) -> None:
        self.model = model
        self.kind = model.likelihood
        self.draw_evaluations = model.draw_evaluations
        size = _num_sites(model)
        self.chunk = 500 if size <= _FEW_SITES else 64 if size <= _SOME_SITES else 32
        self._shows_means = shows_means

    def draw(self, *, key: PRNGKey) -> np.ndarray:
        return np.asarray(_draws(self.model, jax.random.split(key, self.chunk)))

    def log_prob(self, rows: np.ndarray, *, key: PRNGKey) -> np.ndarray | None:
        if self.kind == "none":
            return None
        whole = np.concatenate([rows, np.repeat(rows[-1:], self.chunk - len(rows), axis=0)])
        found = _log_likelihoods(self.model, jnp.asarray(whole), jax.random.split(key, self.chunk))
        return np.asarray(found, np.float64)[: len(rows)]

    def pictures(self, *, key: PRNGKey) -> np.ndarray | None:
        if not (self._shows_means and isinstance(self.model, AbstractLatentGenerator)):
            return None
        return np.asarray(_means(self.model, jax.random.split(key, self.chunk)))

    def refined(self) -> Generated | None:
        solver = getattr(self.model, "solver", None)
        if not isinstance(solver, RungeKutta):
            return None
        twice = RungeKutta(2 * solver.num_steps)
        return Generated(
            eqx.tree_at(lambda model: model.solver, self.model, twice, is_leaf=lambda node: node is solver)
        )


class Energetic(AbstractSubject):
    """An energy with the chains that draw from it, and log Z by quadrature in the plane, else as an interval.

    Draws are annealed; or, given the chains of its training, these in turn, which go on from draw to draw.

    Args:
        energy: The energy.
        kernel: What moves its chains.
        rows: Training rows, to which the law that annealing starts from is fitted.
        chains: Where the chains of its training stand, with a leading axis; None to anneal.
    """

    def __init__(
        self, energy: AbstractEnergy, kernel: AbstractKernel, rows: np.ndarray, chains: Configuration | None = None
    ) -> None:
        self.model, self.kernel = energy, kernel
        self._chains = None if chains is None else np.array(chains)
        self._next = 0
        self.chunk = _PARTICLES if self._chains is None else min(_PARTICLES, len(self._chains))
        space = observed_space(energy)
        self.base = evaluation.fit_base(space, rows, independent="blocks" in kernel.needs)
        self._rows = rows
        self._log_z: float | None = None
        if isinstance(space, Euclidean) and space.num_sites <= 2:
            self._log_z = exact.quadrature_log_z(marginal(energy)).value
        self.kind = "interval" if self._log_z is None else "exact"
        per_transition = getattr(kernel, "num_leapfrog", 1)
        self._transitions = _SETTLE + (_LEVELS if chains is None else 0)
        self.draw_evaluations = float(self._transitions * per_transition)
        self._transitions_per_second = 0.0

    def draw(self, *, key: PRNGKey) -> np.ndarray:
        begun = time.perf_counter()
        found = self._annealed(key) if self._chains is None else self._continued(self._chains, key)
        took = time.perf_counter() - begun
        self._transitions_per_second = max(self._transitions_per_second, self.chunk * self._transitions / took)
        return found

    def _annealed(self, key: PRNGKey) -> np.ndarray:
        samples = runs.draw_samples(
            self.model, self.kernel, self.base, self.chunk, key=key, num_chains=self.chunk, num_levels=_LEVELS,
            num_warmup=_SETTLE - 1, thin=1,
        )  # fmt: skip
        return np.asarray(samples.x).reshape(-1, *samples.x.shape[2:])

    def _continued(self, chains: np.ndarray, key: PRNGKey) -> np.ndarray:
        which = np.arange(self._next, self._next + self.chunk) % len(chains)
        self._next = int(which[-1]) + 1
        samples = sample(
            self.model, self.kernel, jnp.asarray(chains[which]), key=key, num_steps=1, num_warmup=_SETTLE - 1,
            throw=False,
        )  # fmt: skip
        chains[which] = np.asarray(samples.x).reshape(-1, *chains.shape[1:])
        return chains[which]

    def log_prob(self, rows: np.ndarray, *, key: PRNGKey) -> np.ndarray | None:
        del key
        if self._log_z is None:
            return None
        return -np.asarray(_energies(self.model, jnp.asarray(rows)), np.float64) - self._log_z

    def interval(self, data: Data, *, seconds: float, key: PRNGKey) -> dict[str, Any] | None:
        if self._log_z is not None:
            return None
        budget = max(int(_SHARE_OF_RATE * seconds * self._transitions_per_second), _LEAST_TRANSITIONS)
        found = evaluation.log_likelihood(
            self.model, np.asarray(data.test.array()), key=key, data=self._rows, transform=data.transform,
            budget=budget,
        )  # fmt: skip
        return {**found.interval.to_json(), "warnings": list(found.warnings)}


def in_time(
    make: Callable[[int], np.ndarray], most: int, least: int, seconds: float
) -> tuple[np.ndarray, float | None]:
    """Rows of many calls, until there are `most` or the time is up, and milliseconds of one of them.

    Args:
        make: From the number of the call to some rows.
        most: Rows that are wanted.
        least: Rows that are made whatever they take.
        seconds: For all calls but the first, which compiles and is not timed.
    """
    found, begun, per_row = [make(0)], time.perf_counter(), None
    while (count := sum(map(len, found))) < most and (count < least or time.perf_counter() - begun < seconds):
        before = time.perf_counter()
        found.append(make(len(found)))
        took = 1e3 * (time.perf_counter() - before) / max(len(found[-1]), 1)
        per_row = took if per_row is None else min(per_row, took)
    return np.concatenate(found)[:most], per_row


def _num_sites(model: Any) -> int:
    return int(model.space.num_sites)


@eqx.filter_jit
def _draws(model: AbstractGenerator, keys: jax.Array) -> Float[jax.Array, "n ..."]:
    return jax.vmap(lambda key: model.draw(key=key))(keys)


@eqx.filter_jit
def _means(model: AbstractLatentGenerator, keys: jax.Array) -> Float[jax.Array, "n ..."]:
    return jax.vmap(lambda key: model.decode(model.draw_latent(key=key)))(keys)


@eqx.filter_jit
def _log_likelihoods(model: AbstractGenerator, rows: jax.Array, keys: jax.Array) -> Float[jax.Array, " n"]:
    return jax.vmap(lambda x, key: model.log_likelihood(x, key=key))(rows, keys)


@eqx.filter_jit
def _energies(energy: AbstractEnergy, rows: jax.Array) -> Float[jax.Array, " n"]:
    return jax.vmap(marginal(energy))(rows)
