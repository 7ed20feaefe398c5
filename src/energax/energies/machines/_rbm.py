"""The restricted Boltzmann machine with 0/1 units."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from energax._errors import ArgumentError
from energax._typing import Configuration, PRNGKey, Scalar
from energax.energies._base import AbstractEnergy, as_parameter
from energax.energies._capabilities import Block, Latent, blocks, conditional_logits, latent
from energax.spaces import Binary, Product


class RBM(AbstractEnergy):
    """Bernoulli restricted Boltzmann machine, E(v, h) = −bᵀv − cᵀh − vᵀWh with v_i, h_j ∈ {0, 1}.

    The joint energy of visible and hidden units; `visible` is the observed part. Its marginal is the free energy
    F(v) = −bᵀv − Σ_j log(1 + exp(c_j + (Wᵀv)_j)), and both conditionals factorise:
    p(h_j = 1 | v) = σ(c_j + (Wᵀv)_j), p(v_i = 1 | h) = σ(b_i + (Wh)_i).

    Args:
        num_visible: Number of visible units.
        num_hidden: Number of hidden units.
        scale: Standard deviation of the initial weights.
        visible_mean: Mean of the data, shape (num_visible,); the visible biases then start at its log-odds, so
            that the untrained machine already has the right means. Means are kept 0.5/100 away from 0 and 1.
        key: Random key of the initial weights.

    Example:
        >>> import jax
        >>> from energax import energies
        >>> rbm = energies.RBM(num_visible=64, num_hidden=128, key=jax.random.key(0))
        >>> rbm.weights.shape
        (64, 128)

    References:
        [smolensky1986], [hinton2012]
    """

    weights: Float[Array, "visible hidden"]
    visible_bias: Float[Array, " visible"]
    hidden_bias: Float[Array, " hidden"]
    space: Product = eqx.field(static=True)

    def __init__(
        self,
        num_visible: int,
        num_hidden: int,
        *,
        scale: float = 0.01,
        visible_mean: Float[Array, " visible"] | None = None,
        key: PRNGKey,
    ) -> None:
        if min(num_visible, num_hidden) < 1:
            raise ArgumentError(f"RBM needs units, got num_visible={num_visible}, num_hidden={num_hidden}.")
        self.weights = scale * jax.random.normal(key, (num_visible, num_hidden))
        self.hidden_bias = jnp.zeros(num_hidden)
        if visible_mean is None:
            self.visible_bias = jnp.zeros(num_visible)
        else:
            mean = jnp.clip(jnp.asarray(visible_mean, self.weights.dtype), 0.005, 0.995)
            self.visible_bias = jnp.log(mean) - jnp.log1p(-mean)
        self.space = Product({"visible": Binary(num_visible), "hidden": Binary(num_hidden)})

    @classmethod
    def from_parameters(
        cls,
        weights: Float[Array, "visible hidden"],
        visible_bias: Float[Array, " visible"],
        hidden_bias: Float[Array, " hidden"],
    ) -> RBM:
        """A machine with given parameters W, b, c."""
        weights = jnp.asarray(weights)
        if (jnp.shape(visible_bias), jnp.shape(hidden_bias)) != ((weights.shape[0],), (weights.shape[1],)):
            raise ArgumentError(
                f"Weights of shape {weights.shape} need biases of shapes ({weights.shape[0]},) and "
                f"({weights.shape[1]},), got {jnp.shape(visible_bias)} and {jnp.shape(hidden_bias)}."
            )
        blank = cls(*weights.shape, key=jax.random.key(0))
        new = (as_parameter(weights), as_parameter(visible_bias), as_parameter(hidden_bias))
        return eqx.tree_at(lambda m: (m.weights, m.visible_bias, m.hidden_bias), blank, new)

    def __call__(self, x: Configuration) -> Scalar:
        v = x["visible"].astype(self.weights.dtype)
        h = x["hidden"].astype(self.weights.dtype)
        return -(v @ self.visible_bias + h @ self.hidden_bias + v @ (self.weights @ h))


@conditional_logits.register
def _(energy: RBM, x: Configuration, part: str | None = None) -> Float[Array, "..."]:
    if part == "hidden":
        return energy.hidden_bias + x["visible"].astype(energy.weights.dtype) @ energy.weights
    return energy.visible_bias + energy.weights @ x["hidden"].astype(energy.weights.dtype)


@blocks.register
def _(energy: RBM) -> tuple[Block, ...]:
    return (Block(("hidden",)), Block(("visible",)))


@latent.register
def _(energy: RBM) -> Latent:
    return Latent("visible", ("hidden",))
