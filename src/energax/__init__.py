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
    "kernels",
    "objectives",
    "paths",
    "random",
    "report",
    "runs",
    "sampling",
    "spaces",
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
    from energax import (
        data,
        densities,
        energies,
        estimators,
        evaluation,
        exact,
        kernels,
        objectives,
        paths,
        random,
        report,
        runs,
        sampling,
        spaces,
        testing,
        training,
    )
    from energax._errors import EnergaxError
    from energax.energies import energy
    from energax.estimators import Estimate, Interval
    from energax.evaluation import log_z
    from energax.runs import load
    from energax.sampling import Samples, Work, anneal, replica_exchange, sample
    from energax.training import FitResult, Learner, fit
