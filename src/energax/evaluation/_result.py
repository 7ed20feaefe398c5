"""What `log_z` returns."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from jaxtyping import Float

from energax.estimators import Estimate, Interval
from energax.evaluation._path_curve import PathCurve
from energax.evaluation._thermodynamics import Thermodynamics


@dataclasses.dataclass(frozen=True)
class Works:
    """Work of annealing in both directions, with ΔF = −log Z.

    Attributes:
        forward: Work on each particle from the base to the model, nats.
        reverse: The same from the model to the base.
        tau_reverse: By how much the variance of the mean reverse weight exceeds that of independent draws.
    """

    forward: Float[np.ndarray, " particle"]
    reverse: Float[np.ndarray, " particle"]
    tau_reverse: float


@dataclasses.dataclass(frozen=True, repr=False)
class LogZ:
    """log Z of a model: a value, an interval whose ends say what they rest on, and what happened on the way.

    Attributes:
        value: Estimate of log Z in nats, from sampling.
        stderr: Its standard error, of the sampling only; NaN where the upper end is withheld.
        interval: The interval, from sampling unless exact ends were asked for.
        exact: log Z by enumeration, quadrature or a closed form where that was cheap, else None. Never used for
            `value`, nor for the interval unless that was asked for.
        measure: Reference measure of the observed space that Z refers to.
        diagnostics: Numbers by name.
        warnings: Sentences, each with what is wrong and what would help.
        method: What gave the value and the ends: ``"ais"``, ``"smc"``, ``"pt-mbar"``, ``"ti"``,
            ``"wang-landau"``, ``"multicanonical"`` or ``"exact"``.
        thermodynamics: Functions of β on the way there, except with ``"ais"``, ``"smc"`` and ``"exact"``; its β is a
            share of the energy's own.
        works: Work of both directions, with ``"ais"``; None where a weight is zero, or particles were resampled.
        path: Log Z along the path from the base law to the model, where that was the way.
    """

    value: float
    stderr: float
    interval: Interval
    exact: float | None
    measure: str
    diagnostics: dict[str, Any] = dataclasses.field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    method: str = "ais"
    thermodynamics: Thermodynamics | None = None
    works: Works | None = None
    path: PathCurve | None = None

    def curve(self, num_points: int = 41) -> dict[str, Any] | None:
        """Log Z on the way to the model, None where the method has no way.

        Args:
            num_points: Points of the curve, at most.

        Returns:
            ``kind``, which is ``"tempering"`` where log Z is that of t E, and ``"annealing"`` where t is the place on
            the annealing path; and the lists ``t``, ``value``, ``stderr``.
        """
        if self.thermodynamics is not None:
            ts = np.linspace(0.0, 1.0, num_points)
            kind, (value, stderr) = "tempering", self.thermodynamics.curve(ts)["log_z"]
        elif self.path is not None:
            some = np.unique(np.linspace(0, len(self.path.ts) - 1, num_points).astype(int))
            kind, ts = "annealing", self.path.ts[some]
            value, stderr = self.path.log_z[some], self.path.stderr[some]
        else:
            return None
        return {"kind": kind, "t": ts.tolist(), "value": value.tolist(), "stderr": stderr.tolist()}

    def to_json(self) -> dict[str, Any]:
        """Plain dictionary for `json.dumps`; NaN and infinities become None."""
        value = Estimate(self.value, self.stderr, float("nan"), "log_z", self.diagnostics, ("see warnings",)).to_json()
        return {
            "value": value["value"],
            "stderr": value["stderr"],
            **self.interval.to_json(),
            "exact": self.exact,
            "measure": self.measure,
            "method": self.method,
            "diagnostics": value["diagnostics"],
            "warnings": list(self.warnings),
        }

    def __str__(self) -> str:
        about = Estimate(self.value, self.stderr, float("nan"), "log_z", {}, ("see warnings",))
        exact = "" if self.exact is None else f"; exact {self.exact:.6g}"
        return f"log Z = {about} nats, in {self.interval} ({self.measure} measure{exact})"

    def __repr__(self) -> str:
        said = "".join(f"\n  warning: {text}" for text in self.warnings)
        return f"LogZ({self}){said}"
