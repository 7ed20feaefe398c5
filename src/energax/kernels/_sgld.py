"""Langevin dynamics with gradients from some rows of the data."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from energax._errors import ArgumentError
from energax._typing import Configuration, PRNGKey, Scalar
from energax.energies import AbstractEnergy, subsampled
from energax.kernels._base import AbstractState, AbstractStepSizeKernel, StepInfo, as_step_size
from energax.kernels._langevin import LangevinState, langevin_proposal, langevin_state
from energax.kernels._metropolis import all_finite, select
from energax.kernels._preconditioner import as_factor, check_preconditioner
from energax.kernels._rwm import NormalProposal


class SGLDState(AbstractState):
    """Configuration, estimates of its energy and score, and the words that chose the rows behind them."""

    x: Configuration
    value: Scalar
    score: Configuration
    words: Int[Array, " batch"]


class SGLD(AbstractStepSizeKernel):
    """Samples approximately from exp(−E): x' = x + h P ŝ(x) + √(2h) L ξ, with ŝ the score over a random batch of rows.

    The rows are drawn with replacement, anew at every step. On an energy without rows it is `ULA`.

    Exactness: biased by O(h), and by the noise of the batch: where the score has the slope −k and ŝ the variance V
    about it, the stationary variance is exactly (2h + h²V)/(1 − (1 − hk)²).

    Cost: one score evaluation over `batch_size` rows per step. A step to where the energy or the score of its batch
    is not finite is refused and counted.

    Args:
        step_size: h > 0, units of x². The bias is small for h well below 2/V.
        batch_size: Rows in each batch, a static integer.
        preconditioner: L as in `ULA`.

    References:
        [welling2011]
    """

    step_size: Scalar = eqx.field(converter=as_step_size)
    batch_size: int = eqx.field(static=True, default=32)
    preconditioner: Configuration = eqx.field(converter=as_factor, default=None)

    def __check_init__(self) -> None:
        if self.batch_size < 1:
            raise ArgumentError(f"SGLD needs batch_size of at least 1, got {self.batch_size}.")

    @property
    def exact(self) -> bool:
        return False

    @property
    def needs(self) -> frozenset[str]:
        return frozenset({"score"})

    @property
    def target_accept_prob(self) -> float:
        return 0.574

    def init(self, energy: AbstractEnergy, x: Configuration, *, key: PRNGKey) -> SGLDState:
        check_preconditioner(energy, self.preconditioner, x)
        return self.at(energy, x, self._words(key))

    def refresh(self, energy: AbstractEnergy, state: SGLDState) -> SGLDState:
        return self.at(energy, state.x, state.words)

    def at(self, energy: AbstractEnergy, x: Configuration, words: Int[Array, " batch"]) -> SGLDState:
        """The state at `x` with the estimates of given rows."""
        here = langevin_state(subsampled(energy, words), x)
        return SGLDState(here.x, here.value, here.score, words)

    def proposal(self, state: SGLDState) -> NormalProposal:
        """The law of the next point in the covering space."""
        here = LangevinState(state.x, state.value, state.score)
        return langevin_proposal(here, self.step_size, self.preconditioner)

    def step(self, energy: AbstractEnergy, state: SGLDState, *, key: PRNGKey) -> tuple[SGLDState, StepInfo]:
        noise_key, rows_key = jax.random.split(key)
        x = energy.space.fold(self.proposal(state).draw(key=noise_key))
        new = self.at(energy, x, self._words(rows_key))
        usable = jnp.isfinite(new.value) & all_finite(new.score)
        return select(usable, new, state), StepInfo.unless_nan(usable)

    def _words(self, key: PRNGKey) -> Int[Array, " batch"]:
        return jax.random.randint(key, (self.batch_size,), 0, jnp.iinfo(jnp.int32).max, jnp.int32)
