"""
Who wants a place in a thread pool: a function to be run in its thread, or a coroutine that waits for its turn.

They are what `Admission` queues. Who gets a place, and when, is decided there and by the bulkhead.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from services.resilience.events import EventLog
    from services.resilience.pool_admission import Inbox, Place


class Pool(Protocol):
    """What a function asks of the pool that it runs in."""

    events: EventLog

    def inbox_of(self, place: Place) -> Inbox:
        """The inbox of a place's thread. Raises RuntimeError if there is no thread to be had."""

    def leave(self, place: Place | None, kind: str | None = "CALL_FINISHED") -> None:
        """The place is free; `kind` is the event that tells so."""


class Work:
    """A function that is to run in a thread, and the future of its answer.

    With `awaits`, an answer that is itself to be awaited holds the place (`is_held`) for whoever waits for the future.
    """

    __slots__ = ("_abandoned", "_awaits", "_context", "_fn", "_handing", "_pool", "future", "is_held", "place")

    def __init__(self, pool: Pool, fn: Callable[[], Any], *, awaits: bool = False) -> None:
        self.is_held = False
        self._abandoned = False
        self._awaits = awaits
        self._handing = threading.Lock()
        self.place: Place | None = None
        self.future: Future[Any] = Future()
        self._pool = pool
        self._fn = fn
        self._context = contextvars.copy_context()

    def start(self) -> None:
        """Hand the function to the thread of the place. Raises RuntimeError if there is no thread to be had."""
        assert self.place is not None
        self._pool.inbox_of(self.place).put(self.run)

    def run(self) -> None:
        """In the thread: run the function, leave the place, and then tell the answer."""
        pool, place, future = self._pool, self.place, self.future
        if not future.set_running_or_notify_cancel():
            pool.leave(place, None)
            return
        pool.events.publish("CALL_PERMITTED")
        try:
            answer = self._context.run(self._fn)
        except BaseException as error:  # whatever it is belongs to whoever waits for the future
            pool.leave(place)
            future.set_exception(error)
            del self, future  # the exception's traceback leads here: no cycle
        else:
            if self._awaits and inspect.isawaitable(answer) and self._hold(answer):
                return
            pool.leave(place)
            future.set_result(answer)

    def abandon(self) -> bool:
        """Nobody waits for the answer any more. True if it holds the place, which is then to be left."""
        with self._handing:
            self._abandoned = True
            if self.is_held:
                close_unawaited(self.future.result())
            return self.is_held

    def _hold(self, answer: Any) -> bool:
        with self._handing:
            self.is_held = not self._abandoned
            if not self.is_held:
                close_unawaited(answer)
            else:
                # Told under the lock: who abandons what is held finds the answer there.
                self.future.set_result(answer)
            return self.is_held

    def fail(self, error: RuntimeError) -> bool:
        """It could not be started: tell so to who waits. True: the place is free."""
        if self.future.set_running_or_notify_cancel():
            self.future.set_exception(error)
        return True


class Turn:
    """A coroutine's turn: `arrived` is set on its own event loop when it has a place."""

    __slots__ = ("_gone", "_loop", "arrived", "place")

    def __init__(self) -> None:
        self.place: Place | None = None
        self.arrived = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._gone = threading.Lock()

    def start(self) -> None:
        """Wake the coroutine. Raises RuntimeError if its loop is closed."""
        self._loop.call_soon_threadsafe(self.arrived.set)

    def fail(self, _error: RuntimeError | None = None) -> bool:
        """Nobody will use the place. True to the first who says so, and who has to free it."""
        return self._gone.acquire(blocking=False)


def close_unawaited(answer: Any) -> None:
    """Close a coroutine that nobody will await."""
    if inspect.iscoroutine(answer):
        answer.close()  # or Python complains that it was never awaited
