"""What the clauses of the kernel contract share: points, compiled walks, and energies with a single finite point."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree

from energax._typing import Configuration, PRNGKey, Scalar
from energax.energies import (
    AbstractEnergy,
    Block,
    Bonds,
    Latent,
    Normals,
    UniformLattice,
    blocks,
    bonds,
    conditional_normals,
    latent,
    observed,
    observed_space,
    uniform_lattice,
)
from energax.kernels import AbstractKernel, StepInfo, target
from energax.spaces import AbstractSpace

NUM_STEPS = 20
NUM_CHAINS = 8


@dataclasses.dataclass(frozen=True)
class KernelCase:
    """A kernel, an energy, and where to ask. What several clauses need is computed once: compilation is what costs.

    Attributes:
        kernel: The kernel.
        energy: The energy, as a user passes it.
        points: Stacked observed configurations, `NUM_CHAINS` of them.
        exact_draws: Stacked exact draws of the energy's observed law, or None.
        key: Random key.
        tolerance: Relative rounding between two evaluations in float32.
    """

    kernel: AbstractKernel
    energy: AbstractEnergy
    points: PyTree[Array]
    exact_draws: PyTree[Array] | None
    key: PRNGKey
    tolerance: float

    @functools.cached_property
    def moved(self) -> AbstractEnergy:
        """The energy that the kernel moves in."""
        return target(self.energy, self.kernel)

    @property
    def space(self) -> AbstractSpace:
        """The observed space."""
        return observed_space(self.energy)

    @property
    def x(self) -> Configuration:
        """One point."""
        return jax.tree.map(lambda leaf: leaf[0], self.points)

    @functools.cached_property
    def keys(self) -> Array:
        """A key for each point."""
        return jax.random.split(self.key, NUM_CHAINS)

    @functools.cached_property
    def init(self) -> Any:
        """The first state at `x`, not compiled."""
        return self.kernel.init(self.moved, self.x, key=first_keys(self.keys[0])[0])

    def eager_step(self) -> tuple[Any, StepInfo]:
        """One step from `init`, not compiled, with the key that the first chain of a walk begins with."""
        return self.kernel.step(self.moved, self.init, key=first_keys(self.keys[0])[1])

    @functools.cached_property
    def eager(self) -> tuple[Any, StepInfo]:
        """`eager_step`, once."""
        return self.eager_step()

    @functools.cached_property
    def traces(self) -> list[int]:
        """Grows by one whenever `step` is traced."""
        return []

    @functools.cached_property
    def step(self) -> Callable[..., tuple[Any, StepInfo]]:
        """The compiled step: (kernel, energy, state, key) -> (state, info)."""

        @eqx.filter_jit
        def step(kernel: AbstractKernel, energy: AbstractEnergy, state: Any, key: PRNGKey) -> tuple[Any, StepInfo]:
            self.traces.append(1)
            return kernel.step(energy, state, key=key)

        return step

    def walk(self, keys: Array, *, outside: float | None = None) -> tuple[Any, PyTree[Array], StepInfo]:
        """`NUM_STEPS` steps of chains from all points; with `outside` from `x`, which alone has its finite energy."""
        width = jnp.asarray(jnp.inf if outside is None else 1e-5)
        start = self.points if outside is None else jax.tree.map(lambda a: jnp.broadcast_to(a[0], a.shape), self.points)
        isolated = Isolated(self.energy, self.x, jnp.asarray(0.0 if outside is None else outside), width)
        return _walk(self.kernel, target(isolated, self.kernel), start, keys)

    @functools.cached_property
    def walked(self) -> tuple[Any, PyTree[Array], StepInfo]:
        """Final states, configurations and infos after each step of chains from all points."""
        return self.walk(self.keys)


def first_keys(key: PRNGKey) -> tuple[PRNGKey, PRNGKey]:
    """The keys of `init` and of the first step of a chain."""
    init_key, step_key = jax.random.split(key)
    return init_key, jax.random.split(step_key, NUM_STEPS)[0]


@eqx.filter_jit
def _walk(
    kernel: AbstractKernel, energy: AbstractEnergy, x: PyTree[Array], keys: Array
) -> tuple[Any, PyTree[Array], StepInfo]:
    """Chains from the stacked `x`: final states, and configurations and infos after each step, (chain, step)."""

    def chain(x: Configuration, key: PRNGKey) -> tuple[Any, Any]:
        def one(state: Any, key: PRNGKey) -> tuple[Any, Any]:
            state, info = kernel.step(energy, state, key=key)
            return state, (state.x, info)

        init_key, step_key = jax.random.split(key)
        return jax.lax.scan(one, kernel.init(energy, x, key=init_key), jax.random.split(step_key, NUM_STEPS))

    final, (xs, infos) = jax.vmap(chain)(x, keys)
    return final, xs, infos


class Isolated(AbstractEnergy):
    """An energy that is what it is near one observed configuration, and `outside` (NaN, infinite) everywhere else.

    The width is a leaf, so that one compilation serves the whole energy (infinite width) as well.
    """

    energy: AbstractEnergy
    point: Configuration
    outside: Scalar
    width: Scalar

    @property
    def space(self) -> AbstractSpace:
        return self.energy.space

    def __call__(self, x: Configuration) -> Scalar:
        # Folding may round a point, so the width is not zero.
        near = [
            jnp.all(jnp.abs(a - b) <= self.width * (1 + jnp.abs(b)))
            for a, b in zip(jax.tree.leaves(observed(self, x)), jax.tree.leaves(self.point), strict=True)
        ]
        value = self.energy(x)
        return jnp.where(jnp.all(jnp.stack(near)), value, self.outside.astype(value.dtype))


@blocks.register
def _(energy: Isolated) -> tuple[Block, ...]:
    return blocks(energy.energy)


@latent.register
def _(energy: Isolated) -> Latent | None:
    return latent(energy.energy)


@conditional_normals.register
def _(energy: Isolated, x: Configuration, part: str | None = None) -> Normals:
    precision, linear = conditional_normals(energy.energy, x, part)
    # A law as narrow as the region around the point: where all else is infinite, nothing else can be drawn.
    narrow = jnp.where(jnp.isinf(energy.width), 0.0, jnp.where(jnp.isnan(energy.outside), jnp.nan, 1e14))
    narrow = narrow.astype(precision.dtype)
    point = energy.point if part is None or not isinstance(energy.point, dict) else energy.point[part]
    return Normals(precision + narrow, linear + narrow * point)


@bonds.register
def _(energy: Isolated) -> Bonds | None:
    found = bonds(energy.energy)
    if found is None:
        return None
    # As for a uniform lattice: away from the point nothing is finite, so that nothing may move.
    spoilt = jnp.where(jnp.isinf(energy.width), 0.0, energy.outside).astype(found.fields.dtype)
    return Bonds(found.pairs, found.strengths, found.fields + spoilt)


@uniform_lattice.register
def _(energy: Isolated) -> UniformLattice | None:
    lattice = uniform_lattice(energy.energy)
    if lattice is None:
        return None
    # Where all is near this is the lattice itself; else it has no finite coupling, so that nothing may move.
    coupling = jnp.zeros_like(lattice.field) if lattice.coupling is None else lattice.coupling
    spoilt = coupling + jnp.where(jnp.isinf(energy.width), 0.0, energy.outside).astype(coupling.dtype)
    return UniformLattice(spoilt, lattice.field, lattice.shape, lattice.negative)
