"""Over a zoo of enumerable machines no end of an interval misses the exact value more often than its level allows.

An upper end that is given counts in full, whatever it assumes; one that is withheld counts as no miss, and the share of
those is printed. Enumeration is switched off: the exact values are the zoo's own.
"""

from __future__ import annotations

import math
import zlib
from collections import Counter

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import zoo

from energax import exact
from energax.densities import IndependentSites
from energax.energies import RBM
from energax.evaluation import LogZ, _reverse, log_z
from energax.kernels import BlockGibbs
from energax.spaces import Binary
from energax.testing import FALSE_ALARM

LEVEL = 0.95
BUDGET = 400_000


def case(family: str, kind: str, index: int, **options) -> tuple[LogZ, float]:
    """The interval of a machine and its exact log Z; the key hangs on the name of the case.

    By block Gibbs alone unless asked otherwise: the hidden side of these machines would be too easy.
    """
    options = {"kernel": BlockGibbs(), "level": LEVEL} | options
    seed = zlib.crc32(f"{family} {kind} {index}".encode())
    rng = np.random.default_rng(seed)
    machine = zoo.ZOO[family](rng)
    rows = zoo.rows_of(kind, machine, rng)
    found = log_z(machine.energy, data=rows, budget=BUDGET, exact=False, key=jax.random.key(seed), **options)
    assert found.exact is None
    return found, zoo.exact_log_z(machine)


def check_ends(cases, rate_at_most) -> None:
    """Smallest defect seen: in ten cases an end that misses 0.8 of the time, in a hundred 0.2."""
    count, missed = Counter(), []
    for name, found, log_z_exact in cases:
        # The energy is a float32 number, and carries its rounding.
        slack = 1e-6 * max(1.0, abs(log_z_exact))
        low, high = found.interval.lower > log_z_exact + slack, found.interval.upper < log_z_exact - slack
        count.update(cases=1, low=low, high=high, none=found.interval.upper_kind == "none")
        missed += [f"{name}: {found.interval}, exact {log_z_exact:.5g}"] * (low or high)
        assert found.interval.lower_kind == "certified"
        assert (found.interval.upper_kind == "none") == math.isinf(found.interval.upper)
        assert found.interval.upper_kind != "none" or any("No upper end" in w for w in found.warnings)
    print(f"{dict(count)}: {count['none'] / count['cases']:.1%} of the upper ends withheld", *missed, sep="\n")
    rate_at_most(int(count["low"]), count["cases"], (1 - LEVEL) / 2)
    rate_at_most(int(count["high"]), count["cases"], (1 - LEVEL) / 2)


@pytest.mark.slow
def test_intervals_of_two_modes(rate_at_most):
    """One family, whose machines share their compilations: without rows, and with rows that know one mode only."""
    names = [("two_modes", kind, index) for index in range(5) for kind in ("none", "one mode")]
    check_ends([(name, *case(*name)) for name in names], rate_at_most)


@pytest.mark.slow
def test_an_interval_from_the_hidden_side(monkeypatch):
    """Where block Gibbs has no upper end, few hidden units are annealed alone; rows come over to that side."""
    monkeypatch.setattr(_reverse, "_judge_places", lambda *args, tell, key: ["refused"] * (tell.unit == 1))
    found, log_z_exact = case("two_modes", "one mode", 0, kernel=None, level=1.0 - FALSE_ALARM)
    assert found.diagnostics["side"] == "hidden"
    assert found.interval.upper_kind == "assumes-equilibrium"
    assert found.interval.contains(log_z_exact), f"{found}, exact {log_z_exact}"
    assert found.interval.level == 1.0 - FALSE_ALARM
    assert found.interval.width < 1.5


@pytest.mark.slow
def test_intervals_of_every_family(rate_at_most):
    """Each twice: once with rows of one of three kinds, once without."""
    names = [(family, kind, i) for i, family in enumerate(zoo.ZOO) for kind in ("none", zoo.KINDS[1 + i % 3])]
    check_ends([(name, *case(*name)) for name in names], rate_at_most)


@pytest.mark.slow
@pytest.mark.parametrize("kernel", [None, BlockGibbs()], ids=["default", "block Gibbs"])
def test_intervals_of_many(kernel, rate_at_most):
    """24 machines a family; those of one see an end that misses 0.6 of the time, all 312 together one of 0.15."""
    cases = []
    for family in sorted(zoo.ZOO):
        names = [(family, kind, index) for index in range(6) for kind in zoo.KINDS]
        of_family = [(name, *case(*name, kernel=kernel)) for name in names]
        check_ends(of_family, rate_at_most)
        cases += of_family
    check_ends(cases, rate_at_most)


@pytest.mark.slow
@pytest.mark.parametrize("family", sorted(zoo.ZOO))
def test_a_bad_base_of_the_users_own(family, rate_at_most):
    """Frozen at a random configuration: modes that it misses are not taken in, so that most ends are withheld."""
    cases = []
    for index in range(20):
        signs = np.random.default_rng(index).choice([-4.0, 4.0], size=zoo.NUM_VISIBLE)
        base = IndependentSites(Binary(zoo.NUM_VISIBLE), jnp.asarray(signs, jnp.float32))
        cases.append(((family, "bad base", index), *case(family, "none", index, base=base)))
    check_ends(cases, rate_at_most)


@pytest.mark.slow
@pytest.mark.needs_data
@pytest.mark.parametrize("name", ["rbm_random_30x14_s0", "rbm_random_30x14_s1", "rbm_mnist_784x20"])
def test_machines_of_the_data_folder(name, data_folder, rate_at_most):
    """With the budget of a user who sets none."""
    with np.load(data_folder / "statphys" / "exact_rbm" / f"{name}.npz") as stored:
        machine = RBM.from_parameters(*(jnp.asarray(stored[k], jnp.float32) for k in ("W", "b", "c")))
        truth = float(stored["logZ"])
    assert exact.log_z(machine) == pytest.approx(truth, abs=1e-3)
    cases = [(f"{name} {seed}", log_z(machine, exact=False, key=jax.random.key(seed)), truth) for seed in range(5)]
    print(*(f"{found}" for _, found, _ in cases), sep="\n")
    check_ends(cases, rate_at_most)
