"""Step sizes tuned to an acceptance rate during warm-up."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax.numpy as jnp

from energax._errors import ArgumentError
from energax._typing import Scalar
from energax.kernels import AbstractStepSizeKernel


class StepSizeAdaptation(eqx.Module):
    """Dual averaging of log(step size) towards an acceptance probability, pooled over all chains.

    Runs during warm-up only; the draws that are kept come from one fixed kernel, so that exactness is untouched.
    The mean acceptance over chains is the one declared operation across chains.

    Args:
        target_accept_prob: Wanted acceptance; by default that of the kernel.

    References:
        [hoffman2014], through BlackJAX's implementation.
    """

    target_accept_prob: float | None = eqx.field(static=True, default=None)

    def __check_init__(self) -> None:
        if self.target_accept_prob is not None and not 0 < self.target_accept_prob < 1:
            raise ArgumentError(f"target_accept_prob must lie between 0 and 1, got {self.target_accept_prob}.")

    def init(self, kernel: AbstractStepSizeKernel) -> Any:
        """State of the adaptation at the kernel's own step size."""
        state = _dual_averaging()[0](kernel.step_size)
        dtype = kernel.step_size.dtype
        return state._replace(**{name: jnp.asarray(value, dtype) for name, value in state._asdict().items()})

    def update(self, kernel: AbstractStepSizeKernel, state: Any, accept_prob: Scalar) -> Any:
        """The state after a step with the given mean acceptance."""
        target = kernel.target_accept_prob if self.target_accept_prob is None else self.target_accept_prob
        return _dual_averaging()[1](state, target - jnp.nan_to_num(accept_prob))

    def current(self, kernel: AbstractStepSizeKernel, state: Any) -> AbstractStepSizeKernel:
        """The kernel with the step size to try next."""
        return kernel.with_step_size(jnp.exp(state.log_x).astype(kernel.step_size.dtype))

    def finalize(self, kernel: AbstractStepSizeKernel, state: Any) -> AbstractStepSizeKernel:
        """The kernel with the averaged step size."""
        return kernel.with_step_size(jnp.exp(state.log_x_avg).astype(kernel.step_size.dtype))


def _dual_averaging() -> Any:
    from blackjax.optimizers.dual_averaging import dual_averaging  # heavy import, needed only when adapting

    return dual_averaging(t0=10, gamma=0.05, kappa=0.75)
