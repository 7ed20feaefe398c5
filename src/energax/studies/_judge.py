"""What is measured of every trained model of a study, in the same way."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import numpy as np

from energax import evaluation, exact
from energax._typing import PRNGKey
from energax.data import Data
from energax.densities import AbstractDensity
from energax.energies import AbstractEnergy, marginal, observed_space
from energax.estimators import mmd
from energax.runs import Run
from energax.spaces import AbstractDiscreteSpace

_NUM_FRESH = 20_000
_NUM_COMPARED = 1_000
_LOG_Z_BUDGET = 2_000_000


def judge(run: Run) -> dict[str, Any]:
    """The numbers of one trained model.

    Where the density of the data is known and planar: KL(truth‖model) on fresh draws, with log Z by quadrature, and
    the same by quadrature throughout. Otherwise the mean log-likelihood of the test rows as an interval. Beside it the
    squared MMD between draws of the model and test rows, and between training and test rows.
    """
    data, energy = run.data, run.energy
    kl_key, draw_key = jax.random.split(run.key("evaluate"))
    test = np.asarray(data.test.take(np.arange(min(len(data.test), _NUM_COMPARED))))
    train = run.training_rows(_NUM_COMPARED)
    if data.density is not None:
        found = divergence(data.density, energy, key=kl_key)
        draws = np.asarray(exact.draw(energy, key=draw_key, num=_NUM_COMPARED))
    else:
        found = _likelihood(data, energy, run, kl_key)
        samples = run.draw(_NUM_COMPARED, key=draw_key, max_chains=100, num_warmup=200)
        draws = np.asarray(samples.x).reshape(-1, *samples.x.shape[2:])[:_NUM_COMPARED]
    kernel = "exponential-hamming" if isinstance(observed_space(energy), AbstractDiscreteSpace) else "gaussian"
    between = mmd(draws, test, kernel)
    yardstick = mmd(train, test, kernel, between.diagnostics["bandwidth"])
    return {**found, "mmd_squared": between.value, "mmd_squared_of_training_rows": yardstick.value}


def divergence(truth: AbstractDensity, energy: AbstractEnergy, *, key: PRNGKey) -> dict[str, Any]:
    """KL(truth‖model) on fresh draws of the truth, with its standard error, and by quadrature."""
    log_z = exact.quadrature_log_z(marginal(energy)).value
    gaps = np.asarray(_gaps(truth, energy, jax.random.split(key, _NUM_FRESH)), np.float64) + log_z
    return {
        "kl": float(gaps.mean()),
        "kl_stderr": float(gaps.std(ddof=1) / np.sqrt(gaps.size)),
        "kl_quadrature": evaluation.kl_on_grid(truth, energy).value,
    }


@eqx.filter_jit
def _gaps(truth: AbstractDensity, energy: AbstractEnergy, keys: jax.Array) -> jax.Array:
    """Log p + E at each draw of the truth: log p/q up to log Z."""
    observed = marginal(energy)

    def one(key: jax.Array) -> jax.Array:
        x = truth.draw(key=key)
        return truth.log_prob(x) + observed(x)

    return jax.vmap(one)(keys)


def _likelihood(data: Data, energy: AbstractEnergy, run: Run, key: PRNGKey) -> dict[str, Any]:
    found = evaluation.log_likelihood(
        energy,
        np.asarray(data.test.array()),
        key=key,
        data=run.training_rows(),
        transform=data.transform,
        budget=_LOG_Z_BUDGET,
    )
    return {"log_likelihood": found.interval.to_json(), "unit": found.unit, "warnings": list(found.warnings)}
