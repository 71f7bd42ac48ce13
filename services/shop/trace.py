"""
W3C trace context: read from a request, passed on to the neighbours it makes us ask.

Only `traceparent` of version 00 is understood; https://www.w3.org/TR/trace-context/ says what it holds.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

_TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
_NO_TRACE = "0" * 32
_NO_SPAN = "0" * 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """The trace a request belongs to; 32 and 2 lower case hex digits."""

    trace_id: str
    flags: str = "01"

    @classmethod
    def start(cls) -> Trace:
        """A trace of our own, for work that nobody asked for."""
        return cls(trace_id=os.urandom(16).hex())

    @classmethod
    def read(cls, header: str | None) -> Trace:
        """The trace of a `traceparent` header; a new one when it is absent or cannot be read."""
        found = _TRACEPARENT.fullmatch(header.strip()) if header else None
        if found is None or found.group(1) == _NO_TRACE or found.group(2) == _NO_SPAN:
            return cls.start()
        return cls(trace_id=found.group(1), flags=found.group(3))

    def header(self) -> str:
        """A `traceparent` for one request to a neighbour: the same trace, a span of its own."""
        return f"00-{self.trace_id}-{os.urandom(8).hex()}-{self.flags}"
