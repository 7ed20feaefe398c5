"""Kaufman's closed form against enumeration, published sums, and its own derivatives."""

import csv

import numpy as np
import pytest

from energax import energies, exact
from energax._errors import ArgumentError

CRITICAL = 0.5 * np.log(1 + np.sqrt(2))
GOLDEN = {
    (3, 0.2): (6.66974460, -0.53809911),
    (3, 0.4406868): (9.02021350, -1.61124640),
    (3, 0.6): (11.58769501, -1.90655801),
    (4, 0.2): (11.77147036, -0.45613537),
    (4, 0.4406868): (15.52191562, -1.56562381),
    (4, 0.6): (20.05653288, -1.90806953),
}


def check_golden(torus):
    for (length, beta), (log_z, energy) in GOLDEN.items():
        found = torus((length, length), beta)
        assert found.log_z == pytest.approx(log_z, abs=1e-8)
        assert found.energy_per_site == pytest.approx(energy, abs=1e-8)


def test_golden_numbers():
    check_golden(exact.ising_torus)


def test_a_sign_that_is_lost_is_seen():
    def mutant(shape, beta):
        right = exact.ising_torus(shape, beta)
        return exact.IsingTorus(right.log_z + 1e-6, right.energy_per_site, right.heat_capacity_per_site)

    with pytest.raises(AssertionError):
        check_golden(mutant)


@pytest.mark.parametrize("shape", [(2, 5), (5, 2), (3, 4)])
def test_rectangles_agree_with_enumeration(shape):
    beta = 0.37
    model = energies.Tempered(energies.Ising(shape), beta)
    energy = exact.expectation(model, energies.Ising(shape), dtype=np.float64)
    square = exact.expectation(model, lambda x: energies.Ising(shape)(x) ** 2, dtype=np.float64)
    found, sites = exact.ising_torus(shape, beta), np.prod(shape)
    # The energy keeps its own coupling, float32.
    assert found.log_z == pytest.approx(exact.log_z(model, dtype=np.float64), rel=1e-7)
    assert found.energy_per_site == pytest.approx(float(energy) / sites, rel=1e-6)
    assert found.heat_capacity_per_site == pytest.approx(beta**2 * float(square - energy**2) / sites, rel=1e-5)


@pytest.mark.parametrize(
    ("length", "log_z"),
    [(8, 60.141780789069), (16, 238.64225663513), (64, 3808.6722834198), (128, 15232.769323339)],
)
def test_critical_lattices(length, log_z):
    """At the critical point γ_0 = 0 and one product vanishes."""
    assert exact.ising_torus((length, length), CRITICAL).log_z == pytest.approx(log_z, rel=1e-12)


@pytest.mark.parametrize("beta", [0.05, 0.3, CRITICAL, 0.6, 1.5])
def test_derivatives_are_those_of_log_z(beta):
    step = 1e-4
    low, mid, high = (exact.ising_torus((12, 9), beta + k * step) for k in (-1, 0, 1))
    slope = (high.log_z - low.log_z) / (2 * step)
    assert mid.energy_per_site == pytest.approx(-slope / 108, rel=1e-5)
    change = -(high.energy_per_site - low.energy_per_site) / (2 * step)
    assert mid.heat_capacity_per_site == pytest.approx(beta**2 * change, rel=1e-4, abs=1e-8)


@pytest.mark.needs_data
def test_the_table_of_finite_lattices(data_folder):
    with open(data_folder / "statphys" / "ising2d_torus_exact.csv", encoding="utf-8") as file:
        rows = [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)]
    assert len(rows) > 50
    for row in rows:
        found = exact.ising_torus((int(row["L"]), int(row["L"])), row["beta"])
        assert found.log_z == pytest.approx(row["logZ"], rel=1e-11)
        assert found.energy_per_site == pytest.approx(row["energy_per_spin"], rel=1e-9)
        assert found.heat_capacity_per_site == pytest.approx(row["heat_capacity_per_spin"], rel=1e-7, abs=1e-10)


def test_nonsense_is_refused():
    for shape, beta in (((1, 4), 0.3), ((4, 4), 0.0), ((4, 4), -1.0), ((4, 4), np.inf)):
        with pytest.raises(ArgumentError, match="beta > 0"):
            exact.ising_torus(shape, beta)
