"""Instances whose log Z and moments are known exactly, by what `energax free-energy FILE` runs: within error bars.

Error bars come from 16 ladders: (value - truth) / stderr has Student's law with 15 degrees of freedom, of which one in
5,000 lies beyond 4.9, and several hundred numbers are looked at here. Each has the false-alarm rate of 4.9 bars of a
normal law, which lies at 7.8 of these. Repeats of the ladders of dense_n18_s1 at β = 3 (64 of 2,000 sweeps, 24 of
20,000): the mean square of log Z in error bars is 0.90 and 1.05, and there is no bias to be seen (-0.0014 ± 0.0022 and
0.0009 ± 0.0012 nats).

Printed for each (``pytest -s``): what was checked, its largest error and distance in error bars, seconds.
"""

from __future__ import annotations

import json
import time

import numpy as np
import pytest
from scipy.stats import t as student

from energax import runs
from energax.testing import FALSE_ALARM

pytestmark = [pytest.mark.slow, pytest.mark.needs_data]

WITHIN = float(student.isf(FALSE_ALARM / 2, df=15))
NETWORKS = ("Grids_11", "Grids_12", "Grids_13", "DBN_11", "DBN_12", "DBN_14", "DBN_15")
"""Those of at most 100 variables."""
DENSE = (
    "dense_n18_s0", "dense_n18_s1", "ea_gauss_torus4x5_s0", "ea_gauss_torus4x5_s1", "ea_pm1_torus4x4_s0",
    "ea_pm1_torus4x4_s1", "ferro_torus4x4_h0.1", "rfim_torus4x5_s0", "rfim_torus4x5_s1", "sk_gauss_n16_s0",
    "sk_gauss_n16_s1", "sk_gauss_n20_field_s0", "sk_gauss_n20_field_s1", "triangular_af_torus4x4",
)  # fmt: skip
PLANAR = ("ea_gauss_field_free12x12_s1", "ea_gauss_field_free30x10_s2", "ea_pm1_free12x12_s0")
MACHINES = ("rbm_random_30x14_s0", "rbm_random_30x14_s1")


def run(path, **options):
    """A run with nothing against it but, of annealing, its width."""
    begin = time.perf_counter()
    found = runs.free_energy(runs.open_system(str(path)), **options)
    print(f"\n{path.stem} {options or ''}: {found.log_z.method}, {time.perf_counter() - begin:.0f} s")
    assert all("nats wide, more than the wanted" in text for text in found.log_z.warnings)
    assert np.isfinite(found.log_z.interval.upper)
    return found


def check(name, values, stderrs, truths, least=0.0):
    """`least`: to how much the truth is printed, or a float32 sum knows itself."""
    error = np.abs(np.subtract(values, truths)).reshape(-1)
    distance = np.maximum(error - least, 0.0) / np.reshape(stderrs, -1)
    print(f"  {name}: {error.size} values, error at most {error.max():.2g}, {np.nanmax(distance):.1f} error bars")
    assert np.all(distance <= WITHIN)


def check_log_z(found, truth):
    check("log Z", found.log_z.value, found.log_z.stderr, truth, least=1e-6 * abs(truth))


@pytest.mark.parametrize("name", NETWORKS)
def test_networks(name, data_folder):
    path = data_folder / "statphys" / "uai2014" / f"{name}.uai"
    known = json.loads((path.parent / "logZ.json").read_text())["instances"][name]["logZ"]
    words = (path.parent / f"{name}.uai.MAR").read_text().split()[2:]
    found = run(path)
    check_log_z(found, known)
    assert found.sites is not None
    marginals = np.asarray(words, float).reshape(-1, 3)[:, 1:]
    check("marginals", found.sites.probability, found.sites.stderr, marginals, least=5e-6)


@pytest.mark.parametrize("name", DENSE)
def test_small_models(name, data_folder):
    """The run at the coldest temperature knows log Z, energy and heat capacity at all others too."""
    path = data_folder / "statphys" / "exact_small" / f"{name}.npz"
    with np.load(path) as stored:
        known = dict(stored)
    betas = known["beta"]
    for k in (len(betas) // 2, len(betas) - 1):
        found = run(path, beta=float(betas[k]))
        check_log_z(found, known["logZ"][k])
        assert found.sites is not None
        check("magnetisation", *found.sites.mean, known["magnetisation"][k], least=1e-6)
        check_correlations(found, known["correlation"][k])
    check_curves(found.log_z.thermodynamics, betas / betas[-1], betas, known)


def check_correlations(found, known):
    """From the configurations from which the marginals were counted."""
    x = found.log_z.thermodynamics.ladders.draws(found.sites.num_draws // 16).astype(np.float64)
    pairs = np.einsum("cdi,cdj->cij", x, x) / x.shape[1]
    stderr = np.hypot(pairs.std(axis=0, ddof=1) / np.sqrt(len(x)), 2.0 / (len(x) * x.shape[1]))
    check("correlations", pairs.mean(axis=0), stderr, known, least=1e-6)


def check_curves(thermodynamics, shares, betas, known):
    curves = thermodynamics.curve(shares)
    check("log Z by β", *curves["log_z"], known["logZ"], least=1e-6 * np.abs(known["logZ"]).max())
    value, stderr = (part / betas[-1] for part in curves["energy"])
    check("energy by β", value, stderr, known["mean_energy"], least=1e-4)
    check("heat capacity by β", *curves["heat_capacity"], known["heat_capacity"], least=1e-4)


@pytest.mark.parametrize("name", PLANAR)
def test_planar_glasses(name, data_folder):
    path = data_folder / "statphys" / "exact_planar" / f"{name}.npz"
    with np.load(path) as stored:
        known = dict(stored)
    betas = known["beta"]
    found = run(path, beta=float(betas[-1]))
    check_log_z(found, known["logZ"][-1])
    assert found.sites is not None
    check("magnetisation", *found.sites.mean, known["magnetisation"][-1], least=1e-6)
    curve = found.log_z.thermodynamics.curve(betas / betas[-1])["log_z"]
    check("log Z by β", *curve, known["logZ"], least=1e-6 * known["logZ"].max())


@pytest.mark.parametrize("name", MACHINES)
def test_machines(name, data_folder):
    """log Z as it comes; means of both sides from replicas of the hidden one."""
    path = data_folder / "statphys" / "exact_rbm" / f"{name}.npz"
    with np.load(path) as stored:
        known = dict(stored)
    check_log_z(run(path), float(known["logZ"]))
    found = run(path, method="pt-mbar")
    check_log_z(found, float(known["logZ"]))
    assert found.sites is not None
    assert found.hidden_sites is not None
    check("mean v", *found.sites.mean, known["mean_v"], least=1e-6)
    check("mean h", *found.hidden_sites.mean, known["mean_h"], least=1e-6)


def test_a_machine_trained_on_digits(data_folder):
    path = data_folder / "statphys" / "exact_rbm" / "rbm_mnist_784x20.npz"
    with np.load(path) as stored:
        known = float(stored["logZ"])
    check_log_z(run(path), known)
