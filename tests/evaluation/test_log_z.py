"""`log_z` at its boundary: exact ends, certified ends, what is refused, and the pilots that decide its size."""

from __future__ import annotations

import json
import math
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import zoo
from scipy.integrate import quad

from energax._errors import ArgumentError, Diverged, EnergaxError, NotTractable, SpaceError
from energax.densities import Gaussian, IndependentSites
from energax.energies import energy
from energax.evaluation import _annealed, _pilot, log_z
from energax.evaluation._annealed import BATCH, annealed
from energax.evaluation._default_kernel import default_kernel
from energax.evaluation._pilot import Pilot, run_pilot
from energax.kernels import HMC, ULA, BlockGibbs
from energax.paths import Geometric
from energax.spaces import Binary, Euclidean
from energax.testing import references

KEY = jax.random.key(0)
BIASES = np.array([3.0, -2.0, 1.0, -4.0, 0.5, 2.0])
MACHINE = zoo.Machine(np.zeros((6, 4)), BIASES, np.zeros(4))


def plain(x):
    return jnp.sum(x * jnp.asarray([1.0, -2.0, 0.5]))


def test_exact_ends_need_no_sampling():
    found = log_z(MACHINE.energy, method="exact", key=KEY)
    truth = zoo.exact_log_z(MACHINE)
    assert found.interval.lower == found.interval.upper == found.exact == pytest.approx(truth, abs=1e-5)
    assert (found.interval.lower_kind, found.interval.upper_kind, found.interval.level) == ("exact", "exact", 1.0)
    assert (found.value, found.stderr) == (found.exact, 0.0)
    assert json.loads(json.dumps(found.to_json()))["upper_kind"] == "exact"
    assert "exact" in str(found)


def test_exact_ends_of_a_large_machine_are_refused():
    big = zoo.Machine(np.zeros((60, 40)), np.zeros(60), np.zeros(40))
    with pytest.raises(NotTractable, match="Leave the method out"):
        log_z(big.energy, method="exact", key=KEY)


def test_a_machine_with_real_units_is_annealed_by_blocks_unless_its_base_has_correlations():
    machine = references.asymmetric_gaussian_rbm().energy
    assert isinstance(default_kernel(machine), BlockGibbs)
    assert isinstance(default_kernel(machine, Gaussian(jnp.zeros(3), jnp.ones(3))), BlockGibbs)
    assert isinstance(default_kernel(machine, Gaussian(jnp.zeros(3), jnp.eye(3))), HMC)
    assert isinstance(default_kernel(Gaussian(jnp.zeros(3))), HMC)


def test_exact_draws_certify_both_ends():
    """Independent sites can be drawn from: log Z = 0 for any base."""
    law = IndependentSites(Binary(4), jnp.asarray([2.0, -1.0, 0.0, 3.0]))
    told = []
    found = log_z(law, budget=50_000, progress=lambda done, all_: told.append((done, all_)), key=KEY)
    assert (found.interval.lower_kind, found.interval.upper_kind) == ("certified", "certified")
    assert found.interval.contains(0.0)
    assert found.exact == pytest.approx(0.0, abs=1e-5)
    assert found.diagnostics["starts"] == "exact draws"
    assert [t[0] for t in told] == sorted(t[0] for t in told)
    assert told[-1] == (50_000, 50_000)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"level": 1.0}, "level in"),
        ({"level": 0.0}, "level in"),
        ({"width": 0.0}, "positive width"),
        ({"budget": 100}, "budget of at least 20000"),
        ({"num_levels": 1}, "at least 2"),
        ({"num_particles": 1}, "at least 2"),
        ({"data": np.zeros((0, 3), np.int8)}, "no rows"),
        ({"data": np.full((4, 3), 5, np.int8)}, "4 of 4 rows of `data` lie outside"),
        ({"data": np.zeros((4, 2), np.int8)}, "data"),
        ({"base": IndependentSites(Binary(2))}, "must agree"),
    ],
)
def test_what_makes_no_sense_is_refused(options, message):
    model = energy(plain, space=Binary(3))
    with pytest.raises(EnergaxError, match=message):
        log_z(model, exact=False, key=KEY, **options)


def test_an_unbounded_space_without_scale_needs_a_base():
    model = energy(lambda x: jnp.sum(x**2), space=Euclidean(2))
    with pytest.raises(ArgumentError, match="needs a base law"):
        log_z(model, exact=False, key=KEY)


def test_a_kernel_with_a_bias_is_refused():
    model = energy(lambda x: jnp.sum(x**2), space=Euclidean(2, initial_scale=1.0))
    with pytest.raises(ArgumentError, match="exact kernel; ULA"):
        log_z(model, kernel=ULA(0.1), exact=False, key=KEY)


def test_a_base_on_another_space_is_refused():
    with pytest.raises(SpaceError, match="must agree"):
        log_z(MACHINE.energy, base=IndependentSites(Binary(5)), exact=False, key=KEY)


# -- the pilot --------------------------------------------------------------------------------------------------------


def length() -> float:
    """∫ std_t(∂_t E) dt of E_t = −t bᵀx on independent sites: Σ b² p (1 − p)."""

    def speed(t: float) -> float:
        p = zoo.on(t * BIASES)
        return math.sqrt(float((BIASES**2 * p * (1 - p)).sum()))

    return quad(speed, 0.0, 1.0)[0]


def test_pilot_measures_the_path(key):
    """Within a tenth, which is what a plan needs; the spread of one pilot is about 0.03."""
    pilot = run_pilot(Geometric(IndependentSites(Binary(6)), MACHINE.energy), BlockGibbs(), num_particles=1024, key=key)
    assert pilot.length == pytest.approx(length(), rel=0.1)
    assert pilot.log_z == pytest.approx(zoo.exact_log_z(MACHINE), abs=0.3)
    assert (pilot.ts[0], pilot.ts[-1]) == (0.0, 1.0)
    assert np.all(np.diff(pilot.ts) > 0)
    assert pilot.x.shape == (len(pilot.ts), 1024, 6)
    assert pilot.step_sizes is None
    assert pilot.num_transitions == 1024 * 2 * (len(pilot.ts) - 1)
    assert np.array_equal(pilot.kept, np.arange(len(pilot.ts)))


def test_a_pilot_of_many_levels_keeps_the_particles_of_a_few(key, monkeypatch):
    path, bits = Geometric(IndependentSites(Binary(6)), MACHINE.energy), np.arange(2.0)
    whole = run_pilot(path, BlockGibbs(), num_particles=16, stride=0.05, key=key)
    monkeypatch.setattr(_pilot, "_MOST_KEPT", 6)
    few = run_pilot(path, BlockGibbs(), num_particles=16, stride=0.05, key=key)
    assert len(few.ts) == len(whole.ts) > 24
    assert 3 <= len(few.kept) == len(few.x) <= 7
    assert (few.kept[0], few.kept[-1]) == (0, len(few.ts) - 1)
    assert len(set(np.diff(few.kept[:-1]))) == 1
    assert np.isin(few.x, bits).all()
    assert np.array_equal(few.x, whole.x[few.kept])


def test_levels_and_steps_between_those_of_the_pilot():
    pilot = Pilot(np.array([0.0, 0.1, 1.0]), 0.9, np.array([1.0, 0.1, 0.001]), np.arange(0), None, 0.0, 0)
    assert pilot.levels(5) == pytest.approx([0.0, 0.05, 0.1, 0.55, 1.0])
    assert pilot.step_sizes_at(np.array([0.0, 0.05, 0.55, 1.0])) == pytest.approx([1.0, 10**-0.5, 0.01, 0.001])


# -- batches of particles ---------------------------------------------------------------------------------------------


@pytest.fixture
def batches(monkeypatch):
    """`annealed` over runs that only record what they were asked for; weight of a particle = its index."""

    def call(log_weights, **options):
        asked = []

        def anneal(path, kernel, ts, *, key, num_groups, num_particles, x0, resample, step_sizes):
            shape = (num_groups, num_particles)
            asked.append((ts, shape, x0, resample, tuple(np.asarray(jax.random.key_data(key)))))
            part = log_weights[BATCH * (len(asked) - 1) :][:BATCH].reshape(shape)
            told = {"ts": ts, "level_log_z": np.zeros((len(ts), num_groups)), "ess": np.ones(len(ts))}
            return SimpleNamespace(
                log_weights=part, x=np.zeros((*shape, 2)), num_resamplings=np.zeros(num_groups), **told
            )

        monkeypatch.setattr(_annealed, "anneal", anneal)
        pilot = Pilot(np.array([0.0, 0.3, 1.0]), 1.0, None, np.arange(0), None, 0.0, 0)
        size = options.pop("size", 1)
        found = annealed(None, None, pilot, 32, len(log_weights), size, tell=lambda n: None, key=KEY, **options)
        return found, asked

    return call


def test_independent_particles_and_groups(rng, batches):
    log_weights = rng.normal(size=2 * BATCH)
    found, asked = batches(log_weights)
    assert np.array_equal(found.log_means, log_weights)
    assert [a[1] for a in asked] == [(1, BATCH)] * 2
    assert asked[0][4] != asked[1][4]
    assert (asked[0][0][0], asked[0][0][-1]) == (0.0, 1.0)
    assert asked[0][0].dtype == np.float64, "thousands of levels may be closer than single precision"
    found, asked = batches(log_weights, size=32)
    assert found.log_means == pytest.approx(np.log(np.exp(log_weights).reshape(-1, 32).mean(1)))
    assert asked[0][1:4] == ((4, 32), None, "systematic")


def test_the_way_back_starts_where_it_is_told(rng, batches):
    x0 = rng.normal(size=(BATCH, 3))
    found, asked = batches(rng.normal(size=BATCH), x0=x0, groups=np.arange(BATCH) // 4)
    assert (float(asked[0][0][0]), float(asked[0][0][-1])) == (1.0, 0.0)
    assert np.array_equal(asked[0][2].reshape(BATCH, 3), x0)
    assert len(found.log_means) == BATCH // 4


@pytest.mark.parametrize(("bad", "raises"), [(np.nan, True), (np.inf, True), (-np.inf, False)])
def test_weights_that_are_no_numbers(rng, batches, bad, raises):
    log_weights = rng.normal(size=BATCH)
    log_weights[5] = bad
    if raises:
        with pytest.raises(Diverged, match="1 of 128 annealing weights"):
            batches(log_weights)
    else:
        assert batches(log_weights)[0].log_weights[5] == -np.inf
