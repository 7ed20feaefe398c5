"""Weighted walkers are a sample of the present model, whatever the step size and however the model moves."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy.special import logit
from scipy.stats import binom, norm

from energax import exact, testing
from energax._errors import ArgumentError, KernelMismatch
from energax.densities import Gaussian, GaussianMixture
from energax.energies import RBM, energy, marginal
from energax.kernels import MALA, ULA, AbstractKernel, AbstractState, BlockGibbs, StepInfo, UnderdampedLangevin
from energax.objectives import ContrastiveDivergence, Jarzynski, PersistentCD, Watched
from energax.spaces import Euclidean
from energax.training import Learner

LINE = Euclidean(1)
NORMAL = Gaussian(jnp.zeros(1))


def assert_covered(errors: np.ndarray, stderr: np.ndarray) -> None:
    """The mean of exp(error) is 1, and error bars hold the truth as often as they say."""
    testing.assert_mean(np.exp(errors), 1.0, name="Z over its exact value")
    for level in (0.5, 0.9):
        inside = int(np.count_nonzero(np.abs(errors) < norm.ppf(0.5 + level / 2) * stderr))
        tail = min(binom.sf(inside - 1, errors.size, level), binom.cdf(inside, errors.size, level))
        assert 2 * tail >= testing.FALSE_ALARM, f"{inside} of {errors.size} at {level:.0%}"


def _well(params, x):
    return 0.5 * params[0] * jnp.sum((x - params[1]) ** 2)


@eqx.filter_jit
def followed(objective: Jarzynski, num_updates: int, key: Any) -> tuple[jax.Array, jax.Array, Any]:
    """Log weights and places after the model went from N(0, 1) to N(2, 1/4) in equal steps, and the last metrics."""
    batch = jnp.zeros((4, 1))

    def at(t):
        return energy(_well, jnp.stack([1 + 3 * t, 2 * t]), space=LINE)

    def update(state, k):
        model = at((k + 1) / num_updates)
        return objective.loss(model, batch, state, key=jax.random.fold_in(key, k))[1]

    start = objective.init(at(jnp.zeros(())), batch, key=jax.random.fold_in(key, num_updates))
    state, metrics = jax.lax.scan(update, start, jnp.arange(num_updates))
    return state.walkers.log_weights, state.walkers.x[:, 0], jax.tree.map(lambda leaf: leaf[-1], metrics)


def assert_sample_of_the_model(objective: Jarzynski, key: Any) -> None:
    """Mean weight Z = √(2π)/2, weighted mean 2 and variance 1/4, over 20,000 independent walkers."""
    log_weights, x, _ = followed(objective, 12, key)
    weights = np.exp(np.asarray(log_weights, np.float64) - 0.5 * np.log(np.pi / 2))
    x = np.asarray(x, np.float64)
    moments = np.stack([weights, weights * (x - 2), weights * ((x - 2) ** 2 - 0.25)], axis=1)
    testing.assert_mean(moments, np.array([1.0, 0.0, 0.0]), name=f"weights of {objective.kernel}")


SCHEMES = {
    "split": (ULA, {}),
    "after": (ULA, {"num_steps": 2}),
    "part": (ULA, {"num_moved": 9_000}),
    "exact": (MALA, {}),
}


@pytest.mark.parametrize(("scheme", "step_size"), [("split", 0.05), *((scheme, 0.3) for scheme in SCHEMES)])
def test_weights_are_exact_at_any_step_size(scheme, step_size, key):
    make, options = SCHEMES[scheme]
    objective = Jarzynski(make(step_size), 20_000, start=NORMAL, resample_below=0.0, **options)
    assert_sample_of_the_model(objective, key)


class Aliased(ULA):
    """The place before the step is overwritten by the one after it, so that both ends of the work are the new one."""

    def driven_step(self, energy, state, *, key):
        new, _ = ULA.driven_step(self, energy, state, key=key)
        return new, new.value - state.value


class Unpaid(ULA):
    """Steps that count no work of their own."""

    def driven_step(self, energy, state, *, key):
        return ULA.driven_step(self, energy, state, key=key)[0], jnp.zeros_like(state.value)


@pytest.mark.parametrize(("mutant", "num_steps"), [(Aliased, 1), (Unpaid, 2)])
def test_work_that_is_miscounted_is_seen(mutant, num_steps, key):
    objective = Jarzynski(mutant(0.3), 20_000, num_steps, start=NORMAL, resample_below=0.0)
    with pytest.raises(AssertionError, match="smallest visible"):
        assert_sample_of_the_model(objective, key)


def test_resampled_walkers_keep_log_z_and_tell_its_error(key):
    """1,000 runs with resampling: log Z has no bias, and the error bars from families are neither small nor large."""
    objective = Jarzynski(MALA(0.1), 256, start=NORMAL, resample_below=0.9)
    runs = jax.vmap(lambda k: followed(objective, 12, k)[2])(jax.random.split(key, 1_000))
    log_z, stderr = (np.asarray(runs[name], np.float64) for name in ("log_z", "log_z_stderr"))
    assert np.all(np.asarray(runs["families"]) < 256)
    assert_covered(log_z - 0.5 * np.log(np.pi / 2), stderr)


def test_updates_are_slowed_to_the_effective_number_that_is_asked_for(key):
    """Where an update of pace γ leaves exp(−γ²), the pace that leaves 90 % is found; where it leaves more it is 1."""
    objective = Jarzynski(MALA(0.1), 64, start=NORMAL, least_ess=0.9)
    pace = jnp.ones(())
    for _ in range(40):
        pace = objective._pace(pace, jnp.exp(-(pace**2)))
    assert float(pace) == pytest.approx(np.sqrt(-np.log(0.9)), rel=1e-3)
    for _ in range(40):
        pace = objective._pace(pace, jnp.exp(-0.01 * pace**2))
    assert float(pace) == 1.0
    assert 0.2 < float(followed(objective, 2, key)[2]["pace"]) < 1.0
    assert "pace" not in followed(Jarzynski(MALA(0.1), 64, start=NORMAL), 2, key)[2]


# -- modes between which nothing travels ------------------------------------------------------------------------------


class Position(AbstractState):
    x: Any


class Still(AbstractKernel):
    """Stays where it is: an exact kernel, of modes that are too far apart."""

    @property
    def exact(self):
        return True

    @property
    def needs(self):
        return frozenset({"energy"})

    def init(self, energy, x, *, key):
        return Position(x)

    def refresh(self, energy, state):
        return state

    def step(self, energy, state, *, key):
        return state, StepInfo.unless_nan(jnp.ones((), bool))


def _two_modes(s, x):
    """Modes −12 and 9 of unit width, with the mass σ(s) in the first."""
    logs = jnp.stack([jax.nn.log_sigmoid(s) - 0.5 * (x[0] + 12) ** 2, jax.nn.log_sigmoid(-s) - 0.5 * (x[0] - 9) ** 2])
    return -jax.nn.logsumexp(logs)


def mixture(s):
    return GaussianMixture(jnp.array([[-12.0], [9.0]]), 1.0, jnp.array([jax.nn.sigmoid(s), jax.nn.sigmoid(-s)]))


def trained(objective, batch, num_updates, learning_rate, key):
    """The objective's state before training, and s after gradient descent from s = 0.001."""
    learner = Learner(energy(_two_modes, jnp.asarray(0.001), space=LINE), objective, optimizer=optax.sgd(learning_rate))
    first = learner.init(batch, key=key)

    @jax.jit
    def run(state):
        def step(k, state):
            return learner.update(state, batch, key=jax.random.fold_in(key, k))[0]

        return jax.lax.fori_loop(0, num_updates, step, state)

    return first.objective_state, float(run(first).energy.params)


@pytest.mark.slow
def test_masses_of_far_modes_are_learned_as_predicted(key):
    """Weights: s → s₀ + logit q − logit p with the shares q of the data and p of the walkers at first."""
    batch = jnp.where(jnp.arange(200) < 160, -12.0, 9.0)[:, None]
    state, s = trained(Jarzynski(Still(), 200, start=mixture(0.001), resample_below=0.0), batch, 4_000, 0.5, key)
    share = float(jnp.mean(state.walkers.x < 0))
    assert s == pytest.approx(0.001 + logit(0.8) - logit(share), abs=2e-3)


def test_chains_without_weights_run_away_as_predicted(key):
    """Persistent chains pull with q − p for ever: s grows in proportion to the number of updates."""
    batch = jnp.where(jnp.arange(200) < 160, -12.0, 9.0)[:, None]
    state, s = trained(PersistentCD(Still(), 50), batch, 1_000, 0.02, key)
    share = float(jnp.mean(state.x < 0))
    assert share != 0.8
    assert s == pytest.approx(0.001 + 1_000 * 0.02 * (0.8 - share), rel=1e-3)


# -- walkers that only watch ------------------------------------------------------------------------------------------


def test_a_watched_run_knows_its_log_z(key):
    """1,000 machines are trained by CD; at the end log Z and masses are unbiased, with error bars that are right.

    The model does not look at the walkers, so this holds at every update.
    """
    v = jnp.asarray(exact.states(marginal(RBM(4, 3, key=key)).space))
    rows = v[jnp.asarray([0, 0, 0, 15, 15, 12, 3, 15])]
    objective = Watched(ContrastiveDivergence(BlockGibbs()), BlockGibbs(), 128, rows=rows, landmarks=v[:: len(v) - 1])
    learner = Learner(RBM(4, 3, scale=0.3, key=key), objective, optimizer=optax.sgd(0.2))

    @jax.jit
    @jax.vmap
    def run(key):
        def step(state, k):
            new, metrics = learner.update(state, rows, key=jax.random.fold_in(key, k))
            return new, (metrics, state.energy)

        _, (metrics, models) = jax.lax.scan(step, learner.init(rows, key=key), jnp.arange(40))
        last = jax.tree.map(lambda leaf: leaf[-1], (metrics, models))
        values = -jax.vmap(marginal(last[1]))(v)
        return last[0], jax.nn.logsumexp(values), jax.nn.softmax(values)

    metrics, log_z, law = (jax.tree.map(np.asarray, leaf) for leaf in run(jax.random.split(key, 1_000)))
    assert_covered(np.asarray(metrics["log_z"] - log_z, np.float64), np.asarray(metrics["log_z_stderr"], np.float64))
    nearest = np.asarray(jnp.sum(v, axis=1) > 2)
    assert np.asarray(metrics["data_mass_1"]) == pytest.approx(0.375)
    testing.assert_mean(metrics["model_mass_1"] - law @ nearest, 0.0, name="mass of a mode")


def test_refusals():
    with pytest.raises(KernelMismatch, match="knows the work of exact kernels and of ULA"):
        Jarzynski(UnderdampedLangevin(0.1))
    with pytest.raises(ArgumentError, match="moves at most all of them"):
        Jarzynski(MALA(0.1), 10, num_moved=20)
    with pytest.raises(ArgumentError, match="Unknown resampling 'all'"):
        Jarzynski(MALA(0.1), resample="all")
    with pytest.raises(ArgumentError, match="shares of the walkers"):
        Jarzynski(MALA(0.1), least_ess=2.0)
    with pytest.raises(KernelMismatch, match="Watched knows the work"):
        Watched(PersistentCD(MALA(0.1)), UnderdampedLangevin(0.1))
