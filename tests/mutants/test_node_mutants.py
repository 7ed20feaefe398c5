"""GEBM with one planted defect each, caught by the identity that the right one passes."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy.special import logsumexp

from energax.systems import GEBM, ClassDensities, Graph, NodeOutputs
from energax.systems.graphs import _class_densities, _gebm

RNG = np.random.default_rng(5)
N = 60
LABELS = np.arange(N) % 2
H, ALONE, HEAD = RNG.normal(size=(N, 3)) + LABELS[:, None], RNG.normal(size=(N, 3)), RNG.normal(size=(3, 2))
OUTPUTS = NodeOutputs(H @ HEAD, H, ALONE @ HEAD, ALONE)
GRAPH = Graph(RNG.integers(0, N, (2, 90)), LABELS)
TRAIN = np.arange(N) < 20


def check_independent_energies():
    """Smallest defect seen: any change of a node's energy by one part in a million."""
    gebm = GEBM.fit(OUTPUTS, GRAPH, TRAIN)
    e = np.empty((N, 2))
    for c in (0, 1):
        rows = H[TRAIN & (c == LABELS)]
        near, far = ((((x - rows.mean(0)) ** 2) / rows.var(0)).sum(1) for x in (H, ALONE))
        low, high = np.sort(near)[[1, 58]]
        start, stop = np.sort(OUTPUTS.logits[:, c])[[1, 58]]
        e[:, c] = OUTPUTS.alone_logits[:, c] - ((far - low) / (high - low) * (stop - start) + start)
    np.testing.assert_allclose(gebm.energies(OUTPUTS, GRAPH).independent, -logsumexp(e, axis=1), rtol=1e-6)


def deviations_for_variances(monkeypatch):
    monkeypatch.setattr(_class_densities, "_loaded", np.sqrt)


def forgotten_offset(monkeypatch):
    right = GEBM.scaled_distances
    monkeypatch.setattr(GEBM, "scaled_distances", lambda self, h: right(self, h) - self.logit_range[0])


def messages_at_test_time(monkeypatch):
    right = GEBM.energies

    def wrong(self, outputs, graph):
        heard = dataclasses.replace(outputs, alone_logits=outputs.logits, alone_embeddings=outputs.embeddings)
        return right(self, heard, graph)

    monkeypatch.setattr(GEBM, "energies", wrong)


def no_square(monkeypatch):
    right = ClassDensities.distances
    monkeypatch.setattr(ClassDensities, "distances", lambda self, h: np.sqrt(right(self, h)))


def whole_range(monkeypatch):
    monkeypatch.setattr(_gebm, "_middle", lambda v: np.stack([v.min(0), v.max(0)]))


def test_the_right_one_passes():
    check_independent_energies()


@pytest.mark.parametrize(
    "plant", [deviations_for_variances, forgotten_offset, messages_at_test_time, no_square, whole_range]
)  # fmt: skip
def test_defects_are_seen(plant, monkeypatch):
    plant(monkeypatch)
    with pytest.raises(AssertionError):
        check_independent_energies()
