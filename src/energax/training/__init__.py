"""Training: the learner, the loop, checkpoints, the log, and what happens when a run fails."""

from energax.training._centred import centred_gradient as centred_gradient
from energax.training._fit import fit as fit
from energax.training._learner import AbstractLearner as AbstractLearner
from energax.training._learner import Learner as Learner
from energax.training._learner import check_values as check_values
from energax.training._learner import moving_average as moving_average
from energax.training._learner import optimizer_step as optimizer_step
from energax.training._learner import own_copy as own_copy
from energax.training._metrics import Event as Event
from energax.training._metrics import read_metrics as read_metrics
from energax.training._optimizer import default_optimizer as default_optimizer
from energax.training._recovery import Recovery as Recovery
from energax.training._result import FitInfo as FitInfo
from energax.training._result import FitResult as FitResult
from energax.training._result import checkpoints as checkpoints
from energax.training._result import load_energy as load_energy
from energax.training._result import load_state as load_state
from energax.training._state import TrainState as TrainState
from energax.training._thermometer import Alarm as Alarm
from energax.training._thermometer import Thermometer as Thermometer

__all__ = [
    "AbstractLearner",
    "Alarm",
    "Event",
    "FitInfo",
    "FitResult",
    "Learner",
    "Recovery",
    "Thermometer",
    "TrainState",
    "centred_gradient",
    "check_values",
    "checkpoints",
    "default_optimizer",
    "fit",
    "load_energy",
    "load_state",
    "moving_average",
    "optimizer_step",
    "own_copy",
    "read_metrics",
]
