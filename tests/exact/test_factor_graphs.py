"""Factor graphs site by site: against enumeration, and the networks of a published competition."""

from __future__ import annotations

import json

import jax
import numpy as np
import pytest
from scipy.special import logsumexp

from energax import exact
from energax._errors import ArgumentError
from energax.energies import FactorGraph, read_uai


def small():
    """Six variables with two to four values, tables over up to three of them, some combinations forbidden."""
    rng = np.random.default_rng(8)
    counts = [2, 3, 4, 2, 3, 2]
    scopes = [(0, 1), (2, 1), (4, 2, 3), (5, 0), (3,), (4, 5)]
    tables = [rng.normal(size=[counts[v] for v in scope]) for scope in scopes]
    tables[0][1, 2], tables[2][0, :, 1] = -np.inf, -np.inf
    with jax.enable_x64(True):
        return FactorGraph(counts, list(zip(scopes, tables, strict=True)), constant=0.7), counts, scopes, tables


def check(eliminate, marginals):
    graph, counts, scopes, tables = small()
    x = np.indices(counts).reshape(len(counts), -1)
    log_p = 0.7 + sum(table[tuple(x[v] for v in scope)] for scope, table in zip(scopes, tables, strict=True))
    law = np.exp(log_p - logsumexp(log_p))
    energy = np.where(law > 0, -log_p, 0.0)
    found, sites = eliminate(graph), marginals(graph)
    assert found.log_z == pytest.approx(logsumexp(log_p), abs=1e-12)
    assert found.energy == pytest.approx(law @ energy, abs=1e-12)
    assert found.variance == pytest.approx(law @ (energy - law @ energy) ** 2, rel=1e-11)
    for variable in range(len(counts)):
        wanted = [law @ (x[variable] == value) for value in range(4)]
        np.testing.assert_allclose(sites.sites[variable], wanted, atol=1e-13)
    i, j = sites.pairs.T
    np.testing.assert_allclose(sites.agreement, (x[i] == x[j]) @ law, atol=1e-13)


def test_they_agree_with_enumeration():
    check(exact.eliminate, exact.pair_marginals)
    assert exact.log_z(small()[0], dtype=np.float64) == pytest.approx(exact.eliminate(small()[0]).log_z, rel=1e-12)


def test_values_that_a_variable_cannot_have_are_seen():
    def mutant(graph):
        padded = FactorGraph([4] * 6, [((v,), np.zeros(4)) for v in range(6)])
        right, wrong = exact.pair_marginals(graph), exact.pair_marginals(padded)
        return exact.PairMarginals(wrong.sites, right.pairs, right.agreement)

    with pytest.raises(AssertionError):
        check(exact.eliminate, mutant)


def test_a_graph_without_any_configuration_is_refused():
    with pytest.raises(ArgumentError, match="infinite energy"):
        exact.eliminate(FactorGraph([2, 2], [((0, 1), np.full((2, 2), -np.inf))]))


@pytest.mark.needs_data
@pytest.mark.parametrize("name", ["Grids_12", "Segmentation_12"])
def test_published_networks(name, data_folder):
    folder = data_folder / "statphys" / "uai2014"
    with jax.enable_x64(True):
        graph = read_uai(folder / f"{name}.uai")
    wanted = json.loads((folder / "logZ.json").read_text())["instances"][name]["logZ"]
    assert exact.eliminate(graph).log_z == pytest.approx(wanted, rel=1e-13)
    if name == "Grids_12":
        words = (folder / f"{name}.uai.MAR").read_text().split()[2:]
        published = np.asarray(words, float).reshape(-1, 3)[:, 1:]
        np.testing.assert_allclose(exact.pair_marginals(graph).sites, published, atol=2e-6)
