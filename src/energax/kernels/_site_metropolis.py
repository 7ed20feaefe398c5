"""Metropolis for discrete sites: another value is proposed, and accepted or not."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from energax._errors import ArgumentError
from energax._typing import BoolScalar, Configuration, PRNGKey, Scalar
from energax.energies import (
    AbstractEnergy,
    Block,
    conditional_logits,
    conditional_logits_at,
    uniform_lattice,
)
from energax.kernels._base import AbstractKernel, StepInfo
from energax.kernels._block_gibbs import (
    BlockGibbsState,
    BlockState,
    block_state,
    refreshed,
    spaces_of,
    sweep_blocks,
)
from energax.kernels._heat_bath import are_laws
from energax.kernels._metropolis import select
from energax.kernels._multispin import PackedSpins, metropolis_table, packed_sweep
from energax.spaces import AbstractDiscreteSpace, AbstractTwoValuedSpace


class MetropolisLaw(eqx.Module):
    """One Metropolis move of independent sites: each proposes one of its other values, uniformly.

    Attributes:
        space: What the values of a site are.
        logits: Logits of the sites, all others given.
        old: Values of the sites before the move.
        mask: Sites that move, None for all.
    """

    space: AbstractDiscreteSpace = eqx.field(static=True)
    logits: Float[Array, "..."]
    old: Int[Array, "..."]
    mask: Array | None = None

    def draw(self, old: Array, *, key: PRNGKey) -> Array:
        """The sites after the move; `old` gives their dtype."""
        value_key, accept_key = jax.random.split(key)
        count, index = len(self.space.values), indices(self.space, self.old)
        proposed = 1 - index if count == 2 else (index + jax.random.randint(value_key, index.shape, 1, count)) % count
        prob = jnp.exp(jnp.minimum(0.0, self.relative(proposed)))
        accepted = jax.random.uniform(accept_key, prob.shape, prob.dtype) < prob
        if self.mask is not None:
            accepted = accepted & self.mask
        return jnp.where(accepted, jnp.asarray(self.space.values, old.dtype)[proposed], old)

    def log_prob(self, new: Array) -> Scalar:
        """Log-probability that the sites have the values `new` after the move; those outside the mask do not count."""
        index, count = indices(self.space, new), len(self.space.values)
        moves = [jnp.exp(jnp.minimum(0.0, self.relative(jnp.full_like(index, v)))) / (count - 1) for v in range(count)]
        old = indices(self.space, self.old)
        leaves = sum(jnp.where(old == v, 0.0, move) for v, move in enumerate(moves))
        chosen = sum(jnp.where(index == v, move, 0.0) for v, move in enumerate(moves))
        log_probs = jnp.log(jnp.where(index == old, jnp.maximum(1 - leaves, 0.0), chosen))
        return jnp.sum(log_probs if self.mask is None else jnp.where(self.mask, log_probs, 0.0))

    def relative(self, index: Int[Array, "..."]) -> Float[Array, "..."]:
        """Log p(value of this index) − log p(old value), for every site."""
        return logits_at(self.space, self.logits, index) - logits_at(
            self.space, self.logits, indices(self.space, self.old)
        )

    @property
    def is_law(self) -> BoolScalar:
        """Whether the logits of all sites that move are those of a law (see `are_laws`)."""
        good = are_laws(self.space, self.logits)
        if self.mask is not None:
            good = good | ~self.mask.reshape(*self.mask.shape, *[1] * (good.ndim - self.mask.ndim))
        return jnp.all(good)


def indices(space: AbstractDiscreteSpace, x: Array) -> Int[Array, "..."]:
    """Which of the values of its space each site has."""
    return sum(
        (jnp.where(x == value, i, 0) for i, value in enumerate(space.values)), jnp.zeros(jnp.shape(x), jnp.int32)
    )


def logits_at(
    space: AbstractDiscreteSpace, logits: Float[Array, "..."], index: Int[Array, "..."]
) -> Float[Array, "..."]:
    """Log-probability of the value of each site, up to a constant of the site."""
    if isinstance(space, AbstractTwoValuedSpace):
        return jnp.where(index == 1, logits, 0.0)
    return jnp.take_along_axis(logits, index[..., None], axis=-1)[..., 0]


class Metropolis(AbstractKernel):
    """Leaves exp(−E) invariant: a site proposes one of its other values, accepted with min(1, exp(−ΔE)).

    Exactness: invariant. One site at random is reversible; sweeps are not, but leave the law unchanged. A step that
    meets a site without a law (NaN) is rejected as a whole and counted. Lattices that `BlockGibbs` packs into words
    are packed here too (``scan="blocks"``): statistically the same step with other random numbers, in which the
    probabilities of the plain path are rounded to multiples of 2^−24.

    `StepInfo.accept_prob` is the share of the proposals of the step that were accepted.

    Cost: as for heat bath: one conditional law per site, or that of each block.

    Args:
        scan: ``"sweep"`` updates every site once, in order; ``"random"`` one site chosen uniformly; ``"blocks"`` all
            sites of a block of conditionally independent sites at once, one block after the other (checkerboard).

    Example:
        >>> import jax
        >>> from energax import energies, kernels, sampling
        >>> run = sampling.sample(energies.Ising(8), kernels.Metropolis("blocks"), num_steps=10, key=jax.random.key(0))
        >>> run.x.shape
        (4, 10, 8, 8)

    References:
        [metropolis1953]
    """

    scan: str = eqx.field(static=True, default="sweep")

    def __check_init__(self) -> None:
        if self.scan not in ("sweep", "random", "blocks"):
            raise ArgumentError(f'Metropolis knows scan="sweep", "random" and "blocks", got {self.scan!r}.')

    @property
    def exact(self) -> bool:
        return True

    @property
    def needs(self) -> frozenset[str]:
        return frozenset({"conditional_logits", *(("blocks",) if self.scan == "blocks" else ())})

    @property
    def uses_hidden(self) -> bool:
        return self.scan == "blocks"

    def init(self, energy: AbstractEnergy, x: Configuration, *, key: PRNGKey) -> BlockState:
        return block_state(energy, x, key=key) if self.scan == "blocks" else BlockGibbsState(x, None)

    def refresh(self, energy: AbstractEnergy, state: BlockState) -> BlockState:
        return refreshed(energy, state)

    def proposal(self, energy: AbstractEnergy, x: Array, site: Array) -> MetropolisLaw:
        """The law of one site after its move."""
        assert isinstance(energy.space, AbstractDiscreteSpace)
        logits = energy.space.masked(conditional_logits_at(energy, x, site), site)
        return MetropolisLaw(energy.space, logits, x.reshape(-1)[site])

    def proposals(self, energy: AbstractEnergy, whole: Configuration, block: Block) -> dict[str | None, MetropolisLaw]:
        """The law of the sites of a block after their moves, by part (None: the whole of a plain space)."""
        mask = None if block.mask is None else jnp.asarray(block.mask)
        laws: dict[str | None, MetropolisLaw] = {}
        for name, space in spaces_of(energy, block).items():
            assert isinstance(space, AbstractDiscreteSpace)
            logits = space.masked(conditional_logits(energy, whole, name))
            laws[name] = MetropolisLaw(space, logits, whole if name is None else whole[name], mask)
        return laws

    def step(self, energy: AbstractEnergy, state: BlockState, *, key: PRNGKey) -> tuple[BlockState, StepInfo]:
        lattice = uniform_lattice(energy)
        if isinstance(state, PackedSpins) and lattice is not None:
            new, is_finite, share = packed_sweep(state, metropolis_table(lattice), key=key)
        elif self.scan == "blocks":
            new, is_finite = sweep_blocks(energy, state, self.proposals, key=key)
            share = _share_moved(new, state)
        else:
            assert isinstance(state, BlockGibbsState)
            new, is_finite, share = self._sites(energy, state, key=key)
        share = jnp.where(is_finite, share, 0.0).astype(float)
        return new, StepInfo(share, share > 0, is_finite)

    def _sites(
        self, energy: AbstractEnergy, state: BlockGibbsState, *, key: PRNGKey
    ) -> tuple[BlockGibbsState, BoolScalar, Scalar]:
        def update(site: Array, carry: tuple[Array, BoolScalar]) -> tuple[Array, BoolScalar]:
            x, is_finite = carry
            law = self.proposal(energy, x, site)
            value = law.draw(law.old, key=jax.random.fold_in(key, site))
            return x.reshape(-1).at[site].set(value).reshape(x.shape), is_finite & law.is_law

        num_sites, start = state.x.size, (state.x, jnp.ones((), bool))
        if self.scan == "sweep":
            x, is_finite = jax.lax.fori_loop(0, num_sites, update, start)
            share = jnp.mean(x != state.x)
        else:
            x, is_finite = update(jax.random.randint(jax.random.fold_in(key, num_sites), (), 0, num_sites), start)
            share = jnp.any(x != state.x).astype(float)
        return BlockGibbsState(select(is_finite, x, state.x), None), is_finite, share


def _share_moved(new: BlockGibbsState, old: BlockState) -> Scalar:
    """The share of all sites, hidden ones included, that have another value."""
    pairs = zip(jax.tree.leaves(new), jax.tree.leaves(old), strict=True)
    moved = [(jnp.sum(a != b), a.size) for a, b in pairs]
    return jnp.sum(jnp.stack([count for count, _ in moved])) / sum(size for _, size in moved)
