"""
One limit for many tasks: an event loop's tasks under one time limit, with one timer for all of them.

They all have the same time to run, so the oldest is due first and one timer, set for it, is enough. asyncio.timeout
sets and cancels a timer for each call, which costs several times as much.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from threading import get_ident


class LoopLimits:
    """The tasks of one event loop that are inside one time limit."""

    def __init__(self, loop: asyncio.AbstractEventLoop, limit_s: float) -> None:
        self.loop = loop
        self._limit_s = limit_s
        # What asyncio's own loops do, without the call that it takes them; others may keep another time.
        self._now_s = time.monotonic if type(loop).time is asyncio.BaseEventLoop.time else loop.time
        self._numbers = itertools.count()
        # Each with when it is due and how often it had been cancelled when it came in, the oldest first. Who ends in
        # time takes itself out; who is not there any more was cancelled, and takes that back.
        self.inside: dict[int, tuple[asyncio.Task[object], float, int]] = {}
        self._late: dict[int, tuple[asyncio.Task[object], int]] = {}
        self._timer: asyncio.TimerHandle | None = None

    def enter(self, task: asyncio.Task[object]) -> int:
        """Begin to limit the running task; the number under which it is inside."""
        due_s = self._now_s() + self._limit_s
        number = next(self._numbers)
        self.inside[number] = (task, due_s, task.cancelling())
        if self._timer is None:
            self._timer = self.loop.call_at(due_s, self._look)
        return number

    def take_back(self, number: int) -> bool:
        """Take our cancellation of one that is no longer `inside` back; whether it was the only one, as asyncio.timeout reckons."""
        task, cancelling = self._late.pop(number)
        return task.uncancel() <= cancelling

    def _look(self) -> None:
        """Cancel who is due, and look again when the next one is."""
        self._timer = None
        now_s = self._now_s()
        for number, (task, due_s, cancelling) in list(self.inside.items()):
            if due_s > now_s:
                self._timer = self.loop.call_at(due_s, self._look)
                return
            del self.inside[number]
            self._late[number] = (task, cancelling)
            task.cancel()


class TaskLimits:
    """One time limit in whatever event loops it is used in: each thread's latest."""

    def __init__(self, limit_s: float) -> None:
        self.limit_s = limit_s
        self._by_thread: dict[int, LoopLimits] = {}

    def of(self, loop: asyncio.AbstractEventLoop) -> LoopLimits:
        """The running loop's."""
        thread = get_ident()
        limits = self._by_thread.get(thread)
        if limits is None or limits.loop is not loop:
            self._by_thread[thread] = limits = LoopLimits(loop, self.limit_s)
        return limits
