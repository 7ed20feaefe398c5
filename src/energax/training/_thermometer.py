"""Notices that a run fails, from its stream of metrics alone."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np


@dataclasses.dataclass(frozen=True)
class Alarm:
    """A failure and the update at which it began."""

    kind: str
    began: int
    message: str


class Thermometer:
    """placeholder."""

    def __init__(self, scale: float, *, log_every: int, memory: Mapping[str, Any] | None = None) -> None:
        self._scale = scale
        self._log_every = log_every

    @property
    def delay(self) -> int:
        return 3 * self._log_every

    def update(self, row: Mapping[str, Any], first_bad: Mapping[str, int]) -> list[Alarm]:
        if first_bad:
            name, step = min(first_bad.items(), key=lambda item: item[1])
            return [Alarm("nonfinite", step, f"{name} is not finite since update {step}.")]
        return []

    @property
    def memory(self) -> dict[str, Any]:
        return {}
