"""Overdamped Langevin dynamics: the unadjusted algorithm and its Metropolis-adjusted form."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp

from energax._typing import Configuration, PRNGKey, Scalar
from energax.energies import AbstractEnergy, value_and_score
from energax.kernels._base import AbstractState, AbstractStepSizeKernel, StepInfo, as_step_size
from energax.kernels._metropolis import all_finite, combine, metropolis, select
from energax.kernels._preconditioner import as_factor, check_preconditioner, scaled, transposed
from energax.kernels._rwm import NormalProposal


class LangevinState(AbstractState):
    """Configuration, its energy and its score −∇E."""

    x: Configuration
    value: Scalar
    score: Configuration


def langevin_state(energy: AbstractEnergy, x: Configuration) -> LangevinState:
    """The state at `x`: one evaluation of energy and score."""
    return LangevinState(x, *value_and_score(energy, x))


def langevin_proposal(state: LangevinState, step_size: Scalar, factor: Configuration = None) -> NormalProposal:
    """The Euler–Maruyama law N(x + h P s(x), 2h P) of Langevin dynamics with P = L Lᵀ."""
    drift = scaled(factor, transposed(factor, state.score))
    mean = combine(lambda x, s: x + step_size.astype(x.dtype) * s, state.x, drift)
    return NormalProposal(mean, jnp.sqrt(2 * step_size), factor)


def langevin_log_ratio(old: LangevinState, new: LangevinState, there: NormalProposal, back: NormalProposal) -> Scalar:
    """Log [exp(−E(y)) q(x | y)] − log [exp(−E(x)) q(y | x)] of a move from x to y in the covering space.

    Args:
        old: At x.
        new: At y.
        there: The law q(· | x) that the move was drawn from.
        back: q(· | y).
    """
    return old.value - new.value + back.log_prob(old.x) - there.log_prob(new.x)


class ULA(AbstractStepSizeKernel):
    """Samples approximately from exp(−E): x' = x − h P ∇E(x) + √(2h) L ξ, with P = L Lᵀ the identity by default.

    Exactness: biased by O(h); on N(0, σ²) the stationary variance is exactly σ²/(1 − h/(2σ²)).

    Cost: one score evaluation per step.

    Args:
        step_size: h > 0, units of x². Stable on a quadratic of curvature k for h < 2/k. There is one step size: noise
            and drift belong together, and a temperature is set with `Tempered`.
        preconditioner: L, or None. An array like x is its diagonal: the standard deviations of the coordinates, say;
            for x of shape (d,) a lower triangular matrix: the Cholesky factor of their covariance. The step size is
            then in units of L².

    References:
        [roberts1996]
    """

    step_size: Scalar = eqx.field(converter=as_step_size)
    preconditioner: Configuration = eqx.field(converter=as_factor, default=None)

    @property
    def exact(self) -> bool:
        return False

    @property
    def needs(self) -> frozenset[str]:
        return frozenset({"score"})

    @property
    def target_accept_prob(self) -> float:
        return 0.574

    def init(self, energy: AbstractEnergy, x: Configuration, *, key: PRNGKey) -> LangevinState:
        del key
        check_preconditioner(energy, self.preconditioner, x)
        return langevin_state(energy, x)

    def refresh(self, energy: AbstractEnergy, state: LangevinState) -> LangevinState:
        return langevin_state(energy, state.x)

    def proposal(self, state: LangevinState) -> NormalProposal:
        """The law of the next point in the covering space."""
        return langevin_proposal(state, self.step_size, self.preconditioner)

    def step(self, energy: AbstractEnergy, state: LangevinState, *, key: PRNGKey) -> tuple[LangevinState, StepInfo]:
        new = langevin_state(energy, energy.space.fold(self.proposal(state).draw(key=key)))
        # Without an energy and a score there is no next step, and the algorithm has no rejection. Such a point is
        # refused and counted, an infinite energy too, because that is how a chain that runs away ends.
        usable = jnp.isfinite(new.value) & all_finite(new.score)
        return select(usable, new, state), StepInfo.unless_nan(usable)

    def driven_step(
        self, energy: AbstractEnergy, state: LangevinState, *, key: PRNGKey
    ) -> tuple[LangevinState, Scalar]:
        """A step under the energy that `state` was made with, judged at its end by another one, and the work it took.

        W = −log [exp(−E'(y)) q'(x | y)] + log [exp(−E(x)) q(y | x)], with the law q of a step under E and q' of one
        under `energy`, E': E exp(−W) = Z'/Z for x from exp(−E)/Z, if both energies are finite everywhere.
        """
        new = langevin_state(energy, self.proposal(state).draw(key=key))
        return fold_state(energy, new), -langevin_log_ratio(state, new, self.proposal(state), self.proposal(new))


class MALA(AbstractStepSizeKernel):
    """Leaves exp(−E) invariant: a Langevin step x − hP∇E(x) + √(2h) L ξ, accepted by Metropolis–Hastings.

    log q(y | x) = −‖L⁻¹(y − x + hP∇E(x))‖²/(4h), accepted with min(1, exp(E(x) − E(y)) q(x | y)/q(y | x)); P = L Lᵀ
    is the identity by default.

    Exactness: invariant at any step size. On boxes and tori the step is made in the covering space, on which the
    energy is continued by reflection or periodically.

    Cost: one evaluation of energy and score per step.

    Args:
        step_size: h > 0, units of x². About d^(−1/3) for standardised targets; tune to an acceptance of 0.574.
        preconditioner: L as in `ULA`, fixed during a run: tuned while the chain is recorded, it would bias the law.

    References:
        [roberts1996], [roberts1998]
    """

    step_size: Scalar = eqx.field(converter=as_step_size)
    preconditioner: Configuration = eqx.field(converter=as_factor, default=None)

    @property
    def exact(self) -> bool:
        return True

    @property
    def needs(self) -> frozenset[str]:
        return frozenset({"score"})

    @property
    def target_accept_prob(self) -> float:
        return 0.574

    def init(self, energy: AbstractEnergy, x: Configuration, *, key: PRNGKey) -> LangevinState:
        del key
        check_preconditioner(energy, self.preconditioner, x)
        return langevin_state(energy, x)

    def refresh(self, energy: AbstractEnergy, state: LangevinState) -> LangevinState:
        return langevin_state(energy, state.x)

    def proposal(self, state: LangevinState) -> NormalProposal:
        """The proposal in the covering space."""
        return langevin_proposal(state, self.step_size, self.preconditioner)

    def log_ratio(self, old: LangevinState, new: LangevinState) -> Scalar:
        """Log [exp(−E(y)) q(x | y)] − log [exp(−E(x)) q(y | x)] of a move from x to y in the covering space."""
        return langevin_log_ratio(old, new, self.proposal(old), self.proposal(new))

    def step(self, energy: AbstractEnergy, state: LangevinState, *, key: PRNGKey) -> tuple[LangevinState, StepInfo]:
        draw_key, accept_key = jax.random.split(key)
        new = langevin_state(energy, self.proposal(state).draw(key=draw_key))
        info = metropolis(self.log_ratio(state, new), new.value, key=accept_key)
        return select(info.accepted, fold_state(energy, new), state), info


def fold_state(energy: AbstractEnergy, state: LangevinState) -> LangevinState:
    """Bring a state back from the covering space: the configuration is folded, the score follows the fold."""
    folded, pull = jax.vjp(energy.space.fold, state.x)
    # The fold is an isometry with derivative ±1, so pulling the score back and pushing it forward agree.
    return LangevinState(folded, state.value, pull(state.score)[0])
