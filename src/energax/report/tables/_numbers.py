"""Numbers as text: rounded to what they are worth, a true minus sign, and never a raw NaN."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeGuard

import numpy as np

MISSING = "not available"
_MINUS = "\u2212"
_SUPERSCRIPTS = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")


def is_finite(value: Any) -> TypeGuard[float]:
    """Whether `value` is one finite real number; booleans, texts, None and NaN are not."""
    real = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    return real and math.isfinite(float(value))


def number(value: Any, *, significant: int = 4) -> str:
    """`value` as text with about `significant` digits; what is not finite says so in words.

    Args:
        value: A number, a truth value, a text or None.
        significant: Digits kept of a real number; integers keep all of theirs.

    Returns:
        Text with thousands separated, e.g. ``−1,234.5``, ``1.2 × 10⁹``, ``not available``.

    Example:
        >>> number(-0.012345), number(8384), number(float("nan")), number(3.2e9, significant=2)
        ('−0.01235', '8,384', 'not available', '3.2 × 10⁹')
    """
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value or MISSING
    if isinstance(value, float | np.floating) and math.isinf(value):
        return "∞" if value > 0 else f"{_MINUS}∞"
    if not is_finite(value):
        return MISSING
    if isinstance(value, int | np.integer):
        return _signed(f"{int(value):,}")
    x = float(value)
    if x == 0.0:
        return "0"
    exponent = math.floor(math.log10(abs(x)))
    if exponent >= 7 or exponent < -4:
        return _scientific(x, significant)
    return fixed(x, max(0, significant - 1 - exponent))


def fixed(value: float, decimals: int) -> str:
    """`value` with that many decimals; a zero never carries a sign.

    Example:
        >>> fixed(-1234.567, 1), fixed(-0.0001, 2)
        ('−1,234.6', '0.00')
    """
    text = f"{float(value):,.{decimals}f}"
    return _signed(text if text.strip("-0.,") else text.removeprefix("-"))


def measured(value: Any, stderr: Any) -> str:
    """A number and its standard error, both to two digits of the error; the number alone where there is no error.

    Example:
        >>> measured(-84.8699, 0.0342), measured(2.0, None), measured(None, 0.1)
        ('−84.870 ± 0.034', '2.000', 'not available')
    """
    if not (is_finite(value) and is_finite(stderr)) or float(stderr) <= 0.0:
        return number(value)
    decimals = _decimals(float(stderr))
    if decimals > 12 or abs(float(value)) >= 1e12:
        return f"{number(value)} ± {number(stderr, significant=2)}"
    return f"{fixed(value, decimals)} ± {fixed(stderr, decimals)}"


def ends(lower: Any, upper: Any) -> tuple[str, str]:
    """The two ends of an interval, rounded outwards so that the text never claims more than the numbers.

    An end that is None or infinite is written as an infinity.

    Example:
        >>> ends(-85.3121, -84.9049), ends(None, 2.0)
        (('−85.32', '−84.90'), ('−∞', '2.000'))
    """
    known = is_finite(lower) and is_finite(upper)
    width = float(upper) - float(lower) if known else 0.0
    digits = _decimals(width) if known and width > 1e-9 else None
    low = _end(lower, digits, math.floor) if is_finite(lower) else f"{_MINUS}∞"
    high = _end(upper, digits, math.ceil) if is_finite(upper) else "∞"
    return low, high


def share(value: Any, *, decimals: int = 0) -> str:
    """A fraction as a percentage, with at least that many decimals where it is near neither end.

    Example:
        >>> share(0.934), share(0.0004), share(None)
        ('93 %', '0.04 %', 'not available')
    """
    if not is_finite(value):
        return MISSING
    percent = 100.0 * float(value)
    if abs(percent) < 1.0:
        return f"{number(percent, significant=1)} %"
    return f"{number(percent) if 99.0 < percent < 100.0 else fixed(percent, decimals)} %"


def factor(log_ratio: float) -> str:
    """E to the power of `log_ratio` in words: how many times likelier.

    Example:
        >>> factor(8.5), factor(40.0)
        ('4,900 times', '2.4 × 10¹⁷ times')
    """
    if log_ratio >= 700.0:
        return f"e^{number(log_ratio)} times"
    value = math.exp(log_ratio)
    if value >= 1e7:
        return f"{_scientific(value, 2)} times"
    digits = max(0, math.floor(math.log10(value)) - 1)
    return f"{number(round(value, -digits) if digits else value, significant=2 + digits)} times"


def power_of_ten(exponent: int) -> str:
    """``10⁻³`` for −3."""
    return f"10{str(exponent).translate(_SUPERSCRIPTS)}"


def _end(value: float, decimals: int | None, rounding: Callable[[float], int]) -> str:
    if decimals is None or decimals > 12 or abs(value) >= 1e12:
        return number(value, significant=4 if abs(value) < 1e3 else 7)
    scaled = float(value) * 10.0**decimals
    # An end that already has that many decimals may miss an integer by rounding (0.1 * 10 = 1.0000000000000002).
    kept = round(scaled) if abs(scaled - round(scaled)) < 1e-6 else rounding(scaled)
    return fixed(kept / 10.0**decimals, decimals)


def _decimals(scale: float) -> int:
    """Decimals that show two digits of `scale`."""
    return max(0, 1 - math.floor(math.log10(scale)))


def _scientific(x: float, significant: int) -> str:
    mantissa, exponent = f"{x:.{max(0, significant - 1)}e}".split("e")
    return f"{_signed(mantissa)} × {power_of_ten(int(exponent))}"


def _signed(text: str) -> str:
    return text.replace("-", _MINUS)
