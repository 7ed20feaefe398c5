"""What stands behind one name of a comparison of models: how it is built for some data, and how it learns."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from energax._typing import Configuration, PRNGKey, Scalar
from energax.data import Data
from energax.kernels import AbstractKernel
from energax.objectives import AbstractObjective, Metrics, model_sample
from energax.studies._restore import Restore
from energax.systems import Calibration, CalibrationLearner
from energax.training import AbstractLearner, Learner

_WARM_UP = 100.0
_CLIP = 10.0
_CALIBRATED = 5_000
"""The most updates with calibration, those of `energax fit`: after 26,000 of MNIST draws were of few kinds again."""


@dataclasses.dataclass(frozen=True)
class Recipe:
    """An untrained model and how it learns.

    Attributes:
        model: A generator, or an energy.
        objective: What it learns from.
        learning_rate: Of Adam, before its decay to zero over the run; constant with a calibration, whose draws a
            decay made worse in short runs (density of 8gaussians 0.77 for 0.87, Fréchet distance of digits 51 for 46).
        momentum: β₁ of Adam; 0 for games.
        batch_size: Rows of a batch.
        ema_decay: Of the moving average of the parameters, which is what is judged.
        companions: Learning rates of what the objective trains beside the model.
        kernel: What draws from an energy; None for generators.
        calibration: How an energy calibrates the draws of the generator, in the second half of the updates and at most
            in the last 5,000.
        optimizer: In the place of Adam, at a constant rate; the decay is the same.
        persistent: Whether draws go on from the chains that `PersistentCD` trained with; else they are annealed.
    """

    model: Any
    objective: AbstractObjective
    learning_rate: float = 1e-3
    momentum: float = 0.9
    batch_size: int = 256
    ema_decay: float = 0.999
    companions: Mapping[str, float] = dataclasses.field(default_factory=dict)
    kernel: AbstractKernel | None = None
    calibration: Calibration | None = None
    optimizer: optax.GradientTransformation | None = None
    persistent: bool = False

    def learner(self, num_steps: int, *, share: float | None = None) -> AbstractLearner:
        """The learner of a run of so many updates; another number does not compile again.

        Args:
            num_steps: Updates of the run.
            share: Part of them with the calibration, if there is one; by default as `calibration` says.
        """
        optimizer = self.optimizer or _adam(self.learning_rate, self.momentum)
        if self.calibration is not None:
            calibrated = min(num_steps // 2, _CALIBRATED) if share is None else int(share * num_steps)
            late = dataclasses.replace(self.calibration, pretrain=jnp.asarray(num_steps - calibrated))
            return CalibrationLearner(self.model, self.objective, late, optimizer=optimizer, ema_decay=self.ema_decay)
        return Learner(
            self.model,
            Paced(self.objective, jnp.asarray(num_steps, jnp.float32)),
            optimizer=optimizer,
            ema_decay=self.ema_decay,
            companion_optimizers={name: _adam(rate, self.momentum) for name, rate in self.companions.items()},
        )

    def num_steps(self, seconds: float, plain: float, calibrated: float) -> int:
        """Updates of a run of some seconds, from updates a second without and with the calibration."""
        halves = 2 * seconds / (1 / plain + 1 / calibrated)
        if halves <= 2 * _CALIBRATED:
            return int(halves)
        return int(_CALIBRATED + (seconds - _CALIBRATED / calibrated) * plain)

    def chains(self, state: Any) -> Configuration | None:
        """Where the persistent chains of a learner's state stand, None if draws do not begin there."""
        if not self.persistent:
            return None
        of_objective, _ = state.objective_state
        found = model_sample(of_objective)
        return None if found is None else found[0]


@dataclasses.dataclass(frozen=True)
class Family:
    """One name of the comparison.

    Attributes:
        name: What a user types.
        summary: One line on how it is built and trained.
        spaces: Which data it describes: ``"continuous"``, ``"binary"``, or both.
        build: From the data and a key to its recipe.
        can: What it answers, a sentence or two.
        cannot: What it does not.
        on_pixels: Whether images come to it with their axes.
        as_logits: Whether grey images come to it as logits, vectors.
        needs: A package that has to be installed, with the extra that brings it.
        shows_means: Whether pictures show the mean that a latent stands for, without the noise of a draw.
        restore: How it takes noise from rows; None where it has no answer.
    """

    name: str
    summary: str
    spaces: frozenset[str]
    build: Callable[[Data, PRNGKey], Recipe]
    can: str
    cannot: str
    on_pixels: bool = False
    as_logits: bool = False
    needs: tuple[str, str] | None = None
    shows_means: bool = False
    restore: Restore | None = None


class Paced(AbstractObjective):
    """An objective whose updates begin small and shrink to nothing: ½ (1 + cos πt/n) of the optimiser's at update t.

    The number n is an array, so that a run of another length shares its compilation.

    Args:
        objective: What is learned from.
        num_steps: n.
    """

    objective: AbstractObjective
    num_steps: Float[Array, ""]

    def check(self, energy: Any) -> None:
        self.objective.check(energy)

    def init(self, energy: Any, batch: Configuration, *, key: PRNGKey) -> tuple[Any, Array]:
        return self.objective.init(energy, batch, key=key), jnp.zeros((), jnp.float32)

    def loss(
        self, energy: Any, batch: Configuration, state: tuple[Any, Array], *, key: PRNGKey
    ) -> tuple[Scalar, tuple[tuple[Any, Array], Metrics]]:
        inner, t = state
        loss, (inner, metrics) = self.objective.loss(energy, batch, inner, key=key)
        done = jnp.minimum(t / self.num_steps, 1.0)
        warm = jnp.minimum((t + 1) / jnp.minimum(_WARM_UP, 1 + self.num_steps / 10), 1.0)
        pace = metrics.get("pace", 1.0) * warm * 0.5 * (1 + jnp.cos(jnp.pi * done))
        return loss, ((inner, t + 1), {**metrics, "pace": jax.lax.stop_gradient(pace)})


@functools.cache
def _adam(rate: float, momentum: float) -> optax.GradientTransformation:
    """The same settings give the same object, so that runs share their compilation."""
    return optax.chain(optax.clip_by_global_norm(_CLIP), optax.adam(rate, b1=momentum, b2=0.999 if momentum else 0.9))
