"""
The semaphore bulkhead: at most so many calls at once, and a bounded, fair wait for a place.

Resilience4j's SemaphoreBulkhead (R4J: bulkhead/internal/SemaphoreBulkhead.java). Threads and tasks of several event
loops may share one bulkhead and queue in one line: a place that becomes free is handed to the oldest waiter.

A free place is an item in a list: taking and giving back is one pop and one append, without the lock while nobody
stands in line.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from services.resilience.clock import Clock, SystemClock
from services.resilience.errors import BulkheadFull
from services.resilience.events import NOTED_MAX, EventLog
from services.resilience.locks import fork_safe_lock, renewed_in_child
from services.resilience.validation import Checks

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

P = ParamSpec("P")
T = TypeVar("T")

EVENT_TYPES = ("CALL_PERMITTED", "CALL_REJECTED", "CALL_FINISHED")


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkheadConfig:
    """Options of one bulkhead; max_concurrent_calls 0 lets nobody in. Raises ConfigError for values out of bounds."""

    max_concurrent_calls: int = 25
    max_wait_duration_ms: int = 0
    event_consumer_buffer_size: int = 100
    enabled: bool = True

    def __post_init__(self) -> None:
        checks = Checks()
        checks.at_least("maxConcurrentCalls", self.max_concurrent_calls, 0)
        checks.at_least("maxWaitDuration", self.max_wait_duration_ms, 0, "ms")
        checks.at_least("eventConsumerBufferSize", self.event_consumer_buffer_size, 1)
        checks.finish()


class _Waiter:
    """Somebody in the line. `wake` may be called from any thread, with the bulkhead's lock held."""

    __slots__ = ("granted", "wake")

    def __init__(self, wake: Callable[[], object]) -> None:
        self.wake = wake
        self.granted = False


class Bulkhead:
    """One bulkhead. Who runs the work elsewhere uses `acquire` or `acquire_sync`, then `finish` or `release` once."""

    def __init__(self, name: str, config: BulkheadConfig | None = None, clock: Clock | None = None) -> None:
        self.name = name
        self.config = config or BulkheadConfig()
        self.clock: Clock = clock or SystemClock()
        self._lock = fork_safe_lock()
        self._never_used = self.config.max_concurrent_calls
        self._given_back: list[None] = []
        self._line: deque[_Waiter] = deque()
        self.events = EventLog(self.clock, self._lock, self.config.event_consumer_buffer_size)
        self._noted = self.events.noted  # by hand: this is done in every call
        renewed_in_child(self)

    @property
    def available_concurrent_calls(self) -> int:
        """How many more calls would be let in now."""
        return self._never_used + len(self._given_back)

    def renew_in_child(self) -> None:
        """After a fork all places are free: the other threads' calls go on in the parent, not here."""
        self._never_used = self.config.max_concurrent_calls
        self._given_back.clear()
        self._line.clear()

    async def call(self, fn: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Await fn(...) in a place of its own. Raises BulkheadFull."""
        if not self.config.enabled:
            return await fn(*args, **kwargs)
        if not self.try_acquire_at(self.clock.now_ns()):
            await self._wait_in_line()
            self._tell("CALL_PERMITTED")
        try:
            return await fn(*args, **kwargs)
        finally:
            self.finish()

    def call_sync(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Call fn(...) in a place of its own. Raises BulkheadFull."""
        if not self.config.enabled:
            return fn(*args, **kwargs)
        self.acquire_sync()
        try:
            return fn(*args, **kwargs)
        finally:
            self.finish()

    async def acquire(self) -> None:
        """Take a place, waiting for at most max_wait_duration_ms. Raises BulkheadFull."""
        if not self.try_acquire_at(self.clock.now_ns()):
            await self._wait_in_line()
            self._tell("CALL_PERMITTED")

    def acquire_sync(self) -> None:
        """Take a place, blocking for at most max_wait_duration_ms. Raises BulkheadFull."""
        if not self.try_acquire_at(self.clock.now_ns()):
            self._block_in_line()
            self._tell("CALL_PERMITTED")

    def finish(self) -> None:
        """Give the place back after a call, told as CALL_FINISHED."""
        self.finish_at(self.clock.now_ns())

    def finish_at(self, now_ns: int) -> None:
        """As `finish`, for who has looked at the clock already."""
        # Told first, or the next call might seem to be inside together with this one.
        if self.events.heard:
            self.events.publish("CALL_FINISHED")
        else:
            self._noted.append(("CALL_FINISHED", now_ns, None))
        self._given_back.append(None)
        if self._line:
            self._serve_line()

    def release(self) -> None:
        """Give the place back, silently: the call never took place."""
        self._given_back.append(None)
        if self._line:
            self._serve_line()

    def try_acquire_at(self, now_ns: int) -> bool:
        """Take a place if there is one at once; now_ns is what the clock shows."""
        if self._line:  # who came before goes in before
            return False
        try:
            self._given_back.pop()
        except IndexError:
            if not self._try_new_place():
                return False
        if self.events.heard:
            self.events.publish("CALL_PERMITTED")
            return True
        noted = self._noted
        noted.append(("CALL_PERMITTED", now_ns, None))
        if len(noted) >= NOTED_MAX:
            self.events.shorten()
        return True

    def _try_new_place(self) -> bool:
        with self._lock:
            return self._take()

    def _take(self) -> bool:
        """Take a place if there is one. The lock is held; those who pop without it are reckoned with."""
        try:
            self._given_back.pop()
        except IndexError:
            if self._never_used <= 0:
                return False
            self._never_used -= 1
        return True

    def _serve_line(self) -> None:
        with self._lock:
            while self._line and self._take():
                self._hand_over(self._line.popleft())

    async def _wait_in_line(self) -> None:
        came_ns = self.clock.now_ns()
        wait_s = self.config.max_wait_duration_ms / 1000
        if wait_s <= 0:
            self._refuse(came_ns)
        loop = asyncio.get_running_loop()
        arrived = asyncio.Event()
        waiter = self._join(lambda: loop.call_soon_threadsafe(arrived.set))
        if waiter is None:
            return
        try:
            async with asyncio.timeout(wait_s):
                await arrived.wait()
        except TimeoutError:
            if not self._leave(waiter):
                self._refuse(came_ns)
        except BaseException:
            # Cancelled while waiting: a place granted in that very moment goes to the next in line.
            if self._leave(waiter):
                self.release()
            raise

    def _block_in_line(self) -> None:
        came_ns = self.clock.now_ns()
        wait_s = self.config.max_wait_duration_ms / 1000
        if wait_s <= 0:
            self._refuse(came_ns)
        arrived = threading.Event()
        waiter = self._join(arrived.set)
        if waiter is None:
            return
        try:
            in_time = arrived.wait(min(wait_s, threading.TIMEOUT_MAX))
        except BaseException:
            if self._leave(waiter):
                self.release()
            raise
        if not in_time and not self._leave(waiter):
            self._refuse(came_ns)

    def _join(self, wake: Callable[[], object]) -> _Waiter | None:
        """Stand in line; None if a place became free meanwhile and is taken."""
        with self._lock:
            waiter = _Waiter(wake)
            self._line.append(waiter)
            # Who gives a place back looks for a line after that: so one of the two of us sees the other.
            if self._line[0] is waiter and self._take():
                self._line.remove(waiter)
                return None
            return waiter

    def _leave(self, waiter: _Waiter) -> bool:
        """Stop waiting; True if the place had been granted already."""
        with self._lock:
            if not waiter.granted:
                self._line.remove(waiter)
            return waiter.granted

    def _hand_over(self, waiter: _Waiter) -> None:
        waiter.granted = True
        try:
            waiter.wake()
        except RuntimeError:  # its event loop is closed: nobody is waiting there any more
            self._given_back.append(None)

    def _refuse(self, came_ns: int) -> None:
        self.events.publish("CALL_REJECTED", duration_ns=self.clock.now_ns() - came_ns)
        raise BulkheadFull(self.name)

    def _tell(self, kind: str) -> None:
        self.events.publish(kind)
