"""Maximum likelihood of models with latent variables: particles for each row, which move while the model learns."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp

from energax._errors import ArgumentError, KernelMismatch, NotTractable
from energax._typing import Configuration, PRNGKey, Scalar
from energax.energies import AbstractEnergy, Conditional, complete, latent, log_normalizer, observed_space
from energax.kernels import AbstractKernel, AbstractStepSizeKernel, target
from energax.objectives._base import AbstractObjective, Metrics, as_positions, frozen
from energax.objectives._contrastive import check_steps, flat
from energax.objectives._rows import NumberedRows, needs_rows
from energax.sampling import run_steps


class ParticleState(eqx.Module):
    """Latent configurations that belong to the rows of the data set.

    Attributes:
        z: The hidden part of the configuration, (row, particle, *shape); a dictionary by name if there are several.
    """

    z: Configuration


class ParticleGradientDescent(AbstractObjective):
    """Maximum marginal likelihood of a latent model, log p(x) = log ∫ exp(−E(x, z)) dz − log Z, by particles.

    Each row x_i keeps particles z_i1 ... z_iM from update to update. At an update those of the batch move `num_steps`
    transitions in the law of z given x_i under the present model, and the loss is mean E(x_i, z_im) + log Z with the
    particles held. By Fisher's identity its gradient is that of −log p(x) once particles have the law of z given x:
    the posterior mean of ∂E. With `ULA` and z ∈ R^k this is particle gradient descent, z ← z − h ∂_z E + √(2h) ξ; with
    one particle it is stochastic optimisation by unadjusted Langevin (SOUL) with a chain for each row.

    The energy is latent (its space a product that says which part is data) with a log Z in closed form, such as
    `densities.LatentGaussian`; machines, whose log Z is not known, learn by `PersistentCD`. Batches are `NumberedRows`,
    which `fit` makes.

    Exactness: at rest particles have the law of z given x and the gradient is that of the likelihood, in the mean for
    every M, as far as particles keep up with the model. `ULA` adds a bias of O(h); exact kernels none.

    Cost: `num_steps` transitions and an energy with its gradient for each particle of the batch; memory for M latent
    configurations of every row of the data set, in the state and in its checkpoints.

    Args:
        kernel: The transition of latent configurations.
        num_particles: M.
        num_steps: Transitions at each update.

    Raises:
        KernelMismatch: The energy has no hidden part, or the kernel does not fit it.
        NotTractable: The energy's log Z is not known.

    Example:
        >>> import jax
        >>> import energax as ex
        >>> model = ex.densities.LatentGaussian(3, latent_dim=1, hidden=(), key=jax.random.key(0))
        >>> objective = ex.objectives.ParticleGradientDescent(ex.kernels.ULA(0.1), 4)
        >>> data = jax.random.normal(jax.random.key(1), (20, 3))
        >>> run = ex.fit(ex.Learner(model, objective), data, key=jax.random.key(2), num_steps=3, batch_size=5)
        >>> run.state.objective_state.z.shape
        (20, 4, 1)

    References:
        [kuntz2023], [debortoli2021]
    """

    kernel: AbstractKernel
    num_particles: int = eqx.field(static=True, default=10)
    num_steps: int = eqx.field(static=True, default=1)

    def __check_init__(self) -> None:
        check_steps(self.num_steps, self.num_particles)

    def check(self, energy: AbstractEnergy) -> None:
        if latent(energy) is None:
            raise KernelMismatch(
                f"ParticleGradientDescent needs hidden variables, and {type(energy).__name__} has none. Try "
                "PersistentCD, or densities.LatentGaussian."
            )
        try:
            log_normalizer(energy)
        except NotTractable as error:
            raise NotTractable(
                f"ParticleGradientDescent needs log Z of the joint law, which is not known for "
                f"{type(energy).__name__}. Try PersistentCD."
            ) from error
        zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), observed_space(energy).struct)
        target(_given(energy, zeros), self.kernel)

    def init(self, energy: AbstractEnergy, batch: NumberedRows, *, key: PRNGKey) -> ParticleState:
        if not isinstance(batch, NumberedRows):
            raise ArgumentError(
                "ParticleGradientDescent needs batches that know the numbers of their rows (NumberedRows). fit makes "
                "them where it is the objective itself, and not inside another one."
            )
        first = jax.tree.map(lambda leaf: leaf[0], as_positions(energy, batch.x))

        def start(key: PRNGKey) -> Configuration:
            return _hidden(energy, complete(energy, first, key=key))

        keys = jax.random.split(key, (batch.total, self.num_particles))
        return ParticleState(jax.vmap(jax.vmap(start))(keys))

    def loss(
        self, energy: AbstractEnergy, batch: NumberedRows, state: ParticleState, *, key: PRNGKey
    ) -> tuple[Scalar, tuple[ParticleState, Metrics]]:
        rows, still = as_positions(energy, batch.x), frozen(energy)
        before = jax.tree.map(lambda leaf: leaf[batch.numbers], state.z)
        keys = jax.random.split(key, (len(batch.numbers), self.num_particles))

        def move(x: Configuration, z: Configuration, key: PRNGKey) -> tuple[Configuration, Scalar, Scalar]:
            return run_steps(_given(still, x), self.kernel, z, self.num_steps, key=key)

        moved, accepts, bad = jax.vmap(jax.vmap(move, (None, 0, 0)))(rows, before, keys)
        after = jax.lax.stop_gradient(moved)
        values = jax.vmap(lambda x, zs: jax.vmap(_given(energy, x))(zs))(rows, after)
        at_data = jnp.mean(values)
        z = jax.tree.map(lambda old, new: old.at[batch.numbers].set(new), state.z, after)
        old, new = (
            flat(jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), tree)) for tree in (before, after)
        )
        spread = jnp.maximum(jnp.mean(jnp.var(new, axis=0)), 1e-30)
        metrics = {
            "energy_data": at_data,
            "accept_prob": jnp.mean(accepts),
            "num_nonfinite": jnp.sum(bad),
            "moved": jnp.sqrt(jnp.mean((new - old) ** 2) / spread),
        }
        if isinstance(self.kernel, AbstractStepSizeKernel):
            metrics["step_size"] = self.kernel.step_size
        return at_data + log_normalizer(energy), (ParticleState(z), metrics)


@needs_rows.register
def _(objective: ParticleGradientDescent) -> bool:
    del objective
    return True


def _given(energy: AbstractEnergy, x: Configuration) -> AbstractEnergy:
    """The energy of what is hidden, with the row held."""
    names = latent(energy)
    assert names is not None
    return Conditional(energy, names.observed).given(x)


def _hidden(energy: AbstractEnergy, whole: Configuration) -> Configuration:
    """What is hidden of a configuration, as `_given` sees it."""
    names = latent(energy)
    assert names is not None
    return whole[names.hidden[0]] if len(names.hidden) == 1 else {name: whole[name] for name in names.hidden}
