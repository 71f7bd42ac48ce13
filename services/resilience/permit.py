"""
One admitted call, for whoever runs the work elsewhere: a stream, a callback, a `with` block.

`breaker.acquire()` gives one; it is ended once, by `success`, `error` or `release`. `enter` and
`leave` keep the permits of the `with` blocks that a thread or task is in.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from services.resilience.circuit_breaker import CircuitBreaker


class Permit:
    """Leave for one call through a breaker. It takes as long as from `acquire` to `success` or `error`."""

    __slots__ = ("_breaker", "_ended", "_started_ns")

    def __init__(self, breaker: CircuitBreaker) -> None:
        self._breaker = breaker
        self._started_ns = breaker.clock.now_ns()
        self._ended = False

    def success(self, result: object = None) -> None:
        """The call returned. Raises RuntimeError if the permit was ended before."""
        self._breaker.on_result(self._end(), result)

    def error(self, error: BaseException) -> None:
        """The call raised; what is no Exception (a cancellation) counts as nothing. Raises RuntimeError as `success`."""
        duration_ns = self._end()
        if isinstance(error, Exception):
            self._breaker.on_error(duration_ns, error)
        else:
            self._breaker.release()

    def release(self) -> None:
        """The call did not take place, or its end says nothing. Raises RuntimeError as `success`."""
        self._end()
        self._breaker.release()

    def _end(self) -> int:
        if self._ended:
            raise RuntimeError(f"the permit of CircuitBreaker '{self._breaker.name}' was ended already")
        self._ended = True
        return self._breaker.clock.now_ns() - self._started_ns

    def is_of(self, breaker: CircuitBreaker) -> bool:
        """Whether this breaker gave it."""
        return self._breaker is breaker


_entered: ContextVar[tuple[Permit, ...]] = ContextVar("resilience_entered", default=())


def enter(breaker: CircuitBreaker) -> None:
    """Begin a `with` block of this thread or task. Raises CallNotPermitted."""
    _entered.set((*_entered.get(), breaker.acquire()))


def leave(breaker: CircuitBreaker, error: BaseException | None) -> None:
    """End the latest `with` block of this breaker, which was left by `error` if any."""
    permits = _entered.get()
    index = max(index for index, permit in enumerate(permits) if permit.is_of(breaker))
    _entered.set(permits[:index] + permits[index + 1 :])
    if error is None:
        permits[index].success()
    else:
        permits[index].error(error)
