"""
One client's connection and the connection to the upstream that belongs to it.

Bytes go on first and are read along afterwards, so reading costs no delay; only while a fault of the gate's own is on
are requests held until their head is complete and decided. What one side does to its connection (close, half-close,
reset, refuse, stop reading) is done to the other.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from harness.links.gate.answers import CONTINUE, status_answer
from harness.links.gate.chunked import NotHttpError
from harness.links.gate.exchanges import ANSWERED, CLIENT_GONE, NEVER_ANSWERED, RESET, Exchange, Exchanges
from harness.links.gate.faults import Decision
from harness.links.gate.framing import END, HEAD, Phase, RequestFraming
from harness.links.gate.pair import CLIENT_FULL, HELD, Pair, reset_transport, write

if TYPE_CHECKING:
    from harness.links.gate.link import Link

HELD_BYTES_MAX = 64 * 1024  # held or not yet sent; beyond it the client is not read
SETTLE_S = 0.02  # a closed client's machine says so at once; loopback needs far less
TIMER_GRAIN_S = 0.001  # a loop's timers may ring this much early


class Relay(Pair):
    """One connection through the gate. The sides call in with what happened on theirs; nothing here waits."""

    __slots__ = (
        "_client_spoke", "_early", "_eof_waits", "_kept", "_resume", "_stall_names", "_stall_timer", "_unsent",
        "_unstamped", "_waiting", "bytes_down", "bytes_up", "closed_ns", "connect_task", "connected_ns", "ending",
        "exchanges", "link", "number", "opened_ns", "sides_open",
    )  # fmt: skip

    def __init__(self, link: Link, number: int) -> None:
        super().__init__(link.loop)
        self.link = link
        self.number = number
        self.opened_ns = time.monotonic_ns()
        self.connected_ns: int | None = None
        self.closed_ns: int | None = None
        self.ending = "closed"
        self.bytes_up = 0
        self.bytes_down = 0
        self.connect_task: asyncio.Task[object] | None = None
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
        self._client_spoke = False

    # -- from the client

    def from_client(self, data: bytes) -> None:
        """Bytes from the client."""
        self.bytes_up += len(data)
        if self._waiting is not None:
            self._waiting += data
            if len(self._waiting) > HELD_BYTES_MAX:
                self.stop_reading_client(HELD)
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
            write(self.upstream, data)
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
            self._no_request()
        self._read_early()

    def _no_request(self) -> None:
        """What the client sends is no HTTP; answers to what it asked before are still read."""
        self.exchanges.requests = None
        if not self.exchanges.open:
            self.exchanges.stop_reading()

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
                self._no_request()
                self._release_kept()
                continue
            piece = data[start:stop]
            start = stop
            if event & HEAD:
                self._head_complete(piece, head_has_gone=head_has_gone)
            elif coming_in is not None:
                self._sift_body(coming_in, piece, event)
            elif head_has_gone:
                self._send_up(piece)
            else:
                self._kept += piece
        if self._waiting is not None:
            self._waiting += data[start:]

    def _head_complete(self, piece: bytes, *, head_has_gone: bool) -> None:
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
        self._stall_timer = self.link.loop.call_later(decision.delay_ms / 1000 + TIMER_GRAIN_S, self._resume_held)

    def _go_on(self, exchange: Exchange) -> None:
        """The request is decided and was held long enough."""
        if exchange.own_answer is None:
            self._release_kept()
            self._stamp_forwarded(exchange, time.monotonic_ns())
            return
        if exchange.ending:
            return  # the upstream closed the connection meanwhile
        exchange.ready = exchange.own_answer.kind == "abort" or exchange is not self.exchanges.coming_in
        framing = self.exchanges.requests
        if not exchange.ready and framing is not None and framing.expects_continue and self.client is not None:
            write(self.client, CONTINUE)  # the answer comes after the body, as from a server that reads it all
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
            self.read_client(HELD)
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
        write(self.client, answer)
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
            write(self.upstream, data)
        elif not self.over:
            self._unsent += data
            if len(self._unsent) > HELD_BYTES_MAX:
                self.stop_reading_client(HELD)

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
            self.read_client(HELD)
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
        write(client, data)
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
            if exchanges.answers is None or not exchanges.open or exchanges.open[0].own_answer is not None:
                if pass_on and client is not None:
                    write(client, data[start:])
                self._unasked(data[start:])
                break
            try:
                stop, event = exchanges.read_answer(data, start, came_ns, passed_ns)
            except NotHttpError:
                self._stop_reading_along()
                continue
            if pass_on and client is not None:
                write(client, data[start:stop])
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

    def client_full(self) -> None:
        """The client does not read as fast as it is written to; our own answers must not pile up either."""
        super().client_full()
        if self.link.faults or self.exchanges.own_answers:
            self.stop_reading_client(CLIENT_FULL)

    # -- the end

    def client_ended(self) -> None:
        """The client sends no more (it closed, or closed its half)."""
        self.link.later.catch_up()
        self.first_to_close("client")
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
        self.first_to_close("upstream")
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
            self.first_to_close("client")
            self.ending = "reset" if error else "closed"
            self.exchanges.client_left(time.monotonic_ns())
            self._end_all(CLIENT_GONE, reached=False)
            self.pass_reset_on(self.upstream)
        self._side_gone()

    def upstream_lost(self, error: Exception | None) -> None:
        """The upstream's connection is gone: we closed it, or it was reset."""
        self.link.later.catch_up()
        self.upstream = None
        if not self.over:
            self.first_to_close("upstream")
            self.ending = "reset" if error else "closed"
            self._end_all(RESET, reached=self.client_is_there())
            self.pass_reset_on(self.client)
        self._side_gone()

    def shut_down(self) -> None:
        """The gate ends: nothing more will be known about what is still open."""
        if not self.over:
            self._cut("gate", "aborted", NEVER_ANSWERED)
            return
        for transport in (self.client, self.upstream):
            if transport is not None:
                transport.abort()

    def _cut(self, closed_by: str, ending: str, exchange_ending: str) -> None:
        """Reset both sides at once."""
        self.first_to_close(closed_by)
        self.ending = ending
        self._end_all(exchange_ending, reached=self.client_is_there())
        for transport in (self.client, self.upstream):
            reset_transport(transport)

    def _close_both(self, closed_by: str) -> None:
        """Close both sides; what was written still goes out."""
        self.first_to_close(closed_by)
        self._end_all(CLIENT_GONE if self.client_eof else RESET, reached=self.client_is_there())
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
        self.link.later.catch_up()
        if self.over:
            return
        there = self.client_is_there()
        self.exchanges.settle(reached=there)
        if not there:
            self._cut("client", "reset", CLIENT_GONE)
        elif self.client_eof and self.upstream_eof:
            self._close_both(self.closed_by)

    def _side_gone(self) -> None:
        self.sides_open -= 1
        if self.sides_open == 0:
            self.closed_ns = time.monotonic_ns()
            self.link.relay_ended(self)

    def _finished(self, exchange: Exchange) -> None:
        self.link.log.exchange(self.link.name, self.number, exchange)
