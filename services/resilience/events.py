"""
What happened to one policy: a ring of the latest events, and whoever wants to hear of each.

The ring is what the Actuator endpoints show. Events are stored as plain tuples because one is made in every
protected call; they become `Event` when somebody reads them. (Upstream's EventProcessor and CircularEventConsumer;
`sequence` is ours.)
"""

from __future__ import annotations

import logging
from collections import deque
from contextvars import Context, copy_context
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterable, Sequence

    from services.resilience.clock import Clock

logger = logging.getLogger(__name__)

Detail: TypeAlias = str | float | int | None


class Event(NamedTuple):
    """One thing that happened.

    `sequence` counts from 1 for each policy instance without gaps, so a reader who sees 7 after 4 knows that the
    ring has lapped it. `detail` is what the type adds: the transition ("CLOSED_TO_OPEN"), the rate that was exceeded
    in percent, the number of attempts, the number of permits; `wait_ms` is set for RETRY only.
    """

    sequence: int
    type: str
    monotonic_ns: int
    wall_ns: int
    duration_ns: int | None
    error: str | None
    detail: Detail
    wait_ms: int | None


Noted: TypeAlias = tuple[str, int, int | None]
"""An event to be numbered later: its type, when it was, and how long it took if it took any time."""

ROUTINE = frozenset({"SUCCESS", "CALL_PERMITTED", "CALL_FINISHED"})
"""What every healthy call tells, and may be told late where nobody has asked to hear of it."""

NOTED_MAX = 256
"""So many may wait: 30 kB, and less than 0.1 ms for the call that finds the list full."""

_Raw: TypeAlias = tuple[int, str, int, int, int | None, str | None, Detail, int | None]


def error_text(error: BaseException) -> str:
    """The class with its module, and the message: what Java's Throwable.toString() gives."""
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    try:
        message = str(error)
    except Exception:  # a class whose __str__ fails must not turn one error into another
        message = "<no message: __str__ failed>"
    return f"{name}: {message}" if message else name


class _Consumer(NamedTuple):
    """Who hears of events, and of which: None for all."""

    types: frozenset[str] | None
    consumer: Callable[[Event], object]
    in_context: bool


class EventLog:
    """The ring and the consumers of one policy instance.

    `append` is called with the policy's lock held, `deliver` after it was let go: consumers are other people's
    code. Consumers of all events come before those of some types; one that raises is logged and the rest do not
    see that event (R4J: core/EventProcessor.java). `outbox` is empty when there is nothing to deliver.
    `catch_up` is called with the lock held before anybody looks, for a policy that tells some events late. `note` needs
    no lock: what it notes is numbered before anything else is done or looked at. A policy for which even that is too
    much does as `note` does: where nobody is to hear of ROUTINE events it appends to `noted`, and now and then calls
    `shorten`. `heard` is whether anybody is.
    """

    __slots__ = (
        "_catch_up",
        "_clock",
        "_consumers",
        "_lock",
        "_noted_before",
        "_ring",
        "_sequence",
        "_wall_ns",
        "_wants_context",
        "heard",
        "noted",
        "outbox",
    )

    def __init__(
        self, clock: Clock, lock: threading.Lock, size: int = 100, catch_up: Callable[[], object] = lambda: None
    ) -> None:
        self._catch_up = catch_up
        self._clock = clock
        self._wall_ns = clock.wall_ns
        self._lock = lock
        self._ring: deque[_Raw] = deque(maxlen=size)
        self._sequence = 0
        self._noted_before = 0
        self.noted: list[Noted] = []
        self._consumers: tuple[_Consumer, ...] = ()
        self._wants_context = False
        self.heard = False
        self.outbox: deque[tuple[_Raw, Context | None]] = deque()

    @property
    def sequence(self) -> int:
        """The number of the latest event, 0 before the first."""
        with self._lock:
            self._settle()
            return self._sequence

    @property
    def overwritten(self) -> int:
        """How many events the ring no longer holds."""
        with self._lock:
            self._settle()
            return self._sequence - len(self._ring)

    def append(  # noqa: PLR0917  # by position, it is called in every protected call
        self,
        kind: str,
        now_ns: int,
        duration_ns: int | None = None,
        error: str | None = None,
        detail: Detail = None,
        wait_ms: int | None = None,
    ) -> None:
        """Note one event. The caller holds the lock."""
        if self.noted:
            self._number_noted()
        self._sequence = sequence = self._sequence + 1
        event = (sequence, kind, now_ns, self._wall_ns(), duration_ns, error, detail, wait_ms)
        self._ring.append(event)
        if self._consumers:
            self.outbox.append((event, copy_context() if self._wants_context else None))

    def append_all(self, noted: Sequence[Noted]) -> None:
        """Note events of a while ago, in their order. The caller holds the lock."""
        if not self.heard:  # what the ring would not hold anyway is not made
            self._sequence += max(len(noted) - (self._ring.maxlen or 0), 0)
            noted = noted[-(self._ring.maxlen or 0) :]
        wall_ahead_ns = self._wall_ns() - self._clock.now_ns()
        first = self._sequence + 1
        events: list[_Raw] = [
            (sequence, kind, now_ns, now_ns + wall_ahead_ns, duration_ns, None, None, None)
            for sequence, (kind, now_ns, duration_ns) in enumerate(noted, first)
        ]
        self._sequence += len(events)
        self._ring.extend(events)
        if self.heard:
            self.outbox.extend((event, None) for event in events)

    @property
    def noted_total(self) -> int:
        """How many events were noted rather than published, since the log was made."""
        with self._lock:
            return self._noted_before + len(self.noted)

    def note(self, kind: str, now_ns: int) -> None:
        """Note an event of now, now_ns, that nothing hangs on, at little cost. The caller holds no lock."""
        if self.heard:
            self.publish(kind)
            return
        noted = self.noted
        noted.append((kind, now_ns, None))
        if len(noted) >= NOTED_MAX:
            self.shorten()

    def shorten(self) -> None:
        """Forget what was noted and the ring would not hold anyway. The caller holds no lock."""
        size = self._ring.maxlen or 0
        with self._lock:
            if size * 2 > NOTED_MAX or self.heard:
                self._number_noted()
                return
            count = max(len(self.noted) - size, 0)  # the others fill the whole ring, when it comes to that
            del self.noted[:count]
            self._noted_before += count
            self._sequence += count

    def _number_noted(self) -> None:
        count = len(self.noted)  # another thread may append meanwhile: that is for the next time
        noted = self.noted[:count]
        del self.noted[:count]
        self._noted_before += count
        self.append_all(noted)

    def _settle(self) -> None:
        self._catch_up()
        if self.noted:
            self._number_noted()

    def publish(
        self,
        kind: str,
        error: BaseException | None = None,
        detail: Detail = None,
        wait_ms: int | None = None,
        *,
        duration_ns: int | None = None,
    ) -> None:
        """Note one event and tell the consumers, for policies that hold no lock of their own meanwhile."""
        text = None if error is None else error_text(error)
        with self._lock:
            self.append(kind, self._clock.now_ns(), duration_ns, text, detail, wait_ms)
        self.deliver()

    def deliver(self) -> None:
        """Hand what was appended to the consumers. The caller holds no lock."""
        while self.outbox:
            try:
                raw, context = self.outbox.popleft()
            except IndexError:  # another thread took it
                return
            event = Event(*raw)
            try:
                for kinds, consumer, in_context in self._consumers:
                    if kinds is None or event.type in kinds:
                        if in_context and context is not None:
                            context.run(consumer, event)
                        else:
                            consumer(event)
            except Exception:
                logger.exception("a consumer of %s failed", event.type)

    def subscribe(
        self,
        consumer: Callable[[Event], object],
        *,
        types: Iterable[str] | None = None,
        in_context: bool = False,
    ) -> Callable[[], None]:
        """Call consumer(event) for each event from now on, of these types only if any are given.

        The event may be handed over by another thread's call; with `in_context` the consumer still sees the context
        variables of the call that it is of. Returns what ends the subscription.
        """
        entry = _Consumer(None if types is None else frozenset(types), consumer, in_context)
        with self._lock:
            self._settle()
            self._listen((*self._consumers, entry))

        def unsubscribe() -> None:
            with self._lock:
                self._listen([one for one in self._consumers if one is not entry])

        return unsubscribe

    def _listen(self, consumers: Sequence[_Consumer]) -> None:
        self._consumers = tuple(sorted(consumers, key=lambda one: one.types is not None))  # those of all events first
        self._wants_context = any(one.in_context for one in consumers)
        self.heard = any(one.types is None or one.types & ROUTINE for one in consumers)

    def snapshot(self) -> list[Event]:
        """What the ring holds, oldest first."""
        with self._lock:
            self._settle()
            raw = list(self._ring)
        return [Event(*event) for event in raw]
