"""Exponentials of ratios between neighbours: interaction screening, probability flow, concrete score matching."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from energax._errors import ArgumentError
from energax.objectives._site_laws import AbstractSiteObjective, SiteRatios


class InteractionScreening(AbstractSiteObjective):
    """Interaction screening, RISE and logRISE: weights that undo the coupling of a site to all the others.

    Let E_i(x) = E(x) − mean_v E(x with v at i) be the part of the energy that site i decides, centred over its
    values. RISE: loss = Σ_i E_data exp(E_i(x)); with ``log=True``, logRISE: Σ_i log E_data exp(E_i(x)). For Ising
    E_i(x) = −s_i (Σ_j J_ij s_j + H_i), the original form, which is convex in the parameters, site by site. Under the
    true law exp(E_i) makes site i uniform and independent of the others: that is the minimum.

    For two-valued sites E_i(x) = ½ (E(x) − E(x with i flipped)), so RISE and `MinimumProbabilityFlow` are one
    function. They differ for sites with more values.

    Exactness: RISE is consistent, and its gradients are unbiased. logRISE is consistent for all rows together; on
    batches its gradient has a bias of the order 1/rows. Both learn nothing about masses of modes that differ in many
    sites. Weights are heavy where couplings are strong.

    Cost: as `PseudoLikelihood`.

    Args:
        log: logRISE. It has the same minimum, and needs fewer rows where couplings are strong.
        num_sites: As in `PseudoLikelihood`; not together with `log`, where all rows must look at one site.

    References:
        [vuffray2016]; [lokhov2018] for logRISE; [vuffray2020] for sites with more than two values. Penalties are not
        part of it.
    """

    log: bool = eqx.field(static=True, default=False)
    num_sites: int | None = eqx.field(static=True, default=None)

    def __check_init__(self) -> None:
        if self.log and self.num_sites is not None:
            raise ArgumentError("logRISE needs all sites of every row: leave `num_sites` out, or take log=False.")

    def site_losses(self, ratios: SiteRatios) -> Float[Array, " site"]:
        local = jnp.sum(ratios.log_ratio, axis=-1) / jnp.sum(ratios.allowed, axis=-1)
        if self.log:
            return jax.nn.logsumexp(local, axis=0) - jnp.log(len(local))
        return jnp.mean(jnp.exp(local), axis=0)


class MinimumProbabilityFlow(AbstractSiteObjective):
    """Minimum probability flow to configurations that differ in one site.

    loss = E_data Σ_{x'} exp(½ (E(x) − E(x'))), x' over all configurations that differ from x in a single site. It is
    the rate at which a dynamics with the model as its equilibrium would carry probability away from the data, if it
    began there.

    Exactness: consistent, with unbiased gradients. Rows that are neighbours of each other count as well: only the
    model's law decides where the minimum is. Nothing is learned about masses of modes that differ in many sites.

    Cost: as `PseudoLikelihood`.

    Args:
        num_sites: As in `PseudoLikelihood`.

    References:
        [sohldickstein2011], with the neighbours of a row that are rows themselves kept in the sum, so that each row
        has a loss of its own.
    """

    num_sites: int | None = eqx.field(static=True, default=None)

    def site_losses(self, ratios: SiteRatios) -> Float[Array, " site"]:
        flow = jnp.where(ratios.others, jnp.exp(0.5 * ratios.log_ratio), 0)
        return jnp.mean(jnp.sum(flow, axis=-1), axis=0)


class ConcreteScoreMatching(AbstractSiteObjective):
    """Concrete score matching: squared errors of the ratios p(x')/p(x) between neighbours.

    ½ E_data Σ_{x'} (r_model(x, x') − r_data(x, x'))² with r(x, x') = p(x')/p(x) and x' over all configurations that
    differ from x in a single site is, but for a constant,
    loss = E_data Σ_{x'} ½ exp(2 (E(x) − E(x'))) − exp(E(x') − E(x)), in which the law of the data stands no longer.
    For two-valued sites this is also discrete score matching with the marginalisation over one site.

    Exactness: consistent, with unbiased gradients. Squares of ratios are dominated by the least likely rows: of all
    objectives of single sites this one needs most rows, and it has no lower bound on a finite batch.

    Cost: as `PseudoLikelihood`.

    Args:
        num_sites: As in `PseudoLikelihood`.

    References:
        [meng2022], with the neighbours that differ in one site; [lyu2009] for the form with marginalisation.
    """

    num_sites: int | None = eqx.field(static=True, default=None)

    def site_losses(self, ratios: SiteRatios) -> Float[Array, " site"]:
        terms = 0.5 * jnp.exp(2 * ratios.log_ratio) - jnp.exp(-ratios.log_ratio)
        return jnp.mean(jnp.sum(jnp.where(ratios.others, terms, 0), axis=-1), axis=0)
