"""Couplings against the matrix that they stand for, colourings, and what is refused."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax._errors import ArgumentError, DataError, ShapeError
from energax.energies import (
    DenseCouplings,
    Graph,
    GraphCouplings,
    Ising,
    LatticeCouplings,
    PatternCouplings,
    blocks,
    curie_weiss,
    edwards_anderson,
    hopfield,
    read_rudy,
    sherrington_kirkpatrick,
)

WHEEL = [(i, (i + 1) % 5) for i in range(5)] + [(5, i) for i in range(5)]
PETERSEN = (
    [(i, (i + 1) % 5) for i in range(5)] + [(i, i + 5) for i in range(5)] + [(i + 5, (i + 2) % 5 + 5) for i in range(5)]
)


def wave(*shape):
    return np.sin(1.0 + np.arange(np.prod(shape)) ** 1.5).reshape(shape)


def symmetric(size):
    upper = np.triu(wave(size, size), 1)
    return upper + upper.T


COUPLINGS = {
    "torus": lambda: LatticeCouplings((3, 4), 0.7),
    "two bonds for a pair": lambda: LatticeCouplings((2, 3), 0.7),
    "open cuboid": lambda: LatticeCouplings((2, 3, 2), [0.3, -0.5, 0.9], boundary="open"),
    "strip, bond by bond": lambda: LatticeCouplings((3, 4), wave(2, 3, 4), boundary=("open", "periodic")),
    "graph": lambda: GraphCouplings(WHEEL, wave(10), num_sites=7),
    "graph from a matrix": lambda: GraphCouplings.from_matrix(np.where(np.abs(symmetric(7)) > 0.6, symmetric(7), 0.0)),
    "all pairs": lambda: DenseCouplings(symmetric(6)),
    "patterns": lambda: PatternCouplings(wave(3, 5), [1.0, -0.5, 2.0]),
}


@eqx.filter_jit
def _products(couplings, values):
    sites = jnp.arange(couplings.num_sites)
    at = jax.vmap(lambda i: couplings.times_at(values, i))(sites)
    return couplings.times(values), at, couplings.pair_sum(values)


def _matrix(couplings):
    """The matrix that the bonds add up to, or that of Hebb's rule."""
    size, listed = couplings.num_sites, couplings.bonds()
    matrix = np.zeros((size, size))
    if listed is None:
        patterns = np.asarray(couplings.patterns)
        matrix = patterns.T @ np.diag(couplings.strengths) @ patterns / size
        return matrix - np.diag(np.diagonal(matrix))
    for (i, j), weight in zip(listed[0], np.asarray(listed[1]), strict=True):
        matrix[[i, j], [j, i]] += weight
    return matrix


@pytest.mark.parametrize("name", COUPLINGS)
def test_products_are_those_of_the_matrix_of_the_bonds(name):
    with jax.enable_x64(True):
        couplings = COUPLINGS[name]()
        size = couplings.num_sites
        values = wave(*couplings.shape, 2)
        times, at, pair_sum = map(np.asarray, _products(couplings, jnp.asarray(values)))
        matrix = _matrix(couplings)
    flat = values.reshape(size, 2)
    assert not np.diagonal(matrix).any()
    np.testing.assert_allclose(times.reshape(size, 2), matrix @ flat, atol=1e-14)
    np.testing.assert_allclose(at, matrix @ flat, atol=1e-14)
    assert pair_sum == pytest.approx(0.5 * np.sum(flat * (matrix @ flat)), abs=1e-13)


def test_a_matrix_gives_one_model_however_it_is_stored():
    with jax.enable_x64(True):
        matrix = symmetric(6)
        for couplings in (GraphCouplings.from_matrix(matrix), DenseCouplings(matrix)):
            pairs, weights = couplings.bonds()
            np.testing.assert_array_equal(np.asarray(weights), matrix[pairs[:, 0], pairs[:, 1]])


def test_a_lattice_counts_its_bonds():
    assert len(LatticeCouplings((4, 5, 6)).bonds()[0]) == 3 * 120
    assert len(LatticeCouplings((4, 5), boundary="open").bonds()[0]) == 3 * 5 + 4 * 4
    assert len(LatticeCouplings((4, 5), boundary=("open", "periodic")).bonds()[0]) == 3 * 5 + 4 * 5


def _is_proper(graph):
    i, j = graph.edges.T
    assert (graph.colours[i] != graph.colours[j]).all()
    return int(graph.colours.max()) + 1


def test_neighbours_have_different_colours():
    rng = np.random.default_rng(0)
    for size, chance in ((12, 0.5), (60, 0.1), (200, 0.03)):
        rows, columns = np.nonzero(np.triu(rng.random((size, size)) < chance, 1))
        graph = Graph(np.stack([rows, columns], axis=1), size)
        assert _is_proper(graph) <= np.bincount(graph.edges.reshape(-1)).max() + 1


def test_bipartite_graphs_need_two_colours_and_others_no_more_than_they_must():
    rng = np.random.default_rng(1)
    tree = Graph(np.stack([np.arange(1, 300), [rng.integers(i) for i in range(1, 300)]], axis=1))
    torus = Graph(LatticeCouplings((6, 4, 2), boundary=("periodic", "periodic", "open")).bonds()[0])
    sides = Graph(np.unique(np.stack([rng.integers(0, 40, 300), rng.integers(40, 90, 300)], axis=1), axis=0))
    assert [_is_proper(g) for g in (tree, torus, sides)] == [2, 2, 2]
    assert _is_proper(Graph(WHEEL)) == 4
    assert _is_proper(Graph(PETERSEN)) == 3
    assert _is_proper(Graph(np.stack(np.triu_indices(9, 1), axis=1))) == 9


def test_colours_of_lattices():
    assert [len(blocks(Ising(LatticeCouplings(s)))) for s in ((4, 4), (6,), (4, 2, 6), (3, 4), (5, 5, 5))] == [
        2,
        2,
        2,
        3,
        3,
    ]
    assert len(blocks(Ising(LatticeCouplings((3, 5), boundary="open")))) == 2
    assert blocks(Ising(DenseCouplings(symmetric(4)))) == ()


def test_equal_graphs_share_compiled_code():
    traces = []

    @eqx.filter_jit
    def value(energy, x):
        traces.append(1)
        return energy(x)

    for coupling in (0.5, -1.0):
        value(Ising(GraphCouplings(WHEEL, coupling)), jnp.ones(6, jnp.int8))
    assert len(traces) == 1
    assert Graph(WHEEL) == Graph(np.asarray(WHEEL))
    assert Graph(WHEEL) != Graph(WHEEL, 7)


@pytest.mark.parametrize(
    ("make", "error", "sentence"),
    [
        (lambda: Graph([]), ArgumentError, "The graph is empty"),
        (lambda: Graph([(0, 1), (2, 2)]), ArgumentError, r"The edge \(2, 2\) is a loop"),
        (lambda: Graph([(0, 1), (1, 2), (1, 0)]), ArgumentError, r"The pair \(0, 1\) is there 2 times"),
        (lambda: Graph([(0, 5)], 5), ArgumentError, "names the site 5, but there are the sites 0 to 4"),
        (lambda: Graph([(0, -1)]), ArgumentError, "names the site -1"),
        (lambda: Graph([(0, 1, 2)]), ShapeError, r"pairs of integers, shape \(num_edges, 2\), got int64\(1, 3\)"),
        (lambda: Graph([(0.5, 1.0)]), ShapeError, "pairs of integers"),
        (lambda: GraphCouplings(WHEEL, np.ones(9)), ShapeError, r"one for each of 10 edges, got shape \(9,\)"),
        (lambda: GraphCouplings.from_matrix(np.zeros((3, 3))), ArgumentError, "The graph is empty"),
        (lambda: GraphCouplings.from_matrix(np.triu(np.ones((3, 3)), 1)), ShapeError, "symmetric with a diagonal"),
        (lambda: DenseCouplings(np.eye(3)), ShapeError, "symmetric with a diagonal of zeros"),
        (lambda: DenseCouplings(np.ones((2, 3))), ShapeError, r"shape \(N, N\)"),
        (lambda: PatternCouplings(np.ones(4)), ShapeError, r"\(num_patterns, num_sites\), got \(4,\)"),
        (lambda: PatternCouplings(np.ones((2, 4)), np.ones(3)), ShapeError, "one for each of 2 patterns"),
        (lambda: curie_weiss(1), ArgumentError, "two or more sites"),
        (lambda: LatticeCouplings((4, 1)), ArgumentError, "axes of length 2 or more"),
        (lambda: LatticeCouplings((4, 4), boundary="free"), ArgumentError, '"periodic" or "open"'),
        (lambda: LatticeCouplings((4, 4), boundary=("open",)), ArgumentError, "or 2 of them for 2 axes"),
        (lambda: LatticeCouplings((4, 4), np.ones(3)), ShapeError, r"shape \(2,\) or \(2, 4, 4\), got \(3,\)"),
        (lambda: Ising(GraphCouplings(WHEEL), coupling=1.0), ArgumentError, "leave `coupling` out"),
        (lambda: Ising(GraphCouplings(WHEEL), field=np.ones(3)), ShapeError, r"array of shape \(6,\), got \(3,\)"),
        (lambda: hopfield(np.zeros((1, 4))), ArgumentError, "entries −1 and \\+1"),
        (lambda: sherrington_kirkpatrick(1, key=jax.random.key(0)), ArgumentError, "num_sites=1"),
        (
            lambda: edwards_anderson((4, 4), disorder="cauchy", key=jax.random.key(0)),
            ArgumentError,
            '"bimodal" and "gaussian", got \'cauchy\'',
        ),
    ],
)
def test_what_makes_no_sense_is_refused(make, error, sentence):
    with pytest.raises(error, match=sentence):
        make()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("3 2\n1 2 1\n2 3", "not in the rudy format"),
        ("three nodes", "cannot be read as a graph"),
        ("3 2\n1 2 1\n2 2 1", "is a loop"),
        ("2 1\n1 3 1", "names the site 2, but there are the sites 0 to 1"),
        ("", "not in the rudy format"),
    ],
)
def test_files_that_are_no_graphs(text, sentence, tmp_path):
    path = tmp_path / "graph.txt"
    path.write_text(text)
    with pytest.raises(DataError, match=sentence):
        read_rudy(path)
    with pytest.raises(DataError, match="cannot be read as a graph"):
        read_rudy(tmp_path / "missing.txt")
