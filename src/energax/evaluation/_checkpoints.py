"""log Z of a trained model along the checkpoints of its training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from energax._errors import ArgumentError
from energax._typing import PRNGKey
from energax.densities import AbstractDensity, default_base
from energax.energies import AbstractEnergy, latent, observed_space
from energax.evaluation._fit_base import fit_base
from energax.evaluation._log_z import log_z
from energax.evaluation._result import LogZ
from energax.evaluation._rows import some_rows
from energax.paths import Trajectory

_MAX_ROWS = 10_000


def log_z_from_checkpoints(
    energies: Sequence[AbstractEnergy],
    *,
    base: AbstractDensity | None = None,
    data: Any = None,
    key: PRNGKey,
    **options: Any,
) -> LogZ:
    """Interval for log Z of the last of several models of one kind, annealed and tempered along the others.

    `log_z` along `paths.Trajectory`: annealing weights and swaps of replicas pass through the checkpoints, where the
    modes of the model parted while it was trained, instead of through its temperatures.

    Exactness: as `log_z`; the lower end is certified whatever the checkpoints are.

    Cost: as `log_z`.

    Args:
        energies: Models of one run, oldest first, such as `training.load_energy` reads for each of its checkpoints.
        base: Law from which the way to the first model starts; fitted to the data by default, else that of the space.
        data: As in `log_z`.
        key: Typed random key.
        **options: Passed to `log_z`: `level`, `width`, `budget`, `kernel`, `exact` ...

    Returns:
        `LogZ`; its `path` is log Z of the models on the way.

    Raises:
        ArgumentError: No models, or models that differ in more than their parameters.

    Example:
        >>> import jax
        >>> from energax import energies, evaluation
        >>> rbm = energies.RBM(6, 4, scale=1.0, key=jax.random.key(0))
        >>> run = [jax.tree.map(lambda leaf, s=s: s * leaf, rbm) for s in (0.0, 0.5, 1.0)]
        >>> found = evaluation.log_z_from_checkpoints(run, key=jax.random.key(1), budget=200_000)
        >>> found.interval.contains(found.exact)
        True

    References:
        [bereux2025], [neal2001]
    """
    if not energies:
        raise ArgumentError("log Z from checkpoints needs at least one model, the one that is asked about.")
    target = energies[-1]
    space = observed_space(target)
    if base is None and data is not None:
        rows = some_rows(data, space, most=_MAX_ROWS, name="data")
        base = fit_base(space, rows, independent=latent(target) is not None)
    path = Trajectory(default_base(space) if base is None else base, energies)
    return log_z(target, base=path, data=data, key=key, **options)
