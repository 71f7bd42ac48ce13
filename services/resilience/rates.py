"""
Percentages as Java's `float` has them.

Resilience4j computes rates in 32 bits, so a threshold of 33.3333 is met by one failure in three or is not, depending
on rounding. Python's floats have 64 bits; these functions round where Java does.
"""

from __future__ import annotations

import struct

_FLOAT = struct.Struct("f")
_EXACT_IN_FLOAT = 1 << 24
NO_RATE = -1.0
"""What a rate is while fewer than minimumNumberOfCalls were recorded."""


def to_float32(value: float) -> float:
    """The nearest number that a Java float can hold."""
    rounded: float = _FLOAT.unpack(_FLOAT.pack(value))[0]
    return rounded


def rate_percent(part: int, total: int) -> float:
    """Java's `part * 100.0f / total`. Total is above 0."""
    hundredfold = part * 100
    if hundredfold <= _EXACT_IN_FLOAT and total <= _EXACT_IN_FLOAT:
        return to_float32(hundredfold / total)
    return to_float32(to_float32(to_float32(part) * 100.0) / to_float32(total))


def reaches(part: int, total: int, limit: float) -> bool:
    """Whether the rate of part in total (above 0) is at least limit, a float32: in Java's rounding, but seldom rounding.

    Three roundings to 24 bits move a rate by less than a millionth: further off, the 64-bit quotient decides.
    """
    quotient = part * 100 / total
    if abs(quotient - limit) > limit * 1e-6:
        return quotient > limit
    return rate_percent(part, total) >= limit


def least_count(limit: float, total: int) -> int:
    """The least count out of total (above 0) whose rate reaches limit, a float32; total + 1 if none does.

    A window that is full compares this integer instead of computing a rate in every call.
    """
    low, high = 0, total + 1
    while low < high:
        middle = (low + high) // 2
        if reaches(middle, total, limit):
            high = middle
        else:
            low = middle + 1
    return low


def java_text(value: float) -> str:
    """A float as Java's Float.toString prints it: the fewest digits that mean this float, at least one after the point."""
    exact = to_float32(value)
    if exact == 0:
        return "0.0"
    digits = next(text for text in (f"{exact:.{count}e}" for count in range(9)) if to_float32(float(text)) == exact)
    mantissa, exponent = digits.split("e")
    if 1e-3 <= abs(exact) < 1e7:
        return f"{float(digits):.{max(len(mantissa.partition('.')[2]) - int(exponent), 1)}f}"
    return f"{mantissa if '.' in mantissa else mantissa + '.0'}E{int(exponent)}"
