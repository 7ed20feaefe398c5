"""Scoring rules of the law of each site given all the others: pseudo-likelihood and ratio matching."""

from __future__ import annotations

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from energax.objectives._site_laws import AbstractSiteObjective, SiteRatios


class PseudoLikelihood(AbstractSiteObjective):
    """Pseudo-likelihood: how well each site is predicted by all the others.

    loss = −E_data Σ_i log p(x_i | x_{−i}), from the model's conditional laws, in which Z cancels. The energy of a
    machine with hidden units is that of its observed part, with the hidden ones summed out.

    Exactness: consistent; data from p* have their only minimum at conditional laws that are those of p*, which decide
    p* where it is positive everywhere. For a finite number of rows it is not the likelihood: less precise, most of all
    where sites are strongly coupled. Only single sites are looked at, so that nothing is learned about the relative
    mass of modes that differ in many sites.

    Cost: all conditional logits of each row and their gradient: as much as one or two energies for pair couplings,
    k energies for each site (of k values) where nothing better is known, as for networks and for machines with hidden
    units.

    Args:
        num_sites: Sites that each row looks at in each update, drawn anew; None for all of them. The loss keeps its
            mean, and the cost falls where logits are computed site by site.

    Example:
        >>> import jax
        >>> from energax import energies, objectives
        >>> model = energies.Ising(energies.DenseCouplings(jax.numpy.zeros((5, 5))))
        >>> data = jax.numpy.ones((3, 5), "int8")
        >>> loss, _ = objectives.PseudoLikelihood().loss(model, data, None, key=jax.random.key(0))
        >>> round(float(loss), 4)  # five fair coins
        3.4657

    References:
        [besag1975]
    """

    num_sites: int | None = eqx.field(static=True, default=None)

    def site_losses(self, ratios: SiteRatios) -> Float[Array, " site"]:
        return -jnp.mean(ratios.at_own(ratios.log_probs), axis=0)


class RatioMatching(AbstractSiteObjective):
    """Ratio matching: squared errors of the law of each site given all the others.

    loss = E_data Σ_i ½ Σ_v (p(v at i | x_{−i}) − [x_i = v])². For two-valued sites the inner sum is
    (1 − p(x_i | x_{−i}))², ratio matching in its original form; for more values it is the Brier score.

    Exactness: consistent as `PseudoLikelihood` is, with less weight on rows that the model finds unlikely: bounded by
    1 for each site, so that outliers do little harm, and slow to learn where the model is far off.

    Cost: as `PseudoLikelihood`.

    Args:
        num_sites: As in `PseudoLikelihood`.

    References:
        [hyvarinen2007], extended from two values to more.
    """

    num_sites: int | None = eqx.field(static=True, default=None)

    def site_losses(self, ratios: SiteRatios) -> Float[Array, " site"]:
        errors = jnp.exp(ratios.log_probs) - ratios.own
        return 0.5 * jnp.mean(jnp.sum(errors**2, axis=-1), axis=0)
