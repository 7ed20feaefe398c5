"""Hamiltonian Monte Carlo with a fixed number of leapfrog steps."""

from __future__ import annotations

import equinox as eqx
import jax

from energax._errors import ArgumentError
from energax._typing import Configuration, PRNGKey, Scalar
from energax.energies import AbstractEnergy
from energax.kernels._base import AbstractStepSizeKernel, StepInfo, as_step_size
from energax.kernels._langevin import LangevinState, fold_state, langevin_state
from energax.kernels._metropolis import combine, metropolis, normal_like, select, squared_norm
from energax.kernels._preconditioner import as_factor, check_preconditioner, scaled, transposed


class HMC(AbstractStepSizeKernel):
    """Leaves exp(−E) invariant: leapfrog dynamics of H(x, p) = E(x) + ½‖p‖² from a fresh momentum p ~ N(0, I).

    One leapfrog step: p ← p + ½ε Lᵀs(x), x ← x + ε L p, p ← p + ½ε Lᵀs(x) with s = −∇E; the end point is accepted with
    probability min(1, exp(−ΔH)). L is the identity by default; else the mass matrix is (L Lᵀ)⁻¹ and p the momentum in
    the coordinates L⁻¹x.

    Exactness: invariant at any step size: the map is reversible and preserves volume, on boxes and tori as well,
    where it is made in the covering space.

    Cost: `num_leapfrog` evaluations of energy and score per step.

    Args:
        step_size: Time step ε > 0, units of x. Tune to an acceptance of about 0.65 to 0.8.
        num_leapfrog: Number of leapfrog steps, a static integer; ε times it should be near a quarter period of the
            slowest direction.
        preconditioner: L as in `ULA`, fixed during a run. The time step is then in units in which L makes the target
            standard.

    References:
        [duane1987], [neal2011]
    """

    step_size: Scalar = eqx.field(converter=as_step_size)
    num_leapfrog: int = eqx.field(static=True, default=10)
    preconditioner: Configuration = eqx.field(converter=as_factor, default=None)

    def __check_init__(self) -> None:
        if self.num_leapfrog < 1:
            raise ArgumentError(f"HMC needs num_leapfrog of at least 1, got {self.num_leapfrog}.")

    @property
    def exact(self) -> bool:
        return True

    @property
    def needs(self) -> frozenset[str]:
        return frozenset({"score"})

    @property
    def target_accept_prob(self) -> float:
        return 0.8

    def init(self, energy: AbstractEnergy, x: Configuration, *, key: PRNGKey) -> LangevinState:
        del key
        check_preconditioner(energy, self.preconditioner, x)
        return langevin_state(energy, x)

    def refresh(self, energy: AbstractEnergy, state: LangevinState) -> LangevinState:
        return langevin_state(energy, state.x)

    def trajectory(
        self, energy: AbstractEnergy, state: LangevinState, momentum: Configuration
    ) -> tuple[LangevinState, Configuration]:
        """The end of a leapfrog trajectory in the covering space; reversed by changing the sign of the momentum."""

        def leapfrog(_: int, carry: tuple[LangevinState, Configuration]) -> tuple[LangevinState, Configuration]:
            here, p = carry
            p = kicked(p, here.score)
            velocity = scaled(self.preconditioner, p)
            there = langevin_state(
                energy, combine(lambda x, v: x + self.step_size.astype(x.dtype) * v, here.x, velocity)
            )
            return there, kicked(p, there.score)

        def kicked(p: Configuration, score: Configuration) -> Configuration:
            pull = transposed(self.preconditioner, score)
            return combine(lambda p, s: p + 0.5 * self.step_size.astype(p.dtype) * s, p, pull)

        return jax.lax.fori_loop(0, self.num_leapfrog, leapfrog, (state, momentum))

    def step(self, energy: AbstractEnergy, state: LangevinState, *, key: PRNGKey) -> tuple[LangevinState, StepInfo]:
        momentum_key, accept_key = jax.random.split(key)
        p = normal_like(state.x, key=momentum_key)
        new, p_new = self.trajectory(energy, state, p)
        log_ratio = state.value - new.value + 0.5 * (squared_norm(p) - squared_norm(p_new))
        info = metropolis(log_ratio, new.value, key=accept_key)
        return select(info.accepted, fold_state(energy, new), state), info
