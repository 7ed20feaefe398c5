"""Mixtures as base laws: one component for the bulk, one for each mode that annealing from the bulk does not reach."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from energax._errors import ArgumentError
from energax._typing import Configuration, PRNGKey, Scalar
from energax.densities import AbstractDensity, SiteMixture
from energax.energies import AbstractEnergy, Block, Interpolated, Latent, blocks, conditional_logits, latent
from energax.paths import AbstractPath
from energax.spaces import AbstractSpace, Categorical, Product


class Mixture(AbstractDensity):
    """p(x) = Σ_k π_k p_k(x) of densities on one space.

    Args:
        components: The densities p_k.
        log_weights: log π_k, shape (k,), normalised.
    """

    components: tuple[AbstractDensity, ...]
    log_weights: Float[Array, " k"]

    def __check_init__(self) -> None:
        if not self.components or any(c.space != self.components[0].space for c in self.components):
            raise ArgumentError("The components of a mixture need one space.")

    @property
    def space(self) -> AbstractSpace:
        return self.components[0].space

    def log_prob(self, x: Configuration) -> Scalar:
        each = jnp.stack([component.log_prob(x) for component in self.components])
        return jax.nn.logsumexp(self.log_weights + each)

    def draw(self, *, key: PRNGKey) -> Configuration:
        which, *keys = jax.random.split(key, len(self.components) + 1)
        drawn = [component.draw(key=k) for component, k in zip(self.components, keys, strict=True)]
        index = jax.random.categorical(which, self.log_weights)
        return jax.tree.map(lambda *leaves: jnp.stack(leaves)[index], *drawn)


class LabelledSites(AbstractEnergy):
    """The joint energy of a `SiteMixture` and of its component, E(k, x) = −log π_k − log p_k(x).

    The component is a hidden unit: given x it has a categorical law, and given the component the sites are
    independent. A path that keeps it keeps the blocks of a machine at its other end, which a plain mixture would
    couple.
    """

    mixture: SiteMixture

    @property
    def space(self) -> Product:
        component = Categorical((), num_categories=self.mixture.logits.shape[0])
        return Product({"component": component, "sites": self.mixture.space})

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
    """The geometric path of joint laws, E_t(x, component, hidden) = (1 − t) E_mixture + t E.

    At t = 0 its observed law is that of the mixture, at t = 1 that of the target, and log Z is theirs: each end sees
    the other's hidden part with a uniform law. The component is summed out of the observed energy.

    Args:
        base: The mixture.
        target: A latent energy whose observed part is a block of independent sites given the rest.
    """

    base: SiteMixture
    target: AbstractEnergy

    @property
    def start(self) -> SiteMixture:
        return self.base

    def at(self, t: Scalar) -> AbstractEnergy:
        return Interpolated(LabelledSites(self.base), self.target, t)
