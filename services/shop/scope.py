"""
What belongs to one request while it is worked on: its trace, its deadline, the fallbacks that served it.

Kept in a context variable, so that a call to a neighbour finds it without being handed it; tasks started
by a request inherit it.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import TypeVar

from services.shop.trace import Trace

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """One request. deadline_s is an instant of `time.monotonic()`; fallbacks holds names in the order they served."""

    trace: Trace
    deadline_s: float
    fallbacks: list[str] = field(default_factory=list)

    def served_by(self, fallback: str) -> None:
        """Note that a fallback served part of the answer; twice is once."""
        if fallback not in self.fallbacks:
            self.fallbacks.append(fallback)

    def remaining_s(self) -> float:
        return self.deadline_s - time.monotonic()


_scope: ContextVar[Scope] = ContextVar("scope")


def enter(scope: Scope) -> None:
    """Make scope the current one of this task and of those it starts."""
    _scope.set(scope)


def current() -> Scope:
    """The scope of the request being worked on. Raises LookupError outside of one."""
    return _scope.get()


async def within(span_s: float, work: Callable[[], Awaitable[T]]) -> T:
    """Do work whose calls have at most span_s, and never more than the request has left."""
    scope = current()
    token = _scope.set(replace(scope, deadline_s=min(scope.deadline_s, time.monotonic() + span_s)))
    try:
        return await work()
    finally:
        _scope.reset(token)
