"""Random-walk Metropolis."""

from __future__ import annotations

import equinox as eqx
import jax

from energax._typing import Configuration, PRNGKey, Scalar
from energax.energies import AbstractEnergy
from energax.kernels._base import AbstractState, AbstractStepSizeKernel, StepInfo, as_step_size
from energax.kernels._metropolis import combine, metropolis, normal_like, select, squared_norm
from energax.kernels._preconditioner import scaled, unscaled


class NormalProposal(eqx.Module):
    """y ~ N(mean, scale² L Lᵀ); L is the identity where `factor` is None."""

    mean: Configuration
    scale: Scalar
    factor: Configuration = None

    def draw(self, *, key: PRNGKey) -> Configuration:
        """One draw."""
        noise = scaled(self.factor, normal_like(self.mean, key=key))
        return combine(lambda m, z: m + self.scale.astype(m.dtype) * z, self.mean, noise)

    def log_prob(self, y: Configuration) -> Scalar:
        """Log-density up to a constant that depends on scale, L and the dimension only."""
        white = unscaled(self.factor, combine(lambda a, b: a - b, y, self.mean))
        return -squared_norm(white) / (2 * self.scale**2)


class RandomWalkState(AbstractState):
    """Configuration and its energy."""

    x: Configuration
    value: Scalar


class RandomWalk(AbstractStepSizeKernel):
    """Leaves exp(−E) invariant: y = x + s ξ with ξ ~ N(0, I), accepted with probability min(1, exp(E(x) − E(y))).

    Exactness: invariant at any step size; on boxes and tori the proposal is folded, which keeps it symmetric.

    Cost: one energy evaluation per step.

    Args:
        step_size: Standard deviation s > 0 of the proposal, in units of x. About 2.4 posterior standard deviations
            over √d; tune to an acceptance of 0.234.

    References:
        [metropolis1953], [roberts1997]
    """

    step_size: Scalar = eqx.field(converter=as_step_size)

    @property
    def exact(self) -> bool:
        return True

    @property
    def needs(self) -> frozenset[str]:
        return frozenset({"continuous"})

    @property
    def target_accept_prob(self) -> float:
        return 0.234

    def init(self, energy: AbstractEnergy, x: Configuration, *, key: PRNGKey) -> RandomWalkState:
        del key
        return RandomWalkState(x, energy(x))

    def refresh(self, energy: AbstractEnergy, state: RandomWalkState) -> RandomWalkState:
        return RandomWalkState(state.x, energy(state.x))

    def proposal(self, x: Configuration) -> NormalProposal:
        """The symmetric proposal at x."""
        return NormalProposal(x, self.step_size)

    def step(self, energy: AbstractEnergy, state: RandomWalkState, *, key: PRNGKey) -> tuple[RandomWalkState, StepInfo]:
        draw_key, accept_key = jax.random.split(key)
        y = energy.space.fold(self.proposal(state.x).draw(key=draw_key))
        value = energy(y)
        info = metropolis(state.value - value, value, key=accept_key)
        return select(info.accepted, RandomWalkState(y, value), state), info
