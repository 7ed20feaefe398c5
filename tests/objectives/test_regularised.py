"""Each penalty in closed form, on and off; noise and temperature against the objective that they wrap."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax import testing
from energax._errors import ArgumentError, KernelMismatch
from energax.energies import MLP, RBM, Tempered, energy
from energax.kernels import ULA, BlockGibbs
from energax.objectives import (
    AtTemperature,
    ContrastiveDivergence,
    DataNoise,
    Jarzynski,
    NoiseContrastive,
    PersistentCD,
    Regularised,
    ScoreMatching,
    TemperedState,
    companions,
)
from energax.objectives._regularised import model_sample
from energax.spaces import Euclidean, Torus
from energax.testing import references


def _affine(params, x):
    return jnp.sum(params["matrix"] @ x) + 0.5 * params["k"] * x @ x


PARAMS = {"matrix": jnp.array([[3.0, 0.0], [0.0, -5.0], [0.0, 0.0]]), "k": jnp.asarray(0.0)}
MODEL = energy(_affine, PARAMS, space=Euclidean(2, initial_scale=1.0))
BATCH = jnp.array([[1.0, 0.0], [0.0, 2.0]])
"""Energies 3 and −10, slope (3, −5) everywhere."""


def _loss(objective, key, model=MODEL, state=None):
    return objective.loss(model, BATCH, state, key=key)


@pytest.mark.parametrize(
    ("name", "want"), [("energy_l2", (9 + 100) / 2), ("gradient_penalty", 34.0), ("spectral_penalty", 25.0)]
)
def test_a_penalty_is_its_formula_times_its_weight(name, want, key):
    plain, (_, metrics) = _loss(Regularised(ScoreMatching()), key)
    assert float(plain) == float(_loss(ScoreMatching(), key)[0])
    assert name not in metrics
    loss, (_, metrics) = _loss(Regularised(ScoreMatching(), **{name: 0.25}), key)
    assert float(metrics[name]) == pytest.approx(want, rel=1e-5)
    assert float(loss - plain) == pytest.approx(0.25 * want, rel=1e-5)


def test_the_slope_of_the_largest_singular_value_is_that_of_its_pair(key):
    """σ² = 25 of the second column: its slope is 2 σ u vᵀ."""
    objective = Regularised(ScoreMatching(), spectral_penalty=1.0)

    def penalty(model):
        return objective.loss(model, BATCH, None, key=key)[1][1]["spectral_penalty"]

    found = eqx.filter_grad(penalty)(MODEL).params["matrix"]
    np.testing.assert_allclose(found, [[0, 0], [0, -10.0], [0, 0]], atol=1e-4)


@pytest.mark.parametrize("make", [lambda: PersistentCD(ULA(0.01), 4, start="noise"), lambda: Jarzynski(ULA(0.01), 4)])
def test_energies_of_the_model_count_where_they_are_known(make, key):
    model = MLP(2, hidden=(4,), key=key)
    objective = Regularised(make(), energy_l2=1.0)
    _, (after, metrics) = _loss(objective, key, model, objective.init(model, BATCH, key=key))
    x, weights = (after.x, np.full(4, 0.25)) if hasattr(after, "x") else (
        after.walkers.x, np.asarray(jax.nn.softmax(after.walkers.log_weights)),
    )  # fmt: skip
    at_data, at_model = (np.asarray(jax.vmap(model)(rows), np.float64) ** 2 for rows in (BATCH, x))
    assert float(metrics["energy_l2"]) == pytest.approx(at_data.mean() + weights @ at_model, rel=1e-5)


def test_of_ladders_the_replicas_at_the_model_count():
    x = jnp.arange(12.0).reshape(3, 2, 2)
    state = TemperedState(x, jnp.asarray([0.0, 1.0]), jnp.zeros(1), jnp.asarray(0), None)
    rows, weights = model_sample(state)
    np.testing.assert_array_equal(rows, x[:, 1])
    np.testing.assert_allclose(weights, 1 / 3)


def test_noise_is_that_of_the_smeared_law(key):
    """Score matching of E = ½ k ‖x‖² has the mean loss ½ k² E‖x + σξ‖² − 2 k; 20,000 draws of the noise."""
    model = eqx.tree_at(lambda m: m.params, MODEL, {"matrix": jnp.zeros((3, 2)), "k": jnp.asarray(1.5)})
    objective = DataNoise(ScoreMatching(), 0.5)
    run = jax.jit(jax.vmap(lambda k: objective.loss(model, BATCH, None, key=k)[0]))
    found = np.asarray(run(jax.random.split(key, 20_000)), np.float64)
    testing.assert_mean(found, 0.5 * 1.5**2 * (2.5 + 2 * 0.25) - 2 * 1.5, name="loss with noise")


def test_noise_stays_in_the_space(key):
    class Kept(ScoreMatching):
        def loss(self, energy, batch, state, *, key):
            return jnp.max(jnp.abs(batch - jnp.pi)), (state, {})

    loss, _ = DataNoise(Kept(), 100.0).loss(references.tilted_angle().energy, jnp.ones((50, 1)), None, key=key)
    assert 1.0 < float(loss) <= np.pi
    assert isinstance(references.tilted_angle().energy.space, Torus)


def test_temperature_is_that_of_the_energy(key):
    objective = AtTemperature(ScoreMatching(), 2.5)
    want, _ = _loss(ScoreMatching(), key, Tempered(MODEL, 2.5))
    assert float(_loss(objective, key)[0]) == pytest.approx(float(want), rel=1e-6)
    rbm = RBM(4, 3, key=key)
    AtTemperature(ContrastiveDivergence(BlockGibbs()), 2.0).check(rbm)


def test_companions_stay_known_inside():
    noise = references.correlated_gaussian().energy
    assert set(companions(Regularised(AtTemperature(NoiseContrastive(noise), 2.0), energy_l2=0.1))) == {"log_z"}


def test_what_is_refused():
    rbm, model = RBM(4, 3, key=jax.random.key(0)), references.correlated_gaussian().energy
    with pytest.raises(ArgumentError, match=r"gradient_penalty >= 0, got -1\.0"):
        Regularised(ScoreMatching(), gradient_penalty=-1.0)
    with pytest.raises(KernelMismatch, match="gradient_penalty needs a score"):
        Regularised(ContrastiveDivergence(BlockGibbs()), gradient_penalty=1.0).check(rbm)
    with pytest.raises(ArgumentError, match="spectral_penalty needs matrices, and DoubleWell has none"):
        Regularised(ScoreMatching(), spectral_penalty=1.0).check(references.tilted_double_well().energy)
    with pytest.raises(KernelMismatch, match="DataNoise needs a score"):
        DataNoise(ContrastiveDivergence(BlockGibbs()), 0.1).check(rbm)
    with pytest.raises(ArgumentError, match=r"scale > 0, got 0\.0"):
        DataNoise(ScoreMatching(), 0.0)
    with pytest.raises(ArgumentError, match=r"beta > 0, got -1\.0"):
        AtTemperature(ScoreMatching(), -1.0).check(model)
