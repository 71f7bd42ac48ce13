"""
Who gets a place in a thread pool: java.util.concurrent's order, without threads.

A call gets a new place while there are fewer than `core`; else an idle place; else room in the queue, even though
there are fewer places than `maximum`; else a new place up to `maximum`; else it is refused. Idle places above `core`
end after keep_alive_ns, looked at when somebody asks. The owner's lock is held around every call.
"""

from __future__ import annotations

import enum
import queue
from collections import deque
from collections.abc import Callable
from typing import Protocol, TypeAlias

Inbox: TypeAlias = "queue.SimpleQueue[Callable[[], None] | None]"
"""What a place's thread is to do next; None ends the thread."""


class Place:
    """One worker of a pool. `inbox` is None until a function needs a thread: coroutines do without."""

    __slots__ = ("idle_since_ns", "inbox")

    def __init__(self) -> None:
        self.idle_since_ns = 0
        self.inbox: Inbox | None = None


class Caller(Protocol):
    """Somebody who wants a place; `place` is set, with the lock held, at the moment one is given."""

    place: Place | None


class Offer(enum.Enum):
    """What became of a call that came."""

    STARTS = enum.auto()
    QUEUED = enum.auto()
    REFUSED = enum.auto()


class Admission:
    """Places, idle places and the queue of one pool. `queue_capacity` 0 hands over to idle places only."""

    def __init__(self, core: int, maximum: int, queue_capacity: int, keep_alive_ns: int) -> None:
        self.core = core
        self.maximum = maximum
        self.queue_capacity = queue_capacity
        self.keep_alive_ns = keep_alive_ns
        self.size = 0
        self.idle: deque[Place] = deque()
        self.queue: deque[Caller] = deque()
        self.closed = False

    @property
    def active(self) -> int:
        """Places with a call in them."""
        return self.size - len(self.idle)

    def offer(self, caller: Caller) -> Offer:
        """A call comes. With STARTS its place is set. Expire first."""
        if self.closed:
            return Offer.REFUSED
        if self.size < self.core:
            caller.place = self._added()
        elif self.idle:
            # A blocking queue wakes who has waited longest, a synchronous one who came last.
            caller.place = self.idle.popleft() if self.queue_capacity else self.idle.pop()
        elif len(self.queue) < self.queue_capacity:
            self.queue.append(caller)
            return Offer.QUEUED
        elif self.size < self.maximum:
            caller.place = self._added()
        else:
            return Offer.REFUSED
        return Offer.STARTS

    def finish(self, place: Place, now_ns: int) -> Caller | None:
        """A call left its place: who of the queue has it now, None if it is idle, or gone with the pool."""
        if self.queue:
            caller = self.queue.popleft()
            caller.place = place
            return caller
        if self.closed:
            self.size -= 1
            return None
        place.idle_since_ns = now_ns
        self.idle.append(place)
        return None

    def expire(self, now_ns: int) -> list[Place]:
        """Places above the core that have been idle for keep_alive_ns: they are no more."""
        ended = []
        while self.size > self.core and self.idle and self.idle[0].idle_since_ns + self.keep_alive_ns <= now_ns:
            ended.append(self.idle.popleft())
            self.size -= 1
        return ended

    def next_expiry_ns(self) -> int | None:
        """When the next idle place will end, None if none will."""
        return self.idle[0].idle_since_ns + self.keep_alive_ns if self.size > self.core and self.idle else None

    def withdraw(self, caller: Caller) -> bool:
        """Leave the queue; False if a place was given already."""
        if caller.place is not None:
            return False
        self.queue.remove(caller)
        return True

    def close(self) -> list[Place]:
        """Let nobody in any more; what is queued still runs. The idle places, which end."""
        self.closed = True
        ended = list(self.idle)
        self.idle.clear()
        self.size -= len(ended)
        return ended

    def forget(self) -> None:
        """No places and no queue: what a forked child finds."""
        self.size = 0
        self.idle.clear()
        self.queue.clear()

    def _added(self) -> Place:
        self.size += 1
        return Place()
