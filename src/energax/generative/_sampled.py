"""An energy together with the chains that draw from it."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax

from energax._errors import ArgumentError, NotTractable
from energax._typing import Configuration, PRNGKey, Scalar
from energax.densities import AbstractGenerator, LikelihoodKind, starting_law
from energax.energies import AbstractEnergy, marginal, observed_space
from energax.kernels import AbstractKernel, target
from energax.spaces import AbstractSpace


class SampledEnergy(AbstractGenerator):
    """An energy as a generator: a draw is the end of a chain from `densities.starting_law`.

    log p(x) = −E(x) − log Z with the log Z that is given, that of the observed part for an energy with hidden units. It
    is the likelihood of the energy; the law of the draws comes near it as chains mix, so that it is an estimate.

    Cost: of a draw `num_steps` transitions of the kernel, counted as one evaluation each.

    Args:
        energy: The energy.
        kernel: Any kernel that fits it.
        num_steps: Transitions of the chain behind a draw.
        log_z: log Z in nats, such as that of `evaluation.log_z`; without it there is no likelihood.

    Raises:
        ArgumentError: `num_steps` is below 1.
        KernelMismatch: The kernel does not fit the energy.

    Example:
        >>> import jax
        >>> from energax import energies, generative, kernels
        >>> rbm = energies.RBM(num_visible=4, num_hidden=3, key=jax.random.key(0))
        >>> model = generative.SampledEnergy(rbm, kernels.BlockGibbs(), num_steps=10)
        >>> model.draw(key=jax.random.key(1)).shape, model.likelihood
        ((4,), 'none')
    """

    energy: AbstractEnergy
    kernel: AbstractKernel
    num_steps: int = eqx.field(static=True)
    log_z: Any = None

    def __check_init__(self) -> None:
        if self.num_steps < 1:
            raise ArgumentError(f"SampledEnergy needs num_steps >= 1, got {self.num_steps}.")
        target(self.energy, self.kernel)

    @property
    def space(self) -> AbstractSpace:
        return observed_space(self.energy)

    @property
    def likelihood(self) -> LikelihoodKind:
        return "none" if self.log_z is None else "estimate"

    @property
    def draw_evaluations(self) -> int:
        return self.num_steps

    def draw(self, *, key: PRNGKey) -> Configuration:
        at_start, at_init, walk = jax.random.split(key, 3)
        energy = target(self.energy, self.kernel)
        state = self.kernel.init(energy, starting_law(self.energy).draw(key=at_start), key=at_init)

        def step(state: Any, k: PRNGKey) -> tuple[Any, None]:
            return self.kernel.step(energy, state, key=k)[0], None

        return jax.lax.scan(step, state, jax.random.split(walk, self.num_steps))[0].x

    def log_likelihood(self, x: Configuration, *, key: PRNGKey) -> Scalar:
        del key
        if self.log_z is None:
            raise NotTractable("SampledEnergy has no likelihood without `log_z`; evaluation.log_z estimates it.")
        return -marginal(self.energy)(x) - self.log_z
