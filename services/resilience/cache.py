"""
A cache in front of a source: fresh values spare the source, stale ones stand in for it when it fails.

Bounded (the least recently used value leaves), timed by the clock handed in, and safe under threads. With
`single_flight` callers who miss the same key at the same time ask the source once between them, plain and async
callers alike. It keeps values as they are: who changes one afterwards changes it for everybody.
Its rules are our own: Resilience4j's cache decorator leaves all of this to a JCache provider.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from concurrent.futures import Future
from concurrent.futures import wait as wait_futures
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

from services.resilience.breaker_config import any_exception
from services.resilience.clock import NS_PER_MS, NS_PER_S, Clock, SystemClock
from services.resilience.events import EventLog
from services.resilience.locks import fork_safe_lock
from services.resilience.validation import Checks

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

EVENT_TYPES = ("CACHE_HIT", "CACHE_MISS", "STALE_SERVED", "ERROR", "EVICTED")
"""The first two and ERROR as in Resilience4j's cache; the key is in the event's detail."""

FRESH, FETCHED, STALE = "cache", "source", "stale"


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheConfig:
    """Options of one cache. Raises ConfigError for values out of bounds.

    A value is fresh while it is younger than ttl_ms (0: never). For stale_if_error_ms after that (None: for as long as
    it is kept; 0: not at all) it is served when the source fails. single_flight_wait_ms bounds the wait for somebody
    else's answer; who has waited that long asks by himself.
    """

    ttl_ms: int = 60_000
    stale_if_error_ms: int | None = None
    max_size: int = 1000
    single_flight: bool = False
    single_flight_wait_ms: int = 5_000
    event_consumer_buffer_size: int = 100

    def __post_init__(self) -> None:
        checks = Checks()
        checks.at_least("ttl", self.ttl_ms, 0, "ms")
        checks.at_least("staleIfError", self.stale_if_error_ms or 0, 0, "ms")
        checks.at_least("maxSize", self.max_size, 1)
        checks.at_least("singleFlightWait", self.single_flight_wait_ms, 1, "ms")
        checks.at_least("eventConsumerBufferSize", self.event_consumer_buffer_size, 1)
        checks.finish()


@dataclass(frozen=True, slots=True, kw_only=True)
class Cached(Generic[V]):
    """A value and where it is from: `cache` (fresh), `source` (asked just now) or `stale` (the source has failed).

    stale_age_s is the seconds since the source gave a stale value; 0.0 for the other two.
    """

    value: V
    source: str
    stale_age_s: float = 0.0

    @property
    def degraded(self) -> bool:
        """Whether this is less than the source would have given."""
        return self.source == STALE


@dataclass(slots=True)
class CacheCounts:
    """What happened to the values; errors are the source's, shared counts answers from somebody else's asking."""

    hits: int = 0
    misses: int = 0
    stale_served: int = 0
    errors: int = 0
    evicted: int = 0
    shared: int = 0


class _Landed(NamedTuple, Generic[V]):
    """How one asking of the source ended: with a value, with an error, or with neither when its asker was cancelled."""

    values: tuple[V, ...] = ()
    error: Exception | None = None


class Cache(Generic[K, V]):
    """One cache. `failures` says which exceptions of the source a stale value may stand in for."""

    def __init__(
        self,
        name: str,
        config: CacheConfig | None = None,
        clock: Clock | None = None,
        *,
        failures: Callable[[BaseException], bool] = any_exception,
    ) -> None:
        self.name = name
        self.config = config or CacheConfig()
        self.clock: Clock = clock or SystemClock()
        self.failures = failures
        self.counts = CacheCounts()
        self._values: OrderedDict[K, tuple[V, int]] = OrderedDict()
        self._flights: dict[K, Future[_Landed[V]]] = {}
        self._lock = fork_safe_lock()
        self.events = EventLog(self.clock, self._lock, self.config.event_consumer_buffer_size)

    def __len__(self) -> int:
        return len(self._values)

    # -- by hand -----------------------------------------------------------------------------------------------

    def fresh(self, key: K) -> Cached[V] | None:
        """The value of a key while it is fresh. Counts a hit or a miss."""
        with self._lock:
            found = self._values.get(key)
            hit = found is not None and self.clock.now_ns() - found[1] < self.config.ttl_ms * NS_PER_MS
            if hit:
                self._values.move_to_end(key)
                self.counts.hits += 1
            else:
                self.counts.misses += 1
        self._tell("CACHE_HIT" if hit else "CACHE_MISS", key)
        return Cached(value=found[0], source=FRESH) if hit and found is not None else None

    def stale(self, key: K) -> Cached[V] | None:
        """The value of a key with its age, fresh or not, unless it is past stale_if_error. Counts it as served."""
        with self._lock:
            found = self._values.get(key)
            if found is None:
                return None
            age_ns = self.clock.now_ns() - found[1]
            allowed_ms = self.config.stale_if_error_ms
            if allowed_ms is not None and age_ns >= (self.config.ttl_ms + allowed_ms) * NS_PER_MS:
                return None
            self._values.move_to_end(key)
            self.counts.stale_served += 1
        self._tell("STALE_SERVED", key)
        return Cached(value=found[0], source=STALE, stale_age_s=age_ns / NS_PER_S)

    def put(self, key: K, value: V) -> None:
        """Keep a value as of now; the least recently used one leaves if there are too many."""
        evicted: K | None = None
        with self._lock:
            self._values[key] = (value, self.clock.now_ns())
            self._values.move_to_end(key)
            full = len(self._values) > self.config.max_size
            if full:
                evicted, _ = self._values.popitem(last=False)
                self.counts.evicted += 1
        if full:
            self._tell("EVICTED", evicted)

    def forget(self, key: K) -> None:
        """Drop a value; nothing happens if there is none."""
        with self._lock:
            self._values.pop(key, None)

    def clear(self) -> None:
        """Drop every value; counters stay."""
        with self._lock:
            self._values.clear()

    # -- the shells --------------------------------------------------------------------------------------------

    async def call(self, key: K, source: Callable[[], Awaitable[V]]) -> Cached[V]:
        """The fresh value, else what source() gives, else a stale value. Raises the source's exception if there is none.

        Cancelling a caller who asks the source on behalf of others lets one of the others ask.
        """
        found = self.fresh(key)
        while found is None:
            flight, is_ours = self._board(key)
            if is_ours:
                landed: _Landed[V] = _Landed()
                try:
                    landed = _Landed((value := await source(),))
                    self.put(key, value)
                    return Cached(value=value, source=FETCHED)
                except Exception as error:
                    landed = _Landed(error=error)
                    return self._instead(key, error)
                finally:
                    self._land(key, flight, landed)
            wait_s = self.config.single_flight_wait_ms / 1000
            await asyncio.wait({asyncio.wrap_future(flight)}, timeout=wait_s)
            found = self._after(key, flight)
        return found

    def call_sync(self, key: K, source: Callable[[], V]) -> Cached[V]:
        """As `call`, without an event loop."""
        found = self.fresh(key)
        while found is None:
            flight, is_ours = self._board(key)
            if is_ours:
                landed: _Landed[V] = _Landed()
                try:
                    landed = _Landed((value := source(),))
                    self.put(key, value)
                    return Cached(value=value, source=FETCHED)
                except Exception as error:
                    landed = _Landed(error=error)
                    return self._instead(key, error)
                finally:
                    self._land(key, flight, landed)
            wait_futures({flight}, timeout=self.config.single_flight_wait_ms / 1000)
            found = self._after(key, flight)
        return found

    # -- one flight a key --------------------------------------------------------------------------------------

    def _board(self, key: K) -> tuple[Future[_Landed[V]], bool]:
        """The flight of a key, and whether it is ours to fly."""
        with self._lock:
            flight = self._flights.get(key) if self.config.single_flight else None
            if flight is not None:
                return flight, False
            flight = Future()
            flight.set_running_or_notify_cancel()  # so that no waiter can cancel it for the others
            if self.config.single_flight:
                self._flights[key] = flight
            return flight, True

    def _land(self, key: K, flight: Future[_Landed[V]], landed: _Landed[V]) -> None:
        self._leave(key, flight)
        flight.set_result(landed)  # an error, too: nobody may be waiting, and asyncio complains of errors nobody saw

    def _leave(self, key: K, flight: Future[_Landed[V]]) -> None:
        with self._lock:
            if self._flights.get(key) is flight:
                del self._flights[key]

    def _after(self, key: K, flight: Future[_Landed[V]]) -> Cached[V] | None:
        """What somebody else's flight brought; None when it is to be tried by ourselves. Raises what it raised."""
        if not flight.done():  # waited for long enough: the next to look flies on his own
            self._leave(key, flight)
            return None
        landed = flight.result()
        if landed.error is not None:
            return self._instead(key, landed.error)
        if not landed.values:
            return None
        with self._lock:
            self.counts.shared += 1
        return Cached(value=landed.values[0], source=FETCHED)

    def _instead(self, key: K, error: Exception) -> Cached[V]:
        """The stale value for a failure. Raises the failure if there is none, or if it is none to stand in for."""
        with self._lock:
            self.counts.errors += 1
        self.events.publish("ERROR", error, detail=repr(key))
        found = self.stale(key) if self.failures(error) else None
        if found is None:
            raise error
        return found

    def _tell(self, kind: str, key: K | None) -> None:
        self.events.publish(kind, detail=repr(key))
