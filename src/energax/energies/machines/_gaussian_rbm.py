"""The restricted Boltzmann machine with real visible units."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.core import Tracer
from jaxtyping import Array, ArrayLike, Float

from energax._errors import ArgumentError, NotTractable, ShapeError
from energax._typing import Configuration, PRNGKey, Scalar
from energax.energies._base import AbstractEnergy, as_parameter
from energax.energies._capabilities import (
    Block,
    Latent,
    Normals,
    blocks,
    conditional_logits,
    conditional_normals,
    exact_draw,
    is_confined,
    latent,
)
from energax.energies._marginal import Marginal
from energax.spaces import Binary, Euclidean, Product

_MOST_LISTED = 16
"""Hidden units whose configurations are listed for each exact draw."""


class GaussianRBM(AbstractEnergy):
    """Gaussian–Bernoulli machine, E(v, h) = Σ_i (v_i − b_i)²/2σ_i² − Σ_j c_j h_j − Σ_ij v_i W_ij h_j/σ_i².

    The joint energy of real v_i and h_j ∈ {0, 1}; `visible` is the observed part. v given h is normal with mean b + Wh
    and variances σ², and p(h_j = 1 | v) = σ(c_j + Σ_i W_ij v_i/σ_i²), so that the law of v is a mixture of 2^num_hidden
    normal laws with common variances. Its free energy is
    F(v) = Σ_i (v_i − b_i)²/2σ_i² − Σ_j log(1 + exp(c_j + Σ_i W_ij v_i/σ_i²)).
    `exact.log_z` goes through the hidden units, up to 25 of them; exact draws list them too, up to 16.

    Args:
        num_visible: Number of real units.
        num_hidden: Number of 0/1 units.
        scale: Standard deviation of the initial weights, in units of σ.
        visible_mean: Mean of the data, shape (num_visible,): the start of b; 0 by default.
        variance: σ², a number or shape (num_visible,): the start, or the fixed value.
        learn_variance: Whether training moves log σ².
        initial_scale: Standard deviation of the normal law that chains start from without a start.
        key: Random key of the initial weights.

    Raises:
        ArgumentError: There are no units, or a variance is not positive.
        ShapeError: `visible_mean` or `variance` has the wrong shape.

    Example:
        >>> import jax
        >>> from energax import energies, exact
        >>> machine = energies.GaussianRBM(num_visible=30, num_hidden=10, scale=0.3, key=jax.random.key(0))
        >>> 30 < exact.log_z(machine) < 40
        True

    References:
        [welling2005], [cho2011]; with the weights in units of σ² as in the latter: those of [hinton2012] are W_ij/σ_i.
    """

    weights: Float[Array, "visible hidden"]
    visible_bias: Float[Array, " visible"]
    hidden_bias: Float[Array, " hidden"]
    log_variance: Float[Array, " visible"]
    space: Product = eqx.field(static=True)
    learn_variance: bool = eqx.field(static=True)

    def __init__(
        self,
        num_visible: int,
        num_hidden: int,
        *,
        scale: float = 0.01,
        visible_mean: ArrayLike = 0.0,
        variance: ArrayLike = 1.0,
        learn_variance: bool = True,
        initial_scale: float = 1.0,
        key: PRNGKey,
    ) -> None:
        if min(num_visible, num_hidden) < 1:
            raise ArgumentError(f"GaussianRBM needs units, got num_visible={num_visible}, num_hidden={num_hidden}.")
        self.visible_bias = _per_unit("visible_mean", visible_mean, num_visible)
        given = _per_unit("variance", variance, num_visible)
        if not isinstance(given, Tracer) and not bool(jnp.all((given > 0) & jnp.isfinite(given))):
            raise ArgumentError(f"Variances of a GaussianRBM are positive and finite, got {variance}.")
        self.log_variance = jnp.log(given)
        noise = jax.random.normal(key, (num_visible, num_hidden), self.log_variance.dtype)
        self.weights = scale * jnp.exp(0.5 * self.log_variance)[:, None] * noise
        self.hidden_bias = jnp.zeros(num_hidden, self.weights.dtype)
        self.space = Product({"visible": Euclidean(num_visible, initial_scale), "hidden": Binary(num_hidden)})
        self.learn_variance = learn_variance

    @property
    def variance(self) -> Float[Array, " visible"]:
        """σ²; a constant under differentiation unless it is learned."""
        variance = jnp.exp(self.log_variance)
        return variance if self.learn_variance else jax.lax.stop_gradient(variance)

    def __call__(self, x: Configuration) -> Scalar:
        v, h = x["visible"], x["hidden"].astype(self.weights.dtype)
        per_unit = (0.5 * (v - self.visible_bias) ** 2 - v * (self.weights @ h)) / self.variance
        return jnp.sum(per_unit) - h @ self.hidden_bias


def _per_unit(name: str, value: ArrayLike, count: int) -> Float[Array, " visible"]:
    given = as_parameter(value)
    if given.shape not in ((), (count,)):
        raise ShapeError(f"`{name}` must be a number or have the shape ({count},), got {given.shape}.")
    return jnp.broadcast_to(given, (count,))


@conditional_logits.register
def _(energy: GaussianRBM, x: Configuration, part: str | None = None) -> Float[Array, " hidden"]:
    del part
    return energy.hidden_bias + (x["visible"] / energy.variance) @ energy.weights


@conditional_normals.register
def _(energy: GaussianRBM, x: Configuration, part: str | None = None) -> Normals:
    del part
    precision = 1 / energy.variance
    mean = energy.visible_bias + energy.weights @ x["hidden"].astype(energy.weights.dtype)
    return Normals(precision, precision * mean)


@blocks.register
def _(energy: GaussianRBM) -> tuple[Block, ...]:
    return (Block(("hidden",)), Block(("visible",)))


@latent.register
def _(energy: GaussianRBM) -> Latent:
    return Latent("visible", ("hidden",))


@is_confined.register
def _(energy: GaussianRBM) -> bool:
    return True


@exact_draw.register
def _(energy: GaussianRBM, *, key: PRNGKey) -> Configuration:
    count = energy.hidden_bias.size
    if count > _MOST_LISTED:
        raise NotTractable(f"Exact draws of a GaussianRBM list its hidden units, at most {_MOST_LISTED}, not {count}.")
    row_key, column_key, visible_key = jax.random.split(key, 3)

    def units(index: Array) -> Array:
        return ((index[..., None] >> jnp.arange(count)) & 1).astype(jnp.int8)

    logs = -jax.vmap(Marginal(energy, keep="hidden"))(units(jnp.arange(2**count)))
    # A row and then a column of a square table: two short categorical draws instead of one over all configurations.
    table = logs.reshape(2 ** (count // 2), -1)
    row = jax.random.categorical(row_key, jax.nn.logsumexp(table, axis=1))
    hidden = units(row * table.shape[1] + jax.random.categorical(column_key, table[row]))
    noise = jax.random.normal(visible_key, energy.visible_bias.shape, energy.weights.dtype)
    mean = energy.visible_bias + energy.weights @ hidden.astype(energy.weights.dtype)
    return {"visible": mean + jnp.sqrt(energy.variance) * noise, "hidden": hidden}
