"""
What belongs to one request while it is worked on: its trace, its deadline, the fallbacks that served it.

Kept in a context variable, so that a call to a neighbour finds it without being handed it; tasks started
by a request inherit it. The deadline is also set where the time limiters look for it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import TypeVar

from services.resilience import Deadline, deadline, deadline_scope
from services.shop.trace import Trace

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """One request; fallbacks holds names in the order they served.

    deadline_s and given_up_s are instants of `time.monotonic()`: when we answer at the latest, and when whoever asks
    stops waiting, if he said so.
    """

    trace: Trace
    deadline_s: float
    given_up_s: float = math.inf
    fallbacks: list[str] = field(default_factory=list)
    sources: dict[str, str] = field(default_factory=dict)  # what part of the answer -> where it is from, how stale

    def served_by(self, fallback: str) -> None:
        """Note that a fallback served part of the answer; twice is once."""
        if fallback not in self.fallbacks:
            self.fallbacks.append(fallback)

    def told_by(self, part: str, source: str, stale_age_s: float) -> None:
        """Note where a part of the answer is from, and how stale it is (0: not)."""
        self.sources[part] = f"{source}@{stale_age_s:.1f}"

    def remaining_s(self) -> float:
        return self.deadline_s - time.monotonic()

    @property
    def given_up(self) -> bool:
        """Whether nobody waits for the answer any more."""
        return self.gives_up_within(0.0)

    def gives_up_within(self, span_s: float) -> bool:
        """Whether nobody will wait for the answer span_s seconds from now."""
        return time.monotonic() + span_s >= self.given_up_s


_scope: ContextVar[Scope] = ContextVar("scope")


def enter(scope: Scope) -> None:
    """Make scope the current one of this task and of those it starts."""
    _scope.set(scope)
    deadline.begin(Deadline(round(scope.deadline_s * 1e9)))


def current() -> Scope:
    """The scope of the request being worked on. Raises LookupError outside of one."""
    return _scope.get()


async def within(span_s: float, work: Callable[[], Awaitable[T]]) -> T:
    """Do work whose calls have at most span_s, and never more than the request has left."""
    scope = current()
    token = _scope.set(replace(scope, deadline_s=min(scope.deadline_s, time.monotonic() + span_s)))
    try:
        with deadline_scope(span_s):
            return await work()
    finally:
        _scope.reset(token)
