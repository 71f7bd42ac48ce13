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
    """The tasks of one event loop that are inside one time limit. The limiter puts them in and takes them out by hand."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        # What asyncio's own loops do, without the call that it takes them; others may keep another time.
        self.now_s = time.monotonic if type(loop).time is asyncio.BaseEventLoop.time else loop.time
        self.numbers = itertools.count()
        # Each with when it is due and how often it had been cancelled when it came in, the oldest first. Who ends in
        # time takes itself out; who is not there any more was cancelled, and takes that back.
        self.inside: dict[int, tuple[asyncio.Task[object], float, int]] = {}
        self._late: dict[int, tuple[asyncio.Task[object], int]] = {}
        self.timer: asyncio.TimerHandle | None = None

    def start_timer(self, due_s: float) -> None:
        """Have those who are due looked for at due_s, the first of whom has just come in."""
        self.timer = self.loop.call_at(due_s, self._look)

    def take_back(self, number: int) -> bool:
        """Take our cancellation of one that is no longer `inside` back; whether it was the only one, as asyncio.timeout reckons."""
        task, cancelling = self._late.pop(number)
        return task.uncancel() <= cancelling

    def _look(self) -> None:
        """Cancel who is due, and look again when the next one is."""
        self.timer = None
        now_s = self.now_s()
        for number, (task, due_s, cancelling) in list(self.inside.items()):
            if due_s > now_s:
                self.timer = self.loop.call_at(due_s, self._look)
                return
            del self.inside[number]
            self._late[number] = (task, cancelling)
            task.cancel()


class TaskLimits:
    """One time limit in whatever event loops it is used in: each thread's latest."""

    def __init__(self) -> None:
        self._by_thread: dict[int, LoopLimits] = {}

    def of(self, loop: asyncio.AbstractEventLoop) -> LoopLimits:
        """The running loop's."""
        thread = get_ident()
        limits = self._by_thread.get(thread)
        if limits is None or limits.loop is not loop:
            self._by_thread[thread] = limits = LoopLimits(loop)
        return limits
