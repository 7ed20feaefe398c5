"""Sums site by site against enumeration, Kaufman's torus, closed forms of rings, and exact instances of glasses."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from energax import energies, exact, testing
from energax._errors import NotTractable
from energax.energies import DenseCouplings, GraphCouplings, Ising, LatticeCouplings, Potts, Tempered
from energax.exact._backward import narrow_draws

OPEN = {"boundary": "open"}


def models():
    rng = np.random.default_rng(3)
    lattice = LatticeCouplings((3, 4), rng.normal(size=(2, 3, 4)), boundary=("open", "periodic"))
    yield "strip in a random field", Ising(lattice, field=rng.normal(size=(3, 4)))
    yield "Potts torus in a field", Potts((2, 3), 3, coupling=0.8, field=np.array([0.0, 0.3, -0.5]))
    yield "tree", Ising(GraphCouplings([(0, 1), (0, 2), (2, 3), (2, 4)], [0.5, -1.0, 2.0, 0.1]), field=0.2)
    upper = np.triu(rng.normal(size=(6, 6)), 1)
    yield "all pairs", Tempered(Ising(DenseCouplings(upper + upper.T), field=0.4), 0.7)
    yield "two graphs apart", Ising(GraphCouplings([(0, 1), (2, 3)], 1.0, num_sites=5), field=0.6)


def check(eliminate, model):
    """Against all states, log Z, mean and variance of the energy alike."""
    _, log_p = exact.log_probs(model, dtype=np.float64)
    found = eliminate(model)
    with jax.enable_x64(True):
        values = np.asarray(jax.vmap(model)(exact.states(model.space)))
    law = np.exp(log_p)
    assert found.log_z == pytest.approx(float(np.log(np.sum(np.exp(-values)))), rel=1e-6)
    assert found.energy == pytest.approx(law @ values, rel=1e-5)
    assert found.variance == pytest.approx(law @ (values - law @ values) ** 2, rel=1e-5)


@pytest.mark.parametrize(("name", "model"), list(models()), ids=[name for name, _ in models()])
def test_it_agrees_with_enumeration(name, model):
    del name
    check(exact.eliminate, model)


def test_a_lost_constant_is_seen():
    def mutant(model):
        found = exact.eliminate(model)
        return exact.Elimination(found.log_z, found.energy + 0.1, found.variance, found.largest_table)

    with pytest.raises(AssertionError):
        check(mutant, next(models())[1])


@pytest.mark.parametrize("beta", [0.2, 0.9])
def test_rings_have_closed_forms(beta):
    """Ising with a field by the 2 × 2 matrix of the textbooks, Potts without one."""
    field, length, q = 0.3, 25, 4
    root = np.sqrt(np.exp(2 * beta) * np.sinh(beta * field) ** 2 + np.exp(-2 * beta))
    base = np.exp(beta) * np.cosh(beta * field)
    ring = Tempered(Ising((length,), field=field), beta)
    with jax.enable_x64(True):
        ring = Tempered(Ising((length,), field=np.float64(field)), np.float64(beta))
        potts = Tempered(Potts((length,), q), np.float64(beta))
    assert exact.eliminate(ring).log_z == pytest.approx(np.log((base + root) ** length + (base - root) ** length))
    both = np.log((np.exp(beta) + q - 1) ** length + (q - 1) * (np.exp(beta) - 1) ** length)
    assert exact.eliminate(potts).log_z == pytest.approx(both, rel=1e-12)


def test_a_torus_is_kaufmans():
    with jax.enable_x64(True):
        model = Tempered(Ising((5, 6)), np.float64(0.44))
    found, wanted = exact.eliminate(model), exact.ising_torus((5, 6), 0.44)
    assert found.log_z == pytest.approx(wanted.log_z, rel=1e-13)
    assert found.energy == pytest.approx(0.44 * 30 * wanted.energy_per_site, rel=1e-12)
    assert found.variance == pytest.approx(30 * wanted.heat_capacity_per_site, rel=1e-10)


@pytest.mark.slow
def test_a_strip_of_width_sixteen_and_a_long_one():
    """Strips add up: the free energy of one more row tends to that of the infinite strip."""

    def log_z(length, width):
        with jax.enable_x64(True):
            strip = Ising(LatticeCouplings((length, width), np.float64(0.3), boundary=("open", "periodic")))
        found = exact.eliminate(strip)
        assert found.largest_table <= 2 ** (width + 2)
        return found.log_z

    rows = [log_z(n, 4) for n in (40, 41, 42)]
    assert rows[2] - rows[1] == pytest.approx(rows[1] - rows[0], abs=1e-12)
    assert exact.log_z(Ising(LatticeCouplings((40, 4), 0.3, **OPEN))) < rows[0]
    with jax.enable_x64(True):
        turned = Ising(LatticeCouplings((16, 4), np.float64(0.3), boundary=("periodic", "open")))
        wide = Ising(LatticeCouplings((4, 16), np.float64(0.3), boundary=("open", "periodic")))
    found = [exact.eliminate(model) for model in (turned, wide)]
    assert found[0].log_z == pytest.approx(found[1].log_z, rel=1e-13)
    assert found[0].variance == pytest.approx(found[1].variance, rel=1e-11)


def check_marginals(found_by, model):
    """Against all states: the law of every site, and how often the ends of every bond agree."""
    found = found_by(model)
    _, log_p = exact.log_probs(model, dtype=np.float64)
    table = exact.states(model.space).reshape(len(log_p), -1)
    law = np.exp(log_p)
    for k, value in enumerate(model.space.values):
        np.testing.assert_allclose(
            found.sites.reshape(-1, len(model.space.values))[:, k], law @ (table == value), atol=1e-6
        )
    i, j = found.pairs.T
    np.testing.assert_allclose(found.agreement, law @ (table[:, i] == table[:, j]), atol=1e-6)


@pytest.mark.parametrize(("name", "model"), list(models()), ids=[name for name, _ in models()])
def test_marginals_agree_with_enumeration(name, model):
    del name
    check_marginals(exact.pair_marginals, model)


def test_marginals_of_another_order_are_seen():
    def mutant(model):
        right = exact.pair_marginals(model)
        return exact.PairMarginals(right.sites[::-1], right.pairs, right.agreement)

    with pytest.raises(AssertionError):
        check_marginals(mutant, next(models())[1])


def check_draws(uniforms):
    """Strip of nine spins in a random field. Smallest defect seen: one law of the way back taken at the wrong place."""
    rng = np.random.default_rng(5)
    model = Ising(LatticeCouplings((3, 3), rng.normal(size=(2, 3, 3)), **OPEN), field=0.3 * rng.normal(size=(3, 3)))
    draws = narrow_draws(model, uniforms)
    _, log_p = exact.log_probs(model, dtype=np.float64)
    code = (draws.reshape(len(draws), 9) > 0) @ (2 ** np.arange(8, -1, -1))
    testing.assert_counts(np.bincount(code, minlength=512), np.exp(log_p))


def test_draws_follow_the_law(key):
    check_draws(np.asarray(jax.random.uniform(key, (40_000, 9))))


def test_draws_from_shared_numbers_are_seen(key):
    with pytest.raises(AssertionError):
        check_draws(np.repeat(np.asarray(jax.random.uniform(key, (40_000, 3))), 3, axis=1))


def test_large_lattices_are_drawn_from(key):
    """Mean energy of 10 × 12 spins, far more states than any table holds."""
    model = Ising(LatticeCouplings((10, 12), 0.35, **OPEN))
    draws = exact.draw(model, key=key, num=4000)
    assert draws.shape == (4000, 10, 12)
    testing.assert_mean(np.asarray(jax.vmap(model)(draws)), exact.eliminate(model).energy)


@pytest.mark.needs_data
def test_planar_glasses_of_the_data_folder(data_folder):
    """Free edges, random couplings and fields, up to 300 spins."""
    for name in ("ea_gauss_field_free30x10_s2", "ea_pm1_free12x12_s0"):
        with np.load(data_folder / "statphys" / "exact_planar" / f"{name}.npz") as file:
            data = dict(file)
        field = np.asarray(data["h"], np.float64)
        coupling = np.zeros((2, *field.shape))
        coupling[0, :-1], coupling[1, :, :-1] = data["J_v"], data["J_h"]
        with jax.enable_x64(True):
            model = Ising(LatticeCouplings(field.shape, coupling, **OPEN), field=field)
            for k in (0, len(data["beta"]) - 1):
                tempered = Tempered(model, np.float64(data["beta"][k]))
                assert exact.log_z(tempered) == pytest.approx(float(data["logZ"][k]), rel=1e-10)
            found = exact.pair_marginals(tempered)
        magnetisation = found.sites[..., 1] - found.sites[..., 0]
        np.testing.assert_allclose(magnetisation, data["magnetisation"][-1], atol=1e-9)
        correlations = np.concatenate([data["corr_v"][-1].reshape(-1), data["corr_h"][-1].reshape(-1)])
        np.testing.assert_allclose(2 * found.agreement - 1, correlations, atol=1e-9)


def test_what_is_too_wide_or_not_of_pairs_is_refused():
    with pytest.raises(NotTractable, match="max_table"):
        exact.eliminate(Ising((64, 64)))
    with pytest.raises(NotTractable, match="max_table"):
        exact.eliminate(Ising(DenseCouplings(np.ones((60, 60)) - np.eye(60))))
    with pytest.raises(NotTractable, match="energy of pairs"):
        exact.eliminate(energies.RBM.from_parameters(np.ones((3, 2)), np.zeros(3), np.zeros(2)))
