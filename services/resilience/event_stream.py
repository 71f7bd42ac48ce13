"""
Breaker events as they happen, for readers over HTTP (server-sent events).

Upstream's /actuator/streamcircuitbreakerevents (R4J: spring-boot3 CircuitBreakerServerSideEvent.java) with two
differences: nothing is held back for 100 ms, and what a slow reader missed is counted and told (`event:overflow`)
instead of dropped in silence.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from typing import TYPE_CHECKING, Any, TypeAlias

from services.resilience import actuator, circuit_breaker

if TYPE_CHECKING:
    from services.resilience.circuit_breaker import CircuitBreaker
    from services.resilience.events import Event

PATH = "streamcircuitbreakerevents"

MOST_READERS = 16
"""A seventeenth reader is refused: each costs a little in every protected call."""
QUEUE_SIZE = 1000
"""Events that wait for one reader; the oldest goes when another comes."""
PING_S = 1.0
"""As upstream: a sign of life when nothing else was sent for so long."""

_Messages: TypeAlias = MutableMapping[str, Any]


class EventStreams:
    """The readers of one application. `registry` needs `all_of("circuitbreaker")`; breakers made later join in."""

    def __init__(self, registry: Any, *, queue_size: int = QUEUE_SIZE, most_readers: int = MOST_READERS) -> None:
        self._registry = registry
        self._queue_size = queue_size
        self._most_readers = most_readers
        self.readers = 0

    @property
    def is_full(self) -> bool:
        """Whether there are as many readers as there may be."""
        return self.readers >= self._most_readers

    def open(self, name: str | None = None, kind: str | None = None) -> Reader:
        """A reader of all events, of one breaker's, or of one type of them. Raises LookupError."""
        if kind is not None and kind.upper() not in circuit_breaker.EVENT_TYPES:
            raise LookupError(kind)
        if name is not None and name not in {one.name for one in self._breakers(None)}:
            raise LookupError(name)
        return Reader(self, lambda: self._breakers(name), kind and kind.upper(), self._queue_size)

    def _breakers(self, name: str | None) -> Iterator[CircuitBreaker]:
        for one in self._registry.all_of("circuitbreaker"):
            if name in {None, one.name}:
                yield one


class Reader:
    """One connection. Events come from any thread into a bounded queue; `serve` sends them on until the reader goes."""

    def __init__(
        self, streams: EventStreams, breakers: Callable[[], Iterator[CircuitBreaker]], kind: str | None, size: int
    ) -> None:
        self.missed = 0
        self._streams = streams
        self._breakers = breakers
        self._types = None if kind is None else {kind}
        self._queue: deque[tuple[str, Event]] = deque()
        self._size = size
        self._lock = threading.Lock()
        self._told = 0
        self._subscribed: dict[int, Callable[[], None]] = {}
        self._wake: Callable[[], object] = lambda: None

    async def serve(
        self,
        receive: Callable[[], Awaitable[_Messages]],
        send: Callable[[_Messages], Awaitable[None]],
        *,
        ping_s: float = PING_S,
    ) -> None:
        """Send until the reader disconnects. Whatever ends it, the breakers know nothing of this reader afterwards."""
        loop, arrived = asyncio.get_running_loop(), asyncio.Event()
        self._wake = lambda: loop.call_soon_threadsafe(arrived.set)
        self._streams.readers += 1
        gone = asyncio.ensure_future(_gone(receive))
        try:
            self._subscribe()
            await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
            # An empty comment: whoever reads knows that from here on nothing is missed.
            await send({"type": "http.response.body", "body": b":\n\n", "more_body": True})
            while not gone.done():
                waiting = asyncio.ensure_future(arrived.wait())
                done, _ = await asyncio.wait({gone, waiting}, timeout=ping_s, return_when=asyncio.FIRST_COMPLETED)
                waiting.cancel()
                arrived.clear()
                self._subscribe()
                body = self.take() or (b"" if done else b"event:ping\n\n")
                if body and not gone.done():
                    await send({"type": "http.response.body", "body": body, "more_body": True})
        except OSError:  # the reader went while something was being sent
            pass
        finally:
            gone.cancel()
            self.close()
            self._streams.readers -= 1

    def put(self, name: str, event: Event) -> None:
        """An event of the breaker of that name. From any thread; never waits, never raises."""
        with self._lock:
            if len(self._queue) >= self._size:
                self._queue.popleft()
                self.missed += 1
            self._queue.append((name, event))
            first = len(self._queue) == 1
        if first:
            try:
                self._wake()
            except RuntimeError:  # the reader's loop is closed: nobody reads any more
                self.close()

    def take(self) -> bytes:
        """Everything that waits, as server-sent events; what was missed is told before what came after it."""
        with self._lock:
            waiting = list(self._queue)
            self._queue.clear()
            missed, self._told = self.missed - self._told, self.missed
        told = [_sent("overflow", {"missed": missed, "missedTotal": self.missed})] if missed else []
        return b"".join([*told, *(_sent(e.type, actuator.breaker_event(name, e), name) for name, e in waiting)])

    def close(self) -> None:
        """Hear nothing more. Safe to call twice."""
        while self._subscribed:
            self._subscribed.popitem()[1]()

    def _subscribe(self) -> None:
        for one in self._breakers():
            if id(one) not in self._subscribed:
                self._subscribed[id(one)] = one.events.subscribe(self._hearing(one.name), types=self._types)

    def _hearing(self, name: str) -> Callable[[Event], None]:
        return lambda event: self.put(name, event)


_HEADERS = [(b"content-type", b"text/event-stream;charset=UTF-8"), (b"cache-control", b"no-cache")]


def _sent(kind: str, data: dict[str, Any], identity: str | None = None) -> bytes:
    # A line break in a breaker's name would end the field: it is left out, the name is in the data as well.
    start = "" if identity is None else f"id:{''.join(identity.splitlines())}\n"
    return f"{start}event:{kind}\ndata:{json.dumps(data, separators=(',', ':'))}\n\n".encode()


async def _gone(receive: Callable[[], Awaitable[_Messages]]) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
