"""Independence Metropolis: proposals from a density that does not look at the current configuration."""

from __future__ import annotations

import jax

from energax._errors import SpaceError
from energax._typing import Configuration, PRNGKey, Scalar
from energax.densities import AbstractDensity
from energax.energies import AbstractEnergy
from energax.kernels._base import AbstractKernel, AbstractState, StepInfo
from energax.kernels._metropolis import metropolis, select
from energax.spaces import same_configurations


class IndependenceState(AbstractState):
    """Configuration, its energy, and its log-density under the proposal."""

    x: Configuration
    value: Scalar
    log_prob: Scalar


class IndependenceMetropolis(AbstractKernel):
    """Leaves exp(−E) invariant: y ~ q, accepted with probability min(1, exp(E(x) − E(y)) q(x)/q(y)).

    With a flow as q these are the global moves of flow-assisted sampling: alternate them with a local kernel.

    Exactness: invariant for any density q; the chain reaches all of the law where q > 0 wherever exp(−E) is. With
    q = exp(−E)/Z every proposal is accepted. Where exp(−E)/q is unbounded the chain sticks for long times in the
    places that q covers too thinly, so q should have the heavier tails.

    Cost: one energy evaluation, one draw and one log-density of q per step. Works on any space, discrete ones
    included.

    Args:
        density: q, a density over the observed space of the energy: a normal law, a mixture, a flow.

    References:
        [tierney1994], [gabrie2022]
    """

    density: AbstractDensity

    @property
    def exact(self) -> bool:
        return True

    @property
    def needs(self) -> frozenset[str]:
        return frozenset({"energy"})

    def init(self, energy: AbstractEnergy, x: Configuration, *, key: PRNGKey) -> IndependenceState:
        del key
        if not same_configurations(self.density.space, energy.space):
            raise SpaceError(f"The proposal lives on {self.density.space}, the energy on {energy.space}.")
        return self._at(energy, x)

    def refresh(self, energy: AbstractEnergy, state: IndependenceState) -> IndependenceState:
        return self._at(energy, state.x)

    def proposal(self, state: IndependenceState) -> AbstractDensity:
        """The law of the proposal, the same at every state."""
        del state
        return self.density

    def log_ratio(self, old: IndependenceState, new: IndependenceState) -> Scalar:
        """Log [exp(−E(y)) q(x)] − log [exp(−E(x)) q(y)]."""
        return old.value - new.value + old.log_prob - new.log_prob

    def step(
        self, energy: AbstractEnergy, state: IndependenceState, *, key: PRNGKey
    ) -> tuple[IndependenceState, StepInfo]:
        draw_key, accept_key = jax.random.split(key)
        y = jax.tree.map(lambda new, old: new.astype(old.dtype), self.proposal(state).draw(key=draw_key), state.x)
        new = self._at(energy, y)
        info = metropolis(self.log_ratio(state, new), new.value, key=accept_key)
        return select(info.accepted, new, state), info

    def _at(self, energy: AbstractEnergy, x: Configuration) -> IndependenceState:
        return IndependenceState(x, energy(x), self.density.log_prob(x))
