import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax import exact
from energax._errors import ArgumentError, NotTractable, ShapeError, SpaceError
from energax.densities import Gaussian, GaussianMixture, IndependentSites, Uniform
from energax.energies import (
    RBM,
    Batched,
    Clamped,
    Conditional,
    DoubleWell,
    Interpolated,
    Ising,
    Lifted,
    Marginal,
    Shifted,
    Sum,
    Tempered,
    blocks,
    energy,
    exact_draw,
    is_confined,
    latent,
    log_normalizer,
    marginal,
    observed_space,
    score,
    value_and_score,
)
from energax.spaces import Binary, Categorical, Euclidean, Product, Spins


def rbm(num_hidden, seed=0, num_visible=4):
    scale = np.sin(1.0 + seed + np.arange(num_visible * num_hidden)).reshape(num_visible, num_hidden)
    return RBM.from_parameters(
        jnp.asarray(scale),
        jnp.asarray(0.3 * np.cos(np.arange(num_visible) + seed)),
        jnp.asarray(np.full(num_hidden, 0.2)),
    )


def observed_law(model):
    return np.exp(exact.log_probs(model)[1])


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (lambda: rbm(2), lambda: rbm(3, seed=1)),
        (lambda: IndependentSites(Binary(4), jnp.asarray([0.5, -1.0, 0.0, 2.0])), lambda: rbm(3)),
        (lambda: rbm(2), lambda: Uniform(Binary(4))),
        (lambda: Interpolated(rbm(1), rbm(2), 0.5), lambda: Interpolated(rbm(1), rbm(2), 0.2)),
    ],
    ids=["two machines", "product law to machine", "machine to uniform", "two paths"],
)
def test_an_interpolation_keeps_laws_and_normalisers_at_its_ends(start, end):
    """Each end keeps its own hidden units, the other sees them with a normalised uniform law."""
    with jax.enable_x64(True):
        a, b = start(), end()
        for t, model in ((0.0, a), (1.0, b)):
            between = Interpolated(a, b, t)
            assert exact.log_z(between) == pytest.approx(exact.log_z(model), abs=1e-12)
            np.testing.assert_allclose(observed_law(between), observed_law(model), atol=1e-13)
        between = Interpolated(a, b, 0.4)
        assert observed_space(between) == observed_space(b)
        names = latent(between)
        assert names is not None
        assert set(between.space.parts) == {names.observed, *names.hidden}


def test_blocks_survive_the_path_to_a_machine():
    between = Interpolated(IndependentSites(Binary(4)), rbm(3), 0.3)
    assert [b.parts for b in blocks(between)] == [("hidden",), ("visible",)]
    two = Interpolated(rbm(2), rbm(3), 0.3)
    assert [b.parts for b in blocks(two)] == [("hidden", "hidden_start"), ("visible",)]


def test_the_path_between_is_the_geometric_mean():
    with jax.enable_x64(True):
        a, b = DoubleWell(2, barrier=1.0), Gaussian(jnp.ones(2))
        x = jnp.array([0.3, -0.7])
        value, force = value_and_score(Interpolated(a, b, 0.25), x)
        assert float(value) == pytest.approx(0.75 * float(a(x)) + 0.25 * float(b(x)), abs=1e-14)
        np.testing.assert_allclose(force, 0.75 * score(a, x) + 0.25 * score(b, x), atol=1e-14)


def test_a_shift_changes_log_z_alone(key):
    with jax.enable_x64(True):
        law = Gaussian(jnp.ones(2))
        shifted, x = Shifted(law, 0.7), jnp.array([0.3, -0.7])
        value, force = value_and_score(shifted, x)
        assert float(value) == float(shifted(x)) == pytest.approx(float(law(x)) + 0.7, abs=1e-14)
        np.testing.assert_array_equal(force, score(law, x))
        assert float(log_normalizer(shifted)) == -0.7
        np.testing.assert_array_equal(exact_draw(shifted, key=key), law.draw(key=key))


def test_lifting_adds_a_uniform_law():
    with jax.enable_x64(True):
        ising = Ising((4,), coupling=0.5)
        space = Product({"x": Spins(4), "extra": Categorical(2, num_categories=3)})
        lifted = Lifted(ising, space, "x")
        assert lifted.log_volume == pytest.approx(2 * np.log(3))
        joint = energy(lambda e, x: e(x), lifted, space=space)
        assert exact.log_z(joint) == pytest.approx(exact.log_z(ising), abs=1e-12)


def test_tempering_the_joint_is_not_tempering_the_marginal():
    with jax.enable_x64(True):
        machine = rbm(3)
        joint, free = Tempered(machine, 0.5), Tempered(marginal(machine), 0.5)
        assert blocks(joint) == blocks(machine)
        assert blocks(free) == ()
        assert abs(exact.log_z(joint) - exact.log_z(free)) > 0.1
        assert exact.log_z(Tempered(machine, 0.0)) == pytest.approx(7 * np.log(2), abs=1e-12)


def test_a_product_of_normal_laws_is_normal():
    with jax.enable_x64(True):
        product = Sum((Gaussian(jnp.array([1.0, 0.0]), 0.5), Gaussian(jnp.array([-1.0, 2.0]), 1.0)))
        mean = exact.expectation(product, identity)
        np.testing.assert_allclose(mean, [1 / 3, 2 / 3], atol=1e-9)


def identity(x):
    return x


def test_clamping_is_conditioning():
    with jax.enable_x64(True):
        model = Ising((2, 3), coupling=0.4, field=jnp.asarray(np.linspace(-0.5, 0.5, 6).reshape(2, 3)))
        values = jnp.asarray([[1, -1, 1], [1, 1, -1]], jnp.int8)
        mask = np.array([[True, False, False], [False, True, False]])
        clamped = Clamped(model, mask, values)
        free, log_p = exact.log_probs(clamped)
        table, joint = exact.log_probs(model)
        agree = (table[:, mask] == np.asarray(values)[mask]).all(1)
        np.testing.assert_array_equal(table[agree][:, ~mask], free)
        np.testing.assert_allclose(np.exp(joint[agree]) / np.exp(joint[agree]).sum(), np.exp(log_p), atol=1e-14)


def test_clamping_visible_units_keeps_the_hidden_block():
    with jax.enable_x64(True):
        machine = rbm(3)
        clamped = Clamped(machine, np.array([True, False, True, False]), jnp.asarray([1, 0, 0, 1], jnp.int8))
        assert [b.parts for b in blocks(clamped)] == [("hidden",), ("visible",)]
        table, log_p = exact.log_probs(machine)
        agree = (table[:, 0] == 1) & (table[:, 2] == 0)
        want = np.exp(log_p[agree]) / np.exp(log_p[agree]).sum()
        np.testing.assert_allclose(observed_law(clamped), want, atol=1e-14)


def labelled():
    space = Product({"x": Spins(3), "label": Categorical((), num_categories=2)})
    weights = jnp.asarray(np.array([[0.5, -0.2, 0.1], [1.0, 0.3, -0.7]]))
    return energy(lambda w, x: -jnp.sum(w[x["label"]] * x["x"]), weights, space=space)


def test_a_condition_is_a_traced_value():
    with jax.enable_x64(True):
        family = Conditional(labelled(), "label")
        traces = []

        @jax.jit
        def log_odds(label):
            traces.append(1)
            return family.given(label)(jnp.ones(3, jnp.int8))

        values = [float(log_odds(jnp.asarray(c, jnp.int8))) for c in (0, 1)]
        np.testing.assert_allclose(values, [-0.4, -0.6], atol=1e-14)
        assert len(traces) == 1
        given = family.given(jnp.asarray(1, jnp.int8))
        assert given.space == Spins(3)
        assert exact.log_z(given) == pytest.approx(np.sum(np.log(2 * np.cosh([1.0, 0.3, -0.7]))), abs=1e-13)


def test_batched_energies_carry_the_chain_axis():
    betas = jnp.array([0.2, 0.5, 1.0])
    batch = Batched.over([Tempered(Ising(3), beta) for beta in betas])
    x = jnp.ones((3, 3, 3), jnp.int8)
    values = jax.vmap(lambda e, y: e(y), in_axes=(batch.axes, 0))(batch.energy, x)
    np.testing.assert_allclose(values, -18 * betas, rtol=1e-6)
    assert batch.space == Spins((3, 3))


def test_densities_know_that_they_are_normalised():
    with jax.enable_x64(True):
        assert float(log_normalizer(GaussianMixture(jnp.ones((2, 3))))) == 0.0
        lifted = Interpolated(IndependentSites(Binary(4)), rbm(3), 0.0).start
        assert float(log_normalizer(lifted)) == 0.0
    assert is_confined(Tempered(DoubleWell(2), 0.5)) is True
    assert is_confined(Sum((DoubleWell(2), energy(identity, space=DoubleWell(2).space)))) is None


def test_laws_with_other_starts_can_be_joined():
    base = Gaussian(jnp.zeros(2))
    between = Interpolated(base, GaussianMixture(5 * jnp.ones((2, 2))), 0.5)
    assert between.space.initial_scale == 5.0


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Sum(()), ArgumentError, "at least one"),
        (lambda: Sum((Ising(3), Ising(4))), SpaceError, "need one space"),
        (lambda: Interpolated(rbm(2), rbm(2, num_visible=5), 0.5), SpaceError, "one observed space"),
        (lambda: Clamped(Ising(3), np.ones((3, 3), bool), jnp.ones((3, 3))), ArgumentError, "no site free"),
        (lambda: Clamped(Ising(3), np.zeros((3, 3), int), jnp.ones((3, 3))), ShapeError, "boolean mask"),
        (lambda: Clamped(Ising(3), np.zeros(9, bool), jnp.ones((3, 3))), ShapeError, r"shape \(3, 3\)"),
        (lambda: Clamped(labelled(), np.zeros(3, bool), jnp.ones(3)), SpaceError, "one array"),
        (lambda: Conditional(Ising(3), "label"), SpaceError, "product space"),
        (lambda: Conditional(labelled(), "colour"), SpaceError, "'colour'"),
        (lambda: Batched.over([]), ArgumentError, "at least one"),
        (lambda: Marginal(Sum((rbm(13), Coupled.make(13)))), NotTractable, "no closed form"),
        (lambda: Uniform(Euclidean(2)), SpaceError, "volume is infinite"),
    ],
)
def test_messages(make, error, message):
    with pytest.raises(error, match=message):
        make()


class Coupled:
    """An energy over the parts of a machine whose hidden units are not independent."""

    @staticmethod
    def make(num_hidden):
        return energy(lambda w, x: w * x["hidden"][0] * x["hidden"][1], jnp.asarray(1.0), space=rbm(num_hidden).space)
