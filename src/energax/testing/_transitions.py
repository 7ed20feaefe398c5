"""Identities of Markov kernels, from the proposal objects that their `step` draws from: no random numbers."""

from __future__ import annotations

import functools
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from energax import exact
from energax._errors import NotTractable
from energax._typing import Configuration, PRNGKey, Scalar
from energax.energies import AbstractEnergy, Block, blocks, observed
from energax.kernels import (
    ACS,
    DMALA,
    DULA,
    MALA,
    AbstractKernel,
    BlockGibbs,
    GibbsWithGradients,
    HeatBath,
    IndependenceMetropolis,
    Metropolis,
    RandomWalk,
    target,
)
from energax.spaces import AbstractDiscreteSpace
from energax.testing._calibrated import FALSE_ALARM, assert_counts
from energax.testing._contract import array_parts, cast_arrays, require


@functools.singledispatch
def log_transition(kernel: AbstractKernel, energy: AbstractEnergy, x: Configuration, y: Configuration) -> Scalar:
    """Log-density of a move from x to y ≠ x in the covering space, up to a constant of the kernel.

    log q(y | x) + log min(1, r(x, y)). Registered for the kernels whose proposal has a density; a third party adds
    its own with ``log_transition.register(MyKernel)``.

    Args:
        kernel: The kernel.
        energy: The energy that it moves in.
        x: Where the move begins.
        y: Where it ends.

    Raises:
        NotTractable: No rule is known for the kernel.
    """
    raise NotTractable(f"The density of a move of {type(kernel).__name__} is not known; register `log_transition`.")


@log_transition.register
def _(kernel: RandomWalk, energy: AbstractEnergy, x: Configuration, y: Configuration) -> Scalar:
    fold = energy.space.fold
    return kernel.proposal(x).log_prob(y) + jnp.minimum(0.0, energy(fold(x)) - energy(fold(y)))


@log_transition.register
def _(kernel: IndependenceMetropolis, energy: AbstractEnergy, x: Configuration, y: Configuration) -> Scalar:
    here, there = (kernel.init(energy, z, key=jax.random.key(0)) for z in (x, y))
    return kernel.proposal(here).log_prob(y) + jnp.minimum(0.0, kernel.log_ratio(here, there))


@log_transition.register
def _(kernel: MALA, energy: AbstractEnergy, x: Configuration, y: Configuration) -> Scalar:
    here, there = (kernel.init(energy, z, key=jax.random.key(0)) for z in (x, y))
    return kernel.proposal(here).log_prob(y) + jnp.minimum(0.0, kernel.log_ratio(here, there))


def assert_detailed_balance(
    kernel: AbstractKernel, energy: AbstractEnergy, x: PyTree[Array], y: PyTree[Array], *, tolerance: float = 1e-12
) -> float:
    """The flow from x to y equals the flow back: −E(x) + log K(x → y) = −E(y) + log K(y → x), in float64.

    Args:
        kernel: A reversible kernel with a rule of `log_transition`.
        energy: The energy.
        x: Stacked configurations.
        y: As many others.
        tolerance: Largest difference that counts as rounding, absolute and relative to the size of the logarithms.

    Returns:
        The largest difference.

    Raises:
        AssertionError: A pair violates detailed balance.

    Example:
        >>> import jax
        >>> from energax import energies, kernels, testing
        >>> x, y = jax.random.normal(jax.random.key(0), (2, 50, 1))
        >>> testing.assert_detailed_balance(kernels.MALA(0.1), energies.DoubleWell(1), x, y) < 1e-12
        True
    """
    with jax.enable_x64(True):
        kernel, energy, x, y = cast_arrays((kernel, energy, x, y), np.float64)
        there, back = _flows(kernel, target(energy, kernel), x, y)
    there, back = np.asarray(there), np.asarray(back)
    gap = np.abs(there - back) / np.maximum(1.0, np.abs(there))
    worst = int(np.argmax(np.where(np.isnan(gap), np.inf, gap)))
    require(
        gap[worst] <= tolerance,
        f"Detailed balance of {type(kernel).__name__} is violated by {gap[worst]:.3g} (allowed {tolerance:.0e}): log "
        f"flows {there[worst]:.12g} and {back[worst]:.12g} between the configurations number {worst}.",
    )
    return float(gap[worst])


@eqx.filter_jit
def _flows(kernel: AbstractKernel, energy: AbstractEnergy, x: PyTree[Array], y: PyTree[Array]) -> tuple[Array, Array]:
    def flow(x: Configuration, y: Configuration) -> Scalar:
        return log_transition(kernel, energy, x, y) - energy(energy.space.fold(x))

    return jax.vmap(flow)(x, y), jax.vmap(flow)(y, x)


@functools.singledispatch
def transition_matrix(kernel: AbstractKernel, energy: AbstractEnergy) -> Float[np.ndarray, "states states"]:
    """P[x, y], the probability that one step leads from x to y, from the kernel's own proposal objects, in float64.

    Args:
        kernel: A kernel of a discrete space.
        energy: The energy that it moves in (`kernels.target`): joint for kernels that move hidden parts.

    Returns:
        The matrix; configurations are in the order of `exact.states(energy.space)`.

    Raises:
        NotTractable: No rule is known for the kernel.
    """
    raise NotTractable(f"The transition matrix of {type(kernel).__name__} is not known; register `transition_matrix`.")


@transition_matrix.register
def _(kernel: HeatBath, energy: AbstractEnergy) -> Float[np.ndarray, "states states"]:
    return _by_sites(kernel, energy)


@transition_matrix.register
def _(kernel: Metropolis, energy: AbstractEnergy) -> Float[np.ndarray, "states states"]:
    return _by_blocks(kernel, energy) if kernel.scan == "blocks" else _by_sites(kernel, energy)


def _by_sites(kernel: HeatBath | Metropolis, energy: AbstractEnergy) -> Float[np.ndarray, "states states"]:
    space = energy.space
    assert isinstance(space, AbstractDiscreteSpace)
    with jax.enable_x64(True):
        kernel, energy = cast_arrays((kernel, energy), np.float64)
        updates = _site_updates(kernel, energy, exact.states(space))
    if kernel.scan == "random":
        return np.mean(updates, axis=0)
    return functools.reduce(np.matmul, updates)


def _site_updates(kernel: HeatBath | Metropolis, energy: AbstractEnergy, table: np.ndarray) -> list[np.ndarray]:
    """The matrix of the update of each site."""
    space = energy.space
    assert isinstance(space, AbstractDiscreteSpace)
    values = jnp.asarray(space.values)

    @jax.jit
    def probabilities(site: Array) -> Array:
        def row(x: Array) -> Array:
            law = kernel.proposal(energy, x, site)
            return jax.vmap(law.log_prob)(values)

        return jnp.exp(jax.vmap(row)(jnp.asarray(table)))

    flat = table.reshape(len(table), -1)
    matrices = []
    for site in range(flat.shape[1]):
        others = np.delete(flat, site, axis=1)
        same = (others[:, None] == others[None]).all(-1)
        which = np.searchsorted(space.values, flat[:, site])
        matrices.append(np.where(same, np.asarray(probabilities(jnp.asarray(site)))[:, which], 0.0))
    return matrices


@transition_matrix.register
def _(kernel: BlockGibbs, energy: AbstractEnergy) -> Float[np.ndarray, "states states"]:
    return _by_blocks(kernel, energy)


def _by_blocks(kernel: BlockGibbs | Metropolis, energy: AbstractEnergy) -> Float[np.ndarray, "states states"]:
    table = exact.states(energy.space)
    with jax.enable_x64(True):
        kernel, energy = cast_arrays((kernel, energy), np.float64)
        return functools.reduce(np.matmul, [_block_update(kernel, energy, block, table) for block in blocks(energy)])


def _block_update(
    kernel: BlockGibbs | Metropolis, energy: AbstractEnergy, block: Block, table: PyTree[np.ndarray]
) -> np.ndarray:
    """The matrix of the update of one block."""
    parts = array_parts(energy.space)

    def part(x: Configuration, name: str | None) -> Array:
        return x if name is None else x[name]

    @jax.jit
    def matrix(table: PyTree[Array]) -> Array:
        def row(x: Configuration) -> Array:
            laws = kernel.proposals(energy, x, block)

            def entry(y: Configuration) -> Array:
                log_prob, fits = jnp.zeros(()), jnp.ones((), bool)
                for name in parts:
                    same = part(x, name) == part(y, name)
                    if name in laws:
                        log_prob = log_prob + laws[name].log_prob(part(y, name))
                        same = same | (True if block.mask is None else jnp.asarray(block.mask))
                    fits = fits & jnp.all(same)
                return jnp.where(fits, jnp.exp(log_prob), 0.0)

            return jax.vmap(entry)(table)

        return jax.vmap(row)(table)

    return np.asarray(matrix(jax.tree.map(jnp.asarray, table)))


@transition_matrix.register
def _(kernel: DULA, energy: AbstractEnergy) -> Float[np.ndarray, "states states"]:
    return np.exp(_proposed(kernel, energy)[0])


@transition_matrix.register
def _(kernel: GibbsWithGradients, energy: AbstractEnergy) -> Float[np.ndarray, "states states"]:
    return _accepted(*_proposed(kernel, energy))


@transition_matrix.register
def _(kernel: DMALA, energy: AbstractEnergy) -> Float[np.ndarray, "states states"]:
    return _accepted(*_proposed(kernel, energy))


@transition_matrix.register
def _(kernel: ACS, energy: AbstractEnergy) -> Float[np.ndarray, "states states"]:
    moves = zip(kernel.step_sizes, kernel.balances, strict=True)
    return functools.reduce(np.matmul, [transition_matrix(kernel.move(*move), energy) for move in moves])


def _proposed(kernel: DULA | DMALA | GibbsWithGradients, energy: AbstractEnergy) -> tuple[np.ndarray, np.ndarray]:
    """Log q(y | x) and the logarithm of the Metropolis–Hastings ratio, for all pairs."""
    with jax.enable_x64(True):
        kernel, energy = cast_arrays((kernel, energy), np.float64)
        table = jnp.asarray(exact.states(energy.space))

        @jax.jit
        def pairs(table: Array) -> tuple[Array, Array]:
            states = jax.vmap(lambda x: kernel.init(energy, x, key=jax.random.key(0)))(table)

            def pair(old: Any, new: Any) -> tuple[Array, Array]:
                ratio = jnp.zeros(()) if isinstance(kernel, DULA) else kernel.log_ratio(energy, old, new)
                return kernel.proposal(energy, old).log_prob(new.x), ratio

            return jax.vmap(lambda old: jax.vmap(lambda new: pair(old, new))(states))(states)

        log_q, log_ratio = (np.asarray(a) for a in pairs(table))
    return log_q, log_ratio


def _accepted(log_q: np.ndarray, log_ratio: np.ndarray) -> Float[np.ndarray, "states states"]:
    """Moves are proposed and accepted; what is rejected stays."""
    possible = np.isfinite(log_q)
    matrix = np.where(possible, np.exp(log_q + np.minimum(0.0, np.where(possible, log_ratio, 0.0))), 0.0)
    np.fill_diagonal(matrix, 0.0)
    np.fill_diagonal(matrix, 1 - matrix.sum(1))
    return matrix


def assert_invariant(kernel: AbstractKernel, energy: AbstractEnergy, *, tolerance: float = 1e-14) -> float:
    """The law of an enumerable energy is a fixed point of the kernel: max |πP − π| ≤ tolerance, rows sum to one.

    Args:
        kernel: A kernel with a rule of `transition_matrix`.
        energy: A discrete energy with at most some thousand configurations, hidden parts included.
        tolerance: Largest change of a probability that counts as rounding.

    Returns:
        The largest change.

    Raises:
        AssertionError: The kernel changes the law.

    Example:
        >>> from energax import kernels, testing
        >>> ising = testing.references.asymmetric_ising().energy
        >>> testing.assert_invariant(kernels.BlockGibbs(), ising) < 1e-14
        True
    """
    moved = target(energy, kernel)
    matrix = transition_matrix(kernel, moved)
    law = np.exp(exact.log_probs(moved, joint=True, dtype=np.float64)[1])
    sums, change = np.abs(matrix.sum(1) - 1), np.abs(law @ matrix - law)
    require(sums.max() <= 1e-12, f"Row {int(sums.argmax())} of the matrix sums to 1 ± {sums.max():.3g}.")
    require(
        change.max() <= tolerance,
        f"{type(kernel).__name__} changes the probability of configuration {int(change.argmax())} by "
        f"{change.max():.3g} (allowed {tolerance:.0e}).",
    )
    return float(change.max())


def assert_transitions(
    kernel: AbstractKernel,
    energy: AbstractEnergy,
    *,
    start: int = 0,
    num_draws: int = 20_000,
    false_alarm: float = FALSE_ALARM,
    key: PRNGKey,
) -> float:
    """What `step` does from one configuration has the probabilities of `transition_matrix`, by a G-test.

    Ties the matrix, which is assembled from proposals, to the code that draws: order of the updates, keys, and which
    configuration the conditional laws are computed at.

    Args:
        kernel: A kernel with a rule of `transition_matrix`.
        energy: A discrete energy with few observed configurations.
        start: Index of the first configuration in `exact.states` of the observed space.
        num_draws: Number of independent steps.
        false_alarm: Probability of failing for the right kernel.
        key: Typed random key.

    Returns:
        The p-value.

    Raises:
        AssertionError: The frequencies differ from the matrix.
    """
    moved = target(energy, kernel)
    matrix, table = transition_matrix(kernel, moved), exact.states(moved.space)
    visible = observed(moved, table)
    seen_by = _codes(visible, visible)
    first = np.unique(seen_by)[start]
    x = jnp.asarray(visible[np.argmax(seen_by == first)])
    ends = _codes(np.asarray(_one_step(kernel, moved, x, jax.random.split(key, num_draws))), visible)
    # A kernel that carries hidden parts begins with them at their initial law, which is uniform.
    row = matrix[seen_by == first].mean(0)
    cells = np.unique(seen_by)
    counts = np.asarray([(ends == cell).sum() for cell in cells])
    law = np.asarray([row[seen_by == cell].sum() for cell in cells])
    return assert_counts(counts, law, false_alarm=false_alarm, name=f"one step of {type(kernel).__name__}")


@eqx.filter_jit
def _one_step(kernel: AbstractKernel, energy: AbstractEnergy, x: Configuration, keys: Array) -> Configuration:
    def step(key: PRNGKey) -> Configuration:
        init_key, step_key = jax.random.split(key)
        return kernel.step(energy, kernel.init(energy, x, key=init_key), key=step_key)[0].x

    return jax.vmap(step)(keys)


def _codes(x: np.ndarray, like: np.ndarray) -> np.ndarray:
    """One integer for each of the stacked configurations, ordered as in the table `like` of all of them."""
    low, high = int(like.min()), int(like.max())
    flat = np.asarray(x).reshape(len(x), -1).astype(np.int64) - low
    return flat @ (high - low + 1) ** np.arange(flat.shape[1])[::-1]
