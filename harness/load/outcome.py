"""
What became of a request, in the harness's own words.

Clients name the same trouble differently (a reset is a ConnectionResetError, an
HTTPConnectionClosed or a ProtocolError), so what went wrong is read here once.
Knows no client: classes of libraries are recognised by name.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Literal

Phase = Literal["connect", "exchange"]

DROPPED = "dropped"
UNFINISHED = "unfinished"
REFUSED = "refused"
RESET = "reset"
CLOSED_EARLY = "closed_early"
CONNECT_TIMEOUT = "connect_timeout"
READ_TIMEOUT = "read_timeout"
FALLBACK_HEADER = "x-fallback"
SOURCE_HEADER = "x-source"  # words such as product=cache@0.0: a part, where it is from, its age in s where it is stale
LONGEST_FALLBACK = 200  # characters kept of what an answer says it was made of

# Looked up in this order over an error and everything it was caused by: the most telling name wins.
_BY_NAME = {
    "ConnectionRefusedError": REFUSED,
    "ConnectTimeout": CONNECT_TIMEOUT,
    "ConnectTimeoutError": CONNECT_TIMEOUT,
    "ConnectionResetError": RESET,
    "BrokenPipeError": RESET,
    "ConnectionAbortedError": RESET,
    "ReadTimeout": READ_TIMEOUT,
    "ReadTimeoutError": READ_TIMEOUT,
    "ClosedEarly": CLOSED_EARLY,
    "HTTPConnectionClosed": CLOSED_EARLY,  # geventhttpclient's word for a reset too
    "RemoteDisconnected": CLOSED_EARLY,
    "IncompleteRead": CLOSED_EARLY,
    "ProtocolError": CLOSED_EARLY,
    "ChunkedEncodingError": CLOSED_EARLY,
}
_TIMEOUTS = {"TimeoutError", "Timeout", "timeout", "RetriesExceeded"}


class ClosedEarly(Exception):
    """The other side closed the connection before its answer was complete."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """How one exchange ended. status is 0 when no response head came; error is None when the answer was complete."""

    status: int = 0
    body_bytes: int = 0
    error: str | None = None
    fallback: str | None = None


def judged(answer: Answer, ok: Collection[int]) -> tuple[bool, str | None]:
    """Whether the answer is a good one, and if not, why. ok holds the good statuses; empty: every one below 400."""
    if answer.error is not None:
        return False, answer.error
    good = answer.status in ok if ok else 0 < answer.status < 400
    return good, None if good else f"status {answer.status}"


def error_class(error: BaseException, phase: Phase = "exchange") -> str:
    """The kind of trouble an exception stands for; `other:ClassName` when it is none of ours."""
    family = [cls.__name__ for link in _causes(error) for cls in type(link).__mro__]
    for name, kind in _BY_NAME.items():
        if name in family:
            return kind
    if any(name in _TIMEOUTS for name in family):
        return CONNECT_TIMEOUT if phase == "connect" else READ_TIMEOUT
    return f"other:{type(error).__name__}"


def shortened(fallback: str | None) -> str | None:
    """The fallback header, cut to what the journal keeps; None when absent or empty."""
    return fallback[:LONGEST_FALLBACK] if fallback else None


def made_of(*headers: str | None) -> str | None:
    """What an answer says it was made of, in its headers for fallbacks and for sources; None when it says nothing."""
    return shortened(",".join(text for text in headers if text))


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error, then what it says it was caused by; each once, so that a circle ends."""
    seen: set[int] = set()
    waiting: list[object] = [error]
    while waiting:
        link = waiting.pop(0)
        if not isinstance(link, BaseException) or id(link) in seen:
            continue
        seen.add(id(link))
        yield link
        waiting += [link.__cause__, link.__context__, getattr(link, "reason", None), *link.args]
