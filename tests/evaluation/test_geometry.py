"""The geometry of laws: gap of Gibbs, Fisher information, linear response and thermodynamic length, on solved laws."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax import densities, energies, evaluation, exact, kernels, paths, spaces
from energax._errors import ArgumentError, SpaceError
from energax.estimators import Estimate
from energax.evaluation import _gibbs, _pilot, _response
from energax.evaluation._rounds import reach

FALSE_ALARM = 1e-6
SHAPE = (3, 3)


def magnet(coupling=0.25, field=0.1):
    return energies.Ising(SHAPE, coupling=coupling, field=field)


def moments(coupling=0.25, field=0.1):
    """Covariance of (∂E/∂coupling, ∂E/∂field) by summation over all states."""
    s = np.asarray(exact.states(spaces.Spins(SHAPE)), np.float64)
    bonds = (s * np.roll(s, 1, 1) + s * np.roll(s, 1, 2)).sum((1, 2))
    statistics = -np.stack([bonds, s.sum((1, 2))])
    weights = np.exp(-coupling * statistics[0] - field * statistics[1])
    return np.cov(statistics, aweights=weights, ddof=0)


# -- Fisher information and response ---------------------------------------------------------------------------------


def check_response(fisher_information, linear_response, key):
    """10,000 exact draws see an entry that is 15 % off."""
    model, want = magnet(), moments()
    x = exact.draw(model, key=key, num=10_000).reshape(4, 2500, *SHAPE)
    found = fisher_information(model, x)
    order = [next(i for i, name in enumerate(found.names) if name.endswith(word)) for word in (".coupling", ".field")]
    matrix, stderr = found.matrix[np.ix_(order, order)], found.stderr[np.ix_(order, order)]
    assert np.all(np.abs(matrix - want) <= 4.9 * stderr), (matrix, want)
    assert np.all(stderr < 0.04 * np.abs(want))
    response = linear_response(model, x, lambda x: jnp.sum(x) * 1.0)
    # dM/dh is the variance of M: fluctuations tell the response.
    assert abs(float(response.value.field) - want[1, 1]) <= 4.9 * float(response.stderr.field)


def test_fluctuations_tell_the_response(key):
    check_response(evaluation.fisher_information, evaluation.linear_response, key)


def test_fisher_information_is_the_curvature_of_log_z():
    """∂² log Z by finite differences of the oracle, in float64: what the covariance by summation says."""
    with jax.enable_x64(True):
        want, h = moments(), 1e-3
        log_z = lambda a, b: exact.log_z(magnet(np.float64(0.25 + a), np.float64(0.1 + b)))  # noqa: E731
        for i, (a, b) in enumerate(((h, 0.0), (0.0, h))):
            curvature = (log_z(a, b) - 2 * log_z(0, 0) + log_z(-a, -b)) / h**2
            assert curvature == pytest.approx(want[i, i], rel=1e-4)


def test_a_wrong_sign_is_seen(key, monkeypatch):
    right = _response.covariance
    monkeypatch.setattr(_response, "covariance", lambda a, b: right(a, -b))
    with pytest.raises(AssertionError):
        check_response(evaluation.fisher_information, evaluation.linear_response, key)


def test_hidden_units_are_summed_out_and_large_models_refused(key):
    machine = energies.RBM(3, 2, scale=0.5, key=key)
    x = exact.draw(machine, key=key, num=400).reshape(2, 200, 3)
    found = evaluation.fisher_information(machine, x)
    assert found.matrix.shape == found.stderr.shape == (11, 11)
    assert len(set(found.names)) == 11
    np.testing.assert_allclose(found.matrix, found.matrix.T)
    with pytest.raises(SpaceError, match="shape"):
        evaluation.fisher_information(machine, x[0])
    with pytest.raises(ArgumentError, match="too many for a matrix"):
        evaluation.fisher_information(energies.RBM(20, 10, key=key), jnp.zeros((1, 4, 20)))


# -- the gap of Gibbs ------------------------------------------------------------------------------------------------


def product(logit=0.4):
    return densities.IndependentSites(spaces.Spins(SHAPE), jnp.full(SHAPE, logit))


def test_the_gibbs_gap_is_the_divergence(key):
    """10,000 draws of a product law see a gap that is 5 % off; two normal laws have it in closed form."""
    model, q = magnet(), product()
    found = evaluation.gibbs_gap(model, q, key=key)
    want = exact.kl(q, model, dtype=np.float64)
    assert abs(found.value - want) <= 4.9 * found.stderr < 0.05 * want * 4.9
    assert found.diagnostics["variational_free_energy"] == pytest.approx(found.value - exact.log_z(model), abs=1e-4)
    entropy = 9 * (np.log1p(np.exp(0.4)) - 0.4 / (1 + np.exp(-0.4)))
    assert found.diagnostics["entropy"] == pytest.approx(entropy, abs=0.1)
    rough = evaluation.gibbs_gap(model, q, log_z=Estimate(exact.log_z(model), 0.3, 10.0, "ais"), key=key)
    assert rough.value == pytest.approx(found.value, abs=1e-5)
    assert rough.stderr == pytest.approx(math.hypot(0.3, found.stderr))


def test_the_gap_of_a_law_to_itself_is_nothing(key):
    law = densities.Gaussian(jnp.zeros(2))
    assert evaluation.gibbs_gap(law, law, key=key).value == pytest.approx(0.0, abs=1e-6)
    wrong = evaluation.gibbs_gap(law, law, log_z=-1.0, key=key)
    assert "log Z that was given is too small" in wrong.warnings[0]


def test_what_the_gap_refuses(key, monkeypatch):
    law = densities.Gaussian(jnp.zeros(2))
    half = energies.energy(lambda x: jnp.where(x[0] > 0, jnp.sum(x**2), jnp.inf), space=law.space)
    found = evaluation.gibbs_gap(half, law, log_z=0.0, key=key)
    assert math.isinf(found.value)
    assert "infinite energy" in found.warnings[0]
    nan = energies.energy(lambda x: jnp.nan * jnp.sum(x), space=law.space)
    with pytest.raises(ArgumentError, match="not a number"):
        evaluation.gibbs_gap(nan, law, log_z=0.0, key=key)
    with pytest.raises(SpaceError, match="lives on"):
        evaluation.gibbs_gap(magnet(), law, log_z=0.0, key=key)
    with pytest.raises(ArgumentError, match="two draws"):
        evaluation.gibbs_gap(law, law, num_draws=1, key=key)
    right = _gibbs._at_draws
    monkeypatch.setattr(_gibbs, "_at_draws", lambda *a: (right(*a)[0], -right(*a)[1]))
    with pytest.raises(AssertionError):
        test_the_gibbs_gap_is_the_divergence(key)


# -- thermodynamic length --------------------------------------------------------------------------------------------

PRECISION = 9.0


def narrowing():
    """From N(0, I) to N(0, I/9) in two dimensions: I(t) = (8/λ)² with λ = 1 + 8t, so that L = log 9."""
    start, end = (densities.Gaussian(jnp.zeros(2), v) for v in (1.0, 1.0 / PRECISION))
    return paths.Geometric(start, end)


def dissipated(levels):
    """Σ KL(p_k ‖ p_{k+1}) of the normal laws along the path: the mean dissipated work of jumps with perfect moves."""
    precision = 1.0 + (PRECISION - 1.0) * levels
    ratio = precision[1:] / precision[:-1]
    return float(np.sum(ratio - 1.0 - np.log(ratio)))


def check_length(key, num_particles=512):
    """Smallest defect seen: 5 %."""
    sizes = {"num_particles": num_particles, "num_repeats": 24}
    found = evaluation.thermodynamic_length(narrowing(), kernels.MALA(0.3), **sizes, key=key)
    want = math.log(PRECISION)
    assert found.length.stderr < 0.006 * want
    assert abs(found.length.value - want) <= reach(1.0 - FALSE_ALARM, 24) * found.length.stderr
    return found, want


def test_a_wrong_speed_is_seen(key, monkeypatch):
    """A tenth more, in a compilation of its own: no other test has this number of particles."""
    right = _pilot._speed
    monkeypatch.setattr(_pilot, "_speed", lambda *a: 1.1 * right(*a))
    with pytest.raises(AssertionError):
        check_length(key, 511)


def test_the_length_of_a_path_between_normal_laws(key):
    """The schedule is the exact one, ln(1 + 8t)/ln 9, and dissipates what it is said to."""
    found, want = check_length(key)
    levels = found.levels(41)
    np.testing.assert_allclose(np.log1p(8.0 * levels) / want, np.linspace(0, 1, 41), atol=0.02)
    excess = found.excess_work(41)
    assert excess.value == pytest.approx(0.5 * found.length.value**2 / 40)
    assert excess.stderr / excess.value == pytest.approx(2 * found.length.stderr / found.length.value)
    assert excess.value == pytest.approx(dissipated(levels), rel=0.06)
    assert dissipated(np.linspace(0.0, 1.0, 41)) > 1.2 * dissipated(levels)


def test_what_the_length_refuses(key):
    with pytest.raises(ArgumentError, match="exact kernel"):
        evaluation.thermodynamic_length(narrowing(), kernels.ULA(0.1), key=key)
    with pytest.raises(ArgumentError, match="two repeats"):
        evaluation.thermodynamic_length(narrowing(), kernels.MALA(0.1), num_repeats=1, key=key)
    there = evaluation.ThermodynamicLength(Estimate(1.0, 0.1, 1.0, "length"), np.arange(2.0), np.arange(2.0))
    for ask in (there.levels, there.excess_work):
        with pytest.raises(ArgumentError, match="at least two levels"):
            ask(1)
    assert "1.00" in repr(there)
