"""Regularisers of any objective, each under its name and off unless it is asked for."""

from __future__ import annotations

import functools
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from energax._errors import ArgumentError
from energax._typing import Configuration, PRNGKey, Scalar
from energax.energies import AbstractEnergy, Tempered, marginal, observed_space, score
from energax.objectives._base import AbstractObjective, Metrics, as_number, needs_law, normal_apart, require_score
from energax.objectives._contrastive import PersistentState
from energax.objectives._jarzynski import JarzynskiState
from energax.objectives._tempered import TemperedState
from energax.objectives._trajectory import TrajectoryState
from energax.objectives._watched import WatchedState
from energax.random import normal

_POWER_STEPS = 20


class Regularised(AbstractObjective):
    """Any objective plus penalties on the energy.

    loss + α (E_data[E²] + E_model[E²]) + γ E_data ‖∇E‖² + κ Σ_W σ_max(W)², with W the matrices among the energy's
    arrays (a convolution as the matrix of its kernel, (out, rest)).

    Exactness: biased on purpose: the optimum is no longer that of the objective. α pins the constant of the energy,
    which objectives do not see otherwise, near 0, and keeps energies small. σ_max comes from 20 power steps from a
    random start, from below, with a relative error of order (σ₂/σ₁)⁴⁰; its gradient is that of the leading pair.

    Cost: α: the energies of data and model once more; γ: the gradient of one score for each row; κ: 40 products of
    each matrix with a vector. A penalty of weight 0 costs nothing.

    Args:
        objective: What is regularised.
        energy_l2: α ≥ 0. Objectives that keep chains or weighted walkers have a model term, the others only that of
            the data.
        gradient_penalty: γ ≥ 0.
        spectral_penalty: κ ≥ 0.

    Example:
        >>> import jax
        >>> from energax import densities, objectives
        >>> law = densities.Gaussian(jax.numpy.zeros(1))
        >>> objective = objectives.Regularised(objectives.ScoreMatching(), gradient_penalty=0.5)
        >>> loss, (_, metrics) = objective.loss(law, jax.numpy.full((1, 1), 2.0), None, key=jax.random.key(0))
        >>> float(loss), float(metrics["gradient_penalty"])
        (3.0, 4.0)

    References:
        [du2019] for the energies, [mescheder2018] for the gradient, [yoshida2017] for the matrices.
    """

    objective: AbstractObjective
    energy_l2: float = eqx.field(static=True, default=0.0, kw_only=True)
    gradient_penalty: float = eqx.field(static=True, default=0.0, kw_only=True)
    spectral_penalty: float = eqx.field(static=True, default=0.0, kw_only=True)

    def __check_init__(self) -> None:
        for name in ("energy_l2", "gradient_penalty", "spectral_penalty"):
            if not getattr(self, name) >= 0:
                raise ArgumentError(f"Regularised needs {name} >= 0, got {getattr(self, name)}.")

    def check(self, energy: AbstractEnergy) -> None:
        self.objective.check(energy)
        if self.gradient_penalty:
            require_score("gradient_penalty", energy)
        if self.spectral_penalty and not _matrices(energy):
            raise ArgumentError(f"spectral_penalty needs matrices, and {type(energy).__name__} has none.")

    def init(self, energy: AbstractEnergy, batch: Configuration, *, key: PRNGKey) -> Any:
        return self.objective.init(energy, batch, key=key)

    def loss(
        self, energy: AbstractEnergy, batch: Configuration, state: Any, *, key: PRNGKey
    ) -> tuple[Scalar, tuple[Any, Metrics]]:
        inner_key, power_key = jax.random.split(key)
        loss, (state, metrics) = self.objective.loss(energy, batch, state, key=inner_key)
        found: Metrics = {}
        if self.energy_l2:
            found["energy_l2"] = _squared_energy(energy, batch, state)
        if self.gradient_penalty:
            observed = marginal(energy)
            found["gradient_penalty"] = jnp.mean(jax.vmap(lambda x: jnp.sum(score(observed, x) ** 2))(batch))
        if self.spectral_penalty:
            values = [
                _largest_singular_value(w, key=jax.random.fold_in(power_key, i))
                for i, w in enumerate(_matrices(energy))
            ]
            found["spectral_penalty"] = jnp.sum(jnp.stack(values) ** 2)
        penalty = sum(getattr(self, name) * value for name, value in found.items())
        return loss + penalty, (state, {**metrics, **found})


class DataNoise(AbstractObjective):
    """Any objective on data with noise, x + σξ folded into the space, drawn anew at every update.

    Exactness: that of the objective, for the law of the data smeared with N(0, σ²). Data that lie on a surface or on a
    grid get a density by it, which score matching needs.

    Cost: that of the objective and a normal number for each entry.

    Args:
        objective: What learns from the noisy data.
        scale: σ > 0, in units of x.
    """

    objective: AbstractObjective
    scale: float = eqx.field(static=True)

    def __check_init__(self) -> None:
        if not self.scale > 0:
            raise ArgumentError(f"DataNoise needs scale > 0, got {self.scale}.")

    def check(self, energy: AbstractEnergy) -> None:
        require_score(type(self).__name__, energy)
        self.objective.check(energy)

    def init(self, energy: AbstractEnergy, batch: Configuration, *, key: PRNGKey) -> Any:
        noise_key, key = jax.random.split(key)
        return self.objective.init(energy, self._noisy(energy, batch, key=noise_key), key=key)

    def loss(
        self, energy: AbstractEnergy, batch: Configuration, state: Any, *, key: PRNGKey
    ) -> tuple[Scalar, tuple[Any, Metrics]]:
        noise_key, key = jax.random.split(key)
        return self.objective.loss(energy, self._noisy(energy, batch, key=noise_key), state, key=key)

    def _noisy(self, energy: AbstractEnergy, batch: Array, *, key: PRNGKey) -> Array:
        noise = normal_apart(batch.shape, batch.dtype, key=key)
        return jax.vmap(observed_space(energy).fold)(batch + self.scale * noise)


class AtTemperature(AbstractObjective):
    """Any objective for the law exp(−βE)/Z(β) in the place of exp(−E)/Z.

    The energy that is learned is 1/β times that without it, in whatever unit 1/β is; chains move under βE. Sample and
    evaluate it as `energies.Tempered(energy, beta)`. With β ≫ 1 outputs of order 1 make deep wells.

    Exactness and cost: those of the objective.

    Args:
        objective: What trains the tempered energy.
        beta: β > 0, not trained.
    """

    objective: AbstractObjective
    beta: Float[Array, ""] = eqx.field(converter=as_number)

    def check(self, energy: AbstractEnergy) -> None:
        if not float(self.beta) > 0:
            raise ArgumentError(f"AtTemperature needs beta > 0, got {float(self.beta)}.")
        self.objective.check(Tempered(energy, self.beta))

    def init(self, energy: AbstractEnergy, batch: Configuration, *, key: PRNGKey) -> Any:
        return self.objective.init(Tempered(energy, self.beta), batch, key=key)

    def loss(
        self, energy: AbstractEnergy, batch: Configuration, state: Any, *, key: PRNGKey
    ) -> tuple[Scalar, tuple[Any, Metrics]]:
        return self.objective.loss(Tempered(energy, self.beta), batch, state, key=key)


@needs_law.register(Regularised)
@needs_law.register(DataNoise)
@needs_law.register(AtTemperature)
def _(objective: Regularised | DataNoise | AtTemperature) -> bool:
    return needs_law(objective.objective)


@functools.singledispatch
def model_sample(state: Any) -> tuple[Configuration, Float[Array, " n"]] | None:
    """Configurations of the model and their weights, of sum 1, that the state of an objective holds; None without."""
    del state
    return None


@model_sample.register
def _(state: PersistentState) -> tuple[Configuration, Float[Array, " n"]]:
    return _equally(state.x)


@model_sample.register(TemperedState)
@model_sample.register(TrajectoryState)
def _(state: TemperedState | TrajectoryState) -> tuple[Configuration, Float[Array, " n"]]:
    return _equally(jax.tree.map(lambda leaf: leaf[:, -1], state.x))


def _equally(x: Configuration) -> tuple[Configuration, Float[Array, " n"]]:
    count = jax.tree.leaves(x)[0].shape[0]
    return x, jnp.full(count, 1 / count)


@model_sample.register
def _(state: JarzynskiState) -> tuple[Configuration, Float[Array, " n"]]:
    return state.walkers.x, jax.nn.softmax(state.walkers.log_weights)


@model_sample.register
def _(state: WatchedState) -> tuple[Configuration, Float[Array, " n"]] | None:
    return model_sample(state.inner)


def _squared_energy(energy: AbstractEnergy, batch: Configuration, state: Any) -> Scalar:
    observed = marginal(energy)
    squared = jnp.mean(jax.vmap(observed)(batch) ** 2)
    sample = jax.lax.stop_gradient(model_sample(state))
    if sample is None:
        return squared
    x, weights = sample
    values = jax.vmap(observed)(x) ** 2
    return squared + jnp.sum(weights.astype(values.dtype) * values)


def _matrices(energy: AbstractEnergy) -> list[Float[Array, "out rest"]]:
    leaves = jax.tree.leaves(eqx.filter(energy, eqx.is_inexact_array))
    return [leaf.reshape(leaf.shape[0], -1) for leaf in leaves if leaf.ndim >= 2]


def _largest_singular_value(matrix: Float[Array, "out rest"], *, key: PRNGKey) -> Scalar:
    """uᵀWv with the leading pair held constant, whose gradient is u vᵀ."""
    held = jax.lax.stop_gradient(matrix)

    def step(_: int, v: Array) -> Array:
        v = held.T @ (held @ v)
        return v / jnp.maximum(jnp.linalg.norm(v), jnp.finfo(v.dtype).tiny)

    v = jax.lax.fori_loop(0, _POWER_STEPS, step, normal((matrix.shape[1],), matrix.dtype, key=key))
    u = held @ v
    return u / jnp.maximum(jnp.linalg.norm(u), jnp.finfo(u.dtype).tiny) @ matrix @ v
