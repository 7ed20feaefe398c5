"""Graph networks for nodes: GCN, APPNP, GAT, each with and without its messages."""

from __future__ import annotations

import abc
from typing import TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import scipy.sparse as sp
from jaxtyping import Array, Float, Int

from energax._errors import DataError
from energax._typing import PRNGKey
from energax.systems.graphs._graph import Graph
from energax.systems.graphs._sparse import Sparse

_DENSE = 0.1
"""Share of numbers other than zero from which a matrix product is faster with the zeros."""
Output: TypeAlias = tuple[Float[Array, "n classes"], Float[Array, "n hidden"]]


class NetworkInput(eqx.Module):
    """A graph as networks read it.

    Attributes:
        features: X, (n, d), sparse or dense.
        normalised: S = D^(−1/2) (A + I) D^(−1/2), where D counts neighbours and the node itself.
        senders: Where each message begins, (messages,): all edges in both directions, and a loop at every node.
        receivers: Where it ends, (messages,), not falling.
    """

    features: Sparse | Float[Array, "n d"]
    normalised: Sparse
    senders: Int[Array, "messages"]
    receivers: Int[Array, "messages"]


def network_input(graph: Graph, like: NetworkInput | None = None) -> NetworkInput:
    """A graph as networks read it.

    Args:
        graph: A graph with features.
        like: Input made of a graph with the same edges, whose structure is taken over.

    Raises:
        DataError: The graph has no features.
    """
    if graph.features is None:
        raise DataError("The graph has no features for a network to read.")
    features = graph.features
    count = features.nnz if sp.issparse(features) else np.count_nonzero(features)
    if count < _DENSE * features.shape[0] * features.shape[1]:
        x = Sparse(features)
    else:
        x = jnp.asarray(features.toarray() if sp.issparse(features) else features)
    if like is not None:
        return NetworkInput(x, like.normalised, like.senders, like.receivers)
    looped = sp.csr_matrix(graph.adjacency + sp.identity(graph.num_nodes))
    scale = sp.diags(1.0 / np.sqrt(graph.degrees + 1.0))
    receivers, senders = looped.nonzero()
    return NetworkInput(x, Sparse(scale @ looped @ scale), jnp.asarray(senders), jnp.asarray(receivers))


class AbstractGraphNetwork(eqx.Module):
    """A classifier of nodes: from a graph to logits and penultimate embeddings."""

    dropout: eqx.AbstractVar[float]

    @abc.abstractmethod
    def __call__(self, inputs: NetworkInput, *, propagate: bool = True, key: PRNGKey | None = None) -> Output:
        """Logits (n, classes) and penultimate embeddings (n, hidden) of all nodes.

        Args:
            inputs: The graph.
            propagate: Whether nodes hear of their neighbours; without it every layer sees the node alone.
            key: For dropout; no dropout without.
        """


class GCN(AbstractGraphNetwork):
    """Graph convolutions: h = relu(S X W₁ + b₁), logits S drop(h) W₂ + b₂; without messages S is the identity.

    Weights start uniform in ±1/√fan-in, biases at 0. The embedding is h without dropout.

    Args:
        num_features: d.
        num_classes: Number of logits.
        hidden: Width of h.
        dropout: Rate at which entries of h are dropped in training.
        key: Typed random key.

    References: [kipf2017].
    """

    weights: tuple[Array, Array]
    biases: tuple[Array, Array]
    dropout: float = eqx.field(static=True)

    def __init__(
        self, num_features: int, num_classes: int, *, hidden: int = 64, dropout: float = 0.5, key: PRNGKey
    ) -> None:
        self.weights, self.biases = _two_layers(num_features, hidden, num_classes, key)
        self.dropout = dropout

    def __call__(self, inputs: NetworkInput, *, propagate: bool = True, key: PRNGKey | None = None) -> Output:
        spread = inputs.normalised.__matmul__ if propagate else _alone
        h = jax.nn.relu(spread(inputs.features @ self.weights[0]) + self.biases[0])
        return spread(_drop(h, self.dropout, key) @ self.weights[1]) + self.biases[1], h


class APPNP(AbstractGraphNetwork):
    """Personalised propagation: logits P(drop(h) W₂ + b₂) with h = relu(X W₁ + b₁).

    P z: z₀ = z, z ← (1 − α) S z + α z₀, `num_steps` times; the identity without messages. The embedding is P h,
    of which the logits are a linear function up to the bias.

    Args:
        num_features: d.
        num_classes: Number of logits.
        hidden: Width of h.
        dropout: Rate at which entries of h are dropped in training.
        alpha: Share of the node's own prediction.
        num_steps: Steps of the propagation.
        key: Typed random key.

    References: [gasteiger2019].
    """

    weights: tuple[Array, Array]
    biases: tuple[Array, Array]
    dropout: float = eqx.field(static=True)
    alpha: float = eqx.field(static=True)
    num_steps: int = eqx.field(static=True)

    def __init__(
        self, num_features: int, num_classes: int, *, hidden: int = 64, dropout: float = 0.5, alpha: float = 0.1,
        num_steps: int = 10, key: PRNGKey,
    ) -> None:  # fmt: skip
        self.weights, self.biases = _two_layers(num_features, hidden, num_classes, key)
        self.dropout, self.alpha, self.num_steps = dropout, alpha, num_steps

    def __call__(self, inputs: NetworkInput, *, propagate: bool = True, key: PRNGKey | None = None) -> Output:
        h = jax.nn.relu(inputs.features @ self.weights[0] + self.biases[0])
        z = _drop(h, self.dropout, key) @ self.weights[1] + self.biases[1]
        return (self._spread(inputs, z), self._spread(inputs, h)) if propagate else (z, h)

    def _spread(self, inputs: NetworkInput, start: Array) -> Array:
        def step(z: Array, _: None) -> tuple[Array, None]:
            return (1.0 - self.alpha) * (inputs.normalised @ z) + self.alpha * start, None

        return jax.lax.scan(step, start, length=self.num_steps)[0]


class GAT(AbstractGraphNetwork):
    """Attention over neighbours: a layer maps x to Σ_u a_uv W x_u, with a_uv = softmax_u leaky(p·W x_u + q·W x_v).

    Sums go over the neighbours u of v and v itself; without messages over v alone, so that a layer is W x_v. The first
    layer has `num_heads` heads side by side and ends in ELU, the second has one and reads the embedding.

    Args:
        num_features: d.
        num_classes: Number of logits.
        hidden: Width of all heads together, a multiple of `num_heads`.
        dropout: Rate at which entries between the layers are dropped in training.
        num_heads: Heads of the first layer.
        key: Typed random key.

    References: [velickovic2018].
    """

    weights: tuple[Array, Array]
    biases: tuple[Array, Array]
    attention: tuple[Array, Array]
    dropout: float = eqx.field(static=True)

    def __init__(
        self, num_features: int, num_classes: int, *, hidden: int = 64, dropout: float = 0.5, num_heads: int = 8,
        key: PRNGKey,
    ) -> None:  # fmt: skip
        layers, first, second = jax.random.split(key, 3)
        self.weights, self.biases = _two_layers(num_features, hidden, num_classes, layers)
        # (sender or receiver, head, width)
        self.attention = (
            _uniform(first, hidden // num_heads, (2, num_heads, hidden // num_heads)),
            _uniform(second, num_classes, (2, 1, num_classes)),
        )
        self.dropout = dropout

    def __call__(self, inputs: NetworkInput, *, propagate: bool = True, key: PRNGKey | None = None) -> Output:
        h = self._layer(inputs, inputs.features @ self.weights[0], 0, propagate)
        h = jax.nn.elu(h)
        return self._layer(inputs, _drop(h, self.dropout, key) @ self.weights[1], 1, propagate), h

    def _layer(self, inputs: NetworkInput, z: Array, number: int, propagate: bool) -> Array:
        if propagate:
            p = self.attention[number]
            heads = z.reshape(z.shape[0], p.shape[1], p.shape[2])
            weights = _attention(inputs, jnp.einsum("nhd,rhd->rnh", heads, p))
            sent = weights[:, :, None] * heads[inputs.senders]
            z = _received(inputs, sent, z.shape[0]).reshape(z.shape)
        return z + self.biases[number]


def _attention(inputs: NetworkInput, scores: Float[Array, "2 n heads"]) -> Float[Array, "messages heads"]:
    n = scores.shape[1]
    s = jax.nn.leaky_relu(scores[0][inputs.senders] + scores[1][inputs.receivers], 0.2)
    top = jax.ops.segment_max(s, inputs.receivers, n, indices_are_sorted=True)
    w = jnp.exp(s - jax.lax.stop_gradient(top)[inputs.receivers])
    return w / _received(inputs, w, n)[inputs.receivers]


def _received(inputs: NetworkInput, sent: Array, num_nodes: int) -> Array:
    return jax.ops.segment_sum(sent, inputs.receivers, num_nodes, indices_are_sorted=True)


def _two_layers(
    num_features: int, hidden: int, num_classes: int, key: PRNGKey
) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    first, second = jax.random.split(key)
    weights = (
        _uniform(first, num_features, (num_features, hidden)),
        _uniform(second, hidden, (hidden, num_classes)),
    )
    return weights, (jnp.zeros(hidden), jnp.zeros(num_classes))


def _uniform(key: PRNGKey, fan_in: int, shape: tuple[int, ...]) -> Array:
    return jax.random.uniform(key, shape, minval=-1.0, maxval=1.0) / fan_in**0.5


def _alone(x: Array) -> Array:
    return x


def _drop(h: Array, rate: float, key: PRNGKey | None) -> Array:
    if key is None or rate == 0.0:
        return h
    return jnp.where(jax.random.bernoulli(key, 1.0 - rate, h.shape), h / (1.0 - rate), 0.0)


NETWORKS = {"gcn": GCN, "appnp": APPNP, "gat": GAT}
