"""
How many requests a service works on at once, as a servlet container's threads would limit it.

Without a bulkhead in front of a hanging neighbour its callers occupy every worker, and requests that have
nothing to do with the neighbour wait behind them: that is what a bulkhead is there to prevent.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Overloaded(Exception):
    """No worker: the queue is full, or the request's time ran out while it waited."""


class Workers:
    """So many requests at once; so many more may wait, first come, first served."""

    def __init__(self, *, count: int, queue: int) -> None:
        self.count = count
        self.queue = queue
        self.waiting = 0
        self._free = asyncio.Semaphore(count)
        self.busy = 0

    @asynccontextmanager
    async def one(self, *, wait_at_most_s: float) -> AsyncIterator[None]:
        """Hold one worker. Raises Overloaded when none becomes free in time or the queue is full."""
        await self._take(wait_at_most_s)
        self.busy += 1
        try:
            yield
        finally:
            self.busy -= 1
            self._free.release()

    async def _take(self, wait_at_most_s: float) -> None:
        if not self._free.locked():
            await self._free.acquire()  # does not wait: one is free
            return
        if self.waiting >= self.queue:
            raise Overloaded(f"all {self.count} workers are busy and {self.queue} requests wait already")
        self.waiting += 1
        try:
            async with asyncio.timeout(max(0.0, wait_at_most_s)):
                await self._free.acquire()
        except TimeoutError:
            raise Overloaded(f"all {self.count} workers stayed busy for {wait_at_most_s:.2f} s") from None
        finally:
            self.waiting -= 1
