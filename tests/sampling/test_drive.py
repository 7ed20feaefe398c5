"""Driven walkers: work that obeys Jarzynski and Crooks at any step size, and the golden numbers of two families."""

import math
import types
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax import densities, energies, kernels, paths, sampling, spaces, testing
from energax._errors import ArgumentError, Diverged, KernelMismatch, SpaceError
from energax.estimators import crooks
from energax.kernels import _langevin
from energax.sampling import _drive
from energax.testing import references

LINE = spaces.Euclidean(1)
TWENTY = np.linspace(0.0, 1.0, 21)
NUM = 60_000


def _well(parameters, x):
    return 0.5 * parameters[0] * jnp.sum((x - parameters[1]) ** 2)


def _family(t):
    return energies.energy(_well, jnp.stack([1.0 + 3.0 * t, 2.0 * t]), space=LINE)


def family():
    """Stiffness from 1 to 4, centre from 0 to 2: Z(1)/Z(0) = 1/2, the last law is N(2, 1/4)."""
    return paths.Moving(densities.Gaussian(jnp.zeros(1)), _family)


def _trap(distance, t):
    return energies.energy(_well, jnp.stack([jnp.asarray(2.0), distance * t]), space=LINE)


def dragged(distance):
    """A trap of stiffness 2 that is dragged over a distance: ΔF = 0."""
    return paths.Moving(densities.Gaussian(jnp.zeros(1), 0.5), _trap, jnp.asarray(distance))


SCHEMES = {
    "A": (kernels.ULA, "during", 1, (0.02, 0.1, 0.3)),
    "B": (kernels.ULA, "before", 3, (0.05, 0.2)),
    "C": (kernels.MALA, "before", 3, (0.05, 0.2)),
}


def check_family(drive, scheme, step_sizes, key, num=NUM):
    """Ratio of normalisers, weighted mean and variance. Smallest defect seen: 5 % of the ratio, 4 % of a moment."""
    kernel, switch, num_steps, _ = SCHEMES[scheme]
    for k, h in enumerate(step_sizes):
        found = drive(
            family(), kernel(h), TWENTY, key=jax.random.fold_in(key, k), num_walkers=num, num_steps=num_steps,
            switch=switch,
        )  # fmt: skip
        weights, x = np.exp(-found.work), found.x[:, 0]
        testing.assert_mean(weights, 0.5, name=f"Z ratio at h = {h}")
        moments = np.stack([x, (x - 2.0) ** 2], 1)
        testing.assert_mean(moments, [2.0, 0.25], weights=weights, name=f"moments at h = {h}")


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_golden_family_at_every_step_size(scheme, key):
    check_family(sampling.drive, scheme, SCHEMES[scheme][3], key)


def test_the_protocol_alone_is_biased_and_exact_kernels_have_no_shadow(key):
    found = sampling.drive(family(), kernels.ULA(0.3), TWENTY, key=key, num_walkers=NUM)
    with pytest.raises(AssertionError, match="smallest visible"):
        testing.assert_mean(np.exp(-(found.work - found.shadow)), 0.5)
    exact = sampling.drive(family(), kernels.MALA(0.2), TWENTY, key=key, num_walkers=NUM, num_steps=3)
    assert not exact.shadow.any()
    assert found.accept_prob.min() == 1.0
    assert exact.accept_prob.min() < 0.99


def test_both_directions_obey_crooks(key):
    """At a step of 0.3, where the stiffest well is left with h k = 1.2. Smallest slope error seen: 4 %."""
    there, back = jax.random.split(key)
    kernel, end = kernels.ULA(0.3), densities.Gaussian(jnp.full(1, 2.0), 0.25)
    forward = sampling.drive(family(), kernel, TWENTY, key=there, num_walkers=NUM)
    reverse = sampling.drive(family(), kernel, TWENTY[::-1], key=back, num_walkers=NUM, x0=end)
    found = crooks(forward.work, reverse.work)
    assert abs(found.value - math.log(2.0)) <= 4.9 * found.stderr
    assert abs(found.diagnostics["slope"] - 1.0) <= 4.9 * found.diagnostics["slope_stderr"]
    assert found.diagnostics["slope_stderr"] < 0.01
    assert min(found.diagnostics["dissipated"], found.diagnostics["dissipated_reverse"]) > 0.1
    assert abs(forward.free_energy.value - math.log(2.0)) <= 4.9 * forward.free_energy.stderr
    assert "60000 walkers from t = 0 to 1" in repr(forward)


def test_a_langevin_step_reweights_one_law_into_another():
    """∫∫ exp(−E(x)) q(y | x) exp(−W) f(y) = ∫ exp(−E'(y)) f(y), with q written out, by quadrature in float64."""
    with jax.enable_x64(True):
        old, new, h = energies.DoubleWell(1, barrier=1.0), energies.DoubleWell(1, barrier=2.0, tilt=0.5), 0.07
        x = jnp.linspace(-3.5, 3.5, 701)
        state, end = (jax.vmap(lambda x, e=e: _langevin.langevin_state(e, x))(x[:, None]) for e in (old, new))
        law = kernels.ULA(h).proposal
        ratio = jax.vmap(
            jax.vmap(lambda a, b: _langevin.langevin_log_ratio(a, b, law(a), law(b)), (None, 0)), (0, None)
        )(state, end)
        drift = x + h * state.score[:, 0]
        forward = np.exp(-((x[None] - drift[:, None]) ** 2) / (4 * h)) / math.sqrt(4 * math.pi * h)
        weight = np.exp(-np.asarray(state.value))[:, None] * forward * np.exp(np.asarray(ratio)) * 0.01
        want = np.exp(-np.asarray(end.value))
        inside = np.abs(np.asarray(x)) < 1.7
        np.testing.assert_allclose(weight.sum(axis=0)[inside], want[inside], rtol=1e-9)


def trap_work(distance, num_levels, duration=2.0, stiffness=2.0):
    """Mean and variance of the protocol's work when ULA follows the trap in `num_levels` steps: exact, a recursion."""
    h, d = duration / num_levels, distance / num_levels
    mean, covariance = np.zeros(2), np.diag([1.0 / stiffness, 0.0])
    move, jump = np.diag([1.0 - h * stiffness, 1.0]), np.array([[1.0, 0.0], [-stiffness * d, 1.0]])
    for _ in range(num_levels):
        mean, covariance = move @ mean, move @ covariance @ move.T + np.diag([2 * h, 0.0])
        mean, covariance = jump @ mean + np.array([-d, 0.5 * stiffness * d**2]), jump @ covariance @ jump.T
    return mean[1], covariance[1, 1]


@pytest.mark.parametrize(("speed", "mean", "variance"), [(1.5, 3.3956, 6.7912), (0.75, 0.8489, 1.6978)])
def test_the_dragged_trap_in_the_limit_of_small_steps(speed, mean, variance):
    coarse, fine = (np.asarray(trap_work(2.0 * speed, n)) for n in (4000, 8000))
    found = 2.0 * fine - coarse
    np.testing.assert_allclose(found, [mean, variance], rtol=0, atol=5.1e-5)
    assert found[1] == pytest.approx(2.0 * found[0], rel=1e-6)


@pytest.mark.parametrize("speed", [1.5, 0.75])
def test_the_dragged_trap_at_a_finite_step(speed, key):
    """Forty steps: the law of the protocol's work is that of the recursion. Smallest defect seen: 2 % of the mean."""
    found = sampling.drive(dragged(2.0 * speed), kernels.ULA(0.05), np.linspace(0, 1, 41), key=key, num_walkers=NUM)
    mean, variance = trap_work(2.0 * speed, 40)
    protocol = found.work - found.shadow
    testing.assert_mean(np.stack([protocol, (protocol - mean) ** 2], 1), [mean, variance], name="protocol work")
    if speed == 0.75:
        testing.assert_mean(np.exp(-found.work), 1.0, name="exp(−W)")
    assert found.free_energy.diagnostics["dissipated"] > 0


def test_work_is_recorded_along_the_way(key):
    told = []
    ts = np.r_[np.linspace(0, 1, 36), np.ones(10), np.linspace(1, 0, 25)]
    found = sampling.drive(
        family(), kernels.ULA(0.1), ts, key=key, num_walkers=20_000, num_kept=5, progress=lambda *a: told.append(a)
    )
    assert told == [(32, 70), (64, 70), (70, 70)]
    assert found.mean_work.shape == found.spread.shape == found.accept_prob.shape == ts.shape
    assert found.trajectories.shape == (5, len(ts))
    np.testing.assert_allclose(found.trajectories[:, -1], found.work[:5], rtol=1e-5, atol=1e-6)
    assert found.mean_work[-1] == pytest.approx(found.work.mean(), rel=1e-5)
    assert found.spread[-1] == pytest.approx(found.work.std(), rel=1e-5)
    assert found.mean_work[0] == found.spread[0] == 0.0
    # There and back again: no free energy, but work all the same.
    testing.assert_mean(np.exp(-found.work), 1.0, name="exp(−W) of a cycle")
    assert found.work.mean() > 0.1


def test_hidden_units_are_summed_out(key):
    path = paths.tempering(references.asymmetric_rbm().energy)
    found = sampling.drive(path, kernels.BlockGibbs(), np.linspace(0, 1, 6), key=key, num_walkers=20_000)
    testing.assert_mean(np.exp(-found.work - 7.1580789869), 1.0, name="Z of the golden machine")


def test_walls_take_walkers_out(key):
    """Half of the base lies where the energy is infinite; the work there is infinite, and Z(1)/Z(0) = 1/2."""
    half = energies.energy(_half_line, space=LINE)
    path = paths.Geometric(densities.Gaussian(jnp.zeros(1)), half)
    found = sampling.drive(path, kernels.RandomWalk(0.5), [0.0, 0.5, 1.0], key=key, num_walkers=20_000)
    assert 0.4 < np.isposinf(found.work).mean() < 0.6
    testing.assert_mean(np.exp(-found.work), 0.5, name="Z of the half line")
    with pytest.raises(Diverged, match="walls need an exact kernel"):
        sampling.drive(path, kernels.ULA(0.1), [0.0, 0.5, 1.0], key=key, num_walkers=100)


def _half_line(x):
    return jnp.where(x[0] > 0, 0.5 * x[0] ** 2 + 0.5 * np.log(2 * np.pi), jnp.inf)


def test_starts_at_the_other_end(key):
    """From an exact sampler of the last energy, from a density, and from given draws."""
    end = densities.Gaussian(jnp.full(1, 2.0), 0.25)
    path = paths.Geometric(densities.Gaussian(jnp.zeros(1)), end)
    given = jax.vmap(lambda k: end.draw(key=k))(jax.random.split(key, 4000))
    for x0 in (None, end, given):
        found = sampling.drive(path, kernels.ULA(0.2), TWENTY[::-1], key=key, num_walkers=4000, x0=x0)
        testing.assert_mean(np.exp(-found.work), 1.0, name="Z ratio of two normal laws")


# -- paths.Moving ----------------------------------------------------------------------------------------------------


def test_a_moving_path_is_the_family_with_a_normalised_start():
    with jax.enable_x64(True):
        path, x = dragged(np.float64(3.0)), jnp.array([0.4])
        constant = -0.5 * math.log(2.0) + 0.5 * math.log(2 * math.pi)
        values = jax.jit(lambda path, t: (path.at(t)(x), path.value(t, x)))
        for t in (0.0, 0.3, 1.0):
            want = (0.4 - 3.0 * t) ** 2 + constant
            np.testing.assert_allclose(values(path, jnp.asarray(t)), want, atol=1e-12)
        moved = eqx.tree_at(lambda p: p.params, path, jnp.asarray(2.0))
        np.testing.assert_allclose(values(moved, jnp.asarray(1.0)), (0.4 - 2.0) ** 2 + constant, atol=1e-12)


def test_other_drivers_take_a_moving_path(key):
    work = sampling.anneal(family(), kernels.MALA(0.1), TWENTY, key=key, num_particles=2000)
    assert abs(work.log_z.value + math.log(2.0)) <= 4.9 * work.log_z.stderr


# -- planted defects -------------------------------------------------------------------------------------------------

DRIVE_MUTANTS = {
    "shadow work forgotten": (
        "_Step(state, work, work -",
        "_Step(state, state.value - path.value(ts[0], state.x), work -",
        "A",
    ),
    "judged by the old energy": ("target(path.at(ts[1]), kernel)", "target(path.at(ts[0]), kernel)", "A"),
    "moves under the energy before": ("target(path.at(after), kernel)", "target(path.at(before), kernel)", "C"),
    "shadow of one step only": ("inner[1] + work", "work", "B"),
}
LANGEVIN_MUTANTS = {
    "the law of a step back from where it began": lambda old, new, there, back: RIGHT(old, new, there, there),
    "noise of half the variance": lambda old, new, there, back: old.value - new.value + 2 * (
        RIGHT(old, new, there, back) - old.value + new.value
    ),
}  # fmt: skip
RIGHT = _langevin.langevin_log_ratio


def mutated(right="", wrong=""):
    """`drive` with a change in its source, and a compilation of its own."""
    source = Path(_drive.__file__).read_text()
    assert not right or source.count(right) == 1
    module = types.ModuleType(_drive.__name__)
    exec(compile(source.replace(right, wrong) if right else source, "mutant", "exec"), module.__dict__)
    return module.drive


@pytest.mark.parametrize("mutant", DRIVE_MUTANTS)
def test_mutants_of_the_driver_are_seen(mutant, key):
    right, wrong, scheme = DRIVE_MUTANTS[mutant]
    with pytest.raises((AssertionError, ArgumentError), match=r"smallest visible|effective draws"):
        check_family(mutated(right, wrong), scheme, [0.2 if scheme == "C" else 0.3], key)


@pytest.mark.parametrize("mutant", LANGEVIN_MUTANTS)
def test_mutants_of_the_work_of_a_step_are_seen(mutant, key, monkeypatch):
    monkeypatch.setattr(_langevin, "langevin_log_ratio", LANGEVIN_MUTANTS[mutant])
    with pytest.raises((AssertionError, Diverged)):
        check_family(mutated(), "A", [0.3], key)


# -- what is refused -------------------------------------------------------------------------------------------------


def test_errors(key):
    def run(path=None, kernel=None, ts=TWENTY, **options):
        kernel = kernels.ULA(0.1) if kernel is None else kernel
        return sampling.drive(
            family() if path is None else path, kernel, ts, **{"key": key, "num_walkers": 4} | options
        )

    with pytest.raises(KernelMismatch, match="exact kernels and of ULA"):
        run(kernel=kernels.UnderdampedLangevin(0.1))
    with pytest.raises(KernelMismatch, match="needs discrete sites"):
        run(kernel=kernels.HeatBath())
    for bad in ([0.0], [0.0, 1.2], np.zeros((2, 2)), [0.0, np.nan]):
        with pytest.raises(ArgumentError, match="two levels in"):
            run(ts=bad)
    with pytest.raises(ArgumentError, match='"before" or "during"'):
        run(switch="after")
    with pytest.raises(ArgumentError, match="splits a step of ULA"):
        run(kernel=kernels.MALA(0.1), switch="during")
    with pytest.raises(ArgumentError, match="more levels"):
        run(num_steps=2)
    with pytest.raises(ArgumentError, match="pass exact draws of that law"):
        run(ts=TWENTY[::-1])
    with pytest.raises(SpaceError, match="shape"):
        run(ts=TWENTY[::-1], x0=jnp.zeros((4, 2)))
    nan = energies.energy(lambda x: jnp.nan * jnp.sum(x), space=LINE)
    with pytest.raises(Diverged, match="4 of 4 walkers"):
        run(path=paths.Geometric(densities.Gaussian(jnp.zeros(1)), nan))
    with pytest.raises(ArgumentError, match="not the base Gaussian"):
        paths.Moving(densities.Gaussian(jnp.zeros(1), 2.0), _family)
    with pytest.raises(SpaceError, match="they must agree"):
        paths.Moving(densities.Gaussian(jnp.zeros(2)), _family)
