"""`calibrate`: teach a trained generator by an energy."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import optax

from energax._typing import PRNGKey
from energax.densities import AbstractGenerator
from energax.generative import ELBO, VAE, MaximumLikelihood, critic
from energax.objectives import AbstractObjective
from energax.systems.calibration._constraint import Calibration
from energax.systems.calibration._learner import CalibrationLearner
from energax.systems.calibration._model import Calibrated
from energax.training import FitResult, fit


def calibrate(
    generator: Any,
    data: Any,
    *,
    key: PRNGKey,
    num_steps: int,
    calibration: Calibration | None = None,
    energy: Any = None,
    objective: AbstractObjective | None = None,
    noise: bool = False,
    optimizer: optax.GradientTransformation | None = None,
    energy_optimizer: optax.GradientTransformation | None = None,
    ema_decay: float | None = 0.999,
    **options: Any,
) -> FitResult:
    """Train a generator on, so that an energy can no longer tell its draws from data.

    The generator keeps its own loss: the evidence lower bound of a VAE, the likelihood of a flow. One without a
    likelihood, such as a `generative.PushForward` around a function of the user's, only follows its calibrated draws.

    Cost: see `CalibrationLearner`.

    Args:
        generator: A trained generator of real numbers with a latent.
        data: As in `training.fit`.
        key: Typed random key.
        num_steps: Updates.
        calibration: Constraint, Langevin steps, weights; None: `Calibration.scaled` to the data.
        energy: E before training, any pytree that maps a configuration to a number; a dense critic if None.
        objective: The generator's own loss where it is another.
        noise: Calibrate draws that have the generator's own noise, and draw so later; see `Calibrated`.
        optimizer: As in `CalibrationLearner`.
        energy_optimizer: As in `CalibrationLearner`.
        ema_decay: As in `CalibrationLearner`.
        **options: Of `training.fit`: `batch_size`, `directory`, `resume` ...

    Returns:
        As `training.fit`; its `energy` is a `Calibrated`, whose `generator` is the one to use on its own.

    Raises:
        ArgumentError: The generator has no latent, or makes no real numbers.

    Example:
        >>> import jax, numpy as np
        >>> from energax import generative, systems
        >>> made = generative.PushForward(2, latent_dim=2, hidden=(8,), key=jax.random.key(0))
        >>> data = np.random.default_rng(0).normal(size=(64, 2)).astype(np.float32)
        >>> run = systems.calibrate(made, data, key=jax.random.key(1), num_steps=2, batch_size=32)
        >>> run.energy.draw(key=jax.random.key(2)).shape
        (2,)

    References:
        [luo2024]
    """
    made = jax.random.fold_in(key, 1)
    network = critic(generator.space.shape, key=made) if energy is None else energy
    learner = CalibrationLearner(
        Calibrated(generator, network, noise=noise),
        own_objective(generator) if objective is None else objective,
        Calibration.scaled(spread(data), generator.space.num_sites) if calibration is None else calibration,
        optimizer=optimizer,
        energy_optimizer=energy_optimizer,
        ema_decay=ema_decay,
    )
    return fit(learner, data, key=key, num_steps=num_steps, **options)


def own_objective(generator: AbstractGenerator) -> AbstractObjective | None:
    """What a generator learns by on its own: its likelihood or a bound of it; None where it has neither."""
    if isinstance(generator, VAE):
        return ELBO()
    return None if generator.likelihood == "none" else MaximumLikelihood()


def spread(data: Any) -> float:
    """Standard deviation of an entry of the data about its own mean, over up to 10,000 rows."""
    count = len(data)
    some = np.linspace(0, count - 1, min(count, 10_000)).astype(np.int64)
    rows = np.asarray(data.take(some) if hasattr(data, "take") and not isinstance(data, np.ndarray) else data[some])
    return float(np.sqrt(np.asarray(rows, np.float64).var(axis=0).mean()))
