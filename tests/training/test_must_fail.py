"""Runs that must fail are stopped, with a sentence that says why; learning rates are in `test_recovery.py`."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import energax as ex
from energax._errors import DataError, Diverged
from energax.training import _outside
from energax.training._outside import outward_fall

ROWS = np.random.default_rng(0).normal(size=(300, 2)).astype(np.float32)


FLAT = ROWS * np.array([1.0, 0.01], np.float32)
PLANE = ex.spaces.Euclidean(2, initial_scale=1.0)
CHAINS = ex.objectives.PersistentCD(ex.kernels.ULA(0.05), num_chains=16)
SHORT_CHAINS = ex.objectives.ContrastiveDivergence(ex.kernels.ULA(0.05))
DENOISING = ex.objectives.DenoisingScoreMatching(0.3)


def parabola(params, x):
    return -jnp.exp(params) * jnp.sum(x**2)


def slope(params, x):
    return jnp.sum(params * x)


def cubic(params, x):
    return 0.5 * jnp.sum(x**2) + jnp.sum(params * x**3)


def saddle(params, x):
    return 0.5 * x[0] ** 2 - params * x[1] ** 2


def heavy_tails(params, x):
    return 1.5 * jnp.log1p(jnp.sum((x - params) ** 2))


def far_away(params, x):
    return 0.5 * jnp.sum((x - params) ** 2)


def made(fn, params) -> ex.energies.AbstractEnergy:
    return ex.energy(fn, jnp.asarray(params), space=PLANE)


def trained(energy: ex.energies.AbstractEnergy, rows: np.ndarray, objective=CHAINS) -> ex.FitResult:
    learner = ex.Learner(energy, objective)
    return ex.fit(learner, rows, key=jax.random.key(0), num_steps=200, batch_size=16, log_every=15)


@pytest.mark.parametrize(
    ("fn", "params", "objective"),
    [(parabola, 0.0, CHAINS), (slope, [0.3, -0.2], SHORT_CHAINS), (cubic, [0.1, 0.05], DENOISING)],
)
def test_an_energy_that_is_unbounded_below(fn, params, objective) -> None:
    """Chains that run away, short ones that never get far, and scores that are seen at the data alone."""
    with pytest.raises(
        Diverged, match=r"step 2: The energy is unbounded below.*3 recoveries did not help.*a normal law"
    ):
        trained(made(fn, params), ROWS, objective)


def test_falls_that_rays_through_the_rows_do_not_show() -> None:
    """The saddle falls in two cones, of 11 degrees to either side of an axis along which no row lies."""
    assert outward_fall(made(saddle, 0.02), FLAT)["outward_fall"] > 1


@pytest.mark.parametrize(("fn", "params"), [(heavy_tails, [0.0, 1.0]), (far_away, [1e3, 1e3])])
def test_laws_are_no_false_alarm(fn, params) -> None:
    """Tails without a mean, and a well a thousand times as far away as the data reach."""
    assert outward_fall(made(fn, params), ROWS)["outward_fall"] < -10


def test_what_is_not_looked_at() -> None:
    """Confined energies cost nothing; chains of a fixed length from noise are a model without a law."""
    confined = ex.energies.MLP(2, hidden=(4,), key=jax.random.key(1))
    assert outward_fall(confined, ROWS) == {}
    assert outward_fall(ex.energies.Ising(3), np.ones((4, 3, 3))) == {}
    short = ex.objectives.Regularised(ex.objectives.ShortRun(ex.kernels.ULA(0.1), 8, 2), energy_l2=0.1)
    learner = ex.Learner(made(slope, [0.3, -0.2]), short)
    assert learner.look(learner, ROWS[:8]) == {}


def test_defects_of_the_look_are_seen(monkeypatch) -> None:
    """Rays that do not turn miss the saddle; a sphere as near as the data takes a law with a far well for none."""
    with monkeypatch.context() as patch:
        patch.setattr(_outside, "_TURNS", ())
        assert outward_fall(made(lambda p, x: saddle(p, x), 0.02), FLAT)["outward_fall"] < -10
    monkeypatch.setattr(_outside, "_DISTANCE", 10.0)
    assert outward_fall(made(lambda p, x: far_away(p, x), [1e3, 1e3]), ROWS)["outward_fall"] > 1


def test_rows_that_are_all_equal() -> None:
    """No density has them; energies would fall without end at one point."""
    with pytest.raises(DataError, match=r"All 300 rows are equal.*nothing to learn"):
        trained(ex.energies.MLP(2, hidden=(8,), key=jax.random.key(1)), np.ones_like(ROWS))
