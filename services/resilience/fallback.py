"""
Fallback: what to answer when all protection has failed.

The handler of the exception's nearest class runs (R4J: spring6/fallback/FallbackMethod.java); it is outermost, so that
it hides nothing from a retry.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias, TypeVar

from services.resilience.errors import ConfigError, Problem

T = TypeVar("T")

Handler: TypeAlias = Callable[..., Any]


class Fallback:
    """Handlers by exception class, each called as handler(exception, *args, **kwargs), plain or async.

    What a handler raises goes to the caller with the first exception as its `__cause__`.
    """

    def __init__(self, handlers: Mapping[type[Exception], Handler] | Handler) -> None:
        table = handlers if isinstance(handlers, Mapping) else {Exception: handlers}
        wrong = [kind for kind in table if not (isinstance(kind, type) and issubclass(kind, Exception))]
        if wrong:
            raise ConfigError(
                [Problem(key="fallback", message=f"{kind!r} is no exception class") for kind in wrong],
            )
        self._handlers = dict(table)

    @property
    def classes(self) -> tuple[type[Exception], ...]:
        """The exception classes that there are handlers for."""
        return tuple(self._handlers)

    async def call(self, fn: Callable[..., Awaitable[Any]], skip: int, /, *args: Any, **kwargs: Any) -> Any:
        """Await fn(...); on an exception with a handler, the handler's answer, without the first `skip` arguments."""
        try:
            return await fn(*args, **kwargs)
        except Exception as error:
            handler = self.handler_of(error)
            if handler is None:
                raise
            try:
                answer = handler(error, *args[skip:], **kwargs)
                return await answer if inspect.isawaitable(answer) else answer
            except Exception as failure:
                _name_cause(failure, error)
                raise

    def call_sync(self, fn: Callable[..., Any], skip: int, /, *args: Any, **kwargs: Any) -> Any:
        """As `call`, for functions. An async handler is a mistake here: TypeError."""
        try:
            return fn(*args, **kwargs)
        except Exception as error:
            handler = self.handler_of(error)
            if handler is None:
                raise
            try:
                answer = handler(error, *args[skip:], **kwargs)
            except Exception as failure:
                _name_cause(failure, error)
                raise
            if inspect.iscoroutine(answer):
                answer.close()
                raise TypeError(f"fallback {handler!r} is async, the call is not") from error
            return answer

    def handler_of(self, error: Exception) -> Handler | None:
        """The handler of the nearest class in the exception's line of classes, None if there is none."""
        for kind in type(error).__mro__:
            if kind in self._handlers:
                return self._handlers[kind]
        return None


def _name_cause(failure: Exception, first: Exception) -> None:
    if failure is not first and failure.__cause__ is None:
        failure.__cause__ = first
