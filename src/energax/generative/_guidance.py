"""Guidance: a diffusion model whose law is multiplied by exp(−E), by adding −∇E to its scores."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from energax._errors import SpaceError
from energax._typing import Scalar
from energax.energies import AbstractEnergy
from energax.generative._diffusion import Diffusion
from energax.spaces import same_configurations


def guided(
    model: Diffusion, energy: AbstractEnergy | Callable[[Array, Array], Scalar], *, strength: float | Scalar = 1.0
) -> Diffusion:
    """The diffusion model with the scores ∇ log p_t(x) − γ ∇ E_t(x): towards p(x) exp(−γ E(x)).

    A function of (x, t) is E_t itself, such as −log p(c | x_t) of a classifier of noisy rows; then draws are of
    p(x | c) for γ = 1. An energy of rows is asked at the mean of the rows that x may have come from,
    x̂ = (x − σ ε̂)/α, which is the first term of the right one, −log E[exp(−γ E(x_0)) | x_t].

    Exactness: exact for E_t of the noised law, up to the sampler. For an energy of rows exact if it is linear and the
    rows are normal, else biased, the more the stronger and the more curved it is. Guided likelihoods are those of the
    guided model, whatever it is.

    Cost: the gradient of E, and for an energy of rows a derivative of the network, with each evaluation of the network.

    Args:
        model: The diffusion model; not changed.
        energy: An energy over the space of the model, or a function of a noisy row and its time.
        strength: γ; negative to be driven away.

    Returns:
        A `Diffusion` with a network of its own, which draws, tells likelihoods and, with ``energy=True`` and a function
        of (x, t), gives energies like any other.

    Raises:
        SpaceError: The energy lives elsewhere.

    Example:
        >>> import jax
        >>> from energax import densities, generative
        >>> model = generative.Diffusion(2, hidden=(8,), key=jax.random.key(0))
        >>> law = generative.guided(model, densities.Gaussian(jax.numpy.ones(2)), strength=0.5)
        >>> law.draw(key=jax.random.key(1)).shape
        (2,)

    References:
        [dhariwal2021], [chung2023], [du2023]
    """
    if isinstance(energy, AbstractEnergy):
        if not same_configurations(model.space, energy.space):
            raise SpaceError(f"The model draws from {model.space}, the energy is on {energy.space}; they must agree.")
        energy = AtDenoised(model, energy)
    network = GuidedNetwork(model, energy, jnp.asarray(strength, jnp.result_type(float)))
    return eqx.tree_at(lambda m: m.network, model, network)


class AtDenoised(eqx.Module):
    """E(x̂(x, t)) with the mean x̂ of the rows that x may have come from, as the model has it."""

    model: Diffusion
    energy: AbstractEnergy

    def __call__(self, x: Array, t: Array) -> Scalar:
        return self.energy(self.model.denoised(x, t))


class GuidedNetwork(eqx.Module):
    """The network of (y, t) with which a `Diffusion` has the scores of `model`, less γ times the gradient of E."""

    model: Diffusion
    energy: Any
    strength: Scalar

    def __call__(self, y: Array, t: Array) -> Array:
        model, scale = self.model, self.model.spread(t)
        if model.energy:
            return model.network(y, t) + self.strength.astype(y.dtype) * self.energy(scale * y, t)
        push = self.strength.astype(y.dtype) * jax.grad(self.energy)(scale * y, t)
        share = model.noising.sigma(t) * scale / (model.noising.alpha(t) * model.data_scale)
        return model.network(y, t) + (share * push).astype(y.dtype)
