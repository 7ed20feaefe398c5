"""log Z of continuous energies by replica exchange along the path from a base law."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax._errors import ArgumentError
from energax.densities import Gaussian, gmm40
from energax.energies import DoubleWell, GaussianRBM, ManyWell, Tempered
from energax.evaluation import log_z
from energax.evaluation._rounds import reach
from energax.kernels import HMC, ULA

FALSE_ALARM = 1e-6
WELL = DoubleWell(1, barrier=8.0, tilt=0.5)
TRUTH = -0.3234271872
"""By quadrature, double precision."""


def within(found, truth):
    assert found.warnings == (), found.warnings
    assert abs(found.value - truth) <= reach(1.0 - FALSE_ALARM) * found.stderr, f"{found}, exact {truth}"


@pytest.mark.slow
def test_a_tilted_double_well(key):
    """A base law of the caller's own on one well: log Z would be off by log 0.7256 = -0.32 without the other."""
    found = log_z(WELL, budget=150_000, width=0.05, key=key)
    assert found.method == "pt-mbar"
    assert found.interval.upper_kind == found.interval.lower_kind == "assumes-equilibrium"
    within(found, TRUTH)
    curve = found.curve()
    assert curve["value"][0] == pytest.approx(0.0, abs=1e-9)
    assert curve["value"][-1] == pytest.approx(found.value, abs=1e-9)
    base = Gaussian(jnp.full(1, -1.0), 1.0)
    again = log_z(WELL, base=base, method="ti", kernel=HMC(0.1, num_leapfrog=5), budget=150_000, key=key)
    assert again.method == "ti"
    within(again, TRUTH)


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        (WELL, {"method": "pt-mbar", "kernel": ULA(0.1)}, "exact kernel"),
        (WELL, {"method": "pt-mbar", "num_levels": 7}, "are not for it"),
        (GaussianRBM(3, 40, key=jax.random.key(0)), {"method": "pt-mbar"}, "Hidden units of GaussianRBM"),
    ],
)
def test_what_is_refused(model, options, message):
    with pytest.raises(ArgumentError, match=message):
        log_z(model, exact=False, **options, key=jax.random.key(0))


@pytest.mark.slow
def test_error_bars_are_calibrated(key):
    """100 runs: the mean z^2 of 16 ladders is 15/13 (Student); error bars too small by a quarter are seen."""
    z = []
    for index in range(100):
        run_key = jax.random.fold_in(key, index)
        found = log_z(WELL, budget=60_000, width=1e-3, exact=False, method="pt-mbar", key=run_key)
        if not found.warnings:
            z.append((found.value - TRUTH) / found.stderr)
    assert len(z) > 80
    mean, wanted = float(np.mean(np.square(z))), 15 / 13
    # Var z^2 of Student's law with n degrees of freedom.
    spread = math.sqrt((3 * 15**2 / (13 * 11) - wanted**2) / len(z))
    assert abs(mean - wanted) <= 4.9 * spread


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "truth", "wanted"),
    [(Tempered(gmm40(), 1.0), 0.0, 0.0027), (ManyWell(32), 164.695675, 0.0316)],
    ids=["gmm40", "many-well"],
)
def test_forty_modes_and_two_to_the_sixteen(model, truth, wanted, key):
    """The mean error of normalised importance sampling from a trained flow (fab-jax), over eight runs of ours."""
    errors = []
    for index in range(8):
        found = log_z(model, exact=False, key=jax.random.fold_in(key, index))
        within(found, truth)
        errors.append(abs(found.value - truth))
    # Eight absolute errors of a normal law scatter by 0.27 around their mean.
    assert np.mean(errors) <= wanted * (1 + 4.9 * 0.27)
