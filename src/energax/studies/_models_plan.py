"""What a comparison of models is: data, so that it can be stored, continued and repeated."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from energax._errors import ArgumentError, DataError, MissingExtra
from energax.data import Composed, Data, Standardize, in_logits, load
from energax.runs import AbstractPlan
from energax.studies._families import FAMILIES, family, require_fit

_LEAST_BUDGET = 5.0
_MOST_ROWS = 10_000


@dataclasses.dataclass(frozen=True)
class ModelComparison(AbstractPlan):
    """One question: what each family of models makes of the same data in the same time.

    Attributes:
        data: Name of a data set, or a path.
        models: Names of those that are compared.
        left_out: Names of the others, each with the reason.
        budget: Seconds of training of each run, after compilation.
        seeds: Number of runs of each; run k has the seed k, for its data as for everything else.
        binarize: View of grey images as 0/1 data: ``"threshold"``, ``"stochastic"`` or None.
    """

    kind: ClassVar[str] = "study"
    file: ClassVar[str] = "models.json"

    data: str
    models: tuple[str, ...]
    left_out: dict[str, str]
    budget: float = 300.0
    seeds: int = 3
    binarize: str | None = None

    @property
    def command(self) -> str:
        """The command that asks for it."""
        parts = ["energax", "compare", self.data, "--models", ",".join(self.models)]
        parts += ["--budget", f"{self.budget:g}s", "--seeds", str(self.seeds)]
        return shlex.join(parts + (["--binarize", self.binarize] if self.binarize else []))

    def view(self, model: str, seed: int) -> Data:
        """The data as one of the models sees them: near mean 0 and scale 1, images with their axes or as logits."""
        one = family(model)
        return view(self.data, self.binarize, seed, on_pixels=one.on_pixels, as_logits=one.as_logits)

    def common_view(self, seed: int) -> Data:
        """The data as draws of all models are judged: vectors, in units that do not depend on the model."""
        return view(self.data, self.binarize, seed, on_pixels=False)


def plan_models(
    data: str,
    *,
    models: Sequence[str] | None = None,
    budget: float = 300.0,
    seeds: int = 3,
    binarize: str | None = None,
) -> ModelComparison:
    """A complete comparison: every family of models that fits the data, unless some are named.

    Args:
        data: Name of a data set, or a path.
        models: Names; None for all that fit.
        budget: Seconds of training of each run.
        seeds: Number of runs of each.
        binarize: View of grey images as 0/1 data.

    Raises:
        ArgumentError: A name is unknown, a number out of range, or the budget too small to train anything.
        DataError: The data cannot be used, or not by a model that was named.
        MissingExtra: A named model needs a package that is not installed.
    """
    if not 1 <= seeds <= 1000:
        raise ArgumentError(f"--seeds must lie between 1 and 1000, got {seeds}.")
    if not _LEAST_BUDGET <= budget < 1e9:
        raise ArgumentError(f"A budget of {budget:g} s trains nothing: give each run at least {_LEAST_BUDGET:g} s.")
    names = tuple(dict.fromkeys(models if models is not None else FAMILIES))
    families = [family(name) for name in names]
    seen = view(data, binarize, 0, on_pixels=False)
    fitting, left_out = [], {}
    for one in families:
        try:
            require_fit(one, seen)
        except (DataError, MissingExtra) as error:
            if models is not None:
                raise
            left_out[one.name] = str(error)
        else:
            fitting.append(one.name)
    return ModelComparison(data, tuple(fitting), left_out, float(budget), seeds, binarize)


def view(source: str, binarize: str | None, seed: int, *, on_pixels: bool, as_logits: bool = False) -> Data:
    """The data of a comparison; laws of the plane, which come in their own units, are standardised."""
    data = load(source, binarize=binarize, seed=seed, flatten=not on_pixels)
    if data.density is not None:
        return standardised(data)
    return in_logits(data) if as_logits and data.num_levels is not None else data


def standardised(data: Data) -> Data:
    """The same rows with mean 0 and scale 1 in every column, and a transform that knows the way back."""
    rows = np.asarray(data.train.take(np.arange(min(len(data.train), _MOST_ROWS))), np.float64)
    transform = Composed((data.transform, Standardize(rows.mean(0), rows.std(0))))

    return data.seen_through(transform)
