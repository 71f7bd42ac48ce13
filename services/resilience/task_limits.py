"""
One limit for many tasks: an event loop's tasks under one time limit, with one timer for all of them.

They all have the same time to run, so the oldest is due first and one timer, set for it, is enough. asyncio.timeout
sets and cancels a timer for each call, which costs ten times as much. What it does about cancellation is done here too.
"""

from __future__ import annotations

import asyncio
from asyncio import current_task, get_running_loop
from threading import get_ident


class Limited:
    """One task inside one time limit."""

    __slots__ = ("_cancelling", "_task", "due_s", "expired")

    def __init__(self, task: asyncio.Task[object], due_s: float) -> None:
        self._task = task
        self._cancelling = task.cancelling()
        self.due_s = due_s
        self.expired = False

    def expire(self) -> None:
        """Its time is up."""
        self.expired = True
        self._task.cancel()

    def take_back(self) -> bool:
        """Take back the cancellation of `expire`; whether nobody else wants the task to end."""
        self.expired = False
        return self._task.uncancel() <= self._cancelling


class LoopLimits:
    """The tasks of one event loop that are inside one time limit."""

    def __init__(self, loop: asyncio.AbstractEventLoop, limit_s: float) -> None:
        self.loop = loop
        self._limit_s = limit_s
        self._now_s = loop.time
        self._inside: dict[Limited, None] = {}  # oldest first
        self._timer: asyncio.TimerHandle | None = None

    def enter(self) -> Limited:
        """Begin to limit the running task. Raises RuntimeError outside of a task."""
        task = current_task(self.loop)
        if task is None:
            raise RuntimeError("a time limit needs a task to be in")
        limited = Limited(task, self._now_s() + self._limit_s)
        self._inside[limited] = None
        if self._timer is None:
            self._timer = self.loop.call_at(limited.due_s, self._look)
        return limited

    def leave(self, limited: Limited) -> None:
        """Limit it no longer."""
        self._inside.pop(limited, None)

    def _look(self) -> None:
        """End who is due, and look again when the next one is."""
        self._timer = None
        now_s = self._now_s()
        for limited in list(self._inside):
            if limited.due_s > now_s:
                self._timer = self.loop.call_at(limited.due_s, self._look)
                return
            del self._inside[limited]
            limited.expire()


class TaskLimits:
    """One time limit in whatever event loops it is used in: each thread's latest."""

    def __init__(self, limit_s: float) -> None:
        self.limit_s = limit_s
        self._by_thread: dict[int, LoopLimits] = {}

    def here(self) -> LoopLimits:
        """The running loop's. Raises RuntimeError where none runs."""
        loop, thread = get_running_loop(), get_ident()
        limits = self._by_thread.get(thread)
        if limits is None or limits.loop is not loop:
            self._by_thread[thread] = limits = LoopLimits(loop, self.limit_s)
        return limits
