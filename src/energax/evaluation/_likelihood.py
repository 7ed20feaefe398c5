"""Test log-likelihood as an interval: that of log Z mirrored, in the user's units."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from energax._errors import Diverged
from energax._typing import Configuration, PRNGKey
from energax.data import AbstractTransform
from energax.energies import AbstractEnergy, marginal, observed_space
from energax.estimators import Interval
from energax.evaluation._checkpoints import log_z_from_checkpoints
from energax.evaluation._log_z import log_z
from energax.evaluation._result import LogZ
from energax.evaluation._rows import all_rows


@dataclasses.dataclass(frozen=True, repr=False)
class LogLikelihood:
    """Mean log-likelihood of test rows.

    Attributes:
        interval: Holds mean_rows(−E(x)) − log Z at its level: the interval of log Z mirrored, so that its lower end
            has the kind of log Z's upper one. It says nothing of other test rows.
        stderr_test: Standard error of the mean over test rows, a separate number that is never part of the width.
        log_z: The log Z behind it.
        unit: ``"nats"`` for each row, in the user's units.
        num_test: Number of test rows.
        warnings: Sentences for the reader.
    """

    interval: Interval
    stderr_test: float
    log_z: LogZ
    unit: str
    num_test: int
    warnings: tuple[str, ...]

    def __str__(self) -> str:
        return (
            f"{self.interval} {self.unit} a row; ± {self.stderr_test:.2g} over {self.num_test} test rows "
            f"({self.log_z.measure} measure)"
        )

    def __repr__(self) -> str:
        said = "".join(f"\n  warning: {text}" for text in self.warnings)
        return f"LogLikelihood({self}){said}"


def log_likelihood(
    energy: AbstractEnergy,
    test: Any,
    *,
    data: Any = None,
    transform: AbstractTransform | None = None,
    checkpoints: Sequence[AbstractEnergy] = (),
    progress: Callable[[int, int], None] | None = None,
    key: PRNGKey,
    **options: Any,
) -> LogLikelihood:
    """Interval for the mean log-likelihood of test rows, mean(−E(x)) − log Z + mean log-determinant.

    Args:
        energy: The model; hidden parts are summed out.
        test: Held-out rows, an array (n, *event) or a split of `energax.data`.
        data: Training rows, from which the base law is fitted and one family of chains starts; without them the
            model is judged from annealing and from a search for modes.
        transform: The data's transform: its log-determinant is added, so that nats are in the user's units.
        checkpoints: Earlier models of the same run, oldest first: log Z is found along them, by
            `log_z_from_checkpoints`.
        progress: As in `log_z`.
        key: Typed random key.
        **options: Passed to `log_z`: `level`, `width`, `budget`, `kernel`, `base`, `exact` ...

    Raises:
        NotTractable: log Z is refused (see `log_z`).
        Diverged: The energy of a test row is not finite.
        ArgumentError: No test rows, or some outside the space.
    """
    values, log_dets = [], []
    for rows in all_rows(test, observed_space(energy), name="test"):
        values.append(np.asarray(_energies(energy, jax.tree.map(jnp.asarray, rows)), np.float64))
        if transform is not None:
            log_dets.append(np.asarray(transform.log_det(np.asarray(rows)), np.float64))
    at_rows = -np.concatenate(values)
    if not np.isfinite(at_rows).all():
        bad = int((~np.isfinite(at_rows)).sum())
        raise Diverged(
            f"The energy of {bad} of {at_rows.size} test rows is not finite (first: row "
            f"{int(np.argmin(np.isfinite(at_rows)))}), so the likelihood is not defined."
        )
    if log_dets:
        at_rows = at_rows + np.concatenate(log_dets)
    count = at_rows.size
    # After the rows: what is wrong with them need not wait for the expensive part.
    options |= {"data": data, "progress": progress, "key": key}
    found = log_z_from_checkpoints([*checkpoints, energy], **options) if checkpoints else log_z(energy, **options)
    spread = float(at_rows.std(ddof=1) / math.sqrt(count)) if count > 1 else math.nan
    interval = found.interval.negated().shifted(float(at_rows.mean()))
    return LogLikelihood(interval, spread, found, "nats", count, found.warnings)


@eqx.filter_jit
def _energies(energy: AbstractEnergy, rows: Configuration) -> Float[Array, " row"]:
    return jax.vmap(marginal(energy))(rows)
