"""What objectives without samples of a discrete model share: how the law of each site follows from all the others."""

import abc
from typing import NamedTuple

import jax
import jax.numpy as jnp
from equinox import AbstractVar
from jaxtyping import Array, Bool, Float, Int

from energax._errors import ArgumentError, KernelMismatch
from energax._typing import Configuration, PRNGKey, Scalar
from energax.energies import AbstractEnergy, conditional_logits, conditional_logits_at, marginal, observed_space
from energax.objectives._base import AbstractStatelessObjective, Metrics, as_positions, frozen
from energax.spaces import AbstractDiscreteSpace, AbstractTwoValuedSpace


class SiteRatios(NamedTuple):
    """What a configuration x becomes when one site takes another value, axes (..., site, value).

    Attributes:
        log_ratio: log p(x with the value at the site) − log p(x), a difference of energies; 0 where not allowed.
        own: Whether the value is the one that x has.
        allowed: Whether the site may have the value.
    """

    log_ratio: Float[Array, "... site value"]
    own: Bool[Array, "... site value"]
    allowed: Bool[Array, "... site value"]

    @property
    def log_probs(self) -> Float[Array, "... site value"]:
        """Log of the law of each site given all the others."""
        return jax.nn.log_softmax(jnp.where(self.allowed, self.log_ratio, -jnp.inf), axis=-1)

    @property
    def others(self) -> Bool[Array, "... site value"]:
        """Values that the site may have and does not have."""
        return self.allowed & ~self.own

    def at_own(self, values: Float[Array, "... site value"]) -> Float[Array, "... site"]:
        """The entry of each site's own value."""
        return jnp.sum(jnp.where(self.own, values, 0), axis=-1)


def site_ratios(energy: AbstractEnergy, x: Array, sites: Int[Array, " n"] | None = None) -> SiteRatios:
    """The ratios of all sites of one configuration, in flat order, or of those in `sites`."""
    space = energy.space
    assert isinstance(space, AbstractDiscreteSpace)
    if sites is None:
        sites = jnp.arange(space.num_sites)
        logits = conditional_logits(energy, x)
    else:
        logits = jax.vmap(lambda site: conditional_logits_at(energy, x, site))(sites)
    if isinstance(space, AbstractTwoValuedSpace):
        logits = jnp.stack([jnp.zeros_like(logits), logits], axis=-1)
    logits = logits.reshape(len(sites), -1)
    own = x.reshape(-1)[sites][:, None] == jnp.asarray(space.values)
    mask = None if space.allowed is None else jnp.asarray(space.allowed.reshape(-1, len(space.values)))
    allowed = jnp.ones(own.shape, bool) if mask is None else mask[sites]
    logits = jnp.where(allowed, logits, 0)
    here = jnp.sum(jnp.where(own, logits, 0), axis=-1, keepdims=True)
    return SiteRatios(jnp.where(allowed, logits - here, 0), own, allowed)


class AbstractSiteObjective(AbstractStatelessObjective):
    """An objective that is a sum over sites of something that only the law of the site given the others decides.

    The loss is the sum over sites of `site_losses`, the mean of each over the rows of the batch. With `num_sites`
    each row looks at that many sites, drawn anew at each update, and the sum is scaled up.
    """

    num_sites: AbstractVar[int | None]

    @abc.abstractmethod
    def site_losses(self, ratios: SiteRatios) -> Float[Array, " site"]:
        """Mean over the rows, from ratios with axes (row, site, value)."""

    def check(self, energy: AbstractEnergy) -> None:
        name, space = type(self).__name__, observed_space(energy)
        if not isinstance(space, AbstractDiscreteSpace):
            raise KernelMismatch(
                f"{name} needs an array of discrete sites, but space={space}. Try DenoisingScoreMatching, or "
                "PersistentCD."
            )
        if self.num_sites is not None and not 1 <= self.num_sites <= space.num_sites:
            raise ArgumentError(f"{name} has num_sites={self.num_sites}, but there are {space.num_sites} sites.")
        marginal(energy)

    def measure(self, energy: AbstractEnergy, batch: Configuration, *, key: PRNGKey) -> tuple[Scalar, Metrics]:
        observed, rows = marginal(energy), as_positions(energy, batch)
        total = observed_space(energy).num_sites  # pyright: ignore[reportAttributeAccessIssue]
        site_key, noise_key = jax.random.split(key)
        if self.num_sites is None:
            ratios = jax.vmap(lambda x: site_ratios(observed, x))(rows)
        else:
            order = jax.random.uniform(site_key, (len(rows), total))
            sites = jax.lax.top_k(order, self.num_sites)[1]
            ratios = jax.vmap(lambda x, s: site_ratios(observed, x, s))(rows, sites)
        loss = total * jnp.mean(self.site_losses(ratios))
        metrics = {"pseudo_log_likelihood": total * jnp.mean(ratios.at_own(ratios.log_probs))}
        return loss, {**metrics, **_energies(frozen(observed), rows, key=noise_key)}


def _energies(energy: AbstractEnergy, rows: Array, *, key: PRNGKey) -> Metrics:
    """Energies of the data and of the initial law of the space: their gap grows as the energy forms."""
    noise = jax.vmap(lambda k: energy.space.initial(key=k))(jax.random.split(key, len(rows)))
    at_data, at_noise = (jnp.mean(jax.vmap(energy)(x)) for x in (rows, noise))
    return {"energy_data": at_data, "energy_noise": at_noise}
