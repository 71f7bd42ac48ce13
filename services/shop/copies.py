"""
Copies of products that several instances share, kept in Redis: what one of them was told, all of them know.

Redis is a cache here and nothing else: every question to it is bounded, and every trouble with it is `Unavailable`, so
that the catalogue asks the next source. Of several addresses one is the primary; reads go to any that answers, writes
to the first that takes them. redis-py is imported when the copies are opened: only who shares copies pays for it.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

from services.resilience import Cached
from services.shop.application import Unavailable

if TYPE_CHECKING:
    from redis.asyncio import Redis

QUESTION_S = 0.1  # one question, connecting included
KEPT_S = 3600
_MOST_WRITES = 64  # under way; a copy more or less is not worth waiting for
_CONNECTIONS = 16

Product = dict[str, Any]
Work = Callable[["Redis"], Awaitable[Any]]


class SharedCopies:
    """Copies in Redis. now_s is the wall clock, which all instances of a machine or cluster share."""

    def __init__(
        self, urls: Sequence[str], *, fresh_s: float, prefix: str = "product:", now_s: Callable[[], float] = time.time
    ) -> None:
        self.urls = tuple(urls)
        self.fresh_s = fresh_s
        self._prefix = prefix
        self._now_s = now_s
        self._nodes: list[Redis] = []
        self._reads = self._writes = 0  # the node that answered last, that took a write last
        self._writing: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        from redis.asyncio import Redis
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff

        self._nodes = [
            Redis.from_url(
                url,
                socket_timeout=QUESTION_S,
                socket_connect_timeout=QUESTION_S,
                max_connections=_CONNECTIONS,
                decode_responses=True,
                retry=Retry(NoBackoff(), 0),  # a second question is the chain's to ask, of another source
            )
            for url in self.urls
        ]

    async def close(self) -> None:
        """Let go of every connection. Safe to call twice."""
        for task in list(self._writing):
            task.cancel()
        await asyncio.gather(*self._writing, return_exceptions=True)
        nodes, self._nodes = self._nodes, []
        for node in nodes:
            await node.aclose()

    async def fresh(self, number: int) -> Cached[Product] | None:
        """A copy younger than fresh_s; None when there is none. Raises Unavailable."""
        found = await self._found(number)
        return Cached(value=found[0], source="cache") if found is not None and found[1] < self.fresh_s else None

    async def stale(self, number: int) -> Cached[Product] | None:
        """A copy however old, with its age; None when there is none. Raises Unavailable."""
        found = await self._found(number)
        return Cached(value=found[0], source="stale", stale_age_s=found[1]) if found is not None else None

    def keep(self, number: int, product: Product) -> None:
        """Write a copy in the background; a cache that cannot be written to takes no answer away."""
        if len(self._writing) < _MOST_WRITES:
            text = json.dumps({"product": product, "at_s": self._now_s()})
            task = asyncio.create_task(self._keep(self._prefix + str(number), text))
            self._writing.add(task)
            task.add_done_callback(self._writing.discard)

    async def _found(self, number: int) -> tuple[Product, float] | None:
        text, self._reads = await self._first(self._reads, lambda node: node.get(self._prefix + str(number)))
        if text is None:
            return None
        try:
            entry = json.loads(text)
            return dict(entry["product"]), max(0.0, self._now_s() - float(entry["at_s"]))
        except (ValueError, KeyError, TypeError) as problem:
            raise Unavailable(f"the copy of product {number} cannot be read") from problem

    async def _keep(self, key: str, text: str) -> None:
        try:
            _, self._writes = await self._first(self._writes, lambda node: node.set(key, text, ex=KEPT_S))
        except Unavailable:
            return

    async def _first(self, begin: int, work: Work) -> tuple[Any, int]:
        """What the first node gives that does the work, and which it was; `begin` is asked first. Raises Unavailable."""
        from redis.exceptions import RedisError

        problem: Exception | None = None
        for step in range(len(self._nodes)):
            place = (begin + step) % len(self._nodes)
            try:
                async with asyncio.timeout(QUESTION_S):
                    return await work(self._nodes[place]), place
            except (RedisError, OSError, TimeoutError) as error:  # a replica refuses a write with a RedisError too
                problem = error
        raise Unavailable("the product cache is out") from problem
