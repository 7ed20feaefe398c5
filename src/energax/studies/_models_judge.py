"""What is measured of every trained model of a comparison, in the same way, within a bounded time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from energax import evaluation
from energax._typing import PRNGKey
from energax.data import Data
from energax.studies._subjects import AbstractSubject, in_time
from energax.studies._yardstick import NUM_DRAWS, Yardstick

_LEAST_DRAWS = 200
_NUM_FRESH = 20_000
_NUM_SHOWN = 400
_PRESENT = 0.2
"""A mode counts as covered from a fifth of its true mass on."""
_SHARES = {"draws": 0.35, "likelihood": 0.4}
"""Parts of the time for the judgement."""
_SETTLED = 0.005
"""Nats for each number of a row by which twice the steps of a solver may move its log-likelihood on average."""
_NUM_DOUBLINGS = 3


def judge_model(
    subject: AbstractSubject, data: Data, yardstick: Yardstick, *, key: PRNGKey, seconds: float
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The numbers of one trained model, and its draws.

    The log-likelihood is the mean over test rows in nats and the user's units; where the density of the data is known,
    over fresh draws of it, and KL(truth‖model) is the mean of log p/q over the same. More rows and draws are taken as
    the time allows. Where an equation is solved in equal steps, they are doubled until the log-likelihood stays, which
    the time does not bound; one that does not stay is none. Draws keep the steps that the model came with.

    Args:
        subject: The model.
        data: The data as it sees them.
        yardstick: What its draws are held against.
        key: Random key.
        seconds: About how long it may take, beyond what the least numbers of rows and draws need.
    """
    draw_key, rows_key, show_key = jax.random.split(key, 3)
    draws, milliseconds = in_time(
        lambda i: subject.draw(key=jax.random.fold_in(draw_key, i)), NUM_DRAWS,
        max(_LEAST_DRAWS, subject.chunk + 1),
        _SHARES["draws"] * seconds,
    )  # fmt: skip
    found: dict[str, Any] = {
        "draw_evaluations": subject.draw_evaluations,
        "milliseconds_per_draw": milliseconds,
        "num_draws": len(draws),
        **_likelihood(subject, data, _SHARES["likelihood"] * seconds, rows_key),
        **yardstick.measure(draws, data),
    }
    if data.density is not None:
        found |= mode_shares(data, draws)
    shown = subject.pictures(key=show_key)
    shown = (draws if shown is None else shown)[:_NUM_SHOWN]
    return found, {"draws": draws[:NUM_DRAWS], "shown": data.transform.inverse(shown)}


def mode_shares(data: Data, draws: np.ndarray) -> dict[str, Any]:
    """Modes that draws reach, and how far their shares are from the masses; nothing where there is one mode only."""
    assert data.density is not None, "the caller has seen that the density is known"
    rows = data.train.take(np.arange(min(len(draws), len(data.train))))
    found = [evaluation.mode_masses(data.density, None, data.transform.inverse(x)) for x in (draws, rows)]
    if None in found:
        return {}
    ratios, of_rows = (one.chains / one.truth for one in found if one is not None)
    return {
        "num_modes": len(ratios),
        "mode_coverage": float(np.mean(ratios >= _PRESENT)),
        "mode_mass_error": float(np.max(np.abs(ratios - 1))),
        "mode_mass_error_floor": float(np.max(np.abs(of_rows - 1))),
    }


def _likelihood(subject: AbstractSubject, data: Data, seconds: float, key: PRNGKey) -> dict[str, Any]:
    if subject.kind == "none":
        return {"likelihood_kind": "none"}
    interval = subject.interval(data, seconds=seconds, key=key)
    if interval is not None:
        told = {"likelihood_kind": subject.kind, "log_likelihood": _middle(interval), "interval": interval}
        return {**told, **_bits(data, _middle(interval))}
    rows_of = _fresh(data, key) if data.density is not None else _tested(data, subject.chunk)
    subject, shift = settled(subject, rows_of(0, subject.chunk)[0], key)
    solver = {} if shift is None else {"likelihood_shift": shift}
    if shift is not None and not shift <= _SETTLED * data.space.num_sites:
        return {"likelihood_kind": "none", **solver}
    most = _NUM_FRESH if data.density is not None else len(data.test)
    truths: list[np.ndarray] = []

    def call(i: int) -> np.ndarray:
        rows, truth = rows_of(i, subject.chunk)
        values = subject.log_prob(rows, key=jax.random.fold_in(key, 2 * i + 1))
        assert values is not None, "the kind is not none"
        truths.append(truth)
        return values + data.transform.log_det(rows)

    values, per_row = in_time(call, most, subject.chunk + 1, seconds)
    told = {
        "likelihood_kind": subject.kind,
        **solver,
        "log_likelihood": float(values.mean()),
        "log_likelihood_stderr": float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else None,
        "num_rows_judged": len(values),
        "milliseconds_per_likelihood": per_row,
        **_bits(data, float(values.mean())),
    }
    if data.density is None:
        return told
    gaps = np.concatenate(truths)[: len(values)] - values
    return {**told, "kl": float(gaps.mean()), "kl_stderr": float(gaps.std(ddof=1) / np.sqrt(len(gaps)))}


def settled(subject: AbstractSubject, rows: np.ndarray, key: PRNGKey) -> tuple[AbstractSubject, float | None]:
    """With as many steps as the log-likelihoods of rows need, and how far twice as many move them, in nats a row."""
    here, shift = None, None
    for _ in range(_NUM_DOUBLINGS):
        finer = subject.refined()
        if finer is None:
            break
        here = subject.log_prob(rows, key=key) if here is None else here
        there = finer.log_prob(rows, key=key)
        assert here is not None, "the kind is not none"
        assert there is not None, "nor is that of the finer one"
        shift = float(np.abs(there - here).mean())
        if shift <= _SETTLED * rows[0].size:
            break
        subject, here = finer, there
    return subject, shift


def _fresh(data: Data, key: PRNGKey) -> Callable[[int, int], tuple[np.ndarray, np.ndarray]]:
    """Fresh draws of the truth in the model's units, and their true log-densities in the user's."""
    assert data.density is not None
    law = data.density
    drawn = jax.jit(jax.vmap(lambda k: law.draw(key=k)))
    judged = jax.jit(jax.vmap(law.log_prob))

    def rows(i: int, count: int) -> tuple[np.ndarray, np.ndarray]:
        user = drawn(jax.random.split(jax.random.fold_in(key, 2 * i), count))
        seen = data.transform.forward(np.asarray(user, np.float64)).astype(np.float32)
        return seen, np.asarray(judged(user), np.float64)

    return rows


def _tested(data: Data, chunk: int) -> Callable[[int, int], tuple[np.ndarray, np.ndarray]]:
    """The test rows, whose law is not known."""

    def rows(i: int, count: int) -> tuple[np.ndarray, np.ndarray]:
        seen = np.asarray(data.test.take(np.arange(i * chunk, min(i * chunk + count, len(data.test)))))
        return seen, np.zeros(len(seen))

    return rows


def _middle(interval: dict[str, Any]) -> float | None:
    known = [
        interval[side] for side in ("lower", "upper") if interval[side] is not None and np.isfinite(interval[side])
    ]
    return float(np.mean(known)) if len(known) == 2 else None


def _bits(data: Data, log_likelihood: float | None) -> dict[str, Any]:
    """Bits for each pixel of grey images; the likelihood is in the user's units already."""
    if data.level_step is None or log_likelihood is None:
        return {}
    return {"bits_per_dim": data.bits_per_dim(log_likelihood)}
