"""Clauses on blocks: what they cover, and the normal laws of continuous ones."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree

from energax._typing import Configuration, Scalar
from energax.energies import AbstractEnergy, Block, Normals, blocks, conditional_normals, latent
from energax.spaces import AbstractArraySpace
from energax.testing._contract import Clause, array_parts, examined, require, require_close
from energax.testing._energy_case import EnergyCase


def block_masks(energy: AbstractEnergy, block: Block) -> dict[str | None, np.ndarray]:
    """Which sites of each part belong to a block."""
    parts = _parts(energy)
    inside: set[str | None] = set(parts) if block.parts is None else set(block.parts)
    require(inside <= set(parts), f"`blocks` names the parts {sorted(map(str, inside - set(parts)))}, unknown here.")
    whole = block.mask is None
    require(whole or len(inside) == 1, f"a block with a mask of sites names {len(inside)} parts instead of one.")
    return {
        name: np.asarray(block.mask) if name in inside and not whole else np.full(space.shape, name in inside)
        for name, space in parts.items()
    }


def _parts(energy: AbstractEnergy) -> dict[str | None, AbstractArraySpace]:
    parts = array_parts(energy.space)
    return {name: space for name, space in parts.items() if isinstance(space, AbstractArraySpace)}


def _partition(case: EnergyCase) -> bool:
    """Blocks are disjoint, cover all sites, and begin with hidden parts."""
    found = blocks(case.energy)
    if not found:
        return False
    cover = {name: np.zeros(space.shape, int) for name, space in _parts(case.energy).items()}
    for block in found:
        for name, mask in block_masks(case.energy, block).items():
            cover[name] += mask
    for name, times in cover.items():
        where = "" if name is None else f" of part {name!r}"
        require(times.min() >= 1, f"{int((times == 0).sum())} sites{where} are in no block of `blocks`.")
        require(times.max() <= 1, f"{int((times > 1).sum())} sites{where} are in several blocks of `blocks`.")
    names = latent(case.energy)
    first = found[0].parts
    require(
        names is None or len(found) == 1 or (first is not None and names.observed not in first),
        f"the first of `blocks` holds the observed part {names.observed if names else ''!r}; hidden parts come first.",
    )
    return True


def _normals(case: EnergyCase) -> bool:
    """E(y) − E(x) = Σ_i ½ p_i (y_i² − x_i²) − l_i (y_i − x_i) where only a continuous block changes from x to y."""
    masks = [block_masks(case.energy, block) for block in blocks(case.energy)]
    names = [name for name, space in _parts(case.energy).items() if not space.is_discrete]
    in_blocks = [name for name in names if any(mask[name].any() for mask in masks)]
    if not in_blocks:
        return False
    for name in in_blocks:
        with jax.enable_x64(True):
            steps = np.random.default_rng(0).normal(size=_parts(case.energy)[name].shape)
            have, want, fast, slow = _normal_facts(case.energy64, case.points64, name, jnp.asarray(steps))
            require_close(have, want, 1e-9, f"E of the block {name!r} is not that of independent normal coordinates")
            require_close(fast, slow, 1e-9, f"`conditional_normals` of {name!r} is not what derivatives of E give")
            require(
                bool((fast.precision > 0).all()), f"`conditional_normals` of {name!r} has precisions that are not > 0."
            )
    return True


@examined
def _normal_facts(
    energy: AbstractEnergy, points: PyTree[Array], name: str | None, steps: Array
) -> tuple[Array, Array, Normals, Normals]:
    generic = conditional_normals.dispatch(object)

    def at(x: Any) -> tuple[Scalar, Scalar, Normals, Normals]:
        here = x if name is None else x[name]
        there = here + steps
        y: Configuration = there if name is None else {**x, name: there}
        law = conditional_normals(energy, x, name)
        change = jnp.sum(0.5 * law.precision * (there**2 - here**2) - law.linear * steps)
        return energy(y) - energy(x), change, law, generic(energy, x, name)

    return jax.vmap(at)(points)


BLOCKS = (
    Clause("blocks_partition", _partition),
    Clause("conditional_normals", _normals),
)
