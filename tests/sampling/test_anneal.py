"""Annealed importance sampling and sequential Monte Carlo: unbiased weights, in both directions, for any levels."""

import dataclasses
import types
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax import densities, energies, exact, kernels, paths, sampling, spaces, testing
from energax._errors import ArgumentError, Diverged, KernelMismatch, SpaceError
from energax.estimators import ess_from_log_weights
from energax.sampling import RESAMPLERS, _anneal
from energax.testing import references

RBM_LOG_Z = 7.1580789869
NUM_GROUPS, NUM_PARTICLES = 2_000, 16
LEVELS = {
    "one step": [0.0, 1.0], "three": [0.0, 0.3, 0.7, 1.0], "uneven": [0.0, 0.02, 0.1, 0.5, 0.9, 1.0],
    "closer than single precision": [0.0, 0.5, 0.5 + 1e-10, 1.0 - 1e-10, 1.0],
}  # fmt: skip


def _normal_path():
    """From N(0, 1) to 3 exp(−2 (x − ½)²): Z(1)/Z(0) = 3 √(π/2)."""
    target = energies.energy(_shifted, jnp.array([4.0, 0.5, np.log(3.0)]), space=spaces.Euclidean(1))
    return paths.Geometric(densities.Gaussian(jnp.zeros(1)), target), 3 * np.sqrt(np.pi / 2)


def _shifted(params, x):
    return 0.5 * params[0] * jnp.sum((x - params[1]) ** 2) - params[2]


def _rbm_path():
    rbm = references.asymmetric_rbm().energy
    return paths.Geometric(densities.IndependentSites(spaces.Binary(6), jnp.linspace(-0.5, 0.7, 6)), rbm)


def group_z(path, kernel, ts, key, **options):
    """Estimates of Z(end)/Z(start) of many independent groups."""
    work = sampling.anneal(
        path, kernel, np.asarray(ts), key=key, num_particles=NUM_PARTICLES, num_groups=NUM_GROUPS, **options
    )
    return np.exp(work.group_log_z), work


@pytest.mark.parametrize("levels", LEVELS)
def test_weights_are_unbiased_for_any_levels(levels, key):
    """2,000 groups of 16 see a bias of Z by 5 %, whatever the levels."""
    path, ratio = _normal_path()
    z, work = group_z(path, kernels.MALA(0.1), LEVELS[levels], key)
    testing.assert_mean(z, ratio, name=f"Z with levels {levels}")
    assert work.ess.shape == work.accept_prob.shape == (len(LEVELS[levels]),)
    assert not work.num_resamplings.any()
    assert work.num_nonfinite == 0


def _normal_z(t):
    """Z(t) of the path of `_normal_path`: a normal integral with precision 1 + 3t and slope 2t."""
    precision = 1 + 3 * t
    log_z = 0.5 * np.log(2 * np.pi / precision) + 2 * t**2 / precision - 0.5 * t + t * np.log(3)
    return np.exp(log_z - 0.5 * (1 - t) * np.log(2 * np.pi))


def check_levels(work, shift=0):
    for k, t in enumerate(work.ts[:-1]):
        testing.assert_mean(np.exp(work.level_log_z[k + shift]), _normal_z(t), name=f"Z at t = {t}")


@pytest.mark.parametrize("resample", [None, "systematic"])
def test_weights_are_unbiased_at_every_level_on_the_way(resample, key):
    """A twentieth of Z(t) is seen at each level; the weights of the next level in its place are not Z(t)."""
    path, _ = _normal_path()
    _, work = group_z(path, kernels.MALA(0.1), LEVELS["three"], key, resample=resample, resample_below=0.9)
    assert work.level_log_z.shape == (4, NUM_GROUPS)
    np.testing.assert_allclose(work.level_log_z[-1], work.group_log_z, atol=1e-5)
    assert _normal_z(1.0) == pytest.approx(_normal_path()[1])
    check_levels(work)
    with pytest.raises(AssertionError):
        check_levels(work, shift=1)


@pytest.mark.parametrize("resample", sorted(RESAMPLERS))
def test_resampled_weights_are_unbiased(resample, key):
    path, ratio = _normal_path()
    z, work = group_z(path, kernels.MALA(0.1), LEVELS["three"], key, resample=resample, resample_below=0.9)
    assert np.all(work.num_resamplings >= 0)
    assert work.num_resamplings.mean() > 1
    testing.assert_mean(z, ratio, name=f"Z with {resample} resampling")


@pytest.mark.parametrize("resample", [None, "systematic"])
def test_hidden_units_are_summed_out(resample, key):
    z, _ = group_z(_rbm_path(), kernels.BlockGibbs(), LEVELS["three"], key, resample=resample, resample_below=0.97)
    testing.assert_mean(z / np.exp(RBM_LOG_Z), 1.0, name="Z of the golden machine")


def test_other_kernels_and_the_tempering_path(key):
    rbm = references.asymmetric_rbm().energy
    z, _ = group_z(paths.tempering(rbm), kernels.HeatBath(), LEVELS["three"], key)
    # The uniform law over the visible units is normalised, so the ratio is Z itself.
    testing.assert_mean(z / np.exp(RBM_LOG_Z), 1.0, name="Z by tempering")


def test_reverse_direction_estimates_the_inverse(key):
    path = _rbm_path()
    draw_key, run_key = jax.random.split(key)
    x0 = exact.draw(path.target, key=draw_key, num=NUM_GROUPS * NUM_PARTICLES).reshape(NUM_GROUPS, NUM_PARTICLES, 6)
    z, _ = group_z(path, kernels.BlockGibbs(), LEVELS["three"][::-1], run_key, x0=x0)
    testing.assert_mean(z * np.exp(RBM_LOG_Z), 1.0, name="1/Z of the golden machine")


def test_particles_that_hardly_move_have_the_weight_of_one_step(key):
    """Without motion log w telescopes to E_0(x) − E_1(x): an identity, not a statistic."""
    path, _ = _normal_path()
    work = sampling.anneal(
        path, kernels.MALA(1e-20), jnp.linspace(0, 1, 50), key=key, num_particles=NUM_PARTICLES, num_groups=NUM_GROUPS
    )
    x = jnp.asarray(work.x)
    want = jax.vmap(jax.vmap(lambda x: path.start(x) - path.target(x)))(x)
    np.testing.assert_allclose(work.log_weights, want, rtol=1e-5, atol=1e-5)
    assert work.log_weights.dtype == np.float64
    assert work.ess[-1] == pytest.approx(
        ess_from_log_weights(work.log_weights.reshape(-1)) / work.log_weights.size, rel=1e-4
    )


def test_particles_outside_the_support_have_no_weight(key):
    """Half of the base lies where the target has infinite energy: Z(1)/Z(0) = ½, without NaN."""
    half = energies.energy(_half_line, jnp.array(1.0), space=spaces.Euclidean(1))
    path = paths.Geometric(densities.Gaussian(jnp.zeros(1)), half)
    z, work = group_z(path, kernels.RandomWalk(0.5), LEVELS["three"], key)
    assert not np.isnan(work.log_weights).any()
    assert 0.4 < np.isneginf(work.log_weights).mean() < 0.6
    testing.assert_mean(z, 0.5, name="Z of the half line")


def _half_line(k, x):
    return jnp.where(x[0] > 0, 0.5 * k * x[0] ** 2 + 0.5 * np.log(2 * np.pi), jnp.inf)


def test_log_z_has_an_error_bar_where_there_is_one(key):
    """Independent particles, coupled ones in many groups, and coupled ones in one group, which have none."""
    path, ratio = _normal_path()
    for resample in (None, "systematic"):
        options = {"resample": resample, "resample_below": 0.9}
        _, work = group_z(path, kernels.MALA(0.1), LEVELS["three"], key, **options)
        estimate = work.log_z
        assert abs(estimate.value - np.log(ratio)) < 4.9 * estimate.stderr
        assert estimate.stderr < 0.02
        assert "log Z" in repr(work)
    alone = dataclasses.replace(work, log_weights=work.log_weights[:1], num_resamplings=np.array([3]))
    assert np.isnan(alone.log_z.stderr)
    assert "num_groups" in alone.log_z.warnings[0]


def test_step_sizes_belong_to_levels(key):
    """A vanishing step size at every level but the last moves nothing until then."""
    path, _ = _normal_path()
    sizes = np.array([1.0, 1e-12, 1e-12, 0.3])
    work = sampling.anneal(
        path, kernels.RandomWalk(0.8), jnp.asarray(LEVELS["three"]), key=key, num_particles=500, step_sizes=sizes
    )
    assert np.all(work.accept_prob[1:3] > 0.999)
    assert work.accept_prob[3] < 0.99


def test_no_recompilation_for_new_numbers(key):
    calls = []

    def quadratic(k, x):
        calls.append(1)
        return 0.5 * k * jnp.sum(x**2)

    def run(k, num_levels, step_size):
        target = energies.energy(quadratic, jnp.asarray(k), space=spaces.Euclidean(1))
        path = paths.Geometric(densities.Gaussian(jnp.full(1, k)), target)
        ts = jnp.linspace(0, 1, num_levels)
        return sampling.anneal(path, kernels.MALA(step_size), ts, key=key, num_particles=8)

    run(1.0, 5, 0.1)
    traced = len(calls)
    run(2.0, 40, 0.2)
    assert len(calls) == traced


def test_progress_is_told(key):
    told = []
    path, _ = _normal_path()
    ts = jnp.linspace(0, 1, 71)
    sampling.anneal(path, kernels.MALA(0.1), ts, key=key, num_particles=8, progress=lambda *a: told.append(a))
    assert told == [(32, 70), (64, 70), (70, 70)]


# -- planted defects -------------------------------------------------------------------------------------------------

GAIN = "path.value(before[i], x) - path.value(after[i], x)"
MUTANTS = {
    "wrong sign": (GAIN, "path.value(after[i], x) - path.value(before[i], x)", None),
    "half of the gain": (GAIN, f"0.5 * ({GAIN})", None),
    "moves under the law before": ("target(path.at(after[i]), kernel)", "target(path.at(before[i]), kernel)", None),
    "weights kept after resampling": ("jnp.where(wanted, mean, high)", "high", "systematic"),
    "weights forgotten after resampling": (
        "jnp.where(wanted, mean, high)",
        "jnp.where(wanted, 0.0, high)",
        "systematic",
    ),
    "particles not resampled": ("leaf[ancestors], x)", "leaf, x)", "systematic"),
}


@pytest.mark.parametrize("mutant", MUTANTS)
def test_mutants_are_seen(mutant, key, monkeypatch):
    right, wrong, resample = MUTANTS[mutant]
    source = Path(_anneal.__file__).read_text()
    assert source.count(right) == 1
    module = types.ModuleType(_anneal.__name__)
    exec(compile(source.replace(right, wrong), "mutant", "exec"), module.__dict__)
    monkeypatch.setattr(sampling, "anneal", module.anneal)
    path, ratio = _normal_path()
    kernel = kernels.MALA(0.1)
    if mutant == "wrong sign":
        # Its weights have no variance on the line; those of the machine are bounded.
        path, ratio, kernel = _rbm_path(), np.exp(RBM_LOG_Z), kernels.BlockGibbs()
    z, _ = group_z(path, kernel, LEVELS["three"], key, resample=resample, resample_below=0.9)
    with pytest.raises(AssertionError, match="smallest visible"):
        testing.assert_mean(z / ratio, 1.0)


# -- schedules -------------------------------------------------------------------------------------------------------


def test_schedule_goes_from_zero_to_one(key):
    path, _ = _normal_path()
    ts = sampling.schedule(path, kernels.MALA(0.1), key=key, conditional_ess=0.9)
    assert ts[0] == 0
    assert ts[-1] == 1
    assert np.all(np.diff(ts) > 0)
    fine = sampling.schedule(path, kernels.MALA(0.1), key=key, conditional_ess=0.99)
    assert len(fine) > 2 * len(ts)
    given = sampling.schedule(path, kernels.MALA(0.1), key=key, conditional_ess=0.9, num_levels=20)
    assert given.shape == (20,)
    assert np.all(np.diff(given) > 0)
    placed = sampling.anneal(path, kernels.MALA(0.1), key=key, num_particles=16)
    assert placed.ts[0] == 0
    assert placed.ts[-1] == 1
    with pytest.raises(ArgumentError, match="conditional_ess in"):
        sampling.schedule(path, kernels.MALA(0.1), key=key, conditional_ess=1.0)


def test_schedule_notices_nan(key):
    nan = energies.energy(lambda x: jnp.nan * jnp.sum(x), space=spaces.Euclidean(1))
    path = paths.Geometric(densities.Gaussian(jnp.zeros(1)), nan)
    with pytest.raises(Diverged, match="pilot particle"):
        sampling.schedule(path, kernels.RandomWalk(0.5), key=key)


# -- what is refused -------------------------------------------------------------------------------------------------


def test_errors(key):
    path, _ = _normal_path()
    ts = jnp.linspace(0, 1, 4)
    with pytest.raises(KernelMismatch, match=r"ULA does not. Try HMC"):
        sampling.anneal(path, kernels.ULA(0.1), ts, key=key, num_particles=4)
    with pytest.raises(KernelMismatch, match="HeatBath needs discrete sites"):
        sampling.anneal(path, kernels.HeatBath(), ts, key=key, num_particles=4)
    with pytest.raises(ArgumentError, match="Known: multinomial, residual, stratified, systematic"):
        sampling.anneal(path, kernels.MALA(0.1), ts, key=key, num_particles=4, resample="sytematic")
    for bad in (jnp.array([0.0, 0.5, 0.5, 1.0]), jnp.array([0.0]), jnp.array([0.0, 1.2]), jnp.zeros((2, 2))):
        with pytest.raises(ArgumentError, match="strictly increasing"):
            sampling.anneal(path, kernels.MALA(0.1), bad, key=key, num_particles=4)
    with pytest.raises(ArgumentError, match="pass exact draws of that law as `x0`"):
        sampling.anneal(path, kernels.MALA(0.1), ts[::-1], key=key, num_particles=4)
    with pytest.raises(SpaceError, match="after 2 leading axes"):
        sampling.anneal(path, kernels.MALA(0.1), ts[::-1], key=key, num_particles=4, x0=jnp.zeros((4, 2)))
    with pytest.raises(ArgumentError, match="1 groups of 4 particles"):
        sampling.anneal(path, kernels.MALA(0.1), ts[::-1], key=key, num_particles=4, x0=jnp.zeros((4, 1, 1)))
    with pytest.raises(ArgumentError, match="no step size"):
        sampling.anneal(_rbm_path(), kernels.BlockGibbs(), ts, key=key, num_particles=4, step_sizes=ts)
