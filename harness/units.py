"""
Durations, rates, shares and sizes as people write them: `250ms`, `40/s`, `99.5%`, `64KB`.

A bare number is refused wherever a unit is needed: Toxiproxy means
milliseconds by it, Python seconds, and a guess would be wrong half the time.
"""

from __future__ import annotations

import re
from typing import TypeGuard

_NUMBER = r"(\d+(?:\.\d+)?|\.\d+)"
_DURATION_PART = re.compile(_NUMBER + r"\s*(us|µs|ms|s|m|h)")
_RATE = re.compile(r"\s*" + _NUMBER + r"\s*/\s*(s|m|h|min|sec|second|minute|hour)\s*")
_SHARE = re.compile(r"\s*" + _NUMBER + r"\s*%\s*")
_SIZE = re.compile(r"\s*" + _NUMBER + r"\s*(B|KB|MB|GB|KiB|MiB|GiB)\s*")

_SECONDS = {"us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_PER_SECONDS = {
    "s": 1.0, "sec": 1.0, "second": 1.0, "m": 60.0, "min": 60.0, "minute": 60.0, "h": 3600.0, "hour": 3600.0
}  # fmt: skip
_BYTES = {"B": 1, "KB": 1000, "MB": 10**6, "GB": 10**9, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}

LONGEST_DURATION_S = 7 * 24 * 3600.0
LONGEST_TEXT = 100  # characters; looking for units in a long row of digits takes time that grows with its square


def short(text: object) -> TypeGuard[str]:
    """Whether this is a text that can be a number with a unit. Raises ValueError for one that is far too long."""
    if isinstance(text, str) and len(text) > LONGEST_TEXT:
        raise ValueError(f"{text[:20]!r}... of {len(text)} characters is too long for a number and a unit")
    return isinstance(text, str)


def duration_s(text: object) -> float:
    """Seconds of a duration such as `250ms`, `2s`, `1.5m`, `1m30s`. Raises ValueError."""
    if short(text):
        stripped = text.strip()
        parts = list(_DURATION_PART.finditer(stripped))
        rest = _DURATION_PART.sub("", stripped).strip()
        if parts and not rest:
            total = sum(float(p.group(1)) * _SECONDS[p.group(2)] for p in parts)
            if total > LONGEST_DURATION_S:
                raise ValueError(f"{text!r} is longer than 7 days")
            return total
    raise ValueError(f"{text!r} is not a duration; write a number and a unit: 250ms, 2s, 1m30s")


def rate_per_s(text: object) -> float:
    """Events a second of a rate such as `40/s`, `90/m`. Raises ValueError."""
    if short(text) and (found := _RATE.fullmatch(text)):
        return float(found.group(1)) / _PER_SECONDS[found.group(2)]
    raise ValueError(f"{text!r} is not a rate; write a number and a span: 40/s, 90/m")


def share(text: object) -> float:
    """A share between 0 and 1, written `99.5%` or as the number 0.995. Raises ValueError."""
    value: float | None = None
    if short(text) and (found := _SHARE.fullmatch(text)):
        value = float(found.group(1)) / 100
    elif isinstance(text, int | float) and not isinstance(text, bool):
        value = float(text)
    if value is None:
        raise ValueError(f"{text!r} is not a share; write a percentage: 99.5%")
    if not 0 <= value <= 1:
        raise ValueError(f"{text!r} is not a share; it must lie between 0% and 100%")
    return value


def size_bytes(text: object) -> int:
    """Bytes of a size such as `512B`, `64KB` (1000), `1MiB` (1024 squared). Raises ValueError."""
    if short(text) and (found := _SIZE.fullmatch(text)):
        return round(float(found.group(1)) * _BYTES[found.group(2)])
    raise ValueError(f"{text!r} is not a size; write a number and a unit: 512B, 64KB, 1MiB")


def show_duration(span_s: float) -> str:
    """A duration for a person: `340 us`, `12 ms`, `1.52 s`, `2 m 5 s`."""
    if span_s < 0:
        return "-" + show_duration(-span_s)
    if span_s < 0.001:
        return f"{span_s * 1e6:.0f} us"
    if span_s < 1:
        ms = span_s * 1e3
        return f"{ms:.0f} ms" if ms >= 10 else f"{ms:.1f} ms"
    if span_s < 120:
        return f"{span_s:.2f} s"
    return f"{int(span_s // 60)} m {span_s % 60:.0f} s"


def show_share(value: float) -> str:
    """A share for a person: `99.25 %`."""
    text = f"{value * 100:.2f}".rstrip("0").rstrip(".")
    return f"{text} %"


def show_rate(value: float) -> str:
    """A rate for a person: `40/s`."""
    return f"{value:.3g}/s"
