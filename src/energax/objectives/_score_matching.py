"""Score matching by parts: implicit, sliced, and by finite differences."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from energax._errors import ArgumentError, SpaceError
from energax._typing import Configuration, PRNGKey, Scalar
from energax.energies import AbstractEnergy, marginal, observed_space, score_and_curvature
from energax.objectives._base import AbstractStatelessObjective, Metrics, apart, require_score
from energax.spaces import Box


class ScoreMatching(AbstractStatelessObjective):
    """Implicit score matching: the Fisher divergence between the data and the model, integrated by parts.

    loss = E_data[½ ‖∇E‖² − ΔE], which is ½ E_data ‖∇E + ∇log p_data‖² up to a number that does not depend on the
    model. A normal law gets the inverse of the sample covariance as its precision. At the optimum
    E ‖∇E‖² = E ΔE; the metrics show both. No chain is run, so nothing is learned about the relative mass of modes
    with nothing between them.

    Exactness: consistent for densities that are smooth on all of R^d or on a torus, and vanish at infinity. On a box
    the integration leaves terms at the walls, so boxes are refused. Data with repeated or rounded values have no
    density: the loss falls without end as the model closes in on them.

    Cost: the gradient of one score and of the curvature along d directions for each row, d the number of coordinates:
    a derivative of the score for each, or one product with every matrix where the energy has a rule
    (`energies.score_and_curvature`); memory grows as d too. `SlicedScoreMatching` costs the same in every dimension.

    Example:
        >>> import jax
        >>> from energax import densities, objectives
        >>> model = densities.Gaussian(jax.numpy.zeros(2))
        >>> loss, _ = objectives.ScoreMatching().loss(model, jax.numpy.ones((1, 2)), None, key=jax.random.key(0))
        >>> float(loss)
        -1.0

    References:
        [hyvarinen2005]
    """

    def check(self, energy: AbstractEnergy) -> None:
        _require_parts(type(self).__name__, energy)

    def measure(self, energy: AbstractEnergy, batch: Configuration, *, key: PRNGKey) -> tuple[Scalar, Metrics]:
        del key
        observed = marginal(energy)

        def one(x: Array) -> tuple[Scalar, Scalar]:
            basis = jnp.eye(x.size, dtype=x.dtype).reshape(-1, *x.shape)
            here, laplacian = score_and_curvature(observed, x, basis)
            return jnp.sum(here**2), laplacian

        squared, laplacian = (jnp.mean(values) for values in jax.vmap(one)(batch))
        return 0.5 * squared - laplacian, {"squared_score": squared, "laplacian": laplacian}


class SlicedScoreMatching(AbstractStatelessObjective):
    """Sliced score matching: the Laplacian of `ScoreMatching` replaced by second derivatives along random directions.

    loss = E_data[½ ‖∇E‖² − vᵀ(∇²E)v] with signs v ∈ {−1, +1}^d, for which E vvᵀ = I: its mean over v is the loss of
    `ScoreMatching`, and equal to it for every v where ∇²E is diagonal. The norm of the gradient is taken exactly
    and not along v, which is the form of lower variance.

    Exactness: as `ScoreMatching`, without bias at any number of directions.

    Cost: the gradient of one score and of the curvature along each direction for each row, as in `ScoreMatching`.

    Args:
        num_projections: Directions for each row, drawn anew at every update.

    References:
        [song2020]; signs instead of normal directions, which have the smaller variance.
    """

    num_projections: int = eqx.field(static=True, default=1)

    def __check_init__(self) -> None:
        _require_projections(type(self).__name__, self.num_projections)

    def check(self, energy: AbstractEnergy) -> None:
        _require_parts(type(self).__name__, energy)

    def measure(self, energy: AbstractEnergy, batch: Configuration, *, key: PRNGKey) -> tuple[Scalar, Metrics]:
        observed = marginal(energy)

        def one(x: Array, directions: Array) -> tuple[Scalar, Scalar]:
            here, curvature = score_and_curvature(observed, x, directions)
            return jnp.sum(here**2), curvature / self.num_projections

        directions = _signs(batch, self.num_projections, key=key)
        squared, laplacian = (jnp.mean(values) for values in jax.vmap(one)(batch, directions))
        return 0.5 * squared - laplacian, {"squared_score": squared, "laplacian": laplacian}


class FiniteDifferenceScoreMatching(AbstractStatelessObjective):
    """Score matching from values of the energy alone: both derivatives along v are central differences.

    With E± = E(x ± εv) and signs v ∈ {−1, +1}^d, loss = E_data[⅛ (E₊ − E₋)² − (E₊ + E₋ − 2E)]/ε², which is
    E_data[½ (v·∇E)² − vᵀ(∇²E)v] + O(ε²): its mean over v is the loss of `ScoreMatching` up to O(ε²). Energies that
    are quadratic have no such error.

    Exactness: consistent up to O(ε²). In float32 the second difference loses about 10⁻⁷ |E|/ε² to rounding, so ε must
    not be small either.

    Cost: the gradient of 1 + 2 num_projections energies for each row, no derivative with respect to x.

    Args:
        spacing: ε > 0, in units of x: a tenth of the smallest length over which the energy varies.
        num_projections: Directions for each row, drawn anew at every update.

    References:
        [pang2020]; signs instead of normal directions.
    """

    spacing: float = eqx.field(static=True)
    num_projections: int = eqx.field(static=True, default=1)

    def __check_init__(self) -> None:
        _require_projections(type(self).__name__, self.num_projections)
        if not self.spacing > 0:
            raise ArgumentError(f"FiniteDifferenceScoreMatching needs spacing > 0, got {self.spacing}.")

    def check(self, energy: AbstractEnergy) -> None:
        _require_parts(type(self).__name__, energy)

    def measure(self, energy: AbstractEnergy, batch: Configuration, *, key: PRNGKey) -> tuple[Scalar, Metrics]:
        observed = marginal(energy)
        fold = observed.space.fold
        steps = self.spacing * jnp.moveaxis(_signs(batch, self.num_projections, key=key), 1, 0)
        energies = jax.vmap(jax.vmap(lambda x: observed(fold(x))))
        here, up, down = energies(batch[None]), energies(batch + steps), energies(batch - steps)
        squared = jnp.mean((up - down) ** 2) / (2 * self.spacing) ** 2
        # In this order, so that the large common part of the three energies drops out before it can round.
        laplacian = jnp.mean((up - here) + (down - here)) / self.spacing**2
        metrics = {"squared_score": squared, "laplacian": laplacian}
        return 0.5 * squared - laplacian, metrics


def _signs(batch: Array, num: int, *, key: PRNGKey) -> Float[Array, "row num ..."]:
    """Random signs for each row, kept apart from the network so that they are drawn once."""
    shape = (batch.shape[0], num, *batch.shape[1:])
    return jax.lax.optimization_barrier(jax.random.rademacher(apart(key), shape, batch.dtype))


def _require_parts(name: str, energy: AbstractEnergy) -> None:
    """Raise unless integration by parts over the space leaves nothing at its boundary."""
    require_score(name, energy)
    space = observed_space(energy)
    if isinstance(space, Box):
        raise SpaceError(
            f"{name} integrates by parts, which leaves terms at the walls of space={space}: what it learns there is "
            "biased. Take DenoisingScoreMatching, which folds at the walls, or data on a Euclidean space or a Torus."
        )


def _require_projections(name: str, num_projections: int) -> None:
    if num_projections < 1:
        raise ArgumentError(f"{name} needs num_projections >= 1, got {num_projections}.")
