"""Networks for identical particles: no permutation, rotation or reflection changes their energy."""

from __future__ import annotations

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from energax._errors import ArgumentError
from energax._typing import PRNGKey, Scalar
from energax.energies._base import AbstractEnergy
from energax.energies._capabilities import is_confined
from energax.energies.neural._activations import ACTIVATIONS, check_activation
from energax.energies.neural._confinement import Confinement
from energax.energies.neural._mlp import default_confinement
from energax.spaces import Euclidean


class ParticleNet(AbstractEnergy):
    """A graph network f on all pairs of n identical particles plus a confining trap, E(x) = f(x) + ½ Σ_i |x_i|²/s².

    Particles know each other through their distances alone. With waves φ_k(r) = exp(−½ ((r − c_k)/w)²), centres c_k
    spread over [0, reach] at distances w, each particle has numbers h_i that a layer updates by messages from all
    others, h_i ← h_i + σ(A h_i + Σ_{j≠i} (B h_j) ∘ (C φ(r_ij)) + b), first with h = 1, and f is the sum over particles
    of a network of h_i. So f does not change when particles are exchanged, or all are moved, rotated or reflected; the
    trap keeps the last three but for the moves, and makes exp(−E) integrable, with the centre of mass independent of
    everything else.

    Beyond the reach particles do not see each other. One layer knows sums over pairs at each particle (many-body, as in
    embedded atoms); each further one angles of one more shell.

    Cost: n² × width × num_waves a layer.

    Args:
        space: Euclidean space of shape (n, d), or such a shape.
        width: Numbers of each particle.
        num_layers: Rounds of messages, 1 to 3.
        num_waves: Number of φ_k.
        reach: Distance up to which they are spread, in units of x.
        activation: A name of `ACTIVATIONS`.
        confinement: The trap; by default that of `MLP`, with the initial scale of the space. Only with mean 0 does it
            leave the symmetries alone. With None log Z is refused: nothing keeps particles together.
        key: Random key of the initial weights.

    Example:
        >>> import jax
        >>> from energax import energies
        >>> energy = energies.ParticleNet((4, 2), width=8, key=jax.random.key(0))
        >>> energy(jax.numpy.ones((4, 2))).shape
        ()

    References:
        [schuett2017]; no atom types, no cutoff function, and the sum over particles is the energy.
    """

    own: tuple[eqx.nn.Linear, ...]
    others: tuple[Float[Array, "width width"], ...]
    filters: tuple[Float[Array, "width waves"], ...]
    readout: eqx.nn.MLP
    reach: Scalar
    confinement: Confinement | None
    space: Euclidean = eqx.field(static=True)
    activation: str = eqx.field(static=True)

    def __init__(
        self,
        space: Euclidean | Sequence[int],
        *,
        width: int = 32,
        num_layers: int = 2,
        num_waves: int = 16,
        reach: float = 5.0,
        activation: str = "silu",
        confinement: Confinement | str | None = "default",
        key: PRNGKey,
    ) -> None:
        check_activation(activation)
        self.space = space if isinstance(space, Euclidean) else Euclidean(tuple(space), initial_scale=1.0)
        if len(self.space.shape) != 2 or self.space.shape[0] < 2:
            raise ArgumentError(f"ParticleNet needs particles, a space of shape (n, d) with n >= 2, got {self.space}.")
        if min(width, num_layers) < 1 or num_waves < 2 or not reach > 0:
            raise ArgumentError(
                f"ParticleNet needs width and num_layers of at least 1, two waves or more and a positive reach, got "
                f"{width}, {num_layers}, {num_waves} and {reach}."
            )
        self.confinement = default_confinement(self.space) if isinstance(confinement, str) else confinement
        self.activation, self.reach = activation, jnp.asarray(reach, jnp.result_type(float))
        keys = iter(jax.random.split(key, 3 * num_layers + 1))
        others = self.space.shape[0] - 1
        self.own = tuple(eqx.nn.Linear(width, width, key=next(keys)) for _ in range(num_layers))
        self.others = tuple(_normal((width, width), width, next(keys)) for _ in range(num_layers))
        self.filters = tuple(_normal((width, num_waves), others, next(keys)) for _ in range(num_layers))
        self.readout = eqx.nn.MLP(width, "scalar", width, 1, activation=ACTIVATIONS[activation], key=next(keys))

    def __call__(self, x: Float[Array, "n d"]) -> Scalar:
        x = x.astype(jnp.promote_types(x.dtype, self.reach.dtype))
        waves = self._waves(x)
        h = jnp.ones((x.shape[0], self.own[0].in_features), x.dtype)
        for own, others, filters in zip(self.own, self.others, self.filters, strict=True):
            seen = jnp.sum(waves @ filters.T * (h @ others.T), axis=1)
            h = h + ACTIVATIONS[self.activation](jax.vmap(own)(h) + seen)
        value = jnp.sum(jax.vmap(self.readout)(h))
        return value if self.confinement is None else value + self.confinement(x)

    def _waves(self, x: Float[Array, "n d"]) -> Float[Array, "n n waves"]:
        """φ_k(r_ij), zero where i = j."""
        apart = ~jnp.eye(x.shape[0], dtype=bool)
        squared = jnp.sum((x[:, None] - x[None]) ** 2, axis=-1)
        # One on the diagonal, so that nothing there divides by zero.
        distances = jnp.sqrt(jnp.where(apart, squared, jnp.ones((), x.dtype)))
        count = self.filters[0].shape[1]
        steps = distances[..., None] * ((count - 1) / self.reach) - jnp.arange(count, dtype=x.dtype)
        return jnp.where(apart[..., None], jnp.exp(-0.5 * steps**2), 0.0)


def _normal(shape: tuple[int, int], fan_in: int, key: PRNGKey) -> Array:
    return jax.random.normal(key, shape) / np.sqrt(fan_in).astype(np.float32)


@is_confined.register
def _(energy: ParticleNet) -> bool:
    # A network of numbers that are bounded, as all waves are.
    return energy.confinement is not None
