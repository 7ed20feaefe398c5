"""The named systems of a simulation: what they note of a configuration, where they start, and what is known exactly."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax import energies, runs
from energax._errors import ArgumentError
from energax.runs._chains import Chamber
from energax.runs._clusters import compact_clusters
from energax.runs._pieces import Pieces
from energax.runs._series import ClusterSeries, PottsOrder, rotors
from energax.runs._simulation import _point


def test_the_potts_order_is_one_in_order_and_zero_in_disorder():
    order = PottsOrder(3)
    assert float(order(jnp.full((3, 3), 2))["magnetization"]) == pytest.approx(1.0)
    assert float(order(jnp.arange(9).reshape(3, 3) % 3)["magnetization"]) == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize(
    ("angles", "known"),
    [
        (np.full((4, 4), 0.3), {"magnetization": 1.0, "stiffness": 1.0, "current_squared": 0.0, "vortex_density": 0.0}),
        # One turn along an axis: cos and sin of a quarter turn there, nothing along the other.
        (
            np.broadcast_to(np.arange(4) * math.pi / 2, (4, 4)),
            {"magnetization": 0.0, "stiffness": 0.5, "current_squared": 16**2 / 16 / 2, "vortex_density": 0.0},
        ),
    ],
)
def test_rotors_that_point_where_they_are_told(angles, known):
    found = rotors(jnp.asarray(angles))
    assert {name: float(value) for name, value in found.items()} == pytest.approx(known, abs=1e-5)


def test_a_pair_of_vortices_is_counted():
    """Angles around a centre, on a torus that has to bring them back by turning the other way elsewhere."""
    y, x = np.mgrid[:8, :8] - 3.5
    angles = np.arctan2(y, x)
    assert float(rotors(jnp.asarray(angles))["vortex_density"]) >= 2 / 64
    assert float(rotors(jnp.zeros((8, 8)))["vortex_density"]) == 0.0


def test_clusters_start_compact_whoever_begins_on_top_of_whom():
    cluster = energies.LennardJonesCluster(13)
    x = compact_clusters(cluster, 64, key=jax.random.key(0))
    found = jax.vmap(ClusterSeries(cluster))(x)
    # The deepest minimum lies at −88.65; clusters that lost a particle lie above −60 or far apart.
    assert float(jnp.max(found["energy"])) < -60.0
    assert float(jnp.max(found["radius_of_gyration"])) < 1.5


@pytest.mark.slow
def test_two_valued_potts_is_the_torus_of_ising():
    """Error bars from 8 chains: a shift of the energy by a hundredth is seen."""
    found = runs.simulate(runs.plan_simulation("potts", q=2, sizes=[4], temperatures=[1.2], num_sweeps=1000, seed=1))
    assert {"energy_per_site", "heat_capacity"} == set(found.exact[0])
    for observable, value in found.exact[0].items():
        cell = found.points[0][observable]
        assert abs(cell["value"] - value) < 4.9 * cell["stderr"], observable
    assert found.points[0]["energy_per_site"]["stderr"] < 0.01


@pytest.mark.parametrize(
    ("model", "options", "told"),
    [
        ("ising", {"q": 3}, "--q belongs to potts and must be 2 or more"),
        ("potts", {"q": 1}, "--q belongs to potts and must be 2 or more"),
        ("ising", {"instance": 1}, "--instance belongs to spin-glass and must be 0 or more"),
        ("spin-glass", {"num_chains": 1}, "--num-chains 2 or more"),
        ("ising", {"exchange": True}, "ladder of one temperature"),
    ],
)
def test_options_have_their_models(model, options, told):
    with pytest.raises(ArgumentError, match=told):
        runs.plan_simulation(model, **options)


def test_instances_of_a_glass_differ():
    first, second = (
        runs.plan_simulation("spin-glass", sizes=[3], instance=i).system.build(3)(jnp.ones((3, 3, 3))) for i in (0, 1)
    )
    assert float(first) != float(second)


@pytest.mark.parametrize("name", ["xy", *(pytest.param(name, marks=pytest.mark.slow) for name in ("phi4", "lj13"))])
def test_the_other_systems_run(name):
    sizes = [] if name == "lj13" else [4]
    plan = runs.plan_simulation(name, sizes=sizes, temperatures=[2.0], num_sweeps=40, num_chains=2, seed=2)
    found = runs.simulate(plan)
    cells = [found.points[0][o.name] for o in runs.SIMULATED[name].observables]
    assert all(math.isfinite(cell["value"]) for cell in cells)
    assert (found.pictures is None) == (name == "lj13")


@pytest.mark.slow
def test_hysteresis_of_a_first_order_transition_is_told():
    """q = 20 a little below its transition, where disorder is left over, which cooled chains alone cannot know."""
    critical = 1.0 / math.log1p(math.sqrt(20))
    temperatures = [1.5 * critical, 0.99 * critical]
    plan = runs.plan_simulation("potts", q=20, sizes=[16], temperatures=temperatures, num_sweeps=50, num_chains=8)
    told = []
    for system in (plan.system, dataclasses.replace(plan.system, renew=lambda x: x)):
        chamber = Chamber(plan, system, 16, Pieces(None))
        chamber.run(None)
        told.append([_point(chamber, t, chains)[1] for t, chains in chamber.chains().items()])
    (above, (below,)), cooled = told
    assert "hysteresis" in below
    assert not any("hysteresis" in text for texts in (above, *cooled) for text in texts)
