"""Training a graph network on few labelled nodes, with early stopping, in one compiled loop."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Generic, TypeVar, cast

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int

from energax._errors import DataError, Diverged, ShapeError
from energax._typing import PRNGKey
from energax.systems.graphs._graph import Graph, Mask
from energax.systems.graphs._networks import AbstractGraphNetwork, NetworkInput, network_input

N = TypeVar("N", bound=AbstractGraphNetwork)
_EPOCHS_A_CALL = 250


@dataclasses.dataclass(frozen=True, eq=False)
class TrainedNetwork(Generic[N]):
    """A trained network and how it got there.

    Attributes:
        network: The network with the smallest validation loss.
        train_loss: Cross entropy of the training nodes under dropout at each epoch, nats, (epochs,).
        valid_loss: Cross entropy of the validation nodes before each epoch's update, nats, (epochs,).
        best_epoch: The epoch whose network was kept.
    """

    network: N
    train_loss: np.ndarray
    valid_loss: np.ndarray
    best_epoch: int


class _State(eqx.Module):
    network: AbstractGraphNetwork
    optimizer: optax.OptState
    best: AbstractGraphNetwork
    best_loss: Float[Array, ""]
    best_epoch: Int[Array, ""]
    epoch: Int[Array, ""]
    losses: Float[Array, "2 epochs"]


@dataclasses.dataclass(frozen=True)
class _Rule:
    learning_rate: float
    weight_decay: float
    patience: int
    min_gain: float

    def optimizer(self) -> optax.GradientTransformation:
        return optax.chain(optax.add_decayed_weights(self.weight_decay), optax.adam(self.learning_rate))


def train_network(
    network: N,
    graph: Graph,
    train: Mask,
    valid: Mask,
    *,
    key: PRNGKey,
    learning_rate: float = 1e-3,
    weight_decay: float = 1e-4,
    max_epochs: int = 10_000,
    patience: int = 50,
    min_gain: float = 1e-3,
    inputs: NetworkInput | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> TrainedNetwork[N]:
    """Minimise the cross entropy of labelled nodes, and keep the network that the validation nodes like best.

    Full batches; Adam with `weight_decay` · θ added to the gradient of every parameter θ. A network is kept when its
    validation loss is at least `min_gain` below that of the one kept before; `patience` epochs without one end it.

    Cost: a forward and a backward pass, and a forward pass for validation that shares the first layer, an epoch;
    about 4 ms for 1700 nodes with 50 words each on two cores.

    Args:
        network: The network at its start.
        graph: The graph that is trained on, all its nodes.
        train: Nodes whose labels are learned, (n,).
        valid: Nodes whose labels decide when to stop, (n,).
        key: Typed random key, for dropout.
        learning_rate: Of Adam.
        weight_decay: Factor of the parameters in the gradient.
        max_epochs: The most epochs.
        patience: Epochs without a gain after which it ends.
        min_gain: Nats that count as a gain.
        inputs: The graph as `network_input` makes it, if it is there already.
        progress: Called with (epochs done, most epochs) now and then.

    Raises:
        DataError: A class has no training node, or there is nothing to validate on.
        Diverged: The losses are not finite.

    References: settings of [fuchsgruber2024].
    """
    check_masks(graph, train, valid)
    inputs = network_input(graph) if inputs is None else inputs
    rule = _Rule(learning_rate, weight_decay, patience, min_gain)
    weights = jnp.asarray(np.stack([train / train.sum(), valid / valid.sum()]), jnp.float32)
    problem = inputs, jnp.asarray(graph.labels), weights
    # Copies, so that the kept network never shares memory with the one that is trained on.
    parameters = eqx.filter(network, eqx.is_inexact_array)
    state = _State(
        network, rule.optimizer().init(parameters), jax.tree.map(jnp.array, network), jnp.asarray(jnp.inf),
        jnp.asarray(0), jnp.asarray(0), jnp.full((2, max_epochs), jnp.nan),
    )  # fmt: skip
    while True:
        until = jnp.asarray(min(int(state.epoch) + _EPOCHS_A_CALL, max_epochs))
        state = _run(rule, problem, state, key, until)
        done = int(state.epoch)
        if progress is not None:
            progress(done, max_epochs)
        if done < int(until) or done == max_epochs:
            break
    losses = np.asarray(state.losses)[:, :done]
    if not np.isfinite(losses).all():
        raise Diverged(f"Training diverged at epoch {int(np.argmin(np.isfinite(losses).all(0)))}: lower learning_rate.")
    return TrainedNetwork(cast(N, state.best), losses[0], losses[1], int(state.best_epoch))


def check_masks(graph: Graph, train: Mask, valid: Mask | None = None) -> None:
    """Every class is trained on, and something is left to validate on.

    Raises:
        DataError: It is not so.
        ShapeError: A mask has another shape than the nodes.
    """
    for name, mask in {"train": train, "valid": valid}.items():
        if mask is not None and (mask.shape != (graph.num_nodes,) or mask.dtype != bool):
            raise ShapeError(
                f"`{name}` must be a mask of {graph.num_nodes} truth values; got {mask.dtype} of shape {mask.shape}."
            )
    missing = np.flatnonzero(np.bincount(graph.labels[train], minlength=graph.num_classes) == 0)
    if missing.size:
        raise DataError(
            f"Class {missing[0]} has no training node: label one of its nodes, or leave the class out "
            f"({missing.size} of {graph.num_classes} classes)."
        )
    if valid is not None and not valid.any():
        raise DataError("There is no validation node: leave some that are not trained on.")


@eqx.filter_jit
def _run(
    rule: _Rule,
    problem: tuple[NetworkInput, Int[Array, "n"], Float[Array, "2 n"]],
    state: _State,
    key: PRNGKey,
    until: Int[Array, ""],
) -> _State:
    inputs, labels, weights = problem
    optimizer = rule.optimizer()
    changing, fixed = eqx.partition(state, eqx.is_array)

    def cross_entropy(network: AbstractGraphNetwork, weight: Array, key: PRNGKey | None) -> Array:
        logits, _ = network(inputs, key=key)
        return weight @ optax.softmax_cross_entropy_with_integer_labels(logits, labels)

    def goes_on(arrays: _State) -> Array:
        waiting = arrays.epoch - arrays.best_epoch < rule.patience
        return (arrays.epoch < until) & (waiting | (arrays.epoch == 0))

    def step(arrays: _State) -> _State:
        now: _State = eqx.combine(arrays, fixed)
        # The first layer has no dropout: the two passes share it once they are compiled together.
        valid_loss = cross_entropy(now.network, weights[1], None)
        dropout = jax.random.fold_in(key, now.epoch)
        train_loss, gradient = eqx.filter_value_and_grad(cross_entropy)(now.network, weights[0], dropout)
        parameters = eqx.filter(now.network, eqx.is_inexact_array)
        updates, memory = optimizer.update(gradient, now.optimizer, parameters)
        gained = valid_loss < now.best_loss - rule.min_gain
        new = _State(
            eqx.apply_updates(now.network, updates),
            memory,
            jax.tree.map(lambda a, b: jnp.where(gained, a, b), now.network, now.best),
            jnp.where(gained, valid_loss, now.best_loss),
            jnp.where(gained, now.epoch, now.best_epoch),
            now.epoch + 1,
            now.losses.at[:, now.epoch].set(jnp.stack([train_loss, valid_loss])),
        )
        return eqx.filter(new, eqx.is_array)

    return eqx.combine(jax.lax.while_loop(goes_on, step, changing), fixed)
