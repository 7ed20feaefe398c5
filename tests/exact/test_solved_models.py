"""Onsager's plane, Curie–Weiss, double wells, mean-field and TAP against limits, sums and enumeration."""

from __future__ import annotations

import csv
import math

import jax
import numpy as np
import pytest
from scipy.special import ive

from energax import energies, exact
from energax._errors import ArgumentError, NotTractable
from energax.energies import DenseCouplings, DoubleWell, Ising, Tempered, log_normalizer
from energax.exact._plane import CRITICAL_BETA


@pytest.mark.parametrize("beta", [0.05, 0.3, 0.6, 1.5])
def test_the_plane_is_the_limit_of_the_torus(beta):
    """Away from the critical point the torus of 200 × 200 is the plane to rounding, but for the log 2 of two phases."""
    plane, torus = exact.ising_plane(beta), exact.ising_torus((200, 200), beta)
    phases = math.log(2.0) if beta > CRITICAL_BETA else 0.0
    assert plane.log_z_per_site == pytest.approx((torus.log_z - phases) / 200**2, rel=1e-12)
    assert plane.energy_per_site == pytest.approx(torus.energy_per_site, rel=1e-9)
    assert plane.heat_capacity_per_site == pytest.approx(torus.heat_capacity_per_site, rel=1e-6)


def test_the_critical_plane():
    plane = exact.ising_plane(CRITICAL_BETA)
    catalan = 0.915965594177219
    assert plane.log_z_per_site == pytest.approx(0.5 * math.log(2.0) + 2.0 * catalan / math.pi, rel=1e-13)
    assert plane.energy_per_site == pytest.approx(-math.sqrt(2.0), rel=1e-7)
    assert plane.magnetisation < 0.02
    assert exact.ising_plane(5.0).magnetisation == pytest.approx(1.0, abs=1e-15)
    assert exact.ising_plane(50.0).energy_per_site == pytest.approx(-2.0)
    with pytest.raises(ArgumentError, match="beta > 0"):
        exact.ising_plane(0.0)


@pytest.mark.needs_data
def test_the_table_of_the_plane(data_folder):
    with open(data_folder / "statphys" / "ising2d_onsager.csv", encoding="utf-8") as file:
        rows = [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)]
    assert len(rows) > 15
    for row in rows:
        found = exact.ising_plane(row["beta"])
        assert found.log_z_per_site == pytest.approx(row["log_z_per_spin"], rel=1e-12)
        assert found.energy_per_site == pytest.approx(row["energy_per_spin"], rel=1e-7)
        assert found.magnetisation == pytest.approx(row["spontaneous_magnetisation"], abs=1e-9)
        # At the critical point the heat capacity is infinite, and what rounding makes of it says nothing.
        if abs(row["beta"] - CRITICAL_BETA) > 1e-6:
            assert found.heat_capacity_per_site == pytest.approx(row["heat_capacity_per_spin"], rel=1e-9)


def check_curie_weiss(solved):
    beta, coupling, field = 0.8, 1.5, 0.3
    with jax.enable_x64(True):
        model = energies.curie_weiss(8, coupling=np.float64(coupling), field=np.float64(field))
        values = np.asarray(jax.vmap(model)(exact.states(model.space)))
    m = exact.states(model.space).mean(1)
    found = solved(8, beta, coupling=coupling, field=field)
    law = np.exp(-beta * values - found.log_z)
    assert law.sum() == pytest.approx(1.0, rel=1e-12)
    assert found.energy_per_site == pytest.approx(law @ values / 8, rel=1e-12)
    variance = law @ (values - law @ values) ** 2
    assert found.heat_capacity_per_site == pytest.approx(beta**2 * variance / 8, rel=1e-11)
    assert found.magnetisation == pytest.approx(law @ m, rel=1e-12)
    assert found.abs_magnetisation == pytest.approx(law @ np.abs(m), rel=1e-12)
    assert found.susceptibility == pytest.approx(8 * beta * law @ (m - law @ m) ** 2, rel=1e-11)


def test_curie_weiss_is_enumerated():
    check_curie_weiss(exact.curie_weiss)


def test_a_lost_self_coupling_is_seen():
    def mutant(num, beta, *, coupling, field):
        # −J M²/2N without the + J/2 that takes the terms i = i out.
        right = exact.curie_weiss(num, beta, coupling=coupling, field=field)
        return exact.CurieWeiss(**{**right.__dict__, "log_z": right.log_z + 0.5 * beta * coupling})

    with pytest.raises(AssertionError):
        check_curie_weiss(mutant)


def test_curie_weiss_tends_to_its_limit():
    for beta, field in ((0.7, 0.2), (1.5, 0.1)):
        wanted = exact.curie_weiss_magnetisation(beta, field=field)
        sizes = [exact.curie_weiss(n, beta, field=field).magnetisation - wanted for n in (1000, 4000)]
        assert abs(sizes[1]) < 0.3 * abs(sizes[0]) < 0.01
    assert exact.curie_weiss_magnetisation(1.0) == 0.0
    assert exact.curie_weiss_magnetisation(1.0 + 1e-6) == pytest.approx(math.sqrt(3e-6), rel=1e-3)
    with pytest.raises(ArgumentError, match=">= 0"):
        exact.curie_weiss_magnetisation(1.0, field=-0.1)
    with pytest.raises(ArgumentError, match="needs a site"):
        exact.curie_weiss(0, 1.0)


@pytest.mark.parametrize(
    ("barrier", "tilt"), [(0.01, 0.0), (1.0, 0.0), (8.0, 0.5), (300.0, -2.0), (1e4, 3.0), (0.1, 9.0)]
)
def test_double_wells(barrier, tilt):
    with jax.enable_x64(True):
        well = DoubleWell(3, barrier=np.float64(barrier), tilt=np.float64(tilt))
        found = jax.value_and_grad(log_normalizer)(well)
        one = DoubleWell(1, barrier=np.float64(barrier), tilt=np.float64(tilt))
        wanted = exact.quadrature_log_z(one).value
    assert float(found[0]) == pytest.approx(3 * wanted, rel=1e-9, abs=1e-9)
    if tilt == 0.0:
        bessel = math.log(0.5 * math.pi * (ive(0.25, barrier / 2) + ive(-0.25, barrier / 2)))
        assert float(found[0]) == pytest.approx(3 * bessel, rel=1e-11, abs=1e-11)
        assert float(found[1].tilt) == pytest.approx(0.0, abs=1e-10)


def glass(size, beta):
    rng = np.random.default_rng(11)
    upper = np.triu(rng.normal(size=(size, size)), 1) / math.sqrt(size)
    with jax.enable_x64(True):
        couplings = DenseCouplings(upper + upper.T)
        return Tempered(Ising(couplings, field=0.3 * rng.normal(size=size)), np.float64(beta))


def check_mean_field(theory):
    """On a glass of 14 spins: a bound that TAP comes nearer to than the naive theory, by more than ten times."""
    errors = {}
    for beta in (0.15, 0.5):
        wanted = exact.log_z(glass(14, beta), dtype=np.float64)
        naive, tap = (theory(glass(14, beta), theory=name).log_z - wanted for name in ("naive", "tap"))
        assert naive < 0.0
        assert abs(tap) < 0.1 * abs(naive)
        errors[beta] = tap
    # The expansion ends at J², so that the error grows at least as J³.
    assert abs(errors[0.5]) > 10.0 * abs(errors[0.15])


def test_mean_field_theories():
    check_mean_field(exact.mean_field)


def test_a_reaction_of_the_wrong_sign_is_seen():
    def mutant(model, *, theory):
        right, naive = exact.mean_field(model, theory=theory), exact.mean_field(model)
        return exact.MeanField(2 * naive.log_z - right.log_z, right.magnetisations, 1)

    with pytest.raises(AssertionError):
        check_mean_field(mutant)


def test_the_naive_theory_solves_its_equations_and_curie_weiss():
    found = exact.mean_field(Tempered(energies.curie_weiss(400, field=0.05), 1.3))
    wanted = exact.curie_weiss_magnetisation(1.3, field=0.05)
    np.testing.assert_allclose(found.magnetisations, wanted, atol=0.003)
    assert found.log_z < exact.curie_weiss(400, 1.3, field=0.05).log_z
    lattice = exact.mean_field(Tempered(Ising((4, 4)), 0.4))
    assert lattice.magnetisations.shape == (4, 4)
    np.testing.assert_allclose(lattice.magnetisations, np.tanh(1.6 * lattice.magnetisations), atol=1e-6)


def test_what_has_no_pairs_is_refused():
    def triple(x):
        return x[0] * x[1] * x[2] * 1.0

    with pytest.raises(NotTractable, match="more than two sites"):
        exact.mean_field(energies.energy(triple, space=energies.Ising((4,)).space))
    with pytest.raises(NotTractable, match="two-valued"):
        exact.mean_field(energies.Potts((2, 2), 3))
    with pytest.raises(ArgumentError, match="`theory`"):
        exact.mean_field(Ising((3, 3)), theory="bethe")
