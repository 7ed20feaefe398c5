"""Free energies: hidden parts summed out, in closed form or by going through few configurations."""

from __future__ import annotations

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from energax._errors import NotTractable
from energax._typing import Configuration, PRNGKey, Scalar
from energax.energies._base import AbstractEnergy
from energax.energies._capabilities import (
    Block,
    blocks,
    conditional_logits,
    conditional_logits_at,
    conditional_normals,
    discrete_part,
    exact_draw,
    is_confined,
    is_factorised,
    latent,
    log_normalizer,
    logits_from_energies,
)
from energax.spaces import AbstractArraySpace, AbstractDiscreteSpace, AbstractSpace, Product

_MOST_TERMS = 2**12
"""The most terms of a sum that is part of one energy."""


class Marginal(AbstractEnergy):
    """The free energy of the observed part, F(v) = −log Σ_h exp(−E(v, h)).

    If the hidden parts are one block of conditionally independent discrete units, then with the logits l_j(v) of unit j
    against its first value and h⁰ all units at their first value, F(v) = E(v, h⁰) − Σ_j log Σ_value exp(l_j,value(v)).
    Otherwise the largest block among them is summed in this way, and the other units by going through their
    configurations, at most 4096 of them. A continuous block is integrated out as what it is, normal.

    Args:
        energy: The joint energy E(v, h).
        keep: The part that stays; by default the observed one.

    Raises:
        NotTractable: A continuous part that is to be integrated out is no block, or the sum has too many terms.
    """

    energy: AbstractEnergy
    keep: str = eqx.field(static=True)

    def __init__(self, energy: AbstractEnergy, keep: str | None = None) -> None:
        names = latent(energy)
        if names is None:
            raise NotTractable(f"{type(energy).__name__} has no hidden part to sum out.")
        self.energy = energy
        self.keep = names.observed if keep is None else keep

    def __check_init__(self) -> None:
        if self.keep not in self._parts or not self.num_terms <= _MOST_TERMS:
            raise NotTractable(
                f"The sum over {self.summed} of {type(self.energy).__name__} has no closed form: it must be one block "
                f"of conditionally independent units, or leave at most {_MOST_TERMS} configurations beside it."
            )

    @property
    def _parts(self) -> dict[str, AbstractSpace]:
        assert isinstance(self.energy.space, Product)
        return self.energy.space.parts

    @property
    def summed(self) -> tuple[str, ...]:
        """Names of the parts that are summed out, sorted."""
        return tuple(name for name in self._parts if name != self.keep)

    @property
    def space(self) -> AbstractSpace:
        return self._parts[self.keep]

    @property
    def num_terms(self) -> float:
        """Number of evaluations of E behind one of F."""
        return _num_terms(self._spaces, self._closed)

    @property
    def _spaces(self) -> dict[str, AbstractArraySpace]:
        return {name: space for name in self.summed if isinstance(space := self._parts[name], AbstractArraySpace)}

    @property
    def _closed(self) -> dict[str, Bool[np.ndarray, "..."]]:
        """Which sites of each part are summed in closed form: those of the block that leaves the fewest terms."""
        all_of_them = is_factorised(self.energy, self.summed)
        found = [{name: np.full(space.shape, all_of_them) for name, space in self._spaces.items()}]
        for block in blocks(self.energy):
            parts = tuple(self._parts) if block.parts is None else block.parts
            if block.mask is None or self.keep not in parts:
                found.append({name: _sites(space, name, block) for name, space in self._spaces.items()})
        return min(found, key=lambda closed: _num_terms(self._spaces, closed))

    def __call__(self, x: Configuration) -> Scalar:
        spaces, closed = self._spaces, self._closed
        sizes = {name: int((~closed[name]).sum()) for name in spaces}
        values = [discrete_part(self.energy, name).values for name in spaces for _ in range(sizes[name])]
        if not values:
            return self._term(x, {}, closed)
        terms = np.stack([grid.reshape(-1) for grid in np.meshgrid(*values, indexing="ij")], axis=1)
        columns = np.split(terms, np.cumsum(list(sizes.values()))[:-1], axis=1)
        rows = {name: jnp.asarray(column) for name, column in zip(spaces, columns, strict=True)}
        return -jax.nn.logsumexp(-jax.vmap(lambda row: self._term(x, row, closed))(rows))

    def _term(self, x: Configuration, others: dict[str, Array], closed: dict[str, Bool[np.ndarray, "..."]]) -> Scalar:
        """−log of the sum over the sites in `closed`, the other sites of each part at the given values."""
        whole = {self.keep: x}
        for name, space in self._spaces.items():
            start = space.values[0] if isinstance(space, AbstractDiscreteSpace) else 0.0
            flat = jnp.full(space.num_sites, start, space.struct.dtype)
            if others:
                flat = flat.at[np.flatnonzero(~closed[name])].set(others[name].astype(flat.dtype))
            whole[name] = flat.reshape(space.shape)
        return self.energy(whole) - self._log_sum(whole, closed)

    def _log_sum(self, whole: Configuration, closed: dict[str, Bool[np.ndarray, "..."]]) -> Scalar:
        """Log of the sum over the sites in `closed`, relative to the configuration `whole` is in."""
        totals: list[Scalar] = []
        for name, space in self._spaces.items():
            if isinstance(space, AbstractDiscreteSpace) and closed[name].all():
                totals.append(space.total_log_partition(conditional_logits(self.energy, whole, name)))
            else:
                logs = _site_sums(self.energy, space, whole, name)
                totals.append(jnp.sum(logs if closed[name].all() else jnp.where(closed[name], logs, 0)))
        return sum(totals[1:], totals[0])


@conditional_logits_at.register
def _(energy: Marginal, x: Array, site: Array) -> Float[Array, "..."]:
    """Of a machine of two blocks: what the units that stay have in common with each other is never computed."""
    space, closed = energy.space, energy._closed
    alone = is_factorised(energy.energy, (energy.keep,)) and all(mask.all() for mask in closed.values())
    if not (alone and isinstance(space, AbstractDiscreteSpace)):
        return conditional_logits_at.dispatch(AbstractEnergy)(energy, x, site)
    first = {name: _first(part) for name, part in energy._spaces.items()}

    def log_sum(value: Array) -> Scalar:
        moved = x.reshape(-1).at[site].set(value.astype(x.dtype)).reshape(x.shape)
        return energy._log_sum({energy.keep: moved, **first}, closed)

    own = conditional_logits(energy.energy, {energy.keep: x, **first}, energy.keep)
    sums = jax.vmap(log_sum)(jnp.asarray(space.values))
    return own.reshape(space.num_sites, *own.shape[x.ndim :])[site] + logits_from_energies(space, -sums)


def _first(space: AbstractArraySpace) -> Array:
    """All sites at their first value, or 0."""
    start = space.values[0] if isinstance(space, AbstractDiscreteSpace) else 0.0
    return jnp.full(space.shape, start, space.struct.dtype)


def _site_sums(energy: AbstractEnergy, space: AbstractArraySpace, whole: Configuration, name: str) -> Array:
    """Log of the sum over each site of a part, all others held, relative to the configuration `whole` is in."""
    if isinstance(space, AbstractDiscreteSpace):
        return space.log_partition(conditional_logits(energy, whole, name))
    precision, linear = conditional_normals(energy, whole, name)
    return 0.5 * (jnp.log(2 * jnp.pi / precision) + linear**2 / precision)


def _num_terms(spaces: dict[str, AbstractArraySpace], closed: dict[str, Bool[np.ndarray, "..."]]) -> float:
    left = {name: int((~closed[name]).sum()) for name in spaces}
    counts = [
        len(space.values) ** left[name] if isinstance(space, AbstractDiscreteSpace) else math.inf if left[name] else 1
        for name, space in spaces.items()
    ]
    return math.prod(counts)


def _sites(space: AbstractArraySpace, name: str, block: Block) -> Bool[np.ndarray, "..."]:
    """Which sites of a part belong to a block."""
    inside = block.parts is None or name in block.parts
    return np.asarray(block.mask) if inside and block.mask is not None else np.full(space.shape, inside)


def marginal(energy: AbstractEnergy) -> AbstractEnergy:
    """The energy over the observed part alone; an energy without hidden parts is its own marginal."""
    return energy if latent(energy) is None else Marginal(energy)


@is_confined.register
def _(energy: Marginal) -> bool | None:
    return is_confined(energy.energy)


@log_normalizer.register
def _(energy: Marginal) -> Scalar:
    return log_normalizer(energy.energy)


@exact_draw.register
def _(energy: Marginal, *, key: PRNGKey) -> Configuration:
    return exact_draw(energy.energy, key=key)[energy.keep]
