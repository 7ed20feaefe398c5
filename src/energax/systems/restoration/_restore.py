"""Restoration by Langevin chains in the latent space of a generator, with the measurement met after every step."""

from __future__ import annotations

import dataclasses
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from energax._errors import ArgumentError
from energax._typing import PRNGKey, Scalar
from energax.densities import AbstractLatentGenerator
from energax.energies import AbstractEnergy
from energax.generative import VAE
from energax.kernels import MALA
from energax.sampling import Samples, StepSizeAdaptation, sample
from energax.spaces import Euclidean
from energax.systems.calibration._model import Calibrated
from energax.systems.restoration._operators import AbstractOperator

_LEVELS = 9
_STEPS = 60
_CANDIDATES = 64


class LatentPosterior(AbstractEnergy):
    """The law of a generator's latent given a measurement y = A x + noise.

        U(z) = ½ ‖z‖² + β ‖y − A G(z)‖² / (2 (c r² + s²)) + E(x(z))/τ,   x(z) = G(z) + share · A⁺(y − A G(z)).

    The generator carries a normal law of the latent to images; what it misses is taken as noise of size r, which
    together with the measurement's own, s, gives the second term; x(z) is the mean of the image given z and y, and
    meets y exactly where s = 0. The energy, if there is one, sees that image.

    Args:
        generator: G, whose latent is N(0, I).
        operator: A, with A Aᵀ = c I.
        measurement: y.
        residual: r > 0.
        noise: s ≥ 0.
        energy: E, or None.
        temperature: τ.
        beta: β, by which chains begin where the measurement is hardly heard.
    """

    generator: Any
    operator: AbstractOperator
    measurement: Array
    residual: Array
    noise: Array
    energy: Any
    temperature: float = eqx.field(static=True)
    beta: Array = eqx.field(converter=jnp.asarray, default=1.0)

    @property
    def space(self) -> Euclidean:
        return Euclidean(latent_shape(self.generator), initial_scale=1.0)

    def image(self, z: Array) -> Array:
        """x(z)."""
        made = self.generator.decode(z).reshape(self.operator.shape)
        share = self.operator.share(self.residual, self.noise).astype(made.dtype)
        return self.operator.consistent(made, self.measurement, share)

    def __call__(self, x: Array) -> Scalar:
        made = self.generator.decode(x).reshape(self.operator.shape)
        variance = self.operator.gain * self.residual**2 + self.noise**2
        missed = self.beta * jnp.sum((self.measurement - self.operator(made)) ** 2) / (2 * variance)
        value = 0.5 * jnp.sum(x**2) + missed
        if self.energy is None:
            return value
        return value + self.energy(self.image(x).reshape(self.generator.space.shape)) / self.temperature


@dataclasses.dataclass(frozen=True, repr=False)
class Restored:
    """Restorations of one measurement, in the units of the generator.

    Attributes:
        images: The last image of each chain, (chain, *shape).
        mean: Mean over all kept images of all chains, the best guess in squared error.
        spread: Standard deviation over the same, the uncertainty of each pixel as the chains see it.
        back: A⁺ y, what the measurement alone tells.
        misfit: Largest entry of |A x − y| over all chains, of `images`.
        samples: The chains in the latent space.
    """

    images: Float[np.ndarray, "chain ..."]
    mean: Float[np.ndarray, "..."]
    spread: Float[np.ndarray, "..."]
    back: Float[np.ndarray, "..."]
    misfit: float
    samples: Samples

    def __repr__(self) -> str:
        return f"Restored({len(self.images)} chains of {self.mean.shape}, |A x − y| ≤ {self.misfit:.2g})"


def restore(
    generator: AbstractLatentGenerator,
    operator: AbstractOperator,
    measurement: Array,
    *,
    key: PRNGKey,
    noise: float = 0.0,
    residual: float | None = None,
    num_chains: int = 8,
    num_steps: int = 300,
    temperature: float = 1.0,
) -> Restored:
    """Restore an image from a linear measurement, by a generator that was trained for no such thing.

    Metropolis-adjusted Langevin chains run in the latent space under `LatentPosterior`, begin at the best of many draws
    of the prior, and hear the measurement at first faintly, then fully. Images meet the measurement exactly, but for
    noise, at every step. Images that differ between chains are what the measurement leaves open.

    Exactness: the chains leave the posterior of the generator invariant; between far modes they do not travel, which
    is why there are several.

    Cost: about num_steps + 540 gradients of the generator (and of the energy) for each chain.

    Args:
        generator: A `VAE`, a `Calibrated` one, whose energy takes part, a flow, or any other whose latent is N(0, I).
        operator: A.
        measurement: y.
        key: Typed random key.
        noise: Standard deviation of the measurement's noise; its correction is damped accordingly.
        residual: What the generator misses of an entry; None: the σ of an autoencoder, 0.1 for anything else.
        num_chains: Number of chains.
        num_steps: Steps of each after all is heard; the second half is kept.
        temperature: τ of the energy.

    Raises:
        ArgumentError: Sizes that do not match, or numbers out of range.

    Example:
        >>> import jax
        >>> from energax import generative, systems
        >>> model = generative.VAE((4, 4), latent_dim=2, hidden=(8,), key=jax.random.key(0))
        >>> half = systems.Inpaint(jax.numpy.arange(16).reshape(4, 4) < 8)
        >>> y = half(jax.numpy.ones((4, 4)))
        >>> found = systems.restore(model, half, y, key=jax.random.key(1), num_chains=2, num_steps=4)
        >>> found.images.shape, found.misfit < 1e-6
        ((2, 4, 4), True)

    References:
        [luo2024], [wang2023], [nijkamp2022]
    """
    _check(generator, operator, measurement, noise, residual, num_chains, num_steps)
    start_key, chain_key = jax.random.split(key)
    inner, energy = (generator.generator, generator.energy) if isinstance(generator, Calibrated) else (generator, None)
    law = LatentPosterior(
        inner, operator, jnp.asarray(measurement), jnp.asarray(_residual(inner, residual)), jnp.asarray(noise),
        energy, temperature,
    )  # fmt: skip
    betas = np.geomspace(4.0 ** (1 - _LEVELS), 1.0, _LEVELS)
    at = [eqx.tree_at(lambda u: u.beta, law, jnp.asarray(beta, jnp.result_type(float))) for beta in betas]
    positions, kernel = _starts(at[len(at) // 2], num_chains, start_key), MALA(0.1)
    for number, level in enumerate(at[:-1]):
        run = sample(
            level, kernel, positions, key=jax.random.fold_in(chain_key, number), num_steps=2, num_warmup=_STEPS,
            adapt=StepSizeAdaptation(), throw=False,
        )  # fmt: skip
        positions = run.last
    run = sample(
        at[-1], kernel, positions, key=jax.random.fold_in(chain_key, _LEVELS), num_steps=-(-num_steps // 2),
        num_warmup=_STEPS + num_steps // 2, adapt=StepSizeAdaptation(), throw=False,
    )  # fmt: skip
    return _collected(at[-1], run)


def _collected(law: LatentPosterior, run: Samples) -> Restored:
    """Images of the kept latents."""
    z = np.asarray(run.x)
    flat = np.asarray(_images(law, jnp.asarray(z.reshape(-1, *z.shape[2:]))), np.float64)
    last = flat.reshape(*z.shape[:2], *flat.shape[1:])[:, -1]
    measured = np.stack([np.asarray(law.operator(jnp.asarray(image, law.measurement.dtype))) for image in last])
    return Restored(
        images=last,
        mean=flat.mean(axis=0),
        spread=flat.std(axis=0),
        back=np.asarray(law.operator.back(law.measurement)),
        misfit=float(np.abs(measured - np.asarray(law.measurement)).max()),
        samples=run,
    )


@eqx.filter_jit
def _images(law: LatentPosterior, z: Array) -> Array:
    return jax.lax.map(law.image, z, batch_size=256)


@eqx.filter_jit
def _starts(law: LatentPosterior, num: int, key: PRNGKey) -> Array:
    """For each chain the best of many draws of the prior."""

    def best(k: PRNGKey) -> Array:
        drawn = jax.random.normal(k, (_CANDIDATES, *law.space.shape))
        return drawn[jnp.argmin(jax.lax.map(law, drawn, batch_size=_CANDIDATES))]

    return jax.lax.map(best, jax.random.split(key, num))


def latent_shape(generator: AbstractLatentGenerator) -> tuple[int, ...]:
    """Shape of the latent of a generator."""
    return eqx.filter_eval_shape(lambda key: generator.draw_latent(key=key), jax.random.key(0)).shape


def _residual(generator: Any, given: float | None) -> float:
    if given is not None:
        return given
    if isinstance(generator, VAE) and generator.log_scale is not None:
        return float(jnp.exp(jnp.mean(generator.log_scale)))
    return 0.1


def _check(
    generator: Any, operator: AbstractOperator, measurement: Any, noise: float, residual: float | None, *counts: int
) -> None:
    if not isinstance(generator, AbstractLatentGenerator) or not isinstance(generator.space, Euclidean):
        raise ArgumentError(
            f"Restoration needs a generator of real numbers with a latent, got {type(generator).__name__}."
        )
    if np.prod(operator.shape) != generator.space.num_sites:
        raise ArgumentError(
            f"The operator measures images of shape {operator.shape}, but the generator makes {generator.space.shape}."
        )
    wanted = jax.eval_shape(operator, jax.ShapeDtypeStruct(operator.shape, jnp.result_type(float))).shape
    if np.shape(measurement) != wanted:
        raise ArgumentError(
            f"The measurement has the shape {np.shape(measurement)}, but {operator.name} gives {wanted}."
        )
    if noise < 0 or (residual is not None and not residual > 0) or min(counts) < 1:
        raise ArgumentError(
            f"Restoration needs noise >= 0, residual > 0, num_chains >= 1 and num_steps >= 1, got {noise}, {residual}, "
            f"{', '.join(map(str, counts))}."
        )
