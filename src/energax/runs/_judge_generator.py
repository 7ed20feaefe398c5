"""Judging a trained generator: its likelihood with what it is said to be, and independent draws."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from energax import evaluation
from energax._typing import PRNGKey
from energax.data import Data
from energax.generative import VAE
from energax.random import choose, generator_name
from energax.runs._registry import num_parameters
from energax.runs._run import Run
from energax.runs._shown import NUM_SHOWN, nearest_rows, spread_over
from energax.systems import Calibrated

_NUM_DRAWS = 8_192
_MOST_ROWS = 2_000
_BLOCK = 100


def judge_generator(
    run: Run, key: PRNGKey, budget: int | None, tell: Callable[[str, int, int], None]
) -> tuple[dict[str, Any], dict[str, np.ndarray], str]:
    """Likelihood of held-out rows as the model gives it, and the quality of its draws."""
    del budget
    ll_key, draw_key = jax.random.split(choose(key, "auto"))
    data, model = run.data, run.energy
    train, test = run.training_rows(), np.asarray(data.test.array())
    likelihood = _likelihood(model, data, ll_key, tell)
    tell("samples", 0, 1)
    draws, means = run.generate(_NUM_DRAWS, key=draw_key)
    quality = evaluation.sample_quality(draws, train, test, model.space)
    shown = means if data.image_shape is not None else draws
    places = spread_over(shown)
    result = {
        "data": run.config.data.source,
        "model": run.config.model["name"],
        "num_parameters": num_parameters(model),
        "num_test": len(test),
        "test_log_likelihood": likelihood,
        "baselines": [b.to_json() for b in evaluation.baselines(train, test, model.space, data.transform)],
        "sample_quality": quality.to_json(),
        "evaluations_per_draw": model.draw_evaluations,
        "warnings": list(quality.warnings),
    }
    arrays = {
        "data_sample": data.transform.inverse(test[:NUM_SHOWN]),
        "model_sample": data.transform.inverse(shown[places]),
        **nearest_rows(data, shown[places], train),
    }
    return result, arrays, generator_name(draw_key)


def _likelihood(model: Any, data: Data, key: PRNGKey, tell: Callable[[str, int, int], None]) -> dict[str, Any]:
    """The mean over held-out rows, in the user's units; a bound has no upper end.

    Draws of a calibrated autoencoder may lack the decoder's noise, which the law of its bound has: `of` says so.
    """
    count = min(len(data.test), _MOST_ROWS)
    rows = np.asarray(data.test.take(np.linspace(0, len(data.test) - 1, count).astype(np.int64)))
    values = []
    for start in range(0, count, _BLOCK):
        tell("likelihood", start, count)
        block = jnp.asarray(rows[start : start + _BLOCK])
        keys = jax.random.split(jax.random.fold_in(key, start), len(block))
        values.append(np.asarray(_log_likelihoods(model, block, keys), np.float64))
    at_rows = np.concatenate(values) + data.transform.log_det(rows)
    mean, kind = float(at_rows.mean()), model.likelihood
    exact = kind == "exact"
    inner = model.generator if isinstance(model, Calibrated) else model
    of = "the draws" if kind in ("exact", "bound") else "the autoencoder, whose draws have the decoder's noise"
    out = {
        "lower": mean,
        "upper": mean if exact else None,
        "lower_kind": "exact" if exact else "bound",
        "upper_kind": "exact" if exact else "none",
        "level": None,
        "stderr_test": float(at_rows.std(ddof=1) / math.sqrt(count)) if count > 1 else None,
        "unit": "nats",
        "num_rows": count,
        "of": of,
        "kind": f"importance-weighted bound, {inner.num_samples} samples" if isinstance(inner, VAE) else kind,
    }
    if data.level_step is not None:
        bits = data.bits_per_dim(mean)
        out["bits_per_dim"] = {"lower": bits if exact else None, "upper": bits, "dequantisation": "uniform"}
    return out


@eqx.filter_jit
def _log_likelihoods(model: Any, rows: jax.Array, keys: PRNGKey) -> jax.Array:
    return jax.vmap(lambda x, k: model.log_likelihood(x, key=k))(rows, keys)
