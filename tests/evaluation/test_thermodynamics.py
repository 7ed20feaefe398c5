"""log Z and its derivatives over β by replica exchange: exact systems, what is refused, and how `log_z` chooses."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import ive
from scipy.stats import binom

from energax._errors import ArgumentError, NotTractable
from energax.densities import Gaussian
from energax.energies import RBM, XY, Ising, Potts, Tempered
from energax.evaluation import log_z, thermodynamics
from energax.evaluation._flat_ladders import FlatLadders
from energax.evaluation._rounds import reach
from energax.evaluation._tempered_ladders import ReplicaLadders, binned
from energax.exact import ising_torus, states
from energax.exact import log_z as exact_log_z
from energax.kernels import ULA, BlockGibbs

FALSE_ALARM = 1e-6
KEY = jax.random.key(0)


def within(estimate, exact):
    """An error bar of sixteen ladders follows Student's law."""
    far = reach(1.0 - FALSE_ALARM) * estimate.stderr
    assert abs(estimate.value - exact) <= far, f"{estimate}, exact {exact}"


def enumerated(energy, beta):
    """log Z, mean energy, heat capacity and entropy by summation."""
    values = np.asarray(jax.vmap(energy)(states(energy.space)), np.float64)
    total = np.logaddexp.reduce(-beta * values)
    p = np.exp(-beta * values - total)
    mean = p @ values
    return total, mean, beta**2 * (p @ (values - mean) ** 2), total + beta * mean


@pytest.mark.slow
@pytest.mark.parametrize(
    ("energy", "beta"), [(Ising((4, 4)), 0.5), (Potts((2, 3), 3), -0.8)], ids=["ising", "antiferromagnet"]
)
def test_functions_of_beta_against_enumeration(energy, beta, key):
    found = thermodynamics(energy, beta, budget=300_000, key=key)
    assert found.warnings == ()
    for at in (beta, 0.55 * beta):
        values = found.log_z(at), found.energy(at), found.heat_capacity(at), found.entropy(at)
        for estimate, exact in zip(values, enumerated(energy, at), strict=True):
            assert estimate.stderr > 0
            within(estimate, exact)
    assert found.log_z(0.0).value == pytest.approx(enumerated(energy, 0.0)[0], abs=1e-9)
    free = found.free_energy()
    assert (free.value, free.stderr) == pytest.approx((-found.log_z().value / beta, found.log_z().stderr / abs(beta)))
    within(found.integrated(), enumerated(energy, beta)[0])
    curve = found.curve([0.0, beta])
    assert curve["energy"][0][1] == found.energy().value
    with pytest.raises(ArgumentError, match="lies beyond it"):
        found.log_z(1.5 * beta)
    with pytest.raises(ArgumentError, match="infinite at β = 0"):
        found.free_energy(0.0)


@pytest.mark.slow
def test_rotors_on_a_ring(key):
    """Σ_n I_n(β)^3 (2π)^3 for three planar rotors."""
    energy = XY((3,))
    found = thermodynamics(energy, 1.5, budget=100_000, num_ladders=16, key=key)
    order = np.arange(-40, 41)
    within(found.log_z(), 3 * math.log(2 * math.pi) + math.log(np.sum(ive(order, 1.5) ** 3)) + 4.5)
    assert found.diagnostics["kernel"] == "HMC"


@pytest.mark.parametrize(
    ("energy", "options", "error", "message"),
    [
        (Gaussian(jnp.zeros(2)), {}, NotTractable, "diverges as β goes to 0"),
        (RBM(4, 3, key=KEY), {}, ArgumentError, "hidden units"),
        (Ising(3), {"beta": 0.0}, ArgumentError, "other than 0"),
        (Ising(3), {"num_ladders": 2}, ArgumentError, "at least 4 ladders"),
        (Ising(3), {"precision": 0.0}, ArgumentError, "positive precision"),
        (XY((3,)), {"kernel": ULA(0.1)}, ArgumentError, "exact kernel"),
    ],
)
def test_what_is_refused(energy, options, error, message):
    with pytest.raises(error, match=message):
        thermodynamics(energy, **options, key=KEY)


@pytest.mark.slow
def test_ladders_that_do_not_get_around_have_no_ends(key):
    """A cold lattice with far too few sweeps."""
    found = log_z(Tempered(Ising((16, 16)), 1.0), kernel=BlockGibbs(), method="pt-mbar", budget=20_000, key=key)
    assert any("travelled" in text or "R-hat" in text for text in found.warnings)
    assert (found.interval.lower_kind, found.interval.upper_kind) == ("none", "none")
    assert math.isnan(found.stderr)
    assert math.isinf(found.interval.upper)


@pytest.mark.slow
def test_how_often_sites_have_their_values(key):
    energy = Ising((2, 3), field=0.3)
    found = thermodynamics(energy, 0.5, kernel=BlockGibbs(), budget=100_000, key=key)
    x = np.asarray(states(energy.space))
    weights = np.exp(-0.5 * np.asarray(jax.vmap(energy)(states(energy.space)), np.float64))
    up = np.einsum("n,nij->ij", weights / weights.sum(), x == 1)
    sites = found.site_probabilities(2048)
    far = reach(1.0 - FALSE_ALARM)
    assert np.all(np.abs(sites.probability[..., 1] - up) <= far * sites.stderr[..., 1])
    assert sites.probability.sum(-1) == pytest.approx(1.0)
    mean, bar = sites.mean
    assert np.all(np.abs(mean - (2 * up - 1)) <= far * bar)
    # The spread of a site that is up with probability p, in 16 ladders of 1000 draws that are nearly independent.
    assert np.all(sites.stderr[..., 1] < 4 * np.sqrt(up * (1 - up) / sites.num_draws) + 1 / sites.num_draws)
    with pytest.raises(NotTractable, match="keep no configurations"):
        thermodynamics(Ising((4, 4)), 0.3, budget=20_000, key=key).site_probabilities()


class Recorded(ReplicaLadders):
    """Ladders with energies from elsewhere: normal with mean −β, which is the law of n(E) = N(0, 1) at each β."""

    def __init__(self, rng, shifts):
        self.betas, self.num_ladders, self.arrivals = np.array([0.0, 0.5, 1.0]), 16, 16
        draws = rng.normal(size=(len(shifts), 16, 40, 3)) - self.betas
        self.pieces, self.lengths = list(draws + np.reshape(shifts, (-1, 1, 1, 1)) * self.betas), [40] * len(shifts)


def test_a_log_z_that_moves_has_no_ends(rng):
    """Draws that are right, 60 times: at most 5 alarms where 0.3 are due; and a fall of the energy by a third of σ."""
    alarms = sum(bool(Recorded(rng, [0.0, 0.0, 0.0]).objections()) for _ in range(60))
    assert alarms <= binom.ppf(1.0 - FALSE_ALARM, 60, 0.005)
    assert any("still moves" in text for text in Recorded(rng, [0.0, 0.0, -0.33]).objections())
    assert Recorded(rng, [0.0]).objections() == []


def test_log_z_of_a_lattice_takes_replica_exchange(key):
    energy = Tempered(Ising((4, 4)), 0.6)
    truth = ising_torus((4, 4), 0.6).log_z
    found = log_z(energy, budget=300_000, key=key)
    assert found.method == "pt-mbar"
    assert found.thermodynamics is not None
    assert found.interval.upper_kind == found.interval.lower_kind == "assumes-equilibrium"
    assert found.interval.level == 0.95
    assert found.exact == pytest.approx(truth, abs=1e-5)
    assert abs(found.value - truth) <= reach(1.0 - FALSE_ALARM) * found.stderr
    assert found.to_json()["method"] == "pt-mbar"
    other = log_z(energy, method="ti", budget=300_000, key=key)
    assert other.method == "ti"
    assert abs(other.value - truth) <= reach(1.0 - FALSE_ALARM) * other.stderr


def test_a_machine_is_tempered_on_its_hidden_side(key):
    machine = RBM(9, 4, scale=2.0, key=key)
    found = log_z(machine, method="pt-mbar", budget=400_000, key=key)
    assert found.diagnostics["side"] == "hidden"
    assert abs(found.value - exact_log_z(machine)) <= reach(1.0 - FALSE_ALARM) * found.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "aiss"}, "Did you mean 'ais'"),
        ({"method": "pt-mbar", "num_levels": 5}, "are not for it"),
        ({"method": "multicanonical", "base": Gaussian(jnp.zeros(2))}, "base law is not for it"),
    ],
)
def test_methods_that_do_not_fit(options, message):
    with pytest.raises(ArgumentError, match=message):
        log_z(Ising(3), **options, key=KEY)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["multicanonical", "wang-landau"])
def test_flat_histograms_against_enumeration(method, key):
    """The deep end of the bins, all of which are used; between the ends; near β = 0, where one bin holds it all."""
    energy = Ising((4, 4))
    found = thermodynamics(energy, 0.6, method=method, budget=1_500_000, key=key)
    assert found.warnings == ()
    for at in (0.6, 0.3, 0.05):
        values = found.log_z(at), found.energy(at), found.heat_capacity(at), found.entropy(at)
        for estimate, exact in zip(values, enumerated(energy, at), strict=True):
            assert estimate.method == method
            assert estimate.stderr > 0
            within(estimate, exact)
    assert found.diagnostics["num_round_trips"] > 64
    # Wang–Landau tells the spread of one of its sixteen repeats.
    assert found.histogram.inflation == (4.0 if method == "wang-landau" else 1.0)
    assert found.log_z(0.0).value == pytest.approx(16 * math.log(2.0))


def test_bins_stand_at_the_mean_of_their_draws():
    """A frozen system has all its draws at the side of a bin, whose middle would move log Z by half of its width."""
    energies = np.concatenate([np.full(900, -7.0095), np.linspace(-6.0, -5.0, 101)]).reshape(7, 11, 13)
    found = binned(energies, 0.02)
    assert found.shape == energies.shape
    np.testing.assert_allclose(found[energies < -7.0], -7.0095, rtol=1e-14)
    assert found.mean() == pytest.approx(energies.mean(), rel=1e-14)
    assert np.abs(found - energies).max() <= 0.02
    assert len(np.unique(found)) <= 53


@pytest.mark.slow
def test_a_flat_histogram_of_a_continuous_spectrum(key):
    """The hidden side of a machine, whose energies are real numbers, upside down."""
    machine = RBM(9, 4, scale=2.0, key=key)
    found = log_z(Tempered(machine, -1.0), method="multicanonical", budget=1_500_000, key=key)
    assert found.diagnostics["side"] == "hidden"
    assert found.method == "multicanonical"
    assert found.interval.upper_kind == found.interval.lower_kind == "assumes-equilibrium"
    assert abs(found.value - exact_log_z(Tempered(machine, -1.0))) <= reach(1.0 - FALSE_ALARM) * found.stderr


def test_walkers_that_do_not_get_around_have_no_ends(key):
    found = thermodynamics(Ising((4, 4)), 0.6, method="wang-landau", budget=200_000, key=key)
    assert any("not been flat" in text for text in found.warnings)
    assert (found.interval().lower_kind, found.interval().upper_kind) == ("none", "none")


def walkers_that_were_seen(energies):
    """Flat histograms of these energies, (repeat, walker, draw), with nothing else known of them."""
    ladders = FlatLadders.__new__(FlatLadders)
    ladders.beta, ladders.method, ladders.lengths = 1.0, "multicanonical", [energies.shape[2]]
    ladders.pieces = [(energies, np.zeros(energies.shape))]
    return ladders


def test_journeys_are_counted():
    """There and back within eight sweeps; and walkers that stay at either end, whose histogram is as flat."""
    down = np.array([5.0, 0.0, -1.0, -9.0, -9.0, -1.0, 0.0, 5.0])
    travelling = walkers_that_were_seen(np.tile(down, (16, 16, 25)))
    assert travelling.objections() == []
    assert travelling.arrivals == travelling.trips == 16 * 16 * 25
    staying = np.where(np.arange(16)[:, None] % 2, 5.0, -9.0) + 0.1 * np.sin(np.arange(200.0))
    stuck = walkers_that_were_seen(np.tile(staying, (16, 1, 1)))
    found = stuck.objections()
    assert stuck.arrivals == stuck.trips == 0
    assert any("0 journeys" in text for text in found)
    assert any("R-hat" in text for text in found)


@pytest.mark.parametrize(
    ("energy", "options", "message"),
    [
        (XY((3,)), {}, "single discrete sites"),
        (Ising(3), {"kernel": BlockGibbs()}, "a heat bath and groups of its own"),
        (Ising(3), {"num_ladders": 8}, "a heat bath and groups of its own"),
        (Ising(3), {"method": "wang-landauer"}, "Did you mean 'wang-landau'"),
    ],
)
def test_flat_histograms_that_are_refused(energy, options, message):
    with pytest.raises(ArgumentError, match=message):
        thermodynamics(energy, **{"method": "multicanonical", **options}, key=KEY)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["pt-mbar", "multicanonical"])
def test_intervals_hold_at_their_level(method):
    """200 short runs of a lattice below its transition. Smallest defect seen: 95 % intervals that hold in 85 %."""
    energy, truth = Ising((4, 4)), ising_torus((4, 4), 0.5).log_z
    options = {"method": method, "budget": 60_000 if method == "pt-mbar" else 1_200_000, "precision": 1e-9}
    runs = [thermodynamics(energy, 0.5, **options, key=jax.random.key(k)) for k in range(200)]
    good = [run for run in runs if not run.warnings]
    assert len(good) >= 180
    for level in (0.5, 0.9, 0.95):
        inside = sum(run.interval(level).contains(truth) for run in good)
        tails = binom.cdf(inside, len(good), level), binom.sf(inside - 1, len(good), level)
        assert 2 * min(tails) >= FALSE_ALARM, f"{inside} of {len(good)} at {level}"


@pytest.mark.slow
def test_thermodynamic_integration_holds_at_its_level():
    """200 runs. Smallest defect seen: 95 % intervals that hold in 85 %; bars of half the size are seen."""
    energy, truth = Ising((4, 4)), ising_torus((4, 4), 0.5).log_z
    good = []
    for k in range(200):
        run = thermodynamics(energy, 0.5, budget=60_000, precision=1e-9, key=jax.random.key(k))
        good += [] if run.warnings else [run.integrated()]
    assert len(good) >= 180
    for level in (0.5, 0.9, 0.95):
        assert 2 * min(held(good, truth, level, 1.0)) >= FALSE_ALARM
    assert 2 * min(held(good, truth, 0.9, 0.5)) < FALSE_ALARM


def held(estimates, truth, level, scale):
    """Both tails of the number of intervals that hold the truth."""
    inside = sum(abs(e.value - truth) <= scale * reach(level, 32) * e.stderr for e in estimates)
    return binom.cdf(inside, len(estimates), level), binom.sf(inside - 1, len(estimates), level)
