"""Underdamped Langevin dynamics, split into kicks, drifts and an exact friction step."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp

from energax._errors import ArgumentError
from energax._typing import Configuration, PRNGKey, Scalar
from energax.energies import AbstractEnergy
from energax.kernels._base import AbstractState, AbstractStepSizeKernel, StepInfo, as_step_size, require_positive
from energax.kernels._langevin import langevin_state
from energax.kernels._metropolis import all_finite, combine, normal_like, select
from energax.kernels._preconditioner import as_factor, check_preconditioner, scaled, transposed

SCHEMES = ("baoab", "obabo")


class UnderdampedState(AbstractState):
    """Configuration, its energy and score, and the momentum."""

    x: Configuration
    value: Scalar
    score: Configuration
    momentum: Configuration


class UnderdampedLangevin(AbstractStepSizeKernel):
    """Samples approximately from exp(−E): dx = p dt, dp = (−∇E(x) − γp) dt + √(2γ) dW, in a splitting scheme.

    B: p ← p + ½h Lᵀs(x), with s = −∇E; A: x ← x + ½h L p (``"obabo"``: the whole h at once); O: p ← c p + √(1 − c²) ξ,
    with c = exp(−γh), which solves the friction exactly (``"obabo"``: twice, over half of the time each). L is the
    identity by default; else the mass matrix is (L Lᵀ)⁻¹ and p the momentum in the coordinates L⁻¹x.

    Exactness: biased by O(h²). On the quadratic ½kx² the configurations of ``"baoab"`` have the variance 1/k for any
    h < 2/√k, and those of ``"obabo"`` 1/(k(1 − kh²/4)).

    Cost: one evaluation of energy and score per step. The momentum is drawn once, from N(0, I), and goes on from
    step to step; a step that meets a number that is not finite is refused and counted, and turns the momentum round.

    Args:
        step_size: Time step h > 0, in units of x for unit mass. Stable on a quadratic of curvature k for h < 2/√k.
        friction: γ > 0, an inverse time. About the frequency of the slowest direction, 1 for standardised targets;
            smaller is ballistic and slow to change the momentum, larger is diffusive.
        scheme: ``"baoab"``, the most accurate one for averages over configurations, or ``"obabo"``.
        preconditioner: L as in `ULA`. Time is then in units in which it makes the target standard.

    Raises:
        ArgumentError: The step size or the friction is not positive, or the scheme is unknown.

    References:
        [leimkuhler2013]
    """

    step_size: Scalar = eqx.field(converter=as_step_size)
    friction: Scalar = eqx.field(converter=as_step_size, default=1.0)
    scheme: str = eqx.field(static=True, default="baoab")
    preconditioner: Configuration = eqx.field(converter=as_factor, default=None)

    def __check_init__(self) -> None:
        if self.scheme not in SCHEMES:
            raise ArgumentError(f"UnderdampedLangevin knows the schemes {', '.join(SCHEMES)}, got {self.scheme!r}.")
        require_positive(self, "friction", self.friction)

    @property
    def exact(self) -> bool:
        return False

    @property
    def needs(self) -> frozenset[str]:
        return frozenset({"score"})

    @property
    def target_accept_prob(self) -> float:
        return 0.8

    @property
    def num_noises(self) -> int:
        """How many standard normal configurations one step uses."""
        return 1 if self.scheme == "baoab" else 2

    def init(self, energy: AbstractEnergy, x: Configuration, *, key: PRNGKey) -> UnderdampedState:
        check_preconditioner(energy, self.preconditioner, x)
        here = langevin_state(energy, x)
        return UnderdampedState(here.x, here.value, here.score, normal_like(x, key=key))

    def refresh(self, energy: AbstractEnergy, state: UnderdampedState) -> UnderdampedState:
        here = langevin_state(energy, state.x)
        return UnderdampedState(here.x, here.value, here.score, state.momentum)

    def move(self, energy: AbstractEnergy, state: UnderdampedState, noises: list[Configuration]) -> UnderdampedState:
        """One step in the covering space with given noise, `num_noises` configurations of standard normal numbers."""
        if self.scheme == "baoab":
            p = self._kicked(state.momentum, state.score)
            half = self._drifted(state.x, p, 0.5)
            p = self._rubbed(p, noises[0], 1.0)
            there = langevin_state(energy, self._drifted(half, p, 0.5))
            p = self._kicked(p, there.score)
        else:
            p = self._kicked(self._rubbed(state.momentum, noises[0], 0.5), state.score)
            there = langevin_state(energy, self._drifted(state.x, p, 1.0))
            p = self._rubbed(self._kicked(p, there.score), noises[1], 0.5)
        return UnderdampedState(there.x, there.value, there.score, p)

    def step(
        self, energy: AbstractEnergy, state: UnderdampedState, *, key: PRNGKey
    ) -> tuple[UnderdampedState, StepInfo]:
        keys = jax.random.split(key, self.num_noises)
        new = self.move(energy, state, [normal_like(state.x, key=k) for k in keys])
        usable = jnp.isfinite(new.value) & all_finite(new.score)
        # Turned round, the chain leaves the place where it was refused instead of running into it again.
        back = UnderdampedState(state.x, state.value, state.score, combine(jnp.negative, state.momentum))
        return select(usable, fold_with_momentum(energy, new), back), StepInfo.unless_nan(usable)

    def _kicked(self, p: Configuration, score: Configuration) -> Configuration:
        pull = transposed(self.preconditioner, score)
        return combine(lambda p, s: p + 0.5 * self.step_size.astype(p.dtype) * s, p, pull)

    def _drifted(self, x: Configuration, p: Configuration, share: float) -> Configuration:
        velocity = scaled(self.preconditioner, p)
        return combine(lambda x, v: x + share * self.step_size.astype(x.dtype) * v, x, velocity)

    def _rubbed(self, p: Configuration, noise: Configuration, share: float) -> Configuration:
        """Friction and noise over a share of the time step."""
        exponent = share * self.friction * self.step_size
        keep, noise_scale = jnp.exp(-exponent), jnp.sqrt(-jnp.expm1(-2 * exponent))
        return combine(lambda p, z: keep.astype(p.dtype) * p + noise_scale.astype(p.dtype) * z, p, noise)


def fold_with_momentum(energy: AbstractEnergy, state: UnderdampedState) -> UnderdampedState:
    """The state brought back from the covering space; score and momentum follow the fold, whose derivative is ±1."""
    folded, pull = jax.vjp(energy.space.fold, state.x)
    return UnderdampedState(folded, state.value, pull(state.score)[0], pull(state.momentum)[0])
