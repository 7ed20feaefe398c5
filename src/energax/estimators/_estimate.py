"""The two forms of every reported number: an estimate with its error bar, and an interval with honest ends."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias, get_args

import numpy as np

from energax._errors import ArgumentError, nearest

IntervalKind: TypeAlias = Literal["exact", "certified", "assumes-equilibrium", "none"]
KINDS: tuple[str, ...] = get_args(IntervalKind)


@dataclass(frozen=True, repr=False)
class Estimate:
    """A number, its standard error, and what makes the two believable.

    Args:
        value: The estimate, in the unit of the quantity (nats for log Z and free energies).
        stderr: Its standard error, same unit, >= 0; 0 for an exact value. NaN says that no error bar can be given,
            and `warnings` must then say why.
        num_effective: Effective number of independent draws behind it; NaN where the notion has no meaning.
        method: Short name of the estimator, e.g. ``"bar"``.
        diagnostics: Further numbers by name (overlap, ESS, tau ...).
        warnings: Sentences for the reader, each with what is wrong and what would help.

    Example:
        >>> print(Estimate(-84.8699, 0.0342, 412.0, "ais"))
        -84.870 ± 0.034
    """

    value: float
    stderr: float
    num_effective: float
    method: str
    diagnostics: dict[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("value", "stderr", "num_effective"):
            object.__setattr__(self, name, float(getattr(self, name)))
        object.__setattr__(self, "diagnostics", dict(self.diagnostics))
        if isinstance(self.warnings, str):
            raise ArgumentError(f"`warnings` must be a tuple of sentences; given one string, {self.warnings!r}.")
        object.__setattr__(self, "warnings", tuple(self.warnings))
        if self.stderr < 0 or self.num_effective < 0:
            raise ArgumentError(
                f"`stderr` and `num_effective` must be >= 0 or NaN; given {self.stderr} and {self.num_effective}."
            )
        if not self.warnings and (math.isnan(self.value) or math.isnan(self.stderr)):
            raise ArgumentError("an Estimate without a value or an error bar must say why in `warnings`.")

    def shifted(self, a: float) -> Estimate:
        """The estimate of the quantity plus the known constant `a`."""
        return replace(self, value=self.value + a)

    def negated(self) -> Estimate:
        """The estimate of minus the quantity, e.g. a free energy from log Z."""
        return replace(self, value=-self.value)

    def to_json(self) -> dict[str, Any]:
        """Plain dictionary for `json.dumps`; NaN and infinities become None."""
        return {name: plain(getattr(self, name)) for name in self.__dataclass_fields__}

    def __str__(self) -> str:
        return _value_and_error(self.value, self.stderr)

    def __repr__(self) -> str:
        rest = f", warnings={list(self.warnings)}" if self.warnings else ""
        return f"Estimate({self}, num_effective={self.num_effective:.4g}, method={self.method!r}{rest})"


@dataclass(frozen=True, repr=False)
class Interval:
    """Two ends, each with the ground on which it stands, and the probability with which both hold.

    The kinds: ``"exact"`` (computed, no sampling), ``"certified"`` (holds at the level whatever the mixing),
    ``"assumes-equilibrium"`` (holds at the level if the chains that it started from were in equilibrium; the result
    says so), ``"none"`` (no ground: do not lean on this end; usually infinite).

    Args:
        lower: Lower end, may be -inf.
        upper: Upper end, may be inf; `lower` <= `upper`.
        lower_kind: Kind of the lower end.
        upper_kind: Kind of the upper end.
        level: Probability, in (0, 1], with which the ends that have a kind hold together; 1 when both are exact.

    Raises:
        ArgumentError: Ends that cross or are NaN, an unknown kind, a level outside (0, 1].

    Example:
        >>> print(Interval(-85.3121, -84.9, "certified", "assumes-equilibrium", 0.95))
        [-85.313 (certified), -84.900 (assumes-equilibrium)] at 95 %
    """

    lower: float
    upper: float
    lower_kind: IntervalKind
    upper_kind: IntervalKind
    level: float

    def __post_init__(self) -> None:
        for name in ("lower", "upper", "level"):
            object.__setattr__(self, name, float(getattr(self, name)))
        if not self.lower <= self.upper:
            raise ArgumentError(f"`lower` must not exceed `upper`; given [{self.lower}, {self.upper}].")
        for kind in (self.lower_kind, self.upper_kind):
            if kind not in KINDS:
                raise ArgumentError(f"unknown kind of interval end {kind!r}. {nearest(str(kind), KINDS)}")
        if not 0.0 < self.level <= 1.0:
            raise ArgumentError(f"`level` must lie in (0, 1]; given {self.level}.")

    @property
    def width(self) -> float:
        """Upper minus lower end; inf when an end is missing, 0 when the two ends are one point."""
        return 0.0 if self.lower == self.upper else self.upper - self.lower

    def contains(self, x: float) -> bool:
        """Whether `x` lies in the closed interval; NaN never does."""
        return bool(self.lower <= x <= self.upper)

    def negated(self) -> Interval:
        """The interval of minus the quantity: the ends and their kinds change places."""
        return Interval(-self.upper, -self.lower, self.upper_kind, self.lower_kind, self.level)

    def shifted(self, a: float) -> Interval:
        """The interval of the quantity plus the known constant `a`."""
        return replace(self, lower=self.lower + a, upper=self.upper + a)

    def to_json(self) -> dict[str, Any]:
        """Plain dictionary for `json.dumps`; infinities become None."""
        return {name: plain(getattr(self, name)) for name in self.__dataclass_fields__}

    def __str__(self) -> str:
        # One digit more than an error bar has: rounding outward must not widen the interval noticeably.
        digits = _decimals(self.width / 10.0)
        lower, upper = _outward(self.lower, digits, math.floor), _outward(self.upper, digits, math.ceil)
        return f"[{lower} ({self.lower_kind}), {upper} ({self.upper_kind})] at {100 * self.level:.6g} %"

    def __repr__(self) -> str:
        return f"Interval({self})"


def plain(value: Any) -> Any:
    """`value` out of Python's own types only, with None for NaN and infinities, so that JSON stays valid."""
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _decimals(scale: float) -> int | None:
    """Decimals that show two significant digits of `scale`; None where `scale` sets no resolution."""
    if not math.isfinite(scale) or scale < 1e-13:
        return None
    return max(0, 1 - math.floor(math.log10(scale)))


def _value_and_error(value: float, stderr: float) -> str:
    if not (math.isfinite(value) and math.isfinite(stderr)):
        return f"{value:.6g} ± {'unknown' if math.isnan(stderr) else f'{stderr:.2g}'}"
    if stderr == 0.0:
        return f"{value:.10g} (exact)"
    exponent = math.floor(math.log10(max(abs(value), stderr)))
    if -4 <= exponent < 7:
        return _fixed(value, stderr)
    return f"({_fixed(value / 10.0**exponent, stderr / 10.0**exponent)})e{exponent:+d}"


def _fixed(value: float, stderr: float) -> str:
    digits = _decimals(stderr)
    return f"{value:.13g} ± {stderr:.2g}" if digits is None else f"{value:.{digits}f} ± {stderr:.{digits}f}"


def _outward(x: float, digits: int | None, rounding: Any) -> str:
    """`x` with `digits` decimals, rounded away from the inside so that the printed interval never claims more."""
    if digits is None or not math.isfinite(x) or digits > 12 or abs(x) > 1e12:
        return f"{x:.10g}"
    # The tiny slack keeps an end that already has that many decimals (0.1 * 10 = 1.0000000000000002) as it is.
    scaled = x * 10.0**digits
    snapped = round(scaled)
    kept = snapped if abs(scaled - snapped) < 1e-6 else rounding(scaled)
    return f"{kept / 10.0**digits:.{digits}f}"
