"""What a Markov transition is, and the check that it fits an energy."""

import abc
import functools
from typing import TYPE_CHECKING, Any, Self

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from energax._errors import ArgumentError, KernelMismatch
from energax._typing import BoolScalar, Configuration, PRNGKey, Scalar
from energax.energies import AbstractEnergy, capabilities, latent, marginal, observed_space
from energax.spaces import AbstractSpace, Product


class AbstractState(eqx.Module):
    """A kernel's memory inside one driver call: the observed configuration, auxiliaries, and caches of one energy."""

    if TYPE_CHECKING:

        @property
        def x(self) -> Configuration:
            """The observed configuration."""
            ...
    else:
        x: eqx.AbstractVar[Configuration]


@functools.singledispatch
def with_x(state: Any, x: Configuration) -> Any:
    """The state with another configuration; its caches are those of the old one until `refresh`.

    States that do not hold `x` as it is register how they take it.
    """
    return eqx.tree_at(lambda s: s.x, state, x)


class StepInfo(eqx.Module):
    """What happened in one transition.

    Attributes:
        accept_prob: Probability with which the proposal was accepted; 1 for kernels that do not reject.
        accepted: Whether the configuration was replaced.
        is_finite: False where the proposal had a NaN or −inf energy, a score or a conditional law that is NaN; such a
            proposal is rejected and counted. A kernel without a rejection of its own counts +inf as well.
    """

    accept_prob: Scalar
    accepted: BoolScalar
    is_finite: BoolScalar

    @staticmethod
    def unless_nan(is_finite: BoolScalar) -> "StepInfo":
        """The info of a transition that is rejected only where it met a number that is not finite."""
        return StepInfo(is_finite.astype(float), is_finite, is_finite)


class AbstractKernel(eqx.Module):
    """One Markov transition of one configuration, built for any energy that offers what the kernel needs.

    The energy is an argument of every call, never part of the kernel: parameters, temperatures and conditions may
    change between calls without recompilation. A state holds caches of the energy that it was made with; `refresh`
    recomputes them for another one.
    """

    @property
    @abc.abstractmethod
    def exact(self) -> bool:
        """Whether exp(−E) is left invariant at any step size."""

    @property
    @abc.abstractmethod
    def needs(self) -> frozenset[str]:
        """Names of the capabilities that the energy must offer."""

    @property
    def uses_hidden(self) -> bool:
        """Whether the kernel moves the hidden parts of a latent energy itself; others see its marginal."""
        return False

    @abc.abstractmethod
    def init(self, energy: AbstractEnergy, x: Configuration, *, key: PRNGKey) -> Any:
        """State at the observed configuration `x`."""

    @abc.abstractmethod
    def refresh(self, energy: AbstractEnergy, state: Any) -> Any:
        """The same configuration and auxiliaries, with caches recomputed for `energy`."""

    @abc.abstractmethod
    def step(self, energy: AbstractEnergy, state: Any, *, key: PRNGKey) -> tuple[Any, StepInfo]:
        """One transition."""


class AbstractStepSizeKernel(AbstractKernel):
    """A kernel with a step size that can be tuned to an acceptance rate."""

    step_size: eqx.AbstractVar[Scalar]

    def __check_init__(self) -> None:
        require_positive(self, "step_size", self.step_size)

    @property
    @abc.abstractmethod
    def target_accept_prob(self) -> float:
        """Acceptance probability at which the kernel is most efficient on product targets of high dimension."""

    def with_step_size(self, step_size: Scalar) -> Self:
        """The same kernel with another step size."""
        return eqx.tree_at(lambda kernel: kernel.step_size, self, step_size)


def target(energy: AbstractEnergy, kernel: AbstractKernel) -> AbstractEnergy:
    """The energy that `kernel` moves in, after checking that the two fit.

    That is the joint energy for kernels that draw hidden units themselves, and the marginal for all others; both
    have the same observed law.

    Raises:
        KernelMismatch: The energy does not offer what the kernel needs; the message names kernels that would work.
    """
    missing = kernel.needs - capabilities(energy)
    if missing:
        space = observed_space(energy)
        raise KernelMismatch(
            f"{type(kernel).__name__} needs {_readable(min(missing))}, but {type(energy).__name__} has space={space}"
            f"{'' if missing != {'blocks'} else ' and no known blocks'}. Try {' or '.join(suggestions(energy))}."
        )
    return seen_by(energy, kernel)


def seen_by(energy: AbstractEnergy, kernel: AbstractKernel) -> AbstractEnergy:
    """The energy that a kernel moves in: the joint one, or the marginal where it does not draw hidden parts itself."""
    return energy if kernel.uses_hidden or latent(energy) is None else marginal(energy)


def suggestions(energy: AbstractEnergy) -> list[str]:
    """Kernels that would work for `energy`, best first."""
    return _suggested(capabilities(energy)) or [_suggested_for_parts(observed_space(energy), capabilities(energy))]


def _suggested(offered: frozenset[str]) -> list[str]:
    known = [
        ("BlockGibbs()", "blocks"),
        ("HeatBath()", "conditional_logits"),
        ("GibbsWithGradients()", "conditional_logits"),
        ("HMC(step_size=0.1)", "score"),
        ("MALA(step_size=0.01)", "score"),
        ("RandomWalk(step_size=0.1)", "continuous"),
    ]
    return [text for text, need in known if need in offered][:2]


def _suggested_for_parts(space: AbstractSpace, offered: frozenset[str]) -> str:
    """A cycle with a kernel for each part of a product space that no single kernel fits."""
    names = list(space.parts) if isinstance(space, Product) else []
    on_part = []
    for name in names:
        own = frozenset(need.removeprefix(f"{name}.") for need in offered if need.startswith(f"{name}."))
        on_part += [f"OnPart({text}, {name!r})" for text in _suggested(own)[:1]]
    return f"Cycle(({', '.join(on_part)},))" if on_part else "a kernel of your own"


def require_positive(kernel: AbstractKernel, name: str, value: Any) -> None:
    """Raise ArgumentError unless a hyper-parameter is positive and finite; a traced one is let through."""
    if eqx.is_array(value) and not isinstance(value, Tracer):
        numbers = np.asarray(value)
        if not np.all((numbers > 0) & np.isfinite(numbers)):
            shown = np.array2string(numbers, precision=6)
            raise ArgumentError(f"{type(kernel).__name__} needs a positive {name}, got {shown}.")


def as_step_size(value: Any) -> Scalar:
    """A step size as a traced leaf of a fixed dtype, so that a new value never recompiles."""
    return jnp.asarray(value, jnp.result_type(float) if isinstance(value, int | float) else None)


def _readable(need: str) -> str:
    part, dot, own = need.rpartition(".")
    return f"{_READABLE[own]} in a part {part!r}" if dot else _READABLE[own]


_READABLE = {
    "continuous": "a continuous space",
    "score": "a score, that is a continuous space",
    "bonds": "pair couplings of discrete sites (`energies.bonds`)",
    "blocks": "blocks of conditionally independent sites",
    "conditional_logits": "discrete sites",
    "flip_deltas": "two-valued sites",
    "energy": "an energy",
}
