"""Score matching by parts against closed forms, and its three forms against each other."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax import testing
from energax._errors import ArgumentError, KernelMismatch, NotTractable, SpaceError
from energax.densities import GaussianMixture
from energax.energies import MLP, RBM, DoubleWell, energy
from energax.objectives import FiniteDifferenceScoreMatching, ScoreMatching, SlicedScoreMatching
from energax.spaces import Box, Euclidean
from energax.testing import references


def _quadratic(params, x):
    mean, precision = params
    return 0.5 * (x - mean) @ (precision + precision.T) @ (x - mean) / 2


def test_the_optimum_of_a_normal_law_is_the_inverse_sample_covariance(key):
    """The gradient vanishes at the sample mean and the inverse of the sample covariance, and only there."""
    with jax.enable_x64(True):
        batch = jax.random.normal(key, (9, 3), jnp.float64) @ jnp.array(
            [[1.0, 0.4, 0.0], [0.0, 0.7, -0.5], [0, 0, 2.0]]
        )
        mean, precision = batch.mean(0), jnp.linalg.inv(jnp.cov(batch.T, bias=True))

        @jax.jit
        def slope(params):
            def loss(params):
                model = energy(_quadratic, params, space=Euclidean(3))
                return ScoreMatching().loss(model, batch, None, key=key)

            return jax.grad(loss, has_aux=True)(params)

        gradient, (_, metrics) = slope((mean, precision))
        assert max(float(jnp.abs(leaf).max()) for leaf in gradient) < 1e-12
        assert float(metrics["squared_score"]) == pytest.approx(float(metrics["laplacian"]), rel=1e-12)
        wrong, _ = slope((mean + 0.1, 1.1 * precision))
        assert min(float(jnp.abs(leaf).max()) for leaf in wrong) > 1e-2


def test_the_loss_is_the_formula_with_the_whole_hessian(key):
    model = references.skewed_mixture().energy
    batch = jax.random.normal(key, (5, 2))

    @jax.jit
    def both(batch):
        trace = jax.vmap(lambda x: jnp.trace(jax.hessian(model)(x)))(batch)
        squared = jnp.sum(jax.vmap(jax.grad(model))(batch) ** 2, axis=1)
        return ScoreMatching().loss(model, batch, None, key=key)[0], jnp.mean(0.5 * squared - trace)

    found, want = both(batch)
    assert float(found) == pytest.approx(float(want), rel=1e-5)


def test_in_one_dimension_slices_are_exact_and_differences_are_of_second_order(key):
    """Both signs give the same number there: no randomness is left, and halving ε divides the error by 4."""
    with jax.enable_x64(True):
        well, batch = DoubleWell(barrier=2.0, tilt=0.5), jnp.array([[-1.3], [0.2], [0.8]], jnp.float64)
        loss = jax.jit(lambda objective: objective.loss(well, batch, None, key=key)[0], static_argnums=0)
        exact = float(loss(ScoreMatching()))
        assert float(loss(SlicedScoreMatching())) == pytest.approx(exact, rel=1e-13)
        errors = [float(loss(FiniteDifferenceScoreMatching(eps))) - exact for eps in (0.04, 0.02, 0.01)]
        assert abs(errors[0]) > 1e-3
        np.testing.assert_allclose([errors[0] / errors[1], errors[1] / errors[2]], 4.0, rtol=1e-2)


@pytest.mark.parametrize("objective", [SlicedScoreMatching(2), FiniteDifferenceScoreMatching(0.01, 2)], ids=["s", "fd"])
def test_the_mean_over_directions_is_the_implicit_loss(objective, key):
    """20,000 draws of the directions of one row where the Hessian is far from diagonal."""
    with jax.enable_x64(True):
        turned = jnp.array([[1.0, 1.0, 0.0], [-1.2, -0.8, 0.3]], jnp.float64)
        model, batch = GaussianMixture(turned, 0.7), jnp.array([[0.3, 0.1, 0.4]], jnp.float64)
        want = float(ScoreMatching().loss(model, batch, None, key=key)[0])
        run = jax.jit(jax.vmap(lambda k: objective.loss(model, batch, None, key=k)[0]))
        found = np.asarray(run(jax.random.split(key, 20_000)))
        # The error of the differences, O(ε²), is far below the standard error of this many draws.
        assert found.std() > 0.1 * abs(want)
        testing.assert_mean(found, want, name=f"loss of {type(objective).__name__}")


def test_what_is_refused():
    for objective in (ScoreMatching(), SlicedScoreMatching(), FiniteDifferenceScoreMatching(0.1)):
        name = type(objective).__name__
        with pytest.raises(KernelMismatch, match=rf"{name} needs a score, but space=Binary"):
            objective.check(RBM(4, 3, key=jax.random.key(0)))
        with pytest.raises(NotTractable, match="no confining base measure"):
            objective.check(MLP(2, confinement=None, key=jax.random.key(0)))
        with pytest.raises(SpaceError, match=rf"{name} integrates by parts.*walls.*Box.*Take DenoisingScoreMatching"):
            objective.check(references.tilted_box().energy)
        objective.check(references.tilted_angle().energy)
    with pytest.raises(ArgumentError, match="SlicedScoreMatching needs num_projections >= 1, got 0"):
        SlicedScoreMatching(0)
    with pytest.raises(ArgumentError, match=r"spacing > 0, got -0\.1"):
        FiniteDifferenceScoreMatching(-0.1)


@pytest.mark.slow
def test_walls_do_bias_it():
    """Why boxes are refused: at the truth on [0, 1] with E = w x the loss still has the slope w."""
    with jax.enable_x64(True):
        points = jnp.linspace(0.0, 1.0, 2001, dtype=jnp.float64)[:, None]
        weights = jnp.exp(-2 * points[:, 0])

        def loss(w):
            model = energy(_tilt, w, space=Box(1))
            losses = jax.vmap(lambda x: ScoreMatching().loss(model, x[None], None, key=jax.random.key(0))[0])(points)
            return jnp.sum(weights * losses) / jnp.sum(weights)

        assert float(jax.grad(loss)(jnp.asarray(2.0))) == pytest.approx(2.0)


def _tilt(w, x):
    return w * jnp.sum(x)
