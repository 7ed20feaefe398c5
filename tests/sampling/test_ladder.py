"""Ladders that tune themselves: levels at equal barriers, their number, and how fast replicas travel on them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from scipy.special import betainc, gammaln

from energax import densities, energies, kernels, paths, sampling, spaces, testing
from energax._errors import ArgumentError
from energax.estimators import chain_mean
from energax.sampling._ladder import equal_barrier_levels

D, HOT, COLD = 8, 0.1, 1.0
"""E_t(x) = ½ β(t) ‖x‖² in eight dimensions, β(t) from 0.1 to 1: every number of its ladder is known in closed form."""
LAMBDA = np.exp(gammaln(D / 2 + 0.5) - gammaln(D / 2)) / np.sqrt(np.pi) * np.log(COLD / HOT)
SIXTY_FOUR = stats.t.isf(testing.FALSE_ALARM / 2, 63)
"""Standard errors that the mean of 64 numbers may be off by."""


def _betas(ts):
    return HOT + (COLD - HOT) * np.asarray(ts)


def _rejection(ts):
    """1 − 2 I_{1/(1 + ρ)}(d/2, d/2) for neighbours with ratio ρ of their inverse temperatures."""
    ratio = _betas(ts)[1:] / _betas(ts)[:-1]
    return 1 - 2 * betainc(D / 2, D / 2, 1 / (1 + ratio))


def _normal_path():
    return paths.Geometric(densities.Gaussian(jnp.zeros(D), 1 / HOT), densities.Gaussian(jnp.zeros(D), 1 / COLD))


class _Fresh(kernels.RandomWalk):
    """Draws from N(0, 1/β) afresh whatever the state was: replicas that forget their energy between swaps."""

    def step(self, energy, state, *, key):
        beta = HOT + (COLD - HOT) * energy.t
        x = jax.random.normal(key, state.x.shape) / jnp.sqrt(beta)
        yes = jnp.ones((), bool)
        return type(state)(x, energy(x)), kernels.StepInfo(jnp.ones(()), yes, yes)


def test_levels_move_to_equal_barriers():
    """From exact rejection rates of a linear ladder: within three rounds all rates are equal, at a geometric ladder."""
    ts = np.linspace(0.0, 1.0, 9)
    assert np.ptp(_rejection(ts)) > 0.3
    for _ in range(3):
        ts = equal_barrier_levels(ts, _rejection(ts), 13)
    assert np.ptp(_rejection(ts)) < 0.01 * _rejection(ts).mean()
    np.testing.assert_allclose(_betas(ts), HOT * (COLD / HOT) ** (np.arange(13) / 12), rtol=2e-3)
    many = HOT * (COLD / HOT) ** (np.arange(61) / 60)
    assert _rejection((many - HOT) / (COLD - HOT)).sum() == pytest.approx(LAMBDA, rel=1e-3)


def test_levels_at_equal_steps_of_t_instead_are_not_equal():
    ts = np.linspace(0.0, 1.0, 13)
    assert np.ptp(_rejection(ts)) > 0.1


def test_a_tuned_ladder_has_the_known_barrier_and_travels_at_the_known_rate(key):
    """Barrier 2.52: about ten levels. 64 ladders see a barrier that is off by 0.05 and a rate that is off by 6 %."""
    ladder = sampling.tune_ladder(_normal_path(), _Fresh(1.0), key=key, num_sweeps=256, num_chains=64)
    want = _rejection(ladder.ts).sum()
    assert np.ceil(LAMBDA / 0.3) + 1 <= len(ladder.ts) <= 13
    assert abs(ladder.barrier.value - want) <= SIXTY_FOUR * ladder.barrier.stderr
    assert ladder.barrier.stderr < 0.01
    assert np.ptp(ladder.rejection) < 0.1
    assert [r[0] for r in ladder.rounds] == [32, 64, 128, 256]
    run = sampling.replica_exchange(
        _normal_path(), ladder.kernel, ladder.ts, ladder.last, key=key, num_sweeps=512, num_warmup=256, save=None
    )
    r = _rejection(ladder.ts)
    off = run.num_round_trips / 512 - 1 / (2 + 2 * np.sum(r / (1 - r)))
    assert abs(off.mean()) <= SIXTY_FOUR * off.std(ddof=1) / 8
    assert 0.5 < run.round_trip_efficiency < 1


@pytest.mark.slow
def test_a_double_well_gets_its_masses_back(key):
    """Barrier 8, tilt 0.5, all starts in the wrong well; 1,000 ladders see an error of the left mass by 0.08."""
    well = energies.DoubleWell(1, barrier=8.0, tilt=0.5)
    path = paths.Geometric(densities.Gaussian(jnp.zeros(1), 2.0), well)
    ladder = sampling.tune_ladder(path, kernels.HMC(0.2, num_leapfrog=5), key=key, num_sweeps=512)
    assert ladder.kernel.step_size.shape == ladder.ts.shape
    assert ladder.round_trip_rate > 0.5 * ladder.optimal_rate
    x0 = jnp.ones((1_000, len(ladder.ts), 1))
    run = sampling.replica_exchange(path, ladder.kernel, ladder.ts, x0, key=key, num_sweeps=32, num_warmup=224)
    left = int((run.samples.last < 0).sum())
    testing.assert_counts([left, 1_000 - left], [0.7256214534, 1 - 0.7256214534], name="left mass")
    assert (run.accept_prob > 0.5).all()


def test_only_step_sizes_carry_the_axis_of_a_ladder():
    axes = sampling._replica_exchange.kernel_axes(kernels.MALA(jnp.ones(4), preconditioner=jnp.ones(4)), 4)
    assert axes.step_size == 0
    assert axes.preconditioner is None


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"start": 1.0}, "start in"),
        ({"num_levels": 1}, "at least two levels"),
        ({"num_sweeps": 100}, "num_sweeps of 32, 64"),
        ({"swap_rate": 1.0}, "between 0 and 1"),
    ],
)
def test_nonsense_is_refused(options, told, key):
    with pytest.raises(ArgumentError, match=told):
        sampling.tune_ladder(_normal_path(), kernels.RandomWalk(1.0), key=key, **options)


def _phi4(p, x):
    x = x.reshape(6, 6)
    return jnp.sum(x**2 + p[1] * (x**2 - 1) ** 2 - 2 * p[0] * x * (jnp.roll(x, 1, 0) + jnp.roll(x, 1, 1)))


@pytest.mark.slow
def test_a_bimodal_field_travels_at_half_the_possible_rate(key):
    """φ⁴ on 6 × 6 deep in the ordered phase, four HMC steps between swaps: chains started up are half the time down."""
    path = paths.Geometric(
        densities.Gaussian(jnp.zeros(36), 0.5),
        energies.energy(_phi4, jnp.array([0.36, 0.5]), space=spaces.Euclidean(36)),
    )
    tune_key, run_key = jax.random.split(key)
    kernel = kernels.HMC(0.1, num_leapfrog=4)
    ladder = sampling.tune_ladder(path, kernel, key=tune_key, num_sweeps=256, swap_every=4)
    x0 = jnp.ones((4, len(ladder.ts), 36))
    run = sampling.replica_exchange(
        path, ladder.kernel, ladder.ts, x0, key=run_key, num_sweeps=1024, num_warmup=128, save=jnp.mean, swap_every=4
    )
    assert run.round_trip_efficiency > 0.5
    assert np.abs(run.x).mean() > 0.5
    up = chain_mean(run.x > 0)
    assert abs(up.value - 0.5) <= 4.9 * up.stderr
    assert up.stderr < 0.05
