"""Kernels of BlackJAX under the interface of energax: the energy is an argument, caches are refreshed, walls fold.

This is the only file that knows BlackJAX's kernels and their warm-ups; it is imported when one of them is first used.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array

from energax._errors import ArgumentError
from energax._typing import BoolScalar, Configuration, PRNGKey, Scalar
from energax.energies import AbstractEnergy
from energax.kernels._base import AbstractStepSizeKernel, StepInfo, as_step_size, require_positive
from energax.kernels._langevin import LangevinState, fold_state, langevin_state
from energax.kernels._metropolis import select
from energax.kernels._preconditioner import as_factor, check_preconditioner, is_matrix
from energax.kernels._underdamped import UnderdampedState, fold_with_momentum


class NUTS(AbstractStepSizeKernel):
    """Leaves exp(−E) invariant: the no-U-turn sampler, which doubles a leapfrog trajectory until it turns back.

    The next configuration is drawn from the trajectory with the weights exp(−H), in BlackJAX's iterative form with
    multinomial sampling. The momentum has the mass matrix (L Lᵀ)⁻¹.

    Exactness: invariant at any step size.

    Cost: 2^k − 1 evaluations of energy and score with k ≤ `max_doublings`. Chains that run side by side wait for the
    longest trajectory among them.

    Args:
        step_size: Time step ε > 0. Tune with `sampling.warm_up`, which aims at an acceptance of 0.8.
        preconditioner: L as in `ULA`.
        max_doublings: Largest number of doublings, a static integer.

    References:
        [hoffman2014], [betancourt2017], through BlackJAX's implementation [cabezas2024].
    """

    step_size: Scalar = eqx.field(converter=as_step_size)
    preconditioner: Configuration = eqx.field(converter=as_factor, default=None)
    max_doublings: int = eqx.field(static=True, default=10)

    def __check_init__(self) -> None:
        if self.max_doublings < 1:
            raise ArgumentError(f"NUTS needs max_doublings of at least 1, got {self.max_doublings}.")

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

    def step(self, energy: AbstractEnergy, state: LangevinState, *, key: PRNGKey) -> tuple[LangevinState, StepInfo]:
        blackjax = _blackjax()
        # BlackJAX mixes the default precision into the weights of a trajectory, so the state has to have it as well.
        default = jnp.result_type(float)
        here = _cast(blackjax.mcmc.hmc.HMCState(state.x, -state.value, state.score), default)
        mass = inverse_mass(self.preconditioner, here.position)
        there, info = blackjax.nuts.build_kernel()(
            key, here, log_density(energy), self.step_size, mass, self.max_doublings
        )
        there, moved = _cast(there, state.value.dtype), is_other(there.position, here.position)
        ends = jnp.stack([info.trajectory_leftmost_state.logdensity, info.trajectory_rightmost_state.logdensity])
        new = fold_state(energy, LangevinState(there.position, -there.logdensity, there.logdensity_grad))
        return select(moved, new, state), StepInfo(_probability(info.acceptance_rate), moved, jnp.all(_is_sane(ends)))

    def tuned(
        self, energy: AbstractEnergy, x: Configuration, num_steps: int, *, key: PRNGKey
    ) -> tuple[NUTS, Configuration, Array]:
        """Stan's windows from this kernel's step size and L: the tuned kernel, the last x, how many gradients."""
        blackjax = _blackjax()
        dense = self.preconditioner is not None and is_matrix(self.preconditioner, x)
        start = _cast(x, jnp.result_type(float))
        (last, found), counts = blackjax.window_adaptation(
            blackjax.nuts, log_density(energy), is_mass_matrix_diagonal=not dense, initial_step_size=self.step_size,
            initial_inverse_mass_matrix=inverse_mass(self.preconditioner, start),
            target_acceptance_rate=self.target_accept_prob, max_num_doublings=self.max_doublings,
            adaptation_info_fn=lambda state, info, adaptation: info.num_integration_steps,
        ).run(key, start, num_steps)  # fmt: skip
        mass = found["inverse_mass_matrix"]
        factor = jnp.linalg.cholesky(mass) if dense else ravel_pytree(start)[1](jnp.sqrt(mass))
        kernel = self._like(found["step_size"], factor)
        return kernel, _ended(energy, last.position, x), jnp.sum(counts)

    def _like(self, step_size: Scalar, factor: Configuration) -> NUTS:
        dtype = self.step_size.dtype
        return NUTS(step_size.astype(dtype), _cast(factor, dtype), self.max_doublings)


class MCLMC(AbstractStepSizeKernel):
    """Samples approximately from exp(−E): microcanonical Langevin dynamics, at constant speed along the score.

    The momentum is a unit vector u: du = (1 − uuᵀ) Lᵀs(x) dt/(d − 1) plus noise that turns it in a time ℓ, and
    dx = L u dt, with s = −∇E, in McLachlan's splitting.

    Exactness: biased by O(h²) and more in few dimensions; tuned by the variance of the energy error per dimension,
    which bounds the bias in practice but not by a theorem.

    Cost: two evaluations of energy and score per step. Needs two dimensions or more. A step that meets a number that
    is not finite is refused and counted.

    Args:
        step_size: Length h > 0 of a step, in units of L z. `sampling.warm_up` finds it.
        decoherence: Length ℓ > 0 over which the direction is forgotten. 2√d to 4√d for a standardised target, more
            where the shape is hard.
        preconditioner: L as in `ULA`, but only diagonal.

    References:
        [robnik2023], [robnik2024], through BlackJAX's implementation [cabezas2024].
    """

    step_size: Scalar = eqx.field(converter=as_step_size)
    decoherence: Scalar = eqx.field(converter=as_step_size)
    preconditioner: Configuration = eqx.field(converter=as_factor, default=None)

    def __check_init__(self) -> None:
        require_positive(self, "decoherence", self.decoherence)

    @property
    def exact(self) -> bool:
        return False

    @property
    def needs(self) -> frozenset[str]:
        return frozenset({"score"})

    @property
    def target_accept_prob(self) -> float:
        return 0.9

    def init(self, energy: AbstractEnergy, x: Configuration, *, key: PRNGKey) -> UnderdampedState:
        _require_diagonal(self, energy, x)
        here = langevin_state(energy, x)
        return UnderdampedState(here.x, here.value, here.score, _blackjax().util.generate_unit_vector(key, x))

    def refresh(self, energy: AbstractEnergy, state: UnderdampedState) -> UnderdampedState:
        here = langevin_state(energy, state.x)
        return UnderdampedState(here.x, here.value, here.score, state.momentum)

    def step(
        self, energy: AbstractEnergy, state: UnderdampedState, *, key: PRNGKey
    ) -> tuple[UnderdampedState, StepInfo]:
        new, info, _ = self.step_with_error(energy, state, key=key)
        return new, info

    def step_with_error(
        self, energy: AbstractEnergy, state: UnderdampedState, *, key: PRNGKey
    ) -> tuple[UnderdampedState, StepInfo, Scalar]:
        """The same, and by how much the step missed its constant energy: what a warm-up looks at."""
        blackjax = _blackjax()
        here = blackjax.mcmc.integrators.IntegratorState(state.x, state.momentum, -state.value, state.score)
        mass = inverse_mass(self.preconditioner, state.x)
        there, info = blackjax.mclmc.build_kernel()(
            key, here, log_density(energy), mass, self.decoherence, self.step_size
        )
        new = UnderdampedState(there.position, -there.logdensity, there.logdensity_grad, there.momentum)
        stayed = UnderdampedState(state.x, state.value, state.score, there.momentum)
        chosen = select(info.nonans, fold_with_momentum(energy, new), stayed)
        return chosen, StepInfo.unless_nan(info.nonans), jnp.where(info.nonans, info.energy_change, jnp.inf)


class AdjustedMCLMC(AbstractStepSizeKernel):
    """Leaves exp(−E) invariant: microcanonical trajectories from a fresh direction, accepted by Metropolis–Hastings.

    The number of integrator steps is uniform from 1 to about twice its mean ℓ/h, so that no period resonates.

    Exactness: invariant at any step size: McLachlan's isokinetic splitting is reversible, and its change of kinetic
    energy, which is the log-volume, enters the acceptance.

    Cost: 2ℓ/h evaluations of energy and score on average. Needs two dimensions or more.

    Args:
        step_size: Length h > 0 of a step, in units of L z. `sampling.warm_up` finds it, for an acceptance of 0.9.
        trajectory_length: Mean length ℓ ≥ h of a trajectory.
        preconditioner: L as in `ULA`, but only diagonal.

    References:
        [robnik2025], through BlackJAX's implementation [cabezas2024].
    """

    step_size: Scalar = eqx.field(converter=as_step_size)
    trajectory_length: Scalar = eqx.field(converter=as_step_size)
    preconditioner: Configuration = eqx.field(converter=as_factor, default=None)

    def __check_init__(self) -> None:
        require_positive(self, "trajectory_length", self.trajectory_length)

    @property
    def exact(self) -> bool:
        return True

    @property
    def needs(self) -> frozenset[str]:
        return frozenset({"score"})

    @property
    def target_accept_prob(self) -> float:
        return 0.9

    def init(self, energy: AbstractEnergy, x: Configuration, *, key: PRNGKey) -> LangevinState:
        del key
        _require_diagonal(self, energy, x)
        return langevin_state(energy, x)

    def refresh(self, energy: AbstractEnergy, state: LangevinState) -> LangevinState:
        return langevin_state(energy, state.x)

    def step(self, energy: AbstractEnergy, state: LangevinState, *, key: PRNGKey) -> tuple[LangevinState, StepInfo]:
        length_key, step_key = jax.random.split(key)
        here = _blackjax().mcmc.dynamic_hmc.DynamicHMCState(state.x, -state.value, state.score, length_key)
        there, info = adjusted_kernel()(
            step_key, here, log_density(energy), self.step_size,
            inverse_mass_matrix=inverse_mass(self.preconditioner, state.x),
            integration_steps_params=(self.trajectory_length / self.step_size,),
        )  # fmt: skip
        new = fold_state(energy, LangevinState(there.position, -there.logdensity, there.logdensity_grad))
        told = StepInfo(_probability(info.acceptance_rate), info.is_accepted, _is_sane(-info.energy))
        return select(info.is_accepted, new, state), told

    def tuned(
        self, energy: AbstractEnergy, x: Configuration, num_steps: int, *, key: PRNGKey
    ) -> tuple[AdjustedMCLMC, Configuration, Array]:
        """Step size from the acceptance at this kernel's ℓ/h, L from the spread; and how many gradients."""
        blackjax = _blackjax()
        begin_key, key = jax.random.split(key)
        density = log_density(energy)
        state, found, count = blackjax.adjusted_mclmc_find_L_and_step_size(
            adjusted_kernel(), density, num_steps, blackjax.adjusted_mclmc_dynamic.init(x, density, begin_key), key,
            target=self.target_accept_prob, frac_tune1=1 / 3, frac_tune2=1 / 3,
            params=_parameters(self.trajectory_length, self.step_size, inverse_mass(self.preconditioner, x)),
            target_num_integration_steps=jnp.maximum(self.trajectory_length / self.step_size, 1.2),
        )  # fmt: skip
        mass = ravel_pytree(x)[1](jnp.sqrt(found.inverse_mass_matrix))
        kernel = AdjustedMCLMC(found.step_size, found.L, mass)
        return kernel, _ended(energy, state.position, x), jnp.asarray(2 * count)


def _parameters(length: Scalar, step_size: Scalar, mass: Array) -> Any:
    return _blackjax().adaptation.mclmc_adaptation.MCLMCAdaptationState(length, step_size, mass)


def _ended(energy: AbstractEnergy, position: Configuration, like: Configuration) -> Configuration:
    return energy.space.fold(jax.tree.map(lambda new, old: new.astype(old.dtype), position, like))


def adjusted_kernel() -> Callable[..., Any]:
    """BlackJAX's adjusted microcanonical kernel with random numbers of steps."""
    module = _blackjax().mcmc.adjusted_mclmc_dynamic
    lengths = module.make_random_trajectory_length_fn(True)  # noqa: FBT003
    return module.build_kernel(integration_steps_fn=lengths)


def _blackjax() -> Any:
    """The package, whose types promise Python numbers where arrays go in and come out."""
    import blackjax
    import blackjax.adaptation.mclmc_adaptation
    import blackjax.mcmc.adjusted_mclmc_dynamic
    import blackjax.mcmc.dynamic_hmc

    return blackjax


def log_density(energy: AbstractEnergy) -> Callable[[Configuration], Scalar]:
    """−E on the covering space."""
    return lambda y: -energy(energy.space.fold(y))


def inverse_mass(factor: Configuration, x: Configuration) -> Array:
    """P = L Lᵀ as BlackJAX wants it: the diagonal over the flattened configuration, or a matrix."""
    if factor is None:
        return jnp.ones_like(ravel_pytree(x)[0])
    return factor @ factor.T if is_matrix(factor, x) else ravel_pytree(factor)[0] ** 2


def _cast(tree: Any, dtype: Any) -> Any:
    return jax.tree.map(lambda leaf: leaf.astype(dtype), tree)


def is_other(new: Configuration, old: Configuration) -> BoolScalar:
    """Whether any number differs."""
    return jnp.any(ravel_pytree(jax.tree.map(jnp.not_equal, new, old))[0])


def _is_sane(log_density: Array) -> Array:
    """Neither NaN nor an infinite density; an infinite energy lies outside the support and is an ordinary rejection."""
    return ~jnp.isnan(log_density) & (log_density < jnp.inf)


def _probability(rate: Scalar) -> Scalar:
    """BlackJAX averages over a trajectory in logarithms, which may round past one."""
    return jnp.clip(jnp.nan_to_num(rate), 0.0, 1.0)


def _require_diagonal(kernel: MCLMC | AdjustedMCLMC, energy: AbstractEnergy, x: Configuration) -> None:
    name, factor = type(kernel).__name__, kernel.preconditioner
    if factor is not None and is_matrix(factor, x):
        raise ArgumentError(f"{name} takes a diagonal preconditioner, got a matrix of shape {jnp.shape(factor)}.")
    check_preconditioner(energy, factor, x)
    if ravel_pytree(x)[0].size < 2:
        raise ArgumentError(f"{name} needs two dimensions or more, but {energy.space} has one. Try HMC or NUTS.")
