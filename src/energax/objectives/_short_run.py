"""Maximum likelihood by short chains from noise: the chain is the model."""

from __future__ import annotations

import equinox as eqx
import jax

from energax._typing import Configuration, PRNGKey, Scalar
from energax.densities import AbstractDensity
from energax.energies import AbstractEnergy, observed_space
from energax.kernels import AbstractKernel, target
from energax.objectives._base import AbstractStatelessObjective, Metrics, as_positions, needs_law
from energax.objectives._contrastive import check_steps, contrast, run_chains, watch
from energax.spaces import check_structure


class ShortRun(AbstractStatelessObjective):
    """Short-run, non-convergent maximum likelihood: chains of a fixed length, from noise at every update.

    With F the observed energy, K the transition and q_0 the law of the noise, loss = mean F(data) − mean F(chains) with
    chains drawn from q_k = K^k q_0, held constant. It comes to rest where E_data[∂F] = E_{q_k}[∂F]: where draws of
    `generate`, the same chains, have the same mean of every derivative of the energy as the data. What is learned is
    this generator. Chains of another length have another law, and the energy is not that of the data.

    Exactness: q_k matches the data in the means of ∂F at the optimum, whatever k and the step size. That exp(−F) does
    is only so for k → ∞ with an exact kernel, from noise that reaches all modes.

    Cost: k transitions of `num_chains` chains, and the gradient of two batches of energies. No state.

    Args:
        kernel: The transition, usually `ULA`; part of the model, as its step size is.
        num_chains: Chains at each update.
        num_steps: k, usually 50 to 100: what `generate` costs.
        start: q_0; None takes the initial law of the space.

    Example:
        >>> import jax
        >>> from energax import densities, kernels, objectives
        >>> model = densities.Gaussian(jax.numpy.full(1, 5.0))
        >>> objective = objectives.ShortRun(kernels.ULA(0.5), num_steps=3, start=densities.Gaussian(jax.numpy.zeros(1)))
        >>> rows = objective.generate(model, 2_000, key=jax.random.key(0))
        >>> abs(float(rows.mean()) - 5.0 * (1 - 0.5**3)) < 0.2
        True

    References:
        [nijkamp2019], [nijkamp2020]
    """

    kernel: AbstractKernel
    num_chains: int = eqx.field(static=True, default=128)
    num_steps: int = eqx.field(static=True, default=100)
    start: AbstractDensity | None = eqx.field(kw_only=True, default=None)

    def __check_init__(self) -> None:
        check_steps(self.num_steps, self.num_chains)

    def check(self, energy: AbstractEnergy) -> None:
        target(energy, self.kernel)
        space = observed_space(energy)
        noise = eqx.filter_eval_shape(lambda key: self._noise(energy, 1, key=key), jax.random.key(0))
        check_structure(space, noise, name="start", batch_dims=1)

    def measure(self, energy: AbstractEnergy, batch: Configuration, *, key: PRNGKey) -> tuple[Scalar, Metrics]:
        before, ends, info = self._run(energy, self.num_chains, key=key)
        loss, metrics = contrast(energy, batch, ends)
        return loss, {**metrics, **info, **watch(energy, as_positions(energy, batch), before, ends)}

    def generate(self, energy: AbstractEnergy, num: int, *, key: PRNGKey) -> Configuration:
        """`num` draws of the learned generator, (num, *event): the ends of chains as those of training."""
        return self._run(energy, num, key=key)[1]

    def _run(self, energy: AbstractEnergy, num: int, *, key: PRNGKey) -> tuple[Configuration, Configuration, Metrics]:
        noise_key, move_key = jax.random.split(key)
        before = self._noise(energy, num, key=noise_key)
        ends, info = run_chains(energy, self.kernel, before, jax.random.split(move_key, num), self.num_steps)
        return before, ends, info

    def _noise(self, energy: AbstractEnergy, num: int, *, key: PRNGKey) -> Configuration:
        keys = jax.random.split(key, num)
        if self.start is not None:
            law = self.start
            return as_positions(energy, jax.vmap(lambda k: law.draw(key=k))(keys))
        space = observed_space(energy)
        return jax.vmap(lambda k: space.initial(key=k))(keys)


@needs_law.register
def _(objective: ShortRun) -> bool:
    del objective
    return False
