"""log Z along an annealing path: the mean weight that particles have gathered at each of its levels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.special import logsumexp

from energax.sampling import Work


@dataclass(frozen=True)
class PathCurve:
    """Log Z(t) along a path, less log Z of its start.

    Attributes:
        ts: Levels in the order of the run, from 0 to 1 where it began at the base law.
        log_z: Log mean weight at each level. The mean weight is unbiased for Z(t)/Z(start).
        stderr: Its error bar from the spread of the weights, of independent groups where particles are resampled. It
            knows nothing of modes that no particle has met.
    """

    ts: Float[np.ndarray, " level"]
    log_z: Float[np.ndarray, " level"]
    stderr: Float[np.ndarray, " level"]


def path_curve(runs: Sequence[Work]) -> PathCurve:
    """Pool runs along the same levels, each of the same size.

    Exactness: unbiased means of weights; error bars to first order in their relative variance.

    Args:
        runs: What `anneal` returned.
    """
    means = np.concatenate([run.level_log_z for run in runs], axis=1)
    log_z = _log_mean(means)
    if any(run.num_resamplings.any() for run in runs):
        squares, num = _log_mean(2.0 * means), means.shape[1]
    else:
        # The mean square of n weights is their squared mean over their relative effective size.
        pooled = np.stack([_log_mean(run.level_log_z) for run in runs], axis=1)
        with np.errstate(divide="ignore"):
            squares = _log_mean(2.0 * pooled - np.log(np.stack([run.ess for run in runs], axis=1)))
        num = sum(run.log_weights.size for run in runs)
    with np.errstate(over="ignore", invalid="ignore"):
        spread = np.maximum(np.expm1(squares - 2.0 * log_z), 0.0)
        return PathCurve(runs[0].ts, log_z, np.sqrt(spread / max(num - 1, 1)))


def _log_mean(values: Float[np.ndarray, "level run"]) -> Float[np.ndarray, " level"]:
    return np.asarray(logsumexp(values, axis=1)) - np.log(values.shape[1])
