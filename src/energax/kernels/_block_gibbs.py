"""Block Gibbs: blocks of conditionally independent sites drawn at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from energax._typing import BoolScalar, Configuration, PRNGKey, Scalar
from energax.energies import (
    AbstractEnergy,
    Block,
    blocks,
    complete,
    conditional_logits,
    conditional_normals,
    observed,
    uniform_lattice,
)
from energax.energies import latent as latent_parts
from energax.kernels._base import AbstractKernel, AbstractState, StepInfo
from energax.kernels._heat_bath import are_laws
from energax.kernels._metropolis import select
from energax.kernels._multispin import PackedSpins, heat_bath_table, packed_sweep, packing, with_signs
from energax.spaces import AbstractDiscreteSpace, AbstractSpace, Product


class BlockProposal(eqx.Module):
    """The conditional law of a block of sites given all others: independent sites with given logits.

    Attributes:
        space: Space of the part that holds the sites.
        logits: Logits of all sites of the part; those outside the mask are not used.
        mask: Sites that belong to the block, None for all.
    """

    space: AbstractDiscreteSpace = eqx.field(static=True)
    logits: Float[Array, "..."]
    mask: Array | None

    def draw(self, old: Array, *, key: PRNGKey) -> Array:
        """The part after the update; sites outside the block keep their old value."""
        new = self.space.draw_sites(self.logits, key=key).astype(old.dtype)
        return new if self.mask is None else jnp.where(self.mask, new, old)

    def log_prob(self, new: Array) -> Scalar:
        """Log-probability of the block's new values."""
        log_probs = self.space.site_log_probs(self.logits, new)
        return jnp.sum(log_probs if self.mask is None else jnp.where(self.mask, log_probs, 0.0))

    @property
    def is_law(self) -> BoolScalar:
        """Whether the logits of all sites of the block are those of a law (see `are_laws`)."""
        good = are_laws(self.space, self.logits)
        if self.mask is None:
            return jnp.all(good)
        return jnp.all(good | ~self.mask.reshape(*self.mask.shape, *[1] * (good.ndim - self.mask.ndim)))


class NormalBlockProposal(eqx.Module):
    """The conditional law of a continuous block given everything else: independent normal coordinates.

    Attributes:
        precision: p of each coordinate.
        linear: l of each coordinate; the law is N(l/p, 1/p).
    """

    precision: Float[Array, "..."]
    linear: Float[Array, "..."]

    def draw(self, old: Array, *, key: PRNGKey) -> Array:
        """The part after the update; `old` gives its dtype."""
        noise = jax.random.normal(key, self.precision.shape, self.precision.dtype)
        return (self.linear / self.precision + noise / jnp.sqrt(self.precision)).astype(old.dtype)

    def log_prob(self, new: Array) -> Scalar:
        """Log-density of the new coordinates."""
        squares = self.precision * (new - self.linear / self.precision) ** 2
        return 0.5 * jnp.sum(jnp.log(self.precision / (2 * jnp.pi)) - squares)

    @property
    def is_law(self) -> BoolScalar:
        """Whether every coordinate has a normal law."""
        return jnp.all((self.precision > 0) & jnp.isfinite(self.precision) & jnp.isfinite(self.linear))


class BlockGibbsState(AbstractState):
    """The observed configuration and the hidden parts, None where there are none."""

    x: Configuration
    hidden: Configuration


class BlockGibbs(AbstractKernel):
    """Leaves exp(−E) invariant: every block of conditionally independent sites is drawn given all the others.

    For a restricted Boltzmann machine the hidden units given the visible ones, then the visible units given the
    hidden ones, whether these are bits or real numbers with normal conditional laws; for a lattice with nearest
    neighbours one colour after the other.

    Exactness: invariant. One step updates every site once. A step that meets a site without a law (NaN) is rejected
    as a whole and counted. Periodic lattices of spins with one coupling, up to signs of the bonds, and one field
    (`energies.uniform_lattice`: square, cubic ..., a ±J glass) with even axes are packed into words where a word can
    hold 8 spins or more: statistically the same step with other random numbers, in which the probabilities of the
    plain path are rounded to multiples of 2^−24.

    Cost: the conditional logits of each block once per step (an RBM: two matrix–vector products); 24 random bits and
    no floating-point operation for a spin in a word.

    References:
        [geman1984], [hinton2012]
    """

    @property
    def exact(self) -> bool:
        return True

    @property
    def needs(self) -> frozenset[str]:
        return frozenset({"blocks"})

    @property
    def uses_hidden(self) -> bool:
        return True

    def init(self, energy: AbstractEnergy, x: Configuration, *, key: PRNGKey) -> BlockState:
        return block_state(energy, x, key=key)

    def refresh(self, energy: AbstractEnergy, state: BlockState) -> BlockState:
        return refreshed(energy, state)

    def proposals(
        self, energy: AbstractEnergy, whole: Configuration, block: Block
    ) -> dict[str | None, BlockProposal | NormalBlockProposal]:
        """The law of a block given everything else, by part (None: the whole of a plain space)."""
        mask = None if block.mask is None else jnp.asarray(block.mask)
        return {
            name: BlockProposal(space, space.masked(conditional_logits(energy, whole, name)), mask)
            if isinstance(space, AbstractDiscreteSpace)
            else NormalBlockProposal(*conditional_normals(energy, whole, name))
            for name, space in spaces_of(energy, block).items()
        }

    def step(self, energy: AbstractEnergy, state: BlockState, *, key: PRNGKey) -> tuple[BlockState, StepInfo]:
        lattice = uniform_lattice(energy)
        if isinstance(state, PackedSpins) and lattice is not None:
            new, is_finite, _ = packed_sweep(state, heat_bath_table(lattice), key=key)
        else:
            new, is_finite = sweep_blocks(energy, state, self.proposals, key=key)
        return new, StepInfo.unless_nan(is_finite)


BlockState: TypeAlias = BlockGibbsState | PackedSpins


def block_state(energy: AbstractEnergy, x: Configuration, *, key: PRNGKey) -> BlockState:
    """The state of a kernel that sweeps over blocks: packed where it can be, else with hidden parts at random."""
    names, layout = latent_parts(energy), packing(energy)
    if layout is not None:
        return with_signs(PackedSpins.pack(x, layout), energy)
    if names is None:
        return BlockGibbsState(x, None)
    whole = complete(energy, x, key=key)
    return BlockGibbsState(x, {name: whole[name] for name in names.hidden})


def refreshed(energy: AbstractEnergy, state: BlockState) -> BlockState:
    """The same configuration with what the state knows of the energy: the signs of packed bonds."""
    return with_signs(state, energy) if isinstance(state, PackedSpins) else state


class BlockLaw(Protocol):
    """The law of the sites of one block given everything else."""

    def draw(self, old: Array, *, key: PRNGKey) -> Array:
        """The part after the update."""
        ...

    @property
    def is_law(self) -> BoolScalar:
        """Whether it is a law at all."""
        ...


def sweep_blocks(
    energy: AbstractEnergy,
    state: BlockState,
    proposals: Callable[[AbstractEnergy, Configuration, Block], Mapping[str | None, BlockLaw]],
    *,
    key: PRNGKey,
) -> tuple[BlockGibbsState, BoolScalar]:
    """Every block in turn, by the laws that `proposals` gives: the new state, the old one if a law was none."""
    assert isinstance(state, BlockGibbsState)
    names = latent_parts(energy)
    whole: Any = state.x if names is None else {names.observed: state.x, **state.hidden}
    is_finite = jnp.ones((), bool)
    for index, block in enumerate(blocks(energy)):
        block_key = jax.random.fold_in(key, index)
        laws = proposals(energy, whole, block)
        for part, (name, law) in enumerate(laws.items()):
            is_finite = is_finite & law.is_law
            draw_key = jax.random.fold_in(block_key, part) if len(laws) > 1 else block_key
            if name is None:
                whole = law.draw(whole, key=draw_key)
            else:
                whole = {**whole, name: law.draw(whole[name], key=draw_key)}
    hidden = None if names is None else {name: whole[name] for name in names.hidden}
    return select(is_finite, BlockGibbsState(observed(energy, whole), hidden), state), is_finite


def spaces_of(energy: AbstractEnergy, block: Block) -> dict[str | None, AbstractSpace]:
    """The spaces of the parts that a block's sites belong to."""
    if not isinstance(energy.space, Product):
        return {None: energy.space}
    parts = energy.space.parts
    return {name: parts[name] for name in (parts if block.parts is None else block.parts)}
