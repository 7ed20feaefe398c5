import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax import energies, exact
from energax._errors import ArgumentError, NotTractable
from energax.densities import IndependentSites, Uniform
from energax.energies import RBM, Ising, Marginal, Tempered
from energax.exact._reduction import cheapest, reductions
from energax.exact._torus import torus_log_z
from energax.spaces import Binary, Categorical, Euclidean, Spins
from energax.testing import assert_counts


def golden_rbm():
    i, j = np.arange(6)[:, None], np.arange(4)[None]
    return RBM.from_parameters(0.5 * np.sin(i + 2 * j), 0.1 * np.cos(i[:, 0]), 0.1 * np.sin(j[0]))


GOLDEN_ISING = [  # side, beta, log Z, energy per spin, E|m|
    (3, 0.2, 6.66974460, -0.53809911, None),
    (3, 0.4406868, 9.02021350, -1.61124640, None),
    (3, 0.6, 11.58769501, -1.90655801, None),
    (4, 0.2, 11.77147036, -0.45613537, 0.34276563),
    (4, 0.4406868, 15.52191562, -1.56562381, 0.84386046),
    (4, 0.6, 20.05653288, -1.90806953, 0.97286745),
]


def ising_means(side):
    return lambda x: (Ising(side)(x) / side**2, jnp.abs(jnp.mean(x.astype(float))))


MEANS = {side: ising_means(side) for side in (3, 4)}


@pytest.mark.parametrize(("side", "beta", "log_z", "energy", "magnetisation"), GOLDEN_ISING)
def test_golden_numbers_of_the_periodic_ising_model(side, beta, log_z, energy, magnetisation):
    with jax.enable_x64(True):
        model = Tempered(Ising(side), beta)
        u, m = exact.expectation(model, MEANS[side])
        value = exact.log_z(model)
    assert value == pytest.approx(log_z, abs=6e-9)
    assert u == pytest.approx(energy, abs=6e-9)
    assert magnetisation is None or m == pytest.approx(magnetisation, abs=6e-9)


def test_golden_number_of_the_ring():
    with jax.enable_x64(True):
        ring = Tempered(Ising((10,)), 0.5)
        transfer_matrix = np.log((2 * np.cosh(0.5)) ** 10 + (2 * np.sinh(0.5)) ** 10)
        assert exact.log_z(ring) == pytest.approx(8.1330609176, abs=6e-11)
        assert exact.log_z(ring) == pytest.approx(transfer_matrix, abs=1e-12)


def test_golden_numbers_of_the_rbm():
    with jax.enable_x64(True):
        rbm = golden_rbm()
        assert exact.log_z(rbm) == pytest.approx(7.1580789869, abs=6e-11)
        v0, v0h0 = exact.expectation(
            rbm, lambda x: (x["visible"][0] * 1.0, x["visible"][0] * x["hidden"][0] * 1.0), joint=True
        )
        observed_v0 = exact.expectation(rbm, lambda v: v[0] * 1.0)
    assert v0 == pytest.approx(0.51478338, abs=6e-9)
    assert v0h0 == pytest.approx(0.27437378, abs=6e-9)
    assert observed_v0 == pytest.approx(v0, abs=1e-13)


def test_every_reduction_has_the_same_log_z():
    with jax.enable_x64(True):
        field = jnp.linspace(-0.4, 0.7, 12).reshape(3, 4)
        for model in (Tempered(Ising((3, 4), field=field), 0.3), golden_rbm()):
            forms = reductions(model)
            assert len(forms) >= 3
            values = [exact.log_z(energies.energy(lambda e, x: e(x), form, space=form.space)) for form in forms]
            assert np.ptp(values) < 1e-12


def test_the_cheaper_side_is_enumerated():
    small = cheapest(RBM(12, 5, key=jax.random.key(0)))
    assert isinstance(small, Marginal)
    assert small.keep == "hidden"
    assert exact.num_states(cheapest(RBM(5, 12, key=jax.random.key(0))).space) == 2**5
    assert exact.num_states(cheapest(Tempered(Ising(6), 0.3)).space) == 2**18


def test_a_product_law_of_any_size_needs_no_enumeration():
    logits = jnp.linspace(-2.0, 2.0, 400)
    tempered = Tempered(IndependentSites(Binary(400), logits), 0.5)
    want = np.sum(np.log1p(np.exp(0.5 * np.asarray(logits, np.float64)))) - 0.5 * np.sum(
        np.log1p(np.exp(np.asarray(logits, np.float64)))
    )
    assert exact.log_z(tempered, dtype=np.float64) == pytest.approx(want, rel=1e-9)


def test_a_closed_form_is_preferred():
    assert exact.log_z(IndependentSites(Binary((28, 28)))) == 0.0


def test_chunks_change_nothing(monkeypatch):
    model = golden_rbm()
    whole = exact.log_z(model, dtype=np.float64), exact.expectation(model, first_unit)
    monkeypatch.setattr("energax.exact._enumeration._CHUNK_ENTRIES", 20)
    parts = exact.log_z(model, dtype=np.float64), exact.expectation(model, first_unit)
    np.testing.assert_allclose(parts, whole, rtol=1e-6)


def first_unit(v):
    return v[0] * 1.0


def test_log_probs_of_the_observed_and_the_joint_law_agree():
    rbm = golden_rbm()
    visible, log_p = exact.log_probs(rbm, dtype=np.float64)
    joint, log_joint = exact.log_probs(rbm, joint=True, dtype=np.float64)
    assert np.exp(log_p).sum() == pytest.approx(1, abs=1e-13)
    assert log_joint.shape == (2**10,)
    code = joint["visible"] @ (2 ** np.arange(5, -1, -1))
    summed = np.bincount(code, np.exp(log_joint), minlength=64)
    np.testing.assert_allclose(summed, np.exp(log_p), rtol=1e-7)
    assert visible.shape == (64, 6)


def test_forbidden_states_have_probability_zero():
    space = Binary(3)
    model = energies.energy(lambda x: jnp.where(jnp.sum(x) == 1, jnp.inf, 0.0), space=space)
    table, log_p = exact.log_probs(model)
    assert exact.log_z(model) == pytest.approx(np.log(5))
    assert np.all(np.isneginf(log_p[table.sum(1) == 1]))


def test_draws_follow_the_law(key):
    """Sees a cell that is off by 7 % of itself at 40,000 draws; forgetting the logits of one unit is far more."""
    rbm = golden_rbm()
    _, log_p = exact.log_probs(rbm)
    draws = np.asarray(exact.draw(rbm, key=key, num=40_000))
    assert draws.shape == (40_000, 6)
    assert draws.dtype == np.int8
    counts = np.bincount(draws @ (2 ** np.arange(5, -1, -1)), minlength=64)
    assert_counts(counts, np.exp(log_p), name="RBM visible states")


def test_kl_of_two_laws():
    space = Binary(5)
    p, q = IndependentSites(space, jnp.full(5, 0.7)), IndependentSites(space, jnp.full(5, -0.2))
    a, b = 1 / (1 + np.exp(-0.7)), 1 / (1 + np.exp(0.2))
    want = 5 * (a * np.log(a / b) + (1 - a) * np.log((1 - a) / (1 - b)))
    assert exact.kl(p, q, dtype=np.float64) == pytest.approx(want, abs=1e-7)
    assert exact.kl(p, p) == 0.0
    with pytest.raises(ArgumentError, match="32 and 16"):
        exact.kl(p, IndependentSites(Binary(4)))


def test_categorical_sites():
    model = energies.energy(
        lambda w, x: jnp.sum(w[x]), jnp.array([0.0, 1.0, -0.5]), space=Categorical(6, num_categories=3)
    )
    want = 6 * np.log(1 + np.exp(-1) + np.exp(0.5))
    assert exact.log_z(model, dtype=np.float64) == pytest.approx(want, abs=1e-12)


@pytest.mark.parametrize(
    "energy",
    [
        Tempered(Ising((4, 4)), 0.3),
        Tempered(Ising((2, 4)), -0.3),
        energies.Sum((Ising((3, 4), coupling=0.2), Uniform(Spins((3, 4))))),
    ],
    ids=["ferromagnet", "antiferromagnet", "with a constant"],
)
def test_a_torus_is_known_in_whatever_form_it_comes(energy):
    values = np.asarray(jax.vmap(energy)(exact.states(energy.space)), np.float64)
    total = np.logaddexp.reduce(-values)
    assert torus_log_z(energy) == pytest.approx(total, abs=1e-5)
    assert exact.log_z(energy) == pytest.approx(total, abs=1e-5)


def test_what_is_no_torus_is_left_to_others():
    for energy in (
        Ising(3, coupling=-0.2), Ising(4, field=0.1), Ising((2, 2, 2)), Ising(4, coupling=0.0),
        Ising(energies.LatticeCouplings((4, 4), boundary="open")), RBM(3, 2, key=jax.random.key(0)),
    ):  # fmt: skip
        assert torus_log_z(energy) is None


def test_what_is_too_large_says_how_large():
    with pytest.raises(NotTractable, match=r"RBM needs about 10\^19\.3 states.*max_states"):
        exact.log_z(RBM(64, 64, key=jax.random.key(0)))
    with pytest.raises(NotTractable, match=r"Ising needs about 10\^15\.1 states"):
        exact.log_z(Ising(10, field=0.1))
    with pytest.raises(NotTractable, match="one or two coordinates"):
        exact.log_z(energies.MLP(3, hidden=(4,), key=jax.random.key(0)))


def test_energies_that_are_not_numbers_are_reported():
    with pytest.raises(ArgumentError, match="nan at 4 of 8 configurations"):
        exact.log_z(energies.energy(lambda x: jnp.where(x[0] > 0, jnp.nan, 0.0), space=Spins(3)))
    with pytest.raises(ArgumentError, match="infinite energy"):
        exact.log_z(energies.energy(lambda x: jnp.asarray(jnp.inf) + 0 * x[0], space=Spins(3)))
    with pytest.raises(ArgumentError, match="float16"):
        exact.log_z(Ising(3), dtype=np.float16)


def test_precision_is_scoped():
    value = exact.log_z(Ising(3), dtype=np.float64)
    assert jnp.zeros(()).dtype == jnp.float32
    assert value == pytest.approx(exact.log_z(Ising(3)), rel=1e-6)
    assert Euclidean(1).struct.dtype == jnp.float32
