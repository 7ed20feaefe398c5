"""What a model without structure gets on the same test rows."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from energax.data import AbstractTransform
from energax.densities import bernoulli_fit
from energax.spaces import AbstractSpace, Binary, Euclidean


@dataclasses.dataclass(frozen=True)
class Baseline:
    """A normalised law fitted to the training rows in closed form, judged on the test rows.

    Attributes:
        name: Which law.
        test_log_likelihood: Mean over the test rows, nats in the user's units.
        stderr_test: Standard error of that mean over test rows.
        note: What was done to make it exist, empty if nothing.
    """

    name: str
    test_log_likelihood: float
    stderr_test: float
    note: str = ""

    def to_json(self) -> dict[str, Any]:
        """Plain dictionary for `json.dumps`."""
        return dataclasses.asdict(self)

    def __str__(self) -> str:
        return f"{self.name}: {self.test_log_likelihood:.4g} ± {self.stderr_test:.2g} nats"


def baselines(
    train: ArrayLike, test: ArrayLike, space: AbstractSpace, transform: AbstractTransform | None = None
) -> list[Baseline]:
    """The honest baselines of a space: independent Bernoulli and uniform for 0/1 data, full Gaussian for real data.

    Args:
        train: Training rows as the model sees them, shape (n, *event).
        test: Test rows, shape (m, *event).
        space: The observed space of the model.
        transform: The data's transform, whose log-determinant brings likelihoods to the user's units.

    Returns:
        Baselines, best first; none for spaces without an obvious one.
    """
    rows, held_out = (np.asarray(a, np.float64).reshape(len(np.asarray(a)), -1) for a in (train, test))
    if isinstance(space, Binary):
        law = bernoulli_fit(rows)
        logits = np.asarray(law.logits, np.float64)
        log_p = held_out @ logits - np.logaddexp(0, logits).sum()
        uniform = np.full(len(held_out), -rows.shape[1] * math.log(2))
        found = [_judged("independent Bernoulli", log_p), _judged("uniform", uniform)]
    elif isinstance(space, Euclidean):
        log_det = 0.0 if transform is None else np.asarray(transform.log_det(np.asarray(test)), np.float64)
        log_p, note = _gaussian(rows, held_out)
        found = [_judged("full Gaussian", log_p + log_det, note)]
    else:
        found = []
    return sorted(found, key=lambda b: -b.test_log_likelihood)


def _gaussian(
    rows: Float[np.ndarray, "n d"], held_out: Float[np.ndarray, "m d"]
) -> tuple[Float[np.ndarray, " m"], str]:
    """Log-density of test rows under the normal law fitted to the training rows, shrunk only if it is singular."""
    mean, covariance = rows.mean(0), np.atleast_2d(np.cov(rows, rowvar=False))
    note = ""
    values, vectors = np.linalg.eigh(covariance)
    if values[0] <= 1e-10 * values[-1]:
        share = 0.01
        covariance = (1 - share) * covariance + share * values.mean() * np.eye(len(mean))
        values, vectors = np.linalg.eigh(covariance)
        note = f"The covariance is singular and was shrunk by {share:.0%} towards a multiple of the identity."
    white = (held_out - mean) @ vectors / np.sqrt(values)
    constant = -0.5 * (np.log(values).sum() + len(mean) * math.log(2 * math.pi))
    return constant - 0.5 * (white**2).sum(1), note


def _judged(name: str, log_p: np.ndarray, note: str = "") -> Baseline:
    stderr = float(log_p.std(ddof=1) / math.sqrt(len(log_p))) if len(log_p) > 1 else math.nan
    return Baseline(name, float(log_p.mean()), stderr, note)
