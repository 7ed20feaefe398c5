"""Clauses on wrappers of the energy: each follows its formula, and its fast paths follow the formula too."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree

from energax._errors import SpaceError
from energax.energies import (
    AbstractEnergy,
    Clamped,
    Interpolated,
    Sum,
    Tempered,
    blocks,
    capabilities,
    conditional_logits,
    latent,
    observed_space,
    value_and_score,
)
from energax.spaces import AbstractArraySpace
from energax.testing._clauses_discrete import discrete_parts, logit_facts, logits_agree
from energax.testing._contract import Clause, examined, perturbed, points_in, require, require_close
from energax.testing._energy_case import EnergyCase

_BETA = 0.7
_T = 0.3


def _combinations(case: EnergyCase) -> None:
    """Values, scores and logits of Tempered and Sum are the same combination of those of their terms."""
    with jax.enable_x64(True):
        first, second = case.energy64, perturbed(case.energy64, seed=3)
        parts = tuple(discrete_parts(first))
        facts = jax.tree.map(np.asarray, _combination_facts(first, second, case.points64, parts))
    (a, b), tempered, summed = facts
    label = ("value", "logits", "score")
    for have, one, two, name in zip(tempered, a, b, label, strict=True):
        require_close(
            have, jax.tree.map(lambda x: _BETA * x, one), 1e-12, f"{name} of Tempered(E, β) is not β times it"
        )
        del two
    for have, one, two, name in zip(summed, a, b, label, strict=True):
        require_close(have, jax.tree.map(np.add, one, two), 1e-12, f"{name} of Sum((A, B)) is not the sum of both")
    tempered_energy = Tempered(case.energy, _BETA)
    require(latent(tempered_energy) == latent(case.energy), "Tempered does not keep what `latent` says.")
    require(len(blocks(tempered_energy)) == len(blocks(case.energy)), "Tempered does not keep `blocks`.")
    require(capabilities(tempered_energy) == capabilities(case.energy), "Tempered does not keep `capabilities`.")


@examined
def _combination_facts(
    first: AbstractEnergy, second: AbstractEnergy, points: PyTree[Array], parts: tuple[str | None, ...]
) -> Any:
    def facts(energy: AbstractEnergy, x: Any) -> tuple[Any, Any, Any]:
        logits = {name: conditional_logits(energy, x, name) for name in parts}
        continuous = all(eqx.is_inexact_array(leaf) for leaf in jax.tree.leaves(x))
        return energy(x), logits, value_and_score(energy, x)[1] if continuous else None

    def at(x: Any) -> Any:
        pair = facts(first, x), facts(second, x)
        return pair, facts(Tempered(first, _BETA), x), facts(Sum((first, second)), x)

    return jax.vmap(at)(points)


def _interpolation(case: EnergyCase) -> bool:
    """(1 − t) A + t B on the space where each end keeps its own hidden parts, with fast paths that say the same."""
    with jax.enable_x64(True):
        try:
            between = Interpolated(case.energy64, perturbed(case.energy64, seed=3), _T)
        except SpaceError:
            return False
        points = _points_like(between, case)
        have, want, facts = _interpolation_facts(between, points)
        require_close(have, want, 1e-12, "Interpolated(A, B, t) is not (1 − t) A + t B")
        if discrete_parts(between):
            logits_agree(between, facts)
    require(observed_space(between) == observed_space(case.energy), "Interpolated does not keep the observed space.")
    return True


@examined
def _interpolation_facts(between: Interpolated, points: PyTree[Array]) -> tuple[Array, Array, dict[str, Any]]:
    start, end = jax.vmap(between.start)(points), jax.vmap(between.end)(points)
    facts = logit_facts(between, points) if discrete_parts(between) else {}
    return jax.vmap(between)(points), (1 - _T) * start + _T * end, facts


def _points_like(between: AbstractEnergy, case: EnergyCase) -> PyTree[Array]:
    if latent(case.energy) is None:
        return case.points64
    return points_in(between.space, len(jax.tree.leaves(case.points)[0]), key=case.key)


def _clamping(case: EnergyCase) -> bool:
    """Clamping half of the observed sites gives E at the assembled configuration, and the same for its fast paths."""
    space = observed_space(case.energy)
    if not isinstance(space, AbstractArraySpace) or space.num_sites < 2:
        return False
    mask = (np.random.default_rng(0).permutation(space.num_sites) % 2 == 0).reshape(space.shape)
    names = latent(case.energy)
    with jax.enable_x64(True):
        whole = np.asarray(case.points64 if names is None else case.points64[names.observed])
        clamped = Clamped(case.energy64, mask, jnp.asarray(whole[0]))
        free, assembled = jnp.asarray(whole[:, ~mask]), jnp.asarray(np.where(mask, whole[0], whole))
        points = free if names is None else {**case.points64, names.observed: free}
        original = assembled if names is None else {**case.points64, names.observed: assembled}
        have, want, facts = jax.tree.map(np.asarray, _clamping_facts(clamped, points, original))
    require_close(have, want, 1e-12, "Clamped is not E at the assembled configuration")
    if discrete_parts(clamped):
        logits_agree(clamped, facts)
    if "score" in facts:
        require_close(facts["score"], facts["generic"], 1e-8, "the score of Clamped is not that of E at its free sites")
    require(latent(clamped) == names, "Clamped does not keep what `latent` says.")
    return True


@examined
def _clamping_facts(
    clamped: Clamped, points: PyTree[Array], original: PyTree[Array]
) -> tuple[Array, Array, dict[str, Any]]:
    facts = logit_facts(clamped, points) if discrete_parts(clamped) else {}
    if all(eqx.is_inexact_array(leaf) for leaf in jax.tree.leaves(points)):
        facts["score"] = jax.vmap(lambda x: value_and_score(clamped, x)[1])(points)
        facts["generic"] = jax.vmap(lambda x: value_and_score.dispatch(object)(clamped, x)[1])(points)
    return jax.vmap(clamped)(points), jax.vmap(clamped.energy)(original), facts


WRAPPERS = (
    Clause("combinations", _combinations),
    Clause("interpolation", _interpolation),
    Clause("clamping", _clamping),
)
