"""The limit on requests worked on at once."""

from __future__ import annotations

import asyncio

import pytest

from services.shop.workers import Overloaded, Workers


def test_no_more_requests_than_workers_run_at_once():
    """The highest number of requests worked on together is the number of workers."""

    async def scenario():
        workers = Workers(count=3, queue=100)
        running = highest = 0

        async def request():
            nonlocal running, highest
            async with workers.one(wait_at_most_s=30):
                running += 1
                highest = max(highest, running)
                await asyncio.sleep(0)
                running -= 1

        await asyncio.gather(*(request() for _ in range(20)))
        return highest, workers.busy, workers.waiting

    assert asyncio.run(scenario()) == (3, 0, 0)


def test_a_full_queue_turns_away_at_once():
    """When every worker is busy and the queue is full, the next request is refused without waiting."""

    async def scenario():
        workers = Workers(count=1, queue=0)
        async with workers.one(wait_at_most_s=30):
            with pytest.raises(Overloaded, match="0 requests wait"):
                async with workers.one(wait_at_most_s=30):
                    pass

    asyncio.run(scenario())


def test_waiting_ends_with_the_requests_time():
    """A request whose time is up stops waiting, and the worker is free for the next one."""

    async def scenario():
        workers = Workers(count=1, queue=5)
        async with workers.one(wait_at_most_s=30):
            with pytest.raises(Overloaded, match="stayed busy"):
                async with workers.one(wait_at_most_s=0):
                    pass
        async with workers.one(wait_at_most_s=0):
            return workers.busy, workers.waiting

    assert asyncio.run(scenario()) == (1, 0)
