"""
When the other side says how long to wait: the Retry-After header, and exceptions that carry its meaning.

An exception (or a bad result) with an attribute `retry_after_s`, in seconds, is honoured by a retry whose
`honourRetryAfter` is on. Refusals of a circuit breaker have it too. Ours; of Resilience4j's neighbours Feign alone reads the header.
"""

from __future__ import annotations

import math
import re
from datetime import UTC
from email.utils import parsedate_to_datetime


def retry_after_s(header: str | None, wall_s: float) -> float | None:
    """Seconds to wait by a Retry-After header, at least 0; None if it is absent or says nothing (RFC 9110, 10.2.3).

    `wall_s` is the time now in seconds since 1970, for headers that name an instant.
    """
    text = (header or "").strip()
    if re.fullmatch(r"\d+", text, re.ASCII):
        return float(text)
    try:
        instant = parsedate_to_datetime(text)
    except ValueError:
        return None
    if instant.tzinfo is None:
        instant = instant.replace(tzinfo=UTC)
    return max(instant.timestamp() - wall_s, 0.0)


def wish_ms(outcome: object) -> int | None:
    """What an exception or result wishes in its `retry_after_s`, rounded up to whole milliseconds; None for no wish."""
    wish = getattr(outcome, "retry_after_s", None)
    if isinstance(wish, bool) or not isinstance(wish, (int, float)) or not math.isfinite(wish) or wish < 0:
        return None
    return math.ceil(round(wish * 1000, 6))  # 0.55 s are 550 ms, whatever the float says
