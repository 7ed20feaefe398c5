"""energax: energy-based models in JAX. Define or learn an energy, draw from it, and trust the numbers.

The front door holds the grammar: drivers, the learner, value objects. The catalogue is in the subpackages
(`energies`, `kernels`, `objectives`, ...), which are imported when they are first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_SUBPACKAGES = (
    "data",
    "densities",
    "energies",
    "estimators",
    "evaluation",
    "exact",
    "generative",
    "kernels",
    "objectives",
    "paths",
    "random",
    "report",
    "runs",
    "sampling",
    "spaces",
    "systems",
    "testing",
    "training",
)

_FRONT_DOOR = {
    "EnergaxError": "_errors",
    "Estimate": "estimators",
    "FitResult": "training",
    "Interval": "estimators",
    "Learner": "training",
    "Samples": "sampling",
    "Work": "sampling",
    "anneal": "sampling",
    "energy": "energies",
    "fit": "training",
    "load": "runs",
    "log_z": "evaluation",
    "replica_exchange": "sampling",
    "sample": "sampling",
}

__all__ = ["__version__", *sorted([*_FRONT_DOOR, *_SUBPACKAGES])]  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name in _SUBPACKAGES:
        return importlib.import_module(f"energax.{name}")
    if name in _FRONT_DOOR:
        value = getattr(importlib.import_module(f"energax.{_FRONT_DOOR[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'energax' has no attribute {name!r}")


def __dir__() -> list[str]:
    return list(__all__)


if TYPE_CHECKING:
    from energax import data as data
    from energax import densities as densities
    from energax import energies as energies
    from energax import estimators as estimators
    from energax import evaluation as evaluation
    from energax import exact as exact
    from energax import generative as generative
    from energax import kernels as kernels
    from energax import objectives as objectives
    from energax import paths as paths
    from energax import random as random
    from energax import report as report
    from energax import runs as runs
    from energax import sampling as sampling
    from energax import spaces as spaces
    from energax import systems as systems
    from energax import testing as testing
    from energax import training as training
    from energax._errors import EnergaxError as EnergaxError
    from energax.energies import energy as energy
    from energax.estimators import Estimate as Estimate
    from energax.estimators import Interval as Interval
    from energax.evaluation import log_z as log_z
    from energax.runs import load as load
    from energax.sampling import Samples as Samples
    from energax.sampling import Work as Work
    from energax.sampling import anneal as anneal
    from energax.sampling import replica_exchange as replica_exchange
    from energax.sampling import sample as sample
    from energax.training import FitResult as FitResult
    from energax.training import Learner as Learner
    from energax.training import fit as fit
