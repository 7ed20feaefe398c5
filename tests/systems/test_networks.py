"""Networks and their training: sparse products, dense references, symmetry, early stopping."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.sparse as sp

from energax import systems
from energax._errors import DataError, ShapeError
from energax.systems import GCN, NETWORKS, Graph, Sparse, network_input, node_outputs, train_network

RNG = np.random.default_rng(1)


def random_graph(n=40, num_classes=3, width=10, density=0.3):
    edges = RNG.integers(0, n, (2, 3 * n))
    features = (RNG.random((n, width)) < density) * RNG.random((n, width))
    return Graph(edges, np.arange(n) % num_classes, features)


@pytest.mark.parametrize("shape", [(30, 7), (7, 30)])
def test_sparse_products_and_their_gradients(shape):
    dense = (RNG.random(shape) < 0.3) * RNG.normal(size=shape)
    dense[0], dense[:, 2] = 0.0, 1.0
    x, w = RNG.normal(size=(shape[1], 3)), RNG.normal(size=(shape[0], 3))
    matrix = Sparse(sp.csr_matrix(dense))
    np.testing.assert_allclose(matrix @ jnp.asarray(x), dense @ x, rtol=1e-4, atol=1e-5)
    gradient = jax.grad(lambda x: jnp.sum((matrix @ x) * w))(jnp.asarray(x))
    np.testing.assert_allclose(gradient, dense.T @ w, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_permuting_nodes_permutes_outputs_and_messages_can_be_left_out(name):
    graph = random_graph()
    network = NETWORKS[name](10, 3, hidden=16, key=jax.random.key(0))
    found = node_outputs(network, network_input(graph))
    order = RNG.permutation(40)
    place = np.argsort(order)
    moved = Graph(place[graph.edges], graph.labels[order], graph.features[order])
    other = node_outputs(network, network_input(moved))
    np.testing.assert_allclose(other.logits, found.logits[order], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(other.alone_logits, found.alone_logits[order], rtol=1e-4, atol=1e-5)
    # Without edges hearing from the neighbours is hearing from oneself.
    bare = node_outputs(network, network_input(Graph(np.zeros((2, 0), int), graph.labels, graph.features)))
    np.testing.assert_allclose(bare.logits, found.alone_logits, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(bare.embeddings, found.alone_embeddings, rtol=1e-4, atol=1e-5)


def test_gcn_is_its_formula():
    graph = random_graph()
    network = GCN(10, 3, hidden=5, key=jax.random.key(0))
    looped = graph.adjacency.toarray() + np.eye(40)
    s = looped / np.sqrt(np.outer(looped.sum(1), looped.sum(1)))
    (w1, w2), (b1, b2) = network.weights, network.biases
    h = np.maximum(s @ graph.features @ w1 + b1, 0)
    found = node_outputs(network, network_input(graph))
    np.testing.assert_allclose(found.embeddings, h, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found.logits, s @ h @ w2 + b2, rtol=1e-4, atol=1e-5)


def test_training_keeps_the_best_network_and_repeats_itself():
    graph = random_graph(60, 2)
    train, valid = np.arange(60) < 10, np.arange(60) >= 30
    network = GCN(10, 2, hidden=8, key=jax.random.key(0))
    options = {"key": jax.random.key(1), "learning_rate": 0.05, "patience": 15, "max_epochs": 300}
    first, second = (train_network(network, graph, train, valid, **options) for _ in range(2))
    np.testing.assert_array_equal(first.valid_loss, second.valid_loss)
    assert first.valid_loss.size == first.best_epoch + 15 < 300
    # The kept network has the loss that was logged for it, not that of the last epoch: random labels are overfitted.
    logits = node_outputs(first.network, network_input(graph)).logits[valid]
    loss = -jax.nn.log_softmax(logits)[np.arange(valid.sum()), graph.labels[valid]].mean()
    np.testing.assert_allclose(loss, first.valid_loss[first.best_epoch], rtol=1e-5)
    assert abs(loss - first.valid_loss[-1]) > 1e-3


def test_what_cannot_be_trained_on_is_refused():
    graph = random_graph()
    network, key = GCN(10, 3, hidden=4, key=jax.random.key(0)), jax.random.key(1)
    every, none = np.ones(40, bool), np.zeros(40, bool)
    with pytest.raises(DataError, match="Class 2 has no training node"):
        train_network(network, graph, graph.labels < 2, every, key=key)
    with pytest.raises(DataError, match="no validation node"):
        train_network(network, graph, every, none, key=key)
    with pytest.raises(ShapeError, match="`valid` must be a mask of 40 truth values"):
        train_network(network, graph, every, np.ones(3, bool), key=key)
    with pytest.raises(DataError, match="no features for a network"):
        network_input(Graph(graph.edges, graph.labels))
    assert systems.GCN is GCN
