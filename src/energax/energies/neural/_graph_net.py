"""Networks whose messages run along the edges of a given graph."""

from __future__ import annotations

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Int

from energax._errors import ArgumentError
from energax._typing import PRNGKey, Scalar
from energax.energies._base import AbstractEnergy
from energax.energies._capabilities import is_confined
from energax.energies.neural._activations import ACTIVATIONS, check_activation
from energax.energies.neural._confinement import Confinement
from energax.energies.neural._mlp import default_confinement
from energax.energies.neural._sites import num_site_features, site_features
from energax.spaces import AbstractArraySpace, Euclidean


class GraphNet(AbstractEnergy):
    """A graph network f of the states of the nodes of a given graph, E(x) = f(x), plus a confining measure for real x.

    Each node i has numbers h_i, at first a linear function of its state. A layer updates them by messages along the
    edges, h_i ← h_i + σ(A h_i + Σ_{j~i} B h_j + b), and f is the sum over nodes
    of a network of h_i. All nodes share all weights, so that no symmetry of the graph changes the energy; after L
    layers nodes that are more than 2L edges apart have no term in common: E is a sum of functions of neighbourhoods.

    Cost: 2 × edges × width and nodes × 2 × width² a layer.

    Args:
        space: Space of the states, shape (n,), or (n, d) for d numbers of each node: discrete, or `Euclidean`; or a
            shape for Euclidean space.
        edges: Pairs of nodes, (edge, 2), each edge once; messages run both ways.
        width: Numbers of each node.
        num_layers: L.
        activation: A name of `ACTIVATIONS`.
        confinement: As for `MLP`.
        key: Random key of the initial weights.

    Example:
        >>> import jax
        >>> from energax import energies, spaces
        >>> ring = [(i, (i + 1) % 6) for i in range(6)]
        >>> energy = energies.GraphNet(spaces.Spins(6), ring, width=8, key=jax.random.key(0))
        >>> energy(jax.numpy.ones(6, "int8")).shape
        ()

    References:
        [gilmer2017]
    """

    embedding: eqx.nn.Linear
    own: tuple[eqx.nn.Linear, ...]
    others: tuple[Float[Array, "width width"], ...]
    readout: eqx.nn.MLP
    edges: Int[Array, "edge 2"]
    confinement: Confinement | None
    space: AbstractArraySpace = eqx.field(static=True)
    activation: str = eqx.field(static=True)

    def __init__(
        self,
        space: AbstractArraySpace | int | Sequence[int],
        edges: ArrayLike | Sequence[tuple[int, int]],
        *,
        width: int = 32,
        num_layers: int = 2,
        activation: str = "silu",
        confinement: Confinement | str | None = "default",
        key: PRNGKey,
    ) -> None:
        check_activation(activation)
        shape = space if isinstance(space, AbstractArraySpace | int) else tuple(space)
        self.space = shape if isinstance(shape, AbstractArraySpace) else Euclidean(shape, initial_scale=1.0)
        pairs = np.asarray(edges, np.int32).reshape(-1, 2)
        num_nodes = self.space.shape[0] if self.space.shape else 0
        if len(self.space.shape) not in (1, 2) or not len(pairs) or min(width, num_layers) < 1:
            raise ArgumentError(
                f"GraphNet needs states of shape (n,) or (n, d), edges, and width and num_layers of at least 1, got "
                f"shape {self.space.shape}, {len(pairs)} edges, {width} and {num_layers}."
            )
        if pairs.min() < 0 or pairs.max() >= num_nodes or (pairs[:, 0] == pairs[:, 1]).any():
            raise ArgumentError(f"Edges join two different nodes from 0 to {num_nodes - 1}.")
        self.confinement = default_confinement(self.space) if isinstance(confinement, str) else confinement
        self.activation, self.edges = activation, jnp.asarray(pairs)
        keys = iter(jax.random.split(key, 2 * num_layers + 2))
        inputs = num_site_features(self.space) * int(np.prod(self.space.shape[1:], dtype=int))
        self.embedding = eqx.nn.Linear(inputs, width, key=next(keys))
        self.own = tuple(eqx.nn.Linear(width, width, key=next(keys)) for _ in range(num_layers))
        scale = 1 / np.sqrt(2 * width * len(pairs) / num_nodes).astype(np.float32)
        self.others = tuple(scale * jax.random.normal(next(keys), (width, width)) for _ in range(num_layers))
        self.readout = eqx.nn.MLP(width, "scalar", width, 1, activation=ACTIVATIONS[activation], key=next(keys))

    def __call__(self, x: Array) -> Scalar:
        num_nodes = self.space.shape[0]
        features = site_features(self.space, x, self.embedding.weight.dtype)
        h = jax.vmap(self.embedding)(features.reshape(num_nodes, -1))
        for own, others in zip(self.own, self.others, strict=True):
            sent = h @ others.T
            there, back = self.edges[:, 0], self.edges[:, 1]
            seen = jnp.zeros_like(h).at[there].add(sent[back]).at[back].add(sent[there])
            h = h + ACTIVATIONS[self.activation](jax.vmap(own)(h) + seen)
        value = jnp.sum(jax.vmap(self.readout)(h))
        return value if self.confinement is None else value + self.confinement(x)


@is_confined.register
def _(energy: GraphNet) -> bool:
    return energy.confinement is not None or bool(np.isfinite(energy.space.log_volume))
