"""Held-out likelihood on digits: our default machine beside scikit-learn's with as many hidden units and passes."""

from __future__ import annotations

import math
import time

import jax
import jax.numpy as jnp
import numpy as np

import energax as ex

NAME = "digits-likelihood"
LEARNING_RATES = (0.1, 0.01, 0.003)


def run() -> list[dict]:
    config, data = ex.runs.plan("digits")
    train, test = np.asarray(data.train.array()), np.asarray(data.test.array())
    training = config.training
    passes = math.ceil(training.num_steps * training.batch_size / len(train))
    begin = time.perf_counter()
    model = fitted(config, data)
    rows = [judged("energax, default", model, train, test, time.perf_counter() - begin, passes)]
    for rate in LEARNING_RATES:
        begin = time.perf_counter()
        peer = theirs(train, config.model["hidden"], rate, passes)
        name = f"scikit-learn, rate {rate}{' (default)' if rate == 0.1 else ''}"
        rows.append(judged(name, peer, train, test, time.perf_counter() - begin, passes))
    return rows


def fitted(config: ex.runs.RunConfig, data: ex.data.Data) -> ex.energies.AbstractEnergy:
    key = jax.random.key(config.seed)
    energy = ex.runs.build_energy(config.model, data, key=jax.random.fold_in(key, 0))
    objective = ex.runs.build_objective(config.objective, ex.runs.build_kernel(config.kernel), data)
    training = config.training
    learner = ex.Learner(energy, objective, optimizer=ex.runs.optimizer(training, data), ema_decay=training.ema_decay)
    run = ex.fit(
        learner,
        data.train,
        key=jax.random.fold_in(key, 1),
        num_steps=training.num_steps,
        batch_size=training.batch_size,
    )
    return run.energy


def theirs(train: np.ndarray, hidden: int, rate: float, passes: int) -> ex.energies.RBM:
    from sklearn.neural_network import BernoulliRBM

    fit = BernoulliRBM(n_components=hidden, learning_rate=rate, n_iter=passes, random_state=0).fit(train)
    parts = (fit.components_.T, fit.intercept_visible_, fit.intercept_hidden_)
    return ex.energies.RBM.from_parameters(*(jnp.asarray(p, jnp.float32) for p in parts))


def judged(
    name: str, energy: ex.energies.AbstractEnergy, train: np.ndarray, test: np.ndarray, seconds: float, passes: int
) -> dict:
    found = ex.evaluation.log_likelihood(energy, test, data=train, key=jax.random.key(7))
    interval = found.interval
    return {
        "model": name,
        "lower": interval.lower,
        "upper": interval.upper,
        "kinds": f"{interval.lower_kind} / {interval.upper_kind}",
        "width": interval.width,
        "spread over test rows": found.stderr_test,
        "passes": passes,
        "training seconds": seconds,
    }
