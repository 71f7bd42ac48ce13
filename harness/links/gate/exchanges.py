"""
The HTTP exchanges of one connection, as they are seen passing: which are open, how each ended.

Knows the order of requests and answers, not the sockets: the relay tells it what came and when.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable

from harness.links.gate.faults import FaultSpec
from harness.links.gate.framing import END, HEAD, Phase, RequestFraming, ResponseFraming

_TRACE = re.compile(rb"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")

ANSWERED = "answered"
REFUSED = "refused"
RESET = "reset"
CLOSED_EARLY = "closed_early"
CLIENT_GONE = "client_gone"
NEVER_ANSWERED = "never_answered"


class Exchange:
    """One request and its answer; the columns of `wire`, and what the gate still has to do about it."""

    method: str | None = None  # plain class attributes: most exchanges change few of them, and a new one is cheap
    path: str | None = None
    trace: str | None = None
    keep_alive = True
    in_flight = 0
    request_bytes = 0
    response_bytes = 0
    status = 0
    forwarded_ns: int | None = None
    head_ns: int | None = None
    ended_ns: int | None = None
    left_ns: int | None = None  # the client closed its side before the answer was complete
    ending = ""
    faults: tuple[str, ...] = ()
    own_answer: FaultSpec | None = None  # the gate answers or cuts it, the upstream never sees it
    ready = False  # and it is time: the request has come, and was held as long as it should be

    def __init__(self, number: int, arrived_ns: int) -> None:
        self.number = number
        self.arrived_ns = arrived_ns


class LinkCounters:
    """What is counted over all connections of a link."""

    __slots__ = ("connections", "exchanges", "in_flight")

    def __init__(self) -> None:
        self.connections = 0
        self.exchanges = 0  # ended
        self.in_flight = 0


class Exchanges:
    """
    The exchanges of one connection. `requests` and `answers` are None once that direction is not read along any more
    (a tunnel, an upgrade, or no HTTP). Each finished exchange is handed to `finished`.
    """

    __slots__ = (
        "_begun_ns", "_finished", "_head_bytes", "_link", "answers", "coming_in", "count", "open", "own_answers",
        "requests", "unsettled",
    )  # fmt: skip

    def __init__(self, link: LinkCounters, finished: Callable[[Exchange], None], *, http: bool) -> None:
        self._link = link
        self._finished = finished
        self.requests = RequestFraming() if http else None
        self.answers = ResponseFraming() if http else None
        self.open: deque[Exchange] = deque()  # not answered yet, oldest first
        self.coming_in: Exchange | None = None  # its request has not come in whole
        self.unsettled: list[Exchange] = []  # answered after the client had closed its side: did it get there?
        self.own_answers = 0  # open exchanges the gate answers itself
        self.count = 0
        self._begun_ns = 0
        self._head_bytes = 0

    def stop_reading(self) -> None:
        """From here on nothing is read along; open exchanges end with the connection."""
        self.requests = None
        self.answers = None

    def read_request(self, data: bytes, start: int, now_ns: int) -> tuple[int, int]:
        """Read client bytes up to the next boundary: (where it stopped, HEAD | END). Raises NotHttpError."""
        framing = self.requests
        assert framing is not None
        if framing.phase is Phase.START:
            self._begun_ns = now_ns
        stop, event = framing.advance(data, start)
        if event & HEAD:
            self._open(framing, self._head_bytes + stop - start)
            self._head_bytes = 0
        elif self.coming_in is None:
            self._head_bytes += stop - start
        else:
            self.coming_in.request_bytes += stop - start
        if event & END:
            self._request_complete()
        return stop, event

    def _open(self, framing: RequestFraming, head_bytes: int) -> None:
        self.count += 1
        exchange = Exchange(self.count, self._begun_ns)
        exchange.method = framing.method
        exchange.path = framing.path.decode("latin-1")
        found = _TRACE.match(framing.traceparent) if framing.traceparent else None
        exchange.trace = found.group(1).decode() if found else None
        exchange.keep_alive = framing.keep_alive
        exchange.request_bytes = head_bytes
        self._link.in_flight += 1
        exchange.in_flight = self._link.in_flight
        self.open.append(exchange)
        self.coming_in = exchange

    def _request_complete(self) -> None:
        exchange = self.coming_in
        assert exchange is not None
        self.coming_in = None
        if exchange.ending:
            self._finished(exchange)
        if exchange.method == "CONNECT":
            self.requests = None  # what follows is for the tunnel, unless the answer is a refusal

    def read_answer(self, data: bytes, start: int, now_ns: int, passed_ns: int) -> tuple[int, int]:
        """
        Read upstream bytes, which came at now_ns and were passed on at passed_ns, up to the next boundary; needs an
        open exchange. Raises NotHttpError.
        """
        framing = self.answers
        assert framing is not None
        exchange = self.open[0]
        if framing.phase is Phase.START:
            framing.answers = exchange.method or ""
        stop, event = framing.advance(data, start)
        exchange.response_bytes += stop - start
        if not event or framing.interim:
            return stop, event & ~END
        if event & HEAD:
            exchange.status = framing.status
            exchange.head_ns = now_ns
        if event & END:
            self._answered(framing, exchange, passed_ns)
        return stop, event

    def _answered(self, framing: ResponseFraming, exchange: Exchange, passed_ns: int) -> None:
        self.open.popleft()
        self.end(exchange, ANSWERED, passed_ns)
        if exchange.method == "CONNECT" and framing.status >= 300:
            self.requests = RequestFraming()
        elif exchange.method == "CONNECT" or framing.status == 101:
            self.stop_reading()

    def upstream_closed(self, now_ns: int) -> None:
        """The upstream sends no more: an answer without a length is complete by that, every other is cut off."""
        if self.open and self.answers is not None and self.answers.phase is Phase.UNTIL_CLOSE:
            self.end(self.open.popleft(), ANSWERED, now_ns)
        self.end_all(CLOSED_EARLY, now_ns)

    def client_left(self, now_ns: int) -> None:
        """The client sends no more. It may still read: only what happens later tells."""
        for exchange in self.open:
            if exchange.left_ns is None:
                exchange.left_ns = now_ns
                self._link.in_flight -= 1

    def end(self, exchange: Exchange, ending: str, now_ns: int) -> None:
        """Close one exchange that was taken out of `open`."""
        exchange.ending = ending
        exchange.ended_ns = now_ns
        self._link.exchanges += 1
        if exchange.left_ns is None:
            self._link.in_flight -= 1
        elif ending == ANSWERED:
            self.unsettled.append(exchange)
            return
        if exchange is not self.coming_in:
            self._finished(exchange)

    def end_all(self, ending: str, now_ns: int) -> None:
        """The connection is over: end what is open. What the client had left before ended by that."""
        late = self.coming_in
        self.coming_in = None
        if late is not None and late.ending and late not in self.unsettled:
            self._finished(late)
        while self.open:
            exchange = self.open.popleft()
            if exchange.left_ns is None:
                self.end(exchange, ending, now_ns)
            else:
                self.end(exchange, CLIENT_GONE, exchange.left_ns)
        self.own_answers = 0

    def settle(self, *, reached: bool) -> None:
        """Say whether the answers given after the client had closed its side still reached it."""
        settled, self.unsettled = self.unsettled, []
        for exchange in settled:
            if not reached:
                exchange.ending = CLIENT_GONE
                exchange.ended_ns = exchange.left_ns
            if exchange is not self.coming_in:
                self._finished(exchange)

    def refused(self, opened_ns: int, now_ns: int, *, count_it: bool) -> None:
        """The upstream refused the connection; an attempt in which no request was seen still counts as one."""
        if self.count == 0 and count_it:
            self.count = 1
            exchange = Exchange(1, opened_ns)
            self._link.in_flight += 1
            exchange.in_flight = self._link.in_flight
            self.open.append(exchange)
        self.end_all(REFUSED, now_ns)
