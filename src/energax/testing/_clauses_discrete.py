"""Clauses for discrete sites: conditional logits, flips, independence within blocks."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree

from energax._typing import Configuration
from energax.energies import (
    AbstractEnergy,
    blocks,
    bonds,
    conditional_logits,
    conditional_logits_at,
    flip_deltas,
    uniform_lattice,
)
from energax.spaces import AbstractDiscreteSpace, AbstractTwoValuedSpace
from energax.testing._clauses_blocks import block_masks
from energax.testing._contract import Clause, array_parts, examined, require, require_close, rows
from energax.testing._energy_case import EnergyCase

_MOST_SITES = 32
"""Sites that are examined one by one at most."""


def discrete_parts(energy: AbstractEnergy) -> dict[str | None, AbstractDiscreteSpace]:
    """The discrete parts of an energy's space; a plain space under None."""
    parts = array_parts(energy.space)
    return {name: space for name, space in parts.items() if isinstance(space, AbstractDiscreteSpace)}


def logits_agree(energy: AbstractEnergy, facts: dict[str, Any], tolerance: float = 1e-9) -> None:
    """Every way to ask for conditional logits gave the same answer, in the `logit_facts` of the energy."""
    parts = discrete_parts(energy)
    facts = jax.tree.map(np.asarray, facts)
    for name, space in parts.items():
        fast, slow = facts["fast"][name], facts["slow"][name]
        label = "" if name is None else f" of part {name!r}"
        require(
            fast.shape[1:] == space.logits_shape,
            f"`conditional_logits`{label} has shape {fast.shape[1:]}, the space wants {space.logits_shape}.",
        )
        fast, slow = _relative(space, fast), _relative(space, slow)
        require_close(fast, slow, tolerance, f"`conditional_logits`{label} is not what single-site energies give")
    if "at" in facts:
        (space,) = parts.values()
        facts["at"], facts["at_slow"] = _relative(space, facts["at"]), _relative(space, facts["at_slow"])
        require_close(
            facts["at"], facts["at_slow"], tolerance, "`conditional_logits_at` is not what single-site energies give"
        )
    if "deltas" in facts:
        require_close(facts["deltas"], facts["flips"], tolerance, "`flip_deltas` is not E(flipped) − E(x)")


def _relative(space: AbstractDiscreteSpace, logits: np.ndarray) -> np.ndarray:
    """Logits relative to the first value: of more than two values they are defined up to a constant for each site."""
    return logits if isinstance(space, AbstractTwoValuedSpace) else logits - logits[..., :1]


def logit_facts(energy: AbstractEnergy, points: PyTree[Array]) -> dict[str, Any]:
    """Conditional logits of all parts by the energy's own rules and by the generic ones (call under jit)."""
    parts = discrete_parts(energy)
    names, spaces = tuple(parts), tuple(parts.values())
    generic, generic_at = conditional_logits.dispatch(object), conditional_logits_at.dispatch(object)

    def at(x: Configuration) -> dict[str, Any]:
        found: dict[str, Any] = {
            "fast": {name: conditional_logits(energy, x, name) for name in names},
            "slow": {name: generic(energy, x, name) for name in names},
        }
        if names == (None,):
            sites = jnp.asarray(_some_sites(spaces[0].num_sites))
            found["at"] = jax.vmap(lambda i: conditional_logits_at(energy, x, i))(sites)
            found["at_slow"] = jax.vmap(lambda i: generic_at(energy, x, i))(sites)
            if isinstance(spaces[0], AbstractTwoValuedSpace):
                flat, flipped = x.reshape(-1), spaces[0].flip(x).reshape(-1)
                flips = jax.vmap(lambda i: energy(flat.at[i].set(flipped[i]).reshape(x.shape)))(sites)
                found["flips"] = flips - energy(x)
                found["deltas"] = flip_deltas(energy, x).reshape(-1)[sites]
        return found

    return jax.vmap(at)(points)


def _some_sites(count: int) -> np.ndarray:
    if count <= _MOST_SITES:
        return np.arange(count)
    return np.sort(np.random.default_rng(0).choice(count, _MOST_SITES, replace=False))


def _logits(case: EnergyCase) -> bool:
    if not discrete_parts(case.energy):
        return False
    with jax.enable_x64(True):
        logits_agree(case.energy64, examined(logit_facts)(case.energy64, case.points64))
    return True


def _logit_dtypes(case: EnergyCase) -> bool:
    parts = discrete_parts(case.energy)
    if not parts:
        return False
    x = next(rows(case.points))
    value = eqx.filter_eval_shape(case.energy, x).dtype
    for name in parts:
        logits = eqx.filter_eval_shape(conditional_logits, case.energy, x, name).dtype
        require(logits == value, f"`conditional_logits` returns {logits} where the energy returns {value}.")
    return True


def _independence(case: EnergyCase) -> bool:
    """Changing one site of a block leaves the logits of the others in it alone."""
    found = blocks(case.energy)
    if not found or not discrete_parts(case.energy):
        return False
    parts = discrete_parts(case.energy)
    with jax.enable_x64(True):
        moved = jax.tree.map(
            np.asarray,
            _logit_changes(case.energy64, next(rows(case.points64)), tuple(parts), tuple(parts.values())),
        )
    for number, block in enumerate(found):
        masks = {name: mask for name, mask in block_masks(case.energy, block).items() if name in parts}
        for name, mask in masks.items():
            sites = _some_sites(parts[name].num_sites)
            for row in np.flatnonzero(mask.reshape(-1)[sites]).tolist():
                _others_stay(masks, moved[name], row, (name, int(sites[row])), number)
    return True


def _others_stay(
    masks: dict[str | None, np.ndarray], moved: dict[str | None, np.ndarray], row: int, site: tuple, number: int
) -> None:
    for other, mask in masks.items():
        change = moved[other][row].reshape(mask.size, -1).max(axis=1)
        affected = mask.reshape(-1) & (change > 1e-9)
        if other == site[0]:
            affected[site[1]] = False
        if affected.any():
            label = f"{site[1]}" if site[0] is None else f"{site[1]} of {site[0]!r}"
            raise AssertionError(
                f"the sites of block {number} are not conditionally independent: changing site {label} moves the "
                f"logits of {int(affected.sum())} others in it, for instance of site {int(np.argmax(affected))}."
            )


@examined
def _logit_changes(
    energy: AbstractEnergy, x: Configuration, names: tuple[str | None, ...], spaces: tuple[Any, ...]
) -> dict[str | None, dict[str | None, Array]]:
    """|Change of the logits of each part| when one site of a part takes its next value."""

    def all_logits(y: Configuration) -> dict[str | None, Array]:
        return {name: conditional_logits(energy, y, name) for name in names}

    before = all_logits(x)

    def change(name: str | None, space: AbstractDiscreteSpace, site: Array) -> dict[str | None, Array]:
        sites = (x if name is None else x[name]).reshape(-1)
        values = jnp.asarray(space.values, sites.dtype)
        following = values[(jnp.argmax(values == sites[site]) + 1) % len(space.values)]
        changed = sites.at[site].set(following).reshape(space.shape)
        after = all_logits(changed if name is None else {**x, name: changed})
        return jax.tree.map(lambda a, b: jnp.abs(a - b), after, before)

    return {
        name: jax.vmap(lambda i, name=name, space=space: change(name, space, i))(
            jnp.asarray(_some_sites(space.num_sites))
        )
        for name, space in zip(names, spaces, strict=True)
    }


def _uniform_lattice(case: EnergyCase) -> bool:
    """E(s) + J Σ σ_ij s_i s_j + H Σ s_i is the same at all configurations."""
    if uniform_lattice(case.energy) is None:
        return False
    with jax.enable_x64(True):
        values, want = map(np.asarray, _lattice_facts(case.energy64, case.points64))
    offset = np.full_like(values, np.mean(values - want))
    require_close(values, want + offset, 1e-9, "E is not −J Σ s_i s_j − H Σ s_i with the numbers of `uniform_lattice`")
    return True


@examined
def _lattice_facts(energy: AbstractEnergy, points: PyTree[Array]) -> tuple[Array, Array]:
    lattice = uniform_lattice(energy)
    assert lattice is not None

    axes = range(len(lattice.shape))
    signs = np.ones(len(axes)) if lattice.negative is None else jnp.where(lattice.negative, -1, 1)
    coupling = 0.0 if lattice.coupling is None else lattice.coupling

    def want(x: Array) -> Array:
        s = x.astype(lattice.field.dtype)
        pairs = sum(jnp.sum(signs[axis] * s * jnp.roll(s, -1, axis)) for axis in axes)
        return -coupling * pairs - lattice.field * jnp.sum(s)

    return jax.vmap(energy)(points), jax.vmap(want)(points)


def _bonds(case: EnergyCase) -> bool:
    """E(x) + Σ K [x_i = x_j] + Σ F_i(x_i) is the same at all configurations."""
    if bonds(case.energy) is None:
        return False
    with jax.enable_x64(True):
        values, want = map(np.asarray, _bond_facts(case.energy64, case.points64))
    offset = np.full_like(values, np.mean(values - want))
    require_close(values, want + offset, 1e-9, "E is not −Σ K [x_i = x_j] − Σ F_i(x_i) with the numbers of `bonds`")
    return True


@examined
def _bond_facts(energy: AbstractEnergy, points: PyTree[Array]) -> tuple[Array, Array]:
    found, space = bonds(energy), energy.space
    assert found is not None
    assert isinstance(space, AbstractDiscreteSpace)

    def want(x: Array) -> Array:
        which = jnp.argmax(x.reshape(-1, 1) == jnp.asarray(space.values, x.dtype), axis=1)
        agree = which[found.pairs[:, 0]] == which[found.pairs[:, 1]]
        gains = jnp.sum(jnp.where(agree, found.strengths, 0.0))
        return -gains - jnp.sum(jnp.take_along_axis(found.fields, which[:, None], axis=1))

    return jax.vmap(energy)(points), jax.vmap(want)(points)


DISCRETE = (
    Clause("bonds", _bonds),
    Clause("conditional_logits", _logits),
    Clause("logit_dtypes", _logit_dtypes),
    Clause("blocks_independent", _independence),
    Clause("uniform_lattice", _uniform_lattice),
)
