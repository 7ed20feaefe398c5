"""Heat bath: single sites drawn from their conditional law."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from energax._errors import ArgumentError
from energax._typing import BoolScalar, Configuration, PRNGKey, Scalar
from energax.energies import AbstractEnergy, conditional_logits_at
from energax.kernels._base import AbstractKernel, AbstractState, StepInfo
from energax.kernels._metropolis import select
from energax.spaces import AbstractDiscreteSpace, AbstractTwoValuedSpace


class SiteProposal(eqx.Module):
    """The conditional law of one site given all others."""

    space: AbstractDiscreteSpace = eqx.field(static=True)
    logits: Float[Array, "..."]

    def draw(self, *, key: PRNGKey) -> Array:
        """One draw of the site's value."""
        return self.space.draw_sites(self.logits, key=key)

    def log_prob(self, value: Array) -> Scalar:
        """Log-probability of a value."""
        return self.space.site_log_probs(self.logits, value)

    @property
    def is_law(self) -> BoolScalar:
        """Whether the logits are those of a law (see `are_laws`)."""
        return jnp.all(are_laws(self.space, self.logits))


def are_laws(space: AbstractDiscreteSpace, logits: Float[Array, "..."]) -> Bool[Array, "..."]:
    """Where logits stand for a law.

    NaN comes from an energy that is not finite, or infinite for every value of a site. Infinite log-odds are a
    forbidden value; of logits of more values none may be +inf, because two of them have no ratio.
    """
    return ~jnp.isnan(logits) if isinstance(space, AbstractTwoValuedSpace) else logits < jnp.inf


class HeatBathState(AbstractState):
    """The configuration; a heat bath caches nothing."""

    x: Configuration


class HeatBath(AbstractKernel):
    """Leaves exp(−E) invariant: x_i ~ p(x_i | all other sites), for all sites in turn or one at random.

    Exactness: invariant. A random scan is reversible; a sweep in fixed order is not, but leaves the law unchanged. A
    sweep that meets a site without a law (NaN) is rejected as a whole and counted.

    Cost: one conditional law per site; for an energy without a fast path that is k energy evaluations, k the number
    of values of a site.

    Args:
        scan: ``"sweep"`` updates every site once, in order; ``"random"`` updates one site chosen uniformly.

    References:
        [geman1984]
    """

    scan: str = eqx.field(static=True, default="sweep")

    def __check_init__(self) -> None:
        if self.scan not in ("sweep", "random"):
            raise ArgumentError(f'HeatBath knows scan="sweep" and scan="random", got {self.scan!r}.')

    @property
    def exact(self) -> bool:
        return True

    @property
    def needs(self) -> frozenset[str]:
        return frozenset({"conditional_logits"})

    def init(self, energy: AbstractEnergy, x: Configuration, *, key: PRNGKey) -> HeatBathState:
        del energy, key
        return HeatBathState(x)

    def refresh(self, energy: AbstractEnergy, state: HeatBathState) -> HeatBathState:
        del energy
        return state

    def proposal(self, energy: AbstractEnergy, x: Array, site: Array) -> SiteProposal:
        """The law from which a site is drawn."""
        assert isinstance(energy.space, AbstractDiscreteSpace)
        return SiteProposal(energy.space, energy.space.masked(conditional_logits_at(energy, x, site), site))

    def step(self, energy: AbstractEnergy, state: HeatBathState, *, key: PRNGKey) -> tuple[HeatBathState, StepInfo]:
        def update(site: Array, carry: tuple[Array, BoolScalar]) -> tuple[Array, BoolScalar]:
            x, is_finite = carry
            law = self.proposal(energy, x, site)
            value = law.draw(key=jax.random.fold_in(key, site)).astype(x.dtype)
            return x.reshape(-1).at[site].set(value).reshape(x.shape), is_finite & law.is_law

        num_sites = state.x.size
        start = (state.x, jnp.ones((), bool))
        if self.scan == "sweep":
            x, is_finite = jax.lax.fori_loop(0, num_sites, update, start)
        else:
            x, is_finite = update(jax.random.randint(jax.random.fold_in(key, num_sites), (), 0, num_sites), start)
        return HeatBathState(select(is_finite, x, state.x)), StepInfo.unless_nan(is_finite)
