"""GEBM and its baselines: identities, limits, symmetry, what is refused."""

from __future__ import annotations

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import logsumexp

from energax import systems
from energax._errors import ArgumentError, DataError, ShapeError
from energax.systems import GEBM, NODE_SCORES, Asked, Graph, NodeOutputs, Trained, diffuse

N, CLASSES, WIDTH = 90, 3, 4
RNG = np.random.default_rng(2)
LABELS = np.arange(N) % CLASSES
HEAD = RNG.normal(size=(WIDTH, CLASSES))
EMBEDDINGS = RNG.normal(size=(N, WIDTH)) + 2.0 * RNG.normal(size=(CLASSES, WIDTH))[LABELS]
GRAPH = Graph(RNG.integers(0, N, (2, 150)), LABELS)
TRAIN = np.arange(N) < 30


def outputs(alone):
    h = EMBEDDINGS
    draws = h @ HEAD + RNG.normal(size=(4, N, CLASSES))
    return NodeOutputs(h @ HEAD, h, alone @ HEAD, alone, draws, draws[:3])


OUTPUTS = outputs(EMBEDDINGS + 0.3 * RNG.normal(size=EMBEDDINGS.shape))


GIVEN = [OUTPUTS.logits, OUTPUTS.embeddings, OUTPUTS.alone_logits, OUTPUTS.alone_embeddings]


def fitted(**options):
    return GEBM.fit(OUTPUTS, GRAPH, TRAIN, **options)


def test_scaled_distances_have_the_interval_of_the_logits():
    found = fitted().scaled_distances(EMBEDDINGS)
    np.testing.assert_allclose(np.sort(found, 0)[int(0.025 * N)], np.sort(OUTPUTS.logits, 0)[int(0.025 * N)])
    np.testing.assert_allclose(np.sort(found, 0)[int(0.975 * N)], np.sort(OUTPUTS.logits, 0)[int(0.975 * N)])


def test_energies_are_their_formulas():
    gebm = fitted(gamma=0.7, alpha=0.4, num_steps=3)
    h, o = OUTPUTS.alone_embeddings, OUTPUTS.alone_logits
    walk = GRAPH.adjacency.toarray() + np.eye(N)
    walk /= walk.sum(1, keepdims=True)
    spread = np.linalg.matrix_power(0.4 * np.eye(N) + 0.6 * walk, 3)
    e = np.empty((N, CLASSES))
    for c in range(CLASSES):
        rows = EMBEDDINGS[TRAIN & (c == LABELS)]
        d = (((h - rows.mean(0)) ** 2) / rows.var(0)).sum(1)
        (low, high), (start, stop) = gebm.distance_range[:, c], gebm.logit_range[:, c]
        e[:, c] = o[:, c] - 0.7 * ((d - low) / (high - low) * (stop - start) + start)
    found = gebm.energies(OUTPUTS, GRAPH)
    np.testing.assert_allclose(found.independent, -logsumexp(e, axis=1))
    np.testing.assert_allclose(found.group, spread @ -logsumexp(e, axis=1))
    np.testing.assert_allclose(found.local, -logsumexp(spread @ e, axis=1))
    np.testing.assert_allclose(found.total, found.independent + found.group + found.local)
    alpha = 1 + np.exp(spread @ e)
    np.testing.assert_allclose(found.evidential, alpha / alpha.sum(1, keepdims=True))


def test_without_distance_and_diffusion_it_is_three_times_the_energy_of_the_logits():
    found = fitted(gamma=0.0, num_steps=0).energies(OUTPUTS, GRAPH).total
    np.testing.assert_allclose(found, 3 * systems.logit_energy(OUTPUTS.alone_logits))


@pytest.mark.parametrize("loops", [True, False])
def test_diffusion_keeps_constants_and_isolated_nodes(loops):
    lonely = Graph([[0, 1], [1, 2]], [0, 0, 1, 1])
    np.testing.assert_allclose(diffuse(np.full((4, 2), 3.5), lonely, loops=loops), 3.5)
    assert diffuse(np.asarray([1.0, 2.0, 3.0, 9.0]), lonely, loops=loops)[3] == pytest.approx(9.0)
    with pytest.raises(ArgumentError, match=r"must lie in \[0, 1\]"):
        diffuse(np.ones(4), lonely, alpha=1.5)


@pytest.mark.parametrize("name", sorted(NODE_SCORES))
def test_permuting_nodes_permutes_scores_and_they_are_finite(name):
    order = np.random.default_rng(3).permutation(N)
    moved = Graph(np.argsort(order)[GRAPH.edges], LABELS[order])
    parts = {f.name: getattr(OUTPUTS, f.name)[..., order, :] for f in dataclasses.fields(OUTPUTS)}
    there = NODE_SCORES[name].fit(Trained(OUTPUTS, GRAPH, TRAIN, ~TRAIN))(Asked(OUTPUTS, GRAPH, TRAIN))
    other = Trained(NodeOutputs(**parts), moved, TRAIN[order], ~TRAIN[order])
    here = NODE_SCORES[name].fit(other)(Asked(other.outputs, moved, TRAIN[order]))
    assert there.shape == (N,)
    assert np.isfinite(there).all()
    np.testing.assert_allclose(here, there[order], rtol=1e-9, atol=1e-12)
    p = NODE_SCORES[name].probabilities(other)(Asked(other.outputs, moved, TRAIN[order]))
    np.testing.assert_allclose(p.sum(1), 1.0)


@pytest.mark.parametrize("size", [1e3, 1e19, 1e38])
def test_energies_are_finite_and_grow_far_away_whatever_the_direction(size):
    far = outputs(size * RNG.normal(size=EMBEDDINGS.shape))
    found = fitted().energies(far, GRAPH)
    assert np.isfinite(found.total).all()
    assert found.independent.min() > fitted().energies(OUTPUTS, GRAPH).independent.max()


def along_a_ray(gamma):
    """Independent energies of a node that moves away in the direction that raises the first logit."""
    steps = np.geomspace(1.0, 1e4, N)
    alone = steps[:, None] * HEAD[:, 0]
    return fitted(gamma=gamma).energies(outputs(alone), GRAPH).independent


def test_gamma_0_makes_far_nodes_the_most_certain():
    assert np.all(np.diff(along_a_ray(0.0)[-20:]) < 0)
    assert along_a_ray(0.0)[-1] < -1e4
    assert np.all(np.diff(along_a_ray(1.0)[-20:]) > 0)


def test_the_density_of_a_node_is_integrable():
    """∫ exp(−E_ind(h)) dh on a wide grid in two dimensions against the Gaussian integral of each class."""
    h, head = EMBEDDINGS[:, :2], HEAD[:2]
    gebm = GEBM.fit(NodeOutputs(h @ head, h, h @ head, h), GRAPH, TRAIN)
    slope = (gebm.logit_range[1] - gebm.logit_range[0]) / (gebm.distance_range[1] - gebm.distance_range[0])
    log_parts = []
    for c in range(CLASSES):
        m, v, a = gebm.densities.mean[c], gebm.densities.variance[c], slope[c]
        shift = a * gebm.distance_range[0, c] - gebm.logit_range[0, c]
        gauss = 0.5 * np.log(np.pi * v / a).sum() + (head[:, c] ** 2 * v / (4 * a)).sum()
        log_parts.append(shift + head[:, c] @ m + gauss)
    axis = np.linspace(-40, 40, 601)
    grid = np.stack(np.meshgrid(axis, axis, indexing="ij"), -1).reshape(-1, 2)
    energy = -logsumexp(grid @ head - gebm.scaled_distances(grid), axis=1)
    found = logsumexp(-energy) + 2 * np.log(axis[1] - axis[0])
    assert found == pytest.approx(logsumexp(log_parts), abs=1e-6)


def test_predictions_fall_back_to_ignorance():
    far = fitted(valid=~TRAIN).energies(outputs(100 * EMBEDDINGS), GRAPH)
    np.testing.assert_allclose(far.evidential, 1 / CLASSES, atol=1e-9)
    assert far.calibrated is not None
    np.testing.assert_allclose(far.calibrated.sum(1), 1.0)


def test_calibration_raises_the_likelihood_of_validation_nodes():
    valid = ~TRAIN
    found = fitted(valid=valid).energies(OUTPUTS, GRAPH)
    pick = np.arange(valid.sum()), LABELS[valid]
    assert np.log(found.calibrated[valid][pick]).mean() >= np.log(found.evidential[valid][pick]).mean()


class Tensor:
    """An array that speaks DLPack and nothing else."""

    def __init__(self, array):
        self.array = np.asarray(array, np.float32)

    def __dlpack__(self, **options):
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()


@pytest.mark.parametrize("kind", [jnp.asarray, Tensor])
def test_arrays_of_other_frameworks(kind):
    given = [kind(array) for array in GIVEN]
    found = GEBM.fit(NodeOutputs(*given), GRAPH, TRAIN).energies(NodeOutputs(*given), GRAPH).total
    np.testing.assert_allclose(found, fitted().energies(OUTPUTS, GRAPH).total, rtol=1e-3)


def test_what_cannot_be_fitted_is_refused_in_one_sentence():
    with pytest.raises(DataError, match="Class 1 has no training node"):
        GEBM.fit(OUTPUTS, GRAPH, TRAIN & (LABELS != 1))
    with pytest.raises(ArgumentError, match="`gamma` must be"):
        fitted(gamma=-1.0)
    with pytest.raises(ShapeError, match="outputs of 90 nodes, but the graph has 3"):
        fitted().energies(OUTPUTS, Graph([[0], [1]], [0, 1, 2]))
    with pytest.raises(ShapeError, match="3 logits, but the graph that is fitted on has 4 classes"):
        GEBM.fit(OUTPUTS, Graph(GRAPH.edges, np.arange(N) % 4), TRAIN)
    with pytest.raises(ShapeError, match="3 logits and 2 embeddings, but it was fitted on 3 and 4"):
        fitted().energies(NodeOutputs(*[a[:, :w] for a, w in zip(GIVEN, (3, 2, 3, 2), strict=True)]), GRAPH)
    with pytest.raises(DataError, match="no validation node"):
        fitted(valid=~TRAIN & TRAIN)
    with pytest.raises(ShapeError, match="`valid` must be a mask of 90"):
        fitted(valid=TRAIN[:5])
    with pytest.raises(ShapeError, match="`train` must be a mask"):
        GEBM.fit(OUTPUTS, GRAPH, TRAIN[:5])
    h = OUTPUTS.embeddings
    with pytest.raises(DataError, match="`logits` holds 270 numbers that are NaN"):
        NodeOutputs(np.full((N, 3), np.nan), h, OUTPUTS.logits, h)
    with pytest.raises(ShapeError, match="`alone_logits` has the shape"):
        NodeOutputs(OUTPUTS.logits, h, OUTPUTS.logits[1:], h)
    with pytest.raises(ShapeError, match="cannot be read as an array"):
        NodeOutputs(object(), h, h, h)
    flat = np.zeros((N, 3))
    with pytest.raises(DataError, match="The logits of class 0 are all equal"):
        GEBM.fit(NodeOutputs(flat, h, flat, h), GRAPH, TRAIN)


def test_dead_units_get_the_smallest_variance_that_is_allowed():
    h = EMBEDDINGS.copy()
    h[:, 0] = 0.0
    found = systems.ClassDensities.fit(NodeOutputs(h @ HEAD, h, h @ HEAD, h), GRAPH, TRAIN)
    np.testing.assert_allclose(found.variance[:, 0], 1.11e-6)


def test_kernel_density_along_a_path():
    path = Graph([np.arange(13), np.arange(1, 14)], np.arange(15) % 2)
    found = systems.graph_kernel_density(path, np.arange(15) == 0)
    np.testing.assert_allclose(found[:11], 0.5 * np.arange(11.0) ** 2)
    np.testing.assert_allclose(found[11:], 0.5 * 11**2)


def test_mutual_information_of_equal_and_of_opposite_predictions():
    certain = np.asarray([[[40.0, 0.0]], [[0.0, 40.0]]])
    assert systems.mutual_information(certain)[0] == pytest.approx(np.log(2))
    assert systems.mutual_information(certain[[0, 0]])[0] == pytest.approx(0.0, abs=1e-12)


def test_fisher_score_is_the_sum_of_log_p_values_whatever_the_scales():
    known, asked = RNG.normal(size=(2, 50)), RNG.normal(size=(2, 20))
    found = systems.FisherScore.fit(list(known))(list(asked))
    p = [(1 + (known[k][:, None] >= asked[k][None]).sum(0)) / 51 for k in (0, 1)]
    np.testing.assert_allclose(found, -np.log(p[0]) - np.log(p[1]))
    other = systems.FisherScore.fit([known[0], np.exp(9 * known[1])])([asked[0], np.exp(9 * asked[1])])
    np.testing.assert_allclose(other, found)
    np.testing.assert_allclose(systems.FisherScore.fit(list(known))([np.full(1, 1e9)] * 2), 2 * np.log(51))
