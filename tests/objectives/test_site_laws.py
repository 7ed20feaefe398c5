"""Objectives of single sites against their formulas, by enumeration, and where their minimum is."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import logsumexp

from energax import exact, testing
from energax._errors import ArgumentError, KernelMismatch
from energax.energies import MLP, FactorGraph
from energax.objectives import (
    ConcreteScoreMatching,
    InteractionScreening,
    MinimumProbabilityFlow,
    PseudoLikelihood,
    RatioMatching,
)
from energax.testing import references


def _graph():
    """Three sites with 2, 3 and 2 values."""
    tables = [jnp.array([[0.1, -0.6, 0.3], [0.4, 0.2, -0.1]]), jnp.array([[0.0, 0.5], [-0.3, 0.2], [0.7, 0.1]])]
    return FactorGraph((2, 3, 2), [((0, 1), tables[0]), ((1, 2), tables[1])])


MODELS = {
    "ising": lambda: references.asymmetric_ising().energy,
    "rbm": lambda: references.asymmetric_rbm().energy,
    "categorical": lambda: references.skewed_categorical().energy,
    "different counts": _graph,
}


def _pseudo_likelihood(log_p, axis):
    return logsumexp(log_p, axis, keepdims=True) - log_p


def _ratio_matching(log_p, axis):
    law = np.exp(-_pseudo_likelihood(log_p, axis))
    return 0.5 * (1 - 2 * law + np.sum(law**2, axis, keepdims=True))


def _screening(log_p, axis):
    return np.exp(np.mean(log_p, axis, keepdims=True) - log_p)


def _flow(log_p, axis):
    return np.sum(np.exp(0.5 * log_p), axis, keepdims=True) / np.exp(0.5 * log_p) - 1


def _concrete(log_p, axis):
    p = np.exp(log_p)
    return 0.5 * np.sum(p**2, axis, keepdims=True) / p**2 - p * np.sum(1 / p, axis, keepdims=True) + 0.5


# The loss of one site at every configuration, from the table of log p with an axis for each site.
FORMULAS = {
    PseudoLikelihood(): _pseudo_likelihood,
    RatioMatching(): _ratio_matching,
    InteractionScreening(): _screening,
    MinimumProbabilityFlow(): _flow,
    ConcreteScoreMatching(): _concrete,
}


def enumerated(model):
    """All configurations, and log p as an array with an axis for each site."""
    states, log_p = exact.log_probs(model, dtype=np.float64)
    flat = np.asarray(states).reshape(len(states), -1)
    return jnp.asarray(states), log_p.reshape([len(np.unique(column)) for column in flat.T])


def scaled(model, factor):
    """All parameters times a factor, in float64."""
    return jax.tree.map(lambda leaf: factor * leaf.astype(float) if eqx.is_inexact_array(leaf) else leaf, model)


@eqx.filter_jit
def expected(objective, model, states, probs, key):
    """Loss and gradient under a law over all configurations; each row alone, so that rows can be weighted."""

    def loss(model):
        rows = jax.vmap(lambda x: objective.loss(model, x[None], None, key=key)[0])(states)
        return jnp.sum(probs.reshape(-1) * rows)

    return eqx.filter_value_and_grad(loss)(model)


@pytest.mark.parametrize("objective", FORMULAS, ids=lambda o: type(o).__name__)
@pytest.mark.parametrize("name", MODELS)
def test_formula_and_optimum_by_enumeration(objective, name, key):
    """The mean loss is that of the formula, and its gradient vanishes at the truth but not beside it."""
    with jax.enable_x64(True):
        model = scaled(MODELS[name](), 1.0)
        states, log_p = enumerated(model)
        probs = np.exp(log_p)
        found, gradient = expected(objective, model, states, jnp.asarray(probs), key)
        want = sum(np.sum(probs * FORMULAS[objective](log_p, axis)) for axis in range(log_p.ndim))
        assert float(found) == pytest.approx(want, rel=1e-12)
        assert max(float(jnp.max(jnp.abs(leaf))) for leaf in jax.tree.leaves(gradient)) < 1e-12
        for factor in (0.8, 1.2):
            wrong = scaled(model, factor)
            loss, gradient = expected(objective, wrong, states, jnp.asarray(probs), key)
            assert float(loss) > float(found) + 1e-4
            assert max(float(jnp.max(jnp.abs(leaf))) for leaf in jax.tree.leaves(gradient)) > 1e-3


def test_some_sites_stand_for_all(key):
    """All sites in any order give the same loss; two of them the same mean, of which a change by 3 % is seen."""
    model = _graph()
    rows = jnp.asarray(exact.states(model.space))[::4]

    @eqx.filter_jit
    def losses(objective, keys):
        return jax.vmap(lambda k: objective.loss(model, rows, None, key=k)[0])(keys)

    keys = jax.random.split(key, 1_000)
    want = float(losses(PseudoLikelihood(), keys[:1])[0])
    assert float(losses(PseudoLikelihood(3), keys[:1])[0]) == pytest.approx(want, rel=1e-5)
    found = np.asarray(losses(PseudoLikelihood(2), keys), np.float64)
    testing.assert_mean(found, want, name="loss of two sites a row")
    with pytest.raises(AssertionError, match="smallest visible"):
        testing.assert_mean(1.03 * found, want)


def test_log_screening_is_the_logarithm_of_each_site(key):
    """Σ_i log of the mean over rows of exp(−s_i (Σ_j J_ij s_j + H_i))."""
    with jax.enable_x64(True):
        model = scaled(references.asymmetric_ising().energy, 1.0)
        rows = jnp.asarray(exact.states(model.space))[::17]
        fields = jax.vmap(model.couplings.times)(rows.astype(float)) + model.field
        want = jnp.sum(jnp.log(jnp.mean(jnp.exp(-rows * fields), axis=0)))
        found = jax.jit(lambda x: InteractionScreening(log=True).loss(model, x, None, key=key)[0])(rows)
        assert float(found) == pytest.approx(float(want), rel=1e-12)


def test_rows_of_decimals_are_rows_of_the_space(key):
    model = references.skewed_categorical().energy
    rows = jnp.array([[0, 2, 1, 1], [2, 2, 0, 1]])
    run = jax.jit(lambda x: PseudoLikelihood().loss(model, x, None, key=key)[0])
    assert float(run(rows)) == float(run(rows.astype(float)))


def test_what_is_refused():
    with pytest.raises(KernelMismatch, match=r"discrete sites, but space=Euclidean.*Try DenoisingScoreMatching"):
        PseudoLikelihood().check(MLP(2, key=jax.random.key(0)))
    with pytest.raises(ArgumentError, match="num_sites=10, but there are 9 sites"):
        PseudoLikelihood(10).check(references.asymmetric_ising().energy)
    with pytest.raises(ArgumentError, match="logRISE needs all sites"):
        InteractionScreening(log=True, num_sites=3)
