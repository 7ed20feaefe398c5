"""Notices that a run fails, from its stream of metrics alone."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

_PATIENCE_WINDOWS = 3
_PATIENCE_STEPS = 30
_MEMORY = 50
_WATCHED = ("energy_gap", "loss", "ess", "saturation")

_UNBOUNDED_FALL = 1.0
_EXPLODED_UNITS = 5.0
_EXPLODED_GROWTH = 10.0
_SHORT_HISTORY = 5
_EXPLODED_GROWTH_AT_FIRST = 100.0
_DEAD_ACCEPT_PROB = 0.01
_DEAD_MOVED = 1e-5
_DEAD_DRAWS = 1.0
_DEAD_COLLAPSE = 0.01
_SATURATED = 0.9
_UNSATURATED = 0.75


@dataclasses.dataclass(frozen=True)
class Alarm:
    """A failure of a run.

    Attributes:
        kind: ``"nonfinite"``, ``"unbounded_energy"``, ``"exploding_energy_gap"``, ``"exploding_loss"``,
            ``"dead_chains"`` or ``"saturated_samples"``.
        began: Update at which it began: exact for values that are not finite, else the first update of the first
            window that showed it.
        message: One sentence.
    """

    kind: str
    began: int
    message: str


class Thermometer:
    """Reads the lines of the log, each a mean over a window of updates, and raises alarms.

    A value that is not finite raises one at once. All other rules must hold in 3 windows in a row, and for at least
    30 updates (`delay`), so that no single batch can raise them. The history of a metric are its last 50 windows
    that looked healthy; the very first line, made before any update, belongs to it.

    * ``unbounded_energy``: `outward_fall` above a nat: far outside the data the energy is lower than at any of them and
      still falls, so that it has no law, which objectives that never go there do not notice.
    * ``exploding_energy_gap``: |gap between data and chains| > max(5 s, 10 median |history|), with s the natural scale
      of the model: one nat for each entry of a configuration (100 median while the history is shorter than 5). In
      equilibrium the gap of a discrete model is
      S(model) − S(data) − KL(data‖model), at most the entropy of the uniform law, about s; healthy runs stay far
      below. ``exploding_loss`` is the same rule for the loss where there is no gap.
    * ``dead_chains``: acceptance below 0.01 (unless the step size is still being adapted); or less than one site in
      100,000 changed by an update (for real numbers: displacements below 10⁻⁵ of the spread of the data); or all
      chains together are worth less than one independent draw in a window, and less than a hundredth of the median
      of the history.
    * ``saturated_samples``: more than 90 % of the entries that vary in the data hardly vary among the chains, where
      the history has a median below 75 %.

    A metric that a row does not have is not judged.

    Args:
        scale: s.
        log_every: Updates in a window.
        memory: What `memory` of another thermometer returned, to go on where it was.
    """

    def __init__(self, scale: float, *, log_every: int, memory: Mapping[str, Any] | None = None) -> None:
        memory = memory or {"step": 0, "step_size": None, "history": {}, "streaks": {}}
        self._scale = scale
        self._log_every = log_every
        self._step: int = memory["step"]
        self._step_size: float | None = memory["step_size"]
        self._history = {name: list(memory["history"].get(name, [])) for name in _WATCHED}
        self._streaks: dict[str, list[int]] = {kind: list(streak) for kind, streak in memory["streaks"].items()}

    @property
    def patience(self) -> int:
        """Windows in a row in which a rule must hold."""
        return max(_PATIENCE_WINDOWS, math.ceil(_PATIENCE_STEPS / self._log_every))

    @property
    def delay(self) -> int:
        """Updates after which a failure has raised its alarm."""
        return self.patience * self._log_every

    @property
    def memory(self) -> dict[str, Any]:
        """Everything that later alarms depend on; JSON."""
        return {
            "step": self._step,
            "step_size": self._step_size,
            "history": {name: list(values) for name, values in self._history.items()},
            "streaks": {kind: list(streak) for kind, streak in self._streaks.items()},
        }

    def update(self, row: Mapping[str, Any], first_bad: Mapping[str, int] | None = None) -> list[Alarm]:
        """Read one line.

        Args:
            row: Means over a window by name, and ``step``, its last update.
            first_bad: Metrics that were not finite in the window, with the first update at which they were not.

        Returns:
            Alarms that have not been raised before, all failures that began with this run of unhealthy windows.
        """
        if first_bad:
            name, step = min(first_bad.items(), key=lambda item: (item[1], item[0]))
            return [Alarm("nonfinite", step, f"{name} is not finite since update {step}.")]
        # The first line is a single update, made with the untrained model: a reference, not a window.
        is_reference = row["step"] < self._log_every and not self._step
        steps = row["step"] - self._step
        found = {} if is_reference else self._symptoms(row, steps)
        alarms = [alarm for kind, text in found.items() if (alarm := self._prolong(kind, text, row["step"]))]
        self._streaks = {kind: streak for kind, streak in self._streaks.items() if kind in found}
        self._remember(row, found)
        self._step = row["step"]
        self._step_size = row.get("step_size")
        return alarms

    def _prolong(self, kind: str, text: str, step: int) -> Alarm | None:
        """One more window with this symptom; an alarm when patience ends."""
        streak = self._streaks.setdefault(kind, [0, self._step + 1])
        streak[0] += 1
        if streak[0] != self.patience:
            return None
        return Alarm(kind, streak[1], f"{text} (updates {streak[1]} to {step}).")

    def _remember(self, row: Mapping[str, Any], found: Mapping[str, str]) -> None:
        """Healthy values only: what is judged must not become the standard that it is judged by."""
        for name in _WATCHED:
            if name in row and _KIND_OF[name] not in found:
                self._history[name] = [*self._history[name], float(row[name])][-_MEMORY:]

    def _symptoms(self, row: Mapping[str, Any], steps: int) -> dict[str, str]:
        found = {}
        gap = "energy_gap" if "energy_gap" in row else "loss"
        checks = {
            "unbounded_energy": self._unboundedness(row),
            _KIND_OF[gap]: self._explosion(row, gap),
            "dead_chains": self._death(row, steps),
            "saturated_samples": self._saturation(row),
        }
        found.update({kind: text for kind, text in checks.items() if text is not None})
        return found

    def _median(self, name: str) -> float | None:
        values = self._history[name]
        return float(np.median(np.abs(values))) if values else None

    def _unboundedness(self, row: Mapping[str, Any]) -> str | None:
        fall = row.get("outward_fall")
        if fall is None or fall <= _UNBOUNDED_FALL:
            return None
        return (
            "The energy is unbounded below, so it has no law: ten thousand times as far out as the data it is lower "
            f"than at any of them by {fall:.3g} nats, and still falls"
        )

    def _explosion(self, row: Mapping[str, Any], name: str) -> str | None:
        value = row.get(name)
        if value is None:
            return None
        usual = self._median(name) or 0.0
        # One or two values may be small by chance, so that little is known yet of what is usual.
        is_short = len(self._history[name]) < _SHORT_HISTORY
        growth = _EXPLODED_GROWTH_AT_FIRST if is_short else _EXPLODED_GROWTH
        if abs(value) <= max(_EXPLODED_UNITS * self._scale, growth * usual):
            return None
        what = name.replace("_", " ")
        return f"The {what} exploded to {value:.3g}, from a usual size of {usual:.3g}"

    def _death(self, row: Mapping[str, Any], steps: int) -> str | None:
        accept_prob, moved, ess = row.get("accept_prob"), row.get("moved"), row.get("ess")
        if accept_prob is not None and accept_prob < _DEAD_ACCEPT_PROB and not self._adapts(row):
            return f"The chains are dead: the acceptance fell to {accept_prob:.2g}"
        if moved is not None and moved < _DEAD_MOVED:
            return f"The chains are dead: an update moves them by {moved:.2g} of what the data vary"
        if ess is None:
            return None
        usual = self._median("ess") or 0.0
        if ess * steps < _DEAD_DRAWS and ess < _DEAD_COLLAPSE * usual:
            return f"The chains are dead: their effective sample size fell from {usual:.3g} to {ess:.2g} an update"
        return None

    def _adapts(self, row: Mapping[str, Any]) -> bool:
        """Whether the step size is on its way down by more than a hundredth a window."""
        step_size = row.get("step_size")
        return step_size is not None and self._step_size is not None and step_size < 0.99 * self._step_size

    def _saturation(self, row: Mapping[str, Any]) -> str | None:
        value, usual = row.get("saturation"), self._median("saturation")
        if value is None or value <= _SATURATED or (usual is not None and usual >= _UNSATURATED):
            return None
        return f"The samples are saturated: {value:.0%} of the entries that vary in the data hardly vary in the chains"


_KIND_OF = {
    "energy_gap": "exploding_energy_gap",
    "loss": "exploding_loss",
    "ess": "dead_chains",
    "saturation": "saturated_samples",
}
