"""Diffusion models: the score of noisy data at all times, drawn by reversing the noise."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike

from energax._errors import ArgumentError, KernelMismatch
from energax._typing import PRNGKey, Scalar
from energax.densities import AbstractAutoencoder, LikelihoodKind
from energax.energies import AbstractConditionalEnergy, AbstractEnergy, is_confined
from energax.generative._ddim import DDIM, reverse_step
from energax.generative._noising import AbstractNoising, VariancePreserving
from energax.generative._ode import (
    AbstractSolver,
    RungeKutta,
    Trace,
    check_trace,
    probe_for,
    transported,
    transported_with_error,
)
from energax.generative._time_networks import Potential, time_network
from energax.objectives import AbstractStatelessObjective, Metrics, apart, normal_apart, spread_times
from energax.spaces import Euclidean


class Diffusion(AbstractConditionalEnergy, AbstractAutoencoder):
    """A diffusion model: x_t = α x + σ ε, a network for the noise in x_t, and draws by reversing time.

    The network F sees y = x_t/√(α² s² + σ²), of order 1 at all times, and t; the noise is estimated as
    ε̂ = (σ/r) y + (α s/r) F(y, t) with r = √(α² s² + σ²), which is exact for N(0, s²) data when F = 0. The score of the
    noisy data is −ε̂/σ. With ``energy=True`` F is a scalar and ε̂ = σ ∇_x E for E(x, t) = ½ ‖y‖² + F(y, t): scores are
    gradients, and `given(t)` is the energy at time t up to its log Z, to be sampled, composed or annealed.

    Draws follow the `sampler`: `DDIM`, or with a solver the probability flow dx/dt = f x − ½ g² score, whose law has
    the log-likelihood that is told. It is a law at the least time, smoothed with σ(t_min). Centre the data: what is
    left of their mean at t = 1, α(1) times, is not in N(0, r(1)²) and is missing in both.

    Exactness: `log_likelihood` is that of the probability flow, from N(0, r(1)²), up to the error of the solver; with
    DDIM it is told as an estimate, because the draws have another law, as it is with ``trace="hutchinson"``.

    Cost: a draw takes as many networks as the sampler has steps, four for each step of `RungeKutta`; a log-likelihood
    those of the solver, each with its derivatives along all coordinates or one.

    Args:
        space: Euclidean space, or a shape for it.
        hidden: Widths of the hidden layers of F.
        channels: Filters of a U-Net instead, for images.
        activation: A name of `energies.ACTIVATIONS`.
        features: Random waves of y that a fully connected F sees beside y, such as 64 for narrow modes of the plane;
            0 for none.
        network: Your own F, any pytree that maps (y, t) to an array of the shape of y, or to a number with
            ``energy=True``.
        energy: Whether F is a scalar, and scores are gradients: y · f(y, t) with a network f of the shape of y.
        noising: α and σ; `VariancePreserving()` by default.
        data_scale: s, about the standard deviation of the data.
        sampler: `DDIM`, or a solver such as `RungeKutta` for draws of the probability flow.
        solver: The solver of the log-likelihood, of encoding and of decoding; that of the sampler if it is one.
        trace: ``"exact"`` or ``"hutchinson"``.
        min_time: t_min in (0, 1).
        key: Random key of the initial weights.

    Raises:
        ArgumentError: A number is out of range, a name unknown, or channels are given for data that are no images.

    Example:
        >>> import jax
        >>> from energax import generative
        >>> model = generative.Diffusion(2, hidden=(16,), key=jax.random.key(0))
        >>> model.draw_evaluations, model.likelihood
        (100, 'estimate')

    References:
        [ho2020], [song2021], [song2021b], [salimans2021]
    """

    network: Any
    noising: AbstractNoising
    sampler: DDIM | AbstractSolver
    solver: AbstractSolver
    space: Euclidean = eqx.field(static=True)
    energy: bool = eqx.field(static=True)
    data_scale: float = eqx.field(static=True)
    trace: Trace = eqx.field(static=True)
    min_time: float = eqx.field(static=True)

    def __init__(
        self,
        space: Euclidean | int | tuple[int, ...],
        *,
        hidden: Sequence[int] = (128, 128, 128),
        channels: Sequence[int] | None = None,
        activation: str = "silu",
        features: int = 0,
        network: Any = None,
        energy: bool = False,
        noising: AbstractNoising | None = None,
        data_scale: float = 1.0,
        sampler: DDIM | AbstractSolver | None = None,
        solver: AbstractSolver | None = None,
        trace: Trace = "exact",
        min_time: float = 1e-3,
        key: PRNGKey,
    ) -> None:
        check_trace("Diffusion", trace)
        if not data_scale > 0 or not 0 < min_time < 1:
            raise ArgumentError(
                f"Diffusion needs data_scale > 0 and min_time between 0 and 1, got {data_scale} and {min_time}."
            )
        self.space = space if isinstance(space, Euclidean) else Euclidean(space, initial_scale=1.0)
        self.noising = VariancePreserving() if noising is None else noising
        self.network = network
        if network is None:
            made = time_network(
                self.space.shape, hidden=hidden, channels=channels, activation=activation, features=features, key=key
            )
            self.network = NoiseClock(Potential(made) if energy else made, self.noising)
        self.energy = energy
        self.sampler = DDIM() if sampler is None else sampler
        self.solver = solver or (self.sampler if isinstance(self.sampler, AbstractSolver) else RungeKutta(64))
        self.data_scale = data_scale
        self.trace = trace
        self.min_time = min_time

    @property
    def likelihood(self) -> LikelihoodKind:
        return "exact" if isinstance(self.sampler, AbstractSolver) and self.trace == "exact" else "estimate"

    @property
    def draw_evaluations(self) -> int | None:
        return self.sampler.num_steps if isinstance(self.sampler, DDIM) else self.sampler.evaluations

    def spread(self, t: Array) -> Scalar:
        """r(t), the standard deviation of noisy N(0, s²) data."""
        return jnp.sqrt((self.noising.alpha(t) * self.data_scale) ** 2 + self.noising.sigma(t) ** 2)

    def noise(self, x: Array, t: Array) -> Array:
        """ε̂, the estimate of the noise in x at time t."""
        scale, sigma = self.spread(t), self.noising.sigma(t)
        y = x / scale
        if self.energy:
            return sigma / scale * (y + jax.grad(self.network)(y, t))
        return sigma / scale * y + self.noising.alpha(t) * self.data_scale / scale * self.network(y, t)

    def denoised(self, x: Array, t: Array) -> Array:
        """(x − σ ε̂)/α, the estimate of the mean of the rows that x may have come from."""
        alpha, sigma, scale = self.noising.alpha(t), self.noising.sigma(t), self.spread(t)
        y = x / scale
        # The part of x that ε̂ has is taken off beforehand, because it cancels where the noise is large.
        if self.energy:
            return self.data_scale**2 * alpha / scale * y - sigma**2 / (scale * alpha) * jax.grad(self.network)(y, t)
        return self.data_scale / scale * (self.data_scale * alpha * y - sigma * self.network(y, t))

    def score(self, x: Array, t: Array) -> Array:
        """∇ log p_t(x) as the network has it."""
        return -self.noise(x, t) / self.noising.sigma(t)

    def given(self, c: ArrayLike) -> AbstractEnergy:
        """The energy at time `c`.

        Raises:
            KernelMismatch: The network is one of noise, which need not be a gradient.
        """
        if not self.energy:
            raise KernelMismatch("The scores of this Diffusion are no gradients; make it with energy=True.")
        return DiffusedEnergy(self, jnp.asarray(c, jnp.result_type(float)))

    def draw_latent(self, *, key: PRNGKey) -> Array:
        return self.spread(jnp.ones(())) * jax.random.normal(key, self.space.shape)

    def draw(self, *, key: PRNGKey) -> Array:
        at_start, on_the_way = jax.random.split(key)
        x = self.draw_latent(key=at_start)
        if isinstance(self.sampler, AbstractSolver):
            return self.sampler.solve(self._probability_flow, x, 1.0, math.sqrt(self.min_time))
        sampler = self.sampler
        times = jnp.linspace(1.0, self.min_time, sampler.num_steps + 1)

        def step(x: Array, now: tuple[Array, Array, PRNGKey]) -> tuple[Array, None]:
            t, s, k = now
            z = jax.random.normal(k, x.shape, x.dtype)
            return reverse_step(self.noising, x, self.noise(x, t), z, t, s, sampler.eta).astype(x.dtype), None

        return jax.lax.scan(step, x, (times[:-1], times[1:], jax.random.split(on_the_way, sampler.num_steps)))[0]

    def decode(self, z: Array) -> Array:
        """The end of the probability flow from z at t = 1."""
        return self.solver.solve(self._probability_flow, z, 1.0, math.sqrt(self.min_time))

    def encode(self, x: Array, *, key: PRNGKey) -> Array:
        del key
        return self.solver.solve(self._probability_flow, x, math.sqrt(self.min_time), 1.0)

    def log_likelihood(self, x: Array, *, key: PRNGKey) -> Scalar:
        way = (x, math.sqrt(self.min_time), 1.0)
        z, log_det = transported(self.solver, self._probability_flow, *way, probe=probe_for(self.trace, x, key=key))
        return log_det + self._log_base(z)

    def log_likelihood_with_error(self, x: Array, *, key: PRNGKey) -> tuple[Scalar, Scalar]:
        """The log-likelihood, and how far the solver's steps are too long (see `AbstractSolver.solve_with_error`)."""
        way = (x, math.sqrt(self.min_time), 1.0)
        found = transported_with_error(
            self.solver, self._probability_flow, *way, probe=probe_for(self.trace, x, key=key)
        )
        (z, log_det), error = found
        return log_det + self._log_base(z), error

    def _log_base(self, z: Array) -> Scalar:
        scale = self.spread(jnp.ones((), z.dtype))
        return -jnp.sum(0.5 * (z / scale) ** 2 + jnp.log(scale) + 0.5 * math.log(2 * math.pi))

    def _probability_flow(self, x: Array, u: Array) -> Array:
        """dx/du with t = u², so that steps are short where the noise is small."""
        t = u**2
        drift = self.noising.drift(t) * x - 0.5 * self.noising.squared_diffusion(t) * self.score(x, t)
        return (2 * u * drift).astype(x.dtype)


class NoiseClock(eqx.Module):
    """A network that is told the time as (5 + log σ/α)/10: what it has to know changes evenly with it, not with t."""

    network: Any
    noising: AbstractNoising

    def __call__(self, y: Array, t: Array) -> Array:
        level = jnp.log(self.noising.sigma(t)) - self.noising.log_alpha(t)
        return self.network(y, (5 + level) / 10)


class DiffusedEnergy(AbstractEnergy):
    """The energy of a `Diffusion` with ``energy=True`` at one time."""

    model: Diffusion
    t: Scalar

    @property
    def space(self) -> Euclidean:
        return self.model.space

    def __call__(self, x: Array) -> Scalar:
        y = x / self.model.spread(self.t)
        return 0.5 * jnp.sum(y**2) + self.model.network(y, self.t)


@is_confined.register
def _(energy: DiffusedEnergy) -> bool:
    del energy
    return True


class NoisePrediction(AbstractStatelessObjective):
    """Denoising score matching at all times: loss = E ‖ε̂(α x + σ ε, t) − ε‖² with √t uniform on [√t_min, 1].

    The minimum is ε̂ = −σ ∇ log p_t. Times near the data, where details are told, come more often than in DDPM's simple
    loss, in which t is uniform.

    Exactness: unbiased gradient of the loss.

    Cost: one network a row and its gradient, and the gradient in x with an energy.

    Example:
        >>> import jax
        >>> from energax import generative
        >>> model = generative.Diffusion(2, hidden=(16,), key=jax.random.key(0))
        >>> loss, _ = generative.NoisePrediction().measure(model, jax.numpy.ones((4, 2)), key=jax.random.key(1))
        >>> loss.shape
        ()

    References:
        [ho2020], [vincent2011]
    """

    def check(self, energy: Any) -> None:
        if not isinstance(energy, Diffusion):
            raise KernelMismatch(f"NoisePrediction trains a Diffusion, got {type(energy).__name__}.")

    def measure(self, energy: Diffusion, batch: Array, *, key: PRNGKey) -> tuple[Scalar, Metrics]:
        of_t, of_noise = jax.random.split(apart(key))
        batch = batch.astype(jnp.promote_types(batch.dtype, jnp.float32))
        noise = normal_apart(batch.shape, batch.dtype, key=of_noise)
        least = math.sqrt(energy.min_time)
        times = (least + (1 - least) * spread_times(len(batch), batch.dtype, key=of_t)) ** 2

        def of_row(x: Array, eps: Array, t: Array) -> Scalar:
            there = energy.noising.alpha(t) * x + energy.noising.sigma(t) * eps
            return jnp.sum((energy.noise(there, t) - eps) ** 2)

        return jnp.mean(jax.vmap(of_row)(batch, noise, times)), {}
