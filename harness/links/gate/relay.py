"""
One client's connection and the connection to the upstream that belongs to it.

Bytes go on first and are read along afterwards, so reading costs no delay; only while a fault of the gate's own is on
are requests held until their head is complete and decided. What one side does to its connection (close, half-close,
reset, refuse, stop reading) is done to the other.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from typing import TYPE_CHECKING

from harness.links.gate.answers import CONTINUE, status_answer
from harness.links.gate.chunked import NotHttpError
from harness.links.gate.exchanges import ANSWERED, CLIENT_GONE, NEVER_ANSWERED, RESET, Exchange, Exchanges
from harness.links.gate.faults import Decision
from harness.links.gate.framing import END, HEAD, Phase, RequestFraming

if TYPE_CHECKING:
    from harness.links.gate.link import Link

HELD_BYTES_MAX = 64 * 1024  # held or not yet sent; beyond it the client is not read
DRAIN_S = 1.0  # how long bytes that came before a reset may take to reach a slow reader
SETTLE_S = 0.02  # a closed client's machine says so at once; loopback needs far less
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)

_HELD, _UPSTREAM_FULL, _CLIENT_FULL = 1, 2, 4  # reasons not to read from the client


class Relay:
    """See the module. The sides call in with what happened on their connection; nothing here waits."""

    __slots__ = (
        "_client_spoke", "_early", "_eof_waits", "_kept", "_not_reading", "_resume", "_stall_names", "_stall_timer", "_unsent",
        "_unstamped", "_waiting", "bytes_down", "bytes_up", "client", "client_eof", "closed_by", "closed_ns", "connect_task",
        "connected_ns", "ending", "exchanges", "link", "number", "opened_ns", "over", "resetting", "sides_open",
        "upstream", "upstream_eof",
    )  # fmt: skip

    def __init__(self, link: Link, number: int) -> None:
        self.link = link
        self.number = number
        self.opened_ns = time.monotonic_ns()
        self.connected_ns: int | None = None
        self.closed_ns: int | None = None
        self.closed_by = ""
        self.ending = "closed"
        self.bytes_up = 0
        self.bytes_down = 0
        self.client: asyncio.Transport | None = None
        self.upstream: asyncio.Transport | None = None
        self.connect_task: asyncio.Task[object] | None = None
        self.client_eof = False
        self.upstream_eof = False
        self.over = False  # we are closing both sides, or have
        self.resetting: asyncio.Transport | None = None  # to be reset once its last bytes are out
        self.sides_open = 1
        self.exchanges = Exchanges(link.counters, self._finished, http=link.protocol != "raw")
        self._unsent = bytearray()  # for an upstream that is not connected yet
        self._unstamped: list[Exchange] = []  # in _unsent
        self._kept = bytearray()  # the head of a request that is not complete, while faults are on
        self._waiting: bytearray | None = None  # what came while a request was held; None: nothing is held
        self._resume: Exchange | None = None  # the one that is held by a delay
        self._stall_timer: asyncio.TimerHandle | None = None
        self._stall_names: tuple[str, ...] = ()
        self._early = bytearray()  # answer bytes that came before their request
        self._eof_waits = False  # the client closed while something was held
        self._not_reading = 0
        self._client_spoke = False

    # -- from the client

    def from_client(self, data: bytes) -> None:
        """Bytes from the client."""
        self.bytes_up += len(data)
        if self._waiting is not None:
            self._waiting += data
            if len(self._waiting) > HELD_BYTES_MAX:
                self._stop_reading_client(_HELD)
            return
        self._pass_requests(data, time.monotonic_ns())

    def _pass_requests(self, data: bytes, now_ns: int) -> None:
        exchanges = self.exchanges
        if exchanges.requests is None:
            self._send_up(data)
        elif self.link.faults or self._kept or exchanges.own_answers:
            self._client_spoke = True
            self._sift(data, now_ns)
            self._read_early()
        elif self.upstream is None:
            self._send_up(data)
            self.link.later.add(self, True, data, now_ns, 0)
        else:
            _write(self.upstream, data)
            self.link.later.add(self, True, data, now_ns, time.monotonic_ns())

    def read_requests(self, data: bytes, came_ns: int, passed_ns: int) -> None:
        """All of data has gone on already; see which requests it holds."""
        exchanges = self.exchanges
        self._client_spoke = True
        start, length = 0, len(data)
        try:
            while start < length and exchanges.requests is not None:
                start, event = exchanges.read_request(data, start, came_ns)
                if event & HEAD:
                    self._stamp_forwarded(exchanges.open[-1], passed_ns)
        except NotHttpError:
            exchanges.requests = None
        self._read_early()

    def _read_early(self) -> None:
        if self._early and self.exchanges.open:
            early, self._early = bytes(self._early), bytearray()
            now_ns = time.monotonic_ns()
            self.read_answers(early, now_ns, now_ns)

    def _sift(self, data: bytes, now_ns: int) -> None:
        """Hold each request until its head is complete, then do with it what the faults that are on say."""
        exchanges = self.exchanges
        start = 0
        while start < len(data) and self._waiting is None and not self.over:
            framing = exchanges.requests
            if framing is None:
                self._send_up(data[start:])
                return
            coming_in = exchanges.coming_in
            head_has_gone = framing.phase is Phase.HEAD and not self._kept
            try:
                stop, event = exchanges.read_request(data, start, now_ns)
            except NotHttpError:
                exchanges.requests = None
                self._release_kept()
                continue
            piece = data[start:stop]
            start = stop
            if event & HEAD:
                self._head_complete(piece, event, head_has_gone=head_has_gone)
            elif coming_in is not None:
                self._sift_body(coming_in, piece, event)
            elif head_has_gone:
                self._send_up(piece)
            else:
                self._kept += piece
        if self._waiting is not None:
            self._waiting += data[start:]

    def _head_complete(self, piece: bytes, event: int, *, head_has_gone: bool) -> None:
        exchange = self.exchanges.open[-1]
        self._kept += piece
        if head_has_gone:  # it had begun before the fault was switched on
            self._release_kept()
            self._stamp_forwarded(exchange, time.monotonic_ns())
            return
        decision = self.link.decide(exchange)
        exchange.faults = decision.names
        if decision.ends is not None:
            exchange.own_answer = decision.ends
            exchange.ready = bool(event & END) or decision.ends.kind == "abort"
            self.exchanges.own_answers += 1
            self._kept.clear()
        if decision.delay_ms > 0:
            self._hold(exchange, decision)
        else:
            self._go_on(exchange)

    def _sift_body(self, exchange: Exchange, piece: bytes, event: int) -> None:
        if exchange.own_answer is None:
            self._send_up(piece)
        elif event & END:
            exchange.ready = True
            self._give_own_answers()

    def _hold(self, exchange: Exchange, decision: Decision) -> None:
        self._waiting = bytearray()
        self._resume = exchange
        self._stall_names = decision.names
        self._stall_timer = self.link.loop.call_later(decision.delay_ms / 1000, self._resume_held)

    def _go_on(self, exchange: Exchange) -> None:
        """The request is decided and was held long enough."""
        if exchange.own_answer is None:
            self._release_kept()
            self._stamp_forwarded(exchange, time.monotonic_ns())
            return
        if exchange.ending:
            return  # the upstream closed the connection meanwhile
        framing = self.exchanges.requests
        if not exchange.ready and framing is not None and framing.expects_continue and self.client is not None:
            _write(self.client, CONTINUE)  # the answer comes after the body, as from a server that reads it all
        if exchange.own_answer.kind == "abort" and self.exchanges.open[0] is not exchange:
            self._waiting = bytearray()  # nothing after it is read; it is cut when those before it are answered
        self._give_own_answers()

    def _resume_held(self) -> None:
        """The delay is over, or the fault that asked for it is."""
        if self._stall_timer is not None:
            self._stall_timer.cancel()
            self._stall_timer = None
        exchange, self._resume = self._resume, None
        waiting, self._waiting = self._waiting, None
        if self.over:
            return
        if exchange is not None:
            self._go_on(exchange)
        if waiting and not self.over:
            if self._waiting is not None:
                self._waiting += waiting
            else:
                self._pass_requests(bytes(waiting), time.monotonic_ns())
        if self._waiting is None and not self.over:
            self._read_client(_HELD)
            if self._eof_waits:
                self.exchanges.client_left(time.monotonic_ns())
                self._end_upstream()

    def fault_gone(self, name: str) -> None:
        """A fault was switched off: what it holds goes on at once."""
        if self._stall_timer is not None and name in self._stall_names:
            self._resume_held()
        elif self._kept and not self.link.faults and self._waiting is None:
            self._release_kept()

    def _give_own_answers(self) -> None:
        """Answer, or cut, the oldest exchanges as far as they are the gate's own and wholly here."""
        exchanges = self.exchanges
        while exchanges.open and exchanges.open[0].own_answer is not None and exchanges.open[0].ready:
            exchange = exchanges.open[0]
            spec = exchange.own_answer
            assert spec is not None
            if spec.kind == "abort":
                self._cut("gate", "aborted", RESET)
                return
            answer = status_answer(spec, method=exchange.method, keep_alive=exchange.keep_alive)
            exchanges.open.popleft()
            exchanges.own_answers -= 1
            self._send_own(exchange, answer)
            if not exchange.keep_alive:
                self._close_both("gate")
                return

    def _send_own(self, exchange: Exchange, answer: bytes) -> None:
        assert self.client is not None
        _write(self.client, answer)
        self.bytes_down += len(answer)
        exchange.status = exchange.own_answer.status if exchange.own_answer else 0
        exchange.response_bytes = len(answer)
        exchange.head_ns = time.monotonic_ns()
        self.exchanges.end(exchange, ANSWERED, exchange.head_ns)
        if exchange.method == "CONNECT":
            self.exchanges.requests = RequestFraming()  # no tunnel, so the client goes on with requests
        if self.exchanges.unsettled:
            self.link.loop.call_later(SETTLE_S, self._settle)

    def _release_kept(self) -> None:
        if self._kept:
            kept, self._kept = bytes(self._kept), bytearray()
            self._send_up(kept)

    def _send_up(self, data: bytes) -> None:
        if self.upstream is not None:
            _write(self.upstream, data)
        elif not self.over:
            self._unsent += data
            if len(self._unsent) > HELD_BYTES_MAX:
                self._stop_reading_client(_HELD)

    def _stamp_forwarded(self, exchange: Exchange, passed_ns: int) -> None:
        if self.connected_ns is None:
            self._unstamped.append(exchange)
        else:
            exchange.forwarded_ns = max(passed_ns, self.connected_ns)

    # -- from the upstream

    def upstream_connected(self, transport: asyncio.Transport) -> None:
        """The upstream took the connection."""
        if self.over:
            transport.abort()
            return
        self.upstream = transport
        self.sides_open += 1
        self.connected_ns = time.monotonic_ns()
        if self._unsent:
            unsent, self._unsent = bytes(self._unsent), bytearray()
            transport.write(unsent)
            for exchange in self._unstamped:
                exchange.forwarded_ns = self.connected_ns
            self._unstamped.clear()
        if self._waiting is None:
            self._read_client(_HELD)
            if self._eof_waits:
                self._end_upstream()

    def upstream_refused(self) -> None:
        """Nobody took the connection: the client gets a reset, and the attempt is on record."""
        self.link.later.catch_up()
        if self.over:
            return
        self.exchanges.refused(self.opened_ns, time.monotonic_ns(), count_it=self.link.protocol != "raw")
        self._cut("upstream", "refused", RESET)

    def from_upstream(self, data: bytes) -> None:
        """Bytes from the upstream."""
        self.bytes_down += len(data)
        client = self.client
        if client is None:
            return
        now_ns = time.monotonic_ns()
        if self.exchanges.own_answers:
            self.read_answers(data, now_ns, now_ns, pass_on=True)
            return
        _write(client, data)
        if self.exchanges.answers is None:
            return
        if self.link.faults:
            self.read_answers(data, now_ns, time.monotonic_ns())
        else:
            self.link.later.add(self, False, data, now_ns, time.monotonic_ns())

    def read_answers(self, data: bytes, came_ns: int, passed_ns: int, *, pass_on: bool = False) -> None:
        """Read answers along; with pass_on pass each on by itself, so that one of our own can come in between."""
        exchanges = self.exchanges
        client = self.client
        start, length = 0, len(data)
        while start < length and not self.over:
            if exchanges.answers is None or not exchanges.open:
                if pass_on and client is not None:
                    _write(client, data[start:])
                self._unasked(data[start:])
                break
            try:
                stop, event = exchanges.read_answer(data, start, came_ns, passed_ns)
            except NotHttpError:
                self._stop_reading_along()
                continue
            if pass_on and client is not None:
                _write(client, data[start:stop])
            start = stop
            if exchanges.answers is None:
                self._stop_reading_along()
            elif event & END and exchanges.own_answers:
                self._give_own_answers()
        if exchanges.unsettled:
            self.link.loop.call_later(SETTLE_S, self._settle)

    def _unasked(self, data: bytes) -> None:
        """Bytes that answer no request we saw: a protocol in which the server speaks first, or an early farewell."""
        if self.exchanges.answers is None:
            return
        greeting = self.link.protocol == "auto" and not self._client_spoke and not self._early
        if (greeting and not b"HTTP/".startswith(data[:5])) or len(self._early) + len(data) > HELD_BYTES_MAX:
            self._early.clear()
            self._stop_reading_along()
        else:
            self._early += data

    def _stop_reading_along(self) -> None:
        """What passes is no HTTP: nothing is held any more, everything passes as it comes."""
        self.exchanges.stop_reading()
        if self._waiting is not None:
            self._resume_held()
        self._release_kept()

    # -- a side that is full

    def client_full(self) -> None:
        """The client does not read as fast as the upstream writes."""
        if self.upstream is not None and not self.upstream_eof and not self.over:
            _pause(self.upstream)
        if self.link.faults or self.exchanges.own_answers:
            self._stop_reading_client(_CLIENT_FULL)  # our own answers must not pile up either

    def client_ready(self) -> None:
        """The client has caught up."""
        if self.resetting is not None and self.resetting is self.client:
            self._reset_now()
            return
        if self.upstream is not None and not self.upstream_eof and not self.over:
            _resume(self.upstream)
        self._read_client(_CLIENT_FULL)

    def upstream_full(self) -> None:
        """The upstream does not read as fast as the client writes."""
        self._stop_reading_client(_UPSTREAM_FULL)

    def upstream_ready(self) -> None:
        """The upstream has caught up."""
        if self.resetting is not None and self.resetting is self.upstream:
            self._reset_now()
            return
        self._read_client(_UPSTREAM_FULL)

    def _stop_reading_client(self, reason: int) -> None:
        if not self._not_reading and self.client is not None and not self.client_eof and not self.over:
            _pause(self.client)
        self._not_reading |= reason

    def _read_client(self, reason: int) -> None:
        if not self._not_reading & reason:
            return
        self._not_reading &= ~reason
        if not self._not_reading and self.client is not None and not self.client_eof and not self.over:
            _resume(self.client)

    # -- the end

    def client_ended(self) -> None:
        """The client sends no more (it closed, or closed its half)."""
        self.link.later.catch_up()
        self._first_to_close("client")
        self.client_eof = True
        self.exchanges.client_left(time.monotonic_ns())
        if self.upstream_eof:
            self._close_when_settled()
        elif self.upstream is None or self._waiting is not None:
            self._eof_waits = True
        else:
            self._release_kept()
            self._end_upstream()

    def _end_upstream(self) -> None:
        self._eof_waits = False
        if self.upstream is not None and not self.upstream.is_closing():
            self.upstream.write_eof()

    def upstream_ended(self) -> None:
        """The upstream sends no more."""
        self.link.later.catch_up()
        self._first_to_close("upstream")
        self.upstream_eof = True
        self.exchanges.upstream_closed(time.monotonic_ns())
        self._stop_reading_along()
        if self.client is not None and not self.client.is_closing():
            self.client.write_eof()
        if self.client_eof:
            self._close_when_settled()
        elif self.exchanges.unsettled:
            self.link.loop.call_later(SETTLE_S, self._settle)

    def client_lost(self, error: Exception | None) -> None:
        """The client's connection is gone: we closed it, or it was reset."""
        self.link.later.catch_up()
        self.client = None
        if not self.over:
            self._first_to_close("client")
            self.ending = "reset" if error else "closed"
            self.exchanges.client_left(time.monotonic_ns())
            self._end_all(CLIENT_GONE, reached=False)
            self._reset(self.upstream)
        self._side_gone()

    def upstream_lost(self, error: Exception | None) -> None:
        """The upstream's connection is gone: we closed it, or it was reset."""
        self.link.later.catch_up()
        self.upstream = None
        if not self.over:
            self._first_to_close("upstream")
            self.ending = "reset" if error else "closed"
            self._end_all(RESET, reached=self._client_is_there())
            self._reset(self.client)
        self._side_gone()

    def shut_down(self) -> None:
        """The gate ends: nothing more will be known about what is still open."""
        if not self.over:
            self._cut("gate", "aborted", NEVER_ANSWERED)

    def _cut(self, closed_by: str, ending: str, exchange_ending: str) -> None:
        """Reset both sides at once."""
        self._first_to_close(closed_by)
        self.ending = ending
        self._end_all(exchange_ending, reached=self._client_is_there())
        for transport in (self.client, self.upstream):
            _reset_transport(transport)

    def _close_both(self, closed_by: str) -> None:
        """Close both sides; what was written still goes out."""
        self._first_to_close(closed_by)
        self._end_all(CLIENT_GONE if self.client_eof else RESET, reached=self._client_is_there())
        for transport in (self.client, self.upstream):
            if transport is not None:
                transport.close()

    def _end_all(self, ending: str, *, reached: bool) -> None:
        self.over = True
        if self._stall_timer is not None:
            self._stall_timer.cancel()
            self._stall_timer = None
        if self.upstream is None and self.connect_task is not None:
            self.connect_task.cancel()
        self.exchanges.settle(reached=reached)
        self.exchanges.end_all(ending, time.monotonic_ns())

    def _close_when_settled(self) -> None:
        if self.exchanges.unsettled:
            self.link.loop.call_later(SETTLE_S, self._settle)
        elif not self.over:
            self._close_both(self.closed_by)

    def _settle(self) -> None:
        """Answers went to a client that had closed its side: its machine has said by now whether anybody read them."""
        if self.over:
            return
        there = self._client_is_there()
        self.exchanges.settle(reached=there)
        if not there:
            self._cut("client", "reset", CLIENT_GONE)
        elif self.client_eof and self.upstream_eof:
            self._close_both(self.closed_by)

    def _client_is_there(self) -> bool:
        """False when a write to the client was answered by a reset."""
        if self.client is None:
            return False
        connection = self.client.get_extra_info("socket")
        return connection is None or connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0

    def _reset(self, transport: asyncio.Transport | None) -> None:
        """Pass a reset on, after the bytes that came before it."""
        if transport is None:
            return
        if transport.get_write_buffer_size() == 0:
            _reset_transport(transport)
            return
        self.resetting = transport
        transport.set_write_buffer_limits(high=0)
        self.link.loop.call_later(DRAIN_S, self._reset_now)

    def _reset_now(self) -> None:
        transport, self.resetting = self.resetting, None
        _reset_transport(transport)

    def _first_to_close(self, side: str) -> None:
        self.closed_by = self.closed_by or side

    def _side_gone(self) -> None:
        self.sides_open -= 1
        if self.sides_open == 0:
            self.closed_ns = time.monotonic_ns()
            self.link.relay_ended(self)

    def _finished(self, exchange: Exchange) -> None:
        self.link.log.exchange(self.link.name, self.number, exchange)


def _reset_transport(transport: asyncio.Transport | None) -> None:
    """Close so that the other end gets a reset instead of an end."""
    if transport is None:
        return
    connection = transport.get_extra_info("socket")
    if connection is not None and connection.fileno() >= 0:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    transport.abort()


# A transport that failed is closed at once and says so a moment later; until then uvloop's raises at whatever is asked
# of it, asyncio's own says nothing. Nothing is the right answer: connection_lost is on its way.


def _write(transport: asyncio.Transport, data: bytes) -> None:
    if not transport.is_closing():
        transport.write(data)


def _pause(transport: asyncio.Transport) -> None:
    if not transport.is_closing():
        transport.pause_reading()


def _resume(transport: asyncio.Transport) -> None:
    if not transport.is_closing():
        transport.resume_reading()
