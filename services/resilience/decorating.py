"""The decorators' common part: one object with `call` and `call_sync` around plain and coroutine functions alike."""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


class Shells(Protocol):
    """What runs a function under some protection."""

    def call(self, fn: Callable[..., Awaitable[Any]], /, *args: Any, **kwargs: Any) -> Awaitable[Any]:
        """Await fn(...)."""

    def call_sync(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Call fn(...)."""


def decorated(shells: Shells, fn: Callable[..., Any]) -> Callable[..., Any]:
    """The function under this protection, which side of it is told by the function's kind."""
    if inspect.iscoroutinefunction(fn):
        call = shells.call

        @functools.wraps(fn)
        async def protected(*args: Any, **kwargs: Any) -> Any:
            return await call(fn, *args, **kwargs)

        return protected
    call_sync = shells.call_sync

    @functools.wraps(fn)
    def protected_sync(*args: Any, **kwargs: Any) -> Any:
        return call_sync(fn, *args, **kwargs)

    return protected_sync
