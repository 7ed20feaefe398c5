"""Kernels made of kernels: one after the other, one at random, several times."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array

from energax._errors import ArgumentError
from energax._typing import Configuration, PRNGKey, Scalar
from energax.energies import AbstractEnergy
from energax.kernels._base import AbstractKernel, AbstractState, StepInfo, as_step_size, seen_by, with_x


class ComposedState(AbstractState):
    """The configuration, and the state of each kernel; only that of the kernel that moved last is up to date."""

    x: Configuration
    states: tuple[Any, ...]


class _AbstractComposition(AbstractKernel):
    kernels: eqx.AbstractVar[tuple[AbstractKernel, ...]]

    @property
    def exact(self) -> bool:
        return all(kernel.exact for kernel in self.kernels)

    @property
    def needs(self) -> frozenset[str]:
        return frozenset().union(*(kernel.needs for kernel in self.kernels))

    @property
    def uses_hidden(self) -> bool:
        return any(kernel.uses_hidden for kernel in self.kernels)

    def init(self, energy: AbstractEnergy, x: Configuration, *, key: PRNGKey) -> ComposedState:
        keys = [jax.random.fold_in(key, i) for i in range(len(self.kernels))]
        states = [k.init(seen_by(energy, k), x, key=key) for k, key in zip(self.kernels, keys, strict=True)]
        return ComposedState(x, tuple(states))

    def refresh(self, energy: AbstractEnergy, state: ComposedState) -> ComposedState:
        states = [brought_to(energy, k, s, state.x) for k, s in zip(self.kernels, state.states, strict=True)]
        return ComposedState(state.x, tuple(states))


def brought_to(energy: AbstractEnergy, kernel: AbstractKernel, state: Any, x: Configuration) -> Any:
    """A kernel's state at the configuration that another kernel left: its auxiliaries, and caches that belong to x.

    A hidden part that block Gibbs carries is that of an older configuration then. It is never looked at: kernels that
    move the observed part alone exist only where the hidden part is one block, which the next sweep draws first.
    """
    return kernel.refresh(seen_by(energy, kernel), with_x(state, x))


class Cycle(_AbstractComposition):
    """Leaves invariant what all of its kernels do: one step of each, in order.

    The caches of a kernel are computed anew after another one has moved the configuration.

    Exactness: invariant if all kernels are. Not reversible in general, even if all kernels are.

    Cost: the sum of the kernels' costs, and the caches of each once more (an energy, or energy and score).

    Args:
        kernels: The kernels, in order; each sees the same energy. `OnPart` moves one part of a product space.

    Example:
        >>> from energax.kernels import MALA, Cycle, RandomWalk
        >>> Cycle((MALA(0.1), RandomWalk(1.0))).exact
        True

    References:
        [tierney1994]
    """

    kernels: tuple[AbstractKernel, ...] = eqx.field(converter=tuple)

    def __check_init__(self) -> None:
        _require_kernels("Cycle", self.kernels)

    def step(self, energy: AbstractEnergy, state: ComposedState, *, key: PRNGKey) -> tuple[ComposedState, StepInfo]:
        x, states, infos = state.x, [], []
        for i, (kernel, own) in enumerate(zip(self.kernels, state.states, strict=True)):
            if len(self.kernels) > 1:
                own = brought_to(energy, kernel, own, x)
            own, info = kernel.step(seen_by(energy, kernel), own, key=jax.random.fold_in(key, i))
            x = own.x
            states.append(own)
            infos.append(info)
        return ComposedState(x, tuple(states)), _together(infos)


class Mixture(_AbstractComposition):
    """Leaves invariant what all of its kernels do: a step of one of them, drawn anew with fixed probabilities.

    Exactness: invariant if all kernels are; reversible if all kernels are.

    Cost: that of the kernel that is drawn, and its caches. Chains that run side by side draw different kernels: there
    XLA computes a step of each kernel for each chain and keeps one.

    Args:
        kernels: The kernels.
        weights: A positive number for each, by default equal; made to sum to one. They must not depend on the state.

    Example:
        >>> from energax.kernels import Mixture, RandomWalk
        >>> Mixture((RandomWalk(0.1), RandomWalk(5.0)), (0.9, 0.1)).exact
        True

    References:
        [tierney1994]
    """

    kernels: tuple[AbstractKernel, ...]
    weights: tuple[Scalar, ...]
    """Numbers of their own, not one array: an axis of kernels must not look like that of a ladder."""

    def __init__(self, kernels: tuple[AbstractKernel, ...], weights: tuple[float | Scalar, ...] | None = None) -> None:
        self.kernels = tuple(kernels)
        _require_kernels("Mixture", self.kernels)
        given = [1.0] * len(self.kernels) if weights is None else list(weights)
        self.weights = tuple(as_step_size(w) for w in given)

    def __check_init__(self) -> None:
        known = [float(w) for w in self.weights if eqx.is_array(w) and not isinstance(w, Tracer)]
        if len(self.weights) != len(self.kernels) or not all(np.isfinite(known)) or not all(w > 0 for w in known):
            raise ArgumentError(
                f"Mixture needs a positive weight for each of its {len(self.kernels)} kernels, got {known}."
            )

    @property
    def log_weights(self) -> Array:
        """Log-probabilities of the kernels, up to a constant."""
        return jnp.log(jnp.stack(self.weights))

    def step(self, energy: AbstractEnergy, state: ComposedState, *, key: PRNGKey) -> tuple[ComposedState, StepInfo]:
        choice_key, step_key = jax.random.split(key)

        def branch(i: int, state: ComposedState) -> tuple[ComposedState, StepInfo]:
            kernel = self.kernels[i]
            own = brought_to(energy, kernel, state.states[i], state.x)
            own, info = kernel.step(seen_by(energy, kernel), own, key=step_key)
            states = (*state.states[:i], own, *state.states[i + 1 :])
            # Kernels may count in different precisions; the branches of a switch may not.
            return ComposedState(own.x, states), _together([info])

        branches = [lambda state, i=i: branch(i, state) for i in range(len(self.kernels))]
        return jax.lax.switch(jax.random.categorical(choice_key, self.log_weights), branches, state)


class Repeat(_AbstractComposition):
    """Leaves invariant what its kernel does: several steps of one kernel counted as one.

    Gives kernels of a `Cycle` their shares, and a ladder or a schedule steps of equal length.

    Exactness: that of the kernel.

    Cost: `num_steps` times that of the kernel.

    Args:
        kernel: The kernel.
        num_steps: Number of its steps, a static integer.

    Example:
        >>> from energax.kernels import HMC, Cycle, RandomWalk, Repeat
        >>> Cycle((HMC(0.1), Repeat(RandomWalk(1.0), 5))).needs == {"score", "continuous"}
        True
    """

    kernel: AbstractKernel
    num_steps: int = eqx.field(static=True)

    def __check_init__(self) -> None:
        _require_kernels("Repeat", (self.kernel,))
        if not isinstance(self.num_steps, int) or self.num_steps < 1:
            raise ArgumentError(f"Repeat needs num_steps of at least 1, got {self.num_steps}.")

    @property
    def kernels(self) -> tuple[AbstractKernel, ...]:
        """The one kernel."""
        return (self.kernel,)

    def step(self, energy: AbstractEnergy, state: ComposedState, *, key: PRNGKey) -> tuple[ComposedState, StepInfo]:
        seen = seen_by(energy, self.kernel)

        def one(i: Array, carry: tuple[Any, StepInfo]) -> tuple[Any, StepInfo]:
            own, total = carry
            own, info = self.kernel.step(seen, own, key=jax.random.fold_in(key, i))
            mean = total.accept_prob + info.accept_prob.astype(total.accept_prob.dtype) / self.num_steps
            return own, StepInfo(mean, total.accepted | info.accepted, total.is_finite & info.is_finite)

        (own,) = state.states
        nothing = StepInfo(jnp.zeros(()), jnp.zeros((), bool), jnp.ones((), bool))
        own, info = jax.lax.fori_loop(0, self.num_steps, one, (own, nothing))
        return ComposedState(own.x, (own,)), info


def _together(infos: list[StepInfo]) -> StepInfo:
    """Mean acceptance; moved if any kernel moved; finite if all proposals were."""
    return StepInfo(
        jnp.mean(jnp.stack([info.accept_prob.astype(float) for info in infos])),
        jnp.any(jnp.stack([info.accepted for info in infos])),
        jnp.all(jnp.stack([info.is_finite for info in infos])),
    )


def _require_kernels(name: str, kernels: tuple[AbstractKernel, ...]) -> None:
    if not kernels:
        raise ArgumentError(f"{name} needs at least one kernel.")
    for kernel in kernels:
        if not isinstance(kernel, AbstractKernel):
            raise ArgumentError(f"{name} is made of kernels, got {kernel!r}.")
