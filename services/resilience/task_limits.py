"""
One limit for many tasks: an event loop's tasks under one time limit, with one timer for all of them.

They all have the same time to run, so the oldest is due first and one timer, set for it, is enough. asyncio.timeout
sets and cancels a timer for each call, which costs several times as much.
"""

from __future__ import annotations

import asyncio
import itertools
from asyncio import current_task, get_running_loop
from threading import get_ident


class LoopLimits:
    """The tasks of one event loop that are inside one time limit."""

    def __init__(self, loop: asyncio.AbstractEventLoop, limit_s: float) -> None:
        self.loop = loop
        self._limit_s = limit_s
        self._now_s = loop.time
        self._numbers = itertools.count()
        self._inside: dict[int, tuple[asyncio.Task[object], float]] = {}  # task and when it is due, oldest first
        self._timer: asyncio.TimerHandle | None = None

    def enter(self, task: asyncio.Task[object]) -> int:
        """Begin to limit the running task; the number under which it is inside."""
        due_s = self._now_s() + self._limit_s
        number = next(self._numbers)
        self._inside[number] = (task, due_s)
        if self._timer is None:
            self._timer = self.loop.call_at(due_s, self._look)
        return number

    def leave(self, number: int) -> bool:
        """Limit it no longer; whether it was in time. If not, it was cancelled, once."""
        return self._inside.pop(number, None) is not None

    def _look(self) -> None:
        """Cancel who is due, and look again when the next one is."""
        self._timer = None
        now_s = self._now_s()
        for number, (task, due_s) in list(self._inside.items()):
            if due_s > now_s:
                self._timer = self.loop.call_at(due_s, self._look)
                return
            del self._inside[number]
            task.cancel()


class TaskLimits:
    """One time limit in whatever event loops it is used in: each thread's latest."""

    def __init__(self, limit_s: float) -> None:
        self.limit_s = limit_s
        self._by_thread: dict[int, LoopLimits] = {}

    def here(self) -> tuple[LoopLimits, asyncio.Task[object]]:
        """The running loop's, and the running task. Raises RuntimeError where there are none."""
        loop, thread = get_running_loop(), get_ident()
        task = current_task(loop)
        if task is None:
            raise RuntimeError("a time limit needs a task to be in")
        limits = self._by_thread.get(thread)
        if limits is None or limits.loop is not loop:
            self._by_thread[thread] = limits = LoopLimits(loop, self.limit_s)
        return limits, task
