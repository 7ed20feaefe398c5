"""Mixtures of independent sites as base laws, with the component as a hidden unit so that block Gibbs goes on working."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from energax._typing import Configuration, PRNGKey, Scalar
from energax.densities import AbstractDensity
from energax.energies import AbstractEnergy, Block, Interpolated, Latent, blocks, conditional_logits, latent
from energax.paths import AbstractPath
from energax.spaces import AbstractTwoValuedSpace, Categorical, Product


class SiteMixture(AbstractDensity):
    """Mixture of independent two-valued sites, p(x) = Σ_k π_k Π_i p_ki(x_i).

    Args:
        space: A two-valued space.
        logits: Log-odds of the second value, shape (k, *space.shape).
        log_weights: log π_k, shape (k,), normalised.
    """

    logits: Float[Array, "k ..."]
    log_weights: Float[Array, " k"]
    space: AbstractTwoValuedSpace = eqx.field(static=True)

    @property
    def _flat(self) -> Float[Array, "k site"]:
        return self.logits.reshape(self.logits.shape[0], -1)

    def component_log_probs(self, x: Configuration) -> Float[Array, " k"]:
        """Log π_k p_k(x) of every component."""
        # log p = Σ_i (is_second_i l_i − softplus(l_i)): one product with the logits for all components.
        second = (x == self.space.values[1]).reshape(-1).astype(self.logits.dtype)
        return self.log_weights + self._flat @ second - jnp.sum(jax.nn.softplus(self._flat), axis=1)

    def log_prob(self, x: Configuration) -> Scalar:
        return jax.nn.logsumexp(self.component_log_probs(x))

    def draw(self, *, key: PRNGKey) -> Configuration:
        which, sites = jax.random.split(key)
        index = jax.random.categorical(which, self.log_weights)
        return self.space.draw_sites(self.logits[index], key=sites)


class LabelledSites(AbstractEnergy):
    """The joint energy of a `SiteMixture` and of its component: E(k, x) = −log π_k − log p_k(x).

    The component is a hidden unit: given x it has a categorical law, and given the component the sites are
    independent. A path that keeps it keeps the block structure of a machine at its other end.
    """

    mixture: SiteMixture

    @property
    def space(self) -> Product:
        return Product({"component": self._component, "sites": self.mixture.space})

    @property
    def _component(self) -> Categorical:
        return Categorical((), num_categories=self.mixture.logits.shape[0])

    def __call__(self, x: Configuration) -> Scalar:
        return -self.mixture.component_log_probs(x["sites"])[x["component"]]


@conditional_logits.register
def _(energy: LabelledSites, x: Configuration, part: str | None = None) -> Float[Array, "..."]:
    if part == "component":
        log_probs = energy.mixture.component_log_probs(x["sites"])
        return log_probs - log_probs[0]
    return energy.mixture.logits[x["component"]]


@blocks.register
def _(energy: LabelledSites) -> tuple[Block, ...]:
    del energy
    return (Block(("component",)), Block(("sites",)))


@latent.register
def _(energy: LabelledSites) -> Latent:
    del energy
    return Latent("sites", ("component",))


class LabelledPath(AbstractPath):
    """The geometric path of the joint laws of (x, component) and (x, hidden): E_t = (1 − t) E_mixture + t E.

    At t = 0 its observed law is the mixture, at t = 1 that of the target; in between the component is summed out.
    """

    base: SiteMixture
    target: AbstractEnergy

    @property
    def start(self) -> SiteMixture:
        return self.base

    def at(self, t: Scalar) -> AbstractEnergy:
        return Interpolated(LabelledSites(self.base), self.target, t)


def fit_site_mixture(
    rows: np.ndarray, num_components: int, *, seed: int, num_rounds: int = 12, smoothing: float = 0.05
) -> tuple[Float[np.ndarray, "k site"], Float[np.ndarray, " k"]]:
    """Means and weights of a mixture of Bernoulli units by expectation–maximisation.

    Args:
        rows: 0/1 rows, shape (n, site).
        num_components: At most this many; components that die are dropped.
        seed: Seed of the starts.
        num_rounds: Rounds.
        smoothing: Share of the global mean in the mean of every component, which keeps components from being narrow.

    Returns:
        Means (k, site) inside (0, 1) and weights (k,).
    """
    rng = np.random.default_rng(seed)
    rows = np.asarray(rows, np.float32)
    overall = (rows.sum(0) + max(1.0, 0.02 * len(rows))) / (len(rows) + 2 * max(1.0, 0.02 * len(rows)))
    chosen = rng.choice(len(rows), size=min(num_components, len(rows)), replace=False)
    means = 0.5 * overall + 0.5 * rows[chosen]
    means = np.clip(means, 0.02, 0.98)
    weights = np.full(len(means), 1 / len(means))
    for _ in range(num_rounds):
        logits = np.log(means) - np.log1p(-means)
        log_p = rows @ logits.T + np.log1p(-means).sum(1) + np.log(weights)
        shares = np.exp(log_p - log_p.max(1, keepdims=True))
        shares /= shares.sum(1, keepdims=True)
        mass = shares.sum(0)
        alive = mass > 2.0
        mass, shares = mass[alive], shares[:, alive]
        extra = smoothing * mass + 1.0
        means = (shares.T @ rows + extra[:, None] * overall) / (mass + extra)[:, None]
        weights = mass / mass.sum()
    return means, weights
