"""Energy discrepancy: data against what a perturbation and its way back make of them."""

import abc

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from energax._errors import ArgumentError, KernelMismatch, SpaceError
from energax._typing import Configuration, PRNGKey, Scalar
from energax.energies import AbstractEnergy, marginal, observed_space
from energax.objectives._base import AbstractStatelessObjective, Metrics, as_positions, require_confined
from energax.random import normal
from energax.spaces import AbstractArraySpace, AbstractDiscreteSpace, AbstractSpace


class AbstractPerturbation(eqx.Module):
    """A symmetric random move, q(y | x) = q(x | y) with respect to the measure of the space."""

    @abc.abstractmethod
    def check(self, space: AbstractSpace) -> None:
        """Raise `KernelMismatch` or `SpaceError` if configurations of this space cannot be moved."""

    @abc.abstractmethod
    def draw(self, space: AbstractArraySpace, x: Array, *, key: PRNGKey) -> Array:
        """Move every configuration of `x`, which has any number of leading axes, independently."""


class GaussianPerturbation(AbstractPerturbation):
    """x + σξ, ξ ~ N(0, I), brought back into the space.

    Args:
        scale: σ > 0, in units of x.
    """

    scale: float = eqx.field(static=True)

    def __check_init__(self) -> None:
        if not self.scale > 0:
            raise ArgumentError(f"GaussianPerturbation needs scale > 0, got {self.scale}.")

    def check(self, space: AbstractSpace) -> None:
        if not isinstance(space, AbstractArraySpace):
            raise SpaceError(f"GaussianPerturbation needs configurations that are one array, got space={space}.")
        if space.is_discrete:
            raise KernelMismatch(
                f"GaussianPerturbation moves numbers, but space={space} is discrete. Try SitePerturbation."
            )

    def draw(self, space: AbstractArraySpace, x: Array, *, key: PRNGKey) -> Array:
        return space.fold(x + self.scale * normal(x.shape, x.dtype, key=key))


class SitePerturbation(AbstractPerturbation):
    """Each site is drawn anew with some probability, all its values being equally likely.

    On two-valued sites these are independent flips with half that probability.

    Args:
        rate: Probability that a site is drawn anew, above 0 and at most 1.
    """

    rate: float = eqx.field(static=True)

    def __check_init__(self) -> None:
        if not 0 < self.rate <= 1:
            raise ArgumentError(f"SitePerturbation needs 0 < rate <= 1, got {self.rate}.")

    def check(self, space: AbstractSpace) -> None:
        _require_sites("SitePerturbation", space)

    def draw(self, space: AbstractArraySpace, x: Array, *, key: PRNGKey) -> Array:
        assert isinstance(space, AbstractDiscreteSpace)
        which_key, value_key = jax.random.split(key)
        leading = x.shape[: x.ndim - len(space.shape)]
        fresh = space.draw_sites(jnp.zeros((*leading, *space.logits_shape)), key=value_key)
        return jnp.where(jax.random.uniform(which_key, x.shape) < self.rate, fresh.astype(x.dtype), x)


class NeighbourPerturbation(AbstractPerturbation):
    """One site takes another value, all pairs of a site and another value being equally likely."""

    def check(self, space: AbstractSpace) -> None:
        _require_sites("NeighbourPerturbation", space)

    def draw(self, space: AbstractArraySpace, x: Array, *, key: PRNGKey) -> Array:
        assert isinstance(space, AbstractDiscreteSpace)
        values = jnp.asarray(space.values, x.dtype)
        others = x[..., None] != values
        if space.allowed is not None:
            others &= space.allowed
        flat = others.reshape(*x.shape[: x.ndim - len(space.shape)], -1)
        site, value = jnp.divmod(jax.random.categorical(key, jnp.where(flat, 0.0, -jnp.inf)), len(space.values))
        here = jnp.arange(space.num_sites) == site[..., None]
        return jnp.where(here.reshape(x.shape), values[value].reshape(*site.shape, *[1] * len(space.shape)), x)


class EnergyDiscrepancy(AbstractStatelessObjective):
    """Energy discrepancy: contrast with what the model would have made of the same perturbed data.

    A row x is perturbed to y ~ q(y | x), and y is perturbed M times back, x'_j ~ q(x' | y). Then
    loss = E_data log(w/M + (1/M) Σ_j exp(E(x) − E(x'_j))), an estimate of E_data E(x) − E_data E_q E_q(y) with
    E_q(y) = −log ∫ q(y | x') exp(−E(x')): how much more the law of the data and the model's law differ before the
    perturbation than after it. Small perturbations look at scores (or at neighbours, as ratio matching does), large
    ones at the whole space, as the likelihood does. No chain is run and no derivative with respect to x is taken.

    Exactness: consistent for every M with w = 1: the row and its M companions are then ranked given y, in which all
    normalisers cancel. With w = 0 only as M → ∞. Modes that no perturbation connects: their masses are not learned.

    Cost: M + 1 energies for each row, and their gradient.

    Args:
        perturbation: q, `GaussianPerturbation`, `SitePerturbation` or `NeighbourPerturbation`. Larger moves see more
            of the landscape, and need a larger M: companions that all lie far up in energy say little.
        num_samples: M.
        stabiliser: w ≥ 0.

    Example:
        >>> import jax
        >>> from energax import energies, objectives
        >>> objective = objectives.EnergyDiscrepancy(objectives.SitePerturbation(0.2))
        >>> model, data = energies.Ising(3), jax.numpy.ones((5, 3, 3), "int8")
        >>> loss, _ = objective.loss(model, data, None, key=jax.random.key(0))
        >>> bool(loss < 0)  # the ground state
        True

    References:
        [schroeder2023], whose w is 1 as well; symmetric perturbations only.
    """

    perturbation: AbstractPerturbation
    num_samples: int = eqx.field(static=True, default=32)
    stabiliser: float = eqx.field(static=True, default=1.0)

    def __check_init__(self) -> None:
        if self.num_samples < 1 or not 0 <= self.stabiliser < jnp.inf:
            raise ArgumentError(
                f"EnergyDiscrepancy needs num_samples >= 1 and stabiliser >= 0, got {self.num_samples} and "
                f"{self.stabiliser}."
            )

    def check(self, energy: AbstractEnergy) -> None:
        self.perturbation.check(observed_space(energy))
        require_confined(energy)
        marginal(energy)

    def measure(self, energy: AbstractEnergy, batch: Configuration, *, key: PRNGKey) -> tuple[Scalar, Metrics]:
        observed, rows = marginal(energy), as_positions(energy, batch)
        space = observed.space
        assert isinstance(space, AbstractArraySpace)
        there_key, back_key = jax.random.split(key)
        away = self.perturbation.draw(space, rows, key=there_key)
        repeated = jnp.broadcast_to(away[:, None], (len(rows), self.num_samples, *away.shape[1:]))
        back = self.perturbation.draw(space, repeated, key=back_key)
        # Kept apart from the network: fused into it the generator would be computed for each of its uses.
        back = jax.lax.optimization_barrier(back)
        at_rows, at_back = jax.vmap(observed)(rows), jax.vmap(jax.vmap(observed))(back)
        gaps = at_rows[:, None] - at_back
        weight = jnp.full_like(gaps[:, :1], jnp.log(self.stabiliser))
        losses = jax.nn.logsumexp(jnp.concatenate([weight, gaps], axis=1), axis=1) - jnp.log(self.num_samples)
        metrics = {"energy_data": jnp.mean(at_rows), "energy_noise": jnp.mean(at_back)}
        return jnp.mean(losses), jax.lax.stop_gradient(metrics)


def _require_sites(name: str, space: AbstractSpace) -> None:
    if not isinstance(space, AbstractDiscreteSpace):
        raise KernelMismatch(f"{name} needs an array of discrete sites, but space={space}. Try GaussianPerturbation.")
