"""
Durations as Spring Boot writes them: `500ms`, `10s`, `1m`, `PT10S`, and a bare number of milliseconds.
"""

from __future__ import annotations

import re
from fractions import Fraction

_NS = {
    "ns": 1,
    "us": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60 * 1_000_000_000,
    "h": 3600 * 1_000_000_000,
    "d": 86_400 * 1_000_000_000,
}
_SIMPLE = re.compile(r"([+-]?\d+)\s*([a-zA-Z]{0,2})")
_ISO = re.compile(
    r"(?P<sign>[+-]?)P(?:(?P<d>[+-]?\d+)D)?"
    r"(?:T(?=[\d+-])(?:(?P<h>[+-]?\d+)H)?(?:(?P<m>[+-]?\d+)M)?(?:(?P<s>[+-]?\d+(?:[.,]\d{0,9})?)S)?)?",
    re.IGNORECASE,
)


def duration_ns(text: object) -> int:
    """Nanoseconds. Raises ValueError with what would be right."""
    if isinstance(text, int) and not isinstance(text, bool):
        return text * _NS["ms"]
    written = str(text).strip()
    simple = _SIMPLE.fullmatch(written)
    if simple and (simple[2].lower() or "ms") in _NS:
        return int(simple[1]) * _NS[simple[2].lower() or "ms"]
    iso = _ISO.fullmatch(written)
    if iso and any(iso[unit] for unit in "dhms"):
        total = sum(Fraction((iso[unit] or "0").replace(",", ".")) * _NS[unit] for unit in "dhms")
        return int(-total if iso["sign"] == "-" else total)
    raise ValueError(f"is {text!r}, must be a duration such as 500ms, 10s, 1m, PT10S or a number of milliseconds")
