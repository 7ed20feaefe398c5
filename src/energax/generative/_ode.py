"""Ordinary differential equations: how they are solved, and what they do to volumes. Only this file knows Diffrax."""

from __future__ import annotations

import abc
import importlib
from collections.abc import Callable
from typing import Any, Literal, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree

from energax._errors import ArgumentError, MissingExtra
from energax._typing import PRNGKey, Scalar

Field: TypeAlias = Callable[[Array, Array], Array]
"""The velocity of a point x at time t: (x, t) ↦ dx/dt."""

Trace: TypeAlias = Literal["exact", "hutchinson"]
"""How a divergence is found: by one derivative for each coordinate, or along one random direction."""


class AbstractSolver(eqx.Module):
    """How dy/dt = f(y, t) is solved, forwards or backwards."""

    @property
    @abc.abstractmethod
    def evaluations(self) -> int | None:
        """How often f is evaluated, None where it depends on the solution."""

    @abc.abstractmethod
    def solve(
        self, field: Callable[[PyTree[Any], Array], PyTree[Any]], y: PyTree[Any], start: float, end: float
    ) -> Any:
        """The value at time `end`, from that at time `start`."""

    def solve_with_error(
        self, field: Callable[[PyTree[Any], Array], PyTree[Any]], y: PyTree[Any], start: float, end: float
    ) -> tuple[Any, Scalar]:
        """The same, and how far the steps were off, squared and summed; 0 where the solver looks to that itself.

        Of a step of Runge–Kutta that is h (k₃ − k₂), the difference of its two slopes in the middle: of third order in
        h, and near 1 where h is too long for the field.
        """
        return self.solve(field, y, start, end), jnp.zeros((), _real(y))


class RungeKutta(AbstractSolver):
    """The classical Runge–Kutta method of fourth order with equal steps: the cost is known, the error is O(steps⁻⁴).

    Double the steps to see the error. Of the two solvers it compiles faster, and batches do not wait for their slowest
    row.

    Args:
        num_steps: Number of steps, of four evaluations each.

    Raises:
        ArgumentError: `num_steps` is below 1.
    """

    num_steps: int = eqx.field(static=True, default=32)

    def __check_init__(self) -> None:
        if self.num_steps < 1:
            raise ArgumentError(f"RungeKutta needs num_steps >= 1, got {self.num_steps}.")

    @property
    def evaluations(self) -> int:
        return 4 * self.num_steps

    def solve(
        self, field: Callable[[PyTree[Any], Array], PyTree[Any]], y: PyTree[Any], start: float, end: float
    ) -> Any:
        h = (end - start) / self.num_steps
        times = start + h * jnp.arange(self.num_steps, dtype=_real(y))
        return jax.lax.scan(lambda y, t: (_step(field, y, t, h)[0], None), y, times)[0]

    def solve_with_error(
        self, field: Callable[[PyTree[Any], Array], PyTree[Any]], y: PyTree[Any], start: float, end: float
    ) -> tuple[Any, Scalar]:
        h = (end - start) / self.num_steps

        def step(carry: tuple[PyTree[Any], Scalar], t: Array) -> tuple[tuple[PyTree[Any], Scalar], None]:
            y, error = carry
            y, second, third = _step(field, y, t, h)
            apart = jax.tree.map(lambda a, b: jnp.sum((h * (b - a)) ** 2), second, third)
            return (y, error + sum(jax.tree.leaves(apart))), None

        times = start + h * jnp.arange(self.num_steps, dtype=_real(y))
        return jax.lax.scan(step, (y, jnp.zeros((), _real(y))), times)[0]


def _step(
    field: Callable[[PyTree[Any], Array], PyTree[Any]], y: PyTree[Any], t: Array, h: float
) -> tuple[PyTree[Any], PyTree[Any], PyTree[Any]]:
    """One step of length h, and its two slopes in the middle."""

    def moved(slope: PyTree[Any], by: float) -> PyTree[Any]:
        return jax.tree.map(lambda a, b: (a + by * b).astype(a.dtype), y, slope)

    first = field(y, t)
    second = field(moved(first, h / 2), t + h / 2)
    third = field(moved(second, h / 2), t + h / 2)
    fourth = field(moved(third, h), t + h)
    mean = jax.tree.map(lambda a, b, c, d: (a + 2 * b + 2 * c + d) / 6, first, second, third, fourth)
    return moved(mean, h), second, third


class Adaptive(AbstractSolver):
    """Diffrax's Tsit5, a method of fifth order with steps that keep the local error below a tolerance.

    Args:
        rtol: Tolerance relative to the solution.
        atol: Absolute tolerance.
        max_steps: Largest number of steps; the solution fails beyond it.

    Raises:
        MissingExtra: Diffrax is not installed.

    References:
        [kidger2021]
    """

    rtol: float = eqx.field(static=True, default=1e-5)
    atol: float = eqx.field(static=True, default=1e-5)
    max_steps: int = eqx.field(static=True, default=1024)

    def __check_init__(self) -> None:
        _diffrax()

    @property
    def evaluations(self) -> None:
        return None

    def solve(
        self, field: Callable[[PyTree[Any], Array], PyTree[Any]], y: PyTree[Any], start: float, end: float
    ) -> Any:
        dfx = _diffrax()
        solution = dfx.diffeqsolve(
            dfx.ODETerm(lambda t, y, _: field(y, t)),
            dfx.Tsit5(),
            jnp.asarray(start, _real(y)),
            jnp.asarray(end, _real(y)),
            None,
            y,
            stepsize_controller=dfx.PIDController(rtol=self.rtol, atol=self.atol),
            max_steps=self.max_steps,
        )
        return jax.tree.map(lambda leaf: leaf[0], solution.ys)


def transported(
    solver: AbstractSolver, field: Field, x: Array, start: float, end: float, *, probe: Array | None
) -> tuple[Array, Scalar]:
    """X carried from `start` to `end`, and log |det| of that map at x: the integral of the divergence on the way.

    Args:
        solver: How.
        field: (x, t) ↦ dx/dt.
        x: One configuration.
        start: Time of x.
        end: Time of the result.
        probe: A vector of mean 0 and covariance I, shape of x, for Hutchinson's estimate εᵀJε of the divergence, which
            makes log |det| random with the right mean; None for the exact trace.
    """
    return solver.solve(_with_divergence(field, probe), (x, jnp.zeros((), x.dtype)), start, end)


def transported_with_error(
    solver: AbstractSolver, field: Field, x: Array, start: float, end: float, *, probe: Array | None
) -> tuple[tuple[Array, Scalar], Scalar]:
    """As `transported`, and the squared error of the steps, in x and in log |det| (see `AbstractSolver`)."""
    return solver.solve_with_error(_with_divergence(field, probe), (x, jnp.zeros((), x.dtype)), start, end)


def _with_divergence(field: Field, probe: Array | None) -> Callable[[tuple[Array, Scalar], Array], Any]:
    def augmented(y: tuple[Array, Scalar], t: Array) -> tuple[Array, Scalar]:
        x = y[0]
        velocity, push = jax.linearize(lambda x: field(x, t), x)
        if probe is not None:
            return velocity, jnp.vdot(probe, push(probe))
        basis = jnp.eye(x.size, dtype=x.dtype).reshape(x.size, *x.shape)
        return velocity, jnp.sum(jax.vmap(lambda e: jnp.vdot(e, push(e)))(basis))

    return augmented


def probe_for(trace: Trace, x: Array, *, key: PRNGKey) -> Array | None:
    """What `transported` looks along: random signs of the shape of x, None where the trace is exact."""
    return None if trace == "exact" else jax.random.rademacher(key, x.shape, x.dtype)


def check_trace(name: str, trace: str) -> None:
    """Raise `ArgumentError` for a name that is not a `Trace`."""
    if trace not in ("exact", "hutchinson"):
        raise ArgumentError(f'{name} knows trace="exact" and "hutchinson", got {trace!r}.')


def _real(y: PyTree[Any]) -> Any:
    return jnp.result_type(*jax.tree.leaves(y))


def _diffrax() -> Any:
    try:
        return importlib.import_module("diffrax")
    except ImportError as error:
        raise MissingExtra('Adaptive steps need diffrax: pip install "energax[ode]".') from error
