"""What a simulation notes of each configuration: small numbers, so that long runs fit in memory."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array

from energax.energies import AbstractCluster


def nothing(x: Any) -> dict[str, Array]:
    """No series beside the energy."""
    del x
    return {}


def magnetization(x: Array) -> dict[str, Array]:
    """The mean of the sites."""
    return {"magnetization": jnp.mean(x.astype(jnp.result_type(float)))}


def packed_spins(x: Array) -> dict[str, Array]:
    """The whole configuration of ±1 spins, 32 in a word, for what is measured between two chains."""
    bits = jnp.ravel(x > 0)
    padded = jnp.pad(bits, (0, -bits.size % 32)).reshape(-1, 32).astype(jnp.uint32)
    return {"spins": jnp.sum(padded << jnp.arange(32, dtype=jnp.uint32), axis=1, dtype=jnp.uint32)}


class PottsOrder(eqx.Module):
    """The Potts order parameter (q ρ − 1)/(q − 1) with ρ the share of the commonest value: 1 in order, 0 in disorder.

    Args:
        num_states: q.
    """

    num_states: int = eqx.field(static=True)

    def __call__(self, x: Array) -> dict[str, Array]:
        share = jnp.max(jnp.mean(x.reshape(-1, 1) == jnp.arange(self.num_states, dtype=x.dtype), axis=0))
        return {"magnetization": (self.num_states * share - 1.0) / (self.num_states - 1.0)}


def rotors(x: Array) -> dict[str, Array]:
    """|m| of planar rotors, the two parts of the helicity modulus, and the share of plaquettes with a vortex.

    The modulus is Υ = ⟨Σ cos Δ⟩/N − β ⟨(Σ sin Δ)²⟩/N, with Δ the differences along one axis, averaged over the axes.
    """
    steps = [jnp.roll(x, -1, axis) - x for axis in range(x.ndim)]
    vortices = [_vortex_share(x, a, b) for a in range(x.ndim) for b in range(a)]
    m2 = jnp.mean(jnp.cos(x)) ** 2 + jnp.mean(jnp.sin(x)) ** 2
    return {
        "magnetization": jnp.sqrt(m2),
        "stiffness": jnp.mean(jnp.stack([jnp.mean(jnp.cos(step)) for step in steps])),
        "current_squared": jnp.mean(jnp.stack([jnp.sum(jnp.sin(step)) ** 2 for step in steps])) / x.size,
        "vortex_density": jnp.mean(jnp.stack(vortices)) if vortices else jnp.zeros_like(m2),
    }


def _vortex_share(x: Array, a: int, b: int) -> Array:
    """Share of the plaquettes along two axes around which the angle turns by a multiple of 2π other than zero."""
    corners = [x, jnp.roll(x, -1, a), jnp.roll(x, (-1, -1), (a, b)), jnp.roll(x, -1, b)]
    turns = [_folded(corners[(k + 1) % 4] - corners[k]) for k in range(4)]
    return jnp.mean(jnp.abs(jnp.round(sum(turns) / (2 * jnp.pi))))


def _folded(angle: Array) -> Array:
    """The angle in [−π, π]."""
    return angle - 2 * jnp.pi * jnp.round(angle / (2 * jnp.pi))


class ClusterSeries(eqx.Module):
    """The published energy of a cluster, without the pin of its centre of mass, and its radius of gyration.

    Args:
        cluster: The energy at temperature one.
    """

    cluster: AbstractCluster

    def __call__(self, x: Array) -> dict[str, Array]:
        spread = jnp.mean(jnp.sum((x - jnp.mean(x, axis=0)) ** 2, axis=-1))
        return {"energy": self.cluster.internal(x), "radius_of_gyration": jnp.sqrt(spread)}
