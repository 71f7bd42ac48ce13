"""
The thread-pool bulkhead: calls run in a few threads of their own, a few more wait in a queue, the rest is refused.

Resilience4j's FixedThreadPoolBulkhead (R4J: bulkhead/internal/FixedThreadPoolBulkhead.java) over the order of
java.util.concurrent's ThreadPoolExecutor, which `Admission` holds. Functions run in threads; coroutines stay on
their event loop and take places by the same arithmetic, so a third call waits although the maximum is four.
A place is taken until the work really ends, whoever has stopped waiting for it.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import os
import queue
import threading
import weakref
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast, overload

from services.resilience.clock import NS_PER_MS, Clock, SystemClock, Timer
from services.resilience.errors import BulkheadFull
from services.resilience.events import EventLog
from services.resilience.locks import fork_safe_lock
from services.resilience.pool_admission import Admission, Inbox, Offer, Place
from services.resilience.pool_callers import Turn, Work
from services.resilience.pool_config import PoolMetrics, ThreadPoolBulkheadConfig

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from concurrent.futures import Future

__all__ = ["EVENT_TYPES", "PoolMetrics", "ThreadPoolBulkhead", "ThreadPoolBulkheadConfig"]

P = ParamSpec("P")
T = TypeVar("T")

EVENT_TYPES = ("CALL_PERMITTED", "CALL_REJECTED", "CALL_FINISHED")


class ThreadPoolBulkhead:
    """One pool. Its threads are daemons, started when they are needed. Safe under threads, event loops and fork."""

    def __init__(self, name: str, config: ThreadPoolBulkheadConfig | None = None, clock: Clock | None = None) -> None:
        self.name = name
        self.config = config or ThreadPoolBulkheadConfig()
        self.clock: Clock = clock or SystemClock()
        self._lock = fork_safe_lock()
        self._admission = Admission(
            self.config.core_thread_pool_size,
            self.config.max_thread_pool_size,
            self.config.queue_capacity,
            self.config.keep_alive_duration_ms * NS_PER_MS,
        )
        self._reaper: Timer | None = None
        self._drained = threading.Event()
        self._inboxes: set[Inbox] = set()
        self.events = EventLog(self.clock, self._lock, self.config.event_consumer_buffer_size)
        # Threads without work must not outlive a pool that nobody has any more.
        weakref.finalize(self, _end_all, self._inboxes).atexit = False
        _pools.add(self)

    @property
    def metrics(self) -> PoolMetrics:
        """What the pool holds now."""
        with self._lock:
            self._expire(self.clock.now_ns())
            admission = self._admission
            return PoolMetrics(
                queue_depth=len(admission.queue),
                queue_capacity=admission.queue_capacity,
                thread_pool_size=admission.size,
                core_thread_pool_size=admission.core,
                max_thread_pool_size=admission.maximum,
                active_thread_count=admission.active,
                available_thread_count=admission.maximum - admission.active,
            )

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run fn(...) in a thread of the pool, with the caller's context variables. Raises BulkheadFull at once.

        Cancelling the future works while it waits in the queue; its place there is free when its turn has come.
        """
        return self._submit(Work(self, functools.partial(fn, *args, **kwargs)))

    def call_sync(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run fn(...) in a thread of the pool and wait for it. Raises BulkheadFull, or what fn raises."""
        if not self.config.enabled:
            return fn(*args, **kwargs)
        work = Work(self, functools.partial(fn, *args, **kwargs))
        future = self._submit(work)
        try:
            result: T = future.result()
        except BaseException:
            self._give_up(work)
            raise
        return result

    @overload
    async def call(self, fn: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> T: ...
    @overload
    async def call(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T: ...
    async def call(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Await fn(...): a coroutine function in a place of its own, any other function in a thread.

        What such a function returns is awaited on the event loop, if it can be, in the place that its thread had.
        Raises BulkheadFull. Cancellation ends a coroutine; a thread cannot be ended and keeps its place.
        """
        if _is_async(fn):
            return await (self._in_place(fn, *args, **kwargs) if self.config.enabled else fn(*args, **kwargs))
        if not self.config.enabled:
            return fn(*args, **kwargs)
        work = Work(self, functools.partial(fn, *args, **kwargs), awaits=True)
        future = self._submit(work)
        try:
            answer = await asyncio.wrap_future(future)
        except BaseException:
            self._give_up(work)
            raise
        if not work.is_held:
            return answer
        try:
            return await answer
        finally:
            self.leave(work.place)

    def close(self, wait_s: float = 5.0) -> bool:
        """Refuse new calls, let those queued run, and wait for their end; False if that takes longer than wait_s."""
        with self._lock:
            ended = self._admission.close()
            self._end(ended)
            if self._admission.size == 0:
                self._drained.set()
        return self._drained.wait(wait_s)

    # -- places ------------------------------------------------------------------------------------------------

    def _submit(self, work: Work) -> Future[Any]:
        if self._admit(work):
            self._start(work)
        return work.future

    def _admit(self, caller: Work | Turn) -> bool:
        """Whether the caller may start; else it is in the queue. Raises BulkheadFull."""
        with self._lock:
            now_ns = self.clock.now_ns()
            self._expire(now_ns)
            offer = self._admission.offer(caller)
            if offer is Offer.REFUSED:
                self.events.append("CALL_REJECTED", now_ns, 0)
        if offer is Offer.REFUSED:
            self.events.deliver()
            raise BulkheadFull(self.name)
        return offer is Offer.STARTS

    def _start(self, caller: Work | Turn | None) -> None:
        """Start a caller that has been given a place; if that cannot be, the place goes to the next in the queue."""
        while caller is not None:
            try:
                caller.start()
                return
            except RuntimeError as error:  # no thread to be had, or an event loop that is closed
                caller = self._next(caller.place) if caller.fail(error) else None

    def leave(self, place: Place | None, kind: str | None = "CALL_FINISHED") -> None:
        """A call has left its place, told as `kind`: the next in the queue starts there."""
        self._start(self._next(place, kind))

    def _next(self, place: Place | None, kind: str | None = None) -> Work | Turn | None:
        assert place is not None
        with self._lock:
            now_ns = self.clock.now_ns()
            if kind is not None:
                self.events.append(kind, now_ns)
            caller = self._admission.finish(place, now_ns)
            if caller is None:
                self._rest(place)
        self.events.deliver()
        return cast("Work | Turn | None", caller)

    async def _in_place(self, fn: Callable[..., Awaitable[Any]], *args: Any, **kwargs: Any) -> Any:
        turn = Turn()
        if not self._admit(turn):
            try:
                await turn.arrived.wait()
            except BaseException:
                with self._lock:
                    queued = self._admission.withdraw(turn)
                if not queued and turn.fail():
                    self.leave(turn.place, None)
                raise
        self.events.publish("CALL_PERMITTED")
        try:
            return await fn(*args, **kwargs)
        finally:
            self.leave(turn.place)

    def _give_up(self, work: Work) -> None:
        """Nobody waits for the work any more: if it has not been started, it will not be."""
        if work.future.cancel() or work.future.cancelled():
            with self._lock:
                if work.place is None and work in self._admission.queue:
                    self._admission.withdraw(work)
        elif work.abandon():
            self.leave(work.place)

    # -- threads; the lock is held -----------------------------------------------------------------------------------

    def inbox_of(self, place: Place) -> Inbox:
        """The inbox of a place's thread, started if need be. Called by whoever holds the place, without the lock."""
        if place.inbox is None:
            inbox: Inbox = queue.SimpleQueue()
            threading.Thread(target=_serve, args=(inbox,), name=f"bulkhead-{self.name}", daemon=True).start()
            place.inbox = inbox
            with self._lock:
                self._inboxes.add(inbox)
        return place.inbox

    def _rest(self, place: Place) -> None:
        if self._admission.closed:
            self._end([place])
            if self._admission.size == 0:
                self._drained.set()
        elif place.inbox is not None and self._reaper is None:
            self._schedule_reaper()

    def _schedule_reaper(self) -> None:
        due_ns = self._admission.next_expiry_ns()
        self._reaper = None
        if due_ns is not None:
            self._reaper = self.clock.schedule(max(due_ns - self.clock.now_ns(), 0), self._reap)

    def _reap(self) -> None:
        with self._lock:
            self._expire(self.clock.now_ns())
            self._schedule_reaper()

    def _expire(self, now_ns: int) -> None:
        self._end(self._admission.expire(now_ns))

    def _end(self, places: list[Place]) -> None:
        for place in places:
            if place.inbox is not None:
                self._inboxes.discard(place.inbox)
                place.inbox.put(None)

    def forget_threads(self) -> None:
        """For a forked child: it has none of the threads, and the calls in them are its parent's."""
        self._admission.forget()
        self._inboxes.clear()
        self._reaper = None


def _serve(inbox: Inbox) -> None:
    while (work := inbox.get()) is not None:
        work()
        del work  # while it waits for the next, a thread holds on to nothing of the last


def _end_all(inboxes: set[Inbox]) -> None:
    for inbox in inboxes:
        inbox.put(None)


def _is_async(fn: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(fn) or inspect.iscoroutinefunction(getattr(fn, "__call__", None))  # noqa: B004


_pools: weakref.WeakSet[ThreadPoolBulkhead] = weakref.WeakSet()


def _after_in_child() -> None:
    for pool in list(_pools):
        pool.forget_threads()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_in_child)
