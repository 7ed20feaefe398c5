"""Recovery likelihood: each energy learns to undo one step of noise."""

from __future__ import annotations

import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from energax._errors import ArgumentError, SpaceError
from energax._typing import Configuration, PRNGKey, Scalar
from energax.energies import AbstractEnergy, at_level, is_confined, marginal, observed_space
from energax.kernels import AbstractKernel, AbstractStepSizeKernel, target
from energax.objectives._base import (
    AbstractStatelessObjective,
    Metrics,
    frozen,
    levels_in_turn,
    needs_law,
    normal_apart,
)
from energax.objectives._contrastive import check_steps
from energax.sampling import run_steps
from energax.spaces import AbstractSpace, Euclidean


class Recovery(AbstractEnergy):
    """E(y + s u) + ½ ‖u‖²: what x = y + s u was, of law exp(−E), before noise of scale s made y of it.

    The unit of u is the noise, so that one step size suits all levels, and the law of u is close to a standard normal
    one where s is small: it has one mode, however many exp(−E) has.
    """

    energy: AbstractEnergy
    noisy: Float[Array, "..."]
    scale: Scalar

    @property
    def space(self) -> AbstractSpace:
        return observed_space(self.energy)

    def __call__(self, x: Float[Array, "..."]) -> Scalar:
        return self.energy(self.noisy + self.scale * x) + 0.5 * jnp.sum(x**2)


@is_confined.register
def _(energy: Recovery) -> bool:
    del energy
    return True


class RecoveryLikelihood(AbstractStatelessObjective):
    """Diffusion recovery likelihood: energies at many noise levels, each learned through the law of one step back.

    Rows x get noise to a level, y = x + σ_t ξ, and further to the next, ỹ = y + s η with s² = σ_{t+1}² − σ_t². For the
    energy E_t of the data smeared with σ_t, the law of y given ỹ is exp(−E_t(y) − ‖ỹ − y‖²/2s²)/Z(ỹ). It has one mode
    if s is small, so that few steps of a kernel draw from it even where E_t has far modes. The loss is
    mean E_t(y) − mean E_t(ends of chains in that law), whose gradient is that of its likelihood. Trains a family
    E(x; σ), given as its member `energies.AtLevel(model, sigma)`, at all levels but the last, which is noise.

    Exactness: consistent for the smeared law of every level if the chains reach their laws; started at the rows
    (``start="data"``) an exact kernel leaves the optimum where it is, however few its steps. Relative masses of far
    modes are those that the noisier levels teach: a single step back does not move between them.

    Cost: k transitions for each row, whatever the number of levels (every row takes the next one), and the gradient of
    two batches of energies.

    Args:
        noise_scales: σ_0 < σ_1 < ... < σ_T in units of x: from a fraction of the finest detail to about as far as the
            data reach, each at most twice the one before.
        kernel: The transition; its unit of length is s, so that a `step_size` suits all levels.
        num_steps: k.
        start: Where chains begin: ``"noisy"`` (ỹ, as in the paper), or ``"data"`` (y, as contrastive divergence does).

    References:
        [gao2021]; noise is added without shrinking the data, so that levels are those of `MultiScaleDenoising`.
    """

    noise_scales: tuple[float, ...] = eqx.field(static=True, converter=lambda scales: tuple(map(float, scales)))
    kernel: AbstractKernel
    num_steps: int = eqx.field(static=True, default=30)
    start: str = eqx.field(static=True, kw_only=True, default="noisy")

    def __check_init__(self) -> None:
        check_steps(self.num_steps)
        scales = self.noise_scales
        if len(scales) < 2 or scales[0] < 0 or any(b <= a for a, b in itertools.pairwise(scales)):
            raise ArgumentError(f"RecoveryLikelihood needs two or more noise_scales that increase, got {scales}.")
        if self.start not in ("noisy", "data"):
            raise ArgumentError(f'`start` is "noisy" or "data", got {self.start!r}.')

    def check(self, energy: AbstractEnergy) -> None:
        space = observed_space(energy)
        if not isinstance(space, Euclidean):
            raise SpaceError(f"RecoveryLikelihood adds noise to real numbers without bounds, got space={space}.")
        at_level(energy, self.noise_scales[0])
        target(energy, self.kernel)

    def measure(self, energy: AbstractEnergy, batch: Configuration, *, key: PRNGKey) -> tuple[Scalar, Metrics]:
        noise_key, first_key, move_key = jax.random.split(key, 3)
        noise, step = normal_apart((2, *batch.shape), batch.dtype, key=noise_key)
        count = len(self.noise_scales) - 1
        turn = levels_in_turn(batch.shape[0], count, key=first_key)
        sigmas, gaps = (jnp.asarray(s, batch.dtype)[turn] for s in (self.noise_scales[:-1], self._gaps))
        still = frozen(energy)

        def row(x: Array, xi: Array, eta: Array, sigma: Array, gap: Array, key: PRNGKey) -> tuple[Scalar, ...]:
            clean = x + sigma * xi
            begin = jnp.zeros_like(x) if self.start == "noisy" else -eta
            end, accept, bad = self._recovered(still, sigma, gap, clean + gap * eta, begin, key=key)
            here = marginal(at_level(energy, sigma))
            return here(clean), here(jax.lax.stop_gradient(end)), accept, bad

        told = jax.vmap(row)(batch, noise, step, sigmas, gaps, jax.random.split(move_key, batch.shape[0]))
        at_data, at_model, accept = (jnp.mean(t) for t in told[:3])
        metrics = {"energy_data": at_data, "energy_model": at_model, "energy_gap": at_model - at_data}
        metrics |= {"accept_prob": accept, "num_nonfinite": jnp.sum(told[3])}
        if isinstance(self.kernel, AbstractStepSizeKernel):
            metrics["step_size"] = self.kernel.step_size
        return at_data - at_model, metrics

    def generate(self, energy: AbstractEnergy, x: Configuration, *, key: PRNGKey) -> Configuration:
        """Rows of the least noise, (row, *event), from rows `x` of the most: one step back after the other."""
        levels = jnp.asarray(self.noise_scales[:-1], x.dtype)[::-1], jnp.asarray(self._gaps, x.dtype)[::-1]

        def back(x: Array, level: tuple[Array, Array, PRNGKey]) -> tuple[Array, None]:
            sigma, gap, key = level
            keys, origin = jax.random.split(key, x.shape[0]), jnp.zeros_like(x[0])
            return jax.vmap(lambda y, k: self._recovered(energy, sigma, gap, y, origin, key=k)[0])(x, keys), None

        return jax.lax.scan(back, x, (*levels, jax.random.split(key, len(self._gaps))))[0]

    @property
    def _gaps(self) -> tuple[float, ...]:
        """S of each level."""
        return tuple((b**2 - a**2) ** 0.5 for a, b in itertools.pairwise(self.noise_scales))

    def _recovered(
        self, energy: AbstractEnergy, sigma: Array, gap: Array, noisy: Array, begin: Array, *, key: PRNGKey
    ) -> tuple[Array, Array, Array]:
        """The end of a chain in the law of one step back, its acceptance, and its proposals that were not finite."""
        law = Recovery(marginal(at_level(energy, sigma)), noisy, gap)
        u, accept, bad = run_steps(law, self.kernel, begin, self.num_steps, key=key)
        return noisy + gap * u, accept, bad


@needs_law.register
def _(objective: RecoveryLikelihood) -> bool:
    # Only the laws of one step back are drawn from, and the noise confines them.
    del objective
    return False
