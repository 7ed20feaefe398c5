"""Conditional energies: each class learns its own law, conditions stay with their chains, experts multiply."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import energax as ex
from energax._errors import ArgumentError, KernelMismatch, SpaceError
from energax.energies import ConditionalMLP, Sum, is_confined
from energax.kernels import MALA, OnPart
from energax.objectives import Conditioned, ContrastiveDivergence, PersistentCD, PseudoLikelihood, ScoreMatching
from energax.spaces import Categorical, Euclidean, Product
from energax.testing import check_energy

LABELS = np.random.default_rng(0).integers(0, 3, 60)
ROWS = np.random.default_rng(1).normal(size=60) * np.array([0.5, 1.0, 2.0])[LABELS] + np.array([-2.0, 0.0, 1.0])[LABELS]
DATA = {"x": jnp.asarray(ROWS[:, None]), "c": jnp.asarray(LABELS, "int8")}


def wells(params, x):
    """A normal law for each label."""
    return 0.5 * jnp.sum(params["precision"][x["c"]] * (x["x"] - params["mean"][x["c"]]) ** 2)


def at_the_optimum():
    """The precision of score matching is the inverse variance of the rows of each label."""
    rows = [ROWS[k == LABELS] for k in range(3)]
    params = {
        "mean": jnp.asarray(np.array([r.mean() for r in rows])),
        "precision": jnp.asarray(np.array([1 / r.var() for r in rows])),
    }
    space = Product({"x": Euclidean(1, initial_scale=1.0), "c": Categorical((), num_categories=3)})
    return ex.energy(wells, params, space=space)


class OneConditionForAll(Conditioned):
    """Every row under the condition of the first one."""

    def measure(self, energy, batch, *, key):
        first = jnp.broadcast_to(batch["c"][:1], batch["c"].shape)
        return Conditioned(self.objective).measure(energy, {**batch, "c": first}, key=key)


def slopes(objective):
    with jax.enable_x64(True):
        data = {"x": jnp.asarray(ROWS[:, None]), "c": DATA["c"]}
        loss = eqx.filter_jit(eqx.filter_grad(lambda e: objective.measure(e, data, key=jax.random.key(0))[0]))
        return np.concatenate([np.asarray(leaf) for leaf in jax.tree.leaves(loss(at_the_optimum()))])


def test_every_class_learns_its_own_law():
    """The gradient vanishes where mean and variance of each class are those of its rows, and not with mixed classes."""
    np.testing.assert_allclose(slopes(Conditioned(ScoreMatching())), 0.0, atol=1e-12)
    assert np.abs(slopes(OneConditionForAll(ScoreMatching()))).max() > 0.1


@pytest.mark.slow
def test_chains_keep_their_conditions(key):
    """Persistent chains that move x alone; the classes of the chains are those of the rows that they began at."""
    model, objective = ConditionalMLP(1, 3, hidden=(4,), key=key), PersistentCD(OnPart(MALA(0.1), "x"), 8)
    rows = jax.tree.map(lambda leaf: leaf[:8].astype(jnp.float32) if leaf.ndim > 1 else leaf[:8], DATA)
    ex.Learner(model, objective).check(rows)
    before = objective.init(model, rows, key=key)
    _, (after, _) = eqx.filter_jit(objective.loss)(model, rows, before, key=key)
    np.testing.assert_array_equal(after.x["c"], before.x["c"])
    assert (after.x["x"] != before.x["x"]).any()


def test_experts_multiply(key):
    model, x = ConditionalMLP(2, 4, hidden=(5,), key=key), jnp.array([0.3, -0.7])
    both = Sum((model.given(1), model.given(3)))
    one, three = (model({"x": x, "c": jnp.asarray(c, "int8")}) for c in (1, 3))
    np.testing.assert_allclose(both(x), one + three, rtol=1e-6)
    assert one != three
    vectors = ConditionalMLP(2, Euclidean(3), hidden=(5,), key=key)
    assert vectors.given([0.1, 0.2, 0.3])(x) != vectors.given([0.1, 0.2, 0.4])(x)
    assert is_confined(model)
    assert is_confined(model.given(2))
    assert is_confined(vectors.given([0.1, 0.2, 0.3])) is None
    assert not is_confined(vectors)


@pytest.mark.slow
def test_contract_of_the_energy(key):
    check_energy(ConditionalMLP(2, 3, hidden=(4,), key=key), key=key)


def test_refusals(key):
    model = ConditionalMLP(2, 3, hidden=(4,), key=key)
    with pytest.raises(ArgumentError, match="PersistentCD does"):
        Conditioned(PersistentCD(MALA(0.1)))
    with pytest.raises(SpaceError, match="an energy over two parts"):
        Conditioned(ScoreMatching()).check(ex.energies.MLP(2, hidden=(4,), key=key))
    with pytest.raises(KernelMismatch, match="PseudoLikelihood"):
        Conditioned(PseudoLikelihood()).check(model)
    Conditioned(ContrastiveDivergence(MALA(0.1))).check(model)
    with pytest.raises(ArgumentError, match="at least two labels"):
        ConditionalMLP(2, 1, key=key)
