"""Discrete Langevin proposals: all sites move at once, without and with Metropolis adjustment."""

from __future__ import annotations

import equinox as eqx
import jax

from energax._typing import Configuration, PRNGKey, Scalar
from energax.energies import AbstractEnergy
from energax.kernels._base import AbstractStepSizeKernel, StepInfo, as_step_size
from energax.kernels._informed import (
    IndependentChanges,
    InformedState,
    are_numbers,
    check_differences,
    discrete_space,
    informed_state,
    needs_of,
)
from energax.kernels._metropolis import metropolis, select


class DULA(AbstractStepSizeKernel):
    """Samples approximately from exp(−E): every site moves at once with q_i(v) ∝ exp(−½ ΔE_iv − [v ≠ x_i]/(2α)).

    ΔE_iv = E(x with site i at v) − E(x), exact or from the tangent at x (see `GibbsWithGradients`).

    Exactness: biased, by O(exp(−1/(2α))) as α → 0: a single two-valued site of log-odds l has the stationary log-odds
    l + log[(1 + e^(−l/2−c))/(1 + e^(l/2−c))] with c = 1/(2α), which tends to l/2 for large α. With coupled sites that
    move at once the law of pairs is off as well. `DMALA` is the exact one.

    Cost: all conditional logits (exact) or one score (gradient), and a random number a site.

    Args:
        step_size: α > 0; about α = 0.2 to 0.5. A larger α changes more sites, and biases more.
        differences: ``"exact"``, or ``"gradient"`` for two-valued sites and an energy that can be differentiated.

    References:
        [zhang2022]; the cost of a change is 1/(2α) whatever the values are called, in the paper (v − x_i)²/(2α).
    """

    step_size: Scalar = eqx.field(converter=as_step_size)
    differences: str = eqx.field(static=True, default="exact")

    def __check_init__(self) -> None:
        check_differences("DULA", self.differences)

    @property
    def exact(self) -> bool:
        return False

    @property
    def needs(self) -> frozenset[str]:
        return needs_of(self.differences)

    @property
    def target_accept_prob(self) -> float:
        return 0.574

    def init(self, energy: AbstractEnergy, x: Configuration, *, key: PRNGKey) -> InformedState:
        del key
        return informed_state(energy, x, self.differences)

    def refresh(self, energy: AbstractEnergy, state: InformedState) -> InformedState:
        return informed_state(energy, state.x, self.differences)

    def proposal(self, energy: AbstractEnergy, state: InformedState) -> IndependentChanges:
        """The law of the next configuration."""
        return IndependentChanges(discrete_space(energy), state.x, state.changes, self.step_size)

    def step(self, energy: AbstractEnergy, state: InformedState, *, key: PRNGKey) -> tuple[InformedState, StepInfo]:
        new = informed_state(energy, self.proposal(energy, state).draw(key=key), self.differences)
        usable = are_numbers(new) & are_numbers(state)
        return select(usable, new, state), StepInfo.unless_nan(usable)


class DMALA(AbstractStepSizeKernel):
    """Leaves exp(−E) invariant: a step like that of `DULA`, q_i(v) ∝ exp(−b ΔE_iv − [v ≠ x_i]/(2α)), or no move.

    It is accepted by Metropolis–Hastings. For small α the balance b = ½ is best, for large ones a larger b (see `ACS`).

    Exactness: invariant at any step size, reversible.

    Cost: that of `DULA`. All sites are accepted or rejected together, so α must shrink as the number of sites grows.

    Args:
        step_size: α > 0; tune to an acceptance of 0.574.
        differences: ``"exact"``, or ``"gradient"`` for two-valued sites and an energy that can be differentiated.
        balance: b, between ½ and 1.

    Example:
        >>> import jax
        >>> from energax import energies, kernels, sampling
        >>> run = sampling.sample(energies.Ising(4), kernels.DMALA(0.3), num_steps=10, key=jax.random.key(0))
        >>> run.x.shape
        (4, 10, 4, 4)

    References:
        [zhang2022]; the cost of a change is 1/(2α) whatever the values are called, in the paper (v − x_i)²/(2α).
    """

    step_size: Scalar = eqx.field(converter=as_step_size)
    differences: str = eqx.field(static=True, default="exact")
    balance: Scalar = eqx.field(converter=as_step_size, default=0.5)

    def __check_init__(self) -> None:
        check_differences("DMALA", self.differences)

    @property
    def exact(self) -> bool:
        return True

    @property
    def needs(self) -> frozenset[str]:
        return needs_of(self.differences)

    @property
    def target_accept_prob(self) -> float:
        return 0.574

    def init(self, energy: AbstractEnergy, x: Configuration, *, key: PRNGKey) -> InformedState:
        del key
        return informed_state(energy, x, self.differences)

    def refresh(self, energy: AbstractEnergy, state: InformedState) -> InformedState:
        return informed_state(energy, state.x, self.differences)

    def proposal(self, energy: AbstractEnergy, state: InformedState) -> IndependentChanges:
        """The law of the proposed configuration."""
        return IndependentChanges(discrete_space(energy), state.x, state.changes, self.step_size, self.balance)

    def log_ratio(self, energy: AbstractEnergy, old: InformedState, new: InformedState) -> Scalar:
        """Log [exp(−E(y)) q(x | y)] − log [exp(−E(x)) q(y | x)]."""
        forward, backward = self.proposal(energy, old).log_prob(new.x), self.proposal(energy, new).log_prob(old.x)
        return old.value - new.value + backward - forward

    def step(self, energy: AbstractEnergy, state: InformedState, *, key: PRNGKey) -> tuple[InformedState, StepInfo]:
        draw_key, accept_key = jax.random.split(key)
        new = informed_state(energy, self.proposal(energy, state).draw(key=draw_key), self.differences)
        info = metropolis(self.log_ratio(energy, state, new), new.value, key=accept_key)
        return select(info.accepted, new, state), info
