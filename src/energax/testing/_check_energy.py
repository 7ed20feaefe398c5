"""The contract of an energy."""

from __future__ import annotations

from collections.abc import Collection

import jax
from jaxtyping import Array, PyTree

from energax._errors import ArgumentError
from energax._typing import PRNGKey
from energax.energies import AbstractEnergy
from energax.spaces import check_structure
from energax.testing._clauses_blocks import BLOCKS
from energax.testing._clauses_discrete import DISCRETE
from energax.testing._clauses_energy import GENERAL
from energax.testing._clauses_exact import EXACT
from energax.testing._clauses_wrappers import WRAPPERS
from energax.testing._contract import chosen, points_in, run_clauses
from energax.testing._energy_case import EnergyCase


def check_energy(
    energy: AbstractEnergy,
    *,
    points: PyTree[Array] | None = None,
    num_points: int = 16,
    tolerance: float = 2e-5,
    unused: tuple[str, ...] = (),
    wrappers: bool = True,
    tables: bool = False,
    clauses: Collection[str] | None = None,
    key: PRNGKey,
) -> tuple[str, ...]:
    """Check that an energy keeps every promise that kernels, objectives and estimators rely on.

    One number for one configuration; jit, vmap and a loop agree; one trace while parameters change; float32 stays
    float32 and float64 is computed as such; the score is the derivative; every fast path (`conditional_logits`,
    `conditional_logits_at`, `conditional_normals`, `flip_deltas`, `value_and_score`,
    `score_and_curvature`) equals its generic fallback;
    `blocks` are a partition into conditionally independent sites; wrappers of it follow their formulas; the marginal of
    a small latent energy and a closed-form log Z equal enumeration or quadrature; exact draws follow the energy;
    flattening and storing its leaves changes no bit; parameters are leaves; calls are pure.

    Args:
        energy: The energy. Clauses that do not apply to it are skipped.
        points: Stacked configurations of its space at which to ask; by default draws of the initial law.
        num_points: Number of default points.
        tolerance: Relative rounding that is allowed between two float32 evaluations.
        unused: Paths of leaves whose gradient may vanish at all points (as `jax.tree_util.keystr` prints them).
        wrappers: Whether wrappers of the energy are checked as well.
        tables: The leaves are tables that belong together, such as the nodes and weights of a quadrature, and not
            parameters; then they are not changed independently of each other.
        clauses: Names of the clauses to check; by default all.
        key: Random key of the points.

    Returns:
        Names of the clauses that were checked.

    Raises:
        AssertionError: A clause is broken; the message names it and says how.

    Example:
        >>> import jax
        >>> from energax import energies, testing
        >>> "conditional_logits" in testing.check_energy(energies.Ising(3), key=jax.random.key(0))
        True
    """
    if not isinstance(energy, AbstractEnergy):
        raise ArgumentError(
            f"check_energy needs an energy, got {type(energy).__name__}; see `energax.energies.energy`."
        )
    point_key, case_key = jax.random.split(key)
    if points is None:
        points = points_in(energy.space, num_points, key=point_key)
    check_structure(energy.space, points, name="points", batch_dims=1)
    case = EnergyCase(energy, points, case_key, tolerance, unused, tables)
    table = [*GENERAL, *DISCRETE, *BLOCKS, *EXACT, *(WRAPPERS if wrappers else ())]
    return run_clauses(energy, chosen(table, clauses), case)
