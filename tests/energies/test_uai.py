"""Networks in the UAI format: small ones written here, and those of a competition with their known log Z."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import logsumexp

from energax import exact
from energax._errors import DataError
from energax.energies import read_uai

# x_0 with two categories, x_1 with three, x_2 with two; a table without variables multiplies Z by 2.
NETWORK = """MARKOV
3
2 3 2
4
2 1 0
2 1 2
1 2
0
6 1 2 3 4 5 6
6
 0.5 1 1.5
 2 0 3
2
 1.0 0.25
1 2.0
"""


def written(folder, text, name="network.uai"):
    path = folder / name
    path.write_text(text)
    return path


def test_tables_are_read_with_the_last_variable_running_fastest(tmp_path):
    first, second = np.arange(1.0, 7).reshape(3, 2), np.array([0.5, 1, 1.5, 2, 0, 3]).reshape(3, 2)
    weights = 2 * np.einsum("ba,bc,c->abc", first, second, [1, 0.25])
    with jax.enable_x64(True):
        graph = read_uai(written(tmp_path, NETWORK))
        assert graph.space.counts == (2, 3, 2)
        assert exact.log_z(graph) == pytest.approx(np.log(weights.sum()), abs=1e-13)
        assert float(graph(jnp.array([1, 2, 1]))) == pytest.approx(-np.log(weights[1, 2, 1]), abs=1e-13)
        assert float(graph(jnp.array([1, 2, 0]))) == np.inf
        for text in ("1 1 2\n", "1\n1 1 2"):
            held = read_uai(tmp_path / "network.uai", written(tmp_path, text, "network.uai.evid"))
            assert exact.log_z(held) == pytest.approx(np.log(weights[:, 2].sum()), abs=1e-13)
        assert read_uai(tmp_path / "network.uai", written(tmp_path, "0", "none")).scopes == graph.scopes


def log_z_by_elimination(graph):
    """Sum over the variables one by one, each time over the one that leaves the smallest table."""
    tables = [
        (tuple(scope), table)
        for group, stacked in zip(graph.scopes.groups, graph.tables, strict=True)
        for scope, table in zip(group.tolist(), np.asarray(stacked), strict=True)
    ]
    left, total = set(range(len(graph.scopes.counts))), float(graph.constant)
    while left:
        around = {v: set().union(*(scope for scope, _ in tables if v in scope)) for v in left}
        variable = min(left, key=lambda v: len(around[v]))
        scope = (variable, *sorted(around[variable] - {variable}))
        product = 0.0
        for own, table in (pair for pair in tables if variable in pair[0]):
            shape = [graph.scopes.counts[v] if v in own else 1 for v in scope]
            product = product + np.transpose(table, np.argsort([scope.index(v) for v in own])).reshape(shape)
        message = logsumexp(product, axis=0)
        tables = [pair for pair in tables if variable not in pair[0]]
        if message.ndim:
            tables.append((scope[1:], message))
        else:
            total += float(message)
        left.remove(variable)
    return total


def test_elimination_agrees_with_enumeration(tmp_path):
    with jax.enable_x64(True):
        graph = read_uai(written(tmp_path, NETWORK))
        assert log_z_by_elimination(graph) == pytest.approx(exact.log_z(graph), abs=1e-13)


@pytest.mark.needs_data
@pytest.mark.parametrize("name", ["Grids_12", "Segmentation_14"])
def test_networks_of_the_competition_have_their_log_z(data_folder, name):
    folder = data_folder / "statphys" / "uai2014"
    known = json.loads((folder / "logZ.json").read_text())["instances"][name]["logZ"]
    with jax.enable_x64(True):
        graph = read_uai(folder / f"{name}.uai")
    assert log_z_by_elimination(graph) == pytest.approx(known, abs=1e-9)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "line 1: the file ends where the kind of the network should be"),
        ("CLIQUES\n2", "line 1: a network begins with MARKOV or BAYES, not with 'CLIQUES'"),
        ("MARKOV\n-1", "line 2: the number of variables should be a whole number from 1"),
        ("MARKOV\n2\n2 0\n1 1 0", "line 3: the number of categories of variable 1 should be .* not '0'"),
        (NETWORK.replace("2 1 2\n1 2", "2 1 3\n1 2"), "line 6: a variable of table 1 .* from 0 to 2, not '3'"),
        (NETWORK.replace("2 1 0\n", "2 1 1\n"), "line 5: table 0 names a variable twice"),
        (NETWORK.replace("6 1 2 3", "5 1 2 3"), "line 9: table 0 has 6 entries by its scope, not 5"),
        (NETWORK.replace("1.5", "nan"), "line 11: an entry of table 1 should be a number .* not 'nan'"),
        (NETWORK.replace(" 2 0 3", " 2 0 -3"), "line 12: an entry of table 1 .* not '-3'"),
        (NETWORK.replace("1 2.0", "1"), "line 15: the file ends where an entry of table 3"),
        (NETWORK + "7", "line 16: nothing should follow, but there is '7'"),
        ("MARKOV 1 2 1 0 1 2.0", "no table over any variable"),
    ],
)
def test_files_that_are_no_networks_are_refused_by_line(text, sentence, tmp_path):
    with pytest.raises(DataError, match=sentence):
        read_uai(written(tmp_path, text))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("2 0 1 0 1", "line 1: variable 0 is observed twice"),
        ("1\n1 3", "line 2: the value of variable 1 .* from 0 to 2, not '3'"),
        ("1 5 0", "line 1: an observed variable .* from 0 to 2, not '5'"),
        ("2\n1 0 0", "more than one set of evidence"),
        ("3 0 0 1 0 2 0", "leaves no variable"),
    ],
)
def test_evidence_that_does_not_fit_is_refused(text, sentence, tmp_path):
    with pytest.raises(DataError, match=sentence):
        read_uai(written(tmp_path, NETWORK), written(tmp_path, text, "evidence"))


def test_missing_files_are_refused(tmp_path):
    with pytest.raises(DataError, match="cannot be read as a text file"):
        read_uai(tmp_path / "missing.uai")
