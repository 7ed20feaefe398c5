"""The one pytree that a run is."""

from __future__ import annotations

from typing import Any

import equinox as eqx
from jaxtyping import Array, Int, PyTree

from energax._typing import Scalar


class TrainState(eqx.Module):
    """Everything that changes while a model is trained; saving it saves the run.

    Attributes:
        energy: The current model.
        opt_state: Memory of the optimiser.
        ema: Moving average of the trained arrays, None in the place of everything else; None if there is no average.
        objective_state: Memory of the objective: positions of chains, never caches.
        step: Number of updates made.
        learning_rate_scale: Factor on every update; each recovery makes it smaller.
        num_recoveries: How often the run went back to an earlier state.
        companions: What the objective trains beside the model, by name.
        companion_opt_states: Memory of their optimisers, by name.
    """

    energy: Any
    opt_state: PyTree[Any]
    ema: PyTree[Any]
    objective_state: PyTree[Any]
    step: Int[Array, ""]
    learning_rate_scale: Scalar
    num_recoveries: Int[Array, ""]
    companions: dict[str, Any] = eqx.field(default_factory=dict)
    companion_opt_states: dict[str, PyTree[Any]] = eqx.field(default_factory=dict)
