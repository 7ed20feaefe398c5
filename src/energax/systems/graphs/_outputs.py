"""What a trained network says about nodes: all that a post hoc method may look at."""

from __future__ import annotations

import dataclasses
from typing import Any, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from energax._errors import DataError, ShapeError
from energax._typing import PRNGKey
from energax.systems.graphs._arrays import as_numpy
from energax.systems.graphs._networks import AbstractGraphNetwork, NetworkInput, Output

Floats: TypeAlias = NDArray[np.float64]


@dataclasses.dataclass(frozen=True, eq=False)
class NodeOutputs:
    """Logits and penultimate embeddings of all nodes of a graph, with messages and without ("alone").

    Alone means: the same weights, every propagation left out, so that the outputs of a node hang on its own features
    only. Arrays of NumPy, JAX, or of any framework that speaks DLPack; they are kept in float64.

    Args:
        logits: With messages, (n, c).
        embeddings: With messages, (n, d): what the last layer reads.
        alone_logits: Without messages, (n, c).
        alone_embeddings: Without messages, (n, d).
        dropout_logits: Passes with dropout left on, (passes, n, c); only for ``mc-dropout``.
        ensemble_logits: Those of several networks, (networks, n, c); only for ``ensemble``.

    Raises:
        ShapeError: Arrays that do not fit together.
        DataError: Numbers that are not finite.
    """

    logits: Floats
    embeddings: Floats
    alone_logits: Floats
    alone_embeddings: Floats
    dropout_logits: Floats | None = None
    ensemble_logits: Floats | None = None

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if value is not None:
                object.__setattr__(self, field.name, _floats(field.name, value))
        for name, like in (("alone_logits", self.logits), ("alone_embeddings", self.embeddings)):
            _check_shape(name, getattr(self, name), like.shape)
        _check_shape("embeddings", self.embeddings, (self.num_nodes, self.embeddings.shape[-1]))
        for name in ("dropout_logits", "ensemble_logits"):
            if (draws := getattr(self, name)) is not None:
                _check_shape(name, draws, (draws.shape[0], *self.logits.shape))

    @property
    def num_nodes(self) -> int:
        """Number of nodes n."""
        return self.logits.shape[0]

    @property
    def num_classes(self) -> int:
        """Number of logits c."""
        return self.logits.shape[1]

    def of(self, nodes: NDArray[np.bool_]) -> NodeOutputs:
        """The outputs of the nodes of a mask."""
        arrays = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return dataclasses.replace(self, **{k: v[..., nodes, :] for k, v in arrays.items() if v is not None})


def node_outputs(
    network: AbstractGraphNetwork, inputs: NetworkInput, *, num_dropout: int = 0, key: PRNGKey | None = None
) -> NodeOutputs:
    """Run a network on a graph with and without messages.

    Args:
        network: A trained network.
        inputs: The graph, from `network_input`.
        num_dropout: Passes with dropout left on.
        key: For these.

    Raises:
        DataError: The outputs are not finite.
    """
    together, alone = _both(network, inputs)
    draws = None
    if num_dropout:
        assert key is not None
        draws = _dropped(network, inputs, jax.random.split(key, num_dropout))
    return NodeOutputs(*together, *alone, draws)  # pyright: ignore[reportArgumentType]


@eqx.filter_jit
def _both(network: AbstractGraphNetwork, inputs: NetworkInput) -> tuple[Output, Output]:
    return network(inputs), network(inputs, propagate=False)


@eqx.filter_jit
def _dropped(network: AbstractGraphNetwork, inputs: NetworkInput, keys: PRNGKey) -> jax.Array:
    # One after the other: what does not hang on the key is computed once, and memory stays that of one pass.
    return jax.lax.map(lambda key: network(inputs, key=key)[0], keys)


def _floats(name: str, value: Any) -> Floats:
    array = as_numpy(value)
    if array.dtype == jnp.bfloat16:
        array = array.astype(np.float32)
    if array.dtype.kind not in "fiu":
        raise ShapeError(f"`{name}` must hold real numbers; got {array.dtype}.")
    if array.ndim != (3 if name in ("dropout_logits", "ensemble_logits") else 2) or array.size == 0:
        raise ShapeError(f"`{name}` must have rows of nodes and columns; got the shape {array.shape}.")
    array = array.astype(np.float64)
    if bad := int((~np.isfinite(array)).sum()):
        raise DataError(f"`{name}` holds {bad} numbers that are NaN or infinite; look at the network, or its features.")
    return array


def _check_shape(name: str, array: Floats, shape: tuple[int, ...]) -> None:
    if array.shape != shape:
        raise ShapeError(f"`{name}` has the shape {array.shape}, which does not fit the others: expected {shape}.")
