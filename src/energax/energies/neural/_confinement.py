"""The base measure that keeps a neural energy integrable on an unbounded space."""

from __future__ import annotations

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from energax._typing import Scalar
from energax.energies._base import as_parameter


class Confinement(eqx.Module):
    """The quadratic energy ½ Σ ((x − m)/s)² of a normal law N(m, s²), added to a network.

    A network with Lipschitz activations grows at most linearly, so that its sum with this term is integrable and
    Langevin dynamics is ergodic. The term is part of the model, not a prior that fades; its arrays are leaves.

    Args:
        mean: m, broadcast to the configuration.
        scale: s > 0, broadcast to the configuration.
    """

    mean: Float[Array, "..."] = eqx.field(converter=as_parameter)
    scale: Float[Array, "..."] = eqx.field(converter=as_parameter)

    def __call__(self, x: Float[Array, "..."]) -> Scalar:
        return 0.5 * jnp.sum(((x - self.mean) / self.scale) ** 2)
