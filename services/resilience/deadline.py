"""
Deadlines that travel: how much longer the caller waits, known to everything done on its behalf.

A deadline lives in a context variable, so that a call finds it without being handed it and tasks started meanwhile
inherit it. On the wire it is the header `x-remaining-time-ms`: what is left, not an instant, so that no two clocks
have to agree; the time on the way is not in it. Only this header is read and written, no other protocol's.
Ours; Resilience4j has no such thing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar, Token
from typing import NamedTuple, TypeAlias

from services.resilience.clock import NS_PER_MS, NS_PER_S, Clock, SystemClock
from services.resilience.errors import DeadlineExceeded

HEADER = "x-remaining-time-ms"

_WRITTEN = re.compile(r"[ \t]*(-?)(\d{1,12})[ \t]*", re.ASCII)
"""Whole milliseconds, up to some thirty years."""

_CLOCK: Clock = SystemClock()


class Deadline(NamedTuple):
    """The instant, on its own clock, after which nobody waits for the answer."""

    at_ns: int
    clock: Clock = _CLOCK

    @classmethod
    def after(cls, remaining_s: float, clock: Clock | None = None) -> Deadline:
        """The deadline remaining_s from now; 0 or less has passed already."""
        clock = clock or _CLOCK
        return cls(clock.now_ns() + round(remaining_s * NS_PER_S), clock)

    def remaining_s(self) -> float:
        """Seconds left, below 0 once it has passed."""
        return (self.at_ns - self.clock.now_ns()) / NS_PER_S

    def remaining_ms(self) -> int:
        """Whole milliseconds left, cut rather than rounded: a callee must not wait longer than its caller. At least 0."""
        return max(0, (self.at_ns - self.clock.now_ns()) // NS_PER_MS)

    @property
    def passed(self) -> bool:
        """Whether the caller has given up."""
        return self.clock.now_ns() >= self.at_ns


Set: TypeAlias = "tuple[int, Clock]"
"""A deadline's two fields. A plain tuple is made in a third of the time: one is set in every call under a time limit."""

DEADLINE: ContextVar[Set | None] = ContextVar("deadline", default=None)


def current() -> Deadline | None:
    """The deadline of what is being done now, None where nobody set one."""
    found = DEADLINE.get()
    return None if found is None else Deadline(*found)


def remaining() -> float | None:
    """Seconds left, below 0 once the deadline has passed, None where there is no deadline."""
    deadline = current()
    return None if deadline is None else deadline.remaining_s()


def refuse_if_passed(name: str) -> None:
    """Raise DeadlineExceeded, in the name of what was about to be done, if the deadline has passed."""
    deadline = current()
    if deadline is not None and deadline.passed:
        raise DeadlineExceeded(name, -deadline.remaining_s())


@contextmanager
def deadline_scope(remaining_s: float | None, *, clock: Clock | None = None) -> Iterator[Deadline | None]:
    """Within the block there are at most remaining_s seconds left, and never more than there were outside.

    None changes nothing: a caller who set no deadline. Serves plain and async code alike. It ends no work by itself;
    time limiters, clients and `refuse_if_passed` look at it.
    """
    narrowed = _narrowed(current(), remaining_s, clock)
    token = DEADLINE.set(narrowed)
    try:
        yield narrowed
    finally:
        DEADLINE.reset(token)


def limit(name: str, limit_s: float, clock: Clock) -> tuple[float, Token[Set | None]]:
    """What a time limiter does at the start of a call: the seconds it has, and what to `restore` at its end.

    `deadline_scope` for where each microsecond counts. Raises DeadlineExceeded if the deadline has passed.
    """
    outer = current()
    if outer is None:
        at_ns = clock.now_ns() + int(limit_s * NS_PER_S)
        return limit_s, DEADLINE.set((at_ns, clock))
    now_ns = outer.clock.now_ns()
    left_ns = outer.at_ns - now_ns
    if left_ns <= 0:
        raise DeadlineExceeded(name, -left_ns / NS_PER_S)
    limit_ns = int(limit_s * NS_PER_S)
    if left_ns <= limit_ns:
        return left_ns / NS_PER_S, DEADLINE.set(outer)
    return limit_s, DEADLINE.set(Deadline(now_ns + limit_ns, outer.clock))


def restore(token: Token[Set | None]) -> None:
    """Undo what `limit` has set."""
    DEADLINE.reset(token)


def begin(deadline: Deadline | None) -> None:
    """From now on, in this task and those it starts, this deadline and no other: for the start of a piece of work.

    None is for work that outlives whoever asked for it.
    """
    DEADLINE.set(deadline)


def read_remaining(headers: Mapping[str, str]) -> float | None:
    """The seconds that the caller still waits, as its headers say: 0.0 and below when it has given up already.

    None when they say nothing that can be read: a header is no reason to refuse work. Names in any case.
    """
    written = headers.get(HEADER)
    if written is None:
        written = next((value for name, value in headers.items() if name.lower() == HEADER), "")
    found = _WRITTEN.fullmatch(written)
    if found is None:
        return None
    return (-1 if found[1] else 1) * int(found[2]) / 1000


def outgoing_headers(headers: Mapping[str, str] | None = None) -> dict[str, str]:
    """These headers and, where there is a deadline, what is left of it. One that is there already is replaced."""
    deadline = current()
    if deadline is None:
        return dict(headers or {})
    kept = {name: value for name, value in (headers or {}).items() if name.lower() != HEADER}
    return {**kept, HEADER: str(deadline.remaining_ms())}


def _narrowed(outer: Deadline | None, remaining_s: float | None, clock: Clock | None) -> Deadline | None:
    if remaining_s is None or (outer is not None and outer.remaining_s() <= remaining_s):
        return outer
    return Deadline.after(remaining_s, clock or (outer.clock if outer is not None else None))
