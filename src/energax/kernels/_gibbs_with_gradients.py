"""Gibbs with gradients: single changes, chosen by what they would do to the energy."""

from __future__ import annotations

import equinox as eqx
import jax

from energax._typing import Configuration, PRNGKey, Scalar
from energax.energies import AbstractEnergy
from energax.kernels._base import AbstractKernel, StepInfo
from energax.kernels._informed import (
    InformedState,
    OneChange,
    check_differences,
    discrete_space,
    informed_state,
    needs_of,
)
from energax.kernels._metropolis import metropolis, select


class GibbsWithGradients(AbstractKernel):
    """Leaves exp(−E) invariant: one change (i, v) is proposed with q ∝ exp(−½ ΔE_iv), accepted by Metropolis–Hastings.

    ΔE_iv = E(x with site i at v) − E(x). With ``differences="gradient"`` it is taken from the tangent at x,
    ∂E/∂x_i (v − x_i), in the proposal only; the acceptance has energies, so that the law is the same.

    Exactness: invariant, reversible.

    Cost: one change of one site. Exact differences are the conditional logits of all sites (cheap for models that know
    them, else a value of E for each site and value); those of the gradient are one score.

    Args:
        differences: ``"exact"``, or ``"gradient"`` for two-valued sites and an energy that can be differentiated.

    Example:
        >>> import jax
        >>> from energax import energies, kernels, sampling
        >>> kernel = kernels.GibbsWithGradients()
        >>> run = sampling.sample(energies.Ising(4), kernel, num_steps=10, key=jax.random.key(0))
        >>> run.x.shape
        (4, 10, 4, 4)

    References:
        [grathwohl2021], [zanella2020]; the paper has the gradient, and exact differences are Zanella's.
    """

    differences: str = eqx.field(static=True, default="exact")

    def __check_init__(self) -> None:
        check_differences("GibbsWithGradients", self.differences)

    @property
    def exact(self) -> bool:
        return True

    @property
    def needs(self) -> frozenset[str]:
        return needs_of(self.differences)

    def init(self, energy: AbstractEnergy, x: Configuration, *, key: PRNGKey) -> InformedState:
        del key
        return informed_state(energy, x, self.differences)

    def refresh(self, energy: AbstractEnergy, state: InformedState) -> InformedState:
        return informed_state(energy, state.x, self.differences)

    def proposal(self, energy: AbstractEnergy, state: InformedState) -> OneChange:
        """The law of the proposed configuration."""
        return OneChange(discrete_space(energy), state.x, state.changes)

    def log_ratio(self, energy: AbstractEnergy, old: InformedState, new: InformedState) -> Scalar:
        """Log [exp(−E(y)) q(x | y)] − log [exp(−E(x)) q(y | x)]."""
        forward, backward = self.proposal(energy, old).log_prob(new.x), self.proposal(energy, new).log_prob(old.x)
        return old.value - new.value + backward - forward

    def step(self, energy: AbstractEnergy, state: InformedState, *, key: PRNGKey) -> tuple[InformedState, StepInfo]:
        draw_key, accept_key = jax.random.split(key)
        new = informed_state(energy, self.proposal(energy, state).draw(key=draw_key), self.differences)
        info = metropolis(self.log_ratio(energy, state, new), new.value, key=accept_key)
        return select(info.accepted, new, state), info
