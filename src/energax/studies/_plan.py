"""What a comparison of objectives is: data, so that it can be stored, continued and repeated."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Sequence
from typing import Any, ClassVar

from energax import runs
from energax._errors import ArgumentError, DataError, EnergaxError, MissingExtra
from energax.runs import AbstractPlan, RunConfig


@dataclasses.dataclass(frozen=True)
class Comparison(AbstractPlan):
    """One question: how well each objective learns the same data with the same means.

    Attributes:
        data: Name of a data set, or a path.
        objectives: Names of those that are compared.
        left_out: Names of the others, each with the reason.
        seeds: Number of runs of each; run k has the seed k, for its data as for everything else.
        budget: Seconds of training of each run after compilation; None where updates are counted.
        num_steps: Updates of each run; None where seconds are.
        model: Name of the model; None for the one that fits the data.
    """

    kind: ClassVar[str] = "study"
    file: ClassVar[str] = "study.json"

    data: str
    objectives: tuple[str, ...]
    left_out: dict[str, str]
    seeds: int = 5
    budget: float | None = 30.0
    num_steps: int | None = None
    model: str | None = None

    def configuration(self, objective: str, seed: int, num_steps: int) -> RunConfig:
        """The run of one objective and seed."""
        return self.planned(objective, seed, {"num_steps": num_steps})[0]

    def planned(self, objective: str, seed: int = 0, training: dict[str, Any] | None = None) -> Any:
        """Configuration and data of one objective."""
        return runs.plan(self.data, model=self.model, objective=objective, seed=seed, training=training)

    @property
    def command(self) -> str:
        """The command that asks for it."""
        parts = ["energax", "compare-objectives", self.data, "--objectives", ",".join(self.objectives)]
        parts += ["--seeds", str(self.seeds)]
        parts += ["--num-steps", str(self.num_steps)] if self.num_steps else ["--budget", f"{self.budget:g}s"]
        return shlex.join(parts + (["--model", self.model] if self.model else []))


def plan_comparison(
    data: str,
    *,
    objectives: Sequence[str] | None = None,
    seeds: int = 5,
    budget: float | None = 30.0,
    num_steps: int | None = None,
    model: str | None = None,
) -> Comparison:
    """A complete comparison: every objective that fits the data, unless some are named.

    Args:
        data: Name of a data set, or a path.
        objectives: Names; None for all that fit.
        seeds: Number of runs of each.
        budget: Seconds of training of each run.
        num_steps: Updates of each run, instead of seconds.
        model: Name of the model; None for the one that fits the data.

    Raises:
        ArgumentError: A name is unknown, a number out of range, or a named objective does not fit.
        DataError: The data cannot be used.
    """
    if seeds < 1 or (num_steps is not None and num_steps < 1) or (budget is not None and not 0 < budget < 1e9):
        raise ArgumentError(
            f"--seeds, --num-steps and --budget must be positive, got {seeds}, {num_steps} and {budget}."
        )
    for name in objectives or ():
        runs.entry("objective", name)
    names = tuple(dict.fromkeys(objectives or runs.OBJECTIVES))
    runs.plan(data, model=model)  # What is wrong with the data is not a matter of any objective.
    found = Comparison(data, names, {}, seeds, None if num_steps else budget, num_steps, model)
    fitting, left_out = [], {}
    for name in names:
        try:
            found.planned(name)
        except DataError:
            raise
        except (EnergaxError, MissingExtra) as error:
            if objectives is not None:
                raise
            left_out[name] = str(error)
        else:
            fitting.append(name)
    return dataclasses.replace(found, objectives=tuple(fitting), left_out=left_out)
