"""Couplings from configurations: exact from an exact law, optimal with a penalty, right as a graph."""

import jax
import numpy as np
import pytest

from energax import exact
from energax._errors import ArgumentError, ShapeError
from energax.energies import Ising
from energax.estimators import inverse_ising
from energax.testing import references

METHODS = ("rise", "log-rise", "pseudo-likelihood")


def _matrix(model):
    pairs, coupling = model.couplings.bonds()
    matrix = np.zeros([model.space.num_sites] * 2)
    np.add.at(matrix, tuple(np.asarray(pairs).T), np.asarray(coupling, np.float64))
    return matrix + matrix.T


@pytest.mark.parametrize("method", METHODS)
def test_the_law_itself_gives_the_truth(method):
    """All configurations with their probabilities as weights, no penalty: couplings and fields are the model's."""
    model = references.asymmetric_ising().energy
    states, log_p = exact.log_probs(model, dtype=np.float64)
    rows = np.asarray(states).reshape(len(states), -1)
    found = inverse_ising(rows, method=method, weights=np.exp(log_p), penalty=0.0, tolerance=1e-9)
    assert found.converged
    np.testing.assert_allclose(found.couplings, _matrix(model), atol=1e-6)
    np.testing.assert_allclose(found.field, np.asarray(model.field).reshape(-1), atol=1e-6)
    assert found.asymmetry < 1e-6


def _pair(method, correlation, penalty):
    """J of two spins without fields, in closed form from their correlation a."""
    if method == "pseudo-likelihood":
        return np.arctanh(correlation - penalty)
    if method == "log-rise":
        return np.arctanh(correlation) - np.arctanh(penalty)
    up, down = (1 + correlation) / 2, (1 - correlation) / 2
    return np.log((np.sqrt(penalty**2 + 4 * up * down) - penalty) / (2 * down))


@pytest.mark.parametrize("method", METHODS)
def test_two_spins_with_a_penalty_in_closed_form(method):
    """(1 − a)/2 u² + λu = (1 + a)/2 with u = exp J; J = atanh a − atanh λ; tanh J = a − λ. Zero once λ ≥ a."""
    rows, weights = np.array([[1, 1], [1, -1], [-1, -1], [-1, 1]]), [40.0, 10.0, 30.0, 20.0]
    for penalty in (0.0, 0.1, 0.25):
        found = inverse_ising(rows, method=method, weights=weights, penalty=penalty, fit_field=False)
        assert found.converged
        assert found.couplings[0, 1] == pytest.approx(_pair(method, 0.4, penalty), abs=1e-6)
    assert not inverse_ising(rows, method=method, weights=weights, penalty=0.401, fit_field=False).couplings.any()
    assert inverse_ising(rows, weights=weights).penalty == pytest.approx(0.4 * np.sqrt(np.log(80) / 100))


@pytest.mark.parametrize("method", METHODS)
def test_the_graph_of_a_torus_is_found(method, key):
    """Nine spins with J = 0.4 each to four others, 6,000 rows; three of three graphs without a wrong bond."""
    model = Ising(3, coupling=0.4)
    truth = np.argwhere(np.triu(_matrix(model)) > 0).tolist()
    for draw_key in jax.random.split(key, 3):
        rows = np.asarray(exact.draw(model, key=draw_key, num=6_000)).reshape(-1, 9)
        found = inverse_ising(rows, method=method, threshold=0.2, fit_field=False)
        assert [list(edge) for edge in found.edges] == truth
        assert not found.field.any()


def test_an_end_before_the_tolerance_is_said():
    rows = np.random.default_rng(0).choice([-1, 1], (50, 4))
    found = inverse_ising(rows, max_steps=1)
    assert not found.converged
    assert "NOT converged in 1 steps" in repr(found)


def test_what_is_refused():
    rows = np.random.default_rng(0).choice([-1, 1], (50, 4))
    with pytest.raises(ShapeError, match=r"got an array of shape \(50,\)"):
        inverse_ising(rows[:, 0])
    with pytest.raises(ArgumentError, match=r"-1 or \+1 everywhere"):
        inverse_ising((rows + 1) // 2)
    with pytest.raises(ArgumentError, match="Spin 2 has one value"):
        inverse_ising(np.where(np.arange(4) == 2, 1, rows))
    with pytest.raises(ArgumentError, match=r"Unknown method 'rpl'\. Known: rise"):
        inverse_ising(rows, method="rpl")
    with pytest.raises(ShapeError, match="one number for each of 50 rows"):
        inverse_ising(rows, weights=[1.0])
    with pytest.raises(ArgumentError, match="must not be negative"):
        inverse_ising(rows, penalty=-1.0)
