"""Named systems of Ising spins: glasses, the Curie–Weiss ferromagnet, Hopfield's memory, max-cut files."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import ArrayLike

from energax._errors import ArgumentError, DataError
from energax._typing import PRNGKey
from energax.energies.lattice._couplings import LatticeCouplings
from energax.energies.lattice._graph import Graph
from energax.energies.lattice._ising import Ising
from energax.energies.lattice._networks import DenseCouplings, GraphCouplings, PatternCouplings


def sherrington_kirkpatrick(num_sites: int, *, field: ArrayLike = 0.0, key: PRNGKey) -> Ising:
    """A Sherrington–Kirkpatrick glass: all pairs coupled, J_ij ~ N(0, 1/N) independently.

    Above the glass temperature T = 1 its free energy is the annealed one: log Z / N → log 2 + β²/4.

    Args:
        num_sites: N.
        field: H, a number or one for each site.
        key: Random key of the couplings.

    References:
        [sherrington1975]
    """
    if num_sites < 2:
        raise ArgumentError(f"A glass needs two or more sites, got num_sites={num_sites}.")
    upper = jnp.triu(jax.random.normal(key, (num_sites, num_sites)), 1) / jnp.sqrt(1.0 * num_sites)
    return Ising(DenseCouplings(upper + upper.T), field=field)


def edwards_anderson(
    shape: tuple[int, ...],
    *,
    disorder: str = "bimodal",
    boundary: str | tuple[str, ...] = "periodic",
    field: ArrayLike = 0.0,
    key: PRNGKey,
) -> Ising:
    """An Edwards–Anderson glass: nearest neighbours of a lattice with independent random couplings.

    Args:
        shape: Lengths of the axes.
        disorder: ``"bimodal"``: J = ±1 with equal probabilities; ``"gaussian"``: J ~ N(0, 1).
        boundary: As in `LatticeCouplings`.
        field: H, a number or one for each site.
        key: Random key of the couplings.

    Raises:
        ArgumentError: The kind of disorder is unknown.

    References:
        [edwards1975]
    """
    draws = {"bimodal": jax.random.rademacher, "gaussian": jax.random.normal}
    if disorder not in draws:
        raise ArgumentError(f'edwards_anderson knows disorder="bimodal" and "gaussian", got {disorder!r}.')
    drawn = draws[disorder](key, (len(shape), *shape), jnp.result_type(float))
    coupling, signs = (1.0, drawn) if disorder == "bimodal" else (drawn, None)
    return Ising(LatticeCouplings(shape, coupling, signs=signs, boundary=boundary), field=field)


def curie_weiss(num_sites: int, *, coupling: ArrayLike = 1.0, field: ArrayLike = 0.0) -> Ising:
    """The Curie–Weiss ferromagnet, E(s) = −(J/N) Σ_{i<j} s_i s_j − H Σ_i s_i, in memory N.

    Its magnetisation solves m = tanh(β J m + β H) as N → ∞. With M = Σ_i s_i the energy is −J (M² − N)/2N − H M.

    Args:
        num_sites: N.
        coupling: J.
        field: H, a number or one for each site.
    """
    return Ising(PatternCouplings(jnp.ones((1, num_sites)), coupling), field=field)


def hopfield(patterns: ArrayLike, *, field: ArrayLike = 0.0) -> Ising:
    """Hopfield's associative memory, J_ij = (1/N) Σ_μ ξ^μ_i ξ^μ_j for i ≠ j.

    Each pattern is near a minimum while there are fewer than about 0.138 N of them; aligning spins with their fields
    one after the other (zero temperature) never raises the energy.

    Args:
        patterns: ξ, shape (P, N), entries −1 and +1.
        field: H, a number or one for each site.

    Raises:
        ArgumentError: An entry is neither −1 nor +1.

    References:
        [hopfield1982]
    """
    if not np.isin(np.asarray(patterns), (-1, 1)).all():
        raise ArgumentError("Patterns of a Hopfield memory have the entries −1 and +1.")
    return Ising(PatternCouplings(patterns), field=field)


def read_rudy(path: str | PathLike[str]) -> Ising:
    """The Ising model of a max-cut instance in the rudy format: "n m", then m lines "i j w" with sites from 1.

    E(s) = Σ_{i<j} w_ij s_i s_j, that is J = −w. The cut between the spins +1 and −1 has the weight ½ (Σ w − E(s)), so
    that the largest cut is the ground state.

    Args:
        path: The file.

    Raises:
        DataError: The file cannot be read, or is not in this format.
    """
    try:
        numbers = np.asarray(Path(path).read_text().split(), np.float64)
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read as a graph: {error}.") from error
    if numbers.size < 2 or numbers.size != 2 + 3 * numbers[1]:
        raise DataError(f'{path} is not in the rudy format: "n m", and then m lines "i j w".')
    rows = numbers[2:].reshape(-1, 3)
    try:
        graph = Graph(rows[:, :2].astype(np.int64) - 1, int(numbers[0]))
    except ValueError as error:
        raise DataError(f"{path} holds no graph for an Ising model. {error}") from error
    return Ising(GraphCouplings(graph, -rows[:, 2]))
