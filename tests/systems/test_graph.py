"""Graphs: what is stored, what is refused, files, splits, shifts."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from energax import systems
from energax._errors import ArgumentError, DataError, ShapeError
from energax.systems import Graph

RNG = np.random.default_rng(0)


def ring(n=60, num_classes=3, width=8):
    labels = np.arange(n) * num_classes // n
    features = (RNG.random((n, width)) < 0.4).astype(float)
    return Graph([np.arange(n), (np.arange(n) + 1) % n], labels, features)


def test_edges_are_stored_once_in_both_directions_without_loops():
    graph = Graph([[0, 1, 1, 2, 2], [1, 0, 0, 2, 0]], [0, 1, 1])
    np.testing.assert_array_equal(graph.edges, [[0, 0, 1, 2], [1, 2, 0, 0]])
    assert graph.num_edges == 2
    np.testing.assert_array_equal(graph.adjacency.toarray(), [[0, 1, 1], [1, 0, 0], [1, 0, 0]])


@pytest.mark.parametrize(
    ("edges", "labels", "features", "error", "words"),
    [
        ([[0], [3]], [0, 1, 0], None, DataError, "Edge 0 joins 0 – 3, but nodes are numbered from 0 to 2"),
        ([[0], [-1]], [0, 1], None, DataError, "Edge 0 joins 0 – -1"),
        ([[0], [1]], [0, -1], None, DataError, "node 1 has the label -1"),
        ([[0], [1]], [0, 2], None, DataError, "go up to 2, but no node has the label 1"),
        ([[0], [1]], [0, 10**9], None, DataError, "go up to 1000000000"),
        ([[0], [1]], [0.5, 1], None, DataError, "`labels` must hold whole numbers"),
        ([0, 1], [0, 1], None, ShapeError, "`edges` must have the shape"),
        ([[0], [1]], [], None, DataError, "no nodes"),
        ([[0], [1]], [0, 1], [[1.0], [np.nan]], DataError, "1 numbers that are NaN or infinite"),
        ([[0], [1]], [0, 1], [[1e300], [0.0]], DataError, "infinite in single precision, the first at node 0"),
        ([[0], [1]], [0, 1], sp.csr_matrix([[0, 1.0], [np.inf, 0]]), DataError, "the first at node 1"),
        ([[0], [1]], [0, 1], np.ones((3, 1)), ShapeError, "3 rows, but `labels` has 2 nodes"),
        ([[0], [1]], [0, 1], np.ones(2), ShapeError, "must be a matrix of numbers"),
        ([[0], [1]], [0, 1], [["a"], ["b"]], ShapeError, "must be a matrix of numbers"),
    ],
)  # fmt: skip
def test_bad_graphs_are_refused_in_one_sentence(edges, labels, features, error, words):
    with pytest.raises(error, match=words):
        Graph(edges, labels, features)


def test_isolated_nodes_and_parts_are_told():
    notes = Graph([[0, 2], [1, 3]], [0, 0, 1, 1, 1]).notes
    assert "1 of 5 nodes are isolated" in notes[0]
    assert "it has 2 parts" in notes[1]
    assert ring().notes == ()


def test_files_of_both_formats(tmp_path):
    graph = ring()
    np.savez(tmp_path / "simple.npz", features=graph.features, edge_index=graph.edges, labels=graph.labels)
    matrices = {"adj": graph.adjacency, "attr": sp.csr_matrix(graph.features)}
    parts = ("data", "indices", "indptr", "shape")
    arrays = {f"{stem}_{part}": getattr(matrix, part) for stem, matrix in matrices.items() for part in parts}
    np.savez(tmp_path / "public.npz", labels=graph.labels, **arrays)
    simple, public = (systems.load_graph(tmp_path / f"{name}.npz") for name in ("simple", "public"))
    assert systems.fingerprint(simple) == systems.fingerprint(public) == systems.fingerprint(graph)
    np.savez(tmp_path / "other.npz", x=np.ones(3))
    with pytest.raises(DataError, match="holds no graph: it needs labels"):
        systems.load_graph(tmp_path / "other.npz")
    (tmp_path / "text.npz").write_text("text")
    with pytest.raises(DataError, match=r"cannot be read as a graph: it is no \.npz file"):
        systems.load_graph(tmp_path / "text.npz")
    np.savez(tmp_path / "fewer.npz", labels=graph.labels[:50], **arrays)
    with pytest.raises(DataError, match="50 labels, but adj is 60 × 60"):
        systems.load_graph(tmp_path / "fewer.npz")
    with pytest.raises(DataError, match=r"no named graph and no file\. Did you mean 'cora-ml'"):
        systems.load_graph("cora-mk")


@pytest.mark.needs_data
def test_named_graphs_are_those_that_were_published():
    graph = systems.load_graph("cora-ml")
    assert (graph.num_nodes, graph.num_edges, graph.num_classes, graph.num_features) == (2995, 8158, 7, 2879)
    assert set(np.unique(graph.features.data)) == {1.0}


def test_splits_share_their_test_nodes_and_train_in_distribution():
    graph = ring(150)
    ood = systems.leave_out_classes(graph, 1)
    first, second = (systems.split_nodes(graph, seed=s, ood=ood, num_per_class=5) for s in (0, 1))
    np.testing.assert_array_equal(first.test, second.test)
    assert not np.array_equal(first.train, second.train)
    for split in (first, second):
        assert not (split.train & (ood | split.test | split.valid)).any()
        np.testing.assert_array_equal(np.bincount(graph.labels[split.train]), [5, 5])
        np.testing.assert_array_equal(np.bincount(graph.labels[split.test]), [10, 10, 10])
        assert (split.train | split.valid | split.test | ood).all()
    small = systems.split_nodes(ring(30), seed=0)
    np.testing.assert_array_equal(np.bincount(ring(30).labels[small.train]), [4, 4, 4])
    np.testing.assert_array_equal(np.bincount(ring(30).labels[small.valid]), [4, 4, 4])
    with pytest.raises(DataError, match="Class 0 has no training node"):
        systems.split_nodes(graph, seed=0, test_share=0.999)


def test_structural_shifts_follow_their_definitions():
    # A star whose centre is of class 0, and a path: homophily 1/3 in the centre.
    graph = Graph([[0, 0, 0, 4, 5], [1, 2, 3, 5, 6]], [0, 0, 1, 1, 0, 0, 1, 1])
    share = np.asarray([1 / 3, 1, 0, 0, 1, 0.5, 0, np.nan])
    mask = systems.low_homophily(graph)
    np.testing.assert_array_equal(np.flatnonzero(mask), [0, 2, 3, 5])
    assert np.nanmax(share[mask]) <= 0.5
    assert not mask[7]
    walk = graph.adjacency.toarray() + np.eye(8)
    walk /= walk.sum(1, keepdims=True)
    rank = np.full(8, 1 / 8)
    for _ in range(10):
        rank = 0.2 / 8 + 0.8 * walk.T @ rank
    low = systems.low_page_rank(graph)
    for k in (0, 1):
        nodes = np.flatnonzero(graph.labels == k)
        assert rank[nodes[low[nodes]]].max() <= rank[nodes[~low[nodes]]].min()
        assert low[nodes].sum() == 2
    with pytest.raises(ArgumentError, match="between 1 and 1 can be left out"):
        systems.leave_out_classes(ring(), 2)
    with pytest.raises(ArgumentError, match="2 classes has none to leave out: ask for other shifts"):
        systems.leave_out_classes(graph)
    with pytest.raises(DataError, match="of one class: there is nothing to predict"):
        systems.shift("homophily")(ring(60, 1))


@pytest.mark.parametrize(
    "name", ["near", "near-per-class", "bernoulli-0", "bernoulli-0.5", "bernoulli-1", "far-normal"]
)
def test_feature_shifts_change_shifted_nodes_only(name):
    graph = ring(400, 2, 12)
    shifted = systems.shift(name)(graph, seed=3)
    again = systems.shift(name)(graph, seed=3)
    after = np.asarray(sp.csr_matrix(shifted.after.features).todense())
    np.testing.assert_array_equal(after, np.asarray(sp.csr_matrix(again.after.features).todense()))
    unit = np.asarray(graph.features) / np.maximum(np.linalg.norm(graph.features, axis=1, keepdims=True), 1e-9)
    np.testing.assert_allclose(after[~shifted.ood], unit[~shifted.ood], rtol=1e-6)
    np.testing.assert_allclose(shifted.before.features, unit[~shifted.ood], rtol=1e-6)
    assert np.bincount(graph.labels[shifted.ood]).tolist() == [100, 100]
    new, norms = after[shifted.ood], np.linalg.norm(after[shifted.ood], axis=1)
    expected = {"bernoulli-0": 0.0, "bernoulli-1": 1.0}
    if name == "far-normal":
        assert 2.0 < norms.mean() < 5.0
    elif name in expected:
        np.testing.assert_allclose(norms, expected[name], rtol=1e-6)
    else:
        rate = 0.5 if name == "bernoulli-0.5" else np.asarray(graph.features)[~shifted.ood].mean()
        # 2400 coins: six standard deviations are 0.06
        assert abs((new > 0).mean() - rate) < 0.06
        np.testing.assert_allclose(norms[norms > 0], 1.0, rtol=1e-5)


@pytest.mark.parametrize("size", [1e-30, 1e30])
@pytest.mark.parametrize("form", [np.asarray, sp.csr_matrix])
def test_rows_have_norm_1_whatever_their_size(form, size):
    graph = ring()
    scaled = Graph(graph.edges, graph.labels, form(size * np.asarray(graph.features)))
    found, expected = (systems.shift("homophily")(g).after.features for g in (scaled, graph))
    dense = found.toarray() if sp.issparse(found) else found
    np.testing.assert_allclose(dense, expected, rtol=1e-6)


def test_features_of_real_numbers_are_drawn_from_normal_laws():
    labels = np.arange(3000) % 2
    features = RNG.normal(size=(3000, 3)) @ np.diag([3.0, 1.0, 0.1]) + np.where(labels, 8.0, -8.0)[:, None]
    shifted = systems.shift("near-per-class")(Graph([[0], [1]], labels, features), seed=0)
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    new = shifted.after.features[shifted.ood]
    for k in (0, 1):
        gap = new[labels[shifted.ood] == k].mean(0) - unit[labels == k].mean(0)
        assert np.abs(gap).max() < 0.05


def test_unknown_names_are_told_what_there_is():
    with pytest.raises(ArgumentError, match=r"no shift 'nera'\. Did you mean 'near'"):
        systems.shift("nera")
    with pytest.raises(ArgumentError, match=r"no method 'gbem'\. Did you mean 'gebm'"):
        systems.node_score("gbem")
