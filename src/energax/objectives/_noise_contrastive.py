"""Noise-contrastive estimation: telling data from noise whose density is known."""

from __future__ import annotations

import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from energax._errors import ArgumentError, SpaceError
from energax._typing import Configuration, PRNGKey, Scalar
from energax.densities import AbstractDensity
from energax.energies import AbstractEnergy, marginal, observed_space
from energax.objectives._base import (
    AbstractStatelessObjective,
    Metrics,
    as_number,
    normal_apart,
    require_confined,
    require_score,
)
from energax.objectives._companions import companion
from energax.spaces import Euclidean


class NoiseContrastive(AbstractStatelessObjective):
    """Noise-contrastive estimation: a classifier of data against noise, which learns log Z beside the energy.

    With noise y ~ q, ν draws of it for each row, and l(x) = −E(x) − c − log q(x) − log ν,
    loss = E_data[−log σ(l)] + ν E_q[−log(1 − σ(l))]. The best classifier has l = log p_data/(ν q): E is the energy of
    the data's law and the companion c its log Z. E(x) = x²/2 on data N(0, 1) gives c = ½ log 2π.

    Exactness: consistent for any ν and any noise that is positive wherever there are data. Its error explodes when
    noise and data hardly overlap: then every l is far from 0, and no gradient is left. The metrics show the share of
    right answers; near ½ or near 1 little is learned.

    Cost: the gradient of 1 + ν energies for each row, and ν draws and 1 + ν log-densities of the noise.

    Args:
        noise: q, on the space of the data; as close to the data as a law with a formula can be.
        log_z: c before the first update; trained, in `TrainState.companions`.
        num_noise: ν, draws of noise for each row.

    Example:
        >>> import jax
        >>> from energax import densities, objectives
        >>> law = densities.Gaussian(jax.numpy.zeros(2))
        >>> objective = objectives.NoiseContrastive(noise=law)
        >>> _, (_, metrics) = objective.loss(law, jax.numpy.ones((4, 2)), None, key=jax.random.key(0))
        >>> float(metrics["log_z"])
        0.0

    References:
        [gutmann2012]
    """

    noise: AbstractDensity
    log_z: Float[Array, ""] = eqx.field(
        default=0.0, converter=as_number, metadata=companion(learning_rate=1e-2), kw_only=True
    )
    num_noise: int = eqx.field(static=True, default=1, kw_only=True)

    def __check_init__(self) -> None:
        _require_noise(type(self).__name__, self.noise, self.num_noise)

    def check(self, energy: AbstractEnergy) -> None:
        require_same_space(type(self).__name__, energy, self.noise)

    def measure(self, energy: AbstractEnergy, batch: Configuration, *, key: PRNGKey) -> tuple[Scalar, Metrics]:
        noise = jax.vmap(lambda k: self.noise.draw(key=k))(jax.random.split(key, self.num_noise * _rows(batch)))
        loss, metrics = classify(energy, self.noise, self.log_z, batch, noise, math.log(self.num_noise))
        return loss, metrics


class ConditionalNoiseContrastive(AbstractStatelessObjective):
    """Conditional noise-contrastive estimation: each row against its own copies with noise, without any log Z.

    With y = x + σξ folded into the space, ξ ~ N(0, I), loss = 2 E log(1 + exp(E(x) − E(y))), by which the pair (x, y)
    is told from the pair (y, x). The noise is symmetric, so its density drops out, and so does Z. Small σ comes close
    to score matching, large σ compares far places.

    Exactness: consistent for every σ, on boxes and tori too.

    Cost: the gradient of 1 + num_noise energies for each row.

    Args:
        noise_scale: σ > 0, in units of x: about the standard deviation of the data.
        num_noise: Copies of each row.

    References:
        [ceylan2018]
    """

    noise_scale: float = eqx.field(static=True)
    num_noise: int = eqx.field(static=True, default=1)

    def __check_init__(self) -> None:
        if not self.noise_scale > 0 or self.num_noise < 1:
            raise ArgumentError(
                f"ConditionalNoiseContrastive needs noise_scale > 0 and num_noise >= 1, got {self.noise_scale} and "
                f"{self.num_noise}."
            )

    def check(self, energy: AbstractEnergy) -> None:
        require_score(type(self).__name__, energy)

    def measure(self, energy: AbstractEnergy, batch: Configuration, *, key: PRNGKey) -> tuple[Scalar, Metrics]:
        observed = marginal(energy)
        noise = normal_apart((self.num_noise, *batch.shape), batch.dtype, key=key)
        moved = jax.vmap(jax.vmap(observed.space.fold))(batch + self.noise_scale * noise)
        at_data, at_noise = jax.vmap(observed)(batch), jax.vmap(jax.vmap(observed))(moved)
        rises = at_noise - at_data
        metrics = {"energy_data": jnp.mean(at_data), "energy_noise": jnp.mean(at_noise), "accuracy": _share(rises)}
        return 2 * jnp.mean(jax.nn.softplus(-rises)), metrics


class RankingNCE(AbstractStatelessObjective):
    """Ranking noise-contrastive estimation: which of 1 + K candidates is the row of the data.

    With noise x_1 ... x_K ~ q and s(x) = −E(x) − log q(x), loss = −E_data log(exp s(x_0) / Σ_{j=0}^K exp s(x_j)).
    A constant in the energy drops out, so that no log Z is learned.

    Exactness: consistent for every K; as K grows it becomes maximum likelihood with Z by importance sampling.

    Cost: the gradient of 1 + K energies for each row, and K draws and 1 + K log-densities of the noise.

    Args:
        noise: q, on the space of the data.
        num_noise: K, candidates beside each row.

    References:
        [ma2018]
    """

    noise: AbstractDensity
    num_noise: int = eqx.field(static=True, default=8, kw_only=True)

    def __check_init__(self) -> None:
        _require_noise(type(self).__name__, self.noise, self.num_noise)

    def check(self, energy: AbstractEnergy) -> None:
        require_same_space(type(self).__name__, energy, self.noise)

    def measure(self, energy: AbstractEnergy, batch: Configuration, *, key: PRNGKey) -> tuple[Scalar, Metrics]:
        observed = marginal(energy)
        keys = jax.random.split(key, self.num_noise * _rows(batch)).reshape(_rows(batch), self.num_noise)
        noise = jax.vmap(jax.vmap(lambda k: self.noise.draw(key=k)))(keys)
        at_data, at_noise = jax.vmap(observed)(batch), jax.vmap(jax.vmap(observed))(noise)
        data_score = -at_data - jax.vmap(self.noise.log_prob)(batch)
        noise_score = -at_noise - jax.vmap(jax.vmap(self.noise.log_prob))(noise)
        scores = jnp.concatenate([data_score[:, None], noise_score], axis=1)
        metrics = {
            "energy_data": jnp.mean(at_data),
            "energy_noise": jnp.mean(at_noise),
            "accuracy": _share(data_score - jnp.max(noise_score, axis=1)),
        }
        return jnp.mean(jax.nn.logsumexp(scores, axis=1) - data_score), metrics


def classify(
    energy: AbstractEnergy,
    noise_law: AbstractDensity,
    log_z: Scalar,
    data: Configuration,
    noise: Configuration,
    log_ratio: float,
) -> tuple[Scalar, Metrics]:
    """The loss of the classifier of data against noise, and its metrics; log_ratio is log ν."""
    observed = marginal(energy)
    at_data, at_noise = jax.vmap(observed)(data), jax.vmap(observed)(noise)
    of_data, of_noise = (
        -energies - log_z - jax.vmap(noise_law.log_prob)(rows) - log_ratio
        for energies, rows in ((at_data, data), (at_noise, noise))
    )
    loss = jnp.mean(jax.nn.softplus(-of_data)) + math.exp(log_ratio) * jnp.mean(jax.nn.softplus(of_noise))
    return loss, {
        "energy_data": jnp.mean(at_data),
        "energy_noise": jnp.mean(at_noise),
        "log_z": log_z,
        "accuracy": 0.5 * (_share(of_data + log_ratio) + _share(-of_noise - log_ratio)),
    }


def require_same_space(name: str, energy: AbstractEnergy, law: AbstractDensity) -> None:
    """Raise unless the law lives on the observed space of the energy, and what is learned of it can have a law."""
    ours, theirs = observed_space(energy), law.space
    both_free = isinstance(ours, Euclidean) and isinstance(theirs, Euclidean) and ours.shape == theirs.shape
    if not both_free and ours != theirs:
        raise SpaceError(
            f"{name} needs a law on the space of the model, {ours}, but {type(law).__name__} is on {theirs}."
        )
    require_confined(energy)


def _require_noise(name: str, noise: AbstractDensity, num_noise: int) -> None:
    if not isinstance(noise, AbstractDensity) or num_noise < 1:
        raise ArgumentError(
            f"{name} needs noise with draws and a density, one of energax.densities, and num_noise >= 1; got "
            f"{type(noise).__name__} and {num_noise}."
        )


def _rows(batch: Configuration) -> int:
    return jax.tree.leaves(batch)[0].shape[0]


def _share(values: Array) -> Scalar:
    """Share of positive values, ties counted by half."""
    return jnp.mean(0.5 * (jnp.sign(values) + 1))
