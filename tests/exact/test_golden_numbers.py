"""Every number of the reference tables that an oracle or an estimator gives, in one table."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax import energies, estimators, exact
from energax.energies import RBM, DoubleWell, Ising, ManyWell, Tempered

CRITICAL = 0.5 * math.log(1.0 + math.sqrt(2.0))


def rbm():
    i, j = np.arange(6)[:, None], np.arange(4)[None]
    return RBM.from_parameters(0.5 * np.sin(i + 2 * j), 0.1 * np.cos(i[:, 0]), 0.1 * np.sin(j[0]))


def rbm_means():
    def first(x):
        return x["visible"][0] * 1.0, x["visible"][0] * x["hidden"][0] * 1.0

    return exact.expectation(rbm(), first, joint=True)


def magnetisation(side, beta):
    return exact.expectation(Tempered(Ising(side), beta), lambda x: jnp.abs(jnp.mean(x * 1.0)))


def well(barrier, tilt=0.0):
    return DoubleWell(1, barrier=barrier, tilt=tilt)


def second_moment(barrier):
    return exact.expectation(well(barrier), lambda x: x[0] ** 2)


def left_mass():
    """Of the tilted well, from the two halves of the line."""
    return math.exp(exact.quadrature_log_z(well(8.0, 0.5), bounds=[(-3.0, 0.0)]).value - exact.log_z(well(8.0, 0.5)))


def integrated():
    """From ½ x² to (x² − 1)² along the straight path, the means by quadrature."""
    x = np.linspace(-7.0, 7.0, 4001)
    start, end, ts = 0.5 * x**2, (x**2 - 1.0) ** 2, np.linspace(0.0, 1.0, 201) ** 2

    def mean(t):
        w = np.exp(-(1.0 - t) * start - t * end)
        return np.sum(w * (end - start)) / np.sum(w)

    means = [mean(t) for t in ts]
    return estimators.thermodynamic_integration(ts, means, np.zeros(ts.size), rule="spline").value


def perturbed(direction):
    """Harmonic wells 1 → 3: the exponential mean over 10⁵ quantiles of the law that is drawn from."""
    from scipy.stats import norm

    x = norm.ppf((np.arange(100_000) + 0.5) / 100_000) * (1.0 if direction == "forward" else 3.0**-0.5)
    return estimators.fep(x**2, direction=direction).value


def dragged(speed):
    """Mean work of the trap of stiffness 2 that is dragged for a time 2, and ΔF by two cumulants: zero."""
    mean = speed**2 * (2.0 - (1.0 - math.exp(-4.0)) / 2.0)
    work = np.asarray([mean - math.sqrt(2 * mean), mean + math.sqrt(2 * mean)] * 5000)
    return mean, estimators.jarzynski(work).diagnostics["cumulant_2"]


def torus(side, beta):
    return exact.ising_torus((side, side), beta)


NUMBERS = [
    # Ising, periodic: log Z, energy per spin, mean of |m|.
    *(
        (f"log Z {n}×{n}, {b}", lambda n=n, b=b: torus(n, b).log_z, v, 1e-8)
        for n, b, v in (
            (3, 0.2, 6.66974460),
            (3, 0.4406868, 9.02021350),
            (3, 0.6, 11.58769501),
            (4, 0.2, 11.77147036),
            (4, 0.4406868, 15.52191562),
            (4, 0.6, 20.05653288),
        )
    ),
    *(
        (f"log Z by elimination {n}×{n}, {b}", lambda n=n, b=b: exact.eliminate(Tempered(Ising(n), b)).log_z, v, 1e-8)
        for n, b, v in ((3, 0.6, 11.58769501), (4, 0.4406868, 15.52191562))
    ),
    *(
        (
            f"log Z by density of states {n}×{n}, {b}",
            lambda n=n, b=b: exact.ising_density_of_states((n, n)).log_z(b),
            v,
            1e-8,
        )
        for n, b, v in ((3, 0.6, 11.58769501), (4, 0.4406868, 15.52191562))
    ),
    *(
        (f"u {n}×{n}, {b}", lambda n=n, b=b: torus(n, b).energy_per_site, v, 1e-8)
        for n, b, v in (
            (3, 0.2, -0.53809911),
            (3, 0.4406868, -1.61124640),
            (3, 0.6, -1.90655801),
            (4, 0.2, -0.45613537),
            (4, 0.4406868, -1.56562381),
            (4, 0.6, -1.90806953),
        )
    ),
    *(
        (f"|m| 4×4, {b}", lambda b=b: magnetisation(4, b), v, 1e-8)
        for b, v in ((0.2, 0.34276563), (0.4406868, 0.84386046), (0.6, 0.97286745))
    ),
    ("ring of ten", lambda: exact.eliminate(Tempered(Ising((10,)), 0.5)).log_z, 8.1330609176, 1e-10),
    *(
        (f"critical log Z {n}×{n}", lambda n=n: torus(n, CRITICAL).log_z, v, 1e-11 * v)
        for n, v in (
            (8, 60.141780789069),
            (10, 93.610300510222),
            (16, 238.64225663513),
            (32, 952.64807954854),
            (64, 3808.6722834198),
            (128, 15232.769323339),
        )
    ),
    ("free energy 10×10, σ = 0.1", lambda: -torus(10, 0.2).log_z / (100 * 0.2), -3.6726549, 1e-7),
    ("free energy 10×10, σ = 0.22305", lambda: -torus(10, 0.4461).log_z / (100 * 0.4461), -2.1165379, 1e-7),
    # Ising, infinite.
    *(
        (f"log Z per site, {b:.4f}", lambda b=b: exact.ising_plane(b).log_z_per_site, v, 1e-10)
        for b, v in (
            (0.2, 0.7345308123),
            (0.3, 0.7905590710),
            (0.4, 0.8793638208),
            (0.42, 0.9026392191),
            (CRITICAL, 0.9296953983),
            (0.5, 1.0257928127),
        )
    ),
    *(
        (f"u infinite, {b}", lambda b=b: exact.ising_plane(b).energy_per_site, v, 1e-8)
        for b, v in (
            (0.2, -0.42822883),
            (0.3, -0.70449907),
            (0.4, -1.10607920),
            (0.42, -1.22605484),
            (0.5, -1.74556458),
        )
    ),
    ("u critical", lambda: exact.ising_plane(CRITICAL).energy_per_site, -math.sqrt(2.0), 1e-7),
    ("m infinite, 0.5", lambda: exact.ising_plane(0.5).magnetisation, 0.91131938, 1e-8),
    # Curie–Weiss.
    *(
        (f"Curie–Weiss {b}", lambda b=b: exact.curie_weiss_magnetisation(b), v, 1e-10)
        for b, v in ((1.1, 0.5029405749), (1.5, 0.8585596366), (2.0, 0.9575040241))
    ),
    # RBM.
    ("log Z of the RBM", lambda: exact.log_z(rbm()), 7.1580789869, 1e-10),
    ("E v₀", lambda: rbm_means()[0], 0.51478338, 1e-8),
    ("E v₀h₀", lambda: rbm_means()[1], 0.27437378, 1e-8),
    # Wells.
    *(
        (f"log Z of the well {a}, {t}", lambda a=a, t=t: exact.log_z(well(a, t)), v, 1e-9)
        for a, t, v in ((1.0, 0.0, 0.6799262429), (8.0, 0.0, -0.4395855455), (8.0, 0.5, -0.3234271872))
    ),
    *(
        (f"E x² of the well {a}", lambda a=a: second_moment(a), v, 1e-8)
        for a, v in ((1.0, 0.8327454871), (8.0, 0.9644563639))
    ),
    ("left mass of the tilted well", left_mass, 0.7256214534, 1e-9),
    ("many wells", lambda: exact.log_z(ManyWell(32)), 164.695675, 1e-6),
    # Free energies and work.
    ("ΔF from the harmonic to the double well", integrated, 0.2390122903, 1e-8),
    ("perturbation forward", lambda: perturbed("forward"), 0.5 * math.log(3.0), 1e-6),
    ("perturbation in reverse", lambda: perturbed("reverse"), 0.5 * math.log(3.0), 2e-2),
    ("⟨W⟩, v = 1.5", lambda: dragged(1.5)[0], 3.3956, 1e-4),
    ("⟨W⟩, v = 0.75", lambda: dragged(0.75)[0], 0.8489013, 1e-7),
    ("ΔF of the dragged trap", lambda: dragged(0.75)[1], 0.0, 2e-4),
]


def check(numbers):
    wrong = []
    with jax.enable_x64(True):
        for name, number, wanted, tolerance in numbers:
            found = float(number())
            if not abs(found - wanted) <= tolerance:
                wrong.append(f"{name}: {found:.12g}, not {wanted:.12g}")
    assert not wrong, "\n".join(wrong)


def test_golden_numbers():
    check(NUMBERS)


def test_a_wrong_number_is_named():
    with pytest.raises(AssertionError, match="ring of ten"):
        check(
            [(n, f, w + 1e-8 * (n == "ring of ten"), t) for n, f, w, t in NUMBERS if n in ("ring of ten", "u critical")]
        )


@pytest.mark.needs_data
def test_the_data_of_small_glasses(data_folder):
    """Moments of enumerated Ising models: log Z by `exact.log_z`."""
    with np.load(data_folder / "statphys" / "exact_small" / "rfim_torus4x5_s0.npz") as file:
        data = dict(file)
    with jax.enable_x64(True):
        model = Ising(energies.DenseCouplings(np.asarray(data["J"], np.float64)), field=data["h"].astype(np.float64))
        found = exact.eliminate(Tempered(model, np.float64(data["beta"][4])))
    assert found.log_z == pytest.approx(float(data["logZ"][4]), rel=1e-12)
